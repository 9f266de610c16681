/* node_defaults.h -- the numbers of a member's configuration as etcd's flags have them by default;
 * tests change a few of them. */
#ifndef KETCH_TESTS_LIB_NODE_DEFAULTS_H
#define KETCH_TESTS_LIB_NODE_DEFAULTS_H

#include "node/node.h"

static inline struct node_config node_defaults(void)
{
    return (struct node_config){
        .tick_ms = 100,
        .election_ticks = 10,
        .pre_vote = true,
        .snapshot_count = 10000,
        .catchup_entries = 5000,
        .request_bytes_max = 1572864,
        .batch_interval_ms = 100,
        .batch_ops_max = 10000,
        .compaction_batch = 1000,
        .compaction_sleep_ms = 10,
        .wals_max = 5,
        .snapshots_max = 5,
        .learners_max = 1,
        .level = NODE_LEVEL_3_7,
    };
}

#endif
