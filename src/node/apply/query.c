/* query.c -- what is answered from the state without the log: members, leases, watches. */
#include "base/plant.h"
#include "node/node_int.h"

void node__no_memory(struct node_request *r)
{
    r->result = (struct node_result){.code = GRPC_RESOURCE_EXHAUSTED, .text = "out of memory"};
}

void *node__reply_new(struct node_request *r, const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *m = wire_new(d, r->arena);

    if (m == NULL)
        node__no_memory(r);
    else
        r->result = (struct node_result){.answer = NODE_ANSWER_MSG, .msg = m};
    return m;
}

void node__query_finish(struct node *n, struct node_request *r)
{
    if (r->result.revision == 0)
        r->result.revision = mvcc_revision(n->apply.mvcc);
    r->result.raft_term = n->apply.term;
    node__finish(n, &n->apply.out, r);
}

static char **strings_copy(struct arena *a, const struct cluster_strings *s)
{
    char **v = arena_calloc(a, s->n + 1, sizeof *v);

    for (size_t i = 0; v != NULL && i < s->n; i++) {
        v[i] = arena_dup(a, s->v[i], strlen(s->v[i]) + 1);
        if (v[i] == NULL)
            return NULL;
    }
    return v;
}

static Etcdserverpb__Member *member_copy(struct arena *a, const struct cluster_member *from)
{
    Etcdserverpb__Member *m;

    m = (Etcdserverpb__Member *) wire_new(&etcdserverpb__member__descriptor, a);
    if (m == NULL)
        return NULL;
    m->id = from->id;
    m->name = arena_dup(a, from->name, strlen(from->name) + 1);
    m->peerurls = strings_copy(a, &from->peer_urls);
    m->clienturls = strings_copy(a, &from->client_urls);
    if (m->name == NULL || m->peerurls == NULL || m->clienturls == NULL)
        return NULL;
    m->n_peerurls = from->peer_urls.n;
    m->n_clienturls = from->client_urls.n;
    m->islearner = from->is_learner;
    return m;
}

Etcdserverpb__Member **node__members_copy(const struct cluster_view *v, struct arena *a,
                                          size_t *ret_n)
{
    Etcdserverpb__Member **list = arena_calloc(a, v->members_n + 1, sizeof *list);

    *ret_n = 0;
    for (size_t i = 0; list != NULL && i < v->members_n; i++) {
        list[i] = member_copy(a, &v->members[i]);
        if (list[i] == NULL)
            return NULL;
    }
    if (list != NULL)
        *ret_n = v->members_n;
    return list;
}

static void member_list(struct node *n, struct node_request *r)
{
    Etcdserverpb__MemberListResponse *res = node__reply_new(
        r, &etcdserverpb__member_list_response__descriptor);

    if (res != NULL)
        res->members = node__members_copy(cluster_view(n->apply.cluster), r->arena,
                                          &res->n_members);
    if (res != NULL && res->members == NULL)
        node__no_memory(r);
    node__query_finish(n, r);
}

/* ---- leases ---- */

struct awaited {
    struct lease_waiter waiter;
    struct list link; /* in apply's awaited */
    struct node *node;
    struct node_request *request;
};

void node__keepalive_answer(struct node *n, struct node_request *r, int64_t ttl)
{
    Etcdserverpb__LeaseKeepAliveResponse *res = node__reply_new(
        r, &etcdserverpb__lease_keep_alive_response__descriptor);

    if (res != NULL) {
        res->id = r->lease_id;
        res->ttl = ttl;
    }
    node__query_finish(n, r);
}

static void not_primary(struct node *n, struct node_request *r)
{
    node__fail_text(n, &n->apply.out, r, GRPC_UNKNOWN, "not a primary lessor");
}

/* An expired lease is gone (TTL 0), or this member leads no more. */
static void lease_ended(struct lease_waiter *w, int rc)
{
    struct awaited *x = CONTAINER_OF(w, struct awaited, waiter);

    list_remove(&x->link);
    if (rc == ERR_LEASE_NOT_FOUND)
        node__keepalive_answer(x->node, x->request, 0);
    else
        not_primary(x->node, x->request);
}

static void await_end(struct node *n, struct node_request *r)
{
    struct awaited *x = arena_alloc(r->arena, sizeof *x);

    if (x == NULL) {
        node__no_memory(r);
        node__finish(n, &n->apply.out, r);
        return;
    }
    *x = (struct awaited){.waiter.done = lease_ended, .node = n, .request = r};
    if (lease_await(n->apply.lessor, r->lease_id, &x->waiter) == ERR_LEASE_NOT_FOUND)
        node__keepalive_answer(n, r, 0);
    else
        list_push(&n->apply.awaited, &x->link);
}

void node__leases_end_waits(struct node *n)
{
    struct list *x;

    while ((x = list_pop(&n->apply.awaited)) != NULL) {
        struct awaited *w = CONTAINER_OF(x, struct awaited, link);

        lease_await_cancel(&w->waiter);
        not_primary(n, w->request);
    }
}

/* A recorded rest is cleared through the log before the lease is renewed. */
static void rest_cleared(struct node *n, struct node_request *own)
{
    struct node_request *r = node__own_arg(own);

    if ((own->result.err == API_OK && own->result.code == GRPC_OK) ||
        own->result.err == API_NOT_LEADER) { /* the next one is asked */
        mpsc_push(&n->apply.requests, &r->link);
        node__wake(n, NODE_APPLY);
        return;
    }
    r->next = NULL;
    r->result = (struct node_result){
        .err = own->result.err, .code = own->result.code, .text = own->result.text};
    r->sink->deliver(r->sink, r);
}

static void clear_rest(struct node *n, struct node_request *r)
{
    Etcdserverpb__LeaseCheckpoint one = ETCDSERVERPB__LEASE_CHECKPOINT__INIT;
    Etcdserverpb__LeaseCheckpoint *list[] = {&one};
    Etcdserverpb__LeaseCheckpointRequest m = ETCDSERVERPB__LEASE_CHECKPOINT_REQUEST__INIT;

    one.id = r->lease_id;
    m.n_checkpoints = 1;
    m.checkpoints = list;
    node__propose_own(n, NODE_OP_LEASE_CHECKPOINT, &m.base, rest_cleared, r);
}

static void lease_keepalive(struct node *n, struct node_request *r)
{
    int64_t ttl = 0;
    int rc;

    if (!node__auth_allows(n, r))
        return;
    if (n->apply.is_primary && node__wait_sure(n, r))
        return;
    rc = lease_renew(n->apply.lessor, r->lease_id, n->apply.now / 1000000, &ttl);
    if (rc == ERR_LEASE_NOT_FOUND && node__wait_applied(n, r))
        return;
    switch (rc) {
    case 0:
        node__count_lease(n, NODE_LEASE_RENEWED);
        node__keepalive_answer(n, r, ttl);
        break;
    case ERR_LEASE_NOT_FOUND:
        node__keepalive_answer(n, r, 0);
        break;
    case ERR_LEASE_EXPIRED:
        await_end(n, r);
        break;
    case ERR_LEASE_CHECKPOINTED:
        clear_rest(n, r);
        break;
    default:
        if (PLANTED(LEASE_KEPT_ANYWHERE))
            node__keepalive_answer(n, r, 1);
        else if (!node__forward(n, r))
            not_primary(n, r);
        break;
    }
}

/* What is known of the lease.  False: no memory for its keys. */
static bool put_lease(struct node *n, const struct node_request *r,
                      Etcdserverpb__LeaseTimeToLiveResponse *res)
{
    const struct lessor *l = n->apply.lessor;
    struct lease_info info;
    struct bytes *keys;
    size_t keys_n;

    res->id = r->lease_id;
    res->ttl = -1;
    if (lease_lookup(l, r->lease_id, n->apply.now / 1000000, &info) != 0)
        return true;
    res->ttl = info.ttl_s;
    res->grantedttl = info.granted_ttl_s;
    if (!r->keys)
        return true;
    if (lease_keys(l, r->lease_id, r->arena, &keys, &keys_n) != 0)
        return false;
    res->keys = arena_calloc(r->arena, keys_n + 1, sizeof *res->keys);
    if (res->keys == NULL)
        return false;
    n->apply.query_units += keys_n;
    for (size_t i = 0; i < keys_n; i++)
        res->keys[res->n_keys++] = wire_binary(keys[i]);
    return true;
}

static void lease_ttl(struct node *n, struct node_request *r)
{
    Etcdserverpb__LeaseTimeToLiveResponse *res;

    if (!node__auth_allows(n, r))
        return;
    if (!n->apply.is_primary && node__forward(n, r))
        return;
    if (!n->apply.is_primary && r->of_member) {
        not_primary(n, r);
        return;
    }
    if (!lease_exists(n->apply.lessor, r->lease_id) && node__wait_applied(n, r))
        return;
    res = node__reply_new(r, &etcdserverpb__lease_time_to_live_response__descriptor);
    if (res != NULL && !put_lease(n, r, res))
        node__no_memory(r);
    node__query_finish(n, r);
}

/* The ids of all leases.  False: no memory for them. */
static bool put_leases(struct node *n, struct node_request *r,
                       Etcdserverpb__LeaseLeasesResponse *res)
{
    Etcdserverpb__LeaseStatus *all;
    lease_id *ids;
    size_t k;

    if (lease_list(n->apply.lessor, &n->apply.scratch, &ids, &k) != 0)
        return false;
    n->apply.query_units += k;
    all = arena_calloc(r->arena, k + 1, sizeof *all);
    res->leases = arena_calloc(r->arena, k + 1, sizeof *res->leases);
    if (all == NULL || res->leases == NULL)
        return false;
    for (size_t i = 0; i < k; i++) {
        etcdserverpb__lease_status__init(&all[i]);
        all[i].id = ids[i];
        res->leases[res->n_leases++] = &all[i];
    }
    return true;
}

static void lease_all(struct node *n, struct node_request *r)
{
    Etcdserverpb__LeaseLeasesResponse *res;

    if (!node__auth_allows(n, r))
        return;
    res = node__reply_new(r, &etcdserverpb__lease_leases_response__descriptor);
    if (res != NULL && !put_leases(n, r, res))
        node__no_memory(r);
    arena_reset(&n->apply.scratch); /* the next entry that would may be far away */
    node__query_finish(n, r);
}

/* ---- the backend: sealed first, so that what was acknowledged is in it ---- */

static void to_store(struct node *n, struct node_request *r)
{
    struct store_job *j = node__store_job_new(STORE_WORK_REQUEST);

    j->request = r;
    r->result = (struct node_result){.revision = mvcc_revision(n->apply.mvcc),
                                     .raft_term = n->apply.term};
    node__apply_to_store(n, j);
}

void node__apply_query(struct node *n, struct node_request *r)
{
    struct watch_hub *hub = n->apply.hub;

    if (node__forward_came_back(n, r))
        return;
    switch (r->kind) {
    case NODE_REQ_WAIT_APPLIED:
        node__wait_entry(n, r);
        return;
    case NODE_REQ_MEMBER_LIST:
        member_list(n, r);
        return;
    case NODE_REQ_LEASE_KEEPALIVE:
        lease_keepalive(n, r);
        return;
    case NODE_REQ_LEASE_TTL:
        lease_ttl(n, r);
        return;
    case NODE_REQ_LEASE_LIST:
        lease_all(n, r);
        return;
    case NODE_REQ_MEMBER_CHANGE:
        node__member_change_check(n, r);
        return;
    case NODE_REQ_HASH:
    case NODE_REQ_DEFRAGMENT:
    case NODE_REQ_SNAPSHOT:
        to_store(n, r);
        return;
    case NODE_REQ_WATCH_JOIN:
        watch_join(hub, r->watcher);
        break;
    case NODE_REQ_WATCH_LEAVE:
        watch_leave(hub, r->watcher);
        break;
    case NODE_REQ_WATCH_PROGRESS:
        watch_progress(hub, r->stream, r->watchers_n);
        break;
    case NODE_REQ_WATCH_PROGRESS_EACH:
        watch_progress_each(hub, r->stream);
        break;
    case NODE_REQ_WATCH_STREAM_CLOSE:
        watch_stream_close(hub, r->stream);
        break;
    case NODE_REQ_PROPOSE:
    case NODE_REQ_READ_INDEX:
    case NODE_REQ_MOVE_LEADER:
    case NODE_REQ_HASH_KV:
    case NODE_REQ_SNAPSHOT_PIECE:
    case NODE_REQ_RECEIVE_PIECE:
    case NODE_REQ_RECEIVE_END:
    case NODE_REQ_RECEIVE_ABORT:
        UNREACHABLE();
    }
    r->result = (struct node_result){0};
    node__finish(n, &n->apply.out, r);
}
