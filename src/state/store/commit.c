/* commit.c -- the store thread's side: batches into the file, and removal of compacted records. */
#include "base/endian.h"
#include "state/store/store_int.h"

#define KEY_FILL_PERCENT 90 /* records arrive in ascending order, as in etcd */

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

/* ---- compaction ---- */

static struct removal *removal_add(struct removals *r)
{
    if (r->n == r->cap) {
        r->cap = MAX((size_t) 256, r->cap * 2);
        r->v = xmem_realloc(r->v, r->cap * sizeof *r->v);
    }
    return &r->v[r->n++];
}

static bool removals_full(const struct removals *r)
{
    return r->n >= STORE_REMOVALS_MAX || r->kept_bytes >= STORE_REMOVALS_KEPT_BYTES_MAX;
}

/* A key that is gone already was decided on by a compaction that was given up later. */
static int commit_removals(struct bolt_tx *tx, const struct removals *r, struct err *e)
{
    struct bolt_bucket key;
    int rc = bolt_bucket_get(tx, store_bucket_name(STORE_KEY), &key, e);

    if (rc != 0)
        return rc;
    bolt_bucket_set_fill(&key, KEY_FILL_PERCENT);
    for (size_t i = 0; i < r->n && rc == 0; i++) {
        rc = bolt_delete(&key, bytes_of(r->v[i].key, r->v[i].n), e);
        if (rc == ERR_NOT_FOUND)
            rc = 0;
    }
    return rc;
}

static int commit_finished(struct bolt_tx *tx, int64_t main, uint8_t rev[STORE_REV_KEY_BYTES_MAX],
                           struct err *e)
{
    struct bolt_bucket meta;
    int rc = bolt_bucket_get(tx, store_bucket_name(STORE_META), &meta, e);
    size_t n = store_rev_key_put(rev, main, 0, false);

    if (rc != 0)
        return rc;
    return bolt_put(&meta, BYTES_LIT(STORE_META_FINISHED_COMPACT), bytes_of(rev, n), e);
}

/* ---- one transaction ---- */

/* What goes into one; `tx` borrows the bytes until it ends. */
struct work {
    struct mpsc_node *batches; /* NULL: none */
    int64_t finished_main;     /* 0: no compaction ends with it */
    uint64_t bytes;            /* of the batches */
    uint64_t seq;              /* of the last one */
    uint8_t applied[16];
    uint8_t finished[STORE_REV_KEY_BYTES_MAX];
};

static int fill(struct store *s, struct bolt_tx *tx, struct work *w, struct err *e)
{
    const struct store_batch *b = NULL;
    int rc = 0;

    for (struct mpsc_node *n = w->batches; n != NULL && rc == 0; n = n->next) {
        b = CONTAINER_OF(n, struct store_batch, sealed_link);
        ASSERT(b->seq > s->committed_seq);
        w->bytes += b->bytes;
        w->seq = b->seq;
        rc = commit_ops(tx, b, e);
        if (rc == 0 && b->records > 0)
            rc = commit_records(tx, b, e);
    }
    if (rc == 0 && b != NULL)
        rc = commit_applied(tx, b, w->applied, e);
    if (rc == 0 && s->removals.n > 0)
        rc = commit_removals(tx, &s->removals, e);
    if (rc == 0 && w->finished_main != 0)
        rc = commit_finished(tx, w->finished_main, w->finished, e);
    return rc;
}

static int commit(struct store *s, struct work *w, struct err *e)
{
    struct bolt_tx *tx;
    int rc = bolt_begin_write(s->file->db, &tx, e);

    if (rc != 0)
        return rc;
    rc = fill(s, tx, w, e);
    if (rc == 0)
        rc = bolt_commit(tx, e);
    else
        bolt_rollback(tx);
    if (rc == ERR_NO_SPACE)
        atomic_store_explicit(&s->low_on_space, true, memory_order_relaxed);
    if (rc != 0)
        return rc;
    s->removals.n = 0;
    s->removals.kept_bytes = 0;
    if (w->batches != NULL) {
        s->waiting = s->waiting_last = NULL;
        s->committed_seq = w->seq;
    }
    atomic_fetch_add_explicit(&s->commits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->committed_bytes, w->bytes, memory_order_release);
    return store__committed(s, e);
}

static void take_sealed(struct store *s)
{
    struct mpsc_node *n = mpsc_take(&s->sealed);

    if (n == NULL)
        return;
    if (s->waiting == NULL)
        s->waiting = n;
    else
        s->waiting_last->next = n;
    while (n->next != NULL)
        n = n->next;
    s->waiting_last = n;
}

int store_commit(struct store *s, struct err *e)
{
    struct work all = {0}, less = {0};
    struct err why = ERR_INIT;
    int rc;

    store__reap(s);
    take_sealed(s);
    all.batches = s->waiting;
    if (all.batches == NULL)
        return 0;
    rc = commit(s, &all, e);
    /* On a full disk removals alone may still fit: they need little room and free some. */
    if (rc == ERR_NO_SPACE && all.batches != NULL && s->removals.n > 0) {
        int alone = commit(s, &less, &why);

        if (alone != 0 && alone != ERR_NO_SPACE)
            rc = err_set(e, alone, "%s", why.msg);
        atomic_store_explicit(&s->low_on_space, true, memory_order_relaxed);
    }
    return err_wrap(e, rc, "commit batch");
}

int store__commit_removals(struct store *s, struct err *e)
{
    struct work w = {0};

    return s->removals.n == 0 ? 0 : commit(s, &w, e);
}

int store_ask_room(struct store *s, struct err *e)
{
    int rc = bolt_ask_room(s->file->db, e);

    if (rc == 0 || rc == ERR_NO_SPACE)
        atomic_store_explicit(&s->low_on_space, rc != 0 || s->waiting != NULL,
                              memory_order_relaxed);
    return rc;
}

/* ---- compaction, in steps ---- */

/* Looks at the next records and lists those that are to go. */
static int compact_scan(struct store *s, struct bolt_bucket *key, struct store_compact *c,
                        struct err *e)
{
    uint8_t from[STORE_REV_KEY_BYTES_MAX];
    struct store_record r;
    struct bolt_cursor cur;
    struct bytes k, v;
    size_t n = 0;
    bool end = false;
    int rc;

    bolt_cursor_init(&cur, key);
    rc = bolt_cursor_seek(
        &cur, bytes_of(from, store_rev_key_put(from, c->pos_main, c->pos_sub, false)), &k, &v, e);
    for (; rc == 0 && n < c->records && !removals_full(&s->removals);
         rc = bolt_cursor_next(&cur, &k, &v, e)) {
        enum store_keep keep;

        if (!store_rev_key_get(k, &r.main, &r.sub, &r.tombstone))
            return err_set(e, ERR_STORE_BAD_REVISION_KEY,
                           "a key of %zu bytes in bucket key is not a revision", k.n);
        end = r.main > c->main_max;
        if (end)
            break;
        r.value = v;
        keep = c->decide(c->ctx, &r);
        if (keep == STORE_STOP)
            break;
        if (keep == STORE_REMOVE) {
            struct removal *gone = removal_add(&s->removals);

            memcpy(gone->key, k.p, k.n); /* of 17 or 18 bytes: store_rev_key_get has seen to it */
            gone->n = (uint8_t) k.n;
            c->removed++;
        } else if (s->removals.n > 0) {
            s->removals.kept_bytes += v.n;
        }
        ASSERT(r.main > c->pos_main || (r.main == c->pos_main && r.sub >= c->pos_sub));
        c->pos_main = r.main;
        c->pos_sub = r.sub + 1;
        n++;
    }
    if (rc != 0 && rc != ERR_NOT_FOUND)
        return rc;
    c->scanned += n;
    c->at_end = end || rc == ERR_NOT_FOUND;
    return 0;
}

static int compact_look(struct store *s, struct store_compact *c, struct err *e)
{
    struct bolt_bucket key;
    struct bolt_tx *tx;
    int rc = bolt_begin_read(s->file->db, &tx, e);

    if (rc != 0)
        return rc;
    rc = bolt_bucket_get(tx, store_bucket_name(STORE_KEY), &key, e);
    if (rc == 0)
        rc = compact_scan(s, &key, c, e);
    bolt_rollback(tx);
    return rc;
}

int store_compact_step(struct store *s, struct store_compact *c, bool *ret_done, struct err *e)
{
    struct work w = {0};
    int rc = 0;

    ASSERT(c->records > 0);
    *ret_done = false;
    if (s->defrag != NULL) /* S3 */
        return 0;
    store__reap(s);
    if (!c->at_end)
        rc = compact_look(s, c, e);
    if (c->at_end)
        w.finished_main = c->main_max;
    if (rc == 0 &&
        (c->at_end || removals_full(&s->removals) || (s->removals.n > 0 && store_low_on_space(s))))
        rc = commit(s, &w, e);
    if (rc != 0)
        return err_wrap(e, rc, "compact at revision %" PRId64, c->main_max);
    *ret_done = c->at_end;
    return 0;
}
