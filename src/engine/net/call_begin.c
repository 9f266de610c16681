/* call_begin.c -- the head of a request: what is refused, and who serves the rest. */
#define _GNU_SOURCE
#include "engine/net/call.h"
#include "engine/net/call_int.h"
#include "engine/net/h2_server.h"
#include "engine/net/http_int.h"

bool call__begin_service(struct call *c)
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
    if (c->method->kind == NET_BIDI && call__begin_service(c) && c->method->open != NULL)
        c->method->open(c);
}
