/* discovery.c -- endpoints from DNS: --discovery-srv.
 *
 * SRV records (RFC 2782) of two services name them: _etcd-client-ssl._tcp for https,
 * _etcd-client._tcp for http.  One of the two is enough.
 */
#define _DEFAULT_SOURCE /* resolv.h */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>

/* sys/param.h, which the above bring along, has them too. */
#undef MIN
#undef MAX

#include "cli/text.h"
#include "etcdctl/ctl.h"

#define ANSWER_BYTES_MAX 65535 /* of DNS over TCP */
#define NAME_BYTES_MAX 1100    /* a domain of 1,025 bytes, and the service before it */
#define SRV_FIXED_BYTES 6      /* priority, weight, port; then the target */

struct record {
    uint16_t priority;
    uint16_t port;
    char target[NS_MAXDNAME];
};

struct lookup {
    char name[NAME_BYTES_MAX]; /* "_etcd-client._tcp.example.com" */
    char server[INET6_ADDRSTRLEN + 8];
    const char *error; /* NULL: found */
    struct record *records;
    size_t n;
};

static const char *error_words(int h_error)
{
    switch (h_error) {
    case HOST_NOT_FOUND:
    case NO_DATA:
        return "no such host";
    case TRY_AGAIN:
        return "i/o timeout";
    default:
        return "server misbehaving";
    }
}

static void name_server(const struct __res_state *r, char *ret, size_t bytes)
{
    char ip[INET6_ADDRSTRLEN] = "";

    inet_ntop(AF_INET, &r->nsaddr_list[0].sin_addr, ip, sizeof(ip));
    snprintf(ret, bytes, "%s:%u", ip, ntohs(r->nsaddr_list[0].sin_port));
}

/* False: not an SRV record, or a damaged one. */
static bool record_parse(ns_msg *msg, int i, struct record *ret)
{
    const uint8_t *p;
    ns_rr rr;

    if (ns_parserr(msg, ns_s_an, i, &rr) != 0 || ns_rr_type(rr) != ns_t_srv ||
        ns_rr_rdlen(rr) <= SRV_FIXED_BYTES)
        return false;
    p = ns_rr_rdata(rr);
    ret->priority = (uint16_t) ns_get16(p);
    ret->port = (uint16_t) ns_get16(p + 4);
    return dn_expand(ns_msg_base(*msg), ns_msg_end(*msg), p + SRV_FIXED_BYTES, ret->target,
                     sizeof(ret->target)) > 0;
}

static int by_priority(const void *a, const void *b)
{
    const struct record *x = a;
    const struct record *y = b;

    return (x->priority > y->priority) - (x->priority < y->priority);
}

static void take_answer(struct lookup *l, const uint8_t *answer, int len, struct arena *a)
{
    ns_msg msg;

    if (ns_initparse(answer, len, &msg) != 0) {
        l->error = "cannot unmarshal DNS message";
        return;
    }
    l->records = arena_calloc(a, (size_t) ns_msg_count(msg, ns_s_an) + 1, sizeof(*l->records));
    for (int i = 0; i < ns_msg_count(msg, ns_s_an); i++)
        if (record_parse(&msg, i, &l->records[l->n]))
            l->n++;
    if (l->n == 0)
        l->error = "no such host";
    qsort(l->records, l->n, sizeof(*l->records), by_priority);
}

static void look_up(struct lookup *l, const char *service, const char *suffix, const char *domain,
                    struct arena *a)
{
    struct __res_state r = {0};
    uint8_t *answer = arena_alloc(a, ANSWER_BYTES_MAX);
    int len = -1;

    *l = (struct lookup){.error = "server misbehaving"};
    snprintf(l->name, sizeof(l->name), "_%s%s%s._tcp.%s", service, suffix[0] == 0 ? "" : "-",
             suffix, domain);
    if (answer == NULL || res_ninit(&r) != 0)
        return;
    name_server(&r, l->server, sizeof(l->server));
    len = res_nquery(&r, l->name, ns_c_in, ns_t_srv, answer, ANSWER_BYTES_MAX);
    l->error = len < 0 ? error_words(r.res_h_errno) : NULL;
    if (len >= 0)
        take_answer(l, answer, MIN(len, ANSWER_BYTES_MAX), a);
    res_nclose(&r);
}

/* Go shows names as DNS has them, with their dot at the end; so does etcdctl. */
static const char *endpoint_of(struct ctl *ctl, const char *scheme, const struct record *r)
{
    return arena_printf(&ctl->arena, "%s://%s.:%u", scheme, r->target, r->port);
}

static void ignore(const char *endpoint)
{
    struct buf b;

    buf_init(&b, CLI_PAGE_BYTES_MAX);
    buf_add_str(&b, "ignoring discovered insecure endpoint ");
    text_quote(&b, bytes_str(endpoint));
    buf_add_char(&b, '\n');
    cli_write(stderr, &b);
    buf_done(&b);
}

static void use(struct ctl *ctl, const struct lookup *https, const struct lookup *http)
{
    const char **list = arena_calloc(&ctl->arena, https->n + http->n + 1, sizeof(*list));
    bool insecure = cli_bool(ctl->call, "insecure-discovery");
    size_t n = 0;

    for (size_t i = 0; i < https->n; i++)
        list[n++] = endpoint_of(ctl, "https", &https->records[i]);
    for (size_t i = 0; i < http->n; i++) {
        list[n] = endpoint_of(ctl, "http", &http->records[i]);
        if (insecure)
            n++;
        else
            ignore(list[n]);
    }
    if (!insecure)
        ctl->server_name = cli_string(ctl->call, "discovery-srv");
    if (n > 0) { /* none is left: as if nothing had been looked up */
        ctl->endpoints = list;
        ctl->endpoint_count = n;
    }
}

int ctl_discover(struct ctl *ctl)
{
    const struct cli_value *given = cli_value(ctl->call, "endpoints");
    const char *domain = cli_string(ctl->call, "discovery-srv");
    const char *suffix = cli_string(ctl->call, "discovery-srv-name");
    struct lookup https;
    struct lookup http;

    ctl->endpoints = given->list;
    ctl->endpoint_count = given->list_count;
    if (domain[0] == 0)
        return CTL_OK;
    look_up(&https, "etcd-client-ssl", suffix, domain, &ctl->arena);
    look_up(&http, "etcd-client", suffix, domain, &ctl->arena);
    if (https.error != NULL && http.error != NULL)
        return cli_fail(CTL_ERROR, "dns lookup errors: lookup %s on %s: %s and lookup %s on %s: %s",
                        https.name, https.server, https.error, http.name, http.server, http.error);
    use(ctl, &https, &http);
    return CTL_OK;
}
