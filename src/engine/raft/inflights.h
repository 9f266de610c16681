/* inflights.h -- the appends that are on their way to one follower.
 *
 * A ring of (last index of the append, bytes of its data), in ascending order of index.  Full when
 * it holds inflight_max appends or at least inflight_bytes_max of data.
 *
 * Memory: grows by doubling up to the maximum and keeps what it has; zero-initialised plus the two
 * limits is valid and empty.
 */
#ifndef KETCH_ENGINE_RAFT_INFLIGHTS_H
#define KETCH_ENGINE_RAFT_INFLIGHTS_H

#include "wire/raftpb.h"

struct raft_inflight {
    raft_index index;
    uint64_t bytes;
};

struct raft_inflights {
    struct raft_inflight *ring;
    uint32_t cap;
    uint32_t start;
    uint32_t n;
    uint32_t max;
    uint64_t bytes;
    uint64_t bytes_max; /* 0: none */
};

bool raft__inflights_full(const struct raft_inflights *f);
void raft__inflights_add(struct raft_inflights *f, raft_index last, uint64_t bytes); /* not full */
void raft__inflights_free_to(struct raft_inflights *f, raft_index to); /* those with index <= to */
void raft__inflights_reset(struct raft_inflights *f);
void raft__inflights_done(struct raft_inflights *f);

#endif
