/* asks.c -- what other members ask of this one's state.  Each question is a request to the node,
 * whose answer comes back to this loop.  Leases are here, for the leader alone knows when they end;
 * what concerns the cluster is in asks_cluster.c. */
#include "edge/peer/asks.h"
#include "base/alloc.h"
#include "lease.pb-c.h"
#include "wire/wire.h"

#define ASK_ARENA_BYTES_MAX ((size_t) 64 << 20) /* the keys of a lease, too */

/* ---- to the node and back ---- */

static void on_deliver(struct node_sink *s, struct node_request *first)
{
    struct peer_server *ps = CONTAINER_OF(s, struct peer_server, sink);

    while (first != NULL) {
        struct node_request *next = first->next;

        mpsc_push(&ps->answers, &first->link);
        first = next;
    }
    if (!atomic_exchange(&ps->answers_posted, true))
        loop_post(ps->loop, &ps->take_answers);
}

static void on_answers(struct loop_task *t)
{
    struct peer_server *ps = CONTAINER_OF(t, struct peer_server, take_answers);

    atomic_store(&ps->answers_posted, false);
    for (struct mpsc_node *x = mpsc_take(&ps->answers), *next; x != NULL; x = next) {
        struct peer_ask *a = CONTAINER_OF(x, struct peer_ask, node.link);

        next = x->next;
        a->then(a);
        arena_done(&a->arena);
        mem_free(a);
    }
}

void peer__asks_open(struct peer_server *ps)
{
    mpsc_init(&ps->answers);
    ps->take_answers.run = on_answers;
    ps->sink.deliver = on_deliver;
}

void peer__asks_close(struct peer_server *ps)
{
    on_answers(&ps->take_answers);
}

struct peer_ask *peer__ask_new(struct http_req *r, struct peer_server *ps,
                               enum node_request_kind kind, void (*then)(struct peer_ask *a))
{
    struct peer_ask *a = xmem_calloc(1, sizeof *a);

    a->ps = ps;
    a->req = r;
    a->then = then;
    arena_init(&a->arena, ASK_ARENA_BYTES_MAX);
    a->node = (struct node_request){
        .kind = kind, .sink = &ps->sink, .arena = &a->arena, .of_member = true};
    return a;
}

/* ---- leases ---- */

static void answer_bytes(struct http_req *r, const ProtobufCMessage *m, struct arena *a)
{
    static const struct http_field f[] = {{"Content-Type", "application/protobuf"}};
    size_t n = wire_size(m);
    uint8_t *p = arena_alloc(a, n + 1);

    if (p == NULL) {
        http_error(r, 500, "out of memory");
        return;
    }
    protobuf_c_message_pack(m, p);
    http_respond(r, 200, f, ARRAY_LEN(f), bytes_of(p, n));
}

int peer__ask_failure(const struct node_result *res, const char **ret_text)
{
    if (res->err == API_OK && res->code == GRPC_OK)
        return 0;
    if (res->err == API_TIMEOUT_WAIT_APPLIED_INDEX) { /* the other member asks again */
        *ret_text = "waiting for node to catch up its applied index has timed out";
        return 408;
    }
    *ret_text = res->err != API_OK ? api_error_text(res->err) : res->text;
    return 400;
}

/* A request that failed; true: it has been answered so. */
static bool failed(struct peer_ask *a)
{
    const char *text;
    int status = peer__ask_failure(&a->node.result, &text);

    if (status != 0)
        http_error(a->req, status, text);
    return status != 0;
}

static void keepalive_done(struct peer_ask *a)
{
    if (failed(a))
        return;
    if (((Etcdserverpb__LeaseKeepAliveResponse *) a->node.result.msg)->ttl <= 0)
        http_error(a->req, 404, "requested lease not found");
    else
        answer_bytes(a->req, a->node.result.msg, &a->arena);
}

static void ttl_done(struct peer_ask *a)
{
    Leasepb__LeaseInternalResponse res = LEASEPB__LEASE_INTERNAL_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;

    if (failed(a))
        return;
    res.leasetimetoliveresponse = (Etcdserverpb__LeaseTimeToLiveResponse *) a->node.result.msg;
    res.leasetimetoliveresponse->header = &header;
    if (res.leasetimetoliveresponse->ttl < 0 && res.leasetimetoliveresponse->grantedttl == 0)
        http_error(a->req, 404, "requested lease not found");
    else
        answer_bytes(a->req, &res.base, &a->arena);
}

static void submit(struct http_req *r, enum node_request_kind kind, int64_t lease_id, bool keys,
                   void (*then)(struct peer_ask *a))
{
    struct peer_ask *a = peer__ask_new(r, http_user(r), kind, then);

    a->node.lease_id = lease_id;
    a->node.keys = keys;
    node_submit(a->ps->node, &a->node);
}

static void keepalive_body(struct http_req *r, struct bytes body, bool too_large)
{
    Etcdserverpb__LeaseKeepAliveRequest *q;

    if (too_large ||
        WIRE_DECODE(etcdserverpb__lease_keep_alive_request, body, http_arena(r), &q, NULL) != 0)
        http_error(r, 400, "error unmarshalling request");
    else
        submit(r, NODE_REQ_LEASE_KEEPALIVE, q->id, false, keepalive_done);
}

static void ttl_body(struct http_req *r, struct bytes body, bool too_large)
{
    Leasepb__LeaseInternalRequest *q;

    if (too_large ||
        WIRE_DECODE(leasepb__lease_internal_request, body, http_arena(r), &q, NULL) != 0 ||
        q->leasetimetoliverequest == NULL)
        http_error(r, 400, "error unmarshalling request");
    else
        submit(r, NODE_REQ_LEASE_TTL, q->leasetimetoliverequest->id,
               q->leasetimetoliverequest->keys, ttl_done);
}

void peer__leases_page(struct http_req *r, struct peer_server *ps, bool internal)
{
    http_set_user(r, ps);
    http_read_all(r, PEER_LEASE_BODY_BYTES_MAX, internal ? ttl_body : keepalive_body);
}
