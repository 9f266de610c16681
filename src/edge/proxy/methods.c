/* methods.c -- the table of what the proxy serves, and what is counted of it. */
#include <ketch/client.h>

#include "edge/proxy/proxy_int.h"

#define WATCH "/etcdserverpb.Watch/Watch"
#define MEMBER_LIST "/etcdserverpb.Cluster/MemberList"

#define UNARY(p, repeat)                                       \
    {                                                          \
        .path = (p), .kind = NET_UNARY, .repeatable = (repeat) \
    }

static const struct proxy_method proxied[] = {
#define X(name, req, res, desc, path, repeat) UNARY("/etcdserverpb." path, repeat),
    KETCH_METHOD_MAP(X)
#undef X
#define X(name, desc, path) UNARY(path, false),
        KETCH_LOCK_METHOD_MAP(X)
#undef X
            UNARY("/v3electionpb.Election/Campaign", false),
    UNARY("/v3electionpb.Election/Proclaim", false),
    UNARY("/v3electionpb.Election/Leader", true),
    UNARY("/v3electionpb.Election/Resign", false),
    {.path = "/v3electionpb.Election/Observe", .kind = NET_SERVER_STREAM},
    {.path = "/etcdserverpb.Maintenance/Snapshot", .kind = NET_SERVER_STREAM},
    {.path = "/etcdserverpb.KV/RangeStream", .kind = NET_SERVER_STREAM},
    {.path = "/etcdserverpb.Lease/LeaseKeepAlive", .kind = NET_BIDI},
    {.path = WATCH, .kind = NET_BIDI},
};

/* What the server is told of each; written once, at the start. */
static struct net_method table[ARRAY_LEN(proxied)];

static struct net_method row(uint32_t i)
{
    struct net_method m = {.path = proxied[i].path, .kind = proxied[i].kind, .tag = i};

    switch (m.kind) {
    case NET_UNARY:
        m.request = strcmp(m.path, MEMBER_LIST) == 0 ? members__list : forward__request;
        break;
    case NET_SERVER_STREAM:
        m.request = relay__request;
        break;
    case NET_BIDI:
        m.open = strcmp(m.path, WATCH) == 0 ? watch__open : relay__open;
        m.message = strcmp(m.path, WATCH) == 0 ? watch__message : relay__message;
        m.half_closed = strcmp(m.path, WATCH) == 0 ? watch__half_closed : relay__half_closed;
        break;
    }
    return m;
}

int methods__add(struct proxy *p, struct err *e)
{
    for (uint32_t i = 0; i < ARRAY_LEN(proxied); i++)
        table[i] = row(i);
    return net_server_add(p->server, table, ARRAY_LEN(table), p, e);
}

const struct proxy_method *methods__of(const struct call *c)
{
    ASSERT(call_method(c)->tag < ARRAY_LEN(proxied));
    return &proxied[call_method(c)->tag];
}

/* ---- counting ---- */

static const char *const KIND_NAMES[] = {
    [NET_UNARY] = "unary",
    [NET_SERVER_STREAM] = "server_stream",
    [NET_BIDI] = "bidi_stream",
};

#define NAME_BYTES 64

struct names {
    char service[NAME_BYTES];
    const char *method;
    const char *kind;
};

/* "/etcdserverpb.KV/Range" */
static void names_of(const struct call *c, struct names *ret)
{
    const char *path = call_method(c)->path;
    const char *slash = strrchr(path, '/');

    snprintf(ret->service, sizeof ret->service, "%.*s", (int) (slash - path - 1), path + 1);
    ret->method = slash + 1;
    ret->kind = KIND_NAMES[call_method(c)->kind];
}

static int on_begin(struct call *c, void *user, const char **ret_text)
{
    struct proxy *p = user;
    struct names n;

    (void) ret_text;
    names_of(c, &n);
    metric_inc(metric_with(p->m.started, METRIC_LABELS(n.kind, n.service, n.method)));
    return 0;
}

static void on_end(struct call *c, int code, void *user)
{
    struct proxy *p = user;
    const char *code_name = code == 0 ? "OK" : ketch_code_name(code);
    struct names n;

    names_of(c, &n);
    metric_inc(metric_with(p->m.handled, METRIC_LABELS(n.kind, n.service, n.method,
                                                       code_name == NULL ? "Unknown" : code_name)));
}

void methods__hooks(struct proxy *p, struct net_call_hooks *ret)
{
    p->m.started = metrics_family(p->options.metrics, METRIC_COUNTER, METRIC_PLAIN,
                                  "grpc_server_started_total",
                                  "Total number of RPCs started on the server.",
                                  METRIC_LABELS("grpc_type", "grpc_service", "grpc_method"));
    p->m.handled = metrics_family(
        p->options.metrics, METRIC_COUNTER, METRIC_PLAIN, "grpc_server_handled_total",
        "Total number of RPCs completed on the server, regardless of success or failure.",
        METRIC_LABELS("grpc_type", "grpc_service", "grpc_method", "grpc_code"));
    *ret = (struct net_call_hooks){.begin = on_begin, .end = on_end, .user = p};
}
