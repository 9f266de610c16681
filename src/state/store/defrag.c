/* defrag.c -- a smaller copy of the file, made in steps between commits.
 *
 * Records of bucket `key` are copied in order of revision.  What commits add meanwhile lies behind
 * the place that the copy has reached, so it is met in due course; nothing before that place
 * changes, because compaction rests.  When the end is reached the small buckets are copied in one
 * go, all within one step of the store thread, so that nothing can be committed in between; then
 * the copy is synced, once, and takes the file's name. Readers keep the old file open until their
 * snapshots end. */
#include "state/store/store_int.h"

#define FILL_PERCENT 90

struct store_defrag {
    struct store *store;
    char *path; /* db.tmp.defrag: one at a time, and a leftover goes at start */
    struct store_file *copy;
    uint8_t last[STORE_REV_KEY_BYTES_MAX]; /* the newest record copied */
    size_t last_n;
    uint64_t touched; /* bytes of the old file's mapping since it was last let go */
};

static void remove_copy(struct store_defrag *d)
{
    struct err e = ERR_INIT;
    int rc = disk_remove(d->store->cfg.disk, d->path, &e);

    (void) rc; /* a leftover goes at the next start */
}

int store_defrag_begin(struct store *s, struct store_defrag **ret, struct err *e)
{
    struct store_defrag *d;
    size_t n = strlen(s->dir) + sizeof "/db.tmp.defrag";
    int rc;

    if (s->defrag != NULL)
        return err_set(e, ERR_AGAIN, "a defragmentation is under way");
    store__reap(s);
    ASSERT(!s->cfg.read_only);
    rc = store__commit_removals(s, e); /* S3 */
    if (rc != 0)
        return rc;
    d = xmem_calloc(1, sizeof *d);
    d->store = s;
    d->path = xmem_alloc(n);
    snprintf(d->path, n, "%s/db.tmp.defrag", s->dir);
    rc = store__file_open(s, d->path, true, &d->copy, e);
    if (rc != 0) {
        remove_copy(d);
        mem_free(d->path);
        mem_free(d);
        return err_wrap(e, rc, "defragment");
    }
    s->defrag = d;
    *ret = d;
    return 0;
}

/* To the first record behind the last one copied. */
static int place(struct store_defrag *d, struct bolt_cursor *c, struct bytes *k, struct bytes *v,
                 struct err *e)
{
    struct bytes last = bytes_of(d->last, d->last_n);
    int rc;

    if (d->last_n == 0)
        return bolt_cursor_first(c, k, v, e);
    rc = bolt_cursor_seek(c, last, k, v, e);
    if (rc == 0 && bytes_eq(*k, last))
        rc = bolt_cursor_next(c, k, v, e);
    return rc;
}

/* *ret_end: there was nothing more. */
static int copy_records(struct store_defrag *d, struct bolt_tx *from, struct bolt_tx *to,
                        size_t records, bool *ret_end, struct err *e)
{
    struct bytes k = BYTES_EMPTY, v, name = store_bucket_name(STORE_KEY);
    struct bolt_bucket src, dst;
    struct bolt_cursor c;
    struct bytes newest = BYTES_EMPTY;
    size_t n = 0, bytes = 0;
    int rc = bolt_bucket_get(from, name, &src, e);

    if (rc == 0)
        rc = bolt_bucket_ensure(to, name, &dst, e);
    if (rc != 0)
        return rc;
    bolt_bucket_set_fill(&dst, FILL_PERCENT);
    bolt_cursor_init(&c, &src);
    for (rc = place(d, &c, &k, &v, e); rc == 0 && n < records && bytes < STORE_DEFRAG_STEP_BYTES;
         n++) {
        rc = bolt_put(&dst, k, v, e);
        newest = k;
        bytes += v.n;
        if (rc == 0)
            rc = bolt_cursor_next(&c, &k, &v, e);
    }
    if (rc != 0 && rc != ERR_NOT_FOUND)
        return rc;
    ASSERT(newest.n <= sizeof d->last);
    if (newest.n > 0) {
        memcpy(d->last, newest.p, newest.n);
        d->last_n = newest.n;
    }
    ASSERT(n <= records);
    d->touched += bytes;
    *ret_end = rc == ERR_NOT_FOUND;
    return 0;
}

static int copy_bucket(struct bolt_tx *from, struct bolt_tx *to, struct bytes name, struct err *e)
{
    struct bolt_bucket src, dst;
    struct bolt_cursor c;
    struct bytes k, v;
    int rc = bolt_bucket_get(from, name, &src, e);

    if (rc == 0)
        rc = bolt_bucket_ensure(to, name, &dst, e);
    if (rc != 0)
        return rc;
    bolt_bucket_set_fill(&dst, FILL_PERCENT);
    bolt_cursor_init(&c, &src);
    for (rc = bolt_cursor_first(&c, &k, &v, e); rc == 0; rc = bolt_cursor_next(&c, &k, &v, e)) {
        rc = bolt_put(&dst, k, v, e);
        if (rc != 0)
            return rc;
    }
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int copy_small(struct bolt_tx *from, struct bolt_tx *to, struct err *e)
{
    int rc = 0;

    for (enum store_bucket b = 0; b < STORE_BUCKETS && rc == 0; b++)
        if (b != STORE_KEY)
            rc = copy_bucket(from, to, store_bucket_name(b), e);
    return rc;
}

/* The copy is whole and synced: it becomes the file. */
static int switch_files(struct store_defrag *d, struct err *e)
{
    struct store *s = d->store;
    int rc = disk_rename(s->cfg.disk, d->path, s->path, e);

    if (rc != 0)
        return rc;
    /* From here on the old file has no name: if the new name is lost, so is what is committed next.
     */
    rc = disk_sync_dir(s->cfg.disk, s->dir, e);
    if (rc != 0)
        store__stop(e);
    store__file_retire(s, s->file);
    s->file = d->copy;
    d->copy = NULL;
    return store__committed(s, e);
}

int store_defrag_step(struct store_defrag *d, size_t records, bool *ret_done, struct err *e)
{
    struct store *s = d->store;
    struct bolt_tx *from = NULL, *to = NULL;
    bool end = false;
    int rc;

    ASSERT(d->copy != NULL);
    ASSERT(s->defrag == d);
    store__reap(s);
    rc = bolt_begin_read(s->file->db, &from, e);
    if (rc == 0)
        rc = bolt_begin_write(d->copy->db, &to, e);
    if (rc == 0)
        rc = copy_records(d, from, to, records, &end, e);
    if (rc == 0 && end)
        rc = copy_small(from, to, e);
    if (rc == 0)
        rc = bolt_commit(to, e);
    else
        bolt_rollback(to);
    if (d->touched >= STORE_WALK_MAPPED_BYTES_MAX) {
        bolt_release_pages(from);
        d->touched = 0;
    }
    bolt_rollback(from);
    if (rc == 0 && end)
        rc = bolt_sync(d->copy->db, e);
    if (rc == 0 && end)
        rc = switch_files(d, e);
    if (rc != 0)
        return err_wrap(e, rc, "defragment");
    *ret_done = end;
    return 0;
}

void store_defrag_end(struct store_defrag *d)
{
    if (d == NULL)
        return;
    if (d->copy != NULL) {
        store__file_unref(d->store, d->copy);
        remove_copy(d);
    }
    ASSERT(d->store->defrag == d);
    d->store->defrag = NULL;
    mem_free(d->path);
    mem_free(d);
}
