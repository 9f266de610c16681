/* gateway_endpoints.c -- where the gateway hands connections on to: --discovery-srv, else
 * --endpoints. */
#include <ctype.h>
#include <ketch/client.h>

#include "cli/text.h"
#include "engine/net/forward.h"
#include "engine/net/loop.h"
#include "engine/net/tls.h"
#include "etcd/gateway_int.h"
#include "etcd/host_port.h"

/* etcd's time for a look whether a discovered endpoint is there. */
#define VALIDATE_MS 5000

#define ERRORS_BYTES_MAX ((size_t) 1 << 20)

/* ---- from DNS ---- */

/* Names as DNS has them, with their dot at the end: so etcd shows them. */
static void on_found(const struct ketch_discovered *d, void *user)
{
    struct gateway *g = user;
    struct arena *a = &g->call->arena;
    const char *host = arena_dup(a, d->host, strlen(d->host) + 1);
    const char *shown = arena_printf(a, "%s.", d->host);
    const char *text = arena_printf(a, "%s://%s.:%u", d->https ? "https" : "http", d->host,
                                    d->port);

    if (host == NULL || shown == NULL || text == NULL || g->endpoints_n == GATEWAY_ENDPOINTS_MAX)
        return;
    g->endpoints[g->endpoints_n] = (struct tcp_endpoint){.host = host,
                                                         .shown = shown,
                                                         .port = d->port,
                                                         .priority = d->priority,
                                                         .weight = d->weight};
    g->texts[g->endpoints_n++] = text;
}

/* ---- are they secure, and there? ---- */

struct look {
    bool done;
    char why[512]; /* "": it takes connections */
};

static void on_looked(void *user, size_t id, const char *why)
{
    struct look *l = user;

    (void) id;
    snprintf(l->why, sizeof l->why, "%s", why == NULL ? "" : why);
    l->done = true;
}

static bool is_valid(struct gateway *g, size_t i, struct buf *errors)
{
    struct net_target target = {.host = g->endpoints[i].host, .port = g->endpoints[i].port};
    struct look look = {.why = "out of memory"};
    bool secure = strncmp(g->texts[i], "https://", 8) == 0;

    if (secure && net_probe(g->loop, &target, VALIDATE_MS, on_looked, &look) != NULL)
        loop_run_until(g->loop, &look.done);
    if (secure && look.why[0] == 0)
        return true;
    if (errors->len > 0)
        buf_add_char(errors, ',');
    text_quote(errors, bytes_str(g->texts[i]));
    if (secure)
        buf_printf(errors, " failed to dial (%s)", look.why);
    else
        buf_add_str(errors, " is insecure");
    return false;
}

static bool has_authorities(const struct gateway *g, struct buf *errors)
{
    struct tls_options o = {.ca_file = cli_string(g->call, "trusted-ca-file")};
    struct err e = ERR_INIT;
    struct tls *tls = NULL;
    bool ok = tls_new(&o, &tls, &e) == 0;

    if (!ok)
        buf_add_str(errors, e.msg);
    tls_unref(tls);
    return ok;
}

static void keep_valid(struct gateway *g, struct buf *errors)
{
    size_t kept = 0;

    for (size_t i = 0; i < g->endpoints_n; i++) {
        if (!is_valid(g, i, errors))
            continue;
        g->endpoints[kept] = g->endpoints[i];
        g->texts[kept++] = g->texts[i];
    }
    g->endpoints_n = kept;
}

/* Takes those out that do not use TLS or cannot be reached. */
static void validate(struct gateway *g, const char *domain)
{
    struct buf errors;

    buf_init(&errors, ERRORS_BYTES_MAX);
    LOG_INFO(g->log, "validating discovered SRV endpoints", F_STR("srv-server", domain),
             F_STRS("endpoints", g->texts, g->endpoints_n));
    if (has_authorities(g, &errors))
        keep_valid(g, &errors);
    else
        g->endpoints_n = 0;
    if (errors.len > 0)
        LOG_WARN(g->log, "failed to validate discovered endpoints", F_STR("srv-server", domain),
                 F_STRS("endpoints", g->texts, g->endpoints_n), F_STR("error", buf_cstr(&errors)));
    else
        LOG_INFO(g->log, "using validated discovered SRV endpoints", F_STR("srv-server", domain),
                 F_STRS("endpoints", g->texts, g->endpoints_n));
    buf_done(&errors);
}

static int discover(struct gateway *g, const char *domain)
{
    const char *suffix = cli_string(g->call, "discovery-srv-name");
    struct ketch_error e;

    if (ketch_discover(domain, suffix, on_found, g, &e) != KETCH_OK) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    LOG_INFO(g->log, "discovered cluster from SRV", F_STR("srv-server", domain),
             F_STRS("endpoints", g->texts, g->endpoints_n));
    if (!cli_bool(g->call, "insecure-discovery"))
        validate(g, domain);
    return 0;
}

/* ---- from the command line ---- */

/* The length of "SCHEME:" in front of "//", or 0 where there is no scheme. */
static size_t scheme_bytes(const char *s)
{
    size_t n = 0;

    while (isalnum((unsigned char) s[n]) || (s[n] != 0 && strchr("+-.", s[n]) != NULL))
        n++;
    return isalpha((unsigned char) s[0]) && s[n] == ':' ? n + 1 : 0;
}

/* The last colon that is not within brackets has digits behind it, or there is none. */
static bool port_is_number(struct bytes authority)
{
    size_t n = authority.n;

    while (n > 0 && isdigit(authority.p[n - 1]))
        n--;
    return n == 0 || authority.p[n - 1] == ':' || memchr(authority.p, ':', authority.n) == NULL ||
           authority.p[authority.n - 1] == ']';
}

/* Host and port of what Go takes for a URL with a host; anything else as it is. */
static struct bytes without_scheme(const char *s)
{
    const char *p = s + scheme_bytes(s);
    const char *end, *at;

    if (strncmp(p, "//", 2) != 0)
        return bytes_str(s);
    p += 2;
    end = p + strcspn(p, "/?#");
    while ((at = memchr(p, '@', (size_t) (end - p))) != NULL)
        p = at + 1; /* behind user and password */
    if (p == end || !port_is_number(bytes_of(p, (size_t) (end - p))))
        return bytes_str(s);
    return bytes_of(p, (size_t) (end - p));
}

/* As fmt.Sscanf reads %d into 16 bits: the digits at the front; none or too many give 0. */
static uint16_t port_of(const char *s)
{
    uint32_t n = 0;

    for (; isdigit((unsigned char) *s) && n <= UINT16_MAX; s++)
        n = n * 10 + (uint32_t) (*s - '0');
    return n > UINT16_MAX ? 0 : (uint16_t) n;
}

static int add_given(struct gateway *g, const char *given)
{
    struct bytes s = without_scheme(given);
    const char *text = arena_printf(&g->call->arena, "%.*s", (int) s.n, (const char *) s.p);
    struct host_port hp;
    struct buf quoted;

    if (text != NULL && host_port_split(text, &g->call->arena, &hp, NULL) == 0) {
        g->endpoints[g->endpoints_n++] = (struct tcp_endpoint){
            .host = hp.host, .shown = hp.host, .port = port_of(hp.port)};
        return 0;
    }
    buf_init(&quoted, ERRORS_BYTES_MAX);
    buf_add_str(&quoted, "error parsing endpoint ");
    text_quote(&quoted, bytes_str(text == NULL ? given : text));
    cli_write(stdout, &quoted);
    buf_done(&quoted);
    return 1;
}

int gateway_endpoints(struct gateway *g)
{
    const struct cli_value *given = cli_value(g->call, "endpoints");
    const char *domain = cli_string(g->call, "discovery-srv");
    int rc = domain[0] == 0 ? 0 : discover(g, domain);

    if (rc != 0 || g->endpoints_n > 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < MIN(given->list_count, (size_t) GATEWAY_ENDPOINTS_MAX); i++)
        rc = add_given(g, given->list[i]);
    return rc;
}
