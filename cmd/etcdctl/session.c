#define _POSIX_C_SOURCE 200809L
#include "etcdctl/session.h"

#include <signal.h>
#include <unistd.h>

/* ---- signals ---- */

static void caught_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

static void signal_came(void *arg)
{
    struct session *s = arg;

    s->canceled = true;
    ketch_stop(s->ctl->client);
}

/* The first signal lets go in order; what comes later changes nothing. */
static void wait_for_signals(void *arg)
{
    struct session *s = arg;
    bool told = false;
    sigset_t set;
    int which;

    caught_signals(&set);
    while (sigwait(&set, &which) == 0 && !atomic_load(&s->ending)) {
        if (!told)
            ketch_post(s->ctl->client, signal_came, s);
        told = true;
    }
}

static bool catch_signals(struct session *s)
{
    struct err e = ERR_INIT;
    sigset_t set;

    caught_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (thread_start("signals", wait_for_signals, s, &s->signals, &e) == 0)
        return true;
    snprintf(s->ctl->error.text, sizeof s->ctl->error.text, "%s", e.msg);
    return false;
}

/* ---- calls ---- */

struct asking {
    struct session *session;
    struct ketch_reply *reply;
    struct ketch_error error;
    bool done;
};

static void on_done(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct asking *a = user;

    a->reply = reply;
    a->error = *e;
    a->done = true;
    ketch_stop(a->session->ctl->client);
}

bool session_ask(struct session *s, enum ketch_method m, const ProtobufCMessage *q,
                 struct ketch_reply **ret)
{
    struct asking a = {.session = s};
    bool canceled_before = s->canceled;
    struct ketch_call *call = ketch_start(s->ctl->client, m, q, 0, on_done, &a);

    if (call == NULL) {
        snprintf(s->ctl->error.text, sizeof s->ctl->error.text, "out of memory");
        return false;
    }
    while (!a.done) {
        ketch_run(s->ctl->client);
        if (!a.done && s->canceled && !canceled_before) {
            ketch_cancel(call);
            canceled_before = true; /* on_done follows */
        }
    }
    s->ctl->error = a.error;
    if (a.error.code == KETCH_OK)
        *ret = a.reply;
    else
        ketch_reply_free(a.reply);
    return a.error.code == KETCH_OK;
}

void session_wait(struct session *s, const bool *flag)
{
    while (!*flag && !s->lost && !s->canceled)
        ketch_run(s->ctl->client);
}

/* ---- the lease ---- */

static void on_renewal(const Etcdserverpb__LeaseKeepAliveResponse *r, const struct ketch_error *e,
                       void *user)
{
    struct session *s = user;

    (void) e;
    if (r != NULL)
        return;
    s->keep = NULL;
    s->lost = true;
    ketch_stop(s->ctl->client);
}

bool session_open(struct session *s, struct ctl *ctl, int64_t ttl_s)
{
    Etcdserverpb__LeaseGrantRequest q = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    const Etcdserverpb__LeaseGrantResponse *granted;
    struct ketch_reply *reply;

    *s = (struct session){.ctl = ctl};
    atomic_init(&s->ending, false);
    if (!catch_signals(s))
        return false;
    q.ttl = ttl_s;
    if (!session_ask(s, KETCH_METHOD_lease_grant, &q.base, &reply))
        return false;
    granted = (const Etcdserverpb__LeaseGrantResponse *) ketch_reply_message(reply);
    s->lease = granted->id;
    ketch_reply_free(reply);
    s->keep = ketch_keep_alive(ctl->client, s->lease, on_renewal, s);
    if (s->keep == NULL)
        snprintf(ctl->error.text, sizeof ctl->error.text, "out of memory");
    return s->keep != NULL;
}

void session_close(struct session *s)
{
    if (s->keep != NULL)
        ketch_keep_alive_stop(s->keep);
    if (s->signals == NULL)
        return;
    atomic_store(&s->ending, true);
    kill(getpid(), SIGTERM); /* blocked everywhere but in sigwait */
    thread_join(s->signals);
}
