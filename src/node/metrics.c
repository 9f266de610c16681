/* metrics.c -- the numbers of a member, under etcd's names.  Those that others keep are fetched
 * when the page is made; only what happens in between is counted as it happens.
 */
#include "base/alloc.h"
#include "node/node_int.h"

struct node_metrics {
    struct metric *has_leader, *is_leader, *leader_changes;
    struct metric *committed, *applied, *pending, *failed;
    struct metric *quota, *db_size, *db_in_use, *read_txns;
    struct metric *keys, *revision, *compact_revision;
    struct metric *puts, *deletes, *multi_txns, *put_bytes;
    struct metric *leases_granted, *leases_revoked, *leases_renewed, *leases_expired;
    struct histogram *fsync, *commit;
    struct mvcc_reader *reader;
    mono_ns sync_began;
};

void node__count_events(struct node *n, const struct mvcc_event *ev, size_t k)
{
    struct node_metrics *m = n->metrics;
    int64_t puts = 0, bytes = 0;

    if (m == NULL)
        return;
    for (size_t i = 0; i < k; i++) {
        puts += ev[i].type == MVCC_PUT;
        bytes += ev[i].type == MVCC_PUT ? (int64_t) ev[i].kv.n : 0;
    }
    metric_add(m->puts, puts);
    metric_add(m->deletes, (int64_t) k - puts);
    metric_add(m->multi_txns, k > 1);
    metric_add(m->put_bytes, bytes);
}

void node__count_lease(struct node *n, enum node_lease_count what)
{
    struct node_metrics *m = n->metrics;

    if (m == NULL)
        return;
    metric_inc(what == NODE_LEASE_GRANTED   ? m->leases_granted
               : what == NODE_LEASE_REVOKED ? m->leases_revoked
               : what == NODE_LEASE_RENEWED ? m->leases_renewed
                                            : m->leases_expired);
}

static void collect(void *arg)
{
    struct node *n = arg;
    struct node_metrics *m = n->metrics;
    const struct mvcc_view *v = mvcc_view_pin(m->reader);

    metric_set(m->has_leader, atomic_load(&n->pub.lead) != RAFT_NONE);
    metric_set(m->is_leader, atomic_load(&n->pub.is_leader));
    metric_set(m->committed, (int64_t) atomic_load(&n->pub.commit));
    metric_set(m->applied, (int64_t) atomic_load(&n->pub.applied));
    metric_set(m->quota, n->cfg.quota_bytes < 0    ? n->cfg.quota_bytes
                         : n->cfg.quota_bytes == 0 ? NODE_QUOTA_DEFAULT_BYTES
                                                   : n->cfg.quota_bytes);
    metric_set(m->db_size, (int64_t) store_db_size(n->apply.store));
    metric_set(m->db_in_use, (int64_t) store_db_size_in_use(n->apply.store));
    metric_set(m->read_txns, store_snapshots_open(n->apply.store));
    metric_set(m->keys, (int64_t) mvcc_view_keys(v));
    metric_set(m->revision, mvcc_view_revision(v));
    metric_set(m->compact_revision, mvcc_view_compact_revision(v));
    mvcc_view_unpin(v);
}

void node__metrics_init(struct node *n)
{
    struct metrics *r = n->env.metrics;
    struct node_metrics *m;

    if (r == NULL)
        return;
    m = n->metrics = xmem_calloc(1, sizeof *m);
    m->has_leader = metrics_gauge(r, "etcd_server_has_leader",
                                  "Whether this member sees a leader: 1 or 0.");
    m->is_leader = metrics_gauge(r, "etcd_server_is_leader", "Whether this member leads: 1 or 0.");
    m->leader_changes = metrics_counter(r, "etcd_server_leader_changes_seen_total",
                                        "How often another leader became known.");
    m->committed = metrics_gauge(r, "etcd_server_proposals_committed_total", "The commit index.");
    m->applied = metrics_gauge(r, "etcd_server_proposals_applied_total", "The applied index.");
    m->pending = metrics_gauge(r, "etcd_server_proposals_pending",
                               "Proposals of this member that wait for their result.");
    m->failed = metrics_counter(r, "etcd_server_proposals_failed_total",
                                "Proposals that were refused or got no result in time.");
    m->quota = metrics_gauge(r, "etcd_server_quota_backend_bytes", "The storage quota in force.");
    m->db_size = metrics_gauge(r, "etcd_mvcc_db_total_size_in_bytes",
                               "Bytes of the data file that were ever used.");
    m->db_in_use = metrics_gauge(r, "etcd_mvcc_db_total_size_in_use_in_bytes",
                                 "Bytes of the data file that hold data.");
    m->read_txns = metrics_gauge(r, "etcd_mvcc_db_open_read_transactions",
                                 "Open read transactions of the data file.");
    m->keys = metrics_gauge(r, "etcd_debugging_mvcc_keys_total", "Live keys.");
    m->revision = metrics_gauge(r, "etcd_debugging_mvcc_current_revision", "The store's revision.");
    m->compact_revision = metrics_gauge(r, "etcd_debugging_mvcc_compact_revision",
                                        "The compacted revision; -1 when there is none.");
    m->puts = metrics_counter(r, "etcd_mvcc_put_total", "Puts executed by this member.");
    m->deletes = metrics_counter(r, "etcd_mvcc_delete_total", "Keys deleted by this member.");
    m->multi_txns = metrics_counter(r, "etcd_mvcc_txn_total",
                                    "Write transactions with more than one change.");
    m->put_bytes = metrics_gauge(r, "etcd_debugging_mvcc_total_put_size_in_bytes",
                                 "Bytes of all records that were put.");
    m->leases_granted = metrics_counter(r, "etcd_debugging_lease_granted_total", "Leases granted.");
    m->leases_revoked = metrics_counter(r, "etcd_debugging_lease_revoked_total", "Leases revoked.");
    m->leases_renewed = metrics_counter(r, "etcd_debugging_lease_renewed_total",
                                        "Renewals by this leader.");
    m->leases_expired = metrics_counter(r, "etcd_debugging_server_lease_expired_total",
                                        "Leases this leader revoked because they expired.");
    m->fsync = metrics_histogram(r, "etcd_disk_wal_fsync_duration_seconds",
                                 "Time of a sync of the write-ahead log.", METRIC_B1.bounds,
                                 METRIC_B1.n, METRIC_NS_PER_S);
    m->commit = metrics_histogram(r, "etcd_disk_backend_commit_duration_seconds",
                                  "Time of a commit of the data file.", METRIC_B1.bounds,
                                  METRIC_B1.n, METRIC_NS_PER_S);
    m->reader = mvcc_reader_new(n->apply.mvcc);
    if (m->reader == NULL)
        mem_exhausted("a reader for the metrics");
    metrics_on_collect(r, collect, n);
}

static void sync_begin(void *arg)
{
    struct node *n = arg;

    if (n->metrics != NULL)
        n->metrics->sync_began = clock_mono_ns(n->env.clock);
}

static void sync_end(void *arg)
{
    struct node *n = arg;

    if (n->metrics != NULL)
        histogram_observe(n->metrics->fsync, clock_mono_ns(n->env.clock) - n->metrics->sync_began);
}

struct wal_observer node__wal_observer(struct node *n)
{
    return (struct wal_observer){sync_begin, sync_end, n};
}

void node__count_commit(struct node *n, mono_ns took)
{
    if (n->metrics != NULL)
        histogram_observe(n->metrics->commit, took);
}

void node__count_leader_change(struct node *n)
{
    if (n->metrics != NULL)
        metric_inc(n->metrics->leader_changes);
}

void node__count_failed_proposal(struct node *n)
{
    if (n->metrics != NULL)
        metric_inc(n->metrics->failed);
}

void node__count_pending(struct node *n, size_t pending)
{
    if (n->metrics != NULL)
        metric_set(n->metrics->pending, (int64_t) pending);
}

void node__metrics_done(struct node *n)
{
    if (n->metrics == NULL)
        return;
    mvcc_reader_free(n->metrics->reader);
    mem_free(n->metrics);
    n->metrics = NULL;
}
