/* From configuration to listeners: who serves what, and under which limits. */
#include "edge/server/listen.h"
#include "edge/server/goparse.h"
#include "edge/server/permit.h"
#include "edge/server/security.h"
#include "engine/net/url.h"

#define ARENA_BYTES_MIN (16u << 20)

static void limits_of(const struct config *c, struct net_limits *l)
{
    uint64_t request = MIN(c->max_request_bytes, (uint64_t) 1 << 30);

    net_limits_default(l);
    l->recv_message_bytes_max = (uint32_t) request + (512u << 10);
    /* Room for the message, its decoded form, and an answer of that order. */
    /* One message of the greatest size, whatever else comes at the same time. */
    l->conn_held_bytes_max = MAX(l->conn_held_bytes_max, (size_t) l->recv_message_bytes_max);
    l->server_held_bytes_max = MAX(l->server_held_bytes_max,
                                   2 * (size_t) l->recv_message_bytes_max);
    l->server_kept_bytes_max = MAX(l->server_kept_bytes_max,
                                   4 * (size_t) l->recv_message_bytes_max);
    l->call_arena_bytes_max = MAX((size_t) ARENA_BYTES_MIN, (size_t) request * 8);
    l->concurrent_streams_max = c->max_concurrent_streams == 0 /* as for grpc-go: no limit */
                                    ? UINT32_MAX
                                    : (uint32_t) c->max_concurrent_streams;
    l->keepalive_enforced = c->grpc_keepalive_min_time > 0;
    l->keepalive_min_ms = c->grpc_keepalive_min_time / 1000000;
    if (c->grpc_keepalive_interval > 0)
        l->keepalive_interval_ms = c->grpc_keepalive_interval / 1000000;
    if (c->grpc_keepalive_timeout > 0)
        l->keepalive_timeout_ms = c->grpc_keepalive_timeout / 1000000;
}

/* Where the same place is asked for with and without TLS, one listener takes both. */
static bool asked_for_otherwise(const struct strings *urls, const char *text)
{
    const char *place = strchr(text, ':');
    bool tls = security_wanted(text);

    for (size_t i = 0; i < urls->n; i++) {
        if (security_wanted(urls->v[i]) != tls && strcmp(strchr(urls->v[i], ':'), place) == 0)
            return true;
    }
    return false;
}

static int listen_one(struct net_server *n, const struct config *c, const struct strings *urls,
                      const char *text, unsigned serves, struct tls *tls, struct arena *a,
                      uint16_t *ret_port, struct err *e)
{
    struct net_listen where = {.serves = serves, .reuse_port = c->socket_reuse_port};
    bool both = asked_for_otherwise(urls, text);
    struct url u;
    uint64_t port;
    int rc = url_parse(text, a, &u, e);

    if (rc != 0)
        return rc;
    if (security_wanted(text)) {
        where.tls = tls;
        where.or_cleartext = both;
        if ((serves & NET_SERVES_HTTP) != 0)
            where.serves |= NET_SERVES_HTTP2;
    } else if (both) {
        return 0; /* the other of the two URLs brings it */
    }
    if (strncmp(u.scheme, "unix", 4) == 0) {
        where.unix_path = u.host;
    } else {
        rc = go_uint_parse(*u.port == 0 ? "0" : u.port, UINT16_MAX, &port, e);
        if (rc != 0)
            return err_wrap(e, rc, "listen on %s", text);
        where.host = u.host;
        where.port = (uint16_t) port;
    }
    return net_server_listen(n, &where, ret_port, e);
}

static int listen_all(struct net_server *n, const struct config *c, const struct strings *urls,
                      unsigned serves, struct tls *tls, uint16_t *ret_port, struct err *e)
{
    struct arena a;
    int rc = 0;

    arena_init(&a, 1u << 20);
    for (size_t i = 0; i < urls->n && rc == 0; i++)
        rc = listen_one(n, c, urls, urls->v[i], serves, tls, &a, i == 0 ? ret_port : NULL, e);
    arena_done(&a);
    return rc;
}

/* The first URL that asks for TLS, or NULL. */
static const char *secure_one(const struct strings *urls)
{
    for (size_t i = 0; i < urls->n; i++) {
        if (security_wanted(urls->v[i]))
            return urls->v[i];
    }
    return NULL;
}

/* With listeners of their own for HTTP, the others serve gRPC alone; no URL may be in both lists.
 */
static int listen_clients(struct server *s, struct tls *tls, struct err *e)
{
    const struct strings *both = &s->config->listen_client_urls;
    const struct strings *http = &s->config->listen_client_http_urls;
    unsigned also = http->n == 0 ? NET_SERVES_HTTP : 0;
    uint16_t ignored;
    int rc;

    for (size_t i = 0; i < http->n; i++) {
        for (size_t k = 0; k < both->n; k++) {
            if (strcmp(http->v[i], both->v[k]) == 0)
                return err_set(e, ERR_INVALID,
                               "cannot bind both --listen-client-urls and "
                               "--listen-client-http-urls on the same url %s",
                               http->v[i]);
        }
    }
    rc = listen_all(s->clients, s->config, both, NET_SERVES_GRPC | also, tls, &s->client_port, e);
    return rc != 0 ? rc
                   : listen_all(s->clients, s->config, http, NET_SERVES_HTTP, tls, &ignored, e);
}

static int open_clients(struct server *s, const struct net_server_options *o, struct err *e)
{
    const char *secure = secure_one(&s->config->listen_client_urls);
    struct tls *tls = NULL;
    int rc = 0;

    if (secure == NULL)
        secure = secure_one(&s->config->listen_client_http_urls);
    if (secure != NULL)
        rc = security_server(&s->security, false, &tls, e);
    if (rc == 0 && secure != NULL && tls == NULL)
        rc = err_set(e, ERR_INVALID,
                     "TLS key/cert (--cert-file, --key-file) must be provided for client url %s "
                     "with HTTPS scheme",
                     secure);
    if (rc == 0)
        rc = net_server_new(o, &s->clients, e);
    if (rc == 0)
        rc = services_add(s, e);
    if (rc == 0)
        rc = listen_clients(s, tls, e);
    tls_unref(tls);
    return rc;
}

static int open_pages(struct server *s, const struct net_server_options *o, struct err *e)
{
    const char *secure = secure_one(&s->config->listen_metrics_urls);
    struct tls *tls = NULL;
    uint16_t ignored;
    int rc = secure == NULL ? 0 : security_server(&s->security, true, &tls, e);

    if (rc == 0 && secure != NULL && tls == NULL)
        rc = err_set(e, ERR_INVALID,
                     "client TLS key/cert (--cert-file, --key-file) must be provided for metrics "
                     "secure url");
    if (rc == 0)
        rc = net_server_new(o, &s->pages, e);
    if (rc == 0)
        rc = listen_all(s->pages, s->config, &s->config->listen_metrics_urls,
                        NET_SERVES_GRPC | NET_SERVES_HTTP, tls, &ignored, e);
    tls_unref(tls);
    return rc;
}

int listen_open(struct server *s, struct err *e)
{
    struct loop *loops[SERVER_IO_THREADS_MAX];
    struct net_server_options o = {.loops = loops,
                                   .loops_n = s->ios_n,
                                   .hooks = {intercept_begin, intercept_end, s},
                                   .http = pages_client,
                                   .http_user = s,
                                   .rejected = security_rejected,
                                   .rejected_user = &s->security,
                                   .share = &s->client_share};
    struct net_shares shares;
    int rc = net_shares_now(&shares, e);

    if (rc != 0)
        return rc;
    s->client_share.max = shares.clients;
    s->page_share.max = shares.pages;
    limits_of(s->config, &o.limits);
    for (size_t i = 0; i < s->ios_n; i++)
        loops[i] = s->ios[i].loop;
    rc = security_open(&s->security, s->config, false, s->log, e);
    if (rc == 0)
        rc = open_clients(s, &o, e);
    if (rc != 0 || s->config->listen_metrics_urls.n == 0)
        return rc;
    o.loops_n = 1;
    o.share = &s->page_share;
    o.idle_yield = true;
    o.http = pages_metrics;
    return open_pages(s, &o, e);
}

int services_add(struct server *s, struct err *e)
{
    const struct {
        const struct net_method *rows;
        size_t n;
    } tables[] = {
        {kv_methods, kv_methods_n},
        {watch_methods, watch_methods_n},
        {lease_methods, lease_methods_n},
        {cluster_methods, cluster_methods_n},
        {maintenance_methods, maintenance_methods_n},
        {auth_methods, auth_methods_n},
        {health_methods, health_methods_n},
        {lock_methods, lock_methods_n},
        {election_methods, election_methods_n},
    };
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        for (size_t k = 0; k < tables[i].n; k++, n++) {
            struct net_method m = tables[i].rows[k];
            bool stream = m.tag == METHOD_KV_RANGE_STREAM;

            ASSERT(n < METHODS_N);
            ASSERT(m.kind == methods[m.tag].kind);
            m.path = methods[m.tag].path;
            permit_gate_install(s, &m);
            s->table[n] = m;
            /* RangeStream came with 3.7: an older member does not know it. */
            if (stream && strcmp(s->config->emulated_version, "3.7") != 0)
                n--;
        }
    }
    rc = net_server_add(s->clients, s->table, n, s, e);
    return rc;
}
