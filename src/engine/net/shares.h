/* shares.h -- who may have how many of the process's file descriptors for connections.
 *
 * A process that has none left cannot open the files that it needs.  So what the system allows,
 * less a reserve for files and for connections that we make, is shared out: whoever takes all of
 * one share takes nothing from the others.  etcd has the same reserve, but lets each listener take
 * all the rest.
 *
 * Threads: a share is counted by any.   Memory: it is the owner's, and outlives the servers that it
 * was given to.
 */
#ifndef KETCH_ENGINE_NET_SHARES_H
#define KETCH_ENGINE_NET_SHARES_H

#include <stdatomic.h>

#include "base/err.h"

#define NET_DESCRIPTORS_RESERVED 150 /* etcd's number */
#define NET_SHARE_AHEAD_MAX 32

/* Connections of all listeners that share it. */
struct net_share {
    uint32_t max;
    _Atomic uint32_t open;
};

struct net_shares {
    uint32_t clients;
    uint32_t pages; /* of metrics listeners: whoever asks how we are is answered */
    uint32_t peers;
};

/* Of a process that may have so many descriptors; each gets one at least.
 *   ERR_LIMIT   these are not even the reserve; in etcd's words */
NODISCARD int net_shares_of(uint64_t descriptors, struct net_shares *ret, struct err *e);
/* As this process's limit is.  ERR_LIMIT; ERR_IO: nobody knows it. */
NODISCARD int net_shares_now(struct net_shares *ret, struct err *e);

/* False: it is used up. */
bool net_share_take(struct net_share *s);
/* Of one that will be given back in a moment; of the reserve as long.  False: enough are. */
bool net_share_take_ahead(struct net_share *s);
void net_share_give(struct net_share *s);

#endif
