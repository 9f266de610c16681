/* call_input.c -- the request of a call: its head, and messages out of its stream. */
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

/* What lies in the arena is held until that goes. */
void call__message_drop(struct call *c)
{
    if (c->msg_on_heap || !c->stream_open)
        held_release(c);
    if (c->msg_on_heap)
        mem_free(c->in.msg);
    c->msg_on_heap = false;
    grpc_deframer_init(&c->in);
}

/* Makes the call known to hooks and service; false: the hook has answered it. */
static bool begin_service(struct call *c)
{
    const struct net_call_hooks *h = &c->sc->sl->server->options.hooks;
    const char *text = NULL;
    int code = 0;

    c->counted = true;
    if (h->begin != NULL)
        code = h->begin(c, h->user, &text);
    if (code != 0) {
        call__answer(c, 200, code, text);
        return false;
    }
    c->owned = true;
    return true;
}

static void refuse_unknown(struct call *c)
{
    struct bytes p = c->path;
    size_t slash = p.n;
    const char *text;

    while (slash > 0 && p.p[slash - 1] != '/')
        slash--;
    if (p.n == 0 || p.p[0] != '/' || slash <= 1)
        text = arena_printf(&c->arena, "malformed method name: \"%.*s\"", (int) p.n,
                            (const char *) p.p);
    else if (server__has_service(c->sc->sl->server, bytes_of(p.p + 1, slash - 2)))
        text = arena_printf(&c->arena, "unknown method %.*s for service %.*s", (int) (p.n - slash),
                            (const char *) p.p + slash, (int) (slash - 2), (const char *) p.p + 1);
    else
        text = arena_printf(&c->arena, "unknown service %.*s", (int) (slash - 2),
                            (const char *) p.p + 1);
    call__answer(c, 200, GRPC_STATUS_UNIMPLEMENTED, text);
}

static bool encoding_known(struct call *c)
{
    c->gzip = bytes_eq(c->encoding, BYTES_LIT("gzip"));
    return c->gzip || bytes_eq(c->encoding, BYTES_LIT("identity"));
}

/* The checks that grpc-go makes on a request's head, in its order; false: refused. */
static bool head_ok(struct call *c)
{
    struct arena *a = &c->arena;

    if (!c->is_grpc)
        call__answer(c, 415, GRPC_STATUS_INVALID_ARGUMENT,
                     arena_printf(a, "invalid gRPC request content-type \"%.*s\"",
                                  (int) c->content_type.n, (const char *) c->content_type.p));
    else if (c->bad_text != NULL)
        call__answer(c, 400, GRPC_STATUS_INTERNAL, c->bad_text);
    else if (!bytes_eq(c->http_method, BYTES_LIT("POST")))
        call__answer(
            c, 405, GRPC_STATUS_INTERNAL,
            arena_printf(a, "Received a HEADERS frame with :method \"%.*s\" which should be POST",
                         (int) c->http_method.n, (const char *) c->http_method.p));
    else if (c->encoding.n > 0 && !encoding_known(c))
        call__answer(c, 200, GRPC_STATUS_UNIMPLEMENTED,
                     arena_printf(a,
                                  "grpc: Decompressor is not installed for grpc-encoding \"%.*s\"",
                                  (int) c->encoding.n, (const char *) c->encoding.p));
    else
        return true;
    return false;
}

static bool deadline_start(struct call *c)
{
    struct loop *l = c->sc->conn.loop;

    if (c->timeout_ns < 0)
        return true;
    c->deadline_ns = c->timeout_ns > INT64_MAX - l->now ? INT64_MAX : l->now + c->timeout_ns;
    if (loop__timer_at(l, &c->deadline, c->deadline_ns) == 0)
        return true;
    call__answer(c, 200, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
    return false;
}

/* A request that is HTTP's: it says so, or nothing else is served here. */
static bool is_plain(const struct call *c)
{
    bool grpc = c->is_grpc && (c->sc->serves & NET_SERVES_GRPC) != 0;

    return !c->inner && !grpc && (c->sc->serves & NET_SERVES_HTTP2) != 0 &&
           c->sc->sl->server->options.http != NULL;
}

void call__begin(struct call *c)
{
    const struct method_slot *m;

    loop__count(&c->sc->sl->counters.calls_total, 1);
    if (is_plain(c)) {
        http__h2_begin(c);
        return;
    }
    if (!head_ok(c) || !deadline_start(c))
        return;
    m = server__method(c->sc->sl->server, c->path);
    if (m == NULL) {
        refuse_unknown(c);
        return;
    }
    c->method = m->method;
    c->service = m->service;
    if (c->method->kind == NET_BIDI && begin_service(c) && c->method->open != NULL)
        c->method->open(c);
}

/* See NET_CONN_HELD_BYTES_MAX.  `all` is what is held of all connections, this message included. */
static bool may_hold(const struct call *c, uint64_t all)
{
    const struct net_limits *lim = server__limits(c->sc);

    if (all > lim->server_held_bytes_max)
        return false;
    return c->h2->held_bytes <= MAX(lim->conn_held_bytes_max, lim->server_held_bytes_max - all);
}

/* Memory for the message whose head has come; false: refused. */
static bool message_alloc(struct call *c, size_t here)
{
    struct net_server *s = c->sc->sl->server;
    uint32_t n = c->in.length;

    if (here < n) {
        c->held_bytes = n;
        c->h2->held_bytes += n;
        if (!may_hold(c, atomic_fetch_add_explicit(&s->held_bytes, n, memory_order_relaxed) + n)) {
            call__fail(c, 200, GRPC_STATUS_RESOURCE_EXHAUSTED,
                       "grpc: too many bytes of unfinished messages");
            return false;
        }
    }
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

static void message_deliver_inflated(struct call *c, struct bytes m)
{
    struct buf b;

    if (!call__inflate(c, m, &b))
        return;
    message_deliver(c, buf_bytes(&b));
    buf_done(&b);
}

/* The request of a call that is no stream. */
static void request_complete(struct call *c, struct bytes m, bool compressed)
{
    size_t heap;

    struct buf b;

    if (compressed) {
        if (!call__inflate(c, m, &b))
            return;
        m = bytes_of(arena_dup(&c->arena, b.p, b.len), b.len);
        buf_done(&b);
        if (m.p == NULL && m.n > 0) {
            call__fail(c, 200, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
            return;
        }
    }
    c->got_message = true;
    c->request = m;
    message_count(c, m.n);
    heap = 2 * arena_heap_bytes(&c->arena); /* the service needs about as much again */
    kept__base(c, call__own_bytes(c) + heap - MIN(heap, c->held_bytes));
}

static void message_complete(struct call *c)
{
    struct bytes m = bytes_of(c->in.msg, c->in.length);
    bool compressed = grpc_deframer_flag(&c->in) == GRPC_COMPRESSED;
    bool on_heap = c->msg_on_heap;

    c->msg_on_heap = false;
    grpc_deframer_next(&c->in);
    if (c->method->kind != NET_BIDI) {
        request_complete(c, m, compressed);
        return;
    }
    held_release(c);
    if (UNLIKELY(compressed))
        message_deliver_inflated(c, m);
    else
        message_deliver(c, m);
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

/* Takes messages out of `in` until it is empty, the call has no more use for them, or it was
 * paused; what is left then is in *in. */
static void feed(struct call *c, struct bytes *in)
{
    while (!c->answered && !c->paused && !c->got_message) {
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
    if (!c->paused && !c->answered && c->method != NULL)
        feed(c, &in);
    if (!c->paused || c->answered) {
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
    } else if (begin_service(c)) {
        c->method->request(c, c->request);
    }
}

void call__input_end(struct call *c)
{
    c->remote_closed = true;
    opening__end(c);
    if (c->http != NULL)
        http__h2_input_end(c);
    else if (c->backlog.len == 0 && !c->paused)
        input_done(c);
}

void call_pause(struct call *c)
{
    ASSERT(c->owned);
    c->paused = true;
}

void call_resume(struct call *c)
{
    struct buf b = c->backlog;
    struct bytes in = buf_bytes(&b);

    if (!c->paused)
        return;
    c->paused = false;
    if (!c->stream_open)
        return;
    buf_init(&c->backlog, b.bytes_max);
    feed(c, &in);
    /* The callbacks may have ended the call; its stream still holds it, for this runs on its loop.
     */
    h2_server__consume_stream(c, b.len - in.n);
    if (in.n > 0 && !c->answered)
        (void) buf_add_bytes(&c->backlog, in);
    buf_done(&b);
    if (c->remote_closed && c->backlog.len == 0 && !c->paused)
        input_done(c);
    if (c->local != NULL && !c->paused)
        call_local__wake(c->local);
}
