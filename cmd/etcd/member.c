/* member.c -- the only file that gives a node the real clock, disk and randomness. */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "edge/peer/peer.h"
#include "engine/net/same_urls.h"
#include "etcd/discovery.h"
#include "etcd/join.h"
#include "etcd/member.h"
#include "etcd/node_config.h"
#include "sys/disk.h"

#define PASS_ON_MS 50 /* after another member has become the leader */

/* ---- what the node says ---- */

NORETURN static void fatal(void *ctx, const char *why)
{
    struct member *m = ctx;

    LOG_FATAL(m->log, "the member stops: it can no longer keep its promises", F_STR("error", why));
}

NORETURN static void log_lost(void *ctx, const char *words)
{
    struct member *m = ctx;

    LOG_PANIC(log_named(m->log, "raft"), words);
}

/* The membership says so: the main thread, which waits for signals, ends the program. */
static void removed(void *ctx)
{
    struct member *m = ctx;

    if (!atomic_exchange(&m->removed, true))
        kill(getpid(), MEMBER_SIGNAL_REMOVED);
}

/* ---- starting ---- */

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
static int check_first(struct member *m, struct err *e)
{
    const struct config *c = &m->config;

    if (!config_gate(c, "InitialCorruptCheck"))
        return 0;
    return peer_first_check(m->peers, 5000 + 2 * (int64_t) c->election_timeout, e);
}

/* Before anything is taken or touched.  Others may be waited for; meanwhile a signal ends the
 * process as it ends any. */
static int find_cluster(struct member *m, bool initialized, struct err *e)
{
    sigset_t ends;
    int rc;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_UNBLOCK, &ends, NULL);
    rc = discover_cluster(&m->config, initialized, m->log, e);
    if (rc == 0)
        rc = config_check_start(&m->config, initialized, e);
    if (rc == 0 && !initialized)
        rc = config_check_peers(&m->config, m->log, NET_SAME_URLS_MS, e);
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
    struct member *m = ctx;

    server_stand_in(m->server);
}

/* The data directory is opened and the log read, by a new member when the others have been asked.
 */
static int open_node(struct member *m, bool initialized, struct peer_discovered *cluster,
                     struct err *e)
{
    /* After the check, which makes the list of members. */
    struct node_config nc = node_config_of(&m->config);
    struct node_env env = {.disk = disk_posix(),
                           .random = random_posix(),
                           .clock = clock_posix(),
                           .log = m->log,
                           .metrics = m->metrics,
                           .transport = peer_transport(m->peers),
                           .wake = actors_wake,
                           .wake_ctx = &m->actors,
                           .fatal = fatal,
                           .log_lost = log_lost,
                           .removed = removed,
                           .ctx = m};
    int rc = 0;

    if (!initialized)
        rc = join_cluster(&m->config, m->peer_side.client, m->log, &m->config.arena, &nc, cluster,
                          e);
    if (rc != 0)
        return rc;
    warn_of_mode(m->log, m->config.data_dir);
    return node_open(&nc, &env, clock_mono_ns(clock_posix()), clock_wall_ms(clock_posix()),
                     &m->node, e);
}

/* The ports know the node from here on; nobody is let in yet. */
static int attach(struct member *m, struct err *e)
{
    int rc = server_attach(m->server, m->node, e);

    if (rc != 0)
        return rc;
    peer_attach(m->peers, m->node);
    rc = member_permit_new(m->server, &m->permit, e);
    if (rc == 0)
        peer_guard(m->peers, member_permit_ask, m->permit);
    return rc;
}

int member_open(struct member *m, char *const *argv, struct err *e)
{
    struct server_options so = {.config = &m->config,
                                .log = m->log,
                                .metrics = m->metrics,
                                .clock = clock_posix(),
                                .random = random_posix(),
                                .argv = argv,
                                .initialized = has_log(&m->config),
                                .core = {borrow_core, run_core, &m->actors}};
    struct peer_discovered cluster = {0};
    int rc = find_cluster(m, so.initialized, e);

    actors_init(&m->actors);
    m->actors.stand_in = stand_in;
    m->actors.stand_in_ctx = m;
    if (rc == 0)
        rc = peer_side_open(&m->peer_side, &m->config, m->log, m->metrics, &m->peers, e);
    if (rc == 0)
        rc = server_new(&so, &m->server, e);
    if (rc == 0)
        rc = open_node(m, so.initialized, &cluster, e);
    if (rc == 0)
        rc = attach(m, e);
    if (rc == 0 && so.initialized)
        rc = check_first(m, e);
    if (rc == 0)
        rc = actors_start(&m->actors, m->node, e);
    join_remotes(&cluster, m->peers);
    if (rc == 0)
        rc = peer_start(m->peers, e);
    if (rc == 0)
        rc = server_start(m->server, e);
    return rc;
}

/* ---- stopping ---- */

/* A leader lets another one lead, and stays a moment longer: what the others have sent it before
 * they heard of that is passed on. */
static void hand_over(struct member *m)
{
    static const struct timespec moment = {0, 1000000}, longer = {0, PASS_ON_MS * 1000000};
    struct node_status st;

    node_status(m->node, &st);
    node_hand_over(m->node);
    while (!node_handed_over(m->node))
        nanosleep(&moment, NULL);
    if (st.is_leader && !node_is_alone(m->node))
        nanosleep(&longer, NULL);
}

/* A member that was removed has nothing to hand over, for the others do not listen to it any more,
 * and its calls nothing to wait for: what is proposed is refused now, and watches are cut. */
static void stop_clients(struct member *m, bool is_removed)
{
    if (is_removed && m->actors.node != NULL)
        node_stop(m->node);
    if (m->server != NULL && is_removed)
        server_stop_within(m->server, MEMBER_REMOVED_STOP_MS);
    else if (m->server != NULL)
        server_stop(m->server);
}

void member_close(struct member *m)
{
    static const struct timespec moment = {0, 1000000};
    bool is_removed = atomic_load(&m->removed);

    stop_clients(m, is_removed);
    if (m->actors.node != NULL) {
        /* Bounded: a transfer that takes too long ends as a failure. */
        if (!is_removed)
            hand_over(m);
        node_stop(m->node);
        while (!node_stopped(m->node))
            nanosleep(&moment, NULL);
    }
    peer_stop(m->peers); /* the actors go on: it waits for what other members have asked */
    if (m->actors.node != NULL)
        actors_stop(&m->actors);
    peer_free(m->peers);
    member_permit_free(m->permit);
    peer_side_close(&m->peer_side);
    server_free(m->server);
    node_close(m->node);
}
