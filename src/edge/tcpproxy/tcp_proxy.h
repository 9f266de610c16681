/* tcp_proxy.h -- a door before a cluster that hands connections on to its members, whatever they
 * speak: the heart of `etcd gateway`.
 *
 * A member that does not take a connection becomes inactive, and the connection goes to another.
 * Every retry_ns all inactive ones are tried, and those that answer become active again.  While all
 * are inactive a new connection is closed at once.
 *
 * Threads: the loop's only.   Memory: the endpoints are copied; loop, log and random are borrowed.
 */
#ifndef KETCH_EDGE_TCPPROXY_TCP_PROXY_H
#define KETCH_EDGE_TCPPROXY_TCP_PROXY_H

#include "base/err.h"
#include "sys/clock.h"

/* etcd's, where --retry-delay is 0. */
#define TCP_PROXY_RETRY_NS_DEFAULT ((mono_ns) 5 * 60 * 1000000000)

/* A shorter delay would keep the machine busy with dialing. */
#define TCP_PROXY_RETRY_NS_MIN ((mono_ns) 10 * 1000000)

struct log;
struct loop;
struct random;
struct tcp_proxy;

/* As an SRV record has it (RFC 2782); without one, priority and weight are 0. */
struct tcp_endpoint {
    const char *host;
    const char *shown; /* the host in log lines: DNS has a dot at its end; NULL: as it is */
    uint16_t port;
    uint16_t priority;
    uint16_t weight;
};

struct tcp_proxy_options {
    struct loop *loop;
    struct log *log;
    struct random *random;
    const struct tcp_endpoint *endpoints;
    size_t endpoints_n;
    mono_ns retry_ns;       /* 0: the default; made TCP_PROXY_RETRY_NS_MIN at least */
    size_t connections_max; /* beyond it a new one is closed */
};

/* ERR_NOMEM */
NODISCARD int tcp_proxy_new(const struct tcp_proxy_options *o, struct tcp_proxy **ret,
                            struct err *e);

/* Takes the address, once; errors as those of net_server_listen.  *ret_port may be NULL. */
NODISCARD int tcp_proxy_listen(struct tcp_proxy *p, const char *host, uint16_t port,
                               uint16_t *ret_port, struct err *e);

/* Connections are taken from now on, and the log says so. */
void tcp_proxy_start(struct tcp_proxy *p);

/* Cuts what is open.  NULL is accepted. */
void tcp_proxy_close(struct tcp_proxy *p);

#endif
