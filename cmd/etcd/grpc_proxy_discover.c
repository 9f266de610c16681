/* grpc_proxy_discover.c -- where the members are: --endpoints, or --discovery-srv in its place.
 *
 * SRV records (RFC 2782) of two services name them: _etcd-client-ssl._tcp for https, and
 * _etcd-client._tcp for http, which is taken with --insecure-discovery only. */
#include <ketch/client.h>

#include "etcd/grpc_proxy_int.h"

struct lookup {
    struct grpc_proxy *g;
    const char *scheme;
    const char *name;
    const char *error; /* NULL: hosts were found */
    char server[KETCH_SRV_SERVER_BYTES];
};

static void on_host(const char *host, uint16_t port, void *user)
{
    struct lookup *l = user;
    const char *endpoint = arena_printf(&l->g->call->arena, "%s://%s:%u", l->scheme, host, port);

    if (strcmp(l->scheme, "http") == 0 && !cli_bool(l->g->call, "insecure-discovery"))
        return;
    if (endpoint != NULL && l->g->endpoints_n < GRPC_PROXY_ENDPOINTS_MAX)
        l->g->endpoints[l->g->endpoints_n++] = endpoint;
}

static void look_up(struct grpc_proxy *g, const char *scheme, const char *service, struct lookup *l)
{
    const char *suffix = cli_string(g->call, "discovery-srv-name");

    *l = (struct lookup){.g = g, .scheme = scheme};
    l->name = arena_printf(&g->call->arena, "_%s%s%s._tcp.%s", service, suffix[0] == 0 ? "" : "-",
                           suffix, cli_string(g->call, "discovery-srv"));
    l->error = l->name == NULL ? "out of memory"
                               : ketch_srv_look_up(l->name, on_host, l, l->server);
}

int grpc_proxy_endpoints(struct grpc_proxy *g)
{
    const struct cli_value *given = cli_value(g->call, "endpoints");
    const char *domain = cli_string(g->call, "discovery-srv");
    struct lookup https, http;

    g->endpoints = arena_calloc(&g->call->arena, GRPC_PROXY_ENDPOINTS_MAX, sizeof *g->endpoints);
    if (g->endpoints == NULL)
        return cli_fail(1, "out of memory");
    if (domain[0] != 0) {
        look_up(g, "https", "etcd-client-ssl", &https);
        look_up(g, "http", "etcd-client", &http);
        if (https.error != NULL && http.error != NULL) {
            fprintf(stderr, "dns lookup errors: lookup %s on %s: %s and lookup %s on %s: %s\n",
                    https.name, https.server, https.error, http.name, http.server, http.error);
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
