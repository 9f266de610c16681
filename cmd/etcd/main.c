/* main.c -- etcd: a member of a cluster.  The only file that gives it the real clock, disk and
 * randomness.
 *
 * Order of a start: configuration, ports (a port in use is found before anything on disk is
 * touched), the data directory, the threads, the clients.  A stop goes the other way round.
 */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "edge/peer/peer.h"
#include "edge/server/config.h"
#include "edge/server/member_permit.h"
#include "edge/server/server.h"
#include "engine/net/same_urls.h"
#include "etcd/actors.h"
#include "etcd/discovery.h"
#include "etcd/gateway.h"
#include "etcd/grpc_proxy.h"
#include "etcd/join.h"
#include "etcd/node_config.h"
#include "etcd/peer_side.h"
#include "etcd/process.h"
#include "sys/disk.h"

#define TRIM_SECONDS 3

extern char **environ;

struct program {
    struct config config;
    struct log *log;
    struct metrics *metrics;
    struct actors actors;
    struct server *server;
    struct peer_side peer_side;
    struct peer_server *peers;
    struct member_permit *permit; /* of the peer port */
    struct node *node;
    _Atomic bool removed;
};

/* What the program sends to itself. */
#define SIGNAL_REMOVED SIGUSR2

/* How long a member that was removed still serves, so that others hear of it, and how long its
 * calls then have to end.  Short: a removed leader that still answers hides that the others have no
 * leader yet, and what a client then proposes is lost; and whoever watches there sees nothing of
 * what the others do. */
#define REMOVED_STOP_MS 100

#define PASS_ON_MS 50 /* after another member has become the leader */

NORETURN static void fatal(void *ctx, const char *why)
{
    struct program *p = ctx;

    LOG_FATAL(p->log, "the member stops: it can no longer keep its promises", F_STR("error", why));
}

NORETURN static void log_lost(void *ctx, const char *words)
{
    struct program *p = ctx;

    LOG_PANIC(log_named(p->log, "raft"), words);
}

/* The membership says so: the main thread, which waits for signals, ends the program. */
static void removed(void *ctx)
{
    struct program *p = ctx;

    if (!atomic_exchange(&p->removed, true))
        kill(getpid(), SIGNAL_REMOVED);
}

/* ---- starting ---- */

static int open_log(struct program *p, struct err *e)
{
    const struct config *c = &p->config;
    struct log_options o = {.level = c->level,
                            .format = c->format,
                            .outputs = c->log_outputs.v,
                            .outputs_n = c->log_outputs.n,
                            .rotation = c->enable_log_rotation ? &c->rotation : NULL,
                            .clock = clock_posix()};
    struct log *l;
    int rc = log_open(&o, &l, e);

    if (rc != 0)
        return rc;
    log_close(p->log);
    p->log = l;
    return log_start(l, e);
}

/* As `ls -l` shows a directory. */
static void mode_text(mode_t mode, char ret[11])
{
    static const char letters[] = "rwxrwxrwx";

    ret[0] = 'd';
    for (int i = 0; i < 9; i++)
        ret[1 + i] = (mode >> (8 - i) & 1) != 0 ? letters[i] : '-';
    ret[10] = 0;
}

/* A directory that was there before, and that others may look into (CVE-2020-15113). */
static void warn_of_mode(struct log *l, const char *dir)
{
    char mode[11], text[512];
    struct stat st;

    if (stat(dir, &st) != 0 || (st.st_mode & 0777) == 0700)
        return;
    mode_text(st.st_mode, mode);
    snprintf(text, sizeof text,
             "directory \"%s\" exist, but the permission is \"%s\". The recommended permission is "
             "\"-rwx------\" to prevent possible unprivileged access to the data",
             dir, mode);
    LOG_WARN(l, "check file permission", F_STR("error", text));
}

/* --feature-gates=InitialCorruptCheck=true, for a member that was here before. */
static int check_first(struct program *p, struct err *e)
{
    const struct config *c = &p->config;

    if (!config_gate(c, "InitialCorruptCheck"))
        return 0;
    return peer_first_check(p->peers, 5000 + 2 * (int64_t) c->election_timeout, e);
}

/* Before anything is taken or touched.  Others may be waited for; meanwhile a signal ends the
 * process as it ends any. */
static int find_cluster(struct program *p, bool initialized, struct err *e)
{
    sigset_t ends;
    int rc;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_UNBLOCK, &ends, NULL);
    rc = discover_cluster(&p->config, initialized, p->log, e);
    if (rc == 0)
        rc = config_check_start(&p->config, initialized, e);
    if (rc == 0 && !initialized)
        rc = config_check_peers(&p->config, p->log, NET_SAME_URLS_MS, e);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    return rc;
}

static bool borrow_core(void *ctx)
{
    return actors_borrow(ctx);
}

static void run_core(void *ctx)
{
    actors_run_guest(ctx);
}

static void stand_in(void *ctx)
{
    struct program *p = ctx;

    server_stand_in(p->server);
}

static int open_all(struct program *p, char *const *argv, struct err *e)
{
    struct server_options so = {.config = &p->config,
                                .log = p->log,
                                .metrics = p->metrics,
                                .clock = clock_posix(),
                                .random = random_posix(),
                                .argv = argv,
                                .initialized = has_log(&p->config),
                                .core = {borrow_core, run_core, &p->actors}};
    struct node_config nc;
    struct node_env env = {.disk = disk_posix(),
                           .random = random_posix(),
                           .clock = clock_posix(),
                           .log = p->log,
                           .metrics = p->metrics,
                           .wake = actors_wake,
                           .fatal = fatal,
                           .log_lost = log_lost,
                           .removed = removed,
                           .ctx = p};
    struct peer_discovered cluster = {0};
    int rc = find_cluster(p, so.initialized, e);

    nc = node_config_of(&p->config); /* after the check, which makes the list of members */
    actors_init(&p->actors);
    p->actors.stand_in = stand_in;
    p->actors.stand_in_ctx = p;
    env.wake_ctx = &p->actors;
    if (rc == 0)
        rc = peer_side_open(&p->peer_side, &p->config, p->log, p->metrics, &p->peers, e);
    if (rc == 0)
        rc = server_new(&so, &p->server, e);
    if (rc == 0)
        env.transport = peer_transport(p->peers);
    if (rc == 0 && !so.initialized)
        rc = join_cluster(&p->config, p->peer_side.client, p->log, &p->config.arena, &nc, &cluster,
                          e);
    if (rc == 0)
        warn_of_mode(p->log, p->config.data_dir);
    if (rc == 0)
        rc = node_open(&nc, &env, clock_mono_ns(clock_posix()), clock_wall_ms(clock_posix()),
                       &p->node, e);
    if (rc == 0)
        rc = server_attach(p->server, p->node, e);
    if (rc == 0)
        peer_attach(p->peers, p->node);
    if (rc == 0)
        rc = member_permit_new(p->server, &p->permit, e);
    if (rc == 0)
        peer_guard(p->peers, member_permit_ask, p->permit);
    if (rc == 0 && so.initialized)
        rc = check_first(p, e);
    if (rc == 0)
        rc = actors_start(&p->actors, p->node, e);
    join_remotes(&cluster, p->peers);
    if (rc == 0)
        rc = peer_start(p->peers, e);
    if (rc == 0)
        rc = server_start(p->server, e);
    return rc;
}

/* A leader lets another one lead, and stays a moment longer: what the others have sent it before
 * they heard of that is passed on. */
static void hand_over(struct program *p)
{
    static const struct timespec moment = {0, 1000000}, longer = {0, PASS_ON_MS * 1000000};
    struct node_status st;

    node_status(p->node, &st);
    node_hand_over(p->node);
    while (!node_handed_over(p->node))
        nanosleep(&moment, NULL);
    if (st.is_leader && !node_is_alone(p->node))
        nanosleep(&longer, NULL);
}

/* A member that was removed has nothing to hand over, for the others do not listen to it any more,
 * and its calls nothing to wait for: what is proposed is refused now, and watches are cut. */
static void stop_clients(struct program *p, bool is_removed)
{
    if (is_removed && p->actors.node != NULL)
        node_stop(p->node);
    if (p->server != NULL && is_removed)
        server_stop_within(p->server, REMOVED_STOP_MS);
    else if (p->server != NULL)
        server_stop(p->server);
}

static void close_all(struct program *p)
{
    static const struct timespec moment = {0, 1000000};
    bool is_removed = atomic_load(&p->removed);

    stop_clients(p, is_removed);
    if (p->actors.node != NULL) {
        /* Bounded: a transfer that takes too long ends as a failure. */
        if (!is_removed)
            hand_over(p);
        node_stop(p->node);
        while (!node_stopped(p->node))
            nanosleep(&moment, NULL);
    }
    peer_stop(p->peers); /* the actors go on: it waits for what other members have asked */
    if (p->actors.node != NULL)
        actors_stop(&p->actors);
    peer_free(p->peers);
    member_permit_free(p->permit);
    peer_side_close(&p->peer_side);
    server_free(p->server);
    node_close(p->node);
}

/* ---- signals ---- */

/* SIGTERM and SIGINT are taken by the main thread alone; every other thread has them blocked. */
static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGNAL_REMOVED);
    sigprocmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

#if defined(__SANITIZE_ADDRESS__)
/* A signal's default action skips the leak check that a return from main would make. */
void __lsan_do_leak_check(void);
#endif

/* The process ends as the signal would have ended it; as process 1, which cannot die by one, with
 * status 0.  Others that have come meanwhile wait for ever. */
NORETURN static void end_by(int signum)
{
    sigset_t own;

    if (getpid() == 1)
        exit(0);
#if defined(__SANITIZE_ADDRESS__)
    __lsan_do_leak_check();
#endif
    signal(signum, SIG_DFL);
    sigemptyset(&own);
    sigaddset(&own, signum);
    sigprocmask(SIG_UNBLOCK, &own, NULL);
    raise(signum);
    exit(1);
}

static void program_free(struct program *p)
{
    log_close(p->log);
    metrics_free(p->metrics);
    config_done(&p->config);
    mem_free(p);
}

static void leave(struct program *p)
{
    struct timespec pause = {REMOVED_STOP_MS / 1000, REMOVED_STOP_MS % 1000 * 1000000};

    LOG_WARN(p->log, "server error",
             F_STR("error", "the member has been permanently removed from the cluster"));
    LOG_WARN(p->log, "data-dir used by this member must be removed",
             F_STR("data-dir", p->config.data_dir));
    nanosleep(&pause, NULL);
}

/* Runs until a signal ends it.  The signal, or 0 when the start failed. */
static int serve(struct program *p, char *const *argv, const sigset_t *set)
{
    const struct config *c = &p->config;
    struct err e = ERR_INIT;
    int signum;

    p->metrics = metrics_new();
    if (p->metrics == NULL || open_log(p, &e) != 0 || open_all(p, argv, &e) != 0) {
        LOG_ERROR(p->log, "failed to start etcd", F_ERR(&e));
        close_all(p);
        return 0;
    }
    while ((signum = sigtimedwait(set, NULL, &(struct timespec){TRIM_SECONDS, 0})) < 0)
        process_trim_memory();
    if (signum == SIGNAL_REMOVED)
        leave(p);
    else
        LOG_INFO(p->log, "received signal; shutting down",
                 F_STR("signal", signum == SIGTERM ? "terminated" : "interrupt"));
    close_all(p);
    LOG_INFO(
        p->log, "closed etcd server", F_STR("name", c->name), F_STR("data-dir", c->data_dir),
        F_STRS("advertise-peer-urls", c->initial_advertise_peer_urls.v,
               c->initial_advertise_peer_urls.n),
        F_STRS("advertise-client-urls", c->advertise_client_urls.v, c->advertise_client_urls.n));
    return signum;
}

static int serve_as_member(char **argv)
{
    struct program *p = xmem_calloc(1, sizeof *p);
    struct config_source src = {.argv = argv, .envp = environ, .out = stdout, .err = stderr};
    sigset_t set;
    int status = 0, signum;

    block_signals(&set);
    process_raise_descriptors();
    process_keep_memory_small();
    p->log = process_log(); /* until the configuration is known */
    config_init(&p->config);
    if (config_load(&p->config, &src, p->log, &status) != 0) {
        program_free(p);
        return status;
    }
    signum = serve(p, argv, &set);
    program_free(p);
    if (signum == 0)
        return 1;
    if (signum == SIGNAL_REMOVED)
        return 0;
    end_by(signum);
}

/* The first word may choose something else than a member. */
int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], GATEWAY_COMMAND) == 0)
        return gateway_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], GRPC_PROXY_COMMAND) == 0)
        return grpc_proxy_main(argc, argv);
    return serve_as_member(argv);
}
