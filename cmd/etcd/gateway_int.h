/* gateway_int.h -- what the files of `etcd gateway` share.  See gateway.h. */
#ifndef KETCH_CMD_ETCD_GATEWAY_INT_H
#define KETCH_CMD_ETCD_GATEWAY_INT_H

#include "cli/command.h"
#include "edge/tcpproxy/tcp_proxy.h"
#include "obs/log.h"

#define GATEWAY_ENDPOINTS_MAX 1024

struct gateway {
    char **argv;
    struct cli_call *call;
    struct log *log;
    struct loop *loop;
    struct tcp_endpoint endpoints[GATEWAY_ENDPOINTS_MAX];
    const char *texts[GATEWAY_ENDPOINTS_MAX]; /* of those that DNS named: "https://a.test.:2379" */
    size_t endpoints_n;
};

/* Where connections go: what DNS knows, else --endpoints.  0, or the exit status; words were
 * printed. */
NODISCARD int gateway_endpoints(struct gateway *g);

#endif
