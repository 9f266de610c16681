/* discovery.h -- a new member finds its cluster by DNS (--discovery-srv) or in another etcd
 * (--discovery-token, --discovery-endpoints), in place of --initial-cluster. */
#ifndef KETCH_CMD_ETCD_DISCOVERY_H
#define KETCH_CMD_ETCD_DISCOVERY_H

#include "edge/server/config.h"
#include "obs/log.h"

/* Sets c->initial_cluster, and the token of the cluster, from what was found; waits until the whole
 * cluster is there.  Nothing happens when no discovery is asked for, or for a member that was here
 * before. */
NODISCARD int discover_cluster(struct config *c, bool initialized, struct log *log, struct err *e);

/* discovery_srv.c: the same for DNS alone.  "cannot find local etcd member "N" in SRV records", or
 * what DNS said. */
NODISCARD int discover_by_dns(struct config *c, struct log *log, struct err *e);

#endif
