/* The KV service: writes.  Reads are in kv_read.c.
 *
 * A write is checked here, in etcd's order (quota, fields), and then travels as the client's own
 * bytes: the node puts its header in front and nothing is encoded again. */
#include "edge/server/kv.h"
#include "edge/server/decode.h"
#include "edge/server/otel.h"
#include "edge/server/permit.h"
#include "wire/pb.h"

/* ---- quota ---- */

static void alarm_raised(struct req *r)
{
    reply_error(r->call, API_NO_SPACE);
}

void kv_raise_no_space(struct call *c, void *user, void (*then)(struct req *r))
{
    uint64_t member = call_server(c)->member_id;
    size_t n = pb_u64_size(1, 1) + pb_u64_size(2, member) + pb_u64_size(3, 1);
    struct req *r = req_new(c, NODE_REQ_PROPOSE, then);
    uint8_t *body, *p;

    if (r == NULL)
        return;
    r->user = user;
    if (node_disk_full(call_server(c)->node)) {
        then(r); /* no alarm, which would have to be disarmed: it ends by itself */
        return;
    }
    body = arena_alloc(call_arena(c), n);
    if (body == NULL) {
        reply_no_memory(c);
        return;
    }
    p = pb_put_u64(body, 1, 1); /* action: ACTIVATE */
    p = pb_put_u64(p, 2, member);
    p = pb_put_u64(p, 3, 1); /* alarm: NOSPACE */
    ASSERT((size_t) (p - body) == n);
    r->node.op = NODE_OP_ALARM;
    r->node.body = bytes_of(body, n);
    req_submit(r);
}

/* True when the write fits.  If not, this member's alarm is raised and the call ends after that. */
bool kv_quota_fits(struct call *c, uint64_t cost)
{
    if (node_quota_fits(call_server(c)->node, cost))
        return true;
    kv_raise_no_space(c, NULL, alarm_raised);
    return false;
}

/* ---- put ---- */

static bool is_slow(const struct req *r)
{
    return loop_now_ns(r->io->loop) - r->began > TRACE_SLOW_NS;
}

static struct mvcc_header result_header(const struct req *r)
{
    return header_make(r->io->server, r->node.result.revision, r->node.result.raft_term);
}

static void put_done(struct req *r)
{
    const struct node_result *res = &r->node.result;
    struct mvcc_header h;

    if (reply_failed(r->call, res))
        return;
    if (UNLIKELY(is_slow(r)))
        trace_put(r);
    h = result_header(r);
    if (res->answer == NODE_ANSWER_PUT && res->put.has_prev)
        reply_reply(r->call, mvcc_reply_put(&res->put, &h, call_arena(r->call)), NULL);
    else
        reply_header(r->call, &h);
}

static void put(struct call *c, struct bytes message)
{
    Etcdserverpb__PutRequest fast, *q = &fast;
    enum api_error err;

    count_received(c, METHOD_KV_PUT);
    if (!decode_put(message, &fast) && !REQUEST_DECODE(c, etcdserverpb__put_request, message, &q))
        return;
    if (!kv_quota_fits(c, mvcc_put_cost(q)))
        return;
    err = mvcc_check_put(q);
    if (err != API_OK) {
        reply_error(c, err);
        return;
    }
    OTEL(c, put, q);
    req_propose(c, NODE_OP_PUT, message, put_done);
}

/* ---- delete ---- */

static void delete_done(struct req *r)
{
    const struct node_result *res = &r->node.result;
    struct mvcc_header h;

    if (reply_failed(r->call, res))
        return;
    ASSERT(res->answer == NODE_ANSWER_DELETE);
    call_set_user(r->call, &r->node.result.del);
    h = result_header(r);
    reply_reply(r->call, mvcc_reply_delete(&res->del, &h, call_arena(r->call)), NULL);
}

static void delete_range(struct call *c, struct bytes message)
{
    Etcdserverpb__DeleteRangeRequest *q;
    enum api_error err;

    count_received(c, METHOD_KV_DELETE_RANGE);
    if (!REQUEST_DECODE(c, etcdserverpb__delete_range_request, message, &q))
        return;
    err = mvcc_check_delete_range(q);
    if (err != API_OK) {
        reply_error(c, err);
        return;
    }
    OTEL(c, delete, wire_bytes(q->key), wire_bytes(q->range_end));
    req_propose(c, NODE_OP_DELETE_RANGE, message, delete_done);
}

/* ---- txn ---- */

static void txn_done(struct req *r)
{
    const struct node_result *res = &r->node.result;
    struct mvcc_header h;

    if (reply_failed(r->call, res))
        return;
    ASSERT(res->answer == NODE_ANSWER_TXN);
    if (UNLIKELY(is_slow(r)))
        trace_txn(r);
    call_set_user(r->call, &r->node.result.txn);
    h = result_header(r);
    reply_reply(r->call, mvcc_reply_txn(&res->txn, &h, call_arena(r->call)), NULL);
}

static void txn(struct call *c, struct bytes message)
{
    Etcdserverpb__TxnRequest *q;
    enum api_error err;
    bool read_only;

    count_received(c, METHOD_KV_TXN);
    if (!REQUEST_DECODE(c, etcdserverpb__txn_request, message, &q))
        return;
    if (!kv_quota_fits(c, mvcc_txn_cost(q)))
        return;
    if (mvcc_check_txn(q, (uint32_t) MIN(call_server(c)->config->max_txn_ops, UINT32_MAX),
                       call_arena(c), &err) != 0) {
        reply_no_memory(c);
        return;
    }
    if (err != API_OK) {
        reply_error(c, err);
        return;
    }
    read_only = mvcc_txn_is_read_only(q);
    OTEL(c, txn, q, read_only);
    if (read_only)
        kv_txn_read(c, q);
    else
        req_propose(c, NODE_OP_TXN, message, txn_done);
}

/* ---- compact ---- */

static void compact_done(struct req *r)
{
    struct mvcc_header h;

    if (reply_failed(r->call, &r->node.result))
        return;
    if (UNLIKELY(is_slow(r)))
        trace_compact(r);
    h = result_header(r);
    reply_header(r->call, &h);
}

static void compact(struct call *c, struct bytes message)
{
    Etcdserverpb__CompactionRequest *q;

    count_received(c, METHOD_KV_COMPACT);
    if (!REQUEST_DECODE(c, etcdserverpb__compaction_request, message, &q) ||
        !permitted(c, permit_admin(c)))
        return;
    OTEL(c, compact, q);
    req_propose(c, NODE_OP_COMPACTION, message, compact_done);
}

const struct net_method kv_methods[] = {
    METHOD_UNARY(KV_RANGE, kv_range), METHOD_SERVER_STREAM(KV_RANGE_STREAM, kv_range_stream),
    METHOD_UNARY(KV_PUT, put),        METHOD_UNARY(KV_DELETE_RANGE, delete_range),
    METHOD_UNARY(KV_TXN, txn),        METHOD_UNARY(KV_COMPACT, compact),
};
const size_t kv_methods_n = ARRAY_LEN(kv_methods);
