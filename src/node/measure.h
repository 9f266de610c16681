/* measure.h -- what is counted and timed in passing.  Private to node.
 *
 * Nothing here decides anything, and without a registry nothing is measured.  Each function is
 * called by one actor, named beside it; the numbers themselves may be read by any thread.
 */
#ifndef KETCH_NODE_MEASURE_H
#define KETCH_NODE_MEASURE_H

#include "node/node_int.h"

#define MEASURE_OPS_MAX 32

struct node_metrics {
    struct metric *has_leader, *is_leader, *leader_changes;
    struct metric *committed, *applied, *pending, *failed;
    struct metric *slow_reads, *failed_reads;
    struct metric *quota, *db_size, *db_in_use, *read_txns;
    struct metric *keys, *revision, *compact_revision;
    struct metric *views, *oldest_view, *index_bytes;
    struct metric *puts, *deletes, *multi_txns, *put_bytes;
    struct metric *compacted_keys, *compaction_last;
    struct metric *leases_granted, *leases_revoked, *leases_renewed, *leases_expired;
    struct metric *wal_bytes;
    struct histogram *lease_ttl;
    struct histogram *fsync, *wal_write, *commit, *commit_write, *commit_rebalance, *commit_spill;
    struct metric *held_seconds, *held_bytes, *disk_full;
    struct histogram *snap_fsync, *snap_save, *db_fsync, *db_save;
    struct metric *restoring;
    struct histogram *index_compaction, *db_compaction, *compaction;
    struct metric *slow_apply;
    struct metric_family *apply;                    /* version, op, success */
    struct histogram *apply_op[MEASURE_OPS_MAX][2]; /* by success; made on first use */
    struct mvcc_reader *reader;
    mono_ns sync_began;
    mono_ns write_began;
    mono_ns compaction_began;
    /* of the entry that is being applied */
    mono_ns entry_turn;
    mono_ns entry_began;
    enum api_error entry_refused;
    struct trace_steps entry_steps;
};

/* apply: around each request of the log.  Refused: it comes to nothing, for this reason. */
void node__measure_begin(struct node *n);
void node__measure_refused(struct node *n, enum api_error why);
void node__measure_end(struct node *n, const Etcdserverpb__InternalRaftRequest *r,
                       struct node_request *waiter);

/* apply */
void node__measure_lease(struct node *n, int64_t ttl_s);
mono_ns node__measure_now(struct node *n); /* 0: nothing is measured */
void node__measure_index_step(struct node *n, mono_ns began);
void node__measure_compacted(struct node *n, const struct mvcc_compaction_info *info);

void node__measure_restoring(struct node *n, bool on);

/* work: a received data file is on disk, begun then, its sync begun then */
void node__measure_received(struct node *n, mono_ns began, mono_ns sync_began);

/* store; wal when the snapshot is a received one */
void node__measure_compaction_step(struct node *n, mono_ns began, bool first, bool done);
void node__measure_snapshot(struct node *n, mono_ns began);

/* wal: before a batch is written */
void node__measure_write(struct node *n);

/* raft */
void node__measure_round(struct node *n, const struct node_request *first);
void node__measure_slow_read(struct node *n);
void node__measure_failed_read(struct node *n);

#endif
