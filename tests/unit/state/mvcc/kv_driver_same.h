/* kv_driver_same.h -- answers of the real key space against those of the naive one. */
#ifndef KETCH_TESTS_KV_DRIVER_SAME_H
#define KETCH_TESTS_KV_DRIVER_SAME_H

#include "kv_driver_take.h"
#include "state/mvcc/mvcc_reply.h"

static inline void same_kv(const Mvccpb__KeyValue *kv, const struct naive_rec *r, bool no_value,
                           bool no_lease)
{
    ASSERT(bytes_eq(wire_bytes(kv->key), r->key));
    ASSERT(kv->create_revision == r->create);
    ASSERT(kv->mod_revision == r->main);
    ASSERT(kv->version == r->version);
    ASSERT(kv->lease == (no_lease ? 0 : r->lease));
    ASSERT(bytes_eq(wire_bytes(kv->value), no_value ? BYTES_EMPTY : r->value));
}

static inline int error_of(enum naive_error e)
{
    static const int rc[] = {[NAIVE_OK] = 0,
                             [NAIVE_COMPACTED] = ERR_MVCC_COMPACTED,
                             [NAIVE_FUTURE] = ERR_MVCC_FUTURE_REV,
                             [NAIVE_NO_LEASE] = ERR_MVCC_LEASE_NOT_FOUND,
                             [NAIVE_NO_KEY] = ERR_MVCC_KEY_NOT_FOUND};

    return rc[e];
}

static inline void same_range(const Etcdserverpb__RangeResponse *x, const struct naive_range *g)
{
    ASSERT(x->header->revision == g->header);
    ASSERT(x->count == g->count);
    ASSERT(x->more == g->more);
    ASSERT(x->n_kvs == g->kvs.n);
    for (size_t i = 0; i < g->kvs.n; i++)
        same_kv(x->kvs[i], g->kvs.v[i], g->no_value, g->no_lease);
}

/* The bytes of a reply, read in odd pieces. */
static inline struct bytes reply_bytes(struct driver *d, struct mvcc_reply *r)
{
    size_t n, at = 0, piece = 1;
    uint8_t *p;

    ASSERT(r != NULL);
    n = (size_t) mvcc_reply_bytes(r);
    p = arena_alloc(&d->a, n + 1);
    while (at < n) {
        size_t got = mvcc_reply_read(r, p + at, MIN(piece, n - at));

        ASSERT(got == MIN(piece, n - at));
        at += got;
        piece = piece * 3 % 101 + 1;
    }
    ASSERT(mvcc_reply_read(r, p, 1) == 0);
    return bytes_of(p, n);
}

static const struct mvcc_header driver_header = {.cluster_id = 7, .member_id = 9, .raft_term = 3};

#define DECODE(d, lower, in, ret)                                                         \
    do {                                                                                  \
        struct err decode_e = ERR_INIT;                                                   \
        ASSERT(WIRE_DECODE(etcdserverpb__##lower, (in), &(d)->a, (ret), &decode_e) == 0); \
    } while (0)

static inline void same_delete(const Etcdserverpb__DeleteRangeResponse *x,
                               const struct naive_list *l, bool prev, int64_t rev)
{
    ASSERT(x->header->revision == rev);
    ASSERT(x->deleted == (int64_t) l->n);
    ASSERT(x->n_prev_kvs == (prev ? l->n : 0));
    for (size_t i = 0; i < x->n_prev_kvs; i++)
        same_kv(x->prev_kvs[i], l->v[i], false, false);
}

#endif
