#define _GNU_SOURCE
#include "engine/net/same_urls.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include "base/buf.h"
#include "engine/net/addr.h"
#include "obs/log.h"

#define RETRY_MS 1000
#define NS_PER_MS 1000000
#define LIST_BYTES_MAX ((size_t) 1 << 16)

/* A URL taken apart: text[host_at, +host_n) is "name:port". */
struct parts {
    const char *text;
    size_t host_at;
    size_t host_n;
    char name[NET_HOST_BYTES];
    uint16_t port;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory");
}

/* False: there is nothing to look up. */
static bool take_apart(const char *url, struct parts *ret)
{
    const char *host = strstr(url, "://"), *colon;
    size_t name_n;

    if (host == NULL || strncmp(url, "unix", 4) == 0)
        return false;
    host += 3;
    *ret = (struct parts){
        .text = url, .host_at = (size_t) (host - url), .host_n = strcspn(host, "/?#")};
    colon = memrchr(host, ':', ret->host_n);
    if (colon == NULL)
        return false;
    name_n = (size_t) (colon - host);
    if (host[0] == '[' && name_n >= 2)
        snprintf(ret->name, sizeof ret->name, "%.*s", (int) name_n - 2, host + 1);
    else
        snprintf(ret->name, sizeof ret->name, "%.*s", (int) name_n, host);
    ret->port = (uint16_t) strtoul(colon + 1, NULL, 10);
    return strcmp(ret->name, "localhost") != 0;
}

/* The first address, "10.0.0.1:2380".  NULL, or why there is none. */
static const char *address_of(const struct parts *p, char ret[ADDR_TEXT_BYTES])
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    struct addr a = {0};
    int rc = getaddrinfo(p->name, NULL, &hints, &list);

    if (rc != 0)
        return rc == EAI_NONAME ? "no such host" : gai_strerror(rc);
    memcpy(&a.sa, list->ai_addr, list->ai_addrlen);
    a.len = list->ai_addrlen;
    freeaddrinfo(list);
    addr__set_port(&a, p->port);
    addr__text((const struct sockaddr *) &a.sa, ret);
    return NULL;
}

static void pause_ms(int64_t ms)
{
    struct timespec t = {ms / 1000, (long) (ms % 1000) * NS_PER_MS};

    while (nanosleep(&t, &t) != 0)
        ;
}

/* Asks until there is an address, or the time is over. */
static int wait_for_address(const struct parts *p, mono_ns until, struct log *log,
                            char ret[ADDR_TEXT_BYTES], struct err *e)
{
    struct bytes host = bytes_of(p->text + p->host_at, p->host_n);

    for (;;) {
        const char *why = address_of(p, ret);
        /* Rounded up: the time is over when all of it is. */
        int64_t left_ms = (until - clock_mono_ns(clock_posix()) + NS_PER_MS - 1) / NS_PER_MS;
        char text[NET_HOST_BYTES + 64];

        if (why == NULL) {
            LOG_INFO(log, "resolved URL Host", F_STR("url", p->text), F_BYTES("host", host),
                     F_STR("resolved-addr", ret));
            return 0;
        }
        snprintf(text, sizeof text, "lookup %s: %s", p->name, why);
        LOG_WARN(log,
                 left_ms <= 0 ? "failed to resolve URL Host; returning"
                              : "failed to resolve URL Host",
                 F_STR("url", p->text), F_BYTES("host", host), F_MS("retry-interval", RETRY_MS),
                 F_STR("error", text));
        if (left_ms <= 0)
            return err_set(e, ERR_INVALID, "failed to resolve \"%s\" (%s)", p->text, text);
        pause_ms(MIN(left_ms, RETRY_MS));
    }
}

static int resolve_all(struct net_urls x, mono_ns until, struct log *log, struct arena *mem,
                       struct net_urls *ret, struct err *e)
{
    const char **v = arena_calloc(mem, x.n + 1, sizeof *v);

    if (v == NULL)
        return no_memory(e);
    for (size_t i = 0; i < x.n; i++) {
        char address[ADDR_TEXT_BYTES];
        struct parts p;
        int rc;

        v[i] = x.v[i];
        if (!take_apart(x.v[i], &p))
            continue;
        rc = wait_for_address(&p, until, log, address, e);
        if (rc != 0)
            return rc;
        v[i] = arena_printf(mem, "%.*s%s%s", (int) p.host_at, p.text, address,
                            p.text + p.host_at + p.host_n);
        if (v[i] == NULL)
            return no_memory(e);
    }
    *ret = (struct net_urls){v, x.n};
    return 0;
}

/* ---- comparing ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

const char **net_urls_sorted(struct net_urls x, struct arena *mem)
{
    const char **v = arena_calloc(mem, x.n + 1, sizeof *v);

    for (size_t i = 0; v != NULL && i < x.n; i++)
        v[i] = x.v[i];
    if (v != NULL)
        qsort(v, x.n, sizeof *v, by_text);
    return v;
}

/* The first place where they differ; n: nowhere. */
static size_t difference(const char **a, const char **b, size_t n)
{
    size_t i = 0;

    while (i < n && strcmp(a[i], b[i]) == 0)
        i++;
    return i;
}

bool net_same_texts(struct net_urls a, struct net_urls b, struct arena *mem)
{
    const char **p = net_urls_sorted(a, mem), **q = net_urls_sorted(b, mem);

    return p != NULL && q != NULL && a.n == b.n && difference(p, q, a.n) == a.n;
}

static void put_list(struct buf *out, const char **v, size_t n)
{
    buf_add_str(out, "len([");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s\"%s\"", i == 0 ? "" : " ", v[i]);
    buf_add_str(out, "])");
}

static int other_number(const char **a, size_t a_n, const char **b, size_t b_n, struct err *e)
{
    struct buf text;

    buf_init(&text, LIST_BYTES_MAX);
    put_list(&text, a, a_n);
    buf_add_str(&text, " != ");
    put_list(&text, b, b_n);
    err_set(e, ERR_INVALID, "%s", buf_cstr(&text));
    buf_done(&text);
    return ERR_INVALID;
}

int net_same_urls(struct net_urls a, struct net_urls b, mono_ns until, struct log *log,
                  struct arena *mem, struct err *e)
{
    const char **p = net_urls_sorted(a, mem), **q = net_urls_sorted(b, mem);
    struct net_urls x, y;
    size_t at;
    int rc;

    if (p == NULL || q == NULL)
        return no_memory(e);
    if (a.n != b.n)
        return other_number(p, a.n, q, b.n, e);
    if (difference(p, q, a.n) == a.n)
        return 0;
    rc = resolve_all((struct net_urls){p, a.n}, until, log, mem, &x, e);
    if (rc == 0)
        rc = resolve_all((struct net_urls){q, b.n}, until, log, mem, &y, e);
    if (rc != 0)
        return rc;
    p = net_urls_sorted(x, mem);
    q = net_urls_sorted(y, mem);
    if (p == NULL || q == NULL)
        return no_memory(e);
    at = difference(p, q, a.n);
    return at == a.n ? 0 : err_set(e, ERR_INVALID, "resolved urls: \"%s\" != \"%s\"", p[at], q[at]);
}
