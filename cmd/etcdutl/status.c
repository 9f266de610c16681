#include "etcdutl/status.h"

#include "base/buf.h"
#include "base/crc32c.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "engine/bolt/bolt.h"
#include "etcdutl/key_set.h"
#include "etcdutl/utl.h"
#include "state/cluster/cluster.h"
#include "state/store/store.h"
#include "wire/pb.h"

#define KEY_VALUE_KEY 1 /* field of mvccpb.KeyValue */

struct reading {
    struct bolt_tx *tx;
    struct status s;
    struct key_set live;
    struct progress progress;
    uint64_t touched; /* bytes of the mapping since it was last let go */
};

/* ---- the proof ---- */

struct findings {
    struct buf lines;
    uint64_t n;
};

static void note_finding(void *arg, const char *text)
{
    struct findings *f = arg;

    f->n++;
    if (f->lines.len > 0)
        buf_add_char(&f->lines, '\n');
    buf_add_str(&f->lines, text);
}

static int prove(struct bolt_tx *tx, struct buf *words)
{
    struct findings f = {.n = 0};
    struct err e = ERR_INIT;
    int rc;

    buf_init(&f.lines, STATUS_FINDINGS_BYTES_MAX);
    rc = bolt_check(tx, note_finding, &f, &e);
    if (rc != 0 && f.n > 0) {
        buf_printf(words, "snapshot file integrity check failed. %" PRIu64 " errors found.\n", f.n);
        buf_add_bytes(words, buf_bytes(&f.lines));
    } else if (rc != 0) {
        buf_add_str(words, e.msg);
    }
    buf_done(&f.lines);
    bolt_release_pages(tx);
    return rc;
}

/* ---- one bucket after the other ---- */

static int bad_pair(struct err *e, const char *what, struct bytes key)
{
    struct buf b;

    buf_init(&b, 4096);
    text_quote(&b, key);
    err_set(e, ERR_CORRUPT, "error during bucket key iteration, name: \"key\" err: %s: %s", what,
            b.failed ? "a long key" : buf_cstr(&b));
    buf_done(&b);
    return ERR_CORRUPT;
}

/* A record of bucket key: the newest one says whether its key lives. */
static int take_record(struct reading *r, struct bytes k, struct bytes v, struct err *e)
{
    struct pb_reader pb = pb_reader_of(v);
    struct bytes key = BYTES_EMPTY;
    struct pb_field f;
    int64_t sub;
    bool tombstone;

    if (!store_rev_key_get(k, &r->s.revision, &sub, &tombstone))
        return bad_pair(e, "cannot parse revision key", k);
    while (pb_next(&pb, &f)) {
        if (f.number == KEY_VALUE_KEY && f.type == PB_LEN)
            key = f.bytes;
    }
    if (pb.bad)
        return bad_pair(e, "cannot unmarshal value, key", k);
    if (tombstone)
        key_set_remove(&r->live, key);
    else if (!key_set_add(&r->live, key))
        return err_set(e, ERR_NOMEM, "out of memory after %zu keys", r->live.count);
    return 0;
}

/* The mapped pages that were read count as memory until they are let go. */
static void let_go(struct reading *r, uint64_t bytes)
{
    progress_add(&r->progress, bytes);
    r->touched += bytes;
    if (r->touched < STORE_WALK_MAPPED_BYTES_MAX)
        return;
    bolt_release_pages(r->tx);
    r->touched = 0;
}

static int read_bucket(struct reading *r, struct bytes name, struct err *e)
{
    bool records = bytes_eq(name, store_bucket_name(STORE_KEY));
    struct bolt_bucket b;
    struct bolt_cursor c;
    struct bytes k, v;
    int rc = bolt_bucket_get(r->tx, name, &b, e);

    if (rc != 0)
        return rc;
    r->s.hash = crc32c(r->s.hash, name.p, name.n);
    bolt_cursor_init(&c, &b);
    for (rc = bolt_cursor_first(&c, &k, &v, e); rc == 0; rc = bolt_cursor_next(&c, &k, &v, e)) {
        r->s.hash = crc32c(crc32c(r->s.hash, k.p, k.n), v.p, v.n);
        if (records)
            rc = take_record(r, k, v, e);
        if (rc != 0)
            return rc;
        let_go(r, k.n + v.n);
    }
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int read_buckets(struct reading *r, struct err *e)
{
    struct bolt_bucket root;
    struct bolt_cursor c;
    struct bytes name, value;
    int rc;

    bolt_bucket_root(r->tx, &root);
    bolt_cursor_init(&c, &root);
    for (rc = bolt_cursor_first(&c, &name, &value, e); rc == 0;
         rc = bolt_cursor_next(&c, &name, &value, e)) {
        rc = read_bucket(r, name, e);
        if (rc != 0)
            return rc;
    }
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* What cannot be a version counts as none. */
static int read_version(struct reading *r, struct err *e)
{
    struct bolt_bucket meta;
    struct bytes v;
    cluster_version parsed;
    int rc = bolt_bucket_get(r->tx, store_bucket_name(STORE_META), &meta, e);

    if (rc == 0)
        rc = bolt_get(&meta, BYTES_LIT(STORE_META_STORAGE_VERSION), &v, e);
    if (rc == 0 && v.n < sizeof r->s.version && cluster_version_parse(v, &parsed))
        memcpy(r->s.version, v.p, v.n);
    return rc == ERR_NOT_FOUND || rc == ERR_INVALID ? 0 : rc;
}

static int read_all(struct reading *r, struct buf *words)
{
    struct err e = ERR_INIT;
    int rc = prove(r->tx, words);

    if (rc != 0)
        return rc;
    r->s.bytes = bolt_tx_size_bytes(r->tx);
    progress_begin(&r->progress, "reading the snapshot", r->s.bytes);
    rc = read_version(r, &e);
    if (rc == 0)
        rc = read_buckets(r, &e);
    progress_end(&r->progress);
    r->s.keys = r->live.count;
    if (rc != 0)
        buf_add_str(words, e.msg);
    return rc;
}

int status_read(const char *path, struct status *ret, struct buf *words)
{
    struct bolt_options opt = {.read_only = true};
    struct reading r = {.live = KEY_SET_EMPTY};
    struct bolt_db *db = NULL;
    struct err e = ERR_INIT;
    int rc = utl_open(path, &opt, 0, &db, &e);

    buf_clear(words);
    if (rc == 0)
        rc = bolt_begin_read(db, &r.tx, &e);
    if (rc != 0)
        buf_add_str(words, e.msg);
    else
        rc = read_all(&r, words);
    key_set_done(&r.live); /* its keys lie in the mapping */
    bolt_rollback(r.tx);
    bolt_close(db);
    if (rc == 0)
        *ret = r.s;
    return rc;
}
