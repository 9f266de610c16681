/* What is said about a configuration before the member starts: warnings, and the line with
 * everything in it. */
#define _POSIX_C_SOURCE 200809L
#include <unistd.h>

#include "edge/server/config.h"
#include "obs/gofmt.h"

#define QUOTA_DEFAULT_BYTES INT64_C(2147483648)
#define QUOTA_WARN_BYTES INT64_C(8589934592)
#define REQUEST_WARN_BYTES 10485760

/* What etcd has and we have not: whoever asks for it should know. */
static void warn_of_gates(const struct config *c, struct log *log)
{
    static const char *const idle[] = {"PriorityRequest", "SetMemberLocalAddr",
                                       "StopGRPCServiceOnDefrag"};

    for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
        if (config_gate(c, idle[i]))
            LOG_WARN(log, "a feature gate that has no effect", F_STR("feature-gate", idle[i]));
    }
    if (config_gate(c, "LeaseCheckpoint") && !config_gate(c, "LeaseCheckpointPersist"))
        LOG_WARN(log, "Detected that checkpointing is enabled without persistence. Consider "
                      "enabling feature gate LeaseCheckpointPersist");
}

void config_log_warnings(const struct config *c, struct log *log)
{
    char have[GO_SIZE_BYTES], most[GO_SIZE_BYTES];

    if (c->listen_client_http_urls.n == 0)
        LOG_WARN(log, "Running http and grpc server on single port. This is not recommended for "
                      "production.");
    if (c->given[CONFIG_max_snapshots])
        LOG_WARN(log, "--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.");
    if (c->given[CONFIG_v2_deprecation])
        LOG_WARN(log, "--v2-deprecation is deprecated and scheduled for removal in v3.8. The "
                      "default value is enforced, ignoring user input.");
    if (!c->given[CONFIG_data_dir])
        LOG_WARN(log, "'data-dir' was empty; using default", F_STR("data-dir", c->data_dir));
    if (strcmp(c->name, "default") == 0)
        LOG_WARN(log,
                 "it isn't recommended to use default name, please set a value for --name. "
                 "Note that etcd might run into issue when multiple members have the same "
                 "default name",
                 F_STR("name", c->name));
    if (c->quota_backend_bytes > QUOTA_WARN_BYTES)
        LOG_WARN(log, "quota exceeds the maximum value", F_STR("quota-name", "v3-applier"),
                 F_I64("quota-size-bytes", c->quota_backend_bytes),
                 F_STR("quota-size", go_size((uint64_t) c->quota_backend_bytes, have)),
                 F_I64("quota-maximum-size-bytes", QUOTA_WARN_BYTES),
                 F_STR("quota-maximum-size", go_size((uint64_t) QUOTA_WARN_BYTES, most)));
    if (c->max_request_bytes > REQUEST_WARN_BYTES)
        LOG_WARN(log, "exceeded recommended request limit",
                 F_U64("max-request-bytes", c->max_request_bytes),
                 F_STR("max-request-size", go_size(c->max_request_bytes, have)),
                 F_U64("recommended-request-bytes", REQUEST_WARN_BYTES),
                 F_STR("recommended-request-size", go_size(REQUEST_WARN_BYTES, most)));
    warn_of_gates(c, log);
    if (c->unsafe_no_fsync)
        LOG_WARN(log, "--unsafe-no-fsync has no effect: everything is synced");
}

static struct log_field list(const char *key, const struct strings *s)
{
    return F_STRS(key, s->v, s->n);
}

/* The field names and their order are what scripts look for. */
void config_log_start(const struct config *c, bool initialized, struct log *log)
{
    char member_dir[4096], wal_dir[4096], endpoints[1] = "";
    bool dedicated = *c->wal_dir != 0;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t quota = c->quota_backend_bytes == 0 ? QUOTA_DEFAULT_BYTES : c->quota_backend_bytes;
    int64_t hour_ns = INT64_C(3600000000000);
    int64_t interval_ns = c->retention_periodic ? MIN(c->retention, hour_ns) : c->retention;

    snprintf(member_dir, sizeof member_dir, "%s/member", c->data_dir);
    snprintf(wal_dir, sizeof wal_dir, "%s%s", dedicated ? c->wal_dir : member_dir,
             dedicated ? "" : "/wal");
    LOG_INFO(
        log, "starting an etcd server", F_STR("etcd-version", config_version(c)),
        F_STR("git-sha", "Not provided (ketch " KETCH_VERSION ")"), F_STR("go-version", "none"),
        F_STR("go-os", "linux"), F_STR("go-arch", "amd64"), F_I64("max-cpu-set", cores),
        F_I64("max-cpu-available", cores), F_BOOL("member-initialized", initialized),
        F_STR("name", c->name), F_STR("data-dir", c->data_dir), F_STR("wal-dir", wal_dir),
        F_STR("wal-dir-dedicated", c->wal_dir), F_STR("member-dir", member_dir),
        F_BOOL("force-new-cluster", c->force_new_cluster),
        F_MS("heartbeat-interval", c->heartbeat_interval),
        F_MS("election-timeout", c->election_timeout),
        F_BOOL("initial-election-tick-advance", c->initial_election_tick_advance),
        F_U64("snapshot-count", c->snapshot_count), F_U64("max-wals", c->max_wals),
        F_U64("max-snapshots", c->max_snapshots),
        F_U64("snapshot-catchup-entries", c->snapshot_catchup_entries),
        list("initial-advertise-peer-urls", &c->initial_advertise_peer_urls),
        list("listen-peer-urls", &c->listen_peer_urls),
        list("advertise-client-urls", &c->advertise_client_urls),
        list("listen-client-urls", &c->listen_client_urls),
        list("listen-metrics-urls", &c->listen_metrics_urls), F_STR("local-address", ""),
        list("cors", &c->cors), list("host-whitelist", &c->host_whitelist),
        F_STR("initial-cluster", c->initial_cluster),
        F_STR("initial-cluster-state", c->initial_cluster_state),
        F_STR("initial-cluster-token", c->initial_cluster_token),
        F_I64("quota-backend-bytes", quota), F_U64("max-request-bytes", c->max_request_bytes),
        F_U64("max-concurrent-streams", c->max_concurrent_streams), F_BOOL("pre-vote", c->pre_vote),
        F_STR("feature-gates", c->feature_gates),
        F_BOOL("initial-corrupt-check", config_gate(c, "InitialCorruptCheck")),
        F_NS("corrupt-check-time-interval", c->corrupt_check_time),
        F_NS("compact-check-time-interval", c->compact_hash_check_time),
        F_STR("auto-compaction-mode", c->auto_compaction_mode),
        F_NS("auto-compaction-retention", c->retention),
        F_NS("auto-compaction-interval", interval_ns), F_STR("discovery-token", c->discovery_token),
        F_STR("discovery-endpoints", endpoints),
        F_NS("discovery-dial-timeout", c->discovery_dial_timeout),
        F_NS("discovery-request-timeout", c->discovery_request_timeout),
        F_NS("discovery-keepalive-time", c->discovery_keepalive_time),
        F_NS("discovery-keepalive-timeout", c->discovery_keepalive_timeout),
        F_BOOL("discovery-insecure-transport", c->discovery_insecure_transport),
        F_BOOL("discovery-insecure-skip-tls-verify", c->discovery_insecure_skip_tls_verify),
        F_STR("discovery-cert", c->discovery_cert), F_STR("discovery-key", c->discovery_key),
        F_STR("discovery-cacert", c->discovery_cacert), F_STR("discovery-user", c->discovery_user),
        F_NS("downgrade-check-interval", c->downgrade_check_time),
        F_I64("max-learners", c->max_learners), F_STR("v2-deprecation", "write-only"));
}
