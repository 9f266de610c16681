/* The metrics that the server itself keeps. */
#include "edge/server/process_metrics.h"
#include "edge/server/server_int.h"

static struct histogram *by_success(struct metric_family *f, const char *type, bool ok)
{
    const char *success = ok ? "true" : "false";

    return histogram_with(f, type == NULL ? METRIC_LABELS(success) : METRIC_LABELS(type, success));
}

static void register_requests(struct server *s, struct metrics *m)
{
    struct metric_family *range, *request;

    range = metrics_histogram_family(m, "etcd_server_range_duration_seconds",
                                     "The latency distributions of txn.Range", METRIC_B3.bounds,
                                     METRIC_B3.n, METRIC_NS_PER_S, METRIC_LABELS("success"));
    request = metrics_histogram_family(m, "etcd_server_request_duration_seconds",
                                       "Response latency in seconds for each type of request.",
                                       METRIC_B1.bounds, METRIC_B1.n, METRIC_NS_PER_S,
                                       METRIC_LABELS("type", "success"));
    for (int ok = 0; ok < 2; ok++) {
        s->m.range_seconds[ok] = by_success(range, NULL, ok == 1);
        s->m.request_range[ok] = by_success(request, "Range", ok == 1);
        s->m.request_txn[ok] = by_success(request, "ReadonlyTxn", ok == 1);
    }
    s->m.ranges = metrics_counter_hot(m, "etcd_mvcc_range_total",
                                      "Total number of ranges seen by this member.");
    s->m.sorted_bytes = metrics_gauge(
        m, "ketch_server_sorted_range_bytes",
        "References that sorted and filtered ranges hold until their answers have left.");
    s->m.slow_apply = metrics_counter(
        m, "etcd_server_slow_apply_total",
        "The total number of slow apply requests (likely overloaded from slow disk).");
    s->m.client_requests = metrics_family(m, METRIC_COUNTER, METRIC_PLAIN,
                                          "etcd_server_client_requests_total",
                                          "The total number of client requests per client version.",
                                          METRIC_LABELS("type", "client_api_version"));
    s->m.stream_failures = metrics_family(
        m, METRIC_COUNTER, METRIC_PLAIN, "etcd_network_server_stream_failures_total",
        "The total number of stream failures from the local server.", METRIC_LABELS("Type", "API"));
}

static void register_health(struct server *s, struct metrics *m)
{
    s->m.health_success = metrics_counter(m, "etcd_server_health_success",
                                          "The total number of successful health checks");
    s->m.health_failures = metrics_counter(m, "etcd_server_health_failures",
                                           "The total number of failed health checks");
    s->m.healthcheck = metrics_family(m, METRIC_GAUGE, METRIC_PLAIN, "etcd_server_healthcheck",
                                      "The result of each kind of healthcheck.",
                                      METRIC_LABELS("type", "name"));
    s->m.healthchecks = metrics_family(
        m, METRIC_COUNTER, METRIC_PLAIN, "etcd_server_healthchecks_total",
        "The total number of each kind of healthcheck.", METRIC_LABELS("type", "name", "status"));
}

static void register_watch(struct server *s, struct metrics *m)
{
    s->m.watch_streams = metrics_gauge(m, "etcd_debugging_mvcc_watch_stream_total",
                                       "Total number of watch streams.");
    s->m.watchers = metrics_gauge(m, "etcd_debugging_mvcc_watcher_total",
                                  "Total number of watchers.");
    s->m.slow_watchers = metrics_gauge(m, "etcd_debugging_mvcc_slow_watcher_total",
                                       "Total number of unsynced slow watchers.");
    s->m.watch_events = metrics_counter_hot(m, "etcd_debugging_mvcc_events_total",
                                            "Total number of events sent by this member.");
}

static void register_network(struct server *s, struct metrics *m)
{
    s->m.grpc_sent_bytes = metrics_counter(m, "etcd_network_client_grpc_sent_bytes_total",
                                           "The total number of bytes sent to grpc clients.");
    s->m.grpc_received_bytes = metrics_counter(
        m, "etcd_network_client_grpc_received_bytes_total",
        "The total number of bytes received from grpc clients.");
    s->m.auth_revision = metrics_gauge(m, "etcd_debugging_auth_revision",
                                       "The current revision of auth store.");
}

/* Families that exist from the start, with what is true of a member without peers and a proxy. */
static void register_constants(struct metrics *m)
{
    static const struct {
        enum metric_type type;
        int64_t value;
        const char *name;
        const char *help;
    } rows[] = {
        {METRIC_GAUGE, 0, "etcd_grpc_proxy_watchers_coalescing_total",
         "Total number of current watchers coalescing"},
        {METRIC_COUNTER, 0, "etcd_grpc_proxy_events_coalescing_total",
         "Total number of events coalescing"},
        {METRIC_GAUGE, 0, "etcd_grpc_proxy_cache_keys_total", "Total number of keys/ranges cached"},
        {METRIC_GAUGE, 0, "etcd_grpc_proxy_cache_hits_total", "Total number of cache hits"},
        {METRIC_GAUGE, 0, "etcd_grpc_proxy_cache_misses_total", "Total number of cache misses"},
        {METRIC_COUNTER, 0, "etcd_debugging_store_expires_total", "Total number of expired keys."},
        {METRIC_COUNTER, 0, "etcd_debugging_store_watch_requests_total",
         "Total number of incoming watch requests (new or reestablished)."},
        {METRIC_GAUGE, 0, "etcd_debugging_store_watchers", "Count of currently active watchers."},
        {METRIC_COUNTER, 0, "etcd_server_learner_promote_successes",
         "The total number of successful learner promotions while this member is leader."},
        {METRIC_COUNTER, 0, "etcd_server_heartbeat_send_failures_total",
         "The total number of leader heartbeat send failures (likely overloaded from slow disk)."},
        {METRIC_GAUGE, 0, "etcd_debugging_mvcc_pending_events_total",
         "Total number of pending events to be sent."},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct metric_family *f = metrics_family(m, rows[i].type, METRIC_PLAIN, rows[i].name,
                                                 rows[i].help, NULL);

        metric_set(metric_with(f, NULL), rows[i].value);
    }
}

static void register_maintenance(struct server *s, struct metrics *m)
{
    s->m.hash_seconds = metrics_histogram(m, "etcd_mvcc_hash_duration_seconds",
                                          "The latency distribution of storage hash operation.",
                                          METRIC_B4.bounds, METRIC_B4.n, METRIC_NS_PER_S);
    s->m.hash_rev_seconds = metrics_histogram(
        m, "etcd_mvcc_hash_rev_duration_seconds",
        "The latency distribution of storage hash by revision operation.", METRIC_B4.bounds,
        METRIC_B4.n, METRIC_NS_PER_S);
    s->m.defrag_seconds = metrics_histogram(m, "etcd_disk_backend_defrag_duration_seconds",
                                            "The latency distribution of backend defragmentation.",
                                            METRIC_B6.bounds, METRIC_B6.n, METRIC_NS_PER_S);
    s->m.defrag_inflight = metrics_gauge(
        m, "etcd_disk_defrag_inflight",
        "Whether or not defrag is active on the member. 1 means active, 0 means not.");
    s->m.snapshot_seconds = metrics_histogram(m, "etcd_disk_backend_snapshot_duration_seconds",
                                              "The latency distribution of backend snapshots.",
                                              METRIC_B5.bounds, METRIC_B5.n, METRIC_NS_PER_S);
}

static struct histogram *send_loop(struct metrics *m, const char *name, const char *help)
{
    return metrics_histogram(m, name, help, METRIC_B1.bounds, METRIC_B1.n, METRIC_NS_PER_S);
}

static void register_send_loops(struct server *s, struct metrics *m)
{
    s->m.watch_send = send_loop(
        m, "etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds",
        "The total duration in seconds of running through the send loop watch stream response all "
        "events.");
    s->m.watch_send_event = send_loop(
        m, "etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds",
        "The average duration in seconds of running through the send loop watch stream response, "
        "per event.");
    s->m.watch_send_control = send_loop(
        m, "etcd_debugging_server_watch_send_loop_control_stream_duration_seconds",
        "The total duration in seconds of running through the send loop control stream response.");
    s->m.watch_send_progress = send_loop(
        m, "etcd_debugging_server_watch_send_loop_progress_duration_seconds",
        "The total duration in seconds of running through the progress loop control stream "
        "response.");
}

/* What the node publishes: one series per cluster version seen, alarms by kind. */
static void collect_node(struct server *s)
{
    static const char *const kinds[] = {"NONE", "NOSPACE", "CORRUPT"};
    struct metric_family *versions, *alarms;
    struct node_alarm a[64];
    struct node_status st;
    char text[24];
    size_t n;

    node_status(s->node, &st);
    metric_set(s->m.is_learner, st.is_learner);
    metric_set(s->m.auth_revision, (int64_t) auth_revision(node_auth(s->node)));
    versions = metrics_family(s->metrics, METRIC_GAUGE, METRIC_PLAIN, "etcd_cluster_version",
                              "Which version is running. 1 for 'cluster_version' label with "
                              "current cluster version",
                              METRIC_LABELS("cluster_version"));
    if (st.cluster_version != 0 && st.cluster_version != s->m.shown_version) {
        if (s->m.shown_version != 0)
            metric_set(s->m.shown_series, 0);
        snprintf(text, sizeof text, "%u.%u", st.cluster_version >> 16, st.cluster_version & 0xffff);
        s->m.shown_series = metric_with(versions, METRIC_LABELS((const char *) text));
        s->m.shown_version = st.cluster_version;
        metric_set(s->m.shown_series, 1);
    }
    alarms = metrics_family(s->metrics, METRIC_GAUGE, METRIC_PLAIN, "etcd_debugging_server_alarms",
                            "Alarms for every member in cluster. 1 for 'server_id' label with "
                            "current ID. 2 for 'alarm_type' label with type of this alarm",
                            METRIC_LABELS("server_id", "alarm_type"));
    n = MIN(node_alarms(s->node, a, ARRAY_LEN(a)), ARRAY_LEN(a));
    for (size_t i = 0; i < n; i++) {
        if (a[i].kind < 0 || a[i].kind > 2)
            continue;
        snprintf(text, sizeof text, "%" PRIx64, a[i].member_id);
        metric_set(metric_with(alarms, METRIC_LABELS((const char *) text, kinds[a[i].kind])), 1);
    }
}

static void collect(void *arg)
{
    struct server *s = arg;
    struct net_counters c;

    collect_node(s);
    net_server_counters(s->clients, &c);
    metric_set(s->m.grpc_sent_bytes, (int64_t) c.grpc_bytes_out);
    metric_set(s->m.grpc_received_bytes, (int64_t) c.grpc_bytes_in);
    process_metrics_collect(clock_mono_ns(s->o.clock));
}

void server_metrics_register(struct server *s)
{
    struct metrics *m = s->metrics;

    if (m == NULL)
        return;
    methods_register(m, strcmp(s->config->metrics, "extensive") == 0, &s->m.methods);
    register_requests(s, m);
    register_health(s, m);
    register_watch(s, m);
    register_network(s, m);
    register_maintenance(s, m);
    register_send_loops(s, m);
    register_constants(m);
    process_metrics_register(m, clock_wall_ms(s->o.clock));
    metric_set(metric_with(metrics_family(m, METRIC_GAUGE, METRIC_PLAIN, "etcd_server_version",
                                          "Which version is running. 1 for 'server_version' label "
                                          "with current version.",
                                          METRIC_LABELS("server_version")),
                           METRIC_LABELS(s->version)),
               1);
    metric_set(metric_with(metrics_family(m, METRIC_GAUGE, METRIC_PLAIN, "etcd_server_go_version",
                                          "Which Go version server is running with. 1 for "
                                          "'server_go_version' label with current version.",
                                          METRIC_LABELS("server_go_version")),
                           METRIC_LABELS("none")),
               1);
    metric_set(metric_with(metrics_family(m, METRIC_GAUGE, METRIC_PLAIN, "ketch_version",
                                          "1; the label is this program's own version.",
                                          METRIC_LABELS("version")),
                           METRIC_LABELS(KETCH_VERSION)),
               1);
}

void server_metrics_attach(struct server *s)
{
    struct metric_family *gates, *id, *peers;
    char hex[24];

    if (s->metrics == NULL)
        return;
    snprintf(hex, sizeof hex, "%" PRIx64, s->member_id);
    peers = metrics_family(s->metrics, METRIC_GAUGE, METRIC_PLAIN, "etcd_network_known_peers",
                           "The current number of known peers.", METRIC_LABELS("Local", "Remote"));
    metric_set(metric_with(peers, METRIC_LABELS((const char *) hex, (const char *) hex)), 1);
    s->m.is_learner = metrics_gauge(s->metrics, "etcd_server_is_learner",
                                    "Whether or not this member is a learner. 1 if is, 0 "
                                    "otherwise.");
    id = metrics_family(s->metrics, METRIC_GAUGE, METRIC_PLAIN, "etcd_server_id",
                        "Server or member ID in hexadecimal format. 1 for 'server_id' label with "
                        "current ID.",
                        METRIC_LABELS("server_id"));
    metric_set(metric_with(id, METRIC_LABELS((const char *) hex)), 1);
    gates = metrics_family(s->metrics, METRIC_GAUGE, METRIC_PLAIN, "etcd_server_feature_enabled",
                           "Whether or not a feature is enabled. 1 is enabled, 0 is not.",
                           METRIC_LABELS("name", "stage"));
    for (size_t i = 0; i < config_gates_known_n; i++) {
        const struct config_gate_info *g = &config_gates_known[i];

        metric_set(metric_with(gates, METRIC_LABELS(g->name, g->beta ? "BETA" : "ALPHA")),
                   config_gate(s->config, g->name));
    }
    metrics_on_collect(s->metrics, collect, s);
}
