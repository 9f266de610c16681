/* counts.c -- what happens, counted and timed as it happens (measure.h). */
#include "node/measure.h"

/* ---- changes ---- */

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

/* ---- the write-ahead log ---- */

void node__measure_write(struct node *n)
{
    if (n->metrics != NULL)
        n->metrics->write_began = clock_mono_ns(n->env.clock);
}

/* What came between the begin of a batch and its sync was the write. */
static void sync_begin(void *arg)
{
    struct node *n = arg;
    struct node_metrics *m = n->metrics;

    if (m == NULL)
        return;
    m->sync_began = clock_mono_ns(n->env.clock);
    if (m->write_began != 0)
        histogram_observe(m->wal_write, m->sync_began - m->write_began);
    m->write_began = 0;
}

static void sync_end(void *arg)
{
    struct node *n = arg;
    struct wal_stats st;

    if (n->metrics == NULL)
        return;
    histogram_observe(n->metrics->fsync, clock_mono_ns(n->env.clock) - n->metrics->sync_began);
    if (n->wal.wal == NULL)
        return;
    wal_stats(n->wal.wal, &st);
    metric_set(n->metrics->wal_bytes, (int64_t) st.bytes_written);
}

struct wal_observer node__wal_observer(struct node *n)
{
    return (struct wal_observer){sync_begin, sync_end, n};
}

void node__count_commit(struct node *n, mono_ns took)
{
    struct store_commit_times t;

    if (n->metrics == NULL)
        return;
    store_last_commit(n->apply.store, &t);
    histogram_observe(n->metrics->commit, took);
    histogram_observe(n->metrics->commit_rebalance, t.rebalance_ns);
    histogram_observe(n->metrics->commit_spill, t.spill_ns);
    histogram_observe(n->metrics->commit_write, t.write_ns);
}

/* ---- snapshots and compactions ---- */

void node__measure_snapshot(struct node *n, mono_ns began)
{
    if (n->metrics == NULL)
        return;
    histogram_observe(n->metrics->snap_fsync, clock_mono_ns(n->env.clock) - began);
    histogram_observe(n->metrics->snap_save, clock_mono_ns(n->env.clock) - began);
}

void node__measure_received(struct node *n, mono_ns began, mono_ns sync_began)
{
    mono_ns now;

    if (n->metrics == NULL)
        return;
    now = clock_mono_ns(n->env.clock);
    histogram_observe(n->metrics->db_fsync, now - sync_began);
    histogram_observe(n->metrics->db_save, now - began);
}

void node__measure_restoring(struct node *n, bool on)
{
    if (n->metrics != NULL)
        metric_set(n->metrics->restoring, on);
}

void node__measure_index_step(struct node *n, mono_ns began)
{
    if (n->metrics != NULL)
        histogram_observe(n->metrics->index_compaction, clock_mono_ns(n->env.clock) - began);
}

void node__measure_compaction_step(struct node *n, mono_ns began, bool first, bool done)
{
    struct node_metrics *m = n->metrics;
    mono_ns now;

    if (m == NULL)
        return;
    now = clock_mono_ns(n->env.clock);
    if (first)
        m->compaction_began = began;
    histogram_observe(m->db_compaction, now - began);
    if (done)
        histogram_observe(m->compaction, now - m->compaction_began);
}

void node__measure_compacted(struct node *n, const struct mvcc_compaction_info *info)
{
    if (n->metrics == NULL)
        return;
    metric_set(n->metrics->compaction_last, n->apply.wall / 1000);
    metric_add(n->metrics->compacted_keys, (int64_t) info->records_removed);
}

void node__measure_lease(struct node *n, int64_t ttl_s)
{
    if (n->metrics != NULL)
        histogram_observe(n->metrics->lease_ttl, ttl_s);
}

/* ---- reads ---- */

void node__measure_slow_read(struct node *n)
{
    if (n->metrics != NULL)
        metric_inc(n->metrics->slow_reads);
}

void node__measure_failed_read(struct node *n)
{
    if (n->metrics != NULL)
        metric_inc(n->metrics->failed_reads);
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
