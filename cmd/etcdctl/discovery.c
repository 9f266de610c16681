/* discovery.c -- endpoints from DNS: --discovery-srv. */
#include "cli/text.h"
#include "etcdctl/ctl.h"

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
static void on_found(const struct ketch_discovered *d, void *user)
{
    struct ctl *ctl = user;
    const char *endpoint = arena_printf(&ctl->arena, "%s://%s.:%u", d->https ? "https" : "http",
                                        d->host, d->port);

    if (!d->https && !cli_bool(ctl->call, "insecure-discovery"))
        ignore(endpoint);
    else if (ctl->discovered_count < CTL_ENDPOINTS_MAX)
        ctl->discovered[ctl->discovered_count++] = endpoint;
}

int ctl_discover(struct ctl *ctl)
{
    const struct cli_value *given = cli_value(ctl->call, "endpoints");
    const char *domain = cli_string(ctl->call, "discovery-srv");
    struct ketch_error e;

    ctl->endpoints = given->list;
    ctl->endpoint_count = given->list_count;
    if (domain[0] == 0)
        return CTL_OK;
    ctl->discovered = arena_calloc(&ctl->arena, CTL_ENDPOINTS_MAX, sizeof(*ctl->discovered));
    if (ketch_discover(domain, cli_string(ctl->call, "discovery-srv-name"), on_found, ctl, &e) !=
        KETCH_OK)
        return cli_fail(CTL_ERROR, "%s", e.text);
    if (!cli_bool(ctl->call, "insecure-discovery"))
        ctl->server_name = domain;
    if (ctl->discovered_count > 0) { /* none is left: as if nothing had been looked up */
        ctl->endpoints = ctl->discovered;
        ctl->endpoint_count = ctl->discovered_count;
    }
    return CTL_OK;
}
