#include "edge/server/lists.h"

#include "edge/server/kv.h"

/* In the arena of its call; the user of its request. */
struct list_answer {
    struct list link; /* in line */
    struct req *req;
    struct lists *lists;
    const uint8_t *body;
    size_t at;
    size_t bytes; /* counted while it leaves */
};

void lists_init(struct lists *l)
{
    *l = (struct lists){0};
    list_init(&l->line);
}

/* ---- with the node ---- */

static bool is_full(const struct lists *l)
{
    return l->bytes >= SERVER_LISTS_BYTES_MAX;
}

/* One more may be with the node: all of them may become as long as the last long one. */
static bool has_room(const struct lists *l)
{
    return l->asked_n == 0 ||
           (l->asked_n < SERVER_LISTS_ASKED_MAX &&
            l->bytes + (l->asked_n + 1) * l->last_bytes < SERVER_LISTS_BYTES_MAX);
}

static void submit(struct list_answer *a)
{
    a->lists->asked_n++;
    req_submit(a->req);
}

static void next(struct lists *l)
{
    while (!list_empty(&l->line) && (is_full(l) || has_room(l))) {
        struct list_answer *a = CONTAINER_OF(list_pop(&l->line), struct list_answer, link);

        if (call_canceled(a->req->call) != CALL_NOT_CANCELED)
            reply_canceled(a->req->call);
        else if (is_full(l))
            reply_no_memory(a->req->call);
        else
            submit(a);
    }
}

/* ---- on its way ---- */

static bool fill(void *arg, uint8_t *out, size_t n)
{
    struct list_answer *a = arg;

    memcpy(out, a->body + a->at, n);
    a->at += n;
    return true;
}

static void left(void *arg)
{
    struct list_answer *a = arg;

    ASSERT(a->lists->bytes >= a->bytes);
    a->lists->bytes -= a->bytes;
}

static void reply(struct list_answer *a, const struct mvcc_header *h, const ProtobufCMessage *m)
{
    struct call *c = a->req->call;
    uint8_t head[HEADER_BYTES_MAX];
    size_t head_n = header_field_put(h, head), n = wire_size(m);
    uint8_t *body;

    if (head_n + n <= SERVER_REPLY_WHOLE_BYTES) {
        reply_message(c, h, m);
        return;
    }
    body = arena_alloc(call_arena(c), head_n + n);
    if (body == NULL) {
        reply_no_memory(c);
        return;
    }
    memcpy(body, head, head_n);
    if (protobuf_c_message_pack(m, body + head_n) != n)
        UNREACHABLE();
    a->body = body;
    a->bytes = call_arena(c)->used_bytes;
    a->lists->last_bytes = a->bytes;
    a->lists->bytes += a->bytes;
    call_reply_pull(c, head_n + n, (struct net_pull){fill, left, a});
}

static void answered(struct req *r)
{
    struct list_answer *a = r->user;
    struct lists *l = a->lists;
    const struct node_result *res = &r->node.result;
    struct mvcc_header h;

    l->asked_n--;
    if (!reply_failed(r->call, res)) {
        h = header_current(r->io, res);
        reply(a, &h, res->msg);
    }
    next(l); /* the call may be gone, and `a` with it */
}

void list_submit(struct req *r)
{
    struct lists *l = &r->io->lists;
    struct list_answer *a = arena_calloc(call_arena(r->call), 1, sizeof *a);

    if (a == NULL || is_full(l)) {
        reply_no_memory(r->call);
        return;
    }
    a->req = r;
    a->lists = l;
    list_init(&a->link);
    r->user = a;
    r->then = answered;
    call_arena(r->call)->bytes_max = SERVER_LIST_BYTES_MAX; /* whatever the size of requests */
    call_arena_counted(r->call);
    if (list_empty(&l->line) && has_room(l))
        submit(a);
    else
        list_push(&l->line, &a->link);
}
