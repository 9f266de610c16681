/* node.c -- the outer face: requests in, numbers out, one turn of an actor. */
#include "base/plant.h"
#include "node/node_int.h"

int64_t node_run(struct node *n, enum node_actor which, mono_ns now, wall_ms wall)
{
    switch (which) {
    case NODE_RAFT:
        return node__run_raft(n, now, wall);
    case NODE_WAL:
        return node__run_wal(n, now);
    case NODE_APPLY:
        return node__run_apply(n, now, wall);
    case NODE_STORE:
        return node__run_store(n, now);
    case NODE_WORK:
        return node__run_work(n, now);
    case NODE_ACTORS:
        break;
    }
    UNREACHABLE();
}

/* ---- requests ---- */

/* Which actor a kind of request goes to, and which of its queues. */
static struct mpsc *queue_of(struct node *n, enum node_request_kind kind,
                             enum node_actor *ret_actor)
{
    switch (kind) {
    case NODE_REQ_READ_INDEX:
        *ret_actor = NODE_RAFT;
        return &n->raft.reads;
    case NODE_REQ_PROPOSE:
    case NODE_REQ_MOVE_LEADER:
        *ret_actor = NODE_RAFT;
        return &n->raft.requests;
    case NODE_REQ_HASH_KV:
    case NODE_REQ_SNAPSHOT_PIECE:
    case NODE_REQ_RECEIVE_PIECE:
    case NODE_REQ_RECEIVE_END:
    case NODE_REQ_RECEIVE_ABORT:
        *ret_actor = NODE_WORK;
        return &n->work.requests;
    default:
        *ret_actor = NODE_APPLY;
        return &n->apply.requests;
    }
}

void node_submit(struct node *n, struct node_request *r)
{
    enum node_actor actor;
    struct mpsc *q = queue_of(n, r->kind, &actor);

    r->result = (struct node_result){0};
    r->deadline = 0;
    r->index = 0;
    r->forward = NULL;
    heap_item_init(&r->later.due);
    heap_item_init(&r->later.entry);
    r->auth_seen = 0;
    if (mpsc_push(q, &r->link) && !(q == &n->raft.reads && node__raft_reads_are_busy(n)))
        node__wake(n, actor);
}

bool node_read_now(struct node *n)
{
    return PLANTED(READ_LOCAL) || atomic_load(&n->pub.lone_leader);
}

bool node_is_alone(struct node *n)
{
    return atomic_load_explicit(&n->pub.alone, memory_order_relaxed);
}

uint64_t node_next_id(struct node *n)
{
    return atomic_fetch_add_explicit(&n->next_id, 1, memory_order_relaxed);
}

mono_ns node__request_timeout_ns(const struct node *n)
{
    return INT64_C(5000000000) + 2 * (mono_ns) n->cfg.election_ticks * n->cfg.tick_ms * 1000000;
}

void node__die(struct node *n, const char *what, const struct err *e)
{
    char why[ERR_MSG_BYTES + 256];

    if (e == NULL || e->code == 0)
        snprintf(why, sizeof why, "%s", what);
    else
        snprintf(why, sizeof why, "%s: %s", what, e->msg);
    n->env.fatal(n->env.ctx, why);
}

/* ---- life's end ---- */

void node__mark_stopped(struct node *n, enum node_actor which)
{
    if ((atomic_fetch_or(&n->stopped, 1u << which) & 1u << which) != 0)
        return;
    for (int i = 0; i < NODE_ACTORS; i++)
        node__wake(n, (enum node_actor) i);
}

/* Asked before the own queue is looked at: what that actor had to hand over is in it then. */
bool node__actor_stopped(struct node *n, enum node_actor which)
{
    return (atomic_load(&n->stopped) & 1u << which) != 0;
}

void node_end_waits(struct node *n)
{
    atomic_store(&n->waits_over, true);
    node__wake(n, NODE_APPLY);
    node__wake(n, NODE_STORE);
}

void node_stop(struct node *n)
{
    atomic_store(&n->waits_over, true);
    atomic_store(&n->stopping, true);
    for (int i = 0; i < NODE_ACTORS; i++)
        node__wake(n, (enum node_actor) i);
}

bool node_stopped(struct node *n)
{
    return atomic_load(&n->stopped) == (1u << NODE_ACTORS) - 1;
}

/* ---- what is published ---- */

static uint64_t downgrade_of(const struct cluster_view *v)
{
    cluster_version target = 0;

    if (!cluster_version_parse(bytes_str(v->downgrade.target), &target))
        target = 0;
    return target | (v->downgrade.enabled ? NODE_DOWNGRADE_ON : 0);
}

void node__publish_cluster(struct node *n)
{
    const struct cluster_view *v = cluster_view(n->apply.cluster);
    const struct cluster_member *self = cluster_view_member(v, n->member_id);
    size_t k = MIN(v->alarms_n, (size_t) NODE_ALARMS_MAX);

    n->apply.cluster_changed = false;
    if (n->env.transport != NULL)
        n->env.transport->members(n->env.transport->ctx, v);
    atomic_fetch_add(&n->pub.alarms_seq, 1);
    for (size_t i = 0; i < k; i++) {
        atomic_store(&n->pub.alarms[2 * i], v->alarms[i].member_id);
        atomic_store(&n->pub.alarms[2 * i + 1], (uint64_t) v->alarms[i].kind);
    }
    atomic_store(&n->pub.alarms_n, (uint32_t) k);
    atomic_fetch_add(&n->pub.alarms_seq, 1);
    atomic_store(&n->pub.nospace, cluster_view_has_alarm(v, ETCDSERVERPB__ALARM_TYPE__NOSPACE));
    atomic_store(&n->pub.corrupt, cluster_view_has_alarm(v, ETCDSERVERPB__ALARM_TYPE__CORRUPT));
    atomic_store(&n->pub.cluster_version, v->version);
    atomic_store(&n->pub.downgrade, downgrade_of(v));
    atomic_store(&n->pub.is_learner, self != NULL && self->is_learner);
    atomic_store(&n->pub.storage_version, v->storage_version);
}

size_t node_alarms(struct node *n, struct node_alarm *ret, size_t n_max)
{
    uint32_t seq;
    size_t k;

    do {
        seq = atomic_load(&n->pub.alarms_seq);
        k = MIN((size_t) atomic_load(&n->pub.alarms_n), n_max);
        for (size_t i = 0; i < k; i++)
            ret[i] = (struct node_alarm){atomic_load(&n->pub.alarms[2 * i]),
                                         (int) atomic_load(&n->pub.alarms[2 * i + 1])};
    } while (seq % 2 != 0 || seq != atomic_load(&n->pub.alarms_seq));
    return k;
}

static int64_t effective_quota(const struct node *n)
{
    if (n->cfg.quota_bytes < 0)
        return 0;
    return n->cfg.quota_bytes == 0 ? NODE_QUOTA_DEFAULT_BYTES : n->cfg.quota_bytes;
}

bool node__quota_fits(struct node *n, uint64_t cost)
{
    int64_t quota = effective_quota(n);

    return quota == 0 || cost == 0 || store_db_size(n->apply.store) + cost < (uint64_t) quota;
}

bool node_quota_fits(struct node *n, uint64_t cost)
{
    return cost == 0 || (!node_disk_full(n) && node__quota_fits(n, cost));
}

raft_id node_leader(struct node *n)
{
    return atomic_load(&n->pub.lead);
}

void node_status(struct node *n, struct node_status *ret)
{
    uint64_t downgrade = atomic_load(&n->pub.downgrade);

    *ret = (struct node_status){
        .cluster_id = n->cluster_id,
        .member_id = n->member_id,
        .leader = atomic_load(&n->pub.lead),
        .term = atomic_load(&n->pub.term),
        .commit = atomic_load(&n->pub.commit),
        .applied = atomic_load(&n->pub.applied),
        .is_leader = atomic_load(&n->pub.is_leader),
        .is_learner = atomic_load(&n->pub.is_learner),
        .db_bytes = store_db_size(n->apply.store),
        .db_in_use_bytes = store_db_size_in_use(n->apply.store),
        .quota_bytes = effective_quota(n),
        .alarm_nospace = atomic_load(&n->pub.nospace),
        .alarm_corrupt = atomic_load(&n->pub.corrupt),
        .cluster_version = atomic_load(&n->pub.cluster_version),
        .storage_version = atomic_load(&n->pub.storage_version),
        .downgrade_enabled = (downgrade & NODE_DOWNGRADE_ON) != 0,
        .downgrade_target = (uint32_t) downgrade,
        .log_hangs = atomic_load(&n->pub.log_hangs),
        .ready = atomic_load(&n->pub.ready),
    };
}

const struct cluster_view *node_cluster_view(struct node *n)
{
    return cluster_view(n->apply.cluster);
}

struct mvcc *node_mvcc(struct node *n)
{
    return n->apply.mvcc;
}
