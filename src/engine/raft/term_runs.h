/* term_runs.h -- the term of every index of a log, as runs of equal term: one line per election.
 *
 * Invariants: `from` and `term` both ascend; the first run reaches back to the compaction point.
 */
#ifndef KETCH_ENGINE_RAFT_TERM_RUNS_H
#define KETCH_ENGINE_RAFT_TERM_RUNS_H

#include "wire/raftpb.h"

struct raft_term_run {
    raft_index from;
    raft_term term;
};

struct raft_term_runs {
    struct raft_term_run *v;
    size_t n;
    size_t cap;
};

void raft__term_runs_reset(struct raft_term_runs *t, raft_index from, raft_term term);
void raft__term_runs_done(struct raft_term_runs *t);
/* `i` is at or behind the start of the first run. */
raft_term raft__term_runs_get(const struct raft_term_runs *t, raft_index i);
/* Index `i` has `term`, and nothing is known of later ones any more. */
void raft__term_runs_append(struct raft_term_runs *t, raft_index i, raft_term term);
/* Nothing before `i` is asked for any more. */
void raft__term_runs_forget_before(struct raft_term_runs *t, raft_index i);

#endif
