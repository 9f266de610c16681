/* discovery.c -- the hosts that DNS names for a service. */
#include "client/client_int.h"
#include "engine/net/srv.h"

const char *ketch_srv_look_up(const char *name, ketch_srv_fn *found, void *user,
                              char server[KETCH_SRV_SERVER_BYTES])
{
    struct net_srv_answer answer;
    struct arena a;
    const char *error;

    arena_init(&a, CLIENT_SRV_BYTES_MAX);
    net_srv_look_up(name, &a, &answer);
    snprintf(server, KETCH_SRV_SERVER_BYTES, "%s", answer.server);
    for (size_t i = 0; i < answer.n; i++)
        found(answer.v[i].target, answer.v[i].port, user);
    error = answer.error; /* static */
    arena_done(&a);
    return error;
}
