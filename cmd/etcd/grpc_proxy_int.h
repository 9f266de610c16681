/* grpc_proxy_int.h -- what the files of `etcd grpc-proxy` share. */
#ifndef KETCH_CMD_ETCD_GRPC_PROXY_INT_H
#define KETCH_CMD_ETCD_GRPC_PROXY_INT_H

#include "base/alloc.h"
#include "cli/command.h"
#include "edge/proxy/proxy.h"
#include "engine/net/loop.h"
#include "engine/net/tls.h"

#define GRPC_PROXY_ENDPOINTS_MAX 256

struct grpc_proxy {
    struct cli_call *call;
    struct log *log;
    struct metrics *metrics;
    struct loop *loop;
    struct proxy *proxy;
    struct tls *listen_tls; /* NULL: clients come in cleartext */
    struct tls *self_tls;   /* to ourselves */
    struct tls *dial_tls;   /* to the members */
    const char **endpoints;
    size_t endpoints_n;
    int signum; /* that ends the program */
};

extern const struct cli_flag grpc_proxy_flags[];
extern const size_t grpc_proxy_flags_n;

/* What flags must be to one another.  0, or 1 when that was said on stderr. */
NODISCARD int grpc_proxy_check(const struct cli_call *c);

/* Certificates.  0, or the exit status; words went to stderr or the log. */
NODISCARD int grpc_proxy_listen_tls(struct grpc_proxy *g);
NODISCARD int grpc_proxy_dial_tls(struct grpc_proxy *g);

/* --endpoints, or what DNS knows.  The same. */
NODISCARD int grpc_proxy_endpoints(struct grpc_proxy *g);

#endif
