/* The rules between values, in the order in which etcd checks them, and what follows from them. */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>

#include "edge/server/config.h"
#include "edge/server/goparse.h"
#include "engine/net/tls.h"
#include "engine/net/url.h"
#include "obs/gofmt.h"

#define ELECTION_MS_MAX 50000
#define SAMPLES_MAX 1000000 /* of a million */

static int invalid(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

static int invalid(struct err *e, const char *fmt, ...)
{
    char text[ERR_MSG_BYTES];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(e, ERR_INVALID, "%s", text);
}

/* ---- logging ---- */

/* A list as Go's %q shows it. */
static const char *quoted(const struct strings *l, char *ret, size_t n)
{
    size_t at = (size_t) snprintf(ret, n, "[");

    for (size_t i = 0; i < l->n && at < n; i++)
        at += (size_t) snprintf(ret + at, n - at, "%s\"%s\"", i == 0 ? "" : " ", l->v[i]);
    if (at < n)
        snprintf(ret + at, n - at, "]");
    return ret;
}

static int check_outputs(const struct strings *out, struct err *e)
{
    char list[256];

    for (size_t i = 0; i < out->n && out->n > 1; i++) {
        if (strcmp(out->v[i], "default") == 0)
            return invalid(e, "multi logoutput for \"default\" is not supported yet");
    }
    for (size_t i = 0; i < out->n && out->n > 1; i++) {
        if (strcmp(out->v[i], LOG_JOURNAL) == 0)
            return invalid(e,
                           "running with systemd/journal but other '--log-outputs' values (%s) are "
                           "configured with 'default'; override 'default' value with something "
                           "else",
                           quoted(out, list, sizeof list));
    }
    return 0;
}

static int check_rotation(struct config *c, struct err *e)
{
    const struct strings *out = &c->log_outputs;
    size_t paths = 0;

    if (!c->enable_log_rotation)
        return 0;
    for (size_t i = 0; i < out->n; i++)
        paths += strcmp(out->v[i], "default") != 0 && strcmp(out->v[i], "stderr") != 0 &&
                 strcmp(out->v[i], "stdout") != 0;
    if ((out->n == 1 && paths == 0) || paths > 1)
        return invalid(e, "--log-outputs requires a single file path when "
                          "--log-rotate-config-json is defined");
    return config_rotation_parse(c->log_rotation_config_json, &c->rotation, e);
}

static int check_logging(struct config *c, struct err *e)
{
    int rc;

    if (strcmp(c->logger, "capnslog") == 0)
        return invalid(e, "--logger=capnslog is removed in v3.5");
    if (strcmp(c->logger, "zap") != 0)
        return invalid(e, "unknown logger option \"%s\"", c->logger);
    rc = check_outputs(&c->log_outputs, e);
    if (rc == 0)
        rc = check_rotation(c, e);
    if (rc != 0)
        return rc;
    if (strcmp(c->log_format, "console") == 0)
        c->format = LOG_FORMAT_CONSOLE;
    else if (strcmp(c->log_format, "json") == 0 || *c->log_format == 0)
        c->format = LOG_FORMAT_JSON;
    else
        return invalid(e, "unknown log format: %s, supported values json, console", c->log_format);
    if (!log_level_parse(c->log_level, &c->level))
        return invalid(e, "unrecognized level: \"%s\"", c->log_level);
    return 0;
}

/* ---- URLs ---- */

static bool host_is_ip(const char *host)
{
    struct in6_addr v6;
    struct in_addr v4;

    return inet_pton(AF_INET, host, &v4) == 1 || inet_pton(AF_INET6, host, &v6) == 1;
}

static bool is_unix(const struct url *u)
{
    return strncmp(u->scheme, "unix", 4) == 0;
}

static int check_listen(struct config *c, const struct strings *urls, struct err *e)
{
    for (size_t i = 0; i < urls->n; i++) {
        struct url u;
        int rc = url_parse(urls->v[i], &c->arena, &u, e);

        if (rc != 0)
            return rc;
        if (is_unix(&u))
            continue;
        /* A host name is refused, an empty host (all addresses) is not an IP either: Go listens on
         * it. */
        if (*u.host != 0 && strcmp(u.host, "localhost") != 0 && !host_is_ip(u.host))
            return invalid(e, "expected IP in URL for binding (%s)", urls->v[i]);
    }
    return 0;
}

/* The reason why a URL cannot be advertised, or NULL. */
static const char *unreachable(struct config *c, const char *text, struct err *e)
{
    struct url u;

    if (url_parse(text, &c->arena, &u, e) != 0)
        return e->msg;
    return *u.host == 0 ? "unexpected empty host" : NULL;
}

static int check_advertised(struct config *c, struct err *e)
{
    for (size_t i = 0; i < c->initial_advertise_peer_urls.n; i++) {
        const char *u = c->initial_advertise_peer_urls.v[i];
        const char *why = unreachable(c, u, e);

        if (why != NULL)
            return invalid(e,
                           "--initial-advertise-peer-urls \"%s\" must be \"host:port\" (%s (%s))",
                           u, why, u);
    }
    for (size_t i = 0; i < c->advertise_client_urls.n; i++) {
        const char *u = c->advertise_client_urls.v[i];
        const char *why = unreachable(c, u, e);

        if (why != NULL)
            return invalid(e,
                           "--advertise-client-urls \"%s\" must be in the format \"host:port\", "
                           "\"unix:/path/to/socket\" or \"unixs:/path/to/socket\" (%s (%s))",
                           u, why, u);
    }
    return 0;
}

static int check_urls(struct config *c, struct err *e)
{
    const struct strings *listen[] = {&c->listen_peer_urls, &c->listen_client_urls,
                                      &c->listen_client_http_urls, &c->listen_metrics_urls};
    int rc = 0;

    for (size_t i = 0; i < ARRAY_LEN(listen) && rc == 0; i++)
        rc = check_listen(c, listen[i], e);
    return rc == 0 ? check_advertised(c, e) : rc;
}

/* ---- bootstrap and timing ---- */

static int check_bootstrap(const struct config *c, struct err *e)
{
    bool endpoints = c->discovery_endpoints.n > 0;
    bool srv = *c->discovery_srv != 0;
    bool cluster = c->given[CONFIG_initial_cluster] && *c->initial_cluster != 0;

    if (endpoints + srv + cluster > 1)
        return invalid(e, "multiple discovery or bootstrap flags are set. Choose one of "
                          "\"initial-cluster\", \"discovery-endpoints\" or \"discovery-srv\"");
    if ((*c->discovery_token != 0) != endpoints)
        return invalid(e, "both --discovery-token and --discovery-endpoints must be set");
    for (size_t i = 0; i < c->discovery_endpoints.n; i++) {
        const char *s = c->discovery_endpoints.v[i];

        if (s[strspn(s, " \t")] == 0)
            return invalid(e, "--discovery-endpoints must not contain empty endpoints");
    }
    return 0;
}

static int check_timing(const struct config *c, struct err *e)
{
    uint64_t beat = c->heartbeat_interval, election = c->election_timeout;

    if (beat == 0)
        return invalid(e, "--heartbeat-interval must be >0 (set to 0ms)");
    if (election == 0)
        return invalid(e, "--election-timeout must be >0 (set to 0ms)");
    if (beat > UINT64_MAX / 5 || 5 * beat > election)
        return invalid(e,
                       "--election-timeout[%" PRIu64 "ms] should be at least as 5 times as "
                       "--heartbeat-interval[%" PRIu64 "ms]",
                       election, beat);
    if (election > ELECTION_MS_MAX)
        return invalid(
            e, "--election-timeout[%" PRIu64 "ms] is too long, and should be set less than %dms",
            election, ELECTION_MS_MAX);
    return 0;
}

static int check_features(const struct config *c, struct err *e)
{
    char text[GO_DURATION_BYTES];

    if (!c->from_file && c->given[CONFIG_listen_client_urls] &&
        !c->given[CONFIG_advertise_client_urls])
        return invalid(
            e, "--advertise-client-urls is required when --listen-client-urls is set explicitly");
    if (*c->auto_compaction_mode == 0)
        return invalid(e, "undefined auto-compaction-mode");
    if (strcmp(c->auto_compaction_mode, "periodic") != 0 &&
        strcmp(c->auto_compaction_mode, "revision") != 0)
        return invalid(e, "unknown auto-compaction-mode \"%s\"", c->auto_compaction_mode);
    if (c->enable_distributed_tracing && c->distributed_tracing_sampling_rate < 0)
        return invalid(e, "distributed tracing configurition is not valid: (tracing sampling rate "
                          "must be positive)");
    if (c->enable_distributed_tracing && c->distributed_tracing_sampling_rate > SAMPLES_MAX)
        return invalid(e, "distributed tracing configurition is not valid: (tracing sampling rate "
                          "must be less than 1000000)");
    if (config_gate(c, "LeaseCheckpointPersist") && !config_gate(c, "LeaseCheckpoint"))
        return invalid(e, "enabling feature gate LeaseCheckpointPersist requires enabling feature "
                          "gate LeaseCheckpoint");
    if (c->compact_hash_check_time <= 0)
        return invalid(e, "--compact-hash-check-time must be >0 (set to %s)",
                       go_duration(c->compact_hash_check_time, text));
    return 0;
}

static bool tls_version(const char *s, int *ret)
{
    *ret = strcmp(s, "TLS1.2") == 0 ? 2 : strcmp(s, "TLS1.3") == 0 ? 3 : *s == 0 ? 0 : -1;
    return *ret >= 0;
}

static int check_tls(const struct config *c, struct err *e)
{
    int low, high;

    if (!tls_version(c->tls_min_version, &low))
        return invalid(e, "unexpected TLS version \"%s\" (must be one of: TLS1.2, TLS1.3)",
                       c->tls_min_version);
    if (!tls_version(c->tls_max_version, &high))
        return invalid(e, "unexpected TLS version \"%s\" (must be one of: TLS1.2, TLS1.3)",
                       c->tls_max_version);
    if (high != 0 && low > high)
        return invalid(e, "min version (%s) is greater than max version (%s)", c->tls_min_version,
                       c->tls_max_version);
    if (low == 3 && c->cipher_suites.n > 0)
        return invalid(e, "cipher suites cannot be configured when only TLS1.3 is enabled");
    return 0;
}

/* ---- what follows ---- */

/* --initial-cluster of a member that was only told its name: itself. */
static int default_cluster(struct config *c, struct err *e)
{
    char *text = arena_printf(&c->arena, "%s", "");

    for (size_t i = 0; i < c->initial_advertise_peer_urls.n && text != NULL; i++)
        text = arena_printf(&c->arena, "%s%s%s=%s", text, i == 0 ? "" : ",", c->name,
                            c->initial_advertise_peer_urls.v[i]);
    if (text == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    c->initial_cluster = text;
    return 0;
}

static int complete(struct config *c, struct err *e)
{
    if (c->snapshot_count == 0)
        c->snapshot_count = 10000;
    if (c->warning_unary_request_duration == 0)
        c->warning_unary_request_duration = INT64_C(300000000);
    if (c->watch_progress_notify_interval == 0)
        c->watch_progress_notify_interval = INT64_C(600000000000);
    c->watch_progress_notify_interval = MAX(c->watch_progress_notify_interval, INT64_C(100000000));
    if (*c->data_dir == 0) {
        c->data_dir = arena_printf(&c->arena, "%s.etcd", c->name);
        if (c->data_dir == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
    }
    if (!c->given[CONFIG_initial_cluster] || *c->initial_cluster == 0)
        return default_cluster(c, e);
    return 0;
}

int config_check(struct config *c, struct err *e)
{
    int rc = 0;

    if (strcmp(c->discovery_fallback, "proxy") == 0)
        return invalid(e, "v2 proxy is deprecated, and --discovery-fallback can't be configured as "
                          "\"proxy\"");
    rc = check_logging(c, e);
    if (rc == 0)
        rc = check_urls(c, e);
    if (rc == 0)
        rc = check_bootstrap(c, e);
    if (rc == 0)
        rc = check_timing(c, e);
    if (rc == 0)
        rc = check_features(c, e);
    if (rc == 0)
        rc = check_tls(c, e);
    return rc == 0 ? complete(c, e) : rc;
}
