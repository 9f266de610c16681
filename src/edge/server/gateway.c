/* gateway.c -- requests of the JSON gateway: routes, metadata, and values on their way in. */
#include "edge/server/gateway_int.h"

#define V3 "/v3/"
#define V3BETA "/v3beta/"

/* ---- paths ---- */

static bool begins(struct bytes s, const char *with)
{
    size_t n = strlen(with);

    return s.n >= n && memcmp(s.p, with, n) == 0;
}

bool gateway_path(struct bytes path)
{
    return begins(path, V3) || begins(path, V3BETA);
}

static const struct gateway_route *route_of(struct bytes path)
{
    char v3[64];

    if (!begins(path, V3BETA))
        return gateway_route_find(path);
    path = bytes_of(path.p + strlen(V3BETA), path.n - strlen(V3BETA));
    if (path.n > sizeof v3 - sizeof V3)
        return NULL;
    snprintf(v3, sizeof v3, V3 "%.*s", (int) path.n, (const char *) path.p);
    return gateway_route_find(bytes_str(v3));
}

/* ---- metadata ---- */

/* What grpc-gateway takes for permanent header fields. */
static bool permanent(struct bytes name)
{
    static const char *const names[] = {
        "accept",
        "accept-charset",
        "accept-language",
        "accept-ranges",
        "authorization",
        "cache-control",
        "content-type",
        "cookie",
        "date",
        "expect",
        "from",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-schedule-tag-match",
        "if-unmodified-since",
        "max-forwards",
        "origin",
        "pragma",
        "referer",
        "user-agent",
        "via",
        "warning",
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (bytes_eq(name, bytes_str(names[i])))
            return true;
    }
    return false;
}

static bool prefixed(struct gate *g, const char *prefix, struct bytes name, struct bytes value)
{
    char *full = arena_printf(http_arena(g->http), "%s%.*s", prefix, (int) name.n,
                              (const char *) name.p);

    return full != NULL && call_local_metadata(g->call, bytes_str(full), value);
}

/* One field of the request's head; false: no memory. */
static bool add_field(struct gate *g, struct bytes name, struct bytes value)
{
    static const char own[] = "grpc-metadata-";

    if (begins(name, own))
        return call_local_metadata(g->call, bytes_of(name.p + strlen(own), name.n - strlen(own)),
                                   value);
    if (!permanent(name))
        return true;
    if (bytes_eq(name, BYTES_LIT("authorization")) && !call_local_metadata(g->call, name, value))
        return false;
    return prefixed(g, "grpcgateway-", name, value);
}

/* The client's address behind those that proxies in front of us have named. */
static bool add_forwarded(struct gate *g)
{
    const char *peer = http_peer(g->http), *colon = strrchr(peer, ':');
    int ip_n = colon == NULL ? 0 : (int) (colon - peer);
    struct bytes before = BYTES_EMPTY, host = http_host(g->http);
    char *text;

    (void) http_header(g->http, "x-forwarded-for", &before);
    (void) http_header(g->http, "x-forwarded-host", &host);
    if (ip_n > 2 && peer[0] == '[') { /* an IPv6 address stands in brackets */
        peer++;
        ip_n -= 2;
    }
    text = arena_printf(http_arena(g->http), "%.*s%s%.*s", (int) before.n, (const char *) before.p,
                        before.n > 0 && ip_n > 0 ? ", " : "", ip_n, peer);
    return text != NULL &&
           (*text == '\0' ||
            call_local_metadata(g->call, BYTES_LIT("x-forwarded-for"), bytes_str(text))) &&
           (host.n == 0 || call_local_metadata(g->call, BYTES_LIT("x-forwarded-host"), host));
}

/* Of a WebSocket's handshake wsproxy hands on no more than this. */
static bool add_ws_metadata(struct gate *g)
{
    static const char *const names[] = {"origin", "referer"};
    struct bytes value;
    char *bearer;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (http_header(g->http, names[i], &value) &&
            !prefixed(g, "grpcgateway-", bytes_str(names[i]), value))
            return false;
    }
    if (!gateway_ws_token(g->http, &value))
        return true;
    bearer = arena_printf(http_arena(g->http), "Bearer %.*s", (int) value.n,
                          (const char *) value.p);
    return bearer != NULL && add_field(g, BYTES_LIT("authorization"), bytes_str(bearer));
}

static bool add_metadata(struct gate *g)
{
    struct bytes name, value;

    if (g->ws != NULL)
        return add_ws_metadata(g);
    for (size_t i = 0; http_header_at(g->http, i, &name, &value); i++) {
        if (!add_field(g, name, value))
            return false;
    }
    return add_forwarded(g);
}

/* ---- calls ---- */

/* Opens the call; false: the request was refused. */
static bool open_call(struct gate *g)
{
    struct call_local_options o = {
        .http = g->http, .path = g->route->method, .ready = gate_pump, .user = g};
    struct bytes timeout;

    if (g->ws == NULL && http_header(g->http, "grpc-timeout", &timeout) && timeout.n > 0) {
        o.timeout = arena_printf(http_arena(g->http), "%.*s", (int) timeout.n,
                                 (const char *) timeout.p);
        if (!call_local_timeout_ok(timeout)) {
            char *text = arena_printf(http_arena(g->http), "invalid grpc-timeout: %s",
                                      o.timeout == NULL ? "" : o.timeout);

            gate_refuse(g, GRPC_INVALID_ARGUMENT, text == NULL ? "" : text);
            return false;
        }
    }
    g->call = call_local_open(&o);
    if (g->call == NULL || !add_metadata(g)) {
        gate_refuse(g, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return false;
    }
    call_local_start(g->call);
    return true;
}

/* ---- values ---- */

static void fail(struct gate *g, int code, const char *why)
{
    g->failed = true;
    g->why_code = code;
    g->why = arena_printf(http_arena(g->http), "%s", why);
    g->input_done = true;
}

/* Makes room in the sums, and adds bytes to the value that is being read. */
static void value_add(struct gate *g, struct bytes part)
{
    if (g->value.len + part.n > g->value_bytes_max) {
        fail(g, GRPC_RESOURCE_EXHAUSTED, "grpc: received message larger than max");
    } else if (g->io->gateway_held_bytes + part.n > GATEWAY_HELD_BYTES_MAX ||
               !buf_add_bytes(&g->value, part)) {
        fail(g, GRPC_RESOURCE_EXHAUSTED, "grpc: too many bytes of unfinished messages");
    } else {
        g->io->gateway_held_bytes += part.n;
        g->held_bytes += part.n;
    }
}

static void value_drop(struct gate *g)
{
    g->io->gateway_held_bytes -= g->held_bytes;
    g->held_bytes = 0;
    buf_done(&g->value);
    buf_init(&g->value, g->value_bytes_max);
    json_scan_init(&g->scan);
}

/* The value as a message, handed to the call.  False: it is none, `why` says what is wrong. */
static bool value_send(struct gate *g)
{
    size_t bytes_max = g->value_bytes_max / GATEWAY_VALUE_FACTOR;
    struct err e = ERR_INIT;
    struct bytes message;
    struct arena scratch;
    int rc;

    arena_init(&scratch, GATEWAY_SCRATCH_BYTES_MAX);
    rc = json_read(g->route->request, buf_bytes(&g->value), bytes_max, &scratch, &message, &e);
    if (rc != 0)
        fail(g, rc == ERR_INVALID ? GRPC_INVALID_ARGUMENT : GRPC_RESOURCE_EXHAUSTED, e.msg);
    else if (!call_local_send(g->call, message))
        fail(g, GRPC_RESOURCE_EXHAUSTED, "out of memory");
    arena_done(&scratch);
    return !g->failed;
}

/* A whole value has come.  Of a method that takes one, the rest of the body means nothing. */
static void value_complete(struct gate *g)
{
    if (g->route->kind != NET_BIDI) {
        g->input_done = true;
        return;
    }
    if (!value_send(g))
        call_local_close_send(g->call); /* etcd's gateway logs why, and tells nobody */
    value_drop(g);
}

static bool waits(const struct gate *g)
{
    return g->rest.len > 0 || (g->call != NULL && call_local_paused(g->call));
}

void gate_input(struct gate *g, struct bytes in)
{
    while (in.n > 0 && !g->input_done) {
        enum json_scanned got;
        size_t used;

        if (waits(g)) {
            if (!buf_add_bytes(&g->rest, in))
                fail(g, GRPC_RESOURCE_EXHAUSTED, "out of memory");
            g->paused = true;
            http_pause(g->http);
            return;
        }
        got = json_scan(&g->scan, in, &used);
        value_add(g, bytes_of(in.p, used));
        in = bytes_of(in.p + used, in.n - used);
        if (g->failed)
            return;
        if (got == JSON_SCAN_BAD)
            fail(g, GRPC_INVALID_ARGUMENT, g->scan.text);
        else if (got == JSON_SCAN_DONE)
            value_complete(g);
        if (g->failed && g->route->kind == NET_BIDI)
            call_local_close_send(g->call);
    }
}

/* A method that takes one message: all of the body has come, and it is called now. */
static void call_once(struct gate *g)
{
    if (!open_call(g))
        return;
    if (g->value.len == 0 ? !call_local_send(g->call, BYTES_EMPTY) : !value_send(g)) {
        gate_refuse(g, g->failed ? g->why_code : GRPC_RESOURCE_EXHAUSTED,
                    g->failed ? g->why : "out of memory");
        return;
    }
    value_drop(g);
    call_local_close_send(g->call);
}

void gate_input_end(struct gate *g)
{
    enum json_scanned got;

    g->end_due = waits(g);
    if (g->end_due)
        return; /* gate_go_on comes back here */
    if (!g->input_done) {
        got = json_scan_end(&g->scan);
        if (got == JSON_SCAN_BAD)
            fail(g, GRPC_INVALID_ARGUMENT, g->scan.text);
        else if (got == JSON_SCAN_DONE)
            value_complete(g);
        else
            value_drop(g); /* blanks */
    }
    if (g->route->kind == NET_BIDI)
        call_local_close_send(g->call);
    else if (g->failed)
        gate_refuse(g, g->why_code, g->why == NULL ? "" : g->why);
    else
        call_once(g);
}

void gate_go_on(struct gate *g)
{
    struct buf rest = g->rest;
    bool paused;

    if (call_local_paused(g->call))
        return;
    buf_init(&g->rest, rest.bytes_max);
    gate_input(g, buf_bytes(&rest));
    buf_done(&rest);
    if (waits(g))
        return;
    /* Over HTTP/2 what was held back comes at once, and may have to wait again. */
    paused = g->paused;
    g->paused = false;
    if (g->end_due)
        gate_input_end(g);
    else if (paused)
        http_resume(g->http);
}

/* ---- the request ---- */

void gate_done(struct gate *g)
{
    g->over = true;
    call_local_free(g->call);
    g->call = NULL;
    value_drop(g);
    buf_done(&g->value);
    buf_done(&g->rest);
    buf_done(&g->text);
    json_write_done(&g->json);
}

static void client_gone(struct http_req *r)
{
    struct gate *g = http_user(r);

    gate_done(g);
    http_abort(r);
}

static void on_data(struct http_req *r, struct bytes part)
{
    gate_input(http_user(r), part);
}

static void on_data_end(struct http_req *r)
{
    gate_input_end(http_user(r));
}

static struct gate *gate_new(struct http_req *r, struct server *s,
                             const struct gateway_route *route)
{
    struct gate *g = arena_calloc(http_arena(r), 1, sizeof *g);

    if (g == NULL)
        return NULL;
    g->http = r;
    g->server = s;
    g->io = loop_user(http_loop(r));
    g->route = route;
    g->value_bytes_max = GATEWAY_VALUE_FACTOR *
                         ((size_t) MIN(s->config->max_request_bytes, (uint64_t) 1 << 30) +
                          GATEWAY_OVERHEAD_BYTES);
    json_scan_init(&g->scan);
    json_write_init(&g->json, route->kind != NET_UNARY);
    buf_init(&g->value, g->value_bytes_max);
    buf_init(&g->rest, g->value_bytes_max);
    buf_init(&g->text, GATEWAY_TEXT_BYTES_MAX);
    return g;
}

static void gate_own(struct gate *g)
{
    http_set_user(g->http, g);
    http_on_cancel(g->http, client_gone);
}

static void serve_http(struct http_req *r, struct server *s, const struct gateway_route *route)
{
    struct gate *g = gate_new(r, s, route);

    if (g == NULL) {
        gateway_error(r, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    gate_own(g);
    if (route->kind == NET_BIDI) {
        http_read_patiently(r);
        if (!open_call(g))
            return;
    }
    http_read_stream(r, on_data, on_data_end);
}

static void serve_ws(struct http_req *r, struct server *s, const struct gateway_route *route)
{
    struct gate *g = gate_new(r, s, route);
    struct gateway_ws *ws = arena_calloc(http_arena(r), 1, sizeof *ws);

    if (g == NULL || ws == NULL) {
        gateway_error(r, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    if (!gateway_ws_begin(r, s))
        return;
    g->ws = ws;
    ws_in_init(&ws->in);
    gate_own(g);
    if (route->path == NULL)
        gate_refuse(g, GRPC_NOT_FOUND, "Not Found");
    else if (route->kind != NET_BIDI || open_call(g))
        gateway_ws_read(r);
}

void gateway_serve(struct http_req *r, struct server *s)
{
    static const struct gateway_route none = {0};
    const struct gateway_route *route = route_of(http_path(r));

    if (gateway_ws_wanted(r))
        serve_ws(r, s, route == NULL ? &none : route);
    else if (route == NULL)
        gateway_error(r, GRPC_NOT_FOUND, "Not Found");
    else if (!bytes_eq(http_method(r), BYTES_LIT("POST")))
        gateway_error(r, GRPC_UNIMPLEMENTED, "Method Not Allowed");
    else
        serve_http(r, s, route);
}
