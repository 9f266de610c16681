/* put.c -- one key gets a new value. */
#include "state/mvcc/mvcc_int.h"
#include "wire/pb.h"
#include "wire/wire.h"

#define HISTORY_CAP_MIN 2

/* Room for one more revision behind those that `e` knows: the array it shares with older entries,
 * or a larger one. */
static struct key_history *history_with_room(struct mvcc *kv, struct key_history *h, uint32_t used)
{
    struct key_history *larger;

    ASSERT(h != NULL || used == 0);
    ASSERT(h == NULL || used <= h->cap);
    if (h != NULL && used < h->cap)
        return h;
    ASSERT(used < UINT32_MAX / 2);
    larger = history_new(kv->index, h == NULL ? HISTORY_CAP_MIN : h->cap * 2);
    if (h != NULL) {
        memcpy(larger->v, h->v, used * sizeof h->v[0]);
        garbage_add(&kv->index->garbage, h, GARBAGE_HISTORY);
    }
    return larger;
}

/* What `n` knows of the past once the newest revision of `e` belongs to it; n may be e. */
static void past_advance(struct mvcc *kv, struct key_entry *n, const struct key_entry *e,
                         bool tombstone)
{
    struct key_revision before = entry_revision(e, e->history_n);
    struct key_past p = {.create_main = entry_create_main(e),
                         .version = entry_version(e) + 1,
                         .history = history_with_room(kv, entry_history(e), e->history_n)};

    if (tombstone)
        p.create_main = p.version = 0;
    else if (!entry_is_live(e))
        p.create_main = kv->txn.main, p.version = 1;
    p.history->v[e->history_n] = before;
    n->history_n = e->history_n + 1;
    *entry_past(n) = p;
}

struct key_entry *mvcc__entry_advance(struct mvcc *kv, struct index_path *p, struct key_entry *e,
                                      struct bytes key, bool tombstone, bool leased,
                                      size_t value_bytes)
{
    bool in_place = e != NULL && entry_has_past(e) && e->mod_main > kv->published_revision; /* I3 */
    struct key_entry *n = in_place ? e : entry_new(kv->index, key, e != NULL);

    ASSERT(e == NULL ||
           revision_cmp(entry_mod(e), (struct revision){kv->txn.main, kv->txn.sub}) < 0);
    ASSERT(e != NULL || !tombstone);
    if (e != NULL)
        past_advance(kv, n, e, tombstone);
    ASSERT(value_bytes <= UINT32_MAX);
    n->mod_main = kv->txn.main;
    n->mod_sub_tombstone = (uint32_t) kv->txn.sub << 1 | (uint32_t) tombstone;
    n->value_bytes = (uint32_t) value_bytes;
    entry_set_leased(n, leased);
    if (in_place) {
        index_set_live(kv->index, p, !tombstone);
    } else {
        index_set(kv->index, p, n);
        if (e != NULL)
            garbage_add(&kv->index->garbage, e, GARBAGE_ENTRY);
    }
    return n;
}

/* What was live before this transaction began: for prev_kv of watchers. */
static void event_prev(const struct mvcc *kv, const struct key_entry *before, struct mvcc_event *ev)
{
    struct key_revision r;

    ASSERT(ev->prev_main == 0);
    if (before == NULL || !entry_at(before, kv->txn.main - 1, &r))
        return;
    ev->prev_main = r.main;
    ev->prev_sub = key_revision_sub(r);
}

static void lease_follow(struct mvcc *kv, struct bytes key, bool had, int64_t lease)
{
    if (lease != 0 && kv->hooks.lease_attach != NULL)
        kv->hooks.lease_attach(kv->hooks.ctx, lease, key);
    else if (lease == 0 && had && kv->hooks.lease_detach != NULL)
        kv->hooks.lease_detach(kv->hooks.ctx, key);
}

void mvcc__put_key(struct mvcc *kv, const struct put_args *a)
{
    struct index_path path;
    struct key_entry *e = index_find(kv->index, a->key, &path);
    bool live = e != NULL && entry_is_live(e);
    bool leased = live && entry_has_lease(e);
    struct kv_fields f = {.key = a->key,
                          .value = a->value,
                          .create_main = live ? entry_create_main(e) : kv->txn.main,
                          .mod_main = kv->txn.main,
                          .version = live ? entry_version(e) + 1 : 1,
                          .lease = a->lease};
    struct mvcc_event ev = {.type = MVCC_PUT, .main = kv->txn.main, .sub = kv->txn.sub};
    size_t n = kv_encoded_bytes(&f);
    uint8_t *p;

    ASSERT(kv->txn.active);
    ASSERT(a->key.n > 0);
    ASSERT(f.version > 0);
    ASSERT(f.create_main <= f.mod_main);
    ASSERT(kv->txn.sub < SUB_MAX);
    p = store_key_append(kv->store, kv->txn.main, kv->txn.sub, false, n);
    kv_encode_exactly(&f, p, n);
    ev.created = f.create_main == f.mod_main;
    ev.kv = bytes_of(p, n);
    ev.key = bytes_of(p + 1 + pb_varint_size(a->key.n), a->key.n); /* field 1, right at the front */
    event_prev(kv, e, &ev);
    trace_count(kv->trace, live ? 4 : 3); /* old revision, if any; marshal, store, attach lease */
    e = mvcc__entry_advance(kv, &path, e, a->key, false, a->lease != 0, n);
    ASSERT(entry_version(e) == f.version);
    ASSERT(entry_create_main(e) == f.create_main);
    mvcc__event_add(kv, &ev);
    kv->txn.sub++;
    lease_follow(kv, a->key, leased, a->lease);
}

/* ---- the request ---- */

int put_check_lease(const struct mvcc_hooks *hooks, const Etcdserverpb__PutRequest *r)
{
    if (r->lease == 0)
        return 0;
    if (hooks->lease_exists == NULL || !hooks->lease_exists(hooks->ctx, r->lease))
        return ERR_MVCC_LEASE_NOT_FOUND;
    return 0;
}

int put_check_key(const struct kv_state *st, const Etcdserverpb__PutRequest *r)
{
    if (!r->ignore_value && !r->ignore_lease)
        return 0;
    return state_live(st, wire_bytes(r->key)) == NULL ? ERR_MVCC_KEY_NOT_FOUND : 0;
}

/* A put after a deletion of the same key in one transaction (which a delete from a key on makes
 * possible) keeps nothing: the key is new then. */
void mvcc__apply_put(struct mvcc *kv, const Etcdserverpb__PutRequest *r, struct answer *an,
                     struct mvcc_put_result *ret)
{
    struct put_args a = {wire_bytes(r->key), wire_bytes(r->value), r->lease};
    struct key_entry *e = NULL;

    *ret = (struct mvcc_put_result){0};
    if (r->prev_kv || r->ignore_value || r->ignore_lease) {
        struct store_view sv;
        struct kv_state st = mvcc__now(kv, &sv);

        e = state_live(&st, a.key);
        if (e != NULL) {
            struct bytes kept = state_value(&st, e->mod_main, entry_mod(e).sub);
            struct kv_fields f;

            kv_decode_stored(kept, &f);
            if (r->ignore_value)
                a.value = f.value;
            if (r->ignore_lease)
                a.lease = f.lease;
            if (r->prev_kv) {
                ret->has_prev = an->arena != NULL;
                ret->prev_kv = answer_copy(an, kept);
            }
        }
        trace_step(kv->trace, TRACE_PREVIOUS);
        trace_count(kv->trace, 1);
    }
    ASSERT(kv->txn.active);
    mvcc__put_key(kv, &a);
    ret->revision = mvcc__txn_revision(kv);
}

int mvcc_put(struct mvcc *kv, const Etcdserverpb__PutRequest *r, struct arena *a,
             struct mvcc_put_result *ret, bool *ret_too_large)
{
    struct answer an = {.arena = a};
    int rc = put_check_lease(&kv->hooks, r);

    if (rc == 0 && (r->ignore_value || r->ignore_lease)) {
        struct store_view sv;
        struct kv_state st = mvcc__now(kv, &sv);

        rc = put_check_key(&st, r);
    }
    if (rc != 0)
        return rc;
    mvcc__txn_begin(kv);
    mvcc__apply_put(kv, r, &an, ret);
    mvcc__txn_end(kv);
    *ret_too_large = an.too_large;
    return 0;
}
