/* The life of a server: addresses, threads, readiness, the end. */
#define _POSIX_C_SOURCE 200809L
#include <unistd.h>

#include "base/alloc.h"
#include "edge/server/auth_work.h"
#include "edge/server/listen.h"
#include "edge/server/otel.h"
#include "edge/server/token.h"
#include "sys/password.h"

#define READY_POLL_MS 2      /* until the node has published itself */
#define IO_THREADS_DEFAULT 2 /* at most: beyond that the apply thread is the limit */

static size_t io_threads(const struct config *c)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (c->io_threads != 0)
        return (size_t) MIN(c->io_threads, (uint64_t) SERVER_IO_THREADS_MAX);
    /* One for two cores: the second would only take turns with the threads that do the work. */
    return (size_t) MAX(1, MIN(cores / 2, IO_THREADS_DEFAULT));
}

/* ---- readiness ---- */

static void log_serving(struct server *s, const char *url, const char *what)
{
    struct log_field traffic = F_STR("traffic", what), address = F_STR("address", url);

    if (security_wanted(url))
        LOG_INFO(s->log, "serving client traffic securely", traffic, address);
    else
        LOG_INFO(s->log, "serving client traffic insecurely; this is strongly discouraged!",
                 traffic, address);
}

static void let_clients_in(struct server *s)
{
    const struct strings *urls = &s->config->listen_client_urls;
    const struct strings *http = &s->config->listen_client_http_urls;

    s->clients_started = true;
    net_server_start(s->clients);
    for (size_t i = 0; i < urls->n + http->n; i++)
        LOG_INFO(s->log, "ready to serve client requests");
    if (getenv("NOTIFY_SOCKET") != NULL) {
        LOG_INFO(s->log, "notifying init daemon");
        if (notify_ready())
            LOG_INFO(s->log, "successfully notified init daemon");
        else
            LOG_ERROR(s->log, "failed to notify systemd for readiness");
    }
    LOG_INFO(s->log, "grpc service status changed", F_STR("service", ""),
             F_STR("status", "SERVING"));
    for (size_t i = 0; i < urls->n; i++)
        log_serving(s, urls->v[i], http->n == 0 ? "grpc+http" : "grpc");
    for (size_t i = 0; i < http->n; i++)
        log_serving(s, http->v[i], "http");
}

static void check_ready(struct loop_timer *t)
{
    struct server *s = CONTAINER_OF(t, struct server, ready_timer);
    struct node_status st;

    if (s->stopping_n > 0)
        return;
    node_status(s->node, &st);
    if (st.ready)
        let_clients_in(s);
    else if (loop_timer_start(s->ios[0].loop, t, READY_POLL_MS) != 0)
        LOG_FATAL(s->log, "out of memory before clients could be served");
}

/* ---- start ---- */

static void log_starting(struct server *s)
{
    const struct config *c = s->config;

    config_log_warnings(c, s->log);
    if (s->o.argv != NULL) {
        size_t n = 0;

        while (s->o.argv[n] != NULL)
            n++;
        LOG_INFO(s->log,
                 "Running: ", F_STRS("args", (const char *const *) (uintptr_t) s->o.argv, n));
    }
    LOG_INFO(s->log, "configuring client listeners",
             F_STRS("listen-client-urls", c->listen_client_urls.v, c->listen_client_urls.n));
}

/* What logins need: before anything listens, for a bad option refuses the start. */
static int open_logins(struct server *s, struct err *e)
{
    const struct config *c = s->config;
    const char *unknown = "";
    int rc = tokens_new(c->auth_token, &s->tokens, &unknown, e);

    if (rc != 0)
        return rc;
    if (token_is_simple(s->tokens))
        LOG_WARN(s->log, "simple token is not cryptographically signed");
    if (unknown[0] != 0)
        LOG_WARN(s->log, "unknown JWT options", F_STR("keys", unknown));
    if (c->bcrypt_cost < PASSWORD_COST_MIN || c->bcrypt_cost > PASSWORD_COST_MAX)
        LOG_WARN(s->log, "use default bcrypt cost instead of the invalid given cost",
                 F_U64("min-cost", PASSWORD_COST_MIN), F_U64("max-cost", PASSWORD_COST_MAX),
                 F_U64("default-cost", PASSWORD_COST_DEFAULT), F_U64("given-cost", c->bcrypt_cost));
    return auth_work_new((unsigned) MAX(s->ios_n / 2, (size_t) 1), &s->auth_work, e);
}

int server_new(const struct server_options *o, struct server **ret, struct err *e)
{
    struct server *s = mem_calloc(1, sizeof *s);
    int rc = 0;

    if (s == NULL)
        return err_set(e, ERR_NOMEM, "start server: out of memory");
    s->o = *o;
    s->config = o->config;
    s->log = o->log;
    s->metrics = o->metrics;
    s->version = config_version(o->config);
    loop_timer_init(&s->ready_timer, check_ready);
    log_starting(s);
    s->stall_ms = SERVER_STALL_MS;
    s->ios_n = io_threads(o->config);
    s->ios = mem_calloc(s->ios_n, sizeof *s->ios);
    if (s->ios == NULL)
        rc = err_set(e, ERR_NOMEM, "start server: out of memory");
    for (size_t i = 0; i < s->ios_n && rc == 0; i++)
        rc = io_init(&s->ios[i], s, (unsigned) i, e);
    if (rc == 0)
        rc = otel_new(s, &s->otel, e);
    if (rc == 0)
        config_log_start(o->config, o->initialized, s->log);
    if (rc == 0)
        rc = open_logins(s, e);
    if (rc == 0)
        server_metrics_register(s);
    if (rc == 0)
        rc = listen_open(s, e);
    if (rc != 0) {
        server_stop(s);
        server_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

int server_attach(struct server *s, struct node *n, struct err *e)
{
    struct node_status st;
    int rc = 0;

    node_status(n, &st);
    s->node = n;
    s->cluster_id = st.cluster_id;
    s->member_id = st.member_id;
    for (size_t i = 0; i < s->ios_n && rc == 0; i++)
        rc = io_attach(&s->ios[i], n, e);
    if (rc == 0)
        server_metrics_attach(s);
    return rc;
}

static int start_loops(struct server *s, struct err *e)
{
    int rc = otel_start(s->otel, e);

    for (size_t i = 0; i < s->ios_n && rc == 0; i++) {
        rc = loop_start(s->ios[i].loop, e);
        s->ios[i].running = rc == 0;
    }
    s->started = true;
    return rc;
}

int server_start(struct server *s, struct err *e)
{
    int rc = loop_timer_start(s->ios[0].loop, &s->ready_timer, READY_POLL_MS);

    if (rc != 0)
        return err_set(e, rc, "start server: out of memory");
    rc = compactor_start(s, &s->compactor, e);
    if (rc != 0)
        return rc;
    if (s->pages != NULL) {
        net_server_start(s->pages);
        for (size_t i = 0; i < s->config->listen_metrics_urls.n; i++)
            LOG_INFO(s->log, "serving metrics",
                     F_STR("address", s->config->listen_metrics_urls.v[i]));
    }
    return start_loops(s, e);
}

uint16_t server_client_port(const struct server *s)
{
    return s->client_port;
}

/* ---- stop ----
 *
 * Clients and pages stop accepting and get some time to end their calls; then each loop
 * turns on until the node has given back everything, and ends. */

static void net_stopped(void *user)
{
    struct server *s = user;

    ASSERT(s->stopping_n > 0);
    if (--s->stopping_n > 0)
        return;
    compactor_stop(s->compactor);
    for (size_t i = 0; i < s->ios_n; i++)
        loop_post(s->ios[i].loop, &s->ios[i].drain_task);
}

/* On the first loop. */
static void begin_stop(struct loop_task *t)
{
    struct server *s = CONTAINER_OF(t, struct server, stop_task);

    /* One more than there are, so that none of them ends it before all are told. */
    s->stopping_n = 1;
    loop_timer_stop(s->ios[0].loop, &s->ready_timer);
    if (s->node != NULL)
        node_end_waits(s->node); /* a call ends when its request is back, however long that takes */
    if (s->clients != NULL) {
        s->stopping_n++;
        net_server_stop(s->clients, s->grace_ms, net_stopped, s);
    }
    if (s->pages != NULL) {
        s->stopping_n++;
        net_server_stop(s->pages, s->grace_ms, net_stopped, s);
    }
    net_stopped(s);
}

static void log_closing(struct server *s)
{
    const struct config *c = s->config;

    LOG_INFO(
        s->log, "closing etcd server", F_STR("name", c->name), F_STR("data-dir", c->data_dir),
        F_STRS("advertise-peer-urls", c->initial_advertise_peer_urls.v,
               c->initial_advertise_peer_urls.n),
        F_STRS("advertise-client-urls", c->advertise_client_urls.v, c->advertise_client_urls.n));
}

void server_stop(struct server *s)
{
    server_stop_within(s, 5000 + 2 * (int64_t) s->config->election_timeout);
}

void server_stop_within(struct server *s, int64_t grace_ms)
{
    struct err e = ERR_INIT;

    /* What was never started is stopped by the same road: its loops have sockets to close. */
    if (s->ios == NULL || s->ios[s->ios_n - 1].loop == NULL)
        return;
    if (!s->started && start_loops(s, &e) != 0)
        LOG_FATAL(s->log, "cannot start I/O threads", F_ERR(&e));
    if (s->node != NULL)
        log_closing(s);
    s->grace_ms = grace_ms;
    s->stop_task.run = begin_stop;
    loop_post(s->ios[0].loop, &s->stop_task);
    for (size_t i = 0; i < s->ios_n; i++) {
        if (s->ios[i].running)
            loop_join(s->ios[i].loop);
        s->ios[i].running = false;
    }
    otel_stop(s->otel);
}

void server_free(struct server *s)
{
    if (s == NULL)
        return;
    net_server_free(s->clients);
    net_server_free(s->pages);
    compactor_free(s->compactor);
    for (size_t i = 0; s->ios != NULL && i < s->ios_n; i++)
        io_done(&s->ios[i]);
    auth_work_free(s->auth_work);
    tokens_free(s->tokens);
    otel_free(s->otel);
    mem_free(s->ios);
    mem_free(s);
}
