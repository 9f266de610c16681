/* gateway.c -- requests of the JSON gateway: routes, and a request from its head to its end. */
#include "edge/server/gateway_int.h"

#define V3 "/v3/"
#define V3BETA "/v3beta/"

/* ---- paths ---- */

bool gateway_path(struct bytes path)
{
    return gateway_begins(path, V3) || gateway_begins(path, V3BETA);
}

static const struct gateway_route *route_of(struct bytes path)
{
    char v3[64];

    if (!gateway_begins(path, V3BETA))
        return gateway_route_find(path);
    path = bytes_of(path.p + strlen(V3BETA), path.n - strlen(V3BETA));
    if (path.n > sizeof v3 - sizeof V3)
        return NULL;
    snprintf(v3, sizeof v3, V3 "%.*s", (int) path.n, (const char *) path.p);
    return gateway_route_find(bytes_str(v3));
}

/* ---- calls ---- */

/* Opens the call; false: the request was refused. */
bool gate_open(struct gate *g)
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
    if (g->call == NULL || !gate_add_metadata(g)) {
        gate_refuse(g, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return false;
    }
    call_local_start(g->call);
    return true;
}

/* ---- the request ---- */

void gate_done(struct gate *g)
{
    g->over = true;
    call_local_free(g->call);
    g->call = NULL;
    gate_value_drop(g);
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
        if (!gate_open(g))
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
    else if (route->kind != NET_BIDI || gate_open(g))
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
