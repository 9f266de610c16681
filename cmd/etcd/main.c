/* main.c -- etcd: a member of a cluster, from its command line to the signal that ends it. */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "etcd/gateway.h"
#include "etcd/grpc_proxy.h"
#include "etcd/member.h"
#include "etcd/process.h"

#define TRIM_SECONDS 3

extern char **environ;

static int open_log(struct member *m, struct err *e)
{
    const struct config *c = &m->config;
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
    log_close(m->log);
    m->log = l;
    return log_start(l, e);
}

/* ---- signals ---- */

/* SIGTERM and SIGINT are taken by the main thread alone; every other thread has them blocked. */
static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, MEMBER_SIGNAL_REMOVED);
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

static void program_free(struct member *m)
{
    log_close(m->log);
    metrics_free(m->metrics);
    config_done(&m->config);
    mem_free(m);
}

static void leave(struct member *m)
{
    struct timespec pause = {MEMBER_REMOVED_STOP_MS / 1000,
                             MEMBER_REMOVED_STOP_MS % 1000 * 1000000};

    LOG_WARN(m->log, "server error",
             F_STR("error", "the member has been permanently removed from the cluster"));
    LOG_WARN(m->log, "data-dir used by this member must be removed",
             F_STR("data-dir", m->config.data_dir));
    nanosleep(&pause, NULL);
}

/* Runs until a signal ends it.  The signal, or 0 when the start failed. */
static int serve(struct member *m, char *const *argv, const sigset_t *set)
{
    const struct config *c = &m->config;
    struct err e = ERR_INIT;
    int signum;

    m->metrics = metrics_new();
    if (m->metrics == NULL || open_log(m, &e) != 0 || member_open(m, argv, &e) != 0) {
        LOG_ERROR(m->log, "failed to start etcd", F_ERR(&e));
        member_close(m);
        return 0;
    }
    while ((signum = sigtimedwait(set, NULL, &(struct timespec){TRIM_SECONDS, 0})) < 0)
        process_trim_memory();
    if (signum == MEMBER_SIGNAL_REMOVED)
        leave(m);
    else
        LOG_INFO(m->log, "received signal; shutting down",
                 F_STR("signal", signum == SIGTERM ? "terminated" : "interrupt"));
    member_close(m);
    LOG_INFO(
        m->log, "closed etcd server", F_STR("name", c->name), F_STR("data-dir", c->data_dir),
        F_STRS("advertise-peer-urls", c->initial_advertise_peer_urls.v,
               c->initial_advertise_peer_urls.n),
        F_STRS("advertise-client-urls", c->advertise_client_urls.v, c->advertise_client_urls.n));
    return signum;
}

static int serve_as_member(char **argv)
{
    struct member *m = xmem_calloc(1, sizeof *m);
    struct config_source src = {.argv = argv, .envp = environ, .out = stdout, .err = stderr};
    sigset_t set;
    int status = 0, signum;

    block_signals(&set);
    process_raise_descriptors();
    process_keep_memory_small();
    m->log = process_log(); /* until the configuration is known */
    config_init(&m->config);
    if (config_load(&m->config, &src, m->log, &status) != 0) {
        program_free(m);
        return status;
    }
    signum = serve(m, argv, &set);
    program_free(m);
    if (signum == 0)
        return 1;
    if (signum == MEMBER_SIGNAL_REMOVED)
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
