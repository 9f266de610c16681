/* node_config.h -- from flags to what a node is told. */
#ifndef KETCH_CMD_ETCD_NODE_CONFIG_H
#define KETCH_CMD_ETCD_NODE_CONFIG_H

#include "edge/server/config.h"
#include "node/node.h"

/* Strings and lists are the configuration's.  Call it behind config_check_start, which makes the
 * list of members. */
struct node_config node_config_of(const struct config *c);

/* Was the member here before? */
bool has_log(const struct config *c);

#endif
