/* cmd_lock.c -- lock: held until a signal, or for as long as a command runs. */
#include "etcdctl/exec.h"
#include "etcdctl/session.h"
#include "wire/wire.h"

#define TTL_DEFAULT_S 60 /* of a session, in place of one that is no time */

/* ---- with a command ---- */

/* The command is waited for on a thread of its own, so that the lease is kept alive meanwhile. */
struct running {
    struct session *session;
    const char *const *argv;
    struct exec_variable variables[2];
    struct exec_result result;
    bool over;
};

static void command_over(void *arg)
{
    struct running *r = arg;

    r->over = true;
    ketch_stop(r->session->ctl->client);
}

static void run_command(void *arg)
{
    struct running *r = arg;

    r->result = exec_run(r->argv, r->variables, ARRAY_LEN(r->variables));
    ketch_post(r->session->ctl->client, command_over, r);
}

static int command_failed(const struct running *r)
{
    struct buf why;
    int status;

    buf_init(&why, CLI_PAGE_BYTES_MAX);
    exec_failure(r->result, r->argv, &why);
    status = cli_fail(exec_status(r->result), "%s", buf_cstr(&why));
    buf_done(&why);
    return status;
}

/* Signals do not end the command: it gets those of the terminal itself. */
static int hold_for_command(struct session *s, const struct queue_key *k, int64_t revision)
{
    struct cli_call *call = s->ctl->call;
    struct arena *a = &s->ctl->arena;
    struct running r = {.session = s, .argv = call->args + 1};
    struct thread *t;
    struct err e = ERR_INIT;

    r.variables[0] = (struct exec_variable){
        "ETCD_LOCK_KEY", arena_printf(a, "%.*s", (int) k->key.n, (const char *) k->key.p)};
    r.variables[1] = (struct exec_variable){"ETCD_LOCK_REV", arena_printf(a, "%" PRId64, revision)};
    if (thread_start("command", run_command, &r, &t, &e) != 0)
        return cli_fail(CTL_ERROR, "%s", e.msg);
    while (!r.over)
        ketch_run(s->ctl->client);
    thread_join(t);
    if (!queue_leave(s, k) && exec_succeeded(r.result))
        return ctl_fail(s->ctl, CTL_ERROR);
    return exec_succeeded(r.result) ? CTL_OK : command_failed(&r);
}

/* ---- without one ---- */

static int print_key(struct session *s, const struct ketch_reply *reply)
{
    const Etcdserverpb__RangeResponse *found =
        (const Etcdserverpb__RangeResponse *) ketch_reply_message(reply);

    if (found->n_kvs == 0)
        return cli_fail(CTL_ERROR, "lock lost on init");
    return CTL_PRINT(s->ctl, get, found);
}

static int hold_until_signal(struct session *s, const struct queue_key *k)
{
    static const bool never = false;
    struct ketch_reply *reply;
    int status;

    if (!queue_get(s, k, &reply))
        return ctl_fail(s->ctl, CTL_ERROR);
    status = print_key(s, reply);
    ketch_reply_free(reply);
    if (status == CTL_OK)
        session_wait(s, &never);
    if (status == CTL_OK && !s->canceled)
        return cli_fail(CTL_ERROR, "session expired");
    if (!queue_leave(s, k) && status == CTL_OK)
        return ctl_fail(s->ctl, CTL_ERROR);
    return status;
}

/* ---- the lock ---- */

/* Who had to wait is told the revision of a read that still finds the key. */
static int acquire(struct session *s, struct queue_key *k, int64_t *ret_revision)
{
    const Etcdserverpb__RangeResponse *found;
    struct ketch_reply *reply;
    bool there;

    if (!queue_enter(s, k, BYTES_EMPTY) || !queue_wait(s, k) || !queue_get(s, k, &reply))
        return ctl_fail(s->ctl, CTL_ERROR);
    found = (const Etcdserverpb__RangeResponse *) ketch_reply_message(reply);
    there = found->n_kvs > 0;
    *ret_revision = found->header == NULL ? 0 : found->header->revision;
    ketch_reply_free(reply);
    return there ? CTL_OK : cli_fail(CTL_ERROR, "mutex: session is expired");
}

static int lock(struct session *s)
{
    struct cli_call *call = s->ctl->call;
    struct queue_key k;
    int64_t revision = 0;
    int status;

    queue_name(s, cli_arg(call, 0), &k);
    status = acquire(s, &k, &revision);
    if (status != CTL_OK)
        return status;
    return call->arg_count > 1 ? hold_for_command(s, &k, revision) : hold_until_signal(s, &k);
}

static int64_t session_ttl(const struct cli_call *call)
{
    int64_t ttl = cli_int(call, "ttl");

    if (ttl > 0)
        return ttl;
    ctl_log("warn", "etcd-client", "concurrency/session.go:133",
            "WithTTL(): TTL should be > 0, preserving current TTL", "\"current-session-ttl\":60");
    return TTL_DEFAULT_S;
}

static int lock_run(struct cli_call *call)
{
    struct session s;
    struct ctl ctl;
    int status;

    if (call->arg_count == 0)
        return cli_fail(CTL_BAD_ARGS,
                        "lock takes a lock name argument and an optional command to execute");
    status = ctl_open(&ctl, call);
    if (status == CTL_OK) {
        status = session_open(&s, &ctl, session_ttl(call)) ? lock(&s) : ctl_fail(&ctl, CTL_ERROR);
        session_close(&s);
    }
    return ctl_close(&ctl, status);
}

static const struct cli_flag lock_flags[] = {
    {.name = "ttl", .type = CLI_INT, .def = "10", .help = "timeout for session"},
};

const struct cli_command lock_command = {
    .use = "lock <lockname> [exec-command arg1 arg2 ...]",
    .brief = "Acquires a named lock",
    .about = "Waits for a named lock and holds it until SIGINT or SIGTERM; with a command, for as\n"
             "long as that runs. It finds ETCD_LOCK_KEY and ETCD_LOCK_REV in its environment.",
    .group = GROUP_CONCURRENCY,
    CLI_FLAGS(lock_flags),
    .run = lock_run,
};
