#include "etcd/node_config.h"

#include "edge/server/server.h"
#include "engine/wal/wal.h"
#include "node/node_limits.h"
#include "sys/disk.h"

static enum node_level level_of(const struct config *c)
{
    if (strcmp(c->emulated_version, "3.5") == 0)
        return NODE_LEVEL_3_5;
    return strcmp(c->emulated_version, "3.6") == 0 ? NODE_LEVEL_3_6 : NODE_LEVEL_3_7;
}

struct node_config node_config_of(const struct config *c)
{
    return (struct node_config){
        .name = c->name,
        .data_dir = c->data_dir,
        .wal_dir = c->wal_dir[0] == '\0' ? NULL : c->wal_dir,
        .cluster_token = c->initial_cluster_token,
        .initial_names = c->cluster_names,
        .initial_urls = c->cluster_urls,
        .initial_n = c->cluster_n,
        .initial_existing = strcmp(c->initial_cluster_state, "existing") == 0,
        .peer_urls = c->initial_advertise_peer_urls.v,
        .peer_urls_n = c->initial_advertise_peer_urls.n,
        .client_urls = c->advertise_client_urls.v,
        .client_urls_n = c->advertise_client_urls.n,
        .tick_ms = (unsigned) c->heartbeat_interval,
        .election_ticks = (unsigned) (c->election_timeout / c->heartbeat_interval),
        .pre_vote = c->pre_vote,
        .advance_first_ticks = c->initial_election_tick_advance,
        .snapshot_count = c->snapshot_count == 0 ? 10000 : c->snapshot_count,
        .catchup_entries = c->snapshot_catchup_entries,
        .quota_bytes = c->quota_backend_bytes,
        .request_bytes_max = (size_t) MIN(c->max_request_bytes, (uint64_t) NODE_REQUEST_BYTES_MAX),
        .batch_interval_ms = c->backend_batch_interval == 0 ? 100
                                                            : c->backend_batch_interval / 1000000,
        .batch_ops_max = c->backend_batch_limit == 0 ? 10000 : (size_t) c->backend_batch_limit,
        .compaction_batch = c->compaction_batch_limit == 0 ? STORE_COMPACT_RECORDS_DEFAULT
                                                           : (size_t) c->compaction_batch_limit,
        .compaction_sleep_ms = c->compaction_sleep_interval == 0
                                   ? 10
                                   : c->compaction_sleep_interval / 1000000,
        .wals_max = (unsigned) c->max_wals,
        .snapshots_max = (unsigned) c->max_snapshots,
        .force_new_cluster = c->force_new_cluster,
        .strict_reconfig = c->strict_reconfig_check,
        .learners_max = c->max_learners,
        .level = level_of(c),
        .simple_tokens = server_simple_tokens(c),
        .token_ttl_ns = (mono_ns) (c->auth_token_ttl == 0 ? 300 : c->auth_token_ttl) * 1000000000,
        .warning_apply_ns = c->warning_apply_duration,
        .corrupt_check_ns = c->corrupt_check_time,
        .lock_memory = c->memory_mlock,
        .defrag_first_bytes = MIN(c->bootstrap_defrag_threshold_megabytes, UINT64_MAX >> 20) << 20,
        .compact_check_ns = config_gate(c, "CompactHashCheck") ? c->compact_hash_check_time : 0,
        .lease_checkpoint = config_gate(c, "LeaseCheckpoint"),
        .lease_checkpoint_persist = config_gate(c, "LeaseCheckpointPersist"),
        .downgrade_ns = c->downgrade_check_time,
    };
}

bool has_log(const struct config *c)
{
    char path[4096];

    if (c->wal_dir[0] != '\0')
        return wal_exists(disk_posix(), c->wal_dir);
    snprintf(path, sizeof path, "%s/member/wal", c->data_dir);
    return wal_exists(disk_posix(), path);
}
