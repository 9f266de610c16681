/* read_only.h -- reads that wait for proof that their leader still leads (Raft thesis 6.4).
 *
 * A read is numbered, from 1, over one leadership.  Heartbeats carry the number of the newest read
 * that waits; a follower's echo confirms all reads up to that number, for it answered after they
 * were asked.  What a quorum has confirmed is answered with the commit index of when it was queued.
 *
 * Invariants: requests are those numbered (confirmed, confirmed + n]; nobody has acknowledged more
 * than confirmed + n.
 *
 * Memory: a ring that doubles up to RAFT_READS_PENDING_MAX and keeps what it has.
 */
#ifndef KETCH_ENGINE_RAFT_READ_ONLY_H
#define KETCH_ENGINE_RAFT_READ_ONLY_H

#include "engine/raft/raft.h"

struct raft_read_request {
    raft_id from;     /* who asked; RAFT_NONE or oneself: a local read */
    raft_index index; /* commit index when it was queued */
    uint8_t context_n;
    uint8_t context[RAFT_READ_CONTEXT_BYTES_MAX];
};

struct raft_read_queue {
    struct raft_read_request *ring;
    size_t cap; /* 0 or a power of two */
    size_t start;
    size_t n;
    uint64_t confirmed;
};

/* False at the limit.  context.n <= RAFT_READ_CONTEXT_BYTES_MAX. */
bool raft__reads_push(struct raft_read_queue *q, raft_id from, raft_index index,
                      struct bytes context);
/* Oldest first; q->n > 0.  The request stays readable until the next push. */
const struct raft_read_request *raft__reads_pop(struct raft_read_queue *q);
void raft__reads_reset(struct raft_read_queue *q); /* of a new leadership */
void raft__reads_done(struct raft_read_queue *q);

/* The number of the newest read. */
static inline uint64_t raft__reads_newest(const struct raft_read_queue *q)
{
    return q->confirmed + q->n;
}

#endif
