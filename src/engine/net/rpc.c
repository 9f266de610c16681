/* rpc.c -- a call on a channel: its making, what is sent on it, its end. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/client_int.h"

/* ---- life ---- */

static void on_deadline(struct loop_timer *t)
{
    struct rpc *r = CONTAINER_OF(t, struct rpc, deadline);

    client_conn__reset(r);
    rpc__end(r, GRPC_STATUS_DEADLINE_EXCEEDED, "context deadline exceeded");
}

static bool metadata_copy(struct rpc *r, const struct rpc_metadata *m, size_t n)
{
    struct rpc_field **end = &r->metadata;

    for (size_t i = 0; i < n; i++) {
        size_t name_n = strlen(m[i].name);
        struct rpc_field *f = arena_alloc(&r->arena, sizeof *f + name_n + m[i].value.n);
        uint8_t *p = (uint8_t *) (f + 1);

        if (f == NULL)
            return false;
        memcpy(p, m[i].name, name_n);
        if (m[i].value.n > 0)
            memcpy(p + name_n, m[i].value.p, m[i].value.n);
        *f = (struct rpc_field){NULL, bytes_of(p, name_n), bytes_of(p + name_n, m[i].value.n)};
        *end = f;
        end = &f->next;
    }
    return true;
}

static void rpc_free(struct rpc *r)
{
    ASSERT(r->cc == NULL); /* invariant 14 */
    ASSERT(list_empty(&r->writable_link));
    loop_timer_stop(r->ch->loop, &r->deadline);
    body_clear(&r->out);
    buf_done(&r->backlog);
    buf_done(&r->response);
    if (r->msg_on_heap)
        mem_free(r->in.msg);
    arena_done(&r->arena);
    mem_free(r);
}

static struct rpc *rpc_new(struct channel *ch, const struct rpc_options *o)
{
    struct rpc *r = mem_alloc(sizeof *r);

    if (r == NULL)
        return NULL;
    memset(r, 0, offsetof(struct rpc, room));
    r->ch = ch;
    r->user = o->user;
    r->path = o->path;
    r->wait_for_ready = o->wait_for_ready;
    r->grpc_status = -1;
    arena_init(&r->arena, 2 * CLIENT_HEADER_BYTES_MAX);
    r->arena.next = r->room;
    r->arena.end = r->room + sizeof r->room;
    buf_init(&r->backlog, SIZE_MAX);
    buf_init(&r->response, SIZE_MAX);
    loop_timer_init(&r->deadline, on_deadline);
    list_init(&r->link);
    list_init(&r->writable_link);
    if (o->timeout_ms > 0) {
        r->timeout_ns = MIN(o->timeout_ms, INT64_MAX / 4000000) * 1000000;
        if (loop__timer_at(ch->loop, &r->deadline, ch->loop->now + r->timeout_ns) != 0) {
            rpc_free(r);
            return NULL;
        }
    }
    if (!metadata_copy(r, o->metadata, o->metadata_n)) {
        rpc_free(r);
        return NULL;
    }
    return r;
}

/* On its way: now, or when there is a connection. */
static void begin(struct rpc *r)
{
    struct channel *ch = r->ch;

    list_push(&ch->waiting, &r->link);
    if (ch->state == CHANNEL_READY)
        client_conn__start(ch->cc, r);
    else
        channel_connect(ch);
}

void rpc__end(struct rpc *r, int code, const char *text)
{
    if (r->state == RPC_ENDED)
        return;
    ASSERT(r->cc == NULL);
    r->state = RPC_ENDED;
    r->code = code;
    r->text = arena_printf(&r->arena, "%s", text);
    loop_timer_stop(r->ch->loop, &r->deadline);
    list_remove(&r->link);
    list_push(&r->ch->ended, &r->link);
    loop_hook_arm(r->ch->loop, &r->ch->hook);
}

/* Ends a call whose answer cannot be taken. */
void rpc__give_up(struct rpc *r, int code, const char *text)
{
    client_conn__reset(r);
    rpc__end(r, code, text);
}

void rpc__run_ended(struct channel *ch)
{
    struct list *x;

    while ((x = list_pop(&ch->ended)) != NULL) {
        struct rpc *r = CONTAINER_OF(x, struct rpc, link);
        struct rpc_result res = {.code = r->code,
                                 .message = bytes_str(r->text == NULL ? "" : r->text)};

        if (r->code == GRPC_STATUS_OK && r->cb == NULL)
            res.response = buf_bytes(&r->response);
        ch->calling = true;
        if (r->cb == NULL)
            r->on_unary_end(r, &res, r->user);
        else
            r->cb->on_end(r, &res, r->user);
        ch->calling = false;
        rpc_free(r);
    }
}

/* ---- the caller's view ---- */

static bool send_message(struct rpc *r, const struct net_piece *v, size_t vn)
{
    uint8_t head[GRPC_HEAD_BYTES];
    uint64_t n = 0;

    for (size_t i = 0; i < vn; i++)
        n += v[i].bytes.n;
    ASSERT(n <= INT32_MAX);
    grpc_head_put(head, GRPC_PLAIN, (uint32_t) n);
    return body_add(&r->out, NULL, bytes_of(head, sizeof head), v, vn);
}

struct rpc *rpc_unary(struct channel *ch, const struct rpc_options *o, struct bytes request,
                      void (*on_end)(struct rpc *r, const struct rpc_result *res, void *user))
{
    struct net_piece p = net_piece_copied(request.p, request.n);
    struct rpc *r = rpc_new(ch, o);

    if (r == NULL)
        return NULL;
    r->on_unary_end = on_end;
    r->half_closed = true;
    if (!send_message(r, &p, 1)) {
        rpc_free(r);
        return NULL;
    }
    begin(r);
    return r;
}

struct rpc *rpc_open(struct channel *ch, const struct rpc_options *o,
                     const struct rpc_stream_callbacks *cb)
{
    struct rpc *r = rpc_new(ch, o);

    if (r == NULL)
        return NULL;
    r->cb = cb;
    begin(r);
    return r;
}

int rpc_send(struct rpc *r, const struct net_piece *v, size_t vn)
{
    ASSERT(!r->half_closed);
    if (r->state == RPC_ENDED)
        return ERR_CANCELED;
    if (!send_message(r, v, vn))
        return ERR_NOMEM;
    client_conn__resume(r);
    return 0;
}

void rpc_half_close(struct rpc *r)
{
    r->half_closed = true;
    if (r->state == RPC_OPEN)
        client_conn__resume(r);
}

size_t rpc_queued_bytes(const struct rpc *r)
{
    return (size_t) r->out.bytes;
}

void rpc_cancel(struct rpc *r)
{
    if (r->state != RPC_ENDED)
        rpc__give_up(r, GRPC_STATUS_CANCELED, "context canceled");
}

struct channel *rpc_channel(const struct rpc *r)
{
    return r->ch;
}

void *rpc_user(const struct rpc *r)
{
    return r->user;
}

bool rpc_response_metadata(const struct rpc *r, const char *name, struct bytes *ret)
{
    struct bytes want = bytes_str(name);

    for (const struct rpc_field *f = r->fields; f != NULL; f = f->next) {
        if (bytes_eq(f->name, want)) {
            *ret = f->value;
            return true;
        }
    }
    return false;
}
