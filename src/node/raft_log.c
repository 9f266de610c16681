/* raft_log.c -- how much of the log stays in memory, and what happens when a snapshot is on disk.
 */
#include "node/node_int.h"

/* The log in memory keeps `catchup_entries` behind what is applied, so that a follower that was
 * away for a moment need not be sent the whole store. */
void node__raft_log_compact(struct node *n)
{
    struct raft_actor *ra = &n->raft;
    raft_index to;
    int rc;

    if (ra->applied <= n->cfg.catchup_entries)
        return;
    to = ra->applied - n->cfg.catchup_entries;
    if (to < ra->compacted + NODE_LOG_COMPACT_STEP)
        return;
    rc = raft_memory_storage_compact(ra->log, to);
    ASSERT(rc == 0 || rc == ERR_RAFT_COMPACTED);
    ra->compacted = to;
}

void node__raft_marker_stored(struct node *n, struct wal_job *j)
{
    LOG_INFO(n->env.log, "saved snapshot to disk", F_U64("snapshot-index", j->marker.index),
             F_U64("snapshot-term", j->marker.term));
    j->marker_job->done = true;
    mpsc_push(&n->apply.store_done, &j->marker_job->link);
    node__wake(n, NODE_APPLY);
}
