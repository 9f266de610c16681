/* call.c -- how a call ends, by its service, its client or its deadline; and what its service sees
 * of it. */
#define _GNU_SOURCE
#include "engine/net/call.h"

#include <sys/un.h>

#include "engine/net/addr.h"
#include "engine/net/call_int.h"
#include "engine/net/h2_server.h"
#include "engine/net/http_int.h"
#include "engine/net/kept.h"
#include "engine/net/opening.h"

/* ---- the end ---- */

/* The reader of a call from within the process takes the text as it is. */
static char *status_text(struct call *c, struct bytes t)
{
    char *p = t.n == 0 ? NULL : arena_alloc(&c->arena, 3 * t.n + 1);

    if (p == NULL)
        return NULL;
    if (c->local != NULL)
        snprintf(p, t.n + 1, "%s", (const char *) t.p);
    else
        p[grpc_percent_encode(t, p)] = '\0';
    return p;
}

/* What a call keeps until its answer is taken: its body's bytes are counted by themselves, and
 * those of an answer lie in the arena. */
static uint64_t answered_bytes(const struct call *c)
{
    uint64_t in_arena = c->arena_counted ? c->request.n : call__request_heap_bytes(c);
    uint64_t counted = c->held_bytes;

    if (c->method != NULL && c->method->kind == NET_UNARY)
        counted += c->out.own_bytes;
    return call__own_bytes(c) + in_arena - MIN(in_arena, counted);
}

/* Decides the status and sets it on its way. */
void call__answer(struct call *c, int http_status, int code, const char *text)
{
    struct bytes t = text == NULL ? BYTES_EMPTY : bytes_str(text);

    ASSERT(!c->answered);
    c->answered = true;
    c->code = code;
    loop_timer_stop(c->sc->conn.loop, &c->deadline);
    if (c->counted) {
        const struct net_call_hooks *h = &c->sc->sl->server->options.hooks;

        c->counted = false;
        c->text = text;
        if (h->end != NULL)
            h->end(c, c->stream_open ? code : GRPC_STATUS_CANCELED, h->user);
        c->text = NULL;
    }
    if (!c->stream_open)
        return;
    c->message = status_text(c, t);
    kept__base(c, answered_bytes(c));
    if (c->local != NULL)
        call_local__wake(c->local);
    else if (c->headers_sent)
        h2_server__resume(c);
    else if (call__unsent(c) == 0)
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
    call__answer(c, http_status, code, text);
    /* What was queued before still leaves; whoever works for the call may stop. */
    call__cancel(c, CALL_CANCELED_BY_CLIENT);
}

void call__stream_closed(struct call *c)
{
    struct h2_server *h2 = c->h2;

    ASSERT(c->stream_open);
    list_remove(&c->link);
    list_remove(&c->writable_link);
    call__deflate_drop(c);
    call__inflate_drop(c);
    call__body_drop(c);
    call__message_drop(c);
    opening__end(c);
    loop_timer_stop(c->sc->conn.loop, &c->deadline);
    if (h2 != NULL) {
        h2->held_bytes -= c->held_bytes;
        h2->calls_n--;
        if (h2->last == c)
            h2->last = NULL;
    }
    c->stream_open = false;
    c->h2 = NULL;
    c->local = NULL;
    c->queued_bytes = NULL;
    /* The callbacks may end the call, and with it free it: nothing of c after them. */
    if (c->http != NULL)
        http__h2_closed(c);
    else if (c->owned && !c->answered) {
        kept__update(c);
        call__cancel(c, CALL_CANCELED_BY_CLIENT);
    } else
        call__maybe_free(c);
}

void call__end(struct call *c, int code, const char *text)
{
    if (!c->answered)
        call__answer(c, 200, code, text);
    release(c);
}

void call_finish(struct call *c, int code, const char *message)
{
    ASSERT(c->owned);
    ASSERT(code >= 0);
    ASSERT(code <= GRPC_STATUS_LAST);
    call__end(c, code, message);
}

void call__on_deadline(struct loop_timer *t)
{
    struct call *c = CONTAINER_OF(t, struct call, deadline);

    ASSERT(!c->answered);
    ASSERT(c->stream_open); /* it keeps c alive through the callback */
    call__cancel(c, CALL_DEADLINE);
    if (!c->answered)
        call__answer(c, 200, GRPC_STATUS_DEADLINE_EXCEEDED, "context deadline exceeded");
}

/* ---- the service's view ---- */

struct loop *call_loop(const struct call *c)
{
    return c->sc->conn.loop;
}

struct arena *call_arena(struct call *c)
{
    return &c->arena;
}

void call_arena_counted(struct call *c)
{
    c->arena_counted = true;
}

const struct net_method *call_method(const struct call *c)
{
    return c->method;
}

void *call_service(const struct call *c)
{
    return c->service;
}

struct bytes call_request(const struct call *c)
{
    return c->request;
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

void call_address(const struct call *c, char out[CALL_ADDRESS_BYTES])
{
    union {
        struct sockaddr sa;
        struct sockaddr_un un;
        struct sockaddr_storage any;
    } a = {.any = {0}};
    socklen_t n = sizeof a;

    _Static_assert(CALL_ADDRESS_BYTES > sizeof a.un.sun_path, "a path fits");
    _Static_assert(CALL_ADDRESS_BYTES >= ADDR_TEXT_BYTES, "an address fits");
    if (getsockname(c->sc->conn.fd, &a.sa, &n) != 0)
        out[0] = '\0'; /* there is no socket: a test */
    else if (a.sa.sa_family == AF_UNIX)
        snprintf(out, CALL_ADDRESS_BYTES, "%.*s", (int) sizeof a.un.sun_path, a.un.sun_path);
    else
        addr__text(&a.sa, out);
}

const char *call_status_text(const struct call *c)
{
    return c->text;
}

const char *call_common_name(const struct call *c)
{
    return c->inner ? NULL : c->sc->common_name;
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
