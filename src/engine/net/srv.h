/* srv.h -- SRV records of DNS (RFC 2782): which hosts and ports serve a service of a domain.
 *
 * Threads: any; blocks while the resolver asks.   Memory: everything is in the arena.
 */
#ifndef KETCH_ENGINE_NET_SRV_H
#define KETCH_ENGINE_NET_SRV_H

#include "base/arena.h"

#define NET_SRV_NAME_BYTES_MAX 1100 /* a domain of 1,025 bytes, and the service before it */
#define NET_SRV_SERVER_BYTES 64

struct net_srv {
    uint16_t priority;
    uint16_t weight;
    uint16_t port;
    const char *target; /* a host name, without the dot at its end */
};

struct net_srv_answer {
    const struct net_srv *v; /* ascending priority */
    size_t n;
    char server[NET_SRV_SERVER_BYTES]; /* who was asked: "10.0.0.2:53" */
    const char *error;                 /* static, in Go's words; NULL: v has one record at least */
};

/* name: "_etcd-server._tcp.example.com" */
void net_srv_look_up(const char *name, struct arena *a, struct net_srv_answer *ret);

/* Reads a message of DNS.  v, n and error are set as above. */
void net_srv_parse(struct bytes message, struct arena *a, struct net_srv_answer *ret);

#endif
