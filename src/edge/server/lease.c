/* The Lease service. */
#include "edge/server/kv.h"
#include "edge/server/lists.h"
#include "edge/server/otel.h"
#include "edge/server/permit.h"
#include "wire/pb.h"

#define KEEP_ALIVE_ARENA_BYTES_MAX 65536

/* ---- grant and revoke ---- */

int64_t kv_new_lease_id(struct call *c)
{
    return (int64_t) (node_next_id(call_server(c)->node) & (uint64_t) INT64_MAX);
}

/* The request with an id that the server chose. */
static bool grant_body(struct call *c, const Etcdserverpb__LeaseGrantRequest *q, struct bytes *ret)
{
    uint64_t id = (uint64_t) q->id;
    size_t n = pb_u64_size(1, (uint64_t) q->ttl) + pb_u64_size(2, id);
    uint8_t *body = arena_alloc(call_arena(c), n), *p = body;

    if (body == NULL) {
        reply_no_memory(c);
        return false;
    }
    p = pb_put_u64(p, 1, (uint64_t) q->ttl);
    p = pb_put_u64(p, 2, id);
    ASSERT((size_t) (p - body) == n);
    *ret = bytes_of(body, n);
    return true;
}

static void grant(struct call *c, struct bytes message)
{
    Etcdserverpb__LeaseGrantRequest *q;
    bool chosen;

    count_received(c, METHOD_LEASE_GRANT);
    if (!REQUEST_DECODE(c, etcdserverpb__lease_grant_request, message, &q) ||
        !kv_quota_fits(c, KV_LEASE_GRANT_COST))
        return;
    chosen = q->id == 0;
    if (chosen)
        q->id = kv_new_lease_id(c);
    OTEL(c, grant, q->id, q->ttl);
    if (!permitted(c, permit_known(c)) || (chosen && !grant_body(c, q, &message)))
        return;
    req_propose(c, NODE_OP_LEASE_GRANT, message, req_message_done);
}

static void revoke(struct call *c, struct bytes message)
{
    Etcdserverpb__LeaseRevokeRequest *q;

    count_received(c, METHOD_LEASE_REVOKE);
    if (!REQUEST_DECODE(c, etcdserverpb__lease_revoke_request, message, &q))
        return;
    OTEL(c, revoke, q->id);
    if (permitted(c, permit_known(c)))
        req_propose(c, NODE_OP_LEASE_REVOKE, message, req_message_done);
}

/* ---- queries ---- */

static void time_to_live(struct call *c, struct bytes message)
{
    Etcdserverpb__LeaseTimeToLiveRequest *q;
    struct req *r;

    count_received(c, METHOD_LEASE_TIME_TO_LIVE);
    if (!REQUEST_DECODE(c, etcdserverpb__lease_time_to_live_request, message, &q))
        return;
    r = req_new(c, NODE_REQ_LEASE_TTL, req_message_done);
    if (r == NULL)
        return;
    r->node.lease_id = q->id;
    r->node.keys = q->keys;
    if (q->keys)
        list_submit(r);
    else
        req_submit(r);
}

static void leases(struct call *c, struct bytes message)
{
    Etcdserverpb__LeaseLeasesRequest *q;
    struct req *r;

    count_received(c, METHOD_LEASE_LEASES);
    if (!REQUEST_DECODE(c, etcdserverpb__lease_leases_request, message, &q))
        return;
    r = req_new(c, NODE_REQ_LEASE_LIST, req_message_done);
    if (r == NULL)
        return;
    list_submit(r);
}

/* ---- keep alive ----
 *
 * One renewal of a stream is under way at a time: the stream is paused meanwhile, so that answers
 * keep the order of the requests and nothing gathers here.
 *
 *   IDLE -- message --> ASKING -- answer --> IDLE        half-close, the client gone: ends in IDLE
 */

struct keep_alive {
    struct req req;
    struct arena arena; /* of the renewal under way */
    struct leader_guard guard;
    bool asking;
    bool half_closed;
    int ended_code; /* when the stream is to end after the answer under way; GRPC_OK: not */
    const char *ended_text;
};

static void keep_alive_end(struct keep_alive *k, int code, const char *text)
{
    struct call *c = k->req.call;

    ASSERT(!k->asking);
    leader_guard_end(&k->guard);
    arena_done(&k->arena);
    call_finish(c, code, text);
}

static void keep_alive_stop(struct keep_alive *k, int code, const char *text)
{
    if (k->asking) {
        k->ended_code = code;
        k->ended_text = text;
    } else {
        keep_alive_end(k, code, text);
    }
}

static void keep_alive_canceled(struct call *c, enum call_cancel_reason why)
{
    (void) why;
    keep_alive_stop(call_user(c), GRPC_CANCELED, "context canceled");
}

static void keep_alive_leaderless(struct leader_guard *g)
{
    struct keep_alive *k = CONTAINER_OF(g, struct keep_alive, guard);

    keep_alive_stop(k, (int) api_error_code(API_NO_LEADER), api_error_text(API_NO_LEADER));
}

static void keep_alive_open(struct call *c)
{
    struct keep_alive *k = arena_calloc(call_arena(c), 1, sizeof *k);

    if (k == NULL) {
        reply_no_memory(c);
        return;
    }
    arena_init(&k->arena, KEEP_ALIVE_ARENA_BYTES_MAX);
    k->req.call = c;
    k->req.io = call_io(c);
    call_set_user(c, k);
    call_on_cancel(c, keep_alive_canceled);
    leader_guard_begin(c, &k->guard, keep_alive_leaderless);
}

static bool keep_alive_send(struct keep_alive *k)
{
    const struct node_result *res = &k->req.node.result;
    struct mvcc_header h = header_current(k->req.io, res);
    uint8_t head[HEADER_BYTES_MAX], *body;
    size_t n = wire_size(res->msg);
    struct net_piece v[2];

    body = arena_alloc(&k->arena, n);
    if (body == NULL)
        return false;
    protobuf_c_message_pack(res->msg, body);
    v[0] = net_piece_copied(head, header_field_put(&h, head));
    v[1] = net_piece_copied(body, n);
    count_sent(k->req.io, METHOD_LEASE_KEEP_ALIVE);
    return call_send(k->req.call, v, 2) == 0;
}

static void keep_alive_done(struct req *r)
{
    struct keep_alive *k = CONTAINER_OF(r, struct keep_alive, req);
    const struct node_result *res = &r->node.result;

    k->asking = false;
    otel_inner_end(r->call);
    if (k->ended_code != GRPC_OK) {
        keep_alive_end(k, k->ended_code, k->ended_text);
        return;
    }
    if (res->err != API_OK) {
        keep_alive_end(k, (int) api_error_code(res->err), api_error_text(res->err));
        return;
    }
    if (res->code != GRPC_OK) {
        keep_alive_end(k, (int) res->code, res->text);
        return;
    }
    if (!keep_alive_send(k)) {
        keep_alive_end(k, GRPC_RESOURCE_EXHAUSTED, "etcdserver: out of memory");
        return;
    }
    arena_reset(&k->arena);
    if (k->half_closed)
        keep_alive_end(k, GRPC_OK, NULL);
    else
        call_resume(r->call);
}

static void keep_alive_message(struct call *c, struct bytes message)
{
    struct keep_alive *k = call_user(c);
    Etcdserverpb__LeaseKeepAliveRequest *q;
    struct io *io = k->req.io;
    struct err e = ERR_INIT;

    ASSERT(!k->asking);
    count_received(c, METHOD_LEASE_KEEP_ALIVE);
    if (WIRE_DECODE(etcdserverpb__lease_keep_alive_request, message, &k->arena, &q, &e) != 0) {
        keep_alive_end(k, GRPC_INTERNAL, undecodable_text(c, &e));
        return;
    }
    k->req = (struct req){.node = {.kind = NODE_REQ_LEASE_KEEPALIVE,
                                   .sink = &io->sink,
                                   .arena = &k->arena,
                                   .lease_id = q->id},
                          .io = io,
                          .call = c,
                          .then = keep_alive_done};
    k->asking = true;
    OTEL(c, renew, q->id);
    call_pause(c);
    req_submit(&k->req);
}

static void keep_alive_half_closed(struct call *c)
{
    struct keep_alive *k = call_user(c);

    k->half_closed = true;
    if (!k->asking)
        keep_alive_end(k, GRPC_OK, NULL);
}

const struct net_method lease_methods[] = {
    METHOD_UNARY(LEASE_GRANT, grant),
    METHOD_UNARY(LEASE_REVOKE, revoke),
    {.kind = NET_BIDI,
     .open = keep_alive_open,
     .message = keep_alive_message,
     .half_closed = keep_alive_half_closed,
     .tag = METHOD_LEASE_KEEP_ALIVE},
    METHOD_UNARY(LEASE_TIME_TO_LIVE, time_to_live),
    METHOD_UNARY(LEASE_LEASES, leases),
};
const size_t lease_methods_n = ARRAY_LEN(lease_methods);
