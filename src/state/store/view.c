/* view.c -- reading: a snapshot of the file and the batches that are not in it. */
#include "state/store/store_int.h"

void store__adopt(struct store *s)
{
    struct store_snapshot *sn = atomic_exchange_explicit(&s->fresh, NULL, memory_order_acq_rel);

    if (sn == NULL)
        return;
    ASSERT(sn->refs == 0);
    ASSERT(s->snapshot == NULL || s->snapshot->batch_seq <= sn->batch_seq); /* S2 */
    sn->refs = 1;
    if (s->snapshot != NULL && --s->snapshot->refs == 0)
        store__snapshot_drop(s->snapshot);
    s->snapshot = sn;
    while (!list_empty(&s->batches)) {
        struct store_batch *b = CONTAINER_OF(s->batches.next, struct store_batch, link);

        if (b->seq > sn->batch_seq)
            break;
        list_remove(&b->link);
        s->batches_n--;
        batch_unref(b);
    }
}

static void view_add(struct store_view *v, struct store_batch *b)
{
    ASSERT(v->batches_n < STORE_BATCHES_MAX);
    ASSERT(b->records > 0);
    v->batches[v->batches_n++] = b;
    v->last_records = b->records;
}

void store_view_peek(struct store *s, struct store_view *ret)
{
    ASSERT(s->snapshot != NULL);
    *ret = (struct store_view){.snapshot = s->snapshot};
    LIST_EACH (it, &s->batches) {
        struct store_batch *b = CONTAINER_OF(it, struct store_batch, link);

        if (b->records > 0)
            view_add(ret, b);
    }
    if (s->open->records > 0)
        view_add(ret, s->open);
}

void store_view_take(struct store *s, struct store_view *ret)
{
    store__adopt(s);
    store_view_peek(s, ret);
    ret->snapshot->refs++;
    for (uint32_t i = 0; i < ret->batches_n; i++)
        ret->batches[i]->refs++;
}

bool store_view_is_newest(struct store *s, const struct store_view *v)
{
    struct store_view now;

    if (atomic_load_explicit(&s->fresh, memory_order_relaxed) != NULL)
        return false;
    store_view_peek(s, &now);
    return now.snapshot == v->snapshot && now.batches_n == v->batches_n &&
           now.last_records == v->last_records &&
           memcmp(now.batches, v->batches, v->batches_n * sizeof now.batches[0]) == 0;
}

void store_view_release(struct store *s, struct store_view *v)
{
    (void) s;
    ASSERT(v->snapshot->refs > 0);
    if (--v->snapshot->refs == 0)
        store__snapshot_drop(v->snapshot);
    for (uint32_t i = 0; i < v->batches_n; i++)
        batch_unref(v->batches[i]);
    *v = (struct store_view){0};
}

static uint32_t view_records(const struct store_view *v, uint32_t i)
{
    return i + 1 == v->batches_n ? v->last_records : v->batches[i]->records;
}

/* The newest batch that begins at or before (main, sub); batches_n when it can only be in the file.
 */
static uint32_t view_batch_of(const struct store_view *v, int64_t main, int64_t sub)
{
    for (uint32_t i = v->batches_n; i > 0; i--) {
        const struct batch_record *r = batch_record_at(v->batches[i - 1], 0);

        if (r->main < main || (r->main == main && (int64_t) r->sub <= sub))
            return i - 1;
    }
    return v->batches_n;
}

static bool batch_get(const struct store_view *v, uint32_t i, int64_t main, int64_t sub,
                      struct bytes *ret)
{
    uint32_t n = view_records(v, i);
    uint32_t at = batch_lower_bound(v->batches[i], n, main, sub);
    const struct batch_record *r;

    if (at == n)
        return false;
    r = batch_record_at(v->batches[i], at);
    if (r->main != main || (int64_t) r->sub != sub || r->raw_key_bytes != STORE_REV_KEY_BYTES)
        return false;
    *ret = batch_record_value(r);
    return true;
}

/* Tombstones have a longer key, so an exact search finds values only. */
static bool file_get(const struct store_view *v, int64_t main, int64_t sub, struct bytes *ret)
{
    uint8_t key[STORE_REV_KEY_BYTES_MAX];
    struct bolt_bucket b = v->snapshot->key_bucket;
    struct err e = ERR_INIT;
    int rc = bolt_get(&b, bytes_of(key, store_rev_key_put(key, main, sub, false)), ret, &e);

    if (rc != 0 && rc != ERR_NOT_FOUND)
        store__stop(&e);
    return rc == 0;
}

bool store_view_get(const struct store_view *v, int64_t main, int64_t sub, struct bytes *ret)
{
    uint32_t i = view_batch_of(v, main, sub);

    return i < v->batches_n ? batch_get(v, i, main, sub, ret) : file_get(v, main, sub, ret);
}

/* ---- cursor ---- */

struct store_cursor {
    const struct store_view *view;
    struct bolt_cursor file;
    bool file_placed;  /* `file` is at a record, the one before the next */
    bool have_pending; /* seek has already read the record that next will give */
    struct bytes key;
    struct bytes value;
    uint32_t batch; /* records come from this batch once the file has no more */
    uint32_t at;
    bool in_batches;
    uint64_t mapped; /* since pages were given back, about */
};

/* Only what is read in order counts: pages that are touched here and there would be wanted again at
 * once, and to map them anew costs more than the read. */
static void walked(struct store_cursor *c, uint64_t bytes)
{
    struct store_snapshot *sn = c->view->snapshot;

    c->mapped += bytes;
    if (LIKELY(c->mapped < STORE_WALK_MAPPED_BYTES_MAX))
        return;
    c->mapped = 0;
    if (atomic_load_explicit(&sn->store->db_size, memory_order_relaxed) > STORE_SMALL_FILE_BYTES)
        bolt_release_pages(sn->tx);
}

size_t store_cursor_bytes(void)
{
    return sizeof(struct store_cursor);
}

struct store_cursor *store_cursor_init(void *mem, const struct store_view *v)
{
    struct store_cursor *c = mem;

    *c = (struct store_cursor){.view = v};
    bolt_cursor_init(&c->file, &v->snapshot->key_bucket);
    return c;
}

/* 0 with c->key and c->value set, or ERR_NOT_FOUND. */
static bool file_at(struct store_cursor *c, int rc, const struct err *e)
{
    if (rc != 0 && rc != ERR_NOT_FOUND)
        store__stop(e);
    ASSERT(rc != 0 || c->key.n > 0);
    c->file_placed = rc == 0;
    return rc == 0;
}

static bool file_seek(struct store_cursor *c, int64_t main, int64_t sub)
{
    uint8_t key[STORE_REV_KEY_BYTES_MAX];
    struct bytes k = bytes_of(key, store_rev_key_put(key, main, sub, false));
    struct err e = ERR_INIT;
    int rc = bolt_cursor_seek(&c->file, k, &c->key, &c->value, &e);

    return file_at(c, rc, &e);
}

static bool file_next(struct store_cursor *c)
{
    struct err e = ERR_INIT;

    if (!c->file_placed)
        return false;
    walked(c, c->key.n + c->value.n);
    return file_at(c, bolt_cursor_next(&c->file, &c->key, &c->value, &e), &e);
}

void store_cursor_seek(struct store_cursor *c, int64_t main, int64_t sub)
{
    uint32_t i = view_batch_of(c->view, main, sub);

    ASSERT(main >= 0);
    c->have_pending = false;
    c->batch = c->at = 0;
    c->in_batches = i < c->view->batches_n;
    if (c->in_batches) {
        c->batch = i;
        c->at = batch_lower_bound(c->view->batches[i], view_records(c->view, i), main, sub);
        return;
    }
    c->have_pending = file_seek(c, main, sub);
    c->in_batches = !c->have_pending;
}

static bool batches_next(struct store_cursor *c, struct store_record *ret)
{
    while (c->batch < c->view->batches_n) {
        if (c->at < view_records(c->view, c->batch)) {
            const struct batch_record *r = batch_record_at(c->view->batches[c->batch], c->at++);

            *ret = (struct store_record){r->main, r->sub, r->raw_key_bytes > STORE_REV_KEY_BYTES,
                                         batch_record_value(r)};
            return true;
        }
        c->batch++;
        c->at = 0;
    }
    return false;
}

bool store_cursor_next(struct store_cursor *c, struct store_record *ret)
{
    if (!c->in_batches) {
        if (c->have_pending || file_next(c)) {
            c->have_pending = false;
            if (!store_rev_key_get(c->key, &ret->main, &ret->sub, &ret->tombstone))
                assert_fail(__FILE__, __LINE__,
                            "a record of bucket key has no revision as its key");
            ret->value = c->value;
            return true;
        }
        c->in_batches = true;
    }
    return batches_next(c, ret);
}

bool store_cursor_get(struct store_cursor *c, int64_t main, int64_t sub, struct bytes *ret)
{
    uint8_t key[STORE_REV_KEY_BYTES_MAX];
    struct bytes want = bytes_of(key, store_rev_key_put(key, main, sub, false));
    uint32_t i = view_batch_of(c->view, main, sub);

    if (i < c->view->batches_n)
        return batch_get(c->view, i, main, sub, ret);
    /* Keys written one after another are read one after another: the next record is a good guess.
     */
    if (!(file_next(c) && bytes_eq(c->key, want)) &&
        !(file_seek(c, main, sub) && bytes_eq(c->key, want)))
        return false;
    *ret = c->value;
    return true;
}
