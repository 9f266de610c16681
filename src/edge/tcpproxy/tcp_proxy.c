#include "edge/tcpproxy/tcp_proxy.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "edge/tcpproxy/remotes.h"
#include "engine/net/forward.h"
#include "engine/net/loop.h"
#include "obs/log.h"

#define NS_PER_MS 1000000
#define ENDPOINT_BYTES_MAX 1024           /* a host name of 255 bytes, and what is kept beside it */
#define HOST_PORT_BYTES (256 + 1 + 5 + 3) /* brackets, too */

struct tcp_proxy {
    struct tcp_proxy_options o;
    struct net_forward *forward;
    struct remotes remotes;
    struct net_probe **probes; /* of each remote; NULL: none is under way */
    struct loop_timer monitor;
    struct arena arena;
};

/* "host:port", as Go joins them. */
static const char *address_of(const struct remote *x, char out[HOST_PORT_BYTES])
{
    bool six = strchr(x->shown, ':') != NULL;

    snprintf(out, HOST_PORT_BYTES, "%s%s%s:%u", six ? "[" : "", x->shown, six ? "]" : "", x->port);
    return out;
}

static struct net_target target_of(const struct tcp_proxy *p, size_t i)
{
    return (struct net_target){.host = p->remotes.v[i].host, .port = p->remotes.v[i].port, .id = i};
}

/* ---- connections ---- */

static bool choose(void *user, struct net_target *ret)
{
    struct tcp_proxy *p = user;
    size_t i = remotes_pick(&p->remotes, p->o.random);

    if (i == REMOTES_NONE)
        return false;
    *ret = target_of(p, i);
    return true;
}

static void failed(void *user, size_t id, const char *why)
{
    struct tcp_proxy *p = user;
    struct remote *x = &p->remotes.v[id];
    char address[HOST_PORT_BYTES];

    if (x->inactive)
        return; /* another connection has found out, too */
    x->inactive = true;
    LOG_WARN(p->o.log, "deactivated endpoint", F_STR("address", address_of(x, address)),
             F_NS("interval", p->o.retry_ns), F_STR("error", why));
}

static void full(void *user)
{
    struct tcp_proxy *p = user;

    LOG_WARN(p->o.log, "closed a connection: too many are open",
             F_U64("connections-max", p->o.connections_max));
}

/* ---- inactive endpoints ---- */

static void on_probed(void *user, size_t id, const char *why)
{
    struct tcp_proxy *p = user;
    struct remote *x = &p->remotes.v[id];
    char address[HOST_PORT_BYTES];

    p->probes[id] = NULL;
    address_of(x, address);
    if (why != NULL) {
        LOG_WARN(p->o.log, "failed to activate endpoint (stay inactive for another interval)",
                 F_STR("address", address), F_NS("interval", p->o.retry_ns), F_STR("error", why));
        return;
    }
    x->inactive = false;
    LOG_INFO(p->o.log, "activated", F_STR("address", address));
}

static void start_monitor(struct tcp_proxy *p)
{
    if (loop_timer_start(p->o.loop, &p->monitor, p->o.retry_ns / NS_PER_MS) != 0)
        mem_exhausted("timer of inactive endpoints");
}

static void on_monitor(struct loop_timer *t)
{
    struct tcp_proxy *p = CONTAINER_OF(t, struct tcp_proxy, monitor);

    for (size_t i = 0; i < p->remotes.n; i++) {
        struct net_target target = target_of(p, i);

        /* Without memory it stays inactive for another interval. */
        if (p->remotes.v[i].inactive && p->probes[i] == NULL)
            p->probes[i] = net_probe(p->o.loop, &target, NET_FORWARD_DIAL_MS, on_probed, p);
    }
    start_monitor(p);
}

/* ---- life ---- */

static bool copy_endpoints(struct tcp_proxy *p)
{
    size_t n = p->o.endpoints_n;

    p->remotes.v = arena_calloc(&p->arena, n, sizeof *p->remotes.v);
    p->probes = arena_calloc(&p->arena, n, sizeof *p->probes);
    if (p->remotes.v == NULL || p->probes == NULL)
        return false;
    p->remotes.n = n;
    for (size_t i = 0; i < n; i++) {
        const struct tcp_endpoint *x = &p->o.endpoints[i];
        const char *shown = x->shown == NULL ? x->host : x->shown;

        p->remotes.v[i] = (struct remote){
            .host = arena_dup(&p->arena, x->host, strlen(x->host) + 1),
            .shown = arena_dup(&p->arena, shown, strlen(shown) + 1),
            .port = x->port,
            .priority = x->priority,
            .weight = x->weight};
        if (p->remotes.v[i].host == NULL || p->remotes.v[i].shown == NULL)
            return false;
    }
    p->o.endpoints = NULL;
    return true;
}

int tcp_proxy_new(const struct tcp_proxy_options *o, struct tcp_proxy **ret, struct err *e)
{
    struct tcp_proxy *p = mem_calloc(1, sizeof *p);
    struct net_forward_options f = {.loop = o->loop,
                                    .connections_max = o->connections_max,
                                    .choose = choose,
                                    .failed = failed,
                                    .full = full,
                                    .user = p};
    int rc;

    ASSERT(o->endpoints_n > 0);
    if (p == NULL)
        return err_set(e, ERR_NOMEM, "proxy: out of memory");
    p->o = *o;
    p->o.retry_ns = o->retry_ns == 0 ? TCP_PROXY_RETRY_NS_DEFAULT
                                     : MAX(o->retry_ns, TCP_PROXY_RETRY_NS_MIN);
    loop_timer_init(&p->monitor, on_monitor);
    arena_init(&p->arena, o->endpoints_n * ENDPOINT_BYTES_MAX);
    rc = copy_endpoints(p) ? net_forward_new(&f, &p->forward, e)
                           : err_set(e, ERR_NOMEM, "proxy: out of memory");
    if (rc == 0)
        *ret = p;
    else
        tcp_proxy_close(p);
    return rc;
}

int tcp_proxy_listen(struct tcp_proxy *p, const char *host, uint16_t port, uint16_t *ret_port,
                     struct err *e)
{
    return net_forward_listen(p->forward, host, port, ret_port, e);
}

void tcp_proxy_start(struct tcp_proxy *p)
{
    char(*texts)[HOST_PORT_BYTES] = xmem_calloc(p->remotes.n, sizeof *texts);
    const char **list = xmem_calloc(p->remotes.n, sizeof *list);

    for (size_t i = 0; i < p->remotes.n; i++)
        list[i] = address_of(&p->remotes.v[i], texts[i]);
    LOG_INFO(p->o.log, "ready to proxy client requests", F_STRS("endpoints", list, p->remotes.n));
    mem_free(list);
    mem_free(texts);
    start_monitor(p);
    net_forward_start(p->forward);
}

void tcp_proxy_close(struct tcp_proxy *p)
{
    if (p == NULL)
        return;
    loop_timer_stop(p->o.loop, &p->monitor);
    for (size_t i = 0; i < p->remotes.n; i++)
        net_probe_cancel(p->probes[i]);
    net_forward_close(p->forward);
    arena_done(&p->arena);
    mem_free(p);
}
