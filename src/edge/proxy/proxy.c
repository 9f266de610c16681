/* proxy.c -- putting the parts together, and taking them apart. */
#include "edge/proxy/proxy_int.h"
#include "sys/random.h"

static void metrics_register(struct proxy *p)
{
    struct metrics *m = p->options.metrics;

    p->m.watchers_coalescing = metrics_gauge(m, "etcd_grpc_proxy_watchers_coalescing_total",
                                             "Total number of current watchers coalescing");
    p->m.events_coalescing = metrics_counter(m, "etcd_grpc_proxy_events_coalescing_total",
                                             "Total number of events coalescing");
    metrics_gauge(m, "etcd_grpc_proxy_cache_keys_total", "Total number of keys/ranges cached");
    metrics_gauge(m, "etcd_grpc_proxy_cache_hits_total", "Total number of cache hits");
    metrics_gauge(m, "etcd_grpc_proxy_cache_misses_total", "Total number of cache misses");
}

static int open_upstream(struct proxy *p, struct err *e)
{
    const struct proxy_options *o = &p->options;
    struct upstream_options up = {.loop = p->loop,
                                  .endpoints = o->endpoints,
                                  .endpoints_n = o->endpoints_n,
                                  .tls = o->dial_tls,
                                  .keepalive_time_ms = o->dial_keepalive_time_ms,
                                  .keepalive_timeout_ms = o->dial_keepalive_timeout_ms,
                                  .keepalive_without_calls = o->dial_keepalive_without_calls,
                                  .response_bytes_max = o->response_bytes_max};

    if (o->endpoints_n == 0)
        return err_set(e, ERR_INVALID, "etcdclient: no available endpoints");
    return upstream_new(&up, &p->up, e);
}

/* The proxy's own address, to look at its health from outside. */
static int open_self(struct proxy *p, struct err *e)
{
    struct upstream_options up = {.loop = p->loop,
                                  .endpoints = &p->options.advertise_url,
                                  .endpoints_n = 1,
                                  .tls = p->options.self_tls};

    return p->options.advertise_url[0] == 0 ? 0 : upstream_new(&up, &p->self, e);
}

static int open_server(struct proxy *p, struct err *e)
{
    struct net_server_options o = {.loops = &p->loop,
                                   .loops_n = 1,
                                   .limits = p->options.limits,
                                   .http = pages__serve,
                                   .http_user = p};
    int rc;

    o.limits.recv_message_bytes_max = PROXY_RECV_BYTES_MAX;
    o.limits.call_arena_bytes_max = PROXY_CALL_BYTES_MAX;
    methods__hooks(p, &o.hooks);
    rc = net_server_new(&o, &p->server, e);
    return rc == 0 ? methods__add(p, e) : rc;
}

int proxy_new(const struct proxy_options *o, struct proxy **ret, struct err *e)
{
    struct proxy *p = xmem_calloc(1, sizeof *p);
    int rc;

    p->options = *o;
    p->loop = o->loop;
    p->log = o->log;
    p->prefix = bytes_str(o->name_space);
    list_init(&p->sources);
    list_init(&p->probes);
    list_init(&p->pages);
    p->seed[0] = random_u64(random_posix());
    p->seed[1] = random_u64(random_posix());
    metrics_register(p);
    rc = open_upstream(p, e);
    if (rc == 0)
        rc = open_self(p, e);
    if (rc == 0)
        rc = open_server(p, e);
    if (rc != 0) {
        proxy_free(p);
        return rc;
    }
    *ret = p;
    return 0;
}

int proxy_listen(struct proxy *p, const struct net_listen *where, struct err *e)
{
    return net_server_listen(p->server, where, NULL, e);
}

int proxy_listen_pages(struct proxy *p, const struct net_listen *where, struct err *e)
{
    struct net_listen pages = *where;

    pages.serves = NET_SERVES_HTTP | NET_SERVES_HTTP2;
    return net_server_listen(p->server, &pages, NULL, e);
}

void proxy_start(struct proxy *p)
{
    net_server_start(p->server);
    sync__start(p);
    register__start(p);
    p->started = true;
}

void proxy_stop(struct proxy *p, int64_t grace_ms, void (*done)(void *user), void *user)
{
    net_server_stop(p->server, grace_ms, done, user);
    pages__close(p);
    health__close(p);
    if (p->stopping)
        return;
    p->stopping = true;
    sync__stop(p);
    register__stop(p);
}

void proxy_free(struct proxy *p)
{
    if (p == NULL)
        return;
    upstream_close(p->self);
    upstream_close(p->up);
    net_server_free(p->server);
    if (p->started) {
        sync__done(p);
        register__done(p);
    }
    ASSERT(list_empty(&p->sources));
    upstream_free(p->self);
    upstream_free(p->up);
    mem_free(p);
}
