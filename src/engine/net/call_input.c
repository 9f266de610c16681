/* call_input.c -- messages of a call, out of its stream.  Its head: call_begin.c. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/call.h"
#include "engine/net/call_int.h"
#include "engine/net/h2_server.h"
#include "engine/net/http_int.h"
#include "engine/net/kept.h"
#include "engine/net/opening.h"

static void held_release(struct call *c)
{
    if (c->held_bytes == 0)
        return;
    if (c->h2 != NULL)
        c->h2->held_bytes -= c->held_bytes;
    atomic_fetch_sub_explicit(&c->sc->sl->server->held_bytes, c->held_bytes, memory_order_relaxed);
    c->held_bytes = 0;
}

/* What lies in the arena is held until that goes, and what was inflated is the request until then.
 */
void call__message_drop(struct call *c)
{
    if (c->got_message && c->stream_open)
        return;
    if (c->msg_on_heap || !c->stream_open)
        held_release(c);
    if (c->msg_on_heap)
        mem_free(c->in.msg);
    c->msg_on_heap = false;
    grpc_deframer_init(&c->in);
}

/* See NET_CONN_HELD_BYTES_MAX.  `all` is what is held of all connections, this message included. */
static bool may_hold(const struct call *c, uint64_t all)
{
    const struct net_limits *lim = server__limits(c->sc);

    if (all > lim->server_held_bytes_max)
        return false;
    return c->h2->held_bytes <= MAX(lim->conn_held_bytes_max, lim->server_held_bytes_max - all);
}

bool call__hold(struct call *c, uint32_t n)
{
    struct net_server *s = c->sc->sl->server;

    if (c->held_bytes > 0)
        return true;
    c->held_bytes = n;
    c->h2->held_bytes += n;
    if (may_hold(c, atomic_fetch_add_explicit(&s->held_bytes, n, memory_order_relaxed) + n))
        return true;
    call__fail(c, 200, GRPC_STATUS_RESOURCE_EXHAUSTED,
               "grpc: too many bytes of unfinished messages");
    return false;
}

/* Memory for the message whose head has come; false: refused. */
static bool message_alloc(struct call *c, size_t here)
{
    uint32_t n = c->in.length;

    if (here < n && !call__hold(c, n))
        return false;
    if (c->method->kind == NET_BIDI) {
        c->in.msg = mem_alloc(MAX(n, 1u));
        c->msg_on_heap = c->in.msg != NULL;
    } else {
        if (here >= n)
            call__widen(c);
        c->in.msg = arena_alloc(&c->arena, n);
    }
    if (c->in.msg == NULL)
        call__fail(c, 200, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
    return c->in.msg != NULL;
}

/* What grpc-go says of a message's head; false: refused. */
static bool message_head_ok(struct call *c)
{
    uint32_t max = server__limits(c->sc)->recv_message_bytes_max;
    uint8_t flag = grpc_deframer_flag(&c->in);
    char text[128];

    if (flag == GRPC_COMPRESSED && c->gzip)
        flag = GRPC_PLAIN;
    if (flag == GRPC_COMPRESSED)
        snprintf(text, sizeof text, "grpc: compressed flag set with identity or empty encoding");
    else if (flag != GRPC_PLAIN)
        snprintf(text, sizeof text, "grpc: received unexpected payload format %u", flag);
    if (flag != GRPC_PLAIN) {
        call__fail(c, 200, GRPC_STATUS_INTERNAL, text);
        return false;
    }
    if (c->in.length > max) {
        snprintf(text, sizeof text, "grpc: received message larger than max (%u vs. %u)",
                 c->in.length, max);
        call__fail(c, 200, GRPC_STATUS_RESOURCE_EXHAUSTED, text);
        return false;
    }
    return true;
}

static void message_count(struct call *c, size_t n)
{
    c->bytes_in += n;
    loop__count(&c->sc->sl->counters.grpc_bytes_in, n);
}

/* A whole message of a bidi stream, valid until this returns. */
static void message_deliver(struct call *c, struct bytes m)
{
    opening__end(c);
    message_count(c, m.n);
    if (c->owned && c->canceled == CALL_NOT_CANCELED && c->method->message != NULL)
        c->method->message(c, m);
}

/* The request of a call that is no stream. */
static void request_complete(struct call *c, struct bytes m)
{
    size_t heap;

    c->got_message = true;
    c->request = m;
    message_count(c, m.n);
    heap = 2 * call__request_heap_bytes(c); /* the service needs about as much again */
    kept__base(c, call__own_bytes(c) + heap - MIN(heap, c->held_bytes));
}

void call__inflated(struct call *c, struct buf *b)
{
    size_t n;

    if (c->method->kind == NET_BIDI) {
        held_release(c);
        message_deliver(c, buf_bytes(b));
        return;
    }
    c->in.msg = buf_steal(b, &n);
    c->msg_on_heap = true;
    request_complete(c, bytes_of(c->in.msg, n));
}

/* False: the message is needed later. */
static bool message_inflate(struct call *c, struct bytes m, bool on_heap)
{
    struct buf b;

    switch (call__inflate(c, m, on_heap, &b)) {
    case CALL_INFLATE_LATER:
        return false;
    case CALL_INFLATED:
        call__inflated(c, &b);
        buf_done(&b);
        break;
    case CALL_INFLATE_FAILED:
        break;
    }
    return true;
}

static void message_complete(struct call *c)
{
    struct bytes m = bytes_of(c->in.msg, c->in.length);
    bool compressed = grpc_deframer_flag(&c->in) == GRPC_COMPRESSED;
    bool on_heap = c->msg_on_heap;

    c->msg_on_heap = false;
    grpc_deframer_next(&c->in);
    if (UNLIKELY(compressed)) {
        on_heap = message_inflate(c, m, on_heap) && on_heap;
    } else if (c->method->kind != NET_BIDI) {
        request_complete(c, m);
    } else {
        held_release(c);
        message_deliver(c, m);
    }
    if (on_heap)
        mem_free((void *) (uintptr_t) m.p);
}

/* The head of a message is there: true to go on. */
static bool message_head(struct call *c, struct bytes *in)
{
    struct bytes m;

    if (!message_head_ok(c))
        return false;
    if (c->method->kind == NET_BIDI && grpc_deframer_flag(&c->in) == GRPC_PLAIN &&
        grpc_deframe_in_place(&c->in, in, &m)) {
        message_deliver(c, m);
        return true;
    }
    return message_alloc(c, in->n);
}

/* What comes has to wait. */
static bool is_held_up(const struct call *c)
{
    return c->paused || c->inflation != NULL;
}

/* Takes messages out of `in` until it is empty, the call has no more use for them, or it is held
 * up; what is left then is in *in. */
static void feed(struct call *c, struct bytes *in)
{
    while (!c->answered && !is_held_up(c) && !c->got_message) {
        switch (grpc_deframe(&c->in, in)) {
        case GRPC_DEFRAMED_MORE:
            return;
        case GRPC_DEFRAMED_HEAD:
            if (!message_head(c, in))
                return;
            break;
        case GRPC_DEFRAMED_MESSAGE:
            message_complete(c);
            break;
        }
    }
}

void call__input(struct call *c, const uint8_t *p, size_t n)
{
    struct bytes in = bytes_of(p, n);

    if (c->http != NULL) {
        http__h2_input(c, in);
        return;
    }
    if (!is_held_up(c) && !c->answered && c->method != NULL)
        feed(c, &in);
    if (!is_held_up(c) || c->answered) {
        h2_server__consume(c, n);
        return;
    }
    /* The stream's window bounds the backlog; what is in it holds back no other stream. */
    h2_server__consume(c, n - in.n);
    h2_server__consume_conn(c, in.n);
    if (!buf_add_bytes(&c->backlog, in))
        call__fail(c, 200, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

/* The client has said all, and all of it has been fed. */
static void input_done(struct call *c)
{
    if (c->answered || c->method == NULL)
        return;
    if (!grpc_deframer_idle(&c->in)) {
        call__fail(c, 200,
                   c->method->kind == NET_UNARY ? GRPC_STATUS_UNKNOWN : GRPC_STATUS_INTERNAL,
                   c->in.in_message ? "unexpected EOF" : "EOF");
    } else if (c->method->kind == NET_BIDI) {
        if (c->owned && c->method->half_closed != NULL)
            c->method->half_closed(c);
    } else if (!c->got_message) {
        call__answer(c, 200, GRPC_STATUS_UNKNOWN, "EOF");
    } else if (kept__refuses(c)) {
        call__answer(c, 200, GRPC_STATUS_RESOURCE_EXHAUSTED, "grpc: too many bytes of requests");
    } else if (call__in_time(c) && call__begin_service(c)) {
        c->method->request(c, c->request);
    }
}

void call__input_end(struct call *c)
{
    c->remote_closed = true;
    opening__end(c);
    if (c->http != NULL)
        http__h2_input_end(c);
    else if (c->backlog.len == 0 && !is_held_up(c))
        input_done(c);
}

void call__input_go_on(struct call *c)
{
    struct buf b = c->backlog;
    struct bytes in = buf_bytes(&b);

    buf_init(&c->backlog, b.bytes_max);
    feed(c, &in);
    if (!is_held_up(c))
        in.n = 0; /* nobody has a use for it */
    /* The callbacks may have ended the call; its stream still holds it, for this runs on its loop.
     */
    h2_server__consume_stream(c, b.len - in.n);
    if (in.n > 0 && !c->answered)
        (void) buf_add_bytes(&c->backlog, in);
    buf_done(&b);
    if (c->remote_closed && c->backlog.len == 0 && !is_held_up(c))
        input_done(c);
}

void call_pause(struct call *c)
{
    ASSERT(c->owned);
    c->paused = true;
}

void call_resume(struct call *c)
{
    if (!c->paused)
        return;
    c->paused = false;
    if (!c->stream_open)
        return;
    call__input_go_on(c);
    if (c->local != NULL && !c->paused)
        call_local__wake(c->local);
}
