/* sink.c -- answers on their way back: sorted by I/O thread, delivered once per turn of an actor.
 */
#include "base/alloc.h"
#include "node/node_int.h"

void node_sink_add(struct node *n, struct node_sink *s)
{
    ASSERT(n->sinks_n < NODE_SINKS_MAX);
    s->id = (unsigned) n->sinks_n;
    n->sinks[n->sinks_n++] = s;
}

void node__finish(struct node *n, struct outbox *o, struct node_request *r)
{
    unsigned id = r->sink->id;

    ASSERT(id < n->sinks_n);
    r->next = NULL;
    if (o->first[id] == NULL)
        o->first[id] = r;
    else
        o->last[id]->next = r;
    o->last[id] = r;
    o->any = true;
}

void node__fail(struct node *n, struct outbox *o, struct node_request *r, enum api_error err)
{
    r->result = (struct node_result){.err = err};
    node__finish(n, o, r);
}

void node__fail_text(struct node *n, struct outbox *o, struct node_request *r, enum grpc_code code,
                     const char *text)
{
    r->result = (struct node_result){.code = code, .text = text};
    node__finish(n, o, r);
}

void node__outbox_flush(struct node *n, struct outbox *o)
{
    if (!o->any)
        return;
    o->any = false;
    for (size_t i = 0; i < n->sinks_n; i++) {
        struct node_request *first = o->first[i];

        o->first[i] = o->last[i] = NULL;
        if (first != NULL)
            n->sinks[i]->deliver(n->sinks[i], first);
    }
}

/* ---- the node's own proposals ---- */

struct own_request {
    struct node_request request;
    struct node *node;
    void (*done)(struct node *n, struct node_request *r);
    void *arg;
    struct buf body;
};

static void own_deliver(struct node_sink *s, struct node_request *first)
{
    (void) s;
    while (first != NULL) {
        struct own_request *own = CONTAINER_OF(first, struct own_request, request);
        struct node_request *next = first->next;

        if (own->done != NULL)
            own->done(own->node, first);
        arena_free(first->arena);
        buf_done(&own->body);
        mem_free(own);
        first = next;
    }
}

void node__own_sink_init(struct node *n)
{
    n->internal.deliver = own_deliver;
    node_sink_add(n, &n->internal);
}

void *node__own_arg(struct node_request *r)
{
    return CONTAINER_OF(r, struct own_request, request)->arg;
}

void node__propose_own(struct node *n, enum node_op op, const ProtobufCMessage *m,
                       void (*done)(struct node *n, struct node_request *r), void *arg)
{
    struct own_request *own = xmem_calloc(1, sizeof *own);

    own->node = n;
    own->done = done;
    own->arg = arg;
    buf_init(&own->body, NODE_OWN_BODY_BYTES_MAX);
    own->request.kind = NODE_REQ_PROPOSE;
    own->request.sink = &n->internal;
    own->request.arena = arena_new((size_t) 1 << 20);
    own->request.op = op;
    if (own->request.arena == NULL || !wire_encode(m, &own->body))
        mem_exhausted("a proposal of the member's own");
    own->request.body = buf_bytes(&own->body);
    if (op == NODE_OP_LEASE_REVOKE) /* of a lease that has expired: on the apply thread */
        node__auth_as_root(n, &own->request);
    own->request.leader_only = op == NODE_OP_LEASE_REVOKE || op == NODE_OP_LEASE_CHECKPOINT;
    if (node__actor_stopped(n, NODE_RAFT)) {
        /* The last entries are being applied; the proposal would find nobody. */
        own->request.result = (struct node_result){.err = API_STOPPED};
        own_deliver(&n->internal, &own->request);
        return;
    }
    node_submit(n, &own->request);
}

void node__submit_own(struct node *n, enum node_request_kind kind,
                      void (*done)(struct node *n, struct node_request *r))
{
    struct own_request *own = xmem_calloc(1, sizeof *own);

    own->node = n;
    own->done = done;
    buf_init(&own->body, 0);
    own->request.kind = kind;
    own->request.sink = &n->internal;
    own->request.arena = arena_new((size_t) 1 << 20);
    if (own->request.arena == NULL)
        mem_exhausted("a request of the member's own");
    node_submit(n, &own->request);
}
