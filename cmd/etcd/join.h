/* join.h -- a new member asks the others: of a cluster that exists, who they are; of a new one,
 * whether it is really new. */
#ifndef KETCH_CMD_ETCD_JOIN_H
#define KETCH_CMD_ETCD_JOIN_H

#include "edge/peer/peer.h"
#include "edge/server/config.h"

/* Fills in what node_open needs to join (joined_member_id, joined_cluster_id).  Errors: those of
 * peer_discover; ERR_INVALID: of a new cluster, this member was started before. */
NODISCARD int join_cluster(const struct config *c, struct tls *tls, struct log *log,
                           struct arena *a, struct node_config *nc, struct peer_discovered *ret,
                           struct err *e);

/* The others are known from the start, although the log has not told of them yet. */
void join_remotes(const struct peer_discovered *d, struct peer_server *peers);

#endif
