/* metrics.c -- the numbers of a member, under etcd's names.  Those that others keep are fetched
 * when the page is made; only what happens in between is counted as it happens.
 */
#include "base/alloc.h"
#include "node/measure.h"

static void collect_held(struct node *n, struct node_metrics *m)
{
    int64_t since = store_held_since_ns(n->apply.store);
    int64_t held_ns = since == 0 ? 0 : MAX(clock_mono_ns(n->env.clock) - since, 0);

    metric_set_real(m->held_seconds, (double) held_ns / 1e9);
    metric_set(m->held_bytes, (int64_t) store_held_bytes(n->apply.store));
    metric_set(m->disk_full, node_disk_full(n));
}

static void collect_index(struct node *n, struct node_metrics *m, int64_t revision)
{
    struct mvcc_stats st;

    mvcc_stats(n->apply.mvcc, &st);
    metric_set(m->views, (int64_t) st.views);
    metric_set(m->oldest_view, MAX(revision - st.oldest_revision, 0));
    metric_set(m->index_bytes, (int64_t) st.index_bytes);
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
    collect_held(n, m);
    metric_set(m->keys, (int64_t) mvcc_view_keys(v));
    collect_index(n, m, mvcc_view_revision(v));
    metric_set(m->revision, mvcc_view_revision(v));
    metric_set(m->compact_revision, mvcc_view_compact_revision(v));
    mvcc_view_unpin(v);
}

static struct histogram *seconds(struct metrics *r, const struct metric_buckets *b,
                                 const char *name, const char *help)
{
    return metrics_histogram(r, name, help, b->bounds, b->n, METRIC_NS_PER_S);
}

static void register_apply(struct metrics *r, struct node_metrics *m)
{
    m->slow_apply = metrics_counter(
        r, "etcd_server_slow_apply_total",
        "The total number of slow apply requests (likely overloaded from slow disk).");
    m->apply = metrics_histogram_family(
        r, "etcd_server_apply_duration_seconds", "Time of applying one entry of the log.",
        METRIC_B3.bounds, METRIC_B3.n, METRIC_NS_PER_S, METRIC_LABELS("version", "op", "success"));
    m->lease_ttl = metrics_histogram(r, "etcd_debugging_lease_ttl_total",
                                     "Times to live of the leases granted, in seconds.",
                                     METRIC_B11.bounds, METRIC_B11.n, 1);
}

static void register_disk(struct metrics *r, struct node_metrics *m)
{
    m->fsync = seconds(r, &METRIC_B1, "etcd_disk_wal_fsync_duration_seconds",
                       "Time of a sync of the write-ahead log.");
    m->wal_write = seconds(r, &METRIC_B1, "etcd_disk_wal_write_duration_seconds",
                           "Time of a write to the write-ahead log.");
    m->wal_bytes = metrics_gauge(r, "etcd_disk_wal_write_bytes_total",
                                 "Bytes written to the write-ahead log.");
    m->commit = seconds(r, &METRIC_B1, "etcd_disk_backend_commit_duration_seconds",
                        "Time of a commit of the data file.");
    m->commit_write = seconds(r, &METRIC_B1,
                              "etcd_debugging_disk_backend_commit_write_duration_seconds",
                              "Time of the writing part of a commit.");
    m->commit_rebalance = seconds(r, &METRIC_B1,
                                  "etcd_debugging_disk_backend_commit_rebalance_duration_seconds",
                                  "Time of the rebalancing part of a commit.");
    m->commit_spill = seconds(r, &METRIC_B1,
                              "etcd_debugging_disk_backend_commit_spill_duration_seconds",
                              "Time of the spilling part of a commit.");
    m->snap_fsync = seconds(r, &METRIC_B1, "etcd_snap_fsync_duration_seconds",
                            "Time of writing and syncing a .snap file.");
    m->snap_save = seconds(r, &METRIC_B1, "etcd_debugging_snap_save_total_duration_seconds",
                           "Time of saving a .snap file.");
    (void) seconds(r, &METRIC_B1, "etcd_debugging_snap_save_marshalling_duration_seconds",
                   "Time of encoding a .snap file.");
    m->db_fsync = seconds(r, &METRIC_B1, "etcd_snap_db_fsync_duration_seconds",
                          "Time of syncing a received data file.");
    m->db_save = seconds(r, &METRIC_B2, "etcd_snap_db_save_total_duration_seconds",
                         "Time of saving a received data file.");
}

static struct histogram *milliseconds(struct metrics *r, const struct metric_buckets *b,
                                      const char *name, const char *help)
{
    return metrics_histogram(r, name, help, b->bounds, b->n, METRIC_NS_PER_MS);
}

static void register_compaction(struct metrics *r, struct node_metrics *m)
{
    m->index_compaction = milliseconds(
        r, &METRIC_B8, "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
        "Time of one step of a compaction in the index.");
    m->db_compaction = milliseconds(r, &METRIC_B9,
                                    "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
                                    "Time of one step of a compaction in the data file.");
    m->compaction = milliseconds(r, &METRIC_B10,
                                 "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
                                 "Time of a whole compaction of the data file.");
    m->compaction_last = metrics_gauge(r, "etcd_debugging_mvcc_db_compaction_last",
                                       "Unix time of the newest compaction; 0: there was none.");
    m->compacted_keys = metrics_counter(r, "etcd_debugging_mvcc_db_compaction_keys_total",
                                        "Revisions removed by compactions.");
}

/* There is no v2 store: what etcd does to its own at start is shown, and then nothing. */
static void register_v2_store(struct metrics *r)
{
    struct metric_family *reads, *writes;

    reads = metrics_family(r, METRIC_COUNTER, METRIC_PLAIN, "etcd_debugging_store_reads_total",
                           "Reads of the v2 store.", METRIC_LABELS("action"));
    writes = metrics_family(r, METRIC_COUNTER, METRIC_PLAIN, "etcd_debugging_store_writes_total",
                            "Writes to the v2 store.", METRIC_LABELS("action"));
    (void) metric_with(reads, METRIC_LABELS("getRecursive"));
    (void) metric_with(writes, METRIC_LABELS("create"));
    (void) metric_with(writes, METRIC_LABELS("set"));
}

static void register_consensus(struct metrics *r, struct node_metrics *m)
{
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
    m->slow_reads = metrics_counter(r, "etcd_server_slow_read_indexes_total",
                                    "Answers to read-index rounds that came late or not at all.");
    m->failed_reads = metrics_counter(r, "etcd_server_read_indexes_failed_total",
                                      "Read-index rounds that failed.");
}

static void register_space(struct metrics *r, struct node_metrics *m)
{
    m->quota = metrics_gauge(r, "etcd_server_quota_backend_bytes", "The storage quota in force.");
    m->db_size = metrics_gauge(r, "etcd_mvcc_db_total_size_in_bytes",
                               "Bytes of the data file that were ever used.");
    m->db_in_use = metrics_gauge(r, "etcd_mvcc_db_total_size_in_use_in_bytes",
                                 "Bytes of the data file that hold data.");
    m->held_seconds = metrics_gauge_real(
        r, "ketch_mvcc_db_oldest_view_seconds",
        "How long the oldest view of the data file has been out of date "
        "and kept; 0 when there is none.");
    m->held_bytes = metrics_gauge(r, "ketch_mvcc_db_kept_for_views_in_bytes",
                                  "Bytes of the data file that only such views still need.");
    m->disk_full = metrics_gauge(
        r, "ketch_disk_full", "Whether writes are refused for lack of room on the disk: 1 or 0.");
    m->read_txns = metrics_gauge(r, "etcd_mvcc_db_open_read_transactions",
                                 "Open read transactions of the data file.");
}

static void register_keys(struct metrics *r, struct node_metrics *m)
{
    m->keys = metrics_gauge(r, "etcd_debugging_mvcc_keys_total", "Live keys.");
    m->views = metrics_gauge(r, "ketch_mvcc_views",
                             "States of the key space that are kept for readers, the newest too.");
    m->oldest_view = metrics_gauge(r, "ketch_mvcc_oldest_view_revisions",
                                   "How many revisions the oldest of them is behind the newest.");
    m->index_bytes = metrics_gauge(r, "ketch_mvcc_index_bytes",
                                   "Memory of the index, with what only old views still see.");
    m->revision = metrics_gauge(r, "etcd_debugging_mvcc_current_revision", "The store's revision.");
    m->compact_revision = metrics_gauge(r, "etcd_debugging_mvcc_compact_revision",
                                        "The compacted revision; -1 when there is none.");
    m->puts = metrics_counter(r, "etcd_mvcc_put_total", "Puts executed by this member.");
    m->deletes = metrics_counter(r, "etcd_mvcc_delete_total", "Keys deleted by this member.");
    m->multi_txns = metrics_counter(r, "etcd_mvcc_txn_total",
                                    "Write transactions with more than one change.");
    m->put_bytes = metrics_gauge(r, "etcd_debugging_mvcc_total_put_size_in_bytes",
                                 "Bytes of all records that were put.");
}

static void register_leases(struct metrics *r, struct node_metrics *m)
{
    m->leases_granted = metrics_counter(r, "etcd_debugging_lease_granted_total", "Leases granted.");
    m->leases_revoked = metrics_counter(r, "etcd_debugging_lease_revoked_total", "Leases revoked.");
    m->leases_renewed = metrics_counter(r, "etcd_debugging_lease_renewed_total",
                                        "Renewals by this leader.");
    m->leases_expired = metrics_counter(r, "etcd_debugging_server_lease_expired_total",
                                        "Leases this leader revoked because they expired.");
}

void node__metrics_init(struct node *n)
{
    struct metrics *r = n->env.metrics;
    struct node_metrics *m;

    if (r == NULL)
        return;
    m = n->metrics = xmem_calloc(1, sizeof *m);
    register_consensus(r, m);
    register_space(r, m);
    register_keys(r, m);
    register_leases(r, m);
    m->restoring = metrics_gauge(r, "etcd_server_snapshot_apply_in_progress_total",
                                 "1 while a received snapshot takes the place of the state.");
    register_apply(r, m);
    register_disk(r, m);
    register_compaction(r, m);
    register_v2_store(r);
    m->reader = mvcc_reader_new(n->apply.mvcc);
    if (m->reader == NULL)
        mem_exhausted("a reader for the metrics");
    metrics_on_collect(r, collect, n);
    mvcc_trace(n->apply.mvcc, &m->entry_steps);
}

void node__metrics_done(struct node *n)
{
    if (n->metrics == NULL)
        return;
    mvcc_trace(n->apply.mvcc, NULL);
    mvcc_reader_free(n->metrics->reader);
    mem_free(n->metrics);
    n->metrics = NULL;
}
