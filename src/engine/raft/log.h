/* log.h -- the whole log: storage first, the unstable end behind it.
 *
 *      compacted | storage ............ | unstable ..............|
 *             first                     offset                last
 *                     applied <= applying <= committed <= last
 *
 * applying: handed out to be applied; applied: acknowledged.  What lies between is bounded by
 * applying_bytes_max: hand-out pauses at it, or when a hand-out had to be cut short.
 */
#ifndef KETCH_ENGINE_RAFT_LOG_H
#define KETCH_ENGINE_RAFT_LOG_H

#include "engine/raft/unstable.h"

struct raft_log {
    struct raft_storage *storage;
    struct raft_unstable unstable;
    raft_index committed;
    raft_index applying;
    raft_index applied;
    uint64_t applying_bytes_max;
    uint64_t applying_bytes;
    bool applying_paused;
    /* Committed entries are being read back; asked for again after the next tick. */
    bool read_back_pending;
    const struct raft_trace *trace;
};

struct raft_entry_id {
    raft_term term;
    raft_index index;
};

void raft__log_init(struct raft_log *l, struct raft_storage *s, uint64_t applying_bytes_max,
                    const struct raft_trace *t);
void raft__log_done(struct raft_log *l);
void raft__log_check(const struct raft_log *l);

raft_index raft__log_first_index(const struct raft_log *l);
raft_index raft__log_last_index(const struct raft_log *l);
struct raft_entry_id raft__log_last(const struct raft_log *l);

/* 0, ERR_RAFT_COMPACTED or ERR_RAFT_UNAVAILABLE. */
NODISCARD int raft__log_term(const struct raft_log *l, raft_index i, raft_term *ret);
raft_term raft__log_term_or_zero(const struct raft_log *l, raft_index i);
bool raft__log_matches(const struct raft_log *l, struct raft_entry_id id);
bool raft__log_up_to_date(const struct raft_log *l, struct raft_entry_id candidate);

/* Appends entries [lo, hi), within bytes_max but at least one, to `ret`.  Errors as those of
 * raft_storage_ops.entries. */
NODISCARD int raft__log_slice(const struct raft_log *l, raft_index lo, raft_index hi,
                              uint64_t bytes_max, struct raft_entry_list *ret);

void raft__log_append(struct raft_log *l, const struct raft_entry *v, size_t n);

/* A leader's append: false when `prev` does not match.  *ret_last: the last index that now agrees
 * with the leader's. */
bool raft__log_maybe_append(struct raft_log *l, struct raft_entry_id prev,
                            const struct raft_entry *v, size_t n, raft_index leader_commit,
                            raft_index *ret_last);

/* The greatest index <= `i` whose term is <= `term`, or is unknown (then with term 0). */
struct raft_entry_id raft__log_find_conflict_by_term(const struct raft_log *l, raft_index i,
                                                     raft_term term);

void raft__log_commit_to(struct raft_log *l, raft_index i);
void raft__log_restore(struct raft_log *l, const struct raft_snapshot *s);

/* ---- handing out what is committed ---- */

bool raft__log_has_next_committed(const struct raft_log *l, bool allow_unstable);
/* Appends what may be applied now to `ret`, possibly nothing. */
void raft__log_next_committed(struct raft_log *l, bool allow_unstable, struct raft_entry_list *ret);
void raft__log_accept_applying(struct raft_log *l, raft_index i, uint64_t bytes,
                               bool allow_unstable);
void raft__log_applied_to(struct raft_log *l, raft_index i, uint64_t bytes);

#endif
