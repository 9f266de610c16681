/* naive_kv.h -- the key space in the slowest obvious way: a list of all records ever written,
 * searched from end to end for every question.  What it says is written down from the reference of
 * etcd's behaviour, not from the product. */
#ifndef KETCH_TESTS_NAIVE_KV_H
#define KETCH_TESTS_NAIVE_KV_H

#include "base/alloc.h"
#include "base/arena.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "rpc.pb-c.h"
#include "wire/pb.h"
#include "wire/wire.h"

enum naive_error { NAIVE_OK, NAIVE_COMPACTED, NAIVE_FUTURE, NAIVE_NO_LEASE, NAIVE_NO_KEY };

struct naive_rec {
    int64_t main, sub;
    bool tombstone;
    struct bytes key, value;
    int64_t create, version, lease;
};

#define NAIVE_RECS_MAX 16384 /* they never move */

struct naive {
    struct arena a;
    struct naive_rec *recs;
    size_t n;
    int64_t rev, compact;
    int64_t next_sub; /* of the transaction that is open; 0: nothing written in it */
};

static inline void naive_init(struct naive *m)
{
    *m = (struct naive){.rev = 1, .compact = -1};
    arena_init(&m->a, SIZE_MAX);
    m->recs = xmem_alloc(NAIVE_RECS_MAX * sizeof *m->recs);
}

static inline void naive_done(struct naive *m)
{
    arena_done(&m->a);
    mem_free(m->recs);
}

static inline void naive_add(struct naive *m, struct naive_rec r)
{
    ASSERT(m->n < NAIVE_RECS_MAX);
    r.key = bytes_of(arena_dup(&m->a, r.key.p, r.key.n), r.key.n);
    r.value = bytes_of(arena_dup(&m->a, r.value.p, r.value.n), r.value.n);
    m->recs[m->n++] = r;
}

/* The newest record of a key at `main`, tombstone or not. */
static inline const struct naive_rec *naive_newest(const struct naive *m, struct bytes key,
                                                   int64_t main)
{
    for (size_t i = m->n; i > 0; i--)
        if (m->recs[i - 1].main <= main && bytes_eq(m->recs[i - 1].key, key))
            return &m->recs[i - 1];
    return NULL;
}

static inline const struct naive_rec *naive_at(const struct naive *m, struct bytes key,
                                               int64_t main)
{
    const struct naive_rec *r = naive_newest(m, key, main);

    return r == NULL || r->tombstone ? NULL : r;
}

static inline bool naive_in(struct bytes key, ProtobufCBinaryData from, ProtobufCBinaryData end)
{
    struct bytes f = wire_bytes(from), e = wire_bytes(end);

    if (e.n == 0)
        return bytes_eq(key, f);
    if (bytes_cmp(key, f) < 0)
        return false;
    return (e.n == 1 && e.p[0] == 0) || bytes_cmp(key, e) < 0;
}

struct naive_list {
    const struct naive_rec **v;
    size_t n;
};

/* All keys of a range that exist at `main`, in order of key. */
static inline struct naive_list naive_keys(struct naive *m, ProtobufCBinaryData from,
                                           ProtobufCBinaryData end, int64_t main)
{
    struct naive_list l = {arena_alloc(&m->a, (m->n + 1) * sizeof *l.v), 0};

    for (size_t i = 0; i < m->n; i++) {
        const struct naive_rec *r = &m->recs[i];
        size_t at = l.n;

        if (naive_at(m, r->key, main) != r || !naive_in(r->key, from, end))
            continue;
        for (; at > 0 && bytes_cmp(l.v[at - 1]->key, r->key) > 0; at--)
            l.v[at] = l.v[at - 1];
        l.v[at] = r;
        l.n++;
    }
    return l;
}

static inline int naive_order(const struct naive_rec *a, const struct naive_rec *b, int target)
{
    int64_t x, y;

    switch (target) {
    case 0:
        return bytes_cmp(a->key, b->key);
    case 4:
        return bytes_cmp(a->value, b->value);
    case 1:
        x = a->version, y = b->version;
        break;
    case 2:
        x = a->create, y = b->create;
        break;
    default:
        x = a->main, y = b->main;
        break;
    }
    return x < y ? -1 : x > y;
}

struct naive_range {
    enum naive_error error;
    int64_t header;
    int64_t count;
    bool more;
    struct naive_list kvs;
    bool no_value, no_lease;
};

static inline void naive_filter(struct naive_list *l, const Etcdserverpb__RangeRequest *r)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++) {
        const struct naive_rec *x = l->v[i];

        if (r->max_mod_revision != 0 && x->main > r->max_mod_revision)
            continue;
        if (r->min_mod_revision != 0 && x->main < r->min_mod_revision)
            continue;
        if (r->max_create_revision != 0 && x->create > r->max_create_revision)
            continue;
        if (r->min_create_revision != 0 && x->create < r->min_create_revision)
            continue;
        l->v[n++] = x;
    }
    l->n = n;
}

static inline void naive_sort(struct naive_list *l, int target, bool down)
{
    for (size_t i = 1; i < l->n; i++) {
        const struct naive_rec *x = l->v[i];
        size_t at = i;

        for (; at > 0; at--) {
            int c = naive_order(l->v[at - 1], x, target);

            if (down ? c >= 0 : c <= 0)
                break;
            l->v[at] = l->v[at - 1];
        }
        l->v[at] = x;
    }
}

/* `current`, `compact`: of the state that is asked. */
static inline struct naive_range naive_range(struct naive *m, const Etcdserverpb__RangeRequest *r,
                                             int64_t current, int64_t compact)
{
    int64_t at = r->revision <= 0 ? current : r->revision;
    bool filters = r->max_mod_revision != 0 || r->min_mod_revision != 0 ||
                   r->max_create_revision != 0 || r->min_create_revision != 0;
    bool resort = r->sort_order != 0 && !(r->sort_order == 1 && r->sort_target == 0);
    struct naive_range g = {.header = current};

    if (r->revision > current)
        g.error = NAIVE_FUTURE;
    else if (at < compact)
        g.error = NAIVE_COMPACTED;
    if (g.error != NAIVE_OK)
        return g;
    g.kvs = naive_keys(m, r->key, r->range_end, at);
    g.count = (int64_t) g.kvs.n;
    if (r->count_only) {
        g.kvs.n = 0;
        return g;
    }
    if (r->limit > 0 && !resort && !filters && (int64_t) g.kvs.n > r->limit + 1)
        g.kvs.n = (size_t) r->limit + 1;
    naive_filter(&g.kvs, r);
    naive_sort(&g.kvs, (int) r->sort_target, r->sort_order == 2);
    if (r->limit > 0 && (int64_t) g.kvs.n > r->limit) {
        g.kvs.n = (size_t) r->limit;
        g.more = true;
    }
    g.no_value = r->keys_only;
    g.no_lease = r->keys_only && r->sort_target != 4;
    return g;
}

/* ---- writes: between naive_begin and naive_end ---- */

static inline int64_t naive_now(const struct naive *m)
{
    return m->next_sub > 0 ? m->rev + 1 : m->rev;
}

static inline void naive_begin(struct naive *m)
{
    m->next_sub = 0;
}

static inline void naive_end(struct naive *m)
{
    m->rev = naive_now(m);
    m->next_sub = 0;
}

static inline enum naive_error naive_check_lease(const Etcdserverpb__PutRequest *r,
                                                 bool (*lease_exists)(void *, int64_t))
{
    return r->lease != 0 && !lease_exists(NULL, r->lease) ? NAIVE_NO_LEASE : NAIVE_OK;
}

static inline enum naive_error naive_check_key(struct naive *m, const Etcdserverpb__PutRequest *r)
{
    bool needs = r->ignore_value || r->ignore_lease;

    return needs && naive_at(m, wire_bytes(r->key), m->rev) == NULL ? NAIVE_NO_KEY : NAIVE_OK;
}

/* Returns what was there before. */
static inline const struct naive_rec *naive_put(struct naive *m, const Etcdserverpb__PutRequest *r)
{
    const struct naive_rec *old = naive_at(m, wire_bytes(r->key), naive_now(m));
    struct naive_rec x = {.main = m->rev + 1,
                          .sub = m->next_sub,
                          .key = wire_bytes(r->key),
                          .value = wire_bytes(r->value),
                          .create = m->rev + 1,
                          .version = 1,
                          .lease = r->lease};

    if (old != NULL) {
        x.create = old->create;
        x.version = old->version + 1;
        if (r->ignore_value)
            x.value = old->value;
        if (r->ignore_lease)
            x.lease = old->lease;
    }
    naive_add(m, x);
    m->next_sub++;
    return old;
}

static inline struct naive_list naive_delete(struct naive *m,
                                             const Etcdserverpb__DeleteRangeRequest *r)
{
    struct naive_list l = naive_keys(m, r->key, r->range_end, naive_now(m));

    for (size_t i = 0; i < l.n; i++)
        naive_add(m, (struct naive_rec){.main = m->rev + 1,
                                        .sub = m->next_sub++,
                                        .tombstone = true,
                                        .key = l.v[i]->key});
    return l;
}

/* ---- guards ---- */

static inline bool naive_relation(int result, int c)
{
    return result == 0   ? c == 0
           : result == 1 ? c > 0
           : result == 2 ? c < 0
           : result == 3 ? c != 0
                         : true;
}

static inline bool naive_compare(const Etcdserverpb__Compare *c, const struct naive_rec *r)
{
    static const struct naive_rec zero;
    int64_t have, want;

    if (c->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE) {
        struct bytes v = c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE
                             ? wire_bytes(c->value)
                             : BYTES_EMPTY;

        return r != NULL && naive_relation((int) c->result, bytes_cmp(r->value, v));
    }
    if (r == NULL)
        r = &zero;
    switch ((int) c->target) {
    case 0:
        have = r->version;
        want = (int) c->target_union_case == 4 ? c->version : 0;
        break;
    case 1:
        have = r->create;
        want = (int) c->target_union_case == 5 ? c->create_revision : 0;
        break;
    case 2:
        have = r->main;
        want = (int) c->target_union_case == 6 ? c->mod_revision : 0;
        break;
    case 4:
        have = r->lease;
        want = (int) c->target_union_case == 8 ? c->lease : 0;
        break;
    default:
        have = want = 0;
        break;
    }
    return naive_relation((int) c->result, have < want ? -1 : have > want);
}

static inline bool naive_guards(struct naive *m, const Etcdserverpb__TxnRequest *r, int64_t at)
{
    for (size_t i = 0; i < r->n_compare; i++) {
        const Etcdserverpb__Compare *c = r->compare[i];
        struct naive_list l = naive_keys(m, c->key, c->range_end, at);

        if (l.n == 0 && !naive_compare(c, NULL))
            return false;
        for (size_t k = 0; k < l.n; k++)
            if (!naive_compare(c, l.v[k]))
                return false;
    }
    return true;
}

/* ---- what compactions and hashes keep ---- */

static inline bool naive_kept(const struct naive *m, const struct naive_rec *r, int64_t main)
{
    if (r->main > main)
        return true;
    return naive_newest(m, r->key, main) == r && (!r->tombstone || r->main == main);
}

static inline bool naive_hash_kept(const struct naive *m, const struct naive_rec *r, int64_t main)
{
    const struct naive_rec *newest = naive_newest(m, r->key, main);

    if (newest != r || r->tombstone)
        return false;
    for (size_t i = 0; i < m->n;
         i++) /* deleted and put again in one transaction, the one asked for */
        if (m->recs[i].main == main && m->recs[i].tombstone && bytes_eq(m->recs[i].key, r->key))
            return false;
    return true;
}

static inline size_t naive_encode(const struct naive_rec *r, uint8_t *p)
{
    uint8_t *q = pb_put_bytes(p, 1, r->key);

    if (!r->tombstone) {
        q = pb_put_u64(q, 2, (uint64_t) r->create);
        q = pb_put_u64(q, 3, (uint64_t) r->main);
        q = pb_put_u64(q, 4, (uint64_t) r->version);
        q = pb_put_bytes(q, 5, r->value);
        q = pb_put_u64(q, 6, (uint64_t) r->lease);
    }
    return (size_t) (q - p);
}

static inline uint32_t naive_crc(uint32_t crc, const struct naive_rec *r)
{
    uint8_t key[18], value[4096];

    be64_put(key, (uint64_t) r->main);
    key[8] = '_';
    be64_put(key + 9, (uint64_t) r->sub);
    key[17] = 't';
    crc = crc32c(crc, key, r->tombstone ? 18 : 17);
    return crc32c(crc, value, naive_encode(r, value));
}

/* HashKV at r for a compact revision c.  *ret_vague: with nothing kept the hash depends on what is
 * still in the file. */
static inline uint32_t naive_hash(const struct naive *m, int64_t r, int64_t c, bool *ret_vague)
{
    uint32_t crc = crc32c(0, "key", 3);
    bool any = false;

    for (size_t i = 0; i < m->n; i++)
        any |= m->recs[i].main <= r && naive_hash_kept(m, &m->recs[i], r);
    *ret_vague = !any && c >= 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct naive_rec *x = &m->recs[i];

        if (x->main > r || (x->main <= c && any && !naive_hash_kept(m, x, r)) ||
            (x->main == c && x->tombstone))
            continue;
        crc = naive_crc(crc, x);
    }
    return crc;
}

/* The hash that a compaction from c to r computes, all before it being finished. */
static inline uint32_t naive_compact_hash(const struct naive *m, int64_t r, int64_t c)
{
    uint32_t crc = crc32c(0, "key", 3);
    bool any = false;

    for (size_t i = 0; i < m->n; i++)
        any |= m->recs[i].main <= r && naive_kept(m, &m->recs[i], r);
    for (size_t i = 0; i < m->n; i++) {
        const struct naive_rec *x = &m->recs[i];

        if (x->main > r || (c >= 0 && !naive_kept(m, x, c)))
            continue;
        if ((x->main <= c && any && !naive_kept(m, x, r)) || (x->main == c && x->tombstone))
            continue;
        crc = naive_crc(crc, x);
    }
    return crc;
}

#endif
