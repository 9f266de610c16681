/* kv.h -- the parts of the KV service that its files share.  Private to edge/server. */
#ifndef KETCH_EDGE_SERVER_KV_H
#define KETCH_EDGE_SERVER_KV_H

#include "edge/server/server_int.h"

/* What a grant counts against the quota; etcd's number. */
#define KV_LEASE_GRANT_COST 64

/* An id for a lease whose client leaves the choice to the server. */
int64_t kv_new_lease_id(struct call *c);

bool kv_quota_fits(struct call *c, uint64_t cost);
/* Raises this member's NOSPACE alarm; `then` runs when it is on, whatever came of it. */
void kv_raise_no_space(struct call *c, void *user, void (*then)(struct req *r));

/* Decoded into the call's arena: a range outlives the callback.  NULL: the call was ended. */
Etcdserverpb__RangeRequest *kv_range_decode(struct call *c, struct bytes message);
void kv_range(struct call *c, struct bytes message);
/* What a Range is answered with; NULL: nothing yet, or an error. */
const struct mvcc_range *kv_range_answer(const struct call *c);
void kv_range_stream(struct call *c, struct bytes message);
void kv_txn_read(struct call *c, Etcdserverpb__TxnRequest *q);
/* What a transaction, of either kind, is answered with; NULL likewise. */
const struct mvcc_txn_result *kv_txn_answer(const struct call *c,
                                            const Etcdserverpb__TxnRequest *q);

/* Logs and counts a local read that took more than --warning-apply-duration. */
void slow_range(struct server *s, mono_ns took, const Etcdserverpb__RangeRequest *q,
                const struct mvcc_range_info *info);
/* res: NULL when it failed. */
void slow_txn(struct server *s, mono_ns took, const Etcdserverpb__TxnRequest *q,
              const struct mvcc_txn_result *res);

/* The line "request stats" about a unary call.  What it tells of an answer it finds in call_user:
 * what kv_range_answer and kv_txn_answer look at (of one that writes: mvcc_txn_result), or
 * mvcc_delete_result; NULL: there was none. */
void slow_call(struct call *c, enum log_level level, mono_ns took);

/* The line "trace" about a write that took more than TRACE_SLOW_NS and was done. */
void trace_put(struct req *r);
void trace_txn(struct req *r);
void trace_compact(struct req *r);

/* A read on its way from its request to its answer. */
struct read_trace {
    struct req *r;
    mono_ns agreed; /* it may read from then on */
    mono_ns end;    /* the waits of a large answer for its client are left out */
    struct trace_steps steps;
    const struct mvcc_range *range;    /* NULL: refused, or a transaction */
    const struct mvcc_txn_result *txn; /* likewise */
};

/* A range's answer is there, or a large one about to be made: sets t->end, measures. */
void range_made(struct read_trace *t);

/* The line "trace" about a read that took more than TRACE_SLOW_NS, whatever came of it. */
void trace_range(const struct read_trace *t);
void trace_txn_read(const struct read_trace *t);

/* The status for an error of mvcc_range and its kin; ends the call. */
void kv_read_failed(struct call *c, int rc);

#endif
