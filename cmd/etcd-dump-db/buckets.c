/* buckets.c -- list-bucket, iterate-bucket, hash. */
#include "state/store/buckets.h"
#include "base/crc32c.h"
#include "engine/bolt/bolt.h"
#include "etcd-dump-db/dump.h"

/* ---- list-bucket ---- */

static int buckets_list(struct bolt_tx *tx, struct err *e)
{
    struct bolt_bucket root;
    struct bolt_cursor c;
    struct bytes name, value;
    struct buf out;
    int rc;

    buf_init(&out, DUMP_LINE_BYTES_MAX);
    bolt_bucket_root(tx, &root);
    bolt_cursor_init(&c, &root);
    for (rc = bolt_cursor_first(&c, &name, &value, e); rc == 0;
         rc = bolt_cursor_next(&c, &name, &value, e)) {
        buf_add_bytes(&out, name);
        buf_add_char(&out, '\n');
    }
    cli_write(stdout, &out);
    buf_done(&out);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* The file that the first argument names, for who has a flag --timeout.  Not 0: the status, after
 * words on stderr. */
static int open_within_timeout(const struct cli_call *c, struct bolt_db **ret)
{
    char path[DUMP_PATH_BYTES];
    struct err e = ERR_INIT;

    if (!dump_path(c, path))
        return 1;
    if (dump_open(path, cli_int(c, "timeout"), ret, &e) != 0)
        return cli_log_fatal("failed to open bolt DB %s", e.msg);
    return 0;
}

static int list_bucket_run(struct cli_call *c)
{
    struct err e = ERR_INIT;
    struct bolt_db *db = NULL;
    struct bolt_tx *tx = NULL;
    int status, rc;

    if (c->arg_count < 1)
        return cli_log_fatal("Must provide at least 1 argument (got %s)", dump_args(c));
    status = open_within_timeout(c, &db);
    if (status != 0)
        return status;
    rc = bolt_begin_read(db, &tx, &e);
    if (rc == 0)
        rc = buckets_list(tx, &e);
    bolt_rollback(tx);
    bolt_close(db);
    return rc == 0 ? 0 : cli_log_fatal("%s", e.msg);
}

const struct cli_command list_bucket_command = {
    .use = "list-bucket [data dir or db file path]",
    .brief = "Lists the buckets",
    .run = list_bucket_run,
};

/* ---- iterate-bucket ---- */

static const struct cli_flag iterate_flags[] = {
    {.name = "decode", .type = CLI_BOOL, .help = "show what the pairs mean, not their bytes"},
    {.name = "limit", .type = CLI_UINT, .help = "show so many pairs at most (0: all)"},
};

/* Prints the pairs, the last one first. */
static int pairs_print(struct bolt_tx *tx, struct bytes name, uint64_t limit, bool decode,
                       struct err *e)
{
    struct bolt_bucket b;
    struct bolt_cursor c;
    struct bytes key, value;
    struct buf out;
    uint64_t n = 0;
    int rc = bolt_bucket_get(tx, name, &b, e);

    if (rc == ERR_NOT_FOUND || rc == ERR_INVALID)
        return err_set(e, ERR_NOT_FOUND, "got nil bucket for %.*s", (int) name.n,
                       (const char *) name.p);
    if (rc != 0)
        return rc;
    buf_init(&out, DUMP_LINE_BYTES_MAX);
    bolt_cursor_init(&c, &b);
    for (rc = bolt_cursor_last(&c, &key, &value, e); rc == 0;
         rc = bolt_cursor_prev(&c, &key, &value, e)) {
        if (decode)
            rc = dump_decode(&out, name, key, value, e);
        else
            dump_plain(&out, key, value);
        if (out.failed)
            rc = err_set(e, ERR_NOMEM, "out of memory for a line");
        if (rc != 0)
            break;
        if (out.len >= DUMP_OUT_BYTES)
            cli_write(stdout, &out);
        if (++n == limit)
            break;
    }
    cli_write(stdout, &out);
    buf_done(&out);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int iterate_bucket_run(struct cli_call *c)
{
    struct err e = ERR_INIT;
    struct bolt_db *db = NULL;
    struct bolt_tx *tx = NULL;
    bool decode = cli_bool(c, "decode");
    int status, rc;

    if (c->arg_count != 2)
        return cli_log_fatal("Must provide 2 arguments (got %s)", dump_args(c));
    status = open_within_timeout(c, &db);
    if (status != 0)
        return status;
    rc = bolt_begin_read(db, &tx, &e);
    if (rc == 0)
        rc = pairs_print(tx, bytes_str(c->args[1]), cli_uint(c, "limit"), decode, &e);
    bolt_rollback(tx);
    bolt_close(db);
    if (rc == ERR_CORRUPT && decode)
        return dump_panic(&e);
    return rc == 0 ? 0 : cli_log_fatal("%s", e.msg);
}

const struct cli_command iterate_bucket_command = {
    .use = "iterate-bucket [data dir or db file path] [bucket name]",
    .brief = "Shows the pairs of a bucket, the last one first",
    CLI_FLAGS(iterate_flags),
    .run = iterate_bucket_run,
};

/* ---- hash ---- */

/* Members may differ in these: they are left out. */
static bool is_left_out(struct bytes bucket, struct bytes key)
{
    return bytes_eq(bucket, BYTES_LIT("meta")) &&
           (bytes_eq(key, BYTES_LIT(STORE_META_TERM)) ||
            bytes_eq(key, BYTES_LIT(STORE_META_CONSISTENT_INDEX)) ||
            bytes_eq(key, BYTES_LIT(STORE_META_STORAGE_VERSION)));
}

static int bucket_hash(struct bolt_tx *tx, struct bytes name, uint32_t *crc, struct err *e)
{
    struct bolt_bucket b;
    struct bolt_cursor c;
    struct bytes key, value;
    int rc = bolt_bucket_get(tx, name, &b, e);

    if (rc != 0)
        return rc;
    *crc = crc32c(*crc, name.p, name.n);
    bolt_cursor_init(&c, &b);
    for (rc = bolt_cursor_first(&c, &key, &value, e); rc == 0;
         rc = bolt_cursor_next(&c, &key, &value, e)) {
        if (is_left_out(name, key))
            continue;
        *crc = crc32c(*crc, key.p, key.n);
        *crc = crc32c(*crc, value.p, value.n);
    }
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int buckets_hash(struct bolt_tx *tx, uint32_t *ret_crc, struct err *e)
{
    struct bolt_bucket root;
    struct bolt_cursor c;
    struct bytes name, value;
    uint32_t crc = 0;
    int rc;

    bolt_bucket_root(tx, &root);
    bolt_cursor_init(&c, &root);
    for (rc = bolt_cursor_first(&c, &name, &value, e); rc == 0;
         rc = bolt_cursor_next(&c, &name, &value, e)) {
        rc = bucket_hash(tx, name, &crc, e);
        if (rc != 0)
            return rc;
    }
    *ret_crc = crc;
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int hash_run(struct cli_call *c)
{
    char path[DUMP_PATH_BYTES];
    struct err e = ERR_INIT;
    struct bolt_db *db = NULL;
    struct bolt_tx *tx = NULL;
    uint32_t crc;
    int rc;

    if (c->arg_count < 1)
        return cli_log_fatal("Must provide at least 1 argument (got %s)", dump_args(c));
    if (!dump_path(c, path))
        return 1;
    rc = dump_open(path, 0, &db, &e);
    if (rc != 0) {
        err_wrap(&e, rc, "failed to open database");
        return dump_panic(&e);
    }
    rc = bolt_begin_read(db, &tx, &e);
    if (rc == 0)
        rc = buckets_hash(tx, &crc, &e);
    if (rc == 0)
        printf("db path: %s\nHash: %" PRIu32 "\n", path, crc);
    bolt_rollback(tx);
    bolt_close(db);
    return rc == 0 ? 0 : cli_log_fatal("%s", e.msg);
}

const struct cli_command hash_command = {
    .use = "hash [data dir or db file path]",
    .brief = "Computes a hash of what members have in common",
    .run = hash_run,
};
