/* The spans inside calls: names and attributes are those of etcd 3.7.1. */
#include "edge/server/otel.h"

#define NO_LEASE (-1) /* of a first operation that is no put */

void otel__range(struct call *c, const Etcdserverpb__RangeRequest *q, bool stream)
{
    struct otel_span *s = otel__child(c, stream ? "range_streaming" : "range");

    if (s == NULL)
        return;
    otel_span_text(s, "range_begin", wire_bytes(q->key));
    otel_span_text(s, "range_end", wire_bytes(q->range_end));
    otel_span_i64(s, "rev", q->revision);
    otel_span_i64(s, "limit", q->limit);
    otel_span_bool(s, "count_only", q->count_only);
    if (!stream)
        otel_span_bool(s, "keys_only", q->keys_only);
    otel__inner(c, s, false);
}

void otel__put(struct call *c, const Etcdserverpb__PutRequest *q)
{
    struct otel_span *s = otel__child(c, "put");

    if (s == NULL)
        return;
    otel_span_text(s, "key", wire_bytes(q->key));
    otel__inner(c, s, true);
}

void otel__delete(struct call *c, struct bytes key, struct bytes range_end)
{
    struct otel_span *s = otel__child(c, "delete_range");

    if (s == NULL)
        return;
    otel_span_text(s, "range_begin", key);
    otel_span_text(s, "range_end", range_end);
    otel__inner(c, s, true);
}

/* ---- transactions: what they begin with ---- */

struct first_op {
    const char *type;
    struct bytes key;
    int64_t lease;
};

static struct first_op first_of(Etcdserverpb__RequestOp *const *ops, size_t n)
{
    const Etcdserverpb__RequestOp *op = n == 0 ? NULL : ops[0];

    switch (op == NULL ? ETCDSERVERPB__REQUEST_OP__REQUEST__NOT_SET : op->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
        return (struct first_op){"range", wire_bytes(op->request_range->key), NO_LEASE};
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        return (struct first_op){"put", wire_bytes(op->request_put->key), op->request_put->lease};
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        return (struct first_op){"delete_range", wire_bytes(op->request_delete_range->key),
                                 NO_LEASE};
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        return (struct first_op){"txn", BYTES_EMPTY, NO_LEASE};
    default:
        return (struct first_op){"", BYTES_EMPTY, NO_LEASE};
    }
}

void otel__txn(struct call *c, const Etcdserverpb__TxnRequest *q, bool read_only)
{
    struct otel_span *s = otel__child(c, "txn");
    struct first_op op = first_of(q->success, q->n_success);

    if (s == NULL)
        return;
    otel_span_text(s, "compare_first_key",
                   q->n_compare == 0 ? BYTES_EMPTY : wire_bytes(q->compare[0]->key));
    otel_span_text(s, "success_first_key", op.key);
    otel_span_text(s, "success_first_type", bytes_str(op.type));
    otel_span_i64(s, "success_first_lease", op.lease);
    otel_span_i64(s, "compare_len", (int64_t) q->n_compare);
    otel_span_i64(s, "success_len", (int64_t) q->n_success);
    otel_span_i64(s, "failure_len", (int64_t) q->n_failure);
    otel_span_bool(s, "read_only", read_only);
    otel__inner(c, s, true);
}

/* etcd records no errors here. */
void otel__compact(struct call *c, const Etcdserverpb__CompactionRequest *q)
{
    struct otel_span *s = otel__child(c, "compact");

    if (s == NULL)
        return;
    otel_span_bool(s, "is_physical", q->physical);
    otel_span_i64(s, "rev", q->revision);
    otel__inner(c, s, false);
}

/* ---- leases ---- */

void otel__grant(struct call *c, int64_t id, int64_t ttl_s)
{
    struct otel_span *s = otel__child(c, "lease_grant");

    if (s == NULL)
        return;
    otel_span_i64(s, "id", id);
    otel_span_i64(s, "ttl", ttl_s);
    otel__inner(c, s, true);
}

void otel__revoke(struct call *c, int64_t id)
{
    struct otel_span *s = otel__child(c, "lease_revoke");

    if (s == NULL)
        return;
    otel_span_i64(s, "id", id);
    otel__inner(c, s, true);
}

void otel__renew(struct call *c, int64_t id)
{
    struct otel_span *s = otel__child(c, "lease_renew");

    if (s == NULL)
        return;
    otel_span_i64(s, "id", id);
    otel__inner(c, s, false);
}

/* ---- watches ---- */

/* The key and the end as the store sees them: no key is the smallest one, and an end of one zero
 * byte is none. */
struct otel_span *otel_watch(struct call *c, const Etcdserverpb__WatchCreateRequest *q)
{
    struct otel_span *s = call_trace(c) == NULL ? NULL : otel__child(c, "watch");
    struct bytes end = wire_bytes(q->range_end);

    if (s == NULL)
        return NULL;
    otel_span_text(s, "key", q->key.len == 0 ? bytes_of("", 1) : wire_bytes(q->key));
    otel_span_text(s, "range_end", end.n == 1 && end.p[0] == 0 ? BYTES_EMPTY : end);
    otel_span_i64(s, "start_rev", q->start_revision);
    otel_span_bool(s, "progress_notify", q->progress_notify);
    otel_span_bool(s, "prev_kv", q->prev_kv);
    otel_span_bool(s, "fragment", q->fragment);
    return s;
}
