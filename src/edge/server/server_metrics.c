/* The metrics that the server itself keeps, and those of the process. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

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
    s->m.fd_used = metrics_gauge(m, "os_fd_used", "The number of used file descriptors.");
    s->m.fd_limit = metrics_gauge(m, "os_fd_limit", "The file descriptor limit.");
}

/* ---- the process
 * ------------------------------------------------------------------------------------- */

struct process_metrics {
    struct metric *cpu;
    struct metric *open_fds;
    struct metric *max_fds;
    struct metric *virtual_bytes;
    struct metric *resident_bytes;
    struct metric *start;
};

static struct process_metrics process;

static void register_process(struct server *s, struct metrics *m)
{
    process.cpu = metric_with(
        metrics_family(m, METRIC_COUNTER, METRIC_REAL, "process_cpu_seconds_total",
                       "Total user and system CPU time spent in seconds.", NULL),
        NULL);
    process.open_fds = metrics_gauge(m, "process_open_fds", "Number of open file descriptors.");
    process.max_fds = metrics_gauge(m, "process_max_fds",
                                    "Maximum number of open file descriptors.");
    process.virtual_bytes = metrics_gauge(m, "process_virtual_memory_bytes",
                                          "Virtual memory size in bytes.");
    process.resident_bytes = metrics_gauge(m, "process_resident_memory_bytes",
                                           "Resident memory size in bytes.");
    process.start = metrics_gauge_real(m, "process_start_time_seconds",
                                       "Start time of the process since unix epoch in seconds.");
    metric_set_real(process.start, (double) clock_wall_ms(s->o.clock) / 1000);
}

static int64_t open_files(void)
{
    DIR *d = opendir("/proc/self/fd");
    int64_t n = -3; /* ".", ".." and the directory itself */

    if (d == NULL)
        return 0;
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static void memory_sizes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long size, resident;
    long page = sysconf(_SC_PAGESIZE);

    if (f == NULL)
        return;
    if (fscanf(f, "%lu %lu", &size, &resident) == 2) {
        metric_set(process.virtual_bytes, (int64_t) size * page);
        metric_set(process.resident_bytes, (int64_t) resident * page);
    }
    fclose(f);
}

static void collect(void *arg)
{
    struct server *s = arg;
    struct net_counters c;
    struct rusage u;
    struct rlimit r;

    net_server_counters(s->clients, &c);
    metric_set(s->m.grpc_sent_bytes, (int64_t) c.grpc_bytes_out);
    metric_set(s->m.grpc_received_bytes, (int64_t) c.grpc_bytes_in);
    if (getrusage(RUSAGE_SELF, &u) == 0)
        metric_set_real(process.cpu, (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                                         (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        metric_set(process.max_fds, (int64_t) r.rlim_cur);
        metric_set(s->m.fd_limit, (int64_t) r.rlim_cur);
    }
    metric_set(process.open_fds, open_files());
    metric_set(s->m.fd_used, metric_get(process.open_fds));
    memory_sizes();
}

void server_metrics_register(struct server *s)
{
    struct metrics *m = s->metrics;

    if (m == NULL)
        return;
    methods_register(m, strcmp(s->config->metrics, "extensive") == 0, s->m.methods);
    register_requests(s, m);
    register_health(s, m);
    register_watch(s, m);
    register_network(s, m);
    register_process(s, m);
    metric_set(metric_with(metrics_family(m, METRIC_GAUGE, METRIC_PLAIN, "etcd_server_version",
                                          "Which version is running. 1 for 'server_version' label "
                                          "with current version.",
                                          METRIC_LABELS("server_version")),
                           METRIC_LABELS(s->version)),
               1);
    metric_set(metric_with(metrics_family(m, METRIC_GAUGE, METRIC_PLAIN, "ketch_version",
                                          "1; the label is this program's own version.",
                                          METRIC_LABELS("version")),
                           METRIC_LABELS(KETCH_VERSION)),
               1);
}

void server_metrics_attach(struct server *s)
{
    struct metric_family *gates, *id;
    char hex[24];

    if (s->metrics == NULL)
        return;
    snprintf(hex, sizeof hex, "%" PRIx64, s->member_id);
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
