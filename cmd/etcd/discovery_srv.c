/* discovery_srv.c -- the initial cluster from SRV records (etcd's srv.go and embed/config.go).
 *
 * _etcd-server-ssl._tcp.DOMAIN names members that speak https, _etcd-server._tcp.DOMAIN those that
 * speak http; --discovery-srv-name is appended to the services.  The record that leads to one of
 * this member's own peer URLs gets its name, the others are 0, 1, 2 ... */
#define _POSIX_C_SOURCE 200809L
#include <netdb.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "engine/net/srv.h"
#include "engine/net/url.h"
#include "etcd/discovery.h"

#define TEXT_BYTES_MAX ((size_t) 1 << 20)
#define ADDRESS_BYTES 64

struct search {
    struct config *c;
    struct log *log;
    struct buf found;    /* "name=url,name=url" */
    struct buf failures; /* a line for each service that gave nothing */
    bool has_self;
};

/* "127.0.0.1:2380" of a host and a port, as Go's ResolveTCPAddr has it: IPv4 if there is any. */
static bool resolve(const char *host, const char *port, char ret[ADDRESS_BYTES])
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL, *best;
    char ip[ADDRESS_BYTES - 8];
    bool ok = getaddrinfo(host, port, &hints, &list) == 0 && list != NULL;

    best = list;
    for (struct addrinfo *x = list; x != NULL && best->ai_family != AF_INET; x = x->ai_next) {
        if (x->ai_family == AF_INET)
            best = x;
    }
    ok = ok &&
         getnameinfo(best->ai_addr, best->ai_addrlen, ip, sizeof ip, NULL, 0, NI_NUMERICHOST) == 0;
    if (ok)
        snprintf(ret, ADDRESS_BYTES, "%s:%s", ip, port);
    if (list != NULL)
        freeaddrinfo(list);
    return ok;
}

/* The own peer URL with this address; false: none. */
static bool own_url(struct search *s, const char *address, struct url *ret)
{
    const struct strings *urls = &s->c->initial_advertise_peer_urls;
    char own[ADDRESS_BYTES];

    for (size_t i = 0; i < urls->n; i++) {
        if (url_parse(urls->v[i], &s->c->arena, ret, NULL) == 0 &&
            resolve(ret->host, ret->port, own) && strcmp(own, address) == 0)
            return true;
    }
    return false;
}

static void failed(struct search *s, const char *service, const char *why)
{
    buf_printf(&s->failures, "%serror querying DNS SRV records for _%s %s",
               s->failures.len == 0 ? "" : "\n", service, why);
}

/* One record.  *nameless counts those without a name of their own. */
static void take(struct search *s, const struct net_srv *r, const char *scheme, unsigned *nameless)
{
    char port[8], address[ADDRESS_BYTES];
    struct url own;

    snprintf(port, sizeof port, "%u", r->port);
    if (!resolve(r->target, port, address)) {
        LOG_WARN(s->log, "failed to resolve a host of the SRV records", F_STR("host", r->target));
        return;
    }
    if (own_url(s, address, &own)) {
        if (strcmp(own.scheme, scheme) != 0) {
            LOG_WARN(s->log, "the scheme of an SRV record is not that of this member's peer URL",
                     F_STR("host", r->target), F_STR("scheme", scheme), F_STR("url", own.text));
            return;
        }
        s->has_self = true;
        buf_printf(&s->found, "%s%s=", s->found.len == 0 ? "" : ",", s->c->name);
    } else {
        buf_printf(&s->found, "%s%u=", s->found.len == 0 ? "" : ",", (*nameless)++);
    }
    buf_printf(&s->found, "%s://%s:%s", scheme, r->target, port);
}

static void look_up(struct search *s, const char *kind, const char *scheme)
{
    const char *suffix = s->c->discovery_srv_name;
    char service[NET_SRV_NAME_BYTES_MAX / 2], name[NET_SRV_NAME_BYTES_MAX], why[1400];
    size_t before = s->found.len;
    struct net_srv_answer ans;
    unsigned nameless = 0;

    snprintf(service, sizeof service, "%s%s%s", kind, *suffix == 0 ? "" : "-", suffix);
    snprintf(name, sizeof name, "_%s._tcp.%s", service, s->c->discovery_srv);
    net_srv_look_up(name, &s->c->arena, &ans);
    for (size_t i = 0; i < ans.n; i++)
        take(s, &ans.v[i], scheme, &nameless);
    snprintf(why, sizeof why, "lookup %s on %s: %s", name, ans.server,
             ans.error != NULL ? ans.error : "no host can be resolved");
    if (s->found.len == before)
        failed(s, service, why);
    LOG_INFO(s->log, "get cluster for etcd-server SRV", F_STR("service-scheme", scheme),
             F_STR("service-name", service), F_STR("server-name", s->c->name),
             F_STR("discovery-srv", s->c->discovery_srv),
             F_STR("found-cluster", buf_cstr(&s->found) + before),
             F_STR("error", s->found.len == before ? why : ""));
}

static int use(struct search *s, struct err *e)
{
    struct config *c = s->c;

    if (s->failures.len > 0)
        LOG_WARN(s->log, "failed to resolve during SRV discovery",
                 F_STR("error", buf_cstr(&s->failures)));
    if (s->found.len == 0)
        return err_set(e, ERR_NOT_FOUND, "error setting up initial cluster: %s",
                       buf_cstr(&s->failures));
    LOG_INFO(s->log, "got bootstrap from DNS for etcd-server", F_STR("node", buf_cstr(&s->found)));
    if (!s->has_self)
        return err_set(e, ERR_NOT_FOUND,
                       "error setting up initial cluster: cannot find local etcd member \"%s\" in "
                       "SRV records",
                       c->name);
    c->initial_cluster = arena_dup(&c->arena, buf_cstr(&s->found), s->found.len + 1);
    return c->initial_cluster == NULL ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

int discover_by_dns(struct config *c, struct log *log, struct err *e)
{
    struct search s = {.c = c, .log = log};
    int rc;

    buf_init(&s.found, TEXT_BYTES_MAX);
    buf_init(&s.failures, TEXT_BYTES_MAX);
    look_up(&s, "etcd-server-ssl", "https");
    look_up(&s, "etcd-server", "http");
    rc = use(&s, e);
    buf_done(&s.found);
    buf_done(&s.failures);
    return rc;
}
