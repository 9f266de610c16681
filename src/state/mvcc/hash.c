/* hash.c -- HashKV: a checksum of the key space that members compare, and that is the same whatever
 * has been physically compacted so far.
 *
 * Over "key", then key and value of each record in order of revision up to the asked one, but of
 * those at or below the compact revision only what a compaction at the asked one keeps, and no
 * tombstone at the compact revision itself.
 *
 * When that would keep nothing at all, because every key is deleted by then, etcd leaves nothing
 * out: its hash depends on how far the compaction has got in the file, until it is at its end.
 * Here it is at once what it will be then, or members would differ while they compact. */
#include "base/crc32c.h"
#include "state/mvcc/hash_int.h"

void kv_hash_init(struct kv_hash *h, int64_t main, int64_t compact)
{
    struct bytes name = store_bucket_name(STORE_KEY);

    *h = (struct kv_hash){.main = main, .compact = compact};
    ASSERT(compact >= NEVER_COMPACTED);
    h->crc = crc32c(0, name.p, name.n);
}

void kv_hash_record(struct kv_hash *h, const struct store_record *r, bool kept)
{
    uint8_t raw[STORE_REV_KEY_BYTES_MAX];
    size_t n;

    if (r->main > h->main || (r->main <= h->compact && !kept) ||
        (r->main == h->compact && r->tombstone))
        return;
    ASSERT(r->sub >= 0);
    n = store_rev_key_put(raw, r->main, r->sub, r->tombstone);
    h->crc = crc32c(crc32c(h->crc, raw, n), r->value.p, r->value.n);
}

struct mvcc_hash {
    const struct mvcc_view *view;
    struct kv_hash hash;
    struct keep_set keep;
    struct store_cursor *cursor;
    struct mvcc_hash_result result;
    struct store_record pending; /* read, but the window of `keep` does not reach it yet */
    bool have_pending;
    bool done;
};

/* A compaction has hashed at just this revision: its result is given, with its own compact
 * revision. */
static bool find_stored(const struct mvcc_view *v, int64_t revision, struct mvcc_hash_result *ret)
{
    for (size_t i = 0; i < v->hashes.n; i++) {
        if (v->hashes.v[i].hash_revision != revision)
            continue;
        *ret = v->hashes.v[i];
        ret->current_revision = v->state.revision;
        return true;
    }
    return false;
}

static bool hash_alloc(struct mvcc_hash **ret)
{
    struct mvcc_hash *h = mem_calloc(1, sizeof *h);
    void *mem = mem_alloc(store_cursor_bytes());

    if (h == NULL || mem == NULL) {
        mem_free(h);
        mem_free(mem);
        return false;
    }
    h->cursor = mem;
    *ret = h;
    return true;
}

int mvcc_hash_begin(const struct mvcc_view *v, int64_t revision, struct mvcc_hash **ret)
{
    int64_t at = revision == 0 ? v->state.revision : revision;
    int64_t compact = v->state.compact_revision;
    struct mvcc_hash_result result = {
        .compact_revision = compact, .hash_revision = at, .current_revision = v->state.revision};
    struct mvcc_hash *h;

    bool stored = find_stored(v, revision, &result);

    if (!stored && revision > 0 && revision < compact)
        return ERR_MVCC_COMPACTED;
    if (revision > v->state.revision)
        return ERR_MVCC_FUTURE_REV;
    if (!hash_alloc(&h))
        return ERR_NOMEM;
    h->view = mvcc_view_ref(v);
    h->result = result;
    h->done = stored;
    kv_hash_init(&h->hash, at, compact);
    keep_set_init(&h->keep, v->state.root, at, KEEP_HASH);
    store_cursor_init(h->cursor, &v->store);
    store_cursor_seek(h->cursor, 0, 0);
    *ret = h;
    return 0;
}

static void finish(struct mvcc_hash *h)
{
    ASSERT(!h->done);
    h->done = true;
    h->result.hash = h->hash.crc;
}

/* Takes the record, unless the keep set must first be collected further. */
static bool take(struct mvcc_hash *h, const struct store_record *r)
{
    struct revision at = {r->main, r->sub};
    bool kept = true;

    ASSERT(r->main <= h->hash.main);
    if (r->main <= h->hash.compact) {
        if (!keep_set_covers(&h->keep, at)) {
            keep_set_restart(&h->keep, at);
            return false;
        }
        kept = keep_set_has(&h->keep, at);
    }
    kv_hash_record(&h->hash, r, kept);
    return true;
}

/* Nothing is kept: what the compaction leaves counts, whether it has got there or not. */
static void keep_as_compacted(struct mvcc_hash *h)
{
    if (h->keep.any || h->keep.rule == KEEP_COMPACT)
        return;
    keep_set_done(&h->keep);
    keep_set_init(&h->keep, h->view->state.root, h->hash.compact, KEEP_COMPACT);
}

int mvcc_hash_step(struct mvcc_hash *h, size_t records, bool *ret_done)
{
    for (size_t i = 0; i < records && !h->done; i++) {
        bool no_memory;

        if (h->hash.compact >= 0 && h->keep.walking) {
            if (keep_set_collect(&h->keep, records - i, &no_memory))
                keep_as_compacted(h);
            if (no_memory)
                return ERR_NOMEM;
            break;
        }
        if (!h->have_pending && !store_cursor_next(h->cursor, &h->pending)) {
            finish(h);
            break;
        }
        if (h->pending.main > h->hash.main) {
            finish(h);
            break;
        }
        h->have_pending = !take(h, &h->pending);
    }
    *ret_done = h->done;
    return 0;
}

void mvcc_hash_result(const struct mvcc_hash *h, struct mvcc_hash_result *ret)
{
    ASSERT(h->done);
    *ret = h->result;
}

void mvcc_hash_end(struct mvcc_hash *h)
{
    if (h == NULL)
        return;
    keep_set_done(&h->keep);
    mvcc_view_unpin(h->view);
    mem_free(h->cursor);
    mem_free(h);
}
