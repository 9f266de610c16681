/* entry_queue.h -- neighbouring log entries in one array, from which both ends are taken.
 *
 * Holds one reference per run of neighbours with the same owner, as struct raft_entry_list does.
 * The entries lie in one piece, so that any part can be looked at as an array; taking from the
 * front moves a start, and the rest moves to the front of the array when that frees at least half
 * of it: constant time on average, and no allocation once the array fits the load.
 *
 * Invariants: indices ascend by one; data_bytes is the sum of data.n.
 */
#ifndef KETCH_ENGINE_RAFT_ENTRY_QUEUE_H
#define KETCH_ENGINE_RAFT_ENTRY_QUEUE_H

#include "engine/raft/raft_storage.h"

struct raft_entry_queue {
    struct raft_entry *array;
    size_t start;
    size_t n;
    size_t cap;
    uint64_t data_bytes;
};

/* Keeps the data of *e alive: by reference, or by a copy when it has no owner.  `before` is its
 * neighbour, whose reference counts for both when they share an owner; NULL: none. */
void raft__entry_hold(struct raft_entry *e, const struct raft_entry *before);

static inline struct raft_entry *raft__queue_at(const struct raft_entry_queue *q, size_t i)
{
    ASSERT(i < q->n);
    return &q->array[q->start + i];
}

void raft__queue_push(struct raft_entry_queue *q, const struct raft_entry *e);
/* Gives back most of an array that has become far too large. */
void raft__queue_shrink(struct raft_entry_queue *q);
void raft__queue_drop_front(struct raft_entry_queue *q, size_t count);
void raft__queue_drop_back(struct raft_entry_queue *q, size_t count);
void raft__queue_clear(struct raft_entry_queue *q);
void raft__queue_done(struct raft_entry_queue *q);

#endif
