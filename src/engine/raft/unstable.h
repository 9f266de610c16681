/* unstable.h -- the end of the log that storage has not acknowledged.
 *
 *     storage ... | entries [offset, ...)                              |
 *                 | handed out        | not yet handed out             |
 *                 offset              offset_in_progress               last + 1
 *
 * While the storage writes, the same indices may already hold newer entries here, and what is here
 * hides what is there.  So an acknowledgement removes entries only if it names the term that is
 * here.
 *
 * A snapshot that a leader sent waits here, too, below offset; then there is nothing else below.
 *
 * Invariants: entries[i].index == offset + i; offset <= offset_in_progress <= offset + n; with a
 * snapshot, snapshot.index < offset.
 */
#ifndef KETCH_ENGINE_RAFT_UNSTABLE_H
#define KETCH_ENGINE_RAFT_UNSTABLE_H

#include "engine/raft/entry_queue.h"
#include "engine/raft/trace.h"

struct raft_unstable {
    struct raft_snapshot *snapshot; /* owned; NULL: none */
    struct raft_entry_queue entries;
    raft_index offset;
    raft_index offset_in_progress;
    bool snapshot_in_progress;
    const struct raft_trace *trace;
};

void raft__unstable_check(const struct raft_unstable *u);
void raft__unstable_done(struct raft_unstable *u);

bool raft__unstable_last_index(const struct raft_unstable *u, raft_index *ret);
bool raft__unstable_term(const struct raft_unstable *u, raft_index i, raft_term *ret);

/* Not yet handed out; *ret_n may be 0. */
const struct raft_entry *raft__unstable_next(const struct raft_unstable *u, size_t *ret_n);
const struct raft_snapshot *raft__unstable_next_snapshot(const struct raft_unstable *u);
void raft__unstable_accept_in_progress(struct raft_unstable *u);

void raft__unstable_stable_to(struct raft_unstable *u, raft_index i, raft_term term);
void raft__unstable_stable_snapshot_to(struct raft_unstable *u, raft_index i);

void raft__unstable_restore(struct raft_unstable *u, const struct raft_snapshot *s); /* copies */
/* n > 0; what is here from the first index on is replaced. */
void raft__unstable_truncate_and_append(struct raft_unstable *u, const struct raft_entry *v,
                                        size_t n);

#endif
