/* discovery.c -- endpoints from DNS: --discovery-srv.
 *
 * SRV records (RFC 2782) of two services name them: _etcd-client-ssl._tcp for https,
 * _etcd-client._tcp for http.  One of the two is enough.
 */
#include "cli/text.h"
#include "etcdctl/ctl.h"

struct lookup {
    struct ctl *ctl;
    const char *scheme;
    const char *name; /* "_etcd-client._tcp.example.com" */
    char server[KETCH_SRV_SERVER_BYTES];
    const char *error; /* NULL: found */
};

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

/* Go shows names as DNS has them, with their dot at the end; so does etcdctl. */
static void on_host(const char *host, uint16_t port, void *user)
{
    struct lookup *l = user;
    struct ctl *ctl = l->ctl;
    const char *endpoint = arena_printf(&ctl->arena, "%s://%s.:%u", l->scheme, host, port);

    if (strcmp(l->scheme, "http") == 0 && !cli_bool(ctl->call, "insecure-discovery"))
        ignore(endpoint);
    else if (ctl->discovered_count < CTL_ENDPOINTS_MAX)
        ctl->discovered[ctl->discovered_count++] = endpoint;
}

static void look_up(struct ctl *ctl, const char *scheme, const char *service, struct lookup *l)
{
    const char *suffix = cli_string(ctl->call, "discovery-srv-name");

    *l = (struct lookup){.ctl = ctl, .scheme = scheme};
    l->name = arena_printf(&ctl->arena, "_%s%s%s._tcp.%s", service, suffix[0] == 0 ? "" : "-",
                           suffix, cli_string(ctl->call, "discovery-srv"));
    l->error = ketch_srv_look_up(l->name, on_host, l, l->server);
}

int ctl_discover(struct ctl *ctl)
{
    const struct cli_value *given = cli_value(ctl->call, "endpoints");
    const char *domain = cli_string(ctl->call, "discovery-srv");
    struct lookup https;
    struct lookup http;

    ctl->endpoints = given->list;
    ctl->endpoint_count = given->list_count;
    if (domain[0] == 0)
        return CTL_OK;
    ctl->discovered = arena_calloc(&ctl->arena, CTL_ENDPOINTS_MAX, sizeof(*ctl->discovered));
    look_up(ctl, "https", "etcd-client-ssl", &https);
    look_up(ctl, "http", "etcd-client", &http);
    if (https.error != NULL && http.error != NULL)
        return cli_fail(CTL_ERROR, "dns lookup errors: lookup %s on %s: %s and lookup %s on %s: %s",
                        https.name, https.server, https.error, http.name, http.server, http.error);
    if (!cli_bool(ctl->call, "insecure-discovery"))
        ctl->server_name = domain;
    if (ctl->discovered_count > 0) { /* none is left: as if nothing had been looked up */
        ctl->endpoints = ctl->discovered;
        ctl->endpoint_count = ctl->discovered_count;
    }
    return CTL_OK;
}
