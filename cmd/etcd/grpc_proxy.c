/* grpc_proxy.c -- `etcd grpc-proxy start`: from flags to a proxy that serves until a signal. */
#define _GNU_SOURCE
#include "etcd/grpc_proxy.h"

#include <signal.h>
#include <unistd.h>

#include "edge/server/goparse.h"
#include "edge/server/server.h"
#include "engine/net/url.h"
#include "etcd/grpc_proxy_int.h"
#include "etcd/host_port.h"
#include "etcd/process.h"

/* How long calls under way have when a signal comes. */
#define STOP_GRACE_MS 500

#define HOST_BYTES 256

/* ---- addresses ---- */

struct address {
    const char *host; /* "": all addresses */
    uint16_t port;
};

/* --listen-addr, as Go's net.Listen takes it. */
static int listen_address(const struct grpc_proxy *g, struct address *ret)
{
    struct err e = ERR_INIT;
    struct host_port hp;
    int rc = host_port_split(cli_string(g->call, "listen-addr"), &g->call->arena, &hp, &e);

    if (rc != 0) {
        fprintf(stderr, "listen tcp: %s\n", e.msg);
        return 1;
    }
    ret->host = hp.host;
    if (host_port_listen(hp.port, &ret->port, &e) != 0) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    return 0;
}

static int listen_clients(struct grpc_proxy *g, const struct address *a)
{
    const char *text = cli_string(g->call, "listen-addr");
    struct net_listen where = {.host = a->host, .port = a->port, .tls = g->listen_tls};
    struct err e = ERR_INIT;

    if (proxy_listen(g->proxy, &where, &e) != 0) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    LOG_INFO(g->log, "listening for gRPC proxy client requests", F_STR("address", text));
    return 0;
}

static int listen_pages(struct grpc_proxy *g)
{
    const char *text = cli_string(g->call, "metrics-addr");
    struct net_listen where = {0};
    struct err e = ERR_INIT;
    uint64_t port = 0;
    struct url u;

    if (text[0] == 0)
        return 0;
    if (url_parse(text, &g->call->arena, &u, &e) != 0 ||
        go_uint_parse(u.port[0] == 0 ? "0" : u.port, UINT16_MAX, &port, &e) != 0) {
        fprintf(stderr, "cannot parse \"%s\"", text);
        return 1;
    }
    where.host = u.host;
    where.port = (uint16_t) port;
    if (strncmp(u.scheme, "unix", 4) == 0)
        where.unix_path = u.host;
    if (strcmp(u.scheme, "https") == 0 || strcmp(u.scheme, "unixs") == 0) {
        where.tls = g->listen_tls;
        if (where.tls == NULL) {
            fprintf(stderr,
                    "cannot listen on TLS for %s:%s: KeyFile and CertFile are not presented\n",
                    u.host, u.port);
            return 1;
        }
    }
    if (proxy_listen_pages(g->proxy, &where, &e) != 0) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    LOG_INFO(g->log, "gRPC proxy listening for metrics", F_STR("address", text));
    return 0;
}

/* ---- from flags to options ---- */

static int64_t ms_of(const struct cli_call *c, const char *flag)
{
    return MAX(cli_int(c, flag), 0) / 1000000;
}

static void limits_of(const struct cli_call *c, struct net_limits *l)
{
    net_limits_default(l);
    l->concurrent_streams_max = (uint32_t) MIN(cli_uint(c, "max-concurrent-streams"), UINT32_MAX);
    l->keepalive_enforced = cli_int(c, "grpc-keepalive-min-time") > 0;
    l->keepalive_min_ms = ms_of(c, "grpc-keepalive-min-time");
    if (ms_of(c, "grpc-keepalive-interval") > 0)
        l->keepalive_interval_ms = ms_of(c, "grpc-keepalive-interval");
    if (ms_of(c, "grpc-keepalive-timeout") > 0)
        l->keepalive_timeout_ms = ms_of(c, "grpc-keepalive-timeout");
}

static size_t bytes_of_flag(const struct cli_call *c, const char *flag, size_t otherwise)
{
    int64_t n = cli_int(c, flag);

    return n > 0 ? (size_t) MIN(n, (int64_t) INT32_MAX) : otherwise;
}

static int open_proxy(struct grpc_proxy *g)
{
    const struct cli_call *c = g->call;
    static char hostname[HOST_BYTES];
    struct proxy_options o = {
        .loop = g->loop,
        .log = g->log,
        .metrics = g->metrics,
        .endpoints = g->endpoints,
        .endpoints_n = g->endpoints_n,
        .dial_tls = g->dial_tls,
        .dial_keepalive_time_ms = ms_of(c, "dial-keepalive-time"),
        .dial_keepalive_timeout_ms = ms_of(c, "dial-keepalive-timeout"),
        .dial_keepalive_without_calls = cli_bool(c, "permit-without-stream"),
        .request_bytes_max = bytes_of_flag(c, "max-send-bytes", 2 << 20),
        .response_bytes_max = bytes_of_flag(c, "max-recv-bytes", INT32_MAX),
        .sync_interval_ms = ms_of(c, "endpoints-auto-sync-interval"),
        .advertise_url = cli_string(c, "advertise-client-url"),
        .self_tls = g->self_tls,
        .resolver_prefix = cli_string(c, "resolver-prefix"),
        .resolver_ttl_s = cli_int(c, "resolver-ttl"),
        .hostname = hostname,
        .name_space = cli_string(c, "namespace"),
    };
    struct err e = ERR_INIT;

    gethostname(hostname, sizeof hostname - 1);
    limits_of(c, &o.limits);
    if (o.response_bytes_max < o.request_bytes_max)
        fprintf(stderr,
                "gRPC message recv limit (%zu bytes) must be greater than send limit (%zu bytes)\n",
                o.response_bytes_max, o.request_bytes_max);
    else if (proxy_new(&o, &g->proxy, &e) != 0)
        fprintf(stderr, "%s\n", e.msg);
    return g->proxy == NULL;
}

/* ---- running ---- */

static int open_log(struct grpc_proxy *g)
{
    struct log_options o = {.level = cli_bool(g->call, "debug") ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
                            .format = LOG_FORMAT_JSON,
                            .clock = clock_posix()};
    struct err e = ERR_INIT;

    if (log_open(&o, &g->log, &e) != 0 || loop_new("proxy", &g->loop, &e) != 0)
        return cli_fail(1, "%s", e.msg);
    g->metrics = metrics_new();
    return g->metrics == NULL ? cli_fail(1, "out of memory") : 0;
}

static int open_all(struct grpc_proxy *g)
{
    struct address a = {.port = 0};
    int rc = listen_address(g, &a);

    if (rc == 0)
        rc = grpc_proxy_listen_tls(g);
    if (rc == 0)
        rc = grpc_proxy_dial_tls(g);
    if (rc == 0)
        rc = grpc_proxy_endpoints(g);
    if (rc == 0)
        rc = open_proxy(g);
    if (rc == 0)
        rc = listen_clients(g, &a);
    if (rc == 0)
        rc = listen_pages(g);
    return rc;
}

static void stopped(void *user)
{
    struct grpc_proxy *g = user;

    loop_stop(g->loop);
}

/* A second signal ends what the first one waits for. */
static void on_signal(int signum, void *user)
{
    struct grpc_proxy *g = user;

    proxy_stop(g->proxy, g->signum == 0 ? STOP_GRACE_MS : 0, stopped, g);
    g->signum = signum;
}

static int serve(struct grpc_proxy *g)
{
    struct err e = ERR_INIT;
    const char *text = cli_string(g->call, "listen-addr");

    if (log_start(g->log, &e) != 0 || loop_on_signal(g->loop, SIGTERM, on_signal, g, &e) != 0 ||
        loop_on_signal(g->loop, SIGINT, on_signal, g, &e) != 0)
        return cli_fail(1, "%s", e.msg);
    proxy_start(g->proxy);
    LOG_INFO(g->log, "started gRPC proxy", F_STR("address", text));
    LOG_INFO(g->log, "notifying init daemon");
    if (notify_ready())
        LOG_INFO(g->log, "successfully notified init daemon");
    loop_run(g->loop);
    LOG_INFO(g->log, "stop listening gRPC proxy client requests", F_STR("address", text));
    return 0;
}

static void close_all(struct grpc_proxy *g)
{
    proxy_free(g->proxy);
    tls_unref(g->listen_tls);
    tls_unref(g->self_tls);
    tls_unref(g->dial_tls);
    loop_free(g->loop);
    metrics_free(g->metrics);
    log_close(g->log);
}

static int start_run(struct cli_call *c)
{
    struct grpc_proxy *g = c->program->user;
    int rc = grpc_proxy_check(c);

    if (rc != 0)
        return rc;
    g->call = c;
    rc = open_log(g);
    if (rc == 0)
        rc = open_all(g);
    if (rc == 0)
        rc = serve(g);
    close_all(g);
    return rc;
}

/* ---- the command ---- */

static struct cli_command start = {
    .use = "start",
    .brief = "start the grpc proxy",
    .run = start_run,
};

static const struct cli_command *const proxy_commands[] = {&start};

static const struct cli_command grpc_proxy = {
    .use = GRPC_PROXY_COMMAND " <subcommand>",
    .brief = "grpc-proxy related command",
    CLI_SUBS(proxy_commands),
};

static const struct cli_command *const root_commands[] = {&grpc_proxy};

static const struct cli_command root = {
    .use = "etcd",
    .brief = "etcd server",
    CLI_SUBS(root_commands),
};

#if defined(__SANITIZE_ADDRESS__)
/* A signal's default action skips the leak check that a return from main would make. */
void __lsan_do_leak_check(void);
#endif

/* As the signal would have ended it; process 1 cannot die by one. */
static int end_by(int signum)
{
    if (getpid() == 1)
        return 0;
#if defined(__SANITIZE_ADDRESS__)
    __lsan_do_leak_check();
#endif
    signal(signum, SIG_DFL);
    raise(signum);
    return 1;
}

int grpc_proxy_main(int argc, char **argv)
{
    struct grpc_proxy g = {0};
    struct cli_program program = {.root = &root, .error_style = CLI_ERROR_ONCE, .user = &g};
    int status;

    start.flags = grpc_proxy_flags;
    start.flag_count = grpc_proxy_flags_n;
    signal(SIGPIPE, SIG_IGN);
    process_raise_descriptors();
    status = cli_main(&program, argc, argv);
    return g.signum == 0 ? status : end_by(g.signum);
}
