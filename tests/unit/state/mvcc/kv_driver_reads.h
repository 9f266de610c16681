/* kv_driver_reads.h -- reads of a pinned view against the naive key space at its revision. */
#ifndef KETCH_TESTS_KV_DRIVER_READS_H
#define KETCH_TESTS_KV_DRIVER_READS_H

#include "kv_driver_txn.h"
#include "state/mvcc/mvcc_check.h"

/* In steps of any size: what comes is the same. */
static inline int range_in_steps(struct driver *d, const struct mvcc_view *v,
                                 const Etcdserverpb__RangeRequest *r, struct mvcc_range **ret)
{
    unsigned units = take(d);
    struct mvcc_range_ahead ahead;
    bool ready = false;
    int rc;

    if (units == 0)
        return mvcc_range(v, r, &d->a, ret);
    rc = mvcc_range_begin(v, r, &d->a, NULL, ret);
    if (rc != 0)
        return rc;
    mvcc_range_ahead(*ret, &ahead);
    while (rc == 0 && !ready)
        rc = mvcc_range_step(*ret, 1 + units % 32, &ready);
    return rc;
}

static inline void check_range_on(struct driver *d, const struct mvcc_view *v, int64_t rev,
                                  int64_t compact)
{
    Etcdserverpb__RangeRequest *r = take_range(d);
    struct naive_range want = naive_range(&d->m, r, rev, compact);
    struct mvcc_range *g;
    Etcdserverpb__RangeResponse *x;
    int rc = range_in_steps(d, v, r, &g);

    ASSERT(mvcc_view_revision(v) == rev);
    ASSERT(mvcc_view_compact_revision(v) == compact);
    ASSERT(rc == error_of(want.error));
    if (rc != 0)
        return;
    DECODE(d, range_response, reply_bytes(d, mvcc_reply_range(g, &driver_header, &d->a)), &x);
    ASSERT(x->header->cluster_id == 7);
    ASSERT(x->header->raft_term == 3);
    same_range(x, &want);
}

/* The next chunk of a stream, in steps of this many units. */
static inline int stream_next(struct mvcc_range_stream *t, struct arena *a, uint64_t units,
                              struct mvcc_range **ret, bool *ret_last)
{
    bool ready = false;
    int rc = mvcc_range_stream_begin(t, a);

    while (rc == 0 && !ready)
        rc = mvcc_range_stream_step(t, units, &ready);
    if (rc == 0)
        *ret = mvcc_range_stream_chunk(t, ret_last);
    return rc;
}

static inline void check_stream_on(struct driver *d, const struct mvcc_view *v, int64_t rev,
                                   int64_t compact)
{
    Etcdserverpb__RangeRequest *r = take_range(d), plain;
    struct mvcc_range_stream t;
    struct naive_range want;
    uint64_t units;
    bool last = false;
    size_t at = 0;

    if (mvcc_check_range_stream(r) != NULL)
        return;
    plain = *r;
    plain.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY;
    want = naive_range(&d->m, &plain, rev, compact);
    want.no_lease = r->keys_only &&
                    r->sort_target != ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    mvcc_range_stream_init(&t, v, r, take(d) * 8);
    units = take(d) % 2 != 0 ? 1 + take(d) % 32 : UINT64_MAX;
    while (!last) {
        Etcdserverpb__RangeStreamResponse *x;
        struct naive_list chunk;
        struct mvcc_range *g;
        int rc = stream_next(&t, &d->a, units, &g, &last);

        ASSERT(rc == error_of(want.error));
        if (rc != 0)
            return;
        DECODE(d, range_stream_response,
               reply_bytes(d, mvcc_reply_range_chunk(g, last, &driver_header, &d->a)), &x);
        chunk = (struct naive_list){want.kvs.v + at, x->range_response->n_kvs};
        ASSERT(chunk.n <= want.kvs.n - at);
        naive_sort(&chunk, (int) r->sort_target, false);
        for (size_t i = 0; i < chunk.n; i++)
            same_kv(x->range_response->kvs[i], chunk.v[i], want.no_value, want.no_lease);
        at += chunk.n;
        ASSERT((x->range_response->header != NULL) == last);
        if (last) {
            ASSERT(x->range_response->header->revision == rev);
            ASSERT(x->range_response->count == want.count);
            ASSERT(x->range_response->more == want.more);
        }
    }
    ASSERT(at == want.kvs.n);
}

static inline int txn_in_steps(struct driver *d, const struct mvcc_view *v,
                               const Etcdserverpb__TxnRequest *r, struct mvcc_txn_result *ret)
{
    unsigned units = take(d);
    struct mvcc_range_ahead ahead;
    struct mvcc_txn_read *x;
    bool ready = false;
    int rc;

    if (units == 0)
        return mvcc_txn_read(v, r, &d->a, ret);
    rc = mvcc_txn_read_begin(v, r, &d->a, NULL, &x);
    while (rc == 0 && !ready) {
        mvcc_txn_read_ahead(x, &ahead);
        rc = mvcc_txn_read_step(x, 1 + units % 32, &ready);
    }
    if (rc == 0)
        *ret = *mvcc_txn_read_result(x);
    return rc;
}

static inline void check_txn_on(struct driver *d, const struct mvcc_view *v, int64_t rev,
                                int64_t compact)
{
    Etcdserverpb__TxnRequest *r = take_txn(d, 0, true);
    Etcdserverpb__RequestOp **ops;
    struct mvcc_txn_result got;
    struct want_txn want;
    Etcdserverpb__TxnResponse *x;
    enum naive_error error;
    int rc = txn_in_steps(d, v, r, &got);

    ASSERT(mvcc_txn_is_read_only(r));
    naive_choose(d, r, rev, &want);
    error = naive_precheck(d, &want, rev, compact);
    ops = want.succeeded ? r->success : r->failure;
    for (size_t i = 0; i < want.n && error == NAIVE_OK; i++) {
        want.ops[i].range = naive_range(&d->m, ops[i]->request_range, rev, compact);
        error = want.ops[i].range.error;
    }
    ASSERT(rc == error_of(error));
    if (rc != 0)
        return;
    DECODE(d, txn_response, reply_bytes(d, mvcc_reply_txn(&got, &driver_header, &d->a)), &x);
    ASSERT(x->header->revision == rev);
    same_txn(x, &want);
}

static inline void check_hash_on(struct driver *d, const struct mvcc_view *v, int64_t rev,
                                 int64_t compact)
{
    struct mvcc_hash_result stored[MVCC_COMPACT_HASHES], got;
    size_t n = mvcc_view_compact_hashes(v, stored);
    int64_t at = take_revision(d);
    struct mvcc_hash *h;
    bool done = false, vague;
    uint32_t want;
    int rc = mvcc_hash_begin(v, at, &h);

    for (size_t i = 0; i < n; i++) {
        if (stored[i].hash_revision != at)
            continue;
        ASSERT(rc == 0);
        mvcc_hash_result(h, &got);
        ASSERT(got.hash == stored[i].hash);
        mvcc_hash_end(h);
        return;
    }
    ASSERT(rc == (at > rev                 ? ERR_MVCC_FUTURE_REV
                  : at > 0 && at < compact ? ERR_MVCC_COMPACTED
                                           : 0));
    if (rc != 0)
        return;
    if (at < 0) { /* below everything: etcd's hash of nothing */
        mvcc_hash_end(h);
        return;
    }
    while (!done)
        ASSERT(mvcc_hash_step(h, 1 + take(d) % 7, &done) == 0);
    mvcc_hash_result(h, &got);
    want = naive_hash(&d->m, at == 0 ? rev : at, compact, &vague);
    ASSERT(vague || got.hash == want);
    ASSERT(got.compact_revision == compact);
    ASSERT(got.current_revision == rev);
    mvcc_hash_end(h);
}

#endif
