#define _GNU_SOURCE
#include "engine/net/call.h"

#include "base/alloc.h"
#include "engine/net/call_int.h"
#include "engine/net/h2_server.h"
#include "engine/net/http_int.h"

static void on_deadline(struct loop_timer *t);

/* ---- memory
 * ---------------------------------------------------------------------------------------- */

/* The arena begins with the room inside the call. */
static void arena_seed(struct call *c, size_t bytes_max)
{
    arena_init(&c->arena, bytes_max);
    c->arena.next = c->room;
    c->arena.end = c->room + sizeof c->room;
}

struct call *call__new(struct h2_server *h2, struct server_conn *sc, int32_t id)
{
    struct loop *l = sc->conn.loop;
    struct list *x = list_pop(&l->calls_free);
    struct call *c = x == NULL ? mem_alloc(sizeof *c) : CONTAINER_OF(x, struct call, link);

    if (x != NULL)
        l->calls_free_n--;
    if (c == NULL)
        return NULL;
    memset(c, 0, offsetof(struct call, room));
    c->sc = sc;
    server__conn_ref(sc);
    c->h2 = h2;
    c->id = id;
    c->stream_open = true;
    c->timeout_ns = -1;
    c->fields_end = &c->fields;
    c->started_ns = l->now;
    list_init(&c->writable_link);
    loop_timer_init(&c->deadline, on_deadline);
    buf_init(&c->backlog, server__limits(sc)->stream_window_bytes);
    arena_seed(c, server__limits(sc)->call_arena_bytes_max);
    list_push(&h2->calls, &c->link);
    h2->calls_n++;
    loop__count(&sc->sl->counters.calls_open, 1);
    return c;
}

static void held_release(struct call *c)
{
    if (c->held_bytes == 0)
        return;
    if (c->h2 != NULL)
        c->h2->held_bytes -= c->held_bytes;
    atomic_fetch_sub_explicit(&c->sc->sl->server->held_bytes, c->held_bytes, memory_order_relaxed);
    c->held_bytes = 0;
}

static void message_drop(struct call *c)
{
    held_release(c);
    if (c->msg_on_heap)
        mem_free(c->in.msg);
    c->msg_on_heap = false;
    grpc_deframer_init(&c->in);
}

void call__maybe_free(struct call *c)
{
    struct loop *l = c->sc->conn.loop;
    struct server_conn *sc = c->sc;

    if (c->stream_open || c->owned || c->http != NULL)
        return;
    ASSERT(c->out.head == NULL);
    loop__uncount(&sc->sl->counters.calls_open, 1);
    loop_timer_stop(l, &c->deadline);
    message_drop(c);
    buf_done(&c->backlog);
    arena_done(&c->arena);
    if (l->calls_free_n < LOOP_CALLS_POOLED_MAX) {
        list_push_front(&l->calls_free, &c->link);
        l->calls_free_n++;
    } else {
        mem_free(c);
    }
    server__conn_unref(sc);
}

void call__pool_drop(struct loop *l)
{
    struct list *x;

    while ((x = list_pop(&l->calls_free)) != NULL)
        mem_free(CONTAINER_OF(x, struct call, link));
    l->calls_free_n = 0;
}

/* ---- the outgoing side
 * ----------------------------------------------------------------------------- */

/* Keeps the connection's sum in step with a change of the body. */
static void queued_moved(struct call *c, uint64_t held_before)
{
    c->h2->queued_bytes += c->out.held_bytes - held_before;
}

static void body_drop(struct call *c)
{
    if (c->h2 != NULL)
        c->h2->queued_bytes -= c->out.held_bytes;
    body_clear(&c->out);
}

enum body_taken call__take(struct call *c, struct outq *q, size_t n)
{
    uint64_t before = c->out.held_bytes;
    enum body_taken rc = body_take(&c->out, q, n);

    queued_moved(c, before);
    if (c->above_mark && c->out.bytes < c->writable_mark) {
        c->above_mark = false;
        if (list_empty(&c->writable_link))
            list_push(&c->h2->writable, &c->writable_link);
    }
    return rc;
}

void call__run_writable(struct call *c)
{
    if (c->owned && c->stream_open && c->on_writable != NULL)
        c->on_writable(c);
}

/* Decides the status and sets it on its way. */
static void answer(struct call *c, int http_status, int code, const char *text)
{
    struct bytes t = text == NULL ? BYTES_EMPTY : bytes_str(text);

    ASSERT(!c->answered);
    c->answered = true;
    c->code = code;
    loop_timer_stop(c->sc->conn.loop, &c->deadline);
    if (c->counted) {
        const struct net_call_hooks *h = &c->sc->sl->server->options.hooks;

        c->counted = false;
        if (h->end != NULL)
            h->end(c, c->stream_open ? code : GRPC_STATUS_CANCELED, h->user);
    }
    if (!c->stream_open)
        return;
    if (t.n > 0) {
        c->message = arena_alloc(&c->arena, 3 * t.n + 1);
        if (c->message != NULL)
            c->message[grpc_percent_encode(t, c->message)] = '\0';
    }
    if (c->headers_sent)
        h2_server__resume(c);
    else if (c->out.bytes == 0)
        h2_server__submit_status(c, http_status);
    else
        h2_server__submit_headers(c);
}

static void release(struct call *c)
{
    ASSERT(c->owned);
    c->owned = false;
    c->on_cancel = NULL;
    c->on_writable = NULL;
    call__maybe_free(c);
}

void call__cancel(struct call *c, enum call_cancel_reason why)
{
    void (*fn)(struct call *, enum call_cancel_reason) = c->on_cancel;

    if (!c->owned || c->canceled != CALL_NOT_CANCELED)
        return;
    c->canceled = why;
    c->on_cancel = NULL;
    if (fn != NULL)
        fn(c, why);
}

void call__fail(struct call *c, int http_status, int code, const char *text)
{
    if (c->answered)
        return;
    answer(c, http_status, code, text);
    /* What was queued before still leaves; whoever works for the call may stop. */
    call__cancel(c, CALL_CANCELED_BY_CLIENT);
}

void call__stream_closed(struct call *c)
{
    struct h2_server *h2 = c->h2;

    ASSERT(c->stream_open);
    list_remove(&c->link);
    list_remove(&c->writable_link);
    body_drop(c);
    message_drop(c);
    loop_timer_stop(c->sc->conn.loop, &c->deadline);
    h2->calls_n--;
    if (h2->last == c)
        h2->last = NULL;
    c->stream_open = false;
    c->h2 = NULL;
    /* The callbacks may end the call, and with it free it: nothing of c after them. */
    if (c->http != NULL)
        http__h2_closed(c);
    else if (c->owned && !c->answered)
        call__cancel(c, CALL_CANCELED_BY_CLIENT);
    else
        call__maybe_free(c);
}

/* ---- the incoming side
 * ----------------------------------------------------------------------------- */

static void on_deadline(struct loop_timer *t)
{
    struct call *c = CONTAINER_OF(t, struct call, deadline);

    ASSERT(!c->answered);
    ASSERT(c->stream_open); /* it keeps c alive through the callback */
    call__cancel(c, CALL_DEADLINE);
    if (!c->answered)
        answer(c, 200, GRPC_STATUS_DEADLINE_EXCEEDED, "context deadline exceeded");
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
        answer(c, 200, code, text);
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
    answer(c, 200, GRPC_STATUS_UNIMPLEMENTED, text);
}

/* The checks that grpc-go makes on a request's head, in its order; false: refused. */
static bool head_ok(struct call *c)
{
    struct arena *a = &c->arena;

    if (!c->is_grpc)
        answer(c, 415, GRPC_STATUS_INVALID_ARGUMENT,
               arena_printf(a, "invalid gRPC request content-type \"%.*s\"",
                            (int) c->content_type.n, (const char *) c->content_type.p));
    else if (c->bad_text != NULL)
        answer(c, 400, GRPC_STATUS_INTERNAL, c->bad_text);
    else if (!bytes_eq(c->http_method, BYTES_LIT("POST")))
        answer(c, 405, GRPC_STATUS_INTERNAL,
               arena_printf(a,
                            "Received a HEADERS frame with :method \"%.*s\" which should be POST",
                            (int) c->http_method.n, (const char *) c->http_method.p));
    else if (c->encoding.n > 0 && !bytes_eq(c->encoding, BYTES_LIT("identity")))
        answer(c, 200, GRPC_STATUS_UNIMPLEMENTED,
               arena_printf(a, "grpc: Decompressor is not installed for grpc-encoding \"%.*s\"",
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
    answer(c, 200, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
    return false;
}

void call__begin(struct call *c)
{
    const struct method_slot *m;

    loop__count(&c->sc->sl->counters.calls_total, 1);
    if (!c->is_grpc && (c->sc->serves & NET_SERVES_HTTP2) != 0 &&
        c->sc->sl->server->options.http != NULL) {
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

/* Memory for the message whose head has come; false: refused. */
static bool message_alloc(struct call *c, size_t here)
{
    const struct net_limits *lim = server__limits(c->sc);
    struct net_server *s = c->sc->sl->server;
    uint32_t n = c->in.length;

    if (here < n) {
        c->held_bytes = n;
        c->h2->held_bytes += n;
        if (atomic_fetch_add_explicit(&s->held_bytes, n, memory_order_relaxed) + n >
                lim->server_held_bytes_max ||
            c->h2->held_bytes > lim->conn_held_bytes_max) {
            call__fail(c, 200, GRPC_STATUS_RESOURCE_EXHAUSTED,
                       "grpc: too many bytes of unfinished messages");
            return false;
        }
    }
    if (c->method->kind == NET_BIDI) {
        c->in.msg = mem_alloc(MAX(n, 1u));
        c->msg_on_heap = c->in.msg != NULL;
    } else {
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

    if (flag == 1)
        snprintf(text, sizeof text, "grpc: compressed flag set with identity or empty encoding");
    else if (flag != 0)
        snprintf(text, sizeof text, "grpc: received unexpected payload format %u", flag);
    if (flag != 0) {
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
    message_count(c, m.n);
    if (c->owned && c->canceled == CALL_NOT_CANCELED && c->method->message != NULL)
        c->method->message(c, m);
}

static void message_complete(struct call *c)
{
    struct bytes m = bytes_of(c->in.msg, c->in.length);
    bool on_heap = c->msg_on_heap;

    held_release(c);
    c->msg_on_heap = false;
    grpc_deframer_next(&c->in);
    if (c->method->kind != NET_BIDI) {
        c->got_message = true;
        c->request = m;
        message_count(c, m.n);
        return;
    }
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
    if (c->method->kind == NET_BIDI && grpc_deframe_in_place(&c->in, in, &m)) {
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
        answer(c, 200, GRPC_STATUS_UNKNOWN, "EOF");
    } else if (begin_service(c)) {
        c->method->request(c, c->request);
    }
}

void call__input_end(struct call *c)
{
    c->remote_closed = true;
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
}

/* ---- the service's view
 * ---------------------------------------------------------------------------- */

struct loop *call_loop(const struct call *c)
{
    return c->sc->conn.loop;
}

struct arena *call_arena(struct call *c)
{
    return &c->arena;
}

const struct net_method *call_method(const struct call *c)
{
    return c->method;
}

void *call_service(const struct call *c)
{
    return c->service;
}

void call_set_user(struct call *c, void *user)
{
    c->user = user;
}

void *call_user(const struct call *c)
{
    return c->user;
}

bool call_metadata(const struct call *c, const char *name, struct bytes *ret)
{
    size_t n = strlen(name);

    for (const struct field *f = c->fields; f != NULL; f = f->next) {
        if (f->name.n == n && memcmp(f->name.p, name, n) == 0) {
            *ret = f->value;
            return true;
        }
    }
    return false;
}

const char *call_peer(const struct call *c)
{
    return c->sc->conn.peer;
}

mono_ns call_started_ns(const struct call *c)
{
    return c->started_ns;
}

mono_ns call_deadline_ns(const struct call *c)
{
    return c->deadline_ns;
}

size_t call_request_bytes(const struct call *c)
{
    return c->bytes_in;
}

size_t call_reply_bytes(const struct call *c)
{
    return c->bytes_out;
}

void call_on_cancel(struct call *c, void (*fn)(struct call *c, enum call_cancel_reason why))
{
    ASSERT(c->owned);
    c->on_cancel = fn;
}

enum call_cancel_reason call_canceled(const struct call *c)
{
    return c->canceled;
}

static uint64_t pieces_bytes(const struct net_piece *v, size_t vn)
{
    uint64_t n = 0;

    for (size_t i = 0; i < vn; i++)
        n += v[i].bytes.n;
    return n;
}

/* Queues a message whose length is checked; a: as body_add. */
static int queue(struct call *c, struct arena *a, const struct net_piece *v, size_t vn)
{
    uint64_t n = pieces_bytes(v, vn);
    uint64_t before = c->out.held_bytes;
    uint8_t head[GRPC_HEAD_BYTES];

    ASSERT(n <= INT32_MAX);
    grpc_head_put(head, (uint32_t) n);
    if (!body_add(&c->out, a, bytes_of(head, sizeof head), v, vn))
        return ERR_NOMEM;
    queued_moved(c, before);
    c->bytes_out += n;
    loop__count(&c->sc->sl->counters.grpc_bytes_out, n);
    return 0;
}

static int queue_pull(struct call *c, struct arena *a, uint64_t n, const struct net_pull *pull)
{
    uint64_t before = c->out.held_bytes;
    uint8_t head[GRPC_HEAD_BYTES];

    ASSERT(n <= INT32_MAX);
    grpc_head_put(head, (uint32_t) n);
    if (!body_add_pull(&c->out, a, bytes_of(head, sizeof head), n, pull))
        return ERR_NOMEM;
    queued_moved(c, before);
    c->bytes_out += n;
    loop__count(&c->sc->sl->counters.grpc_bytes_out, n);
    return 0;
}

static bool nobody_listens(const struct call *c)
{
    return c->answered || !c->stream_open;
}

/* The end of a call by its service: tells the hooks even when nobody listens. */
static void end(struct call *c, int code, const char *text)
{
    if (!c->answered)
        answer(c, 200, code, text);
    release(c);
}

void call_reply(struct call *c, const struct net_piece *v, size_t vn)
{
    ASSERT(c->owned);
    if (nobody_listens(c) || queue(c, &c->arena, v, vn) == 0)
        end(c, GRPC_STATUS_OK, NULL);
    else
        end(c, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

void call_reply_pull(struct call *c, uint64_t bytes, struct net_pull pull)
{
    ASSERT(c->owned);
    if (!nobody_listens(c) && queue_pull(c, &c->arena, bytes, &pull) == 0) {
        end(c, GRPC_STATUS_OK, NULL);
        return;
    }
    if (pull.done != NULL)
        pull.done(pull.arg);
    end(c, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

void call_finish(struct call *c, int code, const char *message)
{
    ASSERT(c->owned);
    ASSERT(code >= 0);
    ASSERT(code <= GRPC_STATUS_LAST);
    end(c, code, message);
}

/* After a message was queued on a stream. */
static void stream_queued(struct call *c)
{
    if (c->on_writable != NULL && c->out.bytes >= c->writable_mark)
        c->above_mark = true;
    if (c->headers_sent)
        h2_server__resume(c);
    else
        h2_server__submit_headers(c);
}

static int may_send(const struct call *c)
{
    ASSERT(c->owned);
    if (nobody_listens(c))
        return ERR_CANCELED;
    return c->h2->queued_bytes >= server__limits(c->sc)->conn_queued_bytes_max ? ERR_LIMIT : 0;
}

int call_send(struct call *c, const struct net_piece *v, size_t vn)
{
    int rc = may_send(c);

    if (rc == 0)
        rc = queue(c, NULL, v, vn);
    if (rc == 0)
        stream_queued(c);
    return rc;
}

int call_send_pull(struct call *c, uint64_t bytes, struct net_pull pull)
{
    int rc = may_send(c);

    if (rc == 0)
        rc = queue_pull(c, NULL, bytes, &pull);
    if (rc == 0)
        stream_queued(c);
    else if (pull.done != NULL)
        pull.done(pull.arg);
    return rc;
}

void call_send_headers(struct call *c)
{
    ASSERT(c->owned);
    if (!nobody_listens(c) && !c->headers_sent)
        h2_server__submit_headers(c);
}

size_t call_queued_bytes(const struct call *c)
{
    return (size_t) c->out.bytes;
}

void call_on_writable(struct call *c, size_t below_bytes, void (*fn)(struct call *c))
{
    ASSERT(c->owned);
    c->on_writable = fn;
    c->writable_mark = below_bytes;
    c->above_mark = fn != NULL && c->out.bytes >= below_bytes;
}
