/* background.c -- what the apply actor does besides applying: leases that end, the member's own
 * proposals, compactions and snapshots that are to begin.
 */
#include "base/alloc.h"
#include "node/measure.h"

#define LATER_LOOK_NS INT64_C(20000000)

/* ---- the member's own proposals ---- */

static void published(struct node *n)
{
    if (!atomic_exchange(&n->apply.published, true)) {
        LOG_INFO(n->env.log, "published local member to cluster through raft",
                 F_HEX("local-member-id", n->member_id), F_STR("local-member-attributes", n->name),
                 F_HEX("cluster-id", n->cluster_id),
                 F_NS("publish-timeout", node__request_timeout_ns(n)));
        atomic_store(&n->pub.ready, true);
        n->apply.monitor_again =
            0; /* applied, so this is the apply actor: decide the version now */
        if (n->env.ready != NULL)
            n->env.ready(n->env.ctx);
    }
}

static void attributes_published(struct node *n, struct node_request *own)
{
    if (own->result.err == API_OK && own->result.code == GRPC_OK)
        published(n);
    atomic_store(&n->apply.publishing, false);
    node__wake(n, NODE_APPLY);
}

/* A joining member's proposal may come back inside the snapshot that it is sent: there will be no
 * entry to answer it, and no need to wait until its time is over. */
void node__attributes_restored(struct node *n)
{
    const struct cluster_member *self = cluster_view_member(cluster_view(n->apply.cluster),
                                                            n->member_id);
    bool same = self != NULL && strcmp(self->name, n->name) == 0 &&
                self->client_urls.n == n->cfg.client_urls_n;

    for (size_t i = 0; same && i < self->client_urls.n; i++)
        same = strcmp(self->client_urls.v[i], n->client_urls[i]) == 0;
    if (same)
        published(n);
}

/* Retried for ever: a member that nobody can find is of no use. */
static void publish_attributes(struct node *n)
{
    Membershippb__Attributes at;
    Membershippb__ClusterMemberAttrSetRequest m;

    if (atomic_load(&n->apply.published) || atomic_load(&n->apply.publishing) ||
        atomic_load(&n->pub.lead) == RAFT_NONE)
        return;
    membershippb__attributes__init(&at);
    membershippb__cluster_member_attr_set_request__init(&m);
    at.name = n->name;
    at.n_client_urls = n->cfg.client_urls_n;
    at.client_urls = n->client_urls;
    m.member_id = n->member_id;
    m.member_attributes = &at;
    atomic_store(&n->apply.publishing, true);
    node__propose_own(n, NODE_OP_MEMBER_ATTR_SET, &m.base, attributes_published, NULL);
}

/* ---- leases ---- */

static void lease_revoked(struct node *n, struct node_request *own)
{
    (void) own;
    atomic_fetch_sub(&n->apply.revokes, 1);
    node__wake(n, NODE_APPLY);
}

static void expire_leases(struct node *n)
{
    struct apply_actor *a = &n->apply;
    lease_id ids[NODE_EXPIRE_INFLIGHT_MAX];
    unsigned under_way = atomic_load(&a->revokes);
    size_t k;

    if (!a->is_primary || under_way >= NODE_EXPIRE_INFLIGHT_MAX || node__leadership_doubtful(n))
        return;
    k = lessor_expired(a->lessor, a->now / 1000000, ids, NODE_EXPIRE_INFLIGHT_MAX - under_way);
    for (size_t i = 0; i < k; i++) {
        Etcdserverpb__LeaseRevokeRequest m = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;

        m.id = ids[i];
        node__count_lease(n, NODE_LEASE_EXPIRED);
        atomic_fetch_add(&a->revokes, 1);
        node__propose_own(n, NODE_OP_LEASE_REVOKE, &m.base, lease_revoked, NULL);
    }
}

static void leases_checkpointed(struct node *n, struct node_request *own)
{
    (void) own; /* what was lost comes again after the interval */
    atomic_store(&n->apply.checkpointing, false);
    node__wake(n, NODE_APPLY);
}

/* What long leases have left goes through the log, so that the next leader does not begin them
 * anew: many in an entry, and one entry at a time, so that a million leases do not crowd out what
 * clients write. */
static void checkpoint_leases(struct node *n)
{
    struct apply_actor *a = &n->apply;
    Etcdserverpb__LeaseCheckpointRequest m = ETCDSERVERPB__LEASE_CHECKPOINT_REQUEST__INIT;
    struct lease_rest rest[LEASE_CHECKPOINT_MAX];
    Etcdserverpb__LeaseCheckpoint *each;

    if (!a->is_primary || atomic_load(&a->checkpointing) || a->now < a->checkpoint_again ||
        node__leadership_doubtful(n))
        return;
    m.n_checkpoints = lessor_checkpoints(a->lessor, a->now / 1000000, rest, ARRAY_LEN(rest));
    if (m.n_checkpoints == 0)
        return;
    if (m.n_checkpoints < ARRAY_LEN(rest)) /* else there are more */
        a->checkpoint_again = a->now + NODE_LEASE_CHECKPOINT_GATHER_NS;
    each = arena_alloc(&a->scratch, m.n_checkpoints * sizeof *each);
    m.checkpoints = arena_alloc(&a->scratch, m.n_checkpoints * sizeof(void *));
    if (each == NULL || m.checkpoints == NULL)
        node__die(n, "out of memory for a checkpoint of leases", NULL);
    for (size_t i = 0; i < m.n_checkpoints; i++) {
        etcdserverpb__lease_checkpoint__init(&each[i]);
        each[i].id = rest[i].id;
        each[i].remaining_ttl = rest[i].remaining_ttl_s;
        m.checkpoints[i] = &each[i];
    }
    atomic_store(&a->checkpointing, true);
    node__propose_own(n, NODE_OP_LEASE_CHECKPOINT, &m.base, leases_checkpointed, NULL);
    arena_reset(&a->scratch);
}

static void end_waits(struct node *n)
{
    struct list *x;

    node__leases_end_waits(n);
    while ((x = list_pop(&n->apply.physical)) != NULL)
        node__fail(n, &n->apply.out, CONTAINER_OF(x, struct node_request, age), API_STOPPED);
}

void node__apply_monitor(struct node *n)
{
    struct apply_actor *a = &n->apply;

    if (a->is_primary && !atomic_load(&n->pub.is_leader)) {
        lessor_demote(a->lessor);
        a->is_primary = false;
    }
    node__later_run(n);
    if (atomic_load(&n->waits_over))
        end_waits(n);
    if (atomic_load(&n->stopping))
        return;
    publish_attributes(n);
    node__versions_take(n);
    if (a->now >= a->monitor_again) {
        a->monitor_again = a->now + NODE_MONITOR_NS;
        node__versions_monitor(n);
        node__storage_version_monitor(n);
    }
    node__downgrade_monitor(n);
    expire_leases(n);
    checkpoint_leases(n);
    node__checks_run(n);
    if (a->cluster_changed)
        node__publish_cluster(n);
}

/* ---- compactions ---- */

/* The index first, in small steps between entries; then the file, on the store actor. */
static void step_compaction(struct node *n)
{
    struct apply_actor *a = &n->apply;
    struct store_job *j;

    if (mvcc_compact_index_pending(a->mvcc)) {
        mono_ns began = node__measure_now(n);

        mvcc_compact_index_step(a->mvcc, MVCC_INDEX_STEP_DEFAULT);
        node__measure_index_step(n, began);
        a->dirty = true;
        return;
    }
    if (a->compacting || a->compactions_queued == 0)
        return;
    j = node__store_job_new(STORE_WORK_COMPACTION);
    j->compaction = mvcc_compaction_take(a->mvcc);
    if (j->compaction == NULL) {
        node__store_job_free(j);
        return;
    }
    a->compacting = true;
    node__apply_to_store(n, j);
}

/* ---- snapshots on disk ---- */

/* Where there is no memory for the membership the log stays longer, and nothing else is lost: it is
 * no reason to end. */
static void begin_disk_snapshot(struct node *n)
{
    struct apply_actor *a = &n->apply;
    struct store_job *j = node__store_job_new(STORE_WORK_DISK_SNAPSHOT);
    struct raft_snapshot snap = {.meta = {.index = a->applied}};

    if (node__snapshot_describe(cluster_view(a->cluster), &j->arena, &snap) != 0) {
        LOG_WARN(n->env.log, "no memory for a snapshot of the membership; will try again");
        a->snapshot_again = a->now + NODE_SNAPSHOT_RETRY_NS;
        node__store_job_free(j);
        return;
    }
    j->snap = (struct disk_snapshot){.index = a->applied,
                                     .term = a->applied_term,
                                     .conf_state = snap.meta.conf_state,
                                     .payload = snap.data};
    LOG_INFO(n->env.log, "triggering snapshot", F_HEX("local-member-id", n->member_id),
             F_U64("local-member-applied-index", a->applied),
             F_U64("local-member-snapshot-index", a->last_disk_snapshot),
             F_U64("local-member-snapshot-count", n->cfg.snapshot_count));
    a->snapshot_under_way = true;
    a->want_disk_snapshot = false;
    node__apply_to_store(n, j);
}

/* Whoever stops begins nothing more, and what is restored is about to be another state. */
static bool is_background_held(const struct node *n)
{
    return atomic_load(&n->stopping) || atomic_load(&n->restoring);
}

void node__apply_background(struct node *n)
{
    struct apply_actor *a = &n->apply;

    if (is_background_held(n))
        return;
    step_compaction(n);
    if (a->snapshot_under_way || a->applied == a->last_disk_snapshot || a->now < a->snapshot_again)
        return;
    if (a->want_disk_snapshot || a->applied - a->last_disk_snapshot > n->cfg.snapshot_count)
        begin_disk_snapshot(n);
}

int64_t node__apply_next_due(struct node *n)
{
    struct apply_actor *a = &n->apply;
    int64_t due = MAX(MIN(a->monitor_again, node__downgrade_due(n)) - a->now, 0);
    int64_t sealed = n->cfg.batch_interval_ms * 1000000 - (a->now - a->last_seal);

    /* Now only what a turn does bring further: the thread would do nothing else. */
    if (mvcc_reclaiming(a->mvcc) || (mvcc_compact_index_pending(a->mvcc) && !is_background_held(n)))
        return 0;
    due = MIN(due, MAX(node__checks_due(n) - a->now, 0));
    if (a->later.count > 0)
        due = MIN(due, LATER_LOOK_NS);
    if (store_pending_bytes(a->store) > 0 && !atomic_load(&n->restoring))
        due = MIN(due, MAX(sealed, 1000000));
    if (a->is_primary && lessor_next_due(a->lessor) != INT64_MAX)
        due = MIN(due, MAX(lessor_next_due(a->lessor) * 1000000 - a->now, INT64_C(500000000)));
    return due;
}
