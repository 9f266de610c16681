/* discovery.c -- the servers that DNS names for clients of a domain. */
#include "client/client_int.h"
#include "engine/net/srv.h"

struct service {
    char name[NET_SRV_NAME_BYTES_MAX]; /* "_etcd-client._tcp.example.com" */
    struct net_srv_answer answer;
};

static void look_up(struct service *s, const char *service, const char *domain, const char *suffix,
                    struct arena *a)
{
    snprintf(s->name, sizeof s->name, "_%s%s%s._tcp.%s", service, suffix[0] == 0 ? "" : "-", suffix,
             domain);
    net_srv_look_up(s->name, a, &s->answer);
}

static void hand_out(const struct service *s, bool https, ketch_discovered_fn *found, void *user)
{
    for (size_t i = 0; i < s->answer.n; i++) {
        const struct net_srv *r = &s->answer.v[i];
        struct ketch_discovered d = {.https = https,
                                     .host = r->target,
                                     .port = r->port,
                                     .priority = r->priority,
                                     .weight = r->weight};

        found(&d, user);
    }
}

int ketch_discover(const char *domain, const char *suffix, ketch_discovered_fn *found, void *user,
                   struct ketch_error *e)
{
    struct service https, http;
    int rc = KETCH_OK;
    struct arena a;

    arena_init(&a, CLIENT_SRV_BYTES_MAX);
    look_up(&https, "etcd-client-ssl", domain, suffix, &a);
    look_up(&http, "etcd-client", domain, suffix, &a);
    hand_out(&https, true, found, user);
    hand_out(&http, false, found, user);
    if (https.answer.error != NULL && http.answer.error != NULL) {
        rc = KETCH_UNAVAILABLE;
        client__error(e, rc, "dns lookup errors: lookup %s on %s: %s and lookup %s on %s: %s",
                      https.name, https.answer.server, https.answer.error, http.name,
                      http.answer.server, http.answer.error);
    }
    arena_done(&a);
    return rc;
}
