/* proxy.h -- etcd's gRPC proxy: one address in front of a cluster.
 *
 * Clients speak the API with it as with a member.  Unary calls and most streams go to a member as
 * they are; watches of one range are one at the member, however many clients ask.
 * With a namespace every key is put under a prefix, unseen by clients.
 *
 * Life:  proxy_new, proxy_listen (the ports are taken), proxy_start, the loop runs, proxy_stop, the
 * loop runs until `done`, proxy_free.
 *
 * Threads: the loop's thread alone.   Memory: what the options point to is borrowed for the proxy's
 * life.
 */
#ifndef KETCH_EDGE_PROXY_PROXY_H
#define KETCH_EDGE_PROXY_PROXY_H

#include "engine/net/server.h"
#include "obs/log.h"
#include "obs/metrics.h"

struct proxy;

struct proxy_options {
    struct loop *loop;
    struct log *log;
    struct metrics *metrics;

    /* The members. */
    const char *const *endpoints;
    size_t endpoints_n;
    struct tls *dial_tls; /* NULL: cleartext, where an endpoint does not say https */
    int64_t dial_keepalive_time_ms;
    int64_t dial_keepalive_timeout_ms;
    bool dial_keepalive_without_calls;
    size_t request_bytes_max;  /* of one to a member */
    size_t response_bytes_max; /* of one from a member */
    int64_t sync_interval_ms;  /* the list of members is asked of them so often; 0: never */

    /* The clients. */
    struct net_limits limits; /* begin with net_limits_default */

    /* The proxy among others. */
    const char *advertise_url;   /* what MemberList names; "": it is asked of the members */
    struct tls *self_tls;        /* to reach the advertised URL; NULL: cleartext */
    const char *resolver_prefix; /* where proxies register; "": they do not */
    int64_t resolver_ttl_s;
    const char *hostname;

    const char *name_space; /* put before every key; "": none */
};

/* Begins to dial the members.  ERR_INVALID with words for the operator, ERR_NOMEM. */
NODISCARD int proxy_new(const struct proxy_options *o, struct proxy **ret, struct err *e);

/* Takes an address for clients, or one that serves the pages only: errors as of net_server_listen.
 */
NODISCARD int proxy_listen(struct proxy *p, const struct net_listen *where, struct err *e);
NODISCARD int proxy_listen_pages(struct proxy *p, const struct net_listen *where, struct err *e);

void proxy_start(struct proxy *p);

/* Calls have `grace_ms` to end.  `done` runs on the loop. */
void proxy_stop(struct proxy *p, int64_t grace_ms, void (*done)(void *user), void *user);

/* After `done`, or when proxy_start was not called.  NULL is accepted. */
void proxy_free(struct proxy *p);

#endif
