/* forward.c -- what only the leader knows: how long leases last, and whether a learner is ready to
 * vote.  What a follower is asked about it goes to the leader's peer port, and is tried again while
 * there is none (etcd's v3_server.go, LeaseRenew and LeaseTimeToLive; server.go, PromoteMember).
 */
#include "lease.pb-c.h"
#include "node/node_int.h"
#include "wire/pb.h"

#define RETRY_NS INT64_C(50000000)
#define APPLIED_WAIT_NS INT64_C(1000000000)
#define ASK_MS_MAX 2000
#define BODY_BYTES_MAX 32
#define PATH_BYTES_MAX 48

/* In the request's arena. */
struct forward {
    struct node_question q;
    struct node *node;
    struct node_request *request;
    bool answered;
    int status;
    struct bytes answer;
    uint8_t body[BODY_BYTES_MAX];
    char path[PATH_BYTES_MAX];
};

/* ---- later ---- */

static void put_off(struct node *n, struct node_request *r, mono_ns until)
{
    struct apply_actor *a = &n->apply;
    bool entry = r->index != 0 && a->applied < r->index;

    ASSERT(r->later.due.at == HEAP_NOWHERE);
    ASSERT(r->later.entry.at == HEAP_NOWHERE);
    if (heap_push(&a->later, &r->later.due, until)) {
        if (!entry || heap_push(&a->later_entries, &r->later.entry,
                                (int64_t) MIN(r->index, (raft_index) INT64_MAX)))
            return;
        heap_remove(&a->later, &r->later.due);
    }
    node__no_memory(r);
    node__finish(n, &a->out, r);
}

static struct node_request *take_back(struct node *n, struct node_request *r)
{
    heap_remove(&n->apply.later, &r->later.due);
    if (r->later.entry.at != HEAP_NOWHERE)
        heap_remove(&n->apply.later_entries, &r->later.entry);
    return r;
}

/* One that is to be tried again now; NULL: none. */
static struct node_request *due_now(struct node *n)
{
    struct heap_item *x = heap_min(&n->apply.later);

    if (x != NULL && (x->key <= n->apply.now || atomic_load(&n->waits_over)))
        return take_back(n, CONTAINER_OF(x, struct node_request, later.due));
    x = heap_min(&n->apply.later_entries);
    if (x != NULL && (raft_index) x->key <= n->apply.applied)
        return take_back(n, CONTAINER_OF(x, struct node_request, later.entry));
    return NULL;
}

static void set_deadline(struct node *n, struct node_request *r, int64_t after)
{
    if (r->deadline == 0)
        r->deadline = n->apply.now + after;
}

void node__later_run(struct node *n)
{
    struct node_request *r;

    while ((r = due_now(n)) != NULL) {
        if (atomic_load(&n->waits_over))
            node__fail(n, &n->apply.out, r, API_STOPPED);
        else
            node__apply_query(n, r); /* which puts it off to a later time, if at all */
    }
}

/* A lease that was granted just now may be in an entry that is committed and not applied yet.  When
 * the time for that is over, nobody knows: to say that there is none would end what lives. */
bool node__wait_applied(struct node *n, struct node_request *r)
{
    raft_index commit = atomic_load(&n->pub.commit);

    if (r->index == 0)
        r->index = commit;
    set_deadline(n, r, APPLIED_WAIT_NS);
    if (n->apply.applied >= r->index)
        return false;
    if (n->apply.now >= r->deadline)
        node__fail(n, &n->apply.out, r, API_TIMEOUT_WAIT_APPLIED_INDEX);
    else
        put_off(n, r, r->deadline);
    return true;
}

void node__wait_entry(struct node *n, struct node_request *r)
{
    r->index = r->target;
    set_deadline(n, r, node__request_timeout_ns(n));
    if (n->apply.applied >= r->index)
        node__query_finish(n, r);
    else if (n->apply.now >= r->deadline)
        node__fail(n, &n->apply.out, r, API_TIMEOUT_WAIT_APPLIED_INDEX);
    else
        put_off(n, r, r->deadline);
}

bool node__wait_sure(struct node *n, struct node_request *r)
{
    if (!node__leadership_doubtful(n))
        return false;
    set_deadline(n, r, node__request_timeout_ns(n));
    if (n->apply.now >= r->deadline)
        node__fail(n, &n->apply.out, r, API_TIMEOUT);
    else
        put_off(n, r, n->apply.now + RETRY_NS);
    return true;
}

/* ---- to the leader ---- */

static void on_answer(struct node_question *q, int status, struct bytes answer)
{
    struct forward *f = CONTAINER_OF(q, struct forward, q);
    struct node *n = f->node;

    f->answered = true;
    f->status = status;
    f->answer = bytes_of(arena_dup(f->request->arena, answer.p, answer.n), answer.n);
    if (f->answer.p == NULL && answer.n > 0)
        f->status = 0;
    mpsc_push(&n->apply.requests, &f->request->link);
    node__wake(n, NODE_APPLY);
}

/* LeaseKeepAliveRequest {1: ID}, or LeaseInternalRequest {1: LeaseTimeToLiveRequest {1: ID, 2:
 * keys}}. */
static struct bytes body_of(struct forward *f, const struct node_request *r)
{
    uint64_t id = (uint64_t) r->lease_id;
    size_t inner = pb_u64_size(1, id) + (r->keys ? pb_u64_size(2, 1) : 0);
    uint8_t *p = f->body;

    if (r->kind == NODE_REQ_MEMBER_CHANGE)
        return BYTES_EMPTY;
    if (r->kind == NODE_REQ_LEASE_KEEPALIVE) {
        p = pb_put_u64(p, 1, id);
    } else {
        p = pb_put_head(p, 1, inner);
        p = pb_put_u64(p, 1, id);
        if (r->keys)
            p = pb_put_u64(p, 2, 1);
    }
    ASSERT(p <= f->body + BODY_BYTES_MAX);
    return bytes_of(f->body, (size_t) (p - f->body));
}

static const char *path_of(struct forward *f, const struct node_request *r)
{
    switch (r->kind) {
    case NODE_REQ_LEASE_KEEPALIVE:
        return "/leases";
    case NODE_REQ_LEASE_TTL:
        return "/leases/internal";
    case NODE_REQ_MEMBER_CHANGE:
        snprintf(f->path, sizeof f->path, "/members/promote/%" PRIu64, r->change->member.id);
        return f->path;
    default:
        UNREACHABLE();
    }
}

static void ask(struct node *n, struct node_request *r, raft_id leader)
{
    struct forward *f = r->forward;
    int64_t left_ms = (r->deadline - n->apply.now) / 1000000 + 1;

    /* A question may be asked twice; a promotion that was not waited for would be refused the next
     * time, for there is no learner any more. */
    if (r->kind != NODE_REQ_MEMBER_CHANGE)
        left_ms = MIN(left_ms, ASK_MS_MAX);
    if (f == NULL)
        f = r->forward = arena_calloc(r->arena, 1, sizeof *f);
    if (f == NULL) {
        node__no_memory(r);
        node__finish(n, &n->apply.out, r);
        return;
    }
    f->node = n;
    f->request = r;
    f->answered = false;
    f->q = (struct node_question){.to = leader,
                                  .path = path_of(f, r),
                                  .authorization = r->token,
                                  .timeout_ms = left_ms,
                                  .done = on_answer};
    f->q.body = body_of(f, r);
    n->env.transport->ask(n->env.transport->ctx, &f->q);
}

bool node__forward(struct node *n, struct node_request *r)
{
    raft_id leader = atomic_load(&n->pub.lead);
    bool promotion = r->kind == NODE_REQ_MEMBER_CHANGE;
    bool first = r->deadline == 0;

    if ((r->of_member && !promotion) || n->env.transport == NULL || atomic_load(&n->pub.alone))
        return false;
    set_deadline(n, r, node__request_timeout_ns(n));
    /* Two members that take each other for the leader do not ask one another without a pause. */
    if (r->of_member && first)
        put_off(n, r, n->apply.now + RETRY_NS);
    else if (n->apply.now >= r->deadline)
        node__fail(n, &n->apply.out, r, leader == RAFT_NONE ? API_NO_LEADER : API_TIMEOUT);
    else if (leader == RAFT_NONE || leader == n->member_id)
        put_off(n, r, n->apply.now + RETRY_NS);
    else
        ask(n, r, leader);
    return true;
}

/* ---- the leader's answer ---- */

static bool take_keepalive(struct node *n, struct node_request *r)
{
    Etcdserverpb__LeaseKeepAliveResponse *m;
    struct err e = ERR_INIT;

    if (WIRE_DECODE(etcdserverpb__lease_keep_alive_response, r->forward->answer, r->arena, &m,
                    &e) != 0)
        return false;
    node__keepalive_answer(n, r, m->ttl);
    return true;
}

static bool take_ttl(struct node *n, struct node_request *r)
{
    Leasepb__LeaseInternalResponse *m;
    struct err e = ERR_INIT;

    if (WIRE_DECODE(leasepb__lease_internal_response, r->forward->answer, r->arena, &m, &e) != 0 ||
        m->leasetimetoliveresponse == NULL)
        return false;
    if (node__auth_moved(n, r)) {
        node__fail(n, &n->apply.out, r, API_AUTH_OLD_REVISION);
        return true;
    }
    m->leasetimetoliveresponse->header = NULL;
    r->result = (struct node_result){.answer = NODE_ANSWER_MSG,
                                     .msg = &m->leasetimetoliveresponse->base};
    node__query_finish(n, r);
    return true;
}

static bool take_promotion(struct node *n, struct node_request *r)
{
    Etcdserverpb__MemberPromoteResponse *m;
    struct cluster_view v = {.members = NULL};
    struct cluster_member *members;

    if (cluster_members_parse(r->forward->answer, r->arena, &members, &v.members_n, NULL) != 0)
        return false;
    v.members = members;
    m = node__reply_new(r, &etcdserverpb__member_promote_response__descriptor);
    if (m != NULL)
        m->members = node__members_copy(&v, r->arena, &m->n_members);
    if (m != NULL && m->members == NULL)
        node__no_memory(r);
    node__query_finish(n, r);
    return true;
}

static void lease_not_found(struct node *n, struct node_request *r)
{
    Etcdserverpb__LeaseTimeToLiveResponse *m;

    if (r->kind == NODE_REQ_LEASE_KEEPALIVE) {
        node__keepalive_answer(n, r, 0);
        return;
    }
    m = node__reply_new(r, &etcdserverpb__lease_time_to_live_response__descriptor);
    if (m != NULL) {
        m->id = r->lease_id;
        m->ttl = -1;
    }
    node__query_finish(n, r);
}

static bool contains(struct bytes text, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= text.n; i++) {
        if (memcmp(text.p + i, word, n) == 0)
            return true;
    }
    return false;
}

/* True: the leader's word is final. */
static bool take_promotion_refused(struct node *n, struct node_request *r)
{
    const struct forward *f = r->forward;
    enum api_error err = API_OK;

    if (f->status == 404)
        err = API_MEMBER_NOT_FOUND;
    else if (f->status == 412 && contains(f->answer, api_error_text(API_LEARNER_NOT_READY)))
        err = API_LEARNER_NOT_READY;
    else if (f->status == 412 && contains(f->answer, "membership: can only promote a learner"))
        err = API_MEMBER_NOT_LEARNER;
    if (err != API_OK)
        node__fail(n, &n->apply.out, r, err);
    return err != API_OK;
}

static bool take_answer(struct node *n, struct node_request *r)
{
    int status = r->forward->status;

    if (r->kind == NODE_REQ_MEMBER_CHANGE)
        return status == 200 ? take_promotion(n, r) : take_promotion_refused(n, r);
    if (status == 404) {
        lease_not_found(n, r);
        return true;
    }
    if (status != 200)
        return false;
    return r->kind == NODE_REQ_LEASE_KEEPALIVE ? take_keepalive(n, r) : take_ttl(n, r);
}

bool node__forward_came_back(struct node *n, struct node_request *r)
{
    struct forward *f = r->forward;

    if (f == NULL || !f->answered)
        return false;
    f->answered = false;
    if (!take_answer(n, r))
        put_off(n, r, n->apply.now + RETRY_NS);
    return true;
}
