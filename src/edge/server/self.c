#include "edge/server/self.h"
#include "edge/server/kv.h"
#include "edge/server/otel.h"
#include "edge/server/permit.h"

static struct req *self_new(struct call *c, uint32_t op, void *user, void (*then)(struct req *r))
{
    struct req *r = req_new(c, NODE_REQ_PROPOSE, then);

    if (r != NULL) {
        r->node.op = op;
        r->user = user;
    }
    return r;
}

static void refuse(struct req *r, enum api_error err)
{
    r->node.result = (struct node_result){.err = err};
    r->then(r);
}

static void alarm_raised(struct req *alarm)
{
    refuse(alarm->user, API_NO_SPACE);
}

/* The checks are done: into the log, if there is room. */
static void propose(struct req *r, const ProtobufCMessage *m, uint64_t cost)
{
    size_t n = wire_size(m);
    uint8_t *body = arena_alloc(r->node.arena, n);

    if (body == NULL) {
        reply_no_memory(r->call);
        return;
    }
    protobuf_c_message_pack(m, body);
    r->node.body = bytes_of(body, n);
    if (node_quota_fits(r->io->server->node, cost))
        req_submit(r);
    else
        kv_raise_no_space(r->call, r, alarm_raised);
}

void self_txn(struct call *c, const Etcdserverpb__TxnRequest *q, void *user,
              void (*then)(struct req *r))
{
    uint64_t ops_max = MIN(call_server(c)->config->max_txn_ops, UINT32_MAX);
    struct req *r = self_new(c, NODE_OP_TXN, user, then);
    enum api_error err;

    if (r == NULL)
        return;
    OTEL(c, txn, q, false);
    if (mvcc_check_txn(q, (uint32_t) ops_max, call_arena(c), &err) != 0)
        reply_no_memory(c);
    else if (err != API_OK)
        refuse(r, err);
    else
        propose(r, &q->base, mvcc_txn_cost(q));
}

void self_delete(struct call *c, struct bytes key, void *user, void (*then)(struct req *r))
{
    Etcdserverpb__DeleteRangeRequest q = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    struct req *r = self_new(c, NODE_OP_DELETE_RANGE, user, then);
    enum api_error err;

    if (r == NULL)
        return;
    OTEL(c, delete, key, BYTES_EMPTY);
    q.key = wire_binary(key);
    err = mvcc_check_delete_range(&q);
    if (err != API_OK)
        refuse(r, err);
    else
        propose(r, &q.base, 0);
}

void self_grant(struct call *c, int64_t ttl_s, void *user, void (*then)(struct req *r))
{
    Etcdserverpb__LeaseGrantRequest q = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    struct req *r = self_new(c, NODE_OP_LEASE_GRANT, user, then);
    enum api_error err = permit_known(c);

    if (r == NULL)
        return;
    if (err != API_OK) {
        refuse(r, err);
        return;
    }
    q.ttl = ttl_s;
    q.id = kv_new_lease_id(c);
    r->node.lease_id = q.id;
    OTEL(c, grant, q.id, q.ttl);
    propose(r, &q.base, KV_LEASE_GRANT_COST);
}

int64_t self_granted(const struct req *r)
{
    return r->node.lease_id;
}

struct mvcc_header self_header(const struct req *r)
{
    return header_make(r->io->server, r->node.result.revision, r->node.result.raft_term);
}

int self_code(const struct node_result *res, const char **ret_text)
{
    if (res->err != API_OK) {
        *ret_text = api_error_text(res->err);
        return GRPC_UNKNOWN;
    }
    *ret_text = res->text;
    return (int) res->code;
}

bool self_failed(struct call *c, const struct node_result *res)
{
    const char *text;
    int code = self_code(res, &text);

    if (code != GRPC_OK)
        call_finish(c, code, text);
    return code != GRPC_OK;
}
