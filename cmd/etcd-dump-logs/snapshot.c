/* snapshot.c -- the .snap file that the dump begins behind. */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/command.h"
#include "cli/json_out.h"
#include "engine/snap/snap.h"
#include "etcd-dump-logs/dump.h"
#include "wire/pb.h"

#define SUFFIX ".snap"
#define ARENA_BYTES_MAX ((size_t) 256 << 20)

static const char *go_words(int errnum, char *p, size_t n)
{
    if (strerror_r(errnum, p, n) != 0)
        snprintf(p, n, "errno %d", errnum);
    p[0] = (char) tolower((unsigned char) p[0]);
    return p;
}

static bool load_failed(const char *path, int errnum)
{
    char why[128];

    (void) !cli_log_fatal("Failed loading snapshot: open %s: %s", path,
                          go_words(errnum, why, sizeof why));
    return false;
}

/* ---- what is printed of it ---- */

/* Whether the ConfState says auto_leave, true or false: etcd shows what was written.  The file is a
 * checksum and a Snapshot {data, {ConfState, index, term}}. */
static bool says_auto_leave(const char *path)
{
    static const uint32_t way[] = {2, 2, 1, 5}; /* fields, from the outermost message on */
    struct file *f = NULL;
    struct pb_field field;
    struct pb_reader r;
    uint64_t n = 0;
    uint8_t *p = NULL;
    size_t depth = 0;

    if (disk_open(disk_posix(), path, DISK_READ, 0, &f, NULL) == 0 && file_size(f, &n, NULL) == 0 &&
        n <= SNAP_FILE_BYTES_MAX)
        p = mem_alloc((size_t) n + 1);
    if (p != NULL && file_read_full(f, p, (size_t) n, 0, NULL) == 0) {
        r = pb_reader_of(bytes_of(p, (size_t) n));
        while (depth < ARRAY_LEN(way) && pb_next(&r, &field)) {
            if (field.number == way[depth] && field.type == (depth < 3 ? PB_LEN : PB_VARINT)) {
                depth++;
                r = depth < 4 ? pb_reader_of(field.bytes) : r;
            }
        }
    }
    mem_free(p);
    file_close(f);
    return depth == ARRAY_LEN(way);
}

static void put_ids(struct json_out *j, const char *name, const struct raft_ids *ids)
{
    if (ids->n == 0)
        return;
    json_begin(j, name, '[');
    for (size_t i = 0; i < ids->n; i++)
        json_uint(j, NULL, ids->v[i], JSON_ALWAYS);
    json_end(j, ']');
}

static void put_snapshot(const struct raft_snapshot *s, bool auto_leave, struct buf *out)
{
    const struct raft_conf_state *c = &s->meta.conf_state;
    struct json_out j = json_out_of(out);

    buf_printf(out, "Snapshot:\nterm=%" PRIu64 " index=%" PRIu64 " nodes=[", s->meta.term,
               s->meta.index);
    for (size_t i = 0; i < c->voters.n; i++)
        buf_printf(out, "%s%" PRIx64, i == 0 ? "" : " ", c->voters.v[i]);
    buf_add_str(out, "] confstate=");
    json_begin(&j, NULL, '{');
    put_ids(&j, "voters", &c->voters);
    put_ids(&j, "learners", &c->learners);
    put_ids(&j, "voters_outgoing", &c->voters_outgoing);
    put_ids(&j, "learners_next", &c->learners_next);
    if (auto_leave)
        json_bool(&j, "auto_leave", c->auto_leave, JSON_ALWAYS);
    json_end(&j, '}');
    buf_add_char(out, '\n');
}

/* ---- which one ---- */

static int read_named(const struct dump_options *o, const char *name, struct dump_start *ret,
                      struct buf *out, struct err *e)
{
    char path[2 * DUMP_PATH_BYTES];
    struct raft_snapshot s;
    struct arena a;
    int rc;

    snprintf(path, sizeof path, "%s/%s", o->snap_dir, name);
    arena_init(&a, ARENA_BYTES_MAX);
    rc = snap_read(disk_posix(), path, &a, &s, e);
    if (rc == 0) {
        *ret = (struct dump_start){s.meta.index, s.meta.term};
        put_snapshot(&s, says_auto_leave(path), out);
    }
    arena_done(&a);
    return rc;
}

static bool asked_for(const struct dump_options *o, struct dump_start *ret, struct buf *out)
{
    char path[2 * DUMP_PATH_BYTES], why[128];
    struct err e = ERR_INIT;

    snprintf(path, sizeof path, "%s/%s", o->snap_dir, o->start_snap);
    if (access(path, R_OK) != 0) {
        go_words(errno, why, sizeof why);
        printf("{\"level\":\"warn\",\"msg\":\"failed to read a snap file\",\"path\":\"%s\","
               "\"error\":\"open %s: %s\"}\n",
               path, path, why);
        fflush(stdout);
        (void) !cli_log_fatal("Failed loading snapshot: open %s: %s", path, why);
        return false;
    }
    if (read_named(o, o->start_snap, ret, out, &e) == 0)
        return true;
    (void) !cli_log_fatal("Failed loading snapshot: %s", e.msg);
    return false;
}

static bool has_suffix(const char *name)
{
    size_t n = strlen(name);

    return n > sizeof SUFFIX - 1 && strcmp(name + n - (sizeof SUFFIX - 1), SUFFIX) == 0;
}

/* The newest that can be read.  Damaged ones are said and stay as they are. */
bool dump_snapshot(const struct dump_options *o, struct dump_start *ret, struct buf *out)
{
    struct err e = ERR_INIT;
    bool found = false;
    char **names;
    size_t n;
    DIR *d;

    if (*o->start_snap != 0)
        return asked_for(o, ret, out);
    d = opendir(o->snap_dir);
    if (d == NULL)
        return load_failed(o->snap_dir, errno);
    closedir(d);
    if (disk_list(disk_posix(), o->snap_dir, &names, &n, &e) != 0) {
        (void) !cli_log_fatal("Failed loading snapshot: %s", e.msg);
        return false;
    }
    for (size_t i = n; i > 0 && !found; i--) {
        if (!has_suffix(names[i - 1]))
            continue;
        found = read_named(o, names[i - 1], ret, out, &e) == 0;
        if (!found)
            (void) !cli_log_fatal("Warning: passing over %s: %s", names[i - 1], e.msg);
    }
    disk_list_free(names, n);
    if (!found)
        buf_add_str(out, "Snapshot:\nempty\n");
    return true;
}
