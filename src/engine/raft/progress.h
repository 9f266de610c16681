/* progress.h -- what a leader knows of one follower, and how fast it may send.
 *
 *                  rejected, unreachable            +-----------+
 *        +----------------------------------------- | REPLICATE | <--+
 *        v                                          +-----------+    |
 *   +-------+  an append was accepted                                |
 *   | PROBE | -------------------------------------------------------+
 *   +-------+                                                        |
 *    |     ^  the snapshot's fate is known                           |
 *    |     +-------------------------------- +----------+  it is in the log's reach again
 *    +-------------------------------------> | SNAPSHOT | -----------+ (through PROBE)
 *       what it needs is compacted           +----------+
 *
 * PROBE      one append at a time, then wait: where the logs agree is not known.
 * REPLICATE  optimistic: `next` runs ahead of `match` as far as the inflight window lets it.
 * SNAPSHOT   nothing is sent until the snapshot `pending_snapshot` is reported on.
 *
 * Invariants: match < next.  In PROBE and SNAPSHOT inflights is empty.  pending_snapshot is 0
 * but in SNAPSHOT.  sent_commit, the commit index the follower was last sent, is what decides
 * whether a message just for the commit is worth while.
 */
#ifndef KETCH_ENGINE_RAFT_PROGRESS_H
#define KETCH_ENGINE_RAFT_PROGRESS_H

#include "engine/raft/inflights.h"
#include "engine/raft/quorum.h"
#include "engine/raft/raft.h"

struct raft_progress {
    raft_id id;
    raft_index match; /* known to be in the follower's log */
    raft_index next;  /* to be sent next */
    raft_index sent_commit;
    raft_index pending_snapshot;
    enum raft_progress_state state;
    bool recent_active; /* heard of since the last check of the quorum */
    bool flow_paused;
    bool awaits_entries; /* what is to be sent next is being read back */
    bool learner;
    enum raft__vote vote; /* in the election under way */
    uint64_t read_acked;  /* position in the queue of reads, see read_only.h */
    struct raft_inflights inflights;
};

void raft__progress_check(const struct raft_progress *p);

void raft__progress_become_probe(struct raft_progress *p);
void raft__progress_become_replicate(struct raft_progress *p);
void raft__progress_become_snapshot(struct raft_progress *p, raft_index snapshot);

bool raft__progress_paused(const struct raft_progress *p);
/* A message just to tell the commit index would tell the follower something. */
bool raft__progress_can_bump_commit(const struct raft_progress *p, raft_index commit);

void raft__progress_sent_entries(struct raft_progress *p, size_t n, uint64_t data_bytes);
/* The follower acknowledged `i`: false when that is nothing new. */
bool raft__progress_maybe_update(struct raft_progress *p, raft_index i);
/* The follower rejected an append after `rejected`, and may have `hint`: false when the answer is
 * stale. */
bool raft__progress_maybe_decrease(struct raft_progress *p, raft_index rejected, raft_index hint);

#endif
