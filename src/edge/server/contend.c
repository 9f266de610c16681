#include "edge/server/contend.h"
#include "edge/server/permit.h"

#define PERMIT_BYTES_MAX (16u << 20) /* who calls, for as long as a question */

/* ---- transactions on one key ---- */

struct held_txn {
    Etcdserverpb__TxnRequest q;
    Etcdserverpb__Compare compare;
    Etcdserverpb__Compare *compares[1];
    Etcdserverpb__RequestOp then_op, else_op;
    Etcdserverpb__RequestOp *thens[1], *elses[1];
};

static void held_txn_init(struct held_txn *t, struct bytes key, int64_t rev)
{
    etcdserverpb__txn_request__init(&t->q);
    etcdserverpb__compare__init(&t->compare);
    etcdserverpb__request_op__init(&t->then_op);
    etcdserverpb__request_op__init(&t->else_op);
    t->compare.key = wire_binary(key);
    t->compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    t->compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    t->compare.create_revision = rev;
    t->compares[0] = &t->compare;
    t->thens[0] = &t->then_op;
    t->elses[0] = &t->else_op;
    t->q.compare = t->compares;
    t->q.n_compare = 1;
    t->q.success = t->thens;
    t->q.n_success = 1;
    t->q.failure = t->elses;
}

static void put_op(Etcdserverpb__RequestOp *op, Etcdserverpb__PutRequest *put, struct bytes key,
                   struct bytes value, int64_t lease)
{
    etcdserverpb__put_request__init(put);
    put->key = wire_binary(key);
    put->value = wire_binary(value);
    put->lease = lease;
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->request_put = put;
}

void contest_put_held(struct call *c, struct bytes key, int64_t rev, struct bytes value,
                      int64_t lease, void *user, void (*then)(struct req *r))
{
    Etcdserverpb__PutRequest put;
    struct held_txn t;

    held_txn_init(&t, key, rev);
    put_op(&t.then_op, &put, key, value, lease);
    self_txn(c, &t.q, user, then);
}

void contest_delete_held(struct call *c, struct bytes key, int64_t rev, void *user,
                         void (*then)(struct req *r))
{
    Etcdserverpb__DeleteRangeRequest del = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    struct held_txn t;

    held_txn_init(&t, key, rev);
    del.key = wire_binary(key);
    t.then_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    t.then_op.request_delete_range = &del;
    self_txn(c, &t.q, user, then);
}

/* Puts the key unless it is there; else reads it. */
static void put_or_find(struct contender *c, void (*then)(struct req *r))
{
    Etcdserverpb__RangeRequest get = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__PutRequest put;
    struct held_txn t;

    held_txn_init(&t, c->key, 0);
    put_op(&t.then_op, &put, c->key, c->value, c->lease);
    get.key = wire_binary(c->key);
    t.else_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    t.else_op.request_range = &get;
    t.q.n_failure = 1;
    self_txn(c->call, &t.q, c, then);
}

/* ---- giving up ---- */

static void taken_back(struct req *r)
{
    struct contender *c = r->user;

    call_finish(c->call, c->code, c->text);
}

void contend_give_up(struct contender *c, int code, const char *text)
{
    ASSERT(!c->following);
    c->code = code;
    c->text = text;
    contest_delete_held(c->call, c->key, c->rev, c, taken_back);
}

static int canceled_code(const struct call *call, const char **ret_text)
{
    bool late = call_canceled(call) == CALL_DEADLINE;

    *ret_text = late ? "context deadline exceeded" : "context canceled";
    return late ? GRPC_DEADLINE_EXCEEDED : GRPC_CANCELED;
}

bool contend_canceled(struct contender *c)
{
    const char *text;
    int code;

    if (call_canceled(c->call) == CALL_NOT_CANCELED)
        return false;
    code = canceled_code(c->call, &text);
    contend_give_up(c, code, text);
    return true;
}

static bool ended_before_entering(struct contender *c)
{
    const char *text;
    int code;

    if (call_canceled(c->call) == CALL_NOT_CANCELED)
        return false;
    code = canceled_code(c->call, &text);
    call_finish(c->call, code, text);
    return true;
}

/* A key that was found stays: whoever put it may be waiting still, or hold the lock. */
static bool canceled_entering(struct contender *c)
{
    return c->made ? contend_canceled(c) : ended_before_entering(c);
}

/* What is under way comes back by itself, and is seen to be for nobody then. */
static void canceled(struct call *call, enum call_cancel_reason why)
{
    struct contender *c = call_user(call);

    (void) why;
    if (c->following)
        follow_stop(&c->follow);
}

/* Again after each look, which has its own. */
static void hear_of_the_call(struct contender *c)
{
    call_set_user(c->call, c);
    call_on_cancel(c->call, canceled);
}

/* ---- whose turn it is ---- */

/* The right to read all keys of the name: a client would read them to know whose turn it is. */
static bool may_look(struct contender *c, const char **ret_text)
{
    enum api_error err;
    struct arena a;

    arena_init(&a, PERMIT_BYTES_MAX);
    err = permit_range(c->call, &a, AUTH_READ, c->contest.prefix, c->contest.end);
    arena_done(&a);
    *ret_text = err == API_OK ? NULL : api_error_text(err);
    return err == API_OK;
}

/* False: it may not, and the call ends.  A candidate's key stays, as etcd leaves it. */
static bool may_wait(struct contender *c)
{
    const char *denied;

    if (may_look(c, &denied))
        return true;
    if (c->owner_read)
        contend_give_up(c, GRPC_UNKNOWN, denied);
    else
        call_finish(c->call, GRPC_UNKNOWN, denied);
    return false;
}

static void look(struct contender *c, int64_t revision,
                 void (*looked)(struct look *l, int rc, const struct contest_kv *kv))
{
    Etcdserverpb__RangeRequest q = contest_before_range(&c->contest, c->rev, revision);

    look_begin(&c->look, c->call, &q, looked);
}

static void first_looked(struct look *l, int rc, const struct contest_kv *kv)
{
    struct contender *c = CONTAINER_OF(l, struct contender, look);

    (void) kv;
    look_end(l);
    hear_of_the_call(c);
    if (canceled_entering(c))
        return;
    if (rc == ERR_NOT_FOUND)
        c->hooks->first(c);
    else
        contend_wait(c);
}

void contend_first(struct contender *c)
{
    look(c, c->header.revision, first_looked);
}

/* ---- waiting ---- */

static void before_went(struct follow *f, const struct follow_event *ev)
{
    if (ev->is_delete)
        follow_stop(f);
}

static void before_stopped(struct follow *f)
{
    struct contender *c = CONTAINER_OF(f, struct contender, follow);

    c->following = false;
    if (!contend_canceled(c))
        contend_wait(c);
}

static const struct follow_hooks before_hooks = {
    .event = before_went,
    .lost = follow_stop, /* looks again from where the store is now */
    .stopped = before_stopped,
};

/* The key that was found outlives the look: it is followed. */
static int take_key(struct contender *c, const struct contest_kv *kv, struct bytes *ret)
{
    const void *p = arena_dup(call_arena(c->call), kv->key.p, kv->key.n);

    if (p != NULL)
        *ret = bytes_of(p, kv->key.n);
    return p == NULL ? ERR_NOMEM : 0;
}

/* The one right before this contender is enough: when it goes, whoever is left is before it, too.
 * The view may be older than what another member has applied, but it holds the contender's own key:
 * of those before it, it can only show too many. */
static void before_looked(struct look *l, int rc, const struct contest_kv *kv)
{
    struct contender *c = CONTAINER_OF(l, struct contender, look);
    int64_t revision = mvcc_view_revision(l->view);
    struct bytes before = BYTES_EMPTY;

    ASSERT(revision >= c->rev);
    if (rc == 0)
        rc = take_key(c, kv, &before);
    look_end(l);
    hear_of_the_call(c);
    if (contend_canceled(c) || !may_wait(c)) /* who may may have changed meanwhile */
        return;
    if (rc == ERR_NOT_FOUND) {
        c->hooks->won(c);
    } else if (rc != 0) {
        contend_give_up(c, GRPC_RESOURCE_EXHAUSTED, "etcdserver: out of memory");
    } else {
        c->following = true;
        follow_start(&c->follow, c->io, before, BYTES_EMPTY, WATCH_NOPUT, revision + 1,
                     &before_hooks);
    }
}

void contend_wait(struct contender *c)
{
    if (may_wait(c))
        look(c, 0, before_looked);
}

/* ---- the beginning ---- */

static struct bytes found_kv(const struct mvcc_txn_result *txn)
{
    struct bytes raw = BYTES_EMPTY;

    ASSERT(txn->responses_n == 1);
    ASSERT(txn->responses[0].op == MVCC_OP_RANGE);
    if (!mvcc_range_next(txn->responses[0].range, &raw))
        UNREACHABLE(); /* the compare has just seen it */
    return raw;
}

static void entered(struct req *r)
{
    const struct node_result *res = &r->node.result;
    struct contender *c = r->user;
    struct contest_kv found;

    if (self_failed(c->call, res))
        return;
    ASSERT(res->answer == NODE_ANSWER_TXN);
    c->header = self_header(r);
    c->made = res->txn.succeeded;
    if (!c->made)
        contest_kv_read(found_kv(&res->txn), &found);
    c->rev = c->made ? res->revision : found.create_revision;
    if (!canceled_entering(c))
        c->hooks->entered(c, c->made ? NULL : &found);
}

static void enter(struct contender *c)
{
    const char *denied;

    if (c->owner_read && !may_look(c, &denied))
        call_finish(c->call, GRPC_UNKNOWN, denied);
    else if (contest_key(&c->contest, c->lease, call_arena(c->call), &c->key))
        put_or_find(c, entered);
    else
        reply_no_memory(c->call);
}

static void granted(struct req *r)
{
    struct contender *c = r->user;

    if (self_failed(c->call, &r->node.result) || ended_before_entering(c))
        return;
    c->lease = self_granted(r);
    enter(c);
}

void contend(struct contender *c)
{
    c->io = call_io(c->call);
    hear_of_the_call(c);
    if (!contest_of(c->name, call_arena(c->call), &c->contest))
        reply_no_memory(c->call);
    else if (c->lease == 0)
        self_grant(c->call, SESSION_TTL_S, c, granted);
    else
        enter(c);
}
