/* delete.c -- keys get a tombstone. */
#include "state/mvcc/mvcc_int.h"
#include "wire/pb.h"
#include "wire/wire.h"

/* The stored value of a tombstone is a KeyValue that has only a key. */
static void store_tombstone(struct mvcc *kv, struct bytes key)
{
    struct kv_fields f = {.key = key};
    size_t n = kv_encoded_bytes(&f);
    uint8_t *p = store_key_append(kv->store, kv->txn.main, kv->txn.sub, true, n);

    kv_encode_exactly(&f, p, n);
}

/* What watchers see has the revision, too. */
static void add_event(struct mvcc *kv, const struct key_entry *e)
{
    struct kv_fields f = {.key = entry_key(e), .mod_main = kv->txn.main};
    struct mvcc_event ev = {.type = MVCC_DELETE, .main = kv->txn.main, .sub = kv->txn.sub};
    size_t n = kv_encoded_bytes(&f);
    struct key_revision before;
    uint8_t *p;

    if (kv->hooks.events == NULL)
        return;
    p = arena_alloc(&kv->event_arena, n);
    if (NEVER(p == NULL))
        assert_fail(__FILE__, __LINE__, "out of memory for an event");
    kv_encode_exactly(&f, p, n);
    ASSERT(entry_is_live(e));
    ev.kv = bytes_of(p, n);
    ev.key = bytes_of(p + 1 + pb_varint_size(f.key.n), f.key.n);
    if (entry_at(e, kv->txn.main - 1, &before)) {
        ev.prev_main = before.main;
        ev.prev_sub = key_revision_sub(before);
    }
    mvcc__event_add(kv, &ev);
}

bool mvcc__delete_key(struct mvcc *kv, struct bytes key)
{
    struct index_path path;
    struct key_entry *e = index_find(kv->index, key, &path);
    bool leased;

    ASSERT(kv->txn.active);
    ASSERT(kv->txn.sub < SUB_MAX);
    if (e == NULL || !entry_is_live(e))
        return false;
    leased = entry_has_lease(e);
    store_tombstone(kv, key);
    add_event(kv, e);
    e = mvcc__entry_advance(kv, &path, e, key, true, false, 0);
    ASSERT(!entry_is_live(e));
    kv->txn.sub++;
    if (leased && kv->hooks.lease_detach != NULL)
        kv->hooks.lease_detach(kv->hooks.ctx, entry_key(e));
    return true;
}

/* The live entries of a range, in order, into kv->scratch: the tree changes while they are deleted.
 */
static size_t collect(struct mvcc *kv, const struct key_range *g)
{
    struct index_cursor c;
    size_t n = 0;

    for (index_seek(&c, kv->index->root, g->key, true);; index_cursor_next(&c)) {
        struct key_entry *e = index_cursor_entry(&c);

        if (e == NULL || key_range_passed(g, entry_key(e)))
            return n;
        if (!entry_is_live(e))
            continue;
        ASSERT(n <= kv->scratch_cap);
        if (n == kv->scratch_cap) {
            kv->scratch_cap = MAX((size_t) 64, kv->scratch_cap * 2);
            kv->scratch = xmem_realloc(kv->scratch, kv->scratch_cap * sizeof *kv->scratch);
        }
        kv->scratch[n++] = e;
    }
}

static size_t find_deleted(struct mvcc *kv, const Etcdserverpb__DeleteRangeRequest *r)
{
    struct key_range g = key_range_of(wire_bytes(r->key), wire_bytes(r->range_end));
    struct key_entry *e;

    if (!g.single)
        return collect(kv, &g);
    e = index_get(kv->index->root, g.key);
    if (e == NULL || !entry_is_live(e))
        return 0;
    if (kv->scratch_cap == 0) {
        kv->scratch_cap = 64;
        kv->scratch = xmem_alloc(kv->scratch_cap * sizeof *kv->scratch);
    }
    kv->scratch[0] = e;
    return 1;
}

static void copy_prev(struct mvcc *kv, size_t n, struct answer *an, struct mvcc_kvs *ret)
{
    struct store_view sv;
    struct kv_state st = mvcc__now(kv, &sv);

    ret->v = answer_alloc(an, n, sizeof ret->v[0]);
    if (ret->v == NULL)
        return;
    for (size_t i = 0; i < n && !an->too_large; i++) {
        struct revision at = entry_mod(kv->scratch[i]);

        ASSERT(entry_is_live(kv->scratch[i]));
        ret->v[i] = answer_copy(an, state_value(&st, at.main, at.sub));
    }
    ret->n = n;
}

void mvcc__apply_delete_range(struct mvcc *kv, const Etcdserverpb__DeleteRangeRequest *r,
                              struct answer *an, struct mvcc_delete_result *ret)
{
    size_t n = find_deleted(kv, r);

    *ret = (struct mvcc_delete_result){.deleted = (int64_t) n};
    if (r->prev_kv && n > 0)
        copy_prev(kv, n, an, &ret->prev_kvs);
    for (size_t i = 0; i < n; i++) {
        /* Entries outlive their place in the tree until the next publish (I4). */
        bool deleted = mvcc__delete_key(kv, entry_key(kv->scratch[i]));

        ASSERT(deleted);
    }
    ret->revision = mvcc__txn_revision(kv);
    ASSERT(ret->revision >= kv->revision);
}

void mvcc_delete_range(struct mvcc *kv, const Etcdserverpb__DeleteRangeRequest *r, struct arena *a,
                       struct mvcc_delete_result *ret, bool *ret_too_large)
{
    struct answer an = {.arena = a};

    mvcc__txn_begin(kv);
    mvcc__apply_delete_range(kv, r, &an, ret);
    mvcc__txn_end(kv);
    *ret_too_large = an.too_large;
}

size_t mvcc_delete_keys(struct mvcc *kv, const struct bytes *keys, size_t n)
{
    size_t deleted = 0;

    mvcc__txn_begin(kv);
    for (size_t i = 0; i < n; i++)
        deleted += (size_t) mvcc__delete_key(kv, keys[i]);
    mvcc__txn_end(kv);
    ASSERT(deleted <= n);
    return deleted;
}
