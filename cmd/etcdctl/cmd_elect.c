/* cmd_elect.c -- elect: leads until a signal, or prints who leads. */
#include "etcdctl/session.h"
#include "wire/wire.h"

#define ELECT_TTL_S 60

/* ---- a candidate ---- */

static int lead_until_signal(struct session *s, const struct queue_key *k)
{
    static const bool never = false;
    struct ketch_reply *reply;
    int status;

    if (!queue_get(s, k, &reply))
        return ctl_fail(s->ctl, CTL_ERROR);
    status = CTL_PRINT(s->ctl, get,
                       (const Etcdserverpb__RangeResponse *) ketch_reply_message(reply));
    ketch_reply_free(reply);
    if (status == CTL_OK)
        session_wait(s, &never);
    if (status == CTL_OK && !s->canceled)
        return cli_fail(CTL_ERROR, "elect: session expired");
    if (!queue_leave(s, k) && status == CTL_OK)
        return ctl_fail(s->ctl, CTL_ERROR);
    return status;
}

static int campaign(struct session *s)
{
    struct cli_call *call = s->ctl->call;
    struct queue_key k;

    queue_name(s, cli_arg(call, 0), &k);
    if (!queue_enter(s, &k, cli_arg(call, 1)) || !queue_wait(s, &k))
        return ctl_fail(s->ctl, CTL_ERROR);
    return lead_until_signal(s, &k);
}

/* ---- an observer ----
 *
 *      who leads? --> print --> every put of that key: print --> deleted: who leads?
 *          | nobody
 *          +--> the first put under the name: print --> ...
 */

struct observer {
    struct session *session;
    struct bytes key; /* of who leads, in ctl's arena; empty: nobody does */
    int64_t revision; /* everything up to it has been seen */
    bool over;        /* of the watch under way */
    bool lost;
    int status;
};

static void print_leader(struct observer *o, const Etcdserverpb__ResponseHeader *header,
                         Mvccpb__KeyValue *kv)
{
    Etcdserverpb__RangeResponse r = ETCDSERVERPB__RANGE_RESPONSE__INIT;

    r.header = (Etcdserverpb__ResponseHeader *) (uintptr_t) header;
    r.n_kvs = 1;
    r.kvs = &kv;
    o->status = CTL_PRINT(o->session->ctl, get, &r);
    o->over = o->over || o->status != CTL_OK;
}

static void leads(struct observer *o, const Etcdserverpb__ResponseHeader *header,
                  Mvccpb__KeyValue *kv)
{
    const void *copy = arena_dup(&o->session->ctl->arena, kv->key.data, kv->key.len);

    o->key = bytes_of(copy, kv->key.len);
    print_leader(o, header, kv);
}

static void on_event(const struct ketch_watch_event *ev, void *user)
{
    struct observer *o = user;

    for (size_t i = 0; i < ev->event_count && !o->over; i++) {
        bool is_delete = ev->events[i]->type == MVCCPB__EVENT__EVENT_TYPE__DELETE;
        Mvccpb__KeyValue *kv = ev->events[i]->kv;
        Etcdserverpb__ResponseHeader header = *ev->header;

        o->revision = kv->mod_revision;
        if (is_delete) {
            o->over = o->key.n > 0;
        } else if (o->key.n > 0) {
            print_leader(o, ev->header, kv);
        } else {
            header.revision = kv->mod_revision;
            leads(o, &header, kv);
            o->over = true; /* from now on its key alone is watched */
        }
    }
    if (ev->canceled)
        o->over = o->lost = true;
    if (o->over)
        ketch_stop(o->session->ctl->client);
}

static void watch(struct observer *o, const struct queue_key *k)
{
    struct ketch_client *c = o->session->ctl->client;
    Etcdserverpb__WatchCreateRequest q = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    struct ketch_watch_options options = {0};
    struct ketch_watch *w;

    q.key = wire_binary(o->key.n > 0 ? o->key : k->prefix);
    q.range_end = wire_binary(o->key.n > 0 ? BYTES_EMPTY : k->end);
    q.start_revision = o->revision + 1;
    o->over = false;
    w = ketch_watch(c, &q, &options, on_event, o);
    o->lost = w == NULL;
    while (w != NULL && !o->over && !o->session->canceled)
        ketch_run(c);
    if (w != NULL && !o->lost)
        ketch_watch_cancel(w);
}

static void look(struct observer *o, const struct queue_key *k)
{
    Etcdserverpb__RangeRequest q = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const Etcdserverpb__RangeResponse *found;
    struct ketch_reply *reply;

    q.key = wire_binary(k->prefix);
    q.range_end = wire_binary(k->end);
    q.limit = 1;
    q.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    q.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;
    if (!session_ask(o->session, KETCH_METHOD_range, &q.base, &reply)) {
        o->lost = true;
        return;
    }
    found = (const Etcdserverpb__RangeResponse *) ketch_reply_message(reply);
    o->revision = found->header->revision;
    o->key = BYTES_EMPTY;
    if (found->n_kvs > 0)
        leads(o, found->header, found->kvs[0]);
    ketch_reply_free(reply);
}

static int observe(struct session *s)
{
    struct observer o = {.session = s, .status = CTL_OK};
    struct queue_key k;

    queue_name(s, cli_arg(s->ctl->call, 0), &k);
    while (o.status == CTL_OK && !o.lost && !s->canceled) {
        look(&o, &k);
        while (o.status == CTL_OK && !o.lost && !s->canceled) {
            bool led = o.key.n > 0;

            watch(&o, &k);
            if (led)
                break; /* its key is gone */
        }
    }
    if (o.status != CTL_OK || s->canceled)
        return o.status;
    return cli_fail(CTL_ERROR, "elect: observer lost");
}

/* ---- the command ---- */

static int check_words(const struct cli_call *call)
{
    bool listen = cli_bool(call, "listen");

    if (call->arg_count != 1 && call->arg_count != 2)
        return cli_fail(CTL_BAD_ARGS,
                        "elect takes one election name argument and an optional proposal argument");
    if (call->arg_count == 1 && !listen)
        return cli_fail(CTL_BAD_ARGS, "no proposal argument but -l not set");
    if (call->arg_count == 2 && listen)
        return cli_fail(CTL_BAD_ARGS, "proposal given but -l is set");
    return CTL_OK;
}

static int elect_run(struct cli_call *call)
{
    struct session s;
    struct ctl ctl;
    int status = check_words(call);

    if (status != CTL_OK)
        return status;
    status = ctl_open(&ctl, call);
    if (status == CTL_OK) {
        if (!session_open(&s, &ctl, ELECT_TTL_S))
            status = ctl_fail(&ctl, CTL_ERROR);
        else
            status = cli_bool(call, "listen") ? observe(&s) : campaign(&s);
        session_close(&s);
    }
    return ctl_close(&ctl, status);
}

static const struct cli_flag elect_flags[] = {
    {.name = "listen", .shorthand = 'l', .type = CLI_BOOL, .help = "observation mode"},
};

const struct cli_command elect_command = {
    .use = "elect <election-name> [proposal]",
    .brief = "Observes and participates in leader election",
    .about = "With a proposal: takes part in an election, prints its key when it leads, and leads\n"
             "until SIGINT or SIGTERM. With --listen: prints every leader, beginning with the\n"
             "present one.",
    .group = GROUP_CONCURRENCY,
    CLI_FLAGS(elect_flags),
    .run = elect_run,
};
