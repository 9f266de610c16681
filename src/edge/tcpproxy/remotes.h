/* remotes.h -- the servers behind the proxy, and which of them the next connection goes to.
 *
 * RFC 2782: of those that are active the ones of the best (lowest) priority, chosen by chance in
 * proportion to their weights.  Records without weight have a very small chance beside ones that
 * have one; where none has, they take turns.
 *
 * Threads: one.   Memory: `v` is the owner's.   Chance comes as an argument.
 */
#ifndef KETCH_EDGE_TCPPROXY_REMOTES_H
#define KETCH_EDGE_TCPPROXY_REMOTES_H

#include "sys/random.h"

struct remote {
    const char *host;
    const char *shown; /* the host in log lines */
    uint16_t port;
    uint16_t priority;
    uint16_t weight;
    bool inactive; /* it did not take a connection, and has not been seen to take one since */
};

struct remotes {
    struct remote *v;
    size_t n;
    size_t turn; /* where the next look for an unweighted one begins; taken modulo n */
};

#define REMOTES_NONE SIZE_MAX

/* An index into v, or REMOTES_NONE: all are inactive. */
size_t remotes_pick(struct remotes *r, struct random *random);

#endif
