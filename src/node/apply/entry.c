/* entry.c -- one committed entry: which kind it is, and that its index is counted whatever comes of
 * it. */
#include "base/alloc.h"
#include "base/plant.h"
#include "node/node_int.h"

/* ---- configuration changes ---- */

static void conf_result_add(struct apply_job *j, raft_index index, const struct raft_conf_change *c,
                            struct node_request *waiter)
{
    if (j->confs_n == j->confs_cap) {
        j->confs_cap = MAX(j->confs_cap * 2, (size_t) 4);
        j->confs = xmem_realloc(j->confs, j->confs_cap * sizeof *j->confs);
    }
    j->confs[j->confs_n++] = (struct conf_result){index, *c, waiter};
}

static void save_conf_state(struct node *n)
{
    struct raft_conf_state cs;

    if (cluster_conf_state_of(cluster_view(n->apply.cluster), &n->apply.scratch, &cs) != 0)
        node__die(n, "out of memory for the configuration", NULL);
    cluster_put_conf_state(n->apply.cluster, &cs);
}

static void apply_conf_change(struct node *n, const struct raft_entry *e,
                              struct node_request *waiter, struct apply_job *j)
{
    struct raft_conf_change cc;
    struct cluster_change change;
    struct err err = ERR_INIT;
    enum api_error refused;

    if (raft_conf_change_get(e->data, &cc, &err) != 0 ||
        cluster_change_get(&cc, &n->apply.scratch, &change, &err) != 0)
        node__die(n, "a configuration change in the log cannot be read", &err);
    cc.context = BYTES_EMPTY; /* raft has no use for it, and the entry will not outlive the job */
    refused = cluster_apply_change(n->apply.cluster, &change);
    n->apply.cluster_changed |= refused == API_OK;
    if (refused == API_OK)
        save_conf_state(n);
    else
        cc.node_id = RAFT_NONE;
    if (refused == API_OK && change.type == RAFT_CONF_REMOVE_NODE &&
        change.member.id == n->member_id && n->env.removed != NULL)
        n->env.removed(n->env.ctx);
    if (waiter != NULL && refused != API_OK)
        waiter->result = (struct node_result){.err = refused};
    else if (waiter != NULL)
        node__member_change_answer(n, waiter);
    conf_result_add(j, e->index, &cc, waiter);
}

/* ---- requests to the v2 store, which 3.5 still writes ---- */

static void apply_v2(struct node *n, const struct raft_entry *e)
{
    struct apply_actor *a = &n->apply;
    struct cluster_v2_request r;
    struct err err = ERR_INIT;

    if (cluster_v2_request_get(e->data, &a->scratch, &r, &err) != 0)
        node__die(n, "a request to the v2 store in the log cannot be read", &err);
    switch (r.kind) {
    case CLUSTER_V2_ATTRIBUTES:
        cluster_apply_attributes(a->cluster, r.member_id, r.name, &r.client_urls);
        break;
    case CLUSTER_V2_VERSION:
        node__version_apply(n, r.version);
        break;
    case CLUSTER_V2_OTHER:
        break;
    }
    a->cluster_changed = true;
    /* A 3.7 member cannot read such entries: a snapshot behind them makes the directory readable.
     */
    a->want_disk_snapshot = true;
}

/* ---- what a normal entry holds ---- */

static void apply_normal(struct node *n, const struct raft_entry *e, struct node_request *waiter)
{
    struct apply_actor *a = &n->apply;
    Etcdserverpb__InternalRaftRequest *r;
    struct err err = ERR_INIT;

    if (e->data.n == 0) {
        /* The empty entry of a new term: the leader takes charge of the leases. */
        if (a->is_leader && e->term == a->term && (!a->is_primary || a->primary_term != e->term)) {
            lessor_promote(a->lessor, a->now / 1000000,
                           (int64_t) n->cfg.election_ticks * n->cfg.tick_ms);
            a->is_primary = true;
            a->primary_term = e->term;
            a->primary_since = a->now;
        }
        return;
    }
    if (cluster_is_v2_request(e->data)) {
        apply_v2(n, e);
        return;
    }
    if (wire_decode_deep(&etcdserverpb__internal_raft_request__descriptor, e->data,
                         NODE_ENTRY_DEPTH_MAX, &a->scratch, (ProtobufCMessage **) &r, &err) != 0)
        node__die(n, "an entry of the log cannot be read", &err);
    node__apply_request(n, r, waiter);
}

void node__apply_entry(struct node *n, const struct raft_entry *e, struct node_request *waiter,
                       struct apply_job *j)
{
    struct apply_actor *a = &n->apply;

    ASSERT(e->index > a->applied);
    switch (e->type) {
    case RAFT_ENTRY_NORMAL:
        apply_normal(n, e, waiter);
        break;
    case RAFT_ENTRY_CONF_CHANGE:
        apply_conf_change(n, e, waiter, j);
        break;
    case RAFT_ENTRY_CONF_CHANGE_V2:
        node__die(n, "the log holds a configuration change of a kind that etcd never writes", NULL);
    }
    a->applied = e->index;
    a->applied_term = e->term;
    store_set_applied(a->store, e->index - PLANTED(APPLIED_BEHIND), e->term);
    arena_reset(&a->scratch);
}
