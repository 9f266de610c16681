/* grpc_proxy_discover.c -- where the members are: --endpoints, or --discovery-srv in its place.
 * Members that DNS names without TLS are taken with --insecure-discovery only. */
#include <ketch/client.h>

#include "etcd/grpc_proxy_int.h"

static void on_found(const struct ketch_discovered *d, void *user)
{
    struct grpc_proxy *g = user;
    const char *endpoint = arena_printf(&g->call->arena, "%s://%s:%u", d->https ? "https" : "http",
                                        d->host, d->port);

    if (!d->https && !cli_bool(g->call, "insecure-discovery"))
        return;
    if (endpoint != NULL && g->endpoints_n < GRPC_PROXY_ENDPOINTS_MAX)
        g->endpoints[g->endpoints_n++] = endpoint;
}

int grpc_proxy_endpoints(struct grpc_proxy *g)
{
    const struct cli_value *given = cli_value(g->call, "endpoints");
    const char *domain = cli_string(g->call, "discovery-srv");
    struct ketch_error e;

    g->endpoints = arena_calloc(&g->call->arena, GRPC_PROXY_ENDPOINTS_MAX, sizeof *g->endpoints);
    if (g->endpoints == NULL)
        return cli_fail(1, "out of memory");
    if (domain[0] != 0) {
        if (ketch_discover(domain, cli_string(g->call, "discovery-srv-name"), on_found, g, &e) !=
            KETCH_OK) {
            fprintf(stderr, "%s\n", e.text);
            return 1;
        }
        LOG_INFO(g->log, "discovered cluster from SRV", F_STR("srv-server", domain),
                 F_STRS("endpoints", g->endpoints, g->endpoints_n));
    }
    if (g->endpoints_n > 0)
        return 0;
    g->endpoints_n = MIN(given->list_count, (size_t) GRPC_PROXY_ENDPOINTS_MAX);
    for (size_t i = 0; i < g->endpoints_n; i++)
        g->endpoints[i] = given->list[i];
    return 0;
}
