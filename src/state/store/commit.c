/* commit.c -- the store thread's side: batches into the file, and removal of compacted records. */
#include "base/endian.h"
#include "state/store/store_int.h"

#define KEY_FILL_PERCENT 90 /* records arrive in ascending order, as in etcd */

int store__snapshot_new(struct store *s, struct store_snapshot **ret, struct err *e)
{
    struct store_snapshot *sn = xmem_calloc(1, sizeof *sn);
    int rc = bolt_begin_read(s->file->db, &sn->tx, e);

    if (rc == 0)
        rc = bolt_bucket_get(sn->tx, store_bucket_name(STORE_KEY), &sn->key_bucket, e);
    if (rc == ERR_NOT_FOUND)
        rc = err_set(e, ERR_STORE_NO_BUCKET, "the data file has no bucket key");
    if (rc != 0) {
        bolt_rollback(sn->tx);
        mem_free(sn);
        return rc;
    }
    ASSERT(s->file != NULL);
    sn->store = s;
    sn->file = s->file;
    atomic_fetch_add_explicit(&s->file->refs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->snapshots_open, 1, memory_order_relaxed);
    sn->batch_seq = s->committed_seq;
    *ret = sn;
    return 0;
}

void store__snapshot_end(struct store_snapshot *sn)
{
    struct store *s = sn->store;

    ASSERT(atomic_load_explicit(&s->snapshots_open, memory_order_relaxed) > 0);
    bolt_rollback(sn->tx);
    store__file_unref(sn->file);
    mem_free(sn);
    atomic_fetch_sub_explicit(&s->snapshots_open, 1, memory_order_relaxed);
}

void store__snapshot_drop(struct store_snapshot *sn)
{
    mpsc_push(&sn->store->dead, &sn->dead_link);
}

void store__reap(struct store *s)
{
    struct mpsc_node *n = mpsc_take(&s->dead);

    while (n != NULL) {
        struct mpsc_node *next = n->next;

        store__snapshot_end(CONTAINER_OF(n, struct store_snapshot, dead_link));
        n = next;
    }
}

int store__committed(struct store *s, struct err *e)
{
    struct store_snapshot *sn, *unseen;
    struct bolt_stats st;
    int rc = store__snapshot_new(s, &sn, e);

    if (rc != 0)
        return rc;
    bolt_get_stats(s->file->db, &st);
    atomic_store_explicit(&s->db_size, st.size_bytes, memory_order_relaxed);
    atomic_store_explicit(&s->db_size_in_use, st.in_use_bytes, memory_order_relaxed);
    unseen = atomic_exchange_explicit(&s->fresh, sn, memory_order_acq_rel);
    ASSERT(unseen == NULL || unseen->batch_seq <= sn->batch_seq); /* S2 */
    if (unseen != NULL) /* apply did not come by since the last commit */
        store__snapshot_end(unseen);
    return 0;
}

static int commit_ops(struct bolt_tx *tx, const struct store_batch *b, struct err *e)
{
    struct bolt_bucket buckets[STORE_BUCKETS];
    bool have[STORE_BUCKETS] = {false};
    int rc = 0;

    for (size_t i = 0; i < b->ops_n && rc == 0; i++) {
        const struct batch_op *op = &b->ops[i];
        struct bolt_bucket *bucket = &buckets[op->bucket];

        ASSERT(op->bucket != STORE_KEY);
        if (!have[op->bucket])
            rc = bolt_bucket_get(tx, store_bucket_name(op->bucket), bucket, e);
        if (rc != 0)
            break;
        have[op->bucket] = true;
        if (!op->deletes)
            rc = bolt_put(bucket, op->key, op->value, e);
        else if ((rc = bolt_delete(bucket, op->key, e)) == ERR_NOT_FOUND)
            rc = 0;
    }
    return rc;
}

static int commit_records(struct bolt_tx *tx, const struct store_batch *b, struct err *e)
{
    struct bolt_bucket key;
    int rc = bolt_bucket_get(tx, store_bucket_name(STORE_KEY), &key, e);

    if (rc != 0)
        return rc;
    bolt_bucket_set_fill(&key, KEY_FILL_PERCENT);
    for (uint32_t i = 0; i < b->records && rc == 0; i++) {
        const struct batch_record *r = batch_record_at(b, i);

        ASSERT(r->raw_key_bytes >= STORE_REV_KEY_BYTES);
        rc = bolt_put(&key, bytes_of(r->raw_key, r->raw_key_bytes), batch_record_value(r), e);
    }
    return rc;
}

/* The two numbers live in `be` until the transaction ends. */
static int commit_applied(struct bolt_tx *tx, const struct store_batch *b, uint8_t be[16],
                          struct err *e)
{
    struct bolt_bucket meta;
    int rc = bolt_bucket_get(tx, store_bucket_name(STORE_META), &meta, e);

    be64_put(be, b->applied_index);
    be64_put(be + 8, b->applied_term);
    if (rc == 0 && b->applied_index != 0)
        rc = bolt_put(&meta, BYTES_LIT(STORE_META_CONSISTENT_INDEX), bytes_of(be, 8), e);
    if (rc == 0 && b->applied_term != 0)
        rc = bolt_put(&meta, BYTES_LIT(STORE_META_TERM), bytes_of(be + 8, 8), e);
    return rc;
}

int store_commit(struct store *s, struct err *e)
{
    struct mpsc_node *first = mpsc_take(&s->sealed);
    const struct store_batch *b = NULL;
    uint64_t bytes = 0;
    struct bolt_tx *tx;
    uint8_t be[16];
    int rc;

    store__reap(s);
    if (first == NULL)
        return 0;
    rc = bolt_begin_write(s->file->db, &tx, e);
    if (rc != 0)
        return err_wrap(e, rc, "commit batch");
    for (struct mpsc_node *n = first; n != NULL && rc == 0; n = n->next) {
        b = CONTAINER_OF(n, struct store_batch, sealed_link);
        ASSERT(b->seq > s->committed_seq);
        bytes += b->bytes;
        rc = commit_ops(tx, b, e);
        if (rc == 0 && b->records > 0)
            rc = commit_records(tx, b, e);
    }
    if (rc == 0)
        rc = commit_applied(tx, b, be, e);
    if (rc == 0)
        rc = bolt_commit(tx, e);
    else
        bolt_rollback(tx);
    if (rc != 0)
        return err_wrap(e, rc, "commit batch");
    ASSERT(b != NULL);
    s->committed_seq = b->seq;
    atomic_fetch_add_explicit(&s->commits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->committed_bytes, bytes, memory_order_release);
    return store__committed(s, e);
}

/* Looks at the next records; those to be removed go to `gone` (keys that bolt keeps in place until
 * the transaction ends). */
static int compact_scan(struct bolt_bucket *key, struct store_compact *c, struct bytes *gone,
                        size_t *ret_gone_n, bool *ret_done, struct err *e)
{
    uint8_t from[STORE_REV_KEY_BYTES_MAX];
    struct store_record r;
    struct bolt_cursor cur;
    struct bytes k, v;
    size_t n = 0, gone_n = 0;
    enum store_keep keep = STORE_KEEP;
    int rc;

    bolt_cursor_init(&cur, key);
    rc = bolt_cursor_seek(
        &cur, bytes_of(from, store_rev_key_put(from, c->pos_main, c->pos_sub, false)), &k, &v, e);
    for (; rc == 0 && n < c->records; rc = bolt_cursor_next(&cur, &k, &v, e)) {
        if (!store_rev_key_get(k, &r.main, &r.sub, &r.tombstone))
            return err_set(e, ERR_STORE_BAD_REVISION_KEY,
                           "a key of %zu bytes in bucket key is not a revision", k.n);
        if (r.main > c->main_max)
            break;
        r.value = v;
        keep = c->decide(c->ctx, &r);
        if (keep == STORE_STOP)
            break;
        if (keep == STORE_REMOVE)
            gone[gone_n++] = k;
        ASSERT(r.main > c->pos_main || (r.main == c->pos_main && r.sub >= c->pos_sub));
        c->pos_main = r.main;
        c->pos_sub = r.sub + 1;
        n++;
    }
    if (rc != 0 && rc != ERR_NOT_FOUND)
        return rc;
    ASSERT(gone_n <= n);
    c->scanned += n;
    *ret_gone_n = gone_n;
    *ret_done = n < c->records && keep != STORE_STOP;
    return 0;
}

static int compact_finish(struct bolt_tx *tx, int64_t main, uint8_t rev[STORE_REV_KEY_BYTES_MAX],
                          struct err *e)
{
    struct bolt_bucket meta;
    int rc = bolt_bucket_get(tx, store_bucket_name(STORE_META), &meta, e);
    size_t n = store_rev_key_put(rev, main, 0, false);

    if (rc != 0)
        return rc;
    return bolt_put(&meta, BYTES_LIT(STORE_META_FINISHED_COMPACT), bytes_of(rev, n), e);
}

static int compact_in(struct bolt_tx *tx, struct store_compact *c, struct bytes *gone,
                      uint8_t rev[STORE_REV_KEY_BYTES_MAX], bool *ret_done, size_t *ret_gone_n,
                      struct err *e)
{
    struct bolt_bucket key;
    int rc = bolt_bucket_get(tx, store_bucket_name(STORE_KEY), &key, e);

    if (rc == 0)
        rc = compact_scan(&key, c, gone, ret_gone_n, ret_done, e);
    if (rc != 0)
        return rc;
    bolt_bucket_set_fill(&key, KEY_FILL_PERCENT);
    for (size_t i = 0; i < *ret_gone_n && rc == 0; i++)
        rc = bolt_delete(&key, gone[i], e);
    if (rc == 0 && *ret_done)
        rc = compact_finish(tx, c->main_max, rev, e);
    return rc;
}

int store_compact_step(struct store *s, struct store_compact *c, bool *ret_done, struct err *e)
{
    uint8_t rev[STORE_REV_KEY_BYTES_MAX];
    struct bytes *gone;
    size_t gone_n = 0;
    struct bolt_tx *tx;
    bool done = false;
    int rc;

    ASSERT(c->records > 0);
    *ret_done = false;
    if (s->defrag != NULL)
        return 0;
    gone = xmem_calloc(c->records, sizeof *gone);
    store__reap(s);
    rc = bolt_begin_write(s->file->db, &tx, e);
    if (rc != 0)
        goto out;
    rc = compact_in(tx, c, gone, rev, &done, &gone_n, e);
    if (rc != 0 || (gone_n == 0 && !done)) {
        bolt_rollback(tx); /* a step that removes nothing costs no sync */
        goto out;
    }
    rc = bolt_commit(tx, e);
    if (rc == 0)
        rc = store__committed(s, e);
    c->removed += gone_n;
out:
    mem_free(gone);
    if (rc != 0)
        return err_wrap(e, rc, "compact at revision %" PRId64, c->main_max);
    *ret_done = done;
    return 0;
}
