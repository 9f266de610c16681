/* scan.c -- scan-keys: every revision in every page of the file, older states of the tree included.
 */
#include "cli/text.h"
#include "engine/bolt/bolt.h"
#include "etcd-dump-db/dump.h"
#include "state/store/buckets.h"
#include "sys/disk.h"

static bool is_bucket_name(struct bytes key)
{
    for (int b = 0; b < STORE_BUCKETS; b++) {
        if (bytes_eq(key, store_bucket_name((enum store_bucket) b)))
            return true;
    }
    return false;
}

static void not_a_revision(const struct bolt_scan_page *p, uint32_t i, struct bytes key)
{
    fprintf(stderr, "Decoding revision failed, pageID: %" PRIu64 ", index: %u, key: ", p->id, i);
    for (size_t k = 0; k < key.n; k++)
        fprintf(stderr, "%02x", key.p[k]);
    fprintf(stderr, ", error: invalid revision length: %zu\n", key.n);
}

/* Prints the revisions of a leaf from `start` on.  A page of the root bucket is given up at its
 * first item that is named like a bucket. */
static int leaf_print(const struct bolt_scan_page *p, int64_t start, struct buf *out, struct err *e)
{
    struct bytes key, value;
    int64_t main;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < p->count; i++) {
        bolt_scan_item(p, i, &key, &value);
        if (is_bucket_name(key))
            break;
        if (!dump_is_revision(key, &main)) {
            not_a_revision(p, i, key);
            continue;
        }
        if (main < start)
            continue;
        buf_printf(out, "pageID=%" PRIu64 ", index=%u/%u, ", p->id, i, p->count - 1);
        rc = dump_revision(out, key, value, e);
        buf_add_char(out, '\n');
    }
    return rc;
}

static int pages_print(struct bolt_scan *s, int64_t start, struct err *e)
{
    struct bolt_scan_page p;
    struct buf out;
    int rc = 0;

    buf_init(&out, DUMP_LINE_BYTES_MAX);
    while (rc == 0) {
        int page_rc = bolt_scan_next(s, &p, e);

        if (page_rc == ERR_NOT_FOUND)
            break;
        if (page_rc != 0)
            fprintf(stderr, "Reading page %" PRIu64 " failed: %s. Continuing...\n", p.id, e->msg);
        else if (p.leaf)
            rc = leaf_print(&p, start, &out, e);
        cli_write(stdout, &out);
    }
    buf_done(&out);
    return rc;
}

static int scan_keys_run(struct cli_call *c)
{
    char path[DUMP_PATH_BYTES];
    struct err e = ERR_INIT;
    struct bolt_scan *s;
    int64_t start;
    int rc;

    if (c->arg_count != 2)
        return cli_log_fatal("Must provide 2 arguments (got %s)", dump_args(c));
    if (!dump_path(c, path))
        return 1;
    if (text_parse_int(c->args[1], 10, &start, &e) != 0)
        return cli_log_fatal("%s", e.msg);
    rc = bolt_scan_open(disk_posix(), path, &s, &e);
    if (rc == ERR_CORRUPT && strcmp(e.msg, "invalid database") == 0)
        return cli_log_fatal("failed to read page and HWM size: the Meta Page has wrong "
                             "(unexpected) magic");
    if (rc != 0)
        return cli_log_fatal("failed to read page and HWM size: %s", e.msg);
    rc = pages_print(s, start, &e);
    bolt_scan_close(s);
    return rc == 0 ? 0 : dump_panic(&e);
}

const struct cli_command scan_keys_command = {
    .use = "scan-keys [data dir or db file path] [start revision]",
    .brief = "Shows the revisions from one on in all pages of the file, older states included",
    .run = scan_keys_run,
};
