/* gateway_metadata.c -- a request's head as the metadata of its call, as grpc-gateway and wsproxy
 * have it. */
#include "edge/server/gateway_int.h"

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

    if (gateway_begins(name, own))
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

bool gate_add_metadata(struct gate *g)
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
