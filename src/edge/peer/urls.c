/* urls.c -- the URLs of a member: clients for each, and which of them is in use. */
#include "base/alloc.h"
#include "edge/peer/peer_int.h"

static struct http_client *tcp_client(struct loop *l, const char *rest,
                                      struct http_client_options *o)
{
    const char *colon = strrchr(rest, ':');
    char host[256];
    size_t n;

    if (colon == NULL)
        return NULL;
    n = (size_t) (colon - rest);
    if (n >= 2 && rest[0] == '[' && rest[n - 1] == ']') {
        rest++;
        n -= 2;
    }
    if (n == 0 || n >= sizeof host)
        return NULL;
    memcpy(host, rest, n);
    host[n] = '\0';
    o->host = host;
    o->port = (uint16_t) strtoul(colon + 1, NULL, 10);
    return http_client_new(l, o);
}

/* "https://host:port", "unix://name:port": what members may have was checked when they were added.
 * NULL: it cannot be spoken to. */
struct http_client *peer__client_new(struct loop *l, const char *url, struct tls *tls,
                                     int64_t dial_timeout_ms)
{
    static const struct tls_options nothing_said;
    struct http_client_options o = {.connect_timeout_ms = dial_timeout_ms};
    const char *rest = strstr(url, "://");
    bool secure = strncmp(url, "https:", 6) == 0 || strncmp(url, "unixs:", 6) == 0;
    struct http_client *c;

    if (rest == NULL)
        return NULL;
    if (secure && tls != NULL)
        o.tls = tls_ref(tls);
    else if (secure && tls_new(&nothing_said, &o.tls, NULL) != 0)
        return NULL;
    if (strncmp(url, "unix", 4) == 0) {
        o.unix_path = rest + 3;
        c = http_client_new(l, &o);
    } else {
        c = tcp_client(l, rest + 3, &o);
    }
    tls_unref(o.tls);
    return c;
}

/* What ends with the clients finds none that it could use next. */
void peer__urls_free(struct peer *p)
{
    struct http_client **clients = p->clients;
    size_t n = p->urls_n;

    p->clients = NULL;
    p->urls_n = p->url = 0;
    for (size_t i = 0; i < n; i++) {
        http_client_free(clients[i]);
        mem_free(p->urls[i]);
    }
    mem_free(p->urls);
    mem_free(clients);
    p->urls = NULL;
}

void peer__urls_set(struct peer *p, const struct cluster_strings *urls)
{
    size_t n = MIN(urls->n, (size_t) PEER_URLS_MAX);

    peer__urls_free(p);
    p->urls = xmem_calloc(n + 1, sizeof *p->urls);
    p->clients = xmem_calloc(n + 1, sizeof *p->clients);
    for (size_t i = 0; i < n; i++) {
        p->urls[i] = xmem_strdup(urls->v[i]);
        p->clients[i] = peer__client_new(p->ps->loop, urls->v[i], p->ps->o.tls,
                                         p->ps->o.dial_timeout_ms);
        if (p->clients[i] == NULL)
            LOG_WARN(p->ps->o.log, "peer URL cannot be reached by this version",
                     F_STR("remote-peer-id", p->hex), F_STR("url", urls->v[i]));
    }
    p->urls_n = n;
}

bool peer__urls_same(const struct peer *p, const struct cluster_strings *urls)
{
    if (p->urls_n != MIN(urls->n, (size_t) PEER_URLS_MAX))
        return false;
    for (size_t i = 0; i < p->urls_n; i++) {
        if (strcmp(p->urls[i], urls->v[i]) != 0)
            return false;
    }
    return true;
}

struct http_client *peer__client(struct peer *p)
{
    return p->urls_n == 0 ? NULL : p->clients[p->url];
}

void peer__url_failed(struct peer *p, size_t url)
{
    if (url == p->url && p->urls_n > 0)
        p->url = (p->url + 1) % p->urls_n;
}
