/* queue.c -- keys in a queue under a name, as etcd's client makes them for locks and elections. */
#include "etcdctl/session.h"
#include "wire/wire.h"

#define LEASE_HEX_BYTES 20

void queue_name(struct session *s, struct bytes name, struct queue_key *ret)
{
    struct arena *a = &s->ctl->arena;
    size_t n = name.n + 1;
    uint8_t *p = arena_alloc(a, 3 * n + LEASE_HEX_BYTES);
    uint64_t magnitude = s->lease < 0 ? -(uint64_t) s->lease : (uint64_t) s->lease;
    int hex_n;

    for (size_t i = 0; i < 3; i++) {
        memcpy(p + i * n, name.p, name.n);
        p[i * n + name.n] = '/';
    }
    p[2 * n - 1]++; /* the end of what begins with the prefix */
    hex_n = snprintf((char *) p + 3 * n, LEASE_HEX_BYTES, "%s%" PRIx64, s->lease < 0 ? "-" : "",
                     magnitude);
    *ret = (struct queue_key){.prefix = bytes_of(p, n),
                              .end = bytes_of(p + n, n),
                              .key = bytes_of(p + 2 * n, n + (size_t) hex_n)};
}

/* ---- transactions on the key ---- */

/* If the key's create revision is `rev`: one operation. */
static bool ask_txn(struct session *s, const struct queue_key *k, int64_t rev,
                    Etcdserverpb__RequestOp *op, struct ketch_reply **ret)
{
    Etcdserverpb__TxnRequest q = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    Etcdserverpb__Compare *compares[] = {&compare};

    compare.key = wire_binary(k->key);
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    compare.create_revision = rev;
    q.n_compare = 1;
    q.compare = compares;
    q.n_success = 1;
    q.success = &op;
    return session_ask(s, KETCH_METHOD_txn, &q.base, ret);
}

/* The lease is new and so is the key: nothing has to be read in its place. */
bool queue_enter(struct session *s, struct queue_key *k, struct bytes value)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    const Etcdserverpb__TxnResponse *txn;
    struct ketch_reply *reply;

    put.key = wire_binary(k->key);
    put.value = wire_binary(value);
    put.lease = s->lease;
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = &put;
    if (!ask_txn(s, k, 0, &op, &reply))
        return false;
    txn = (const Etcdserverpb__TxnResponse *) ketch_reply_message(reply);
    k->rev = txn->header == NULL ? 0 : txn->header->revision;
    ketch_reply_free(reply);
    return true;
}

bool queue_leave(struct session *s, const struct queue_key *k)
{
    Etcdserverpb__DeleteRangeRequest del = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    struct ketch_reply *reply;

    del.key = wire_binary(k->key);
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op.request_delete_range = &del;
    if (!ask_txn(s, k, k->rev, &op, &reply))
        return false;
    ketch_reply_free(reply);
    return true;
}

bool queue_get(struct session *s, const struct queue_key *k, struct ketch_reply **ret)
{
    Etcdserverpb__RangeRequest q = ETCDSERVERPB__RANGE_REQUEST__INIT;

    q.key = wire_binary(k->key);
    return session_ask(s, KETCH_METHOD_range, &q.base, ret);
}

/* ---- waiting ---- */

struct gone {
    struct session *session;
    bool over; /* the key was deleted, or its watch ended */
    bool canceled;
};

static void on_event(const struct ketch_watch_event *ev, void *user)
{
    struct gone *g = user;

    if (g->over)
        return;
    for (size_t i = 0; i < ev->event_count; i++)
        g->over = g->over || ev->events[i]->type == MVCCPB__EVENT__EVENT_TYPE__DELETE;
    if (ev->canceled) {
        g->over = g->canceled = true;
        snprintf(g->session->ctl->error.text, sizeof g->session->ctl->error.text, "%s", ev->error);
    }
    if (g->over)
        ketch_stop(g->session->ctl->client);
}

/* Until the key is deleted after `revision`.  A lost lease is no reason to stop: etcd's client goes
 * on waiting and finds out at the end. */
static bool wait_gone(struct session *s, ProtobufCBinaryData key, int64_t revision)
{
    Etcdserverpb__WatchCreateRequest q = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    struct ketch_watch_options o = {0};
    struct gone g = {.session = s};
    struct ketch_watch *w;

    q.key = key;
    q.start_revision = revision;
    w = ketch_watch(s->ctl->client, &q, &o, on_event, &g);
    while (w != NULL && !g.over && !s->canceled)
        ketch_run(s->ctl->client);
    if (w != NULL && !g.canceled)
        ketch_watch_cancel(w);
    if (w == NULL || (!g.over && s->canceled))
        snprintf(s->ctl->error.text, sizeof s->ctl->error.text, "%s",
                 w == NULL ? "out of memory" : "context canceled");
    return g.over && !g.canceled;
}

/* The last that came before; NULL reply: none. */
static bool look(struct session *s, const struct queue_key *k, struct ketch_reply **ret)
{
    Etcdserverpb__RangeRequest q = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const Etcdserverpb__RangeResponse *found;

    q.key = wire_binary(k->prefix);
    q.range_end = wire_binary(k->end);
    q.limit = 1;
    q.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    q.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;
    q.max_create_revision = k->rev - 1;
    if (!session_ask(s, KETCH_METHOD_range, &q.base, ret))
        return false;
    found = (const Etcdserverpb__RangeResponse *) ketch_reply_message(*ret);
    if (found->n_kvs == 0) {
        ketch_reply_free(*ret);
        *ret = NULL;
    }
    return true;
}

static bool wait_turn(struct session *s, const struct queue_key *k)
{
    struct ketch_reply *reply;

    while (look(s, k, &reply)) {
        const Etcdserverpb__RangeResponse *found;
        bool went;

        if (reply == NULL)
            return true;
        found = (const Etcdserverpb__RangeResponse *) ketch_reply_message(reply);
        went = wait_gone(s, found->kvs[0]->key, found->header->revision);
        ketch_reply_free(reply);
        if (!went)
            return false;
    }
    return false;
}

bool queue_wait(struct session *s, const struct queue_key *k)
{
    struct ketch_error why;

    if (wait_turn(s, k))
        return true;
    why = s->ctl->error;
    queue_leave(s, k); /* a key that cannot be taken back ends with its lease */
    s->ctl->error = why;
    return false;
}
