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

/* Where Go's decoder of base64 would stop; n: nowhere.  Without padding where the length is no
 * multiple of four, which is how grpc-go guesses (decodeBinHeader). */
static size_t base64_wrong_at(struct bytes v)
{
    bool padded = v.n % 4 == 0;
    size_t n = 0;

    while (n < v.n && ((v.p[n] >= 'A' && v.p[n] <= 'Z') || (v.p[n] >= 'a' && v.p[n] <= 'z') ||
                       (v.p[n] >= '0' && v.p[n] <= '9') || v.p[n] == '+' || v.p[n] == '/'))
        n++;
    if (n == v.n)
        return n % 4 == 1 ? n - 1 : n;
    if (padded && v.p[n] == '=' && n % 4 >= 2) {
        if (v.n - n == 1 || (v.n - n == 2 && v.p[n + 1] == '='))
            return v.n;
    }
    return n;
}

static const char *bad_binary_text(struct call *c, const struct field *f, size_t at)
{
    char *quoted = arena_alloc(&c->arena, 2 * f->value.n + 1);
    const char *text;
    size_t n = 0;

    if (quoted == NULL)
        return "malformed binary metadata";
    for (size_t i = 0; i < f->value.n; i++) {
        if (f->value.p[i] == '"' || f->value.p[i] == '\\')
            quoted[n++] = '\\';
        quoted[n++] = (char) f->value.p[i];
    }
    quoted[n] = '\0';
    text = arena_printf(
        &c->arena,
        "malformed binary metadata \"%s\" in header \"%.*s\": illegal base64 data at "
        "input byte %zu",
        quoted, (int) f->name.n, (const char *) f->name.p, at);
    return text == NULL ? "malformed binary metadata" : text;
}

/* What is wrong with the head; NULL: nothing. */
static const char *bad_field(struct call *c)
{
    if (c->bad_text != NULL || c->h2 == NULL) /* a gateway has decoded what it hands on */
        return c->bad_text;
    for (const struct field *f = c->fields; f != NULL; f = f->next) {
        size_t at;

        if (f->name.n < 4 || memcmp(f->name.p + f->name.n - 4, "-bin", 4) != 0)
            continue;
        at = base64_wrong_at(f->value);
        if (at < f->value.n)
            return bad_binary_text(c, f, at);
    }
    return NULL;
}

static bool encoding_ok(struct call *c)
{
    c->gzip = bytes_eq(c->encoding, BYTES_LIT("gzip"));
    if (c->encoding.n == 0 || c->gzip || bytes_eq(c->encoding, BYTES_LIT("identity")))
        return true;
    call__answer(c, 200, GRPC_STATUS_UNIMPLEMENTED,
                 arena_printf(&c->arena,
                              "grpc: Decompressor is not installed for grpc-encoding \"%.*s\"",
                              (int) c->encoding.n, (const char *) c->encoding.p));
    return false;
}

/* The checks that grpc-go makes on a request's head, in its order; false: refused. */
static bool head_ok(struct call *c)
{
    struct arena *a = &c->arena;
    const char *bad = bad_field(c);

    if (!c->is_grpc) {
        /* Not gRPC's client: it may need its say before it looks at the answer (h2_answer.c). */
        c->short_body = http__h2_body_is_short(c);
        call__answer(c, 415, GRPC_STATUS_INVALID_ARGUMENT,
                     arena_printf(a, "invalid gRPC request content-type \"%.*s\"",
                                  (int) c->content_type.n, (const char *) c->content_type.p));
    } else if (bad != NULL)
        call__answer(c, 400, GRPC_STATUS_INTERNAL, bad);
    else if (!bytes_eq(c->http_method, BYTES_LIT("POST")))
        call__answer(
            c, 405, GRPC_STATUS_INTERNAL,
            arena_printf(a, "Received a HEADERS frame with :method \"%.*s\" which should be POST",
                         (int) c->http_method.n, (const char *) c->http_method.p));
    else
        return true;
    return false;
}

/* Timers are looked at between turns only, and a request may wait in our input (turn.h): one whose
 * time is over does nothing any more. */
bool call__in_time(struct call *c)
{
    if (c->timeout_ns < 0 || clock_mono_ns(c->sc->conn.loop->clock) < c->deadline_ns)
        return true;
    call__answer(c, 200, GRPC_STATUS_DEADLINE_EXCEEDED, "context deadline exceeded");
    return false;
}

static bool deadline_start(struct call *c)
{
    struct loop *l = c->sc->conn.loop;
    mono_ns came = c->h2 == NULL ? l->now : c->sc->conn.read_ns;

    if (c->timeout_ns < 0)
        return true;
    c->deadline_ns = c->timeout_ns > INT64_MAX - came ? INT64_MAX : came + c->timeout_ns;
    if (!call__in_time(c))
        return false;
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
    if (!head_ok(c) || !deadline_start(c) || !encoding_ok(c))
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
