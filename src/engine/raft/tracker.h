/* tracker.h -- the configuration in force, and the progress of everyone in it.
 *
 * Invariants, checked after every change (raft__tracker_check):
 *   1. every id of the configuration has a progress, and nobody else has;
 *   2. learners_next is part of outgoing, and of it nobody is in learners yet;
 *   3. learners is disjoint from both halves;
 *   4. without an outgoing half there is no learners_next and no auto_leave.
 */
#ifndef KETCH_ENGINE_RAFT_TRACKER_H
#define KETCH_ENGINE_RAFT_TRACKER_H

#include "engine/raft/progress.h"
#include "engine/raft/quorum.h"

struct raft_members {
    struct raft_id_set incoming; /* the voters; when joint, the new ones */
    struct raft_id_set outgoing; /* the old ones; empty unless joint */
    struct raft_id_set learners;
    struct raft_id_set
        learners_next; /* old voters that become learners when the joint state is left */
    bool auto_leave;
};

struct raft_tracker {
    struct raft_members members;
    struct raft_progress *progress; /* ascending by id */
    size_t n;
    size_t cap;
    uint32_t inflight_max;
    uint64_t inflight_bytes_max;
    /* The configuration as a ConfState, made by raft__tracker_conf_state. */
    struct raft_members conf_state_copy;
};

void raft__tracker_done(struct raft_tracker *t);
void raft__tracker_check(const struct raft_tracker *t);

/* NULL: no member. */
struct raft_progress *raft__tracker_get(const struct raft_tracker *t, raft_id id);
bool raft__tracker_is_voter(const struct raft_tracker *t, raft_id id); /* of either half */
bool raft__tracker_is_joint(const struct raft_tracker *t);
bool raft__tracker_is_single_voter(const struct raft_tracker *t);

raft_index raft__tracker_committed(const struct raft_tracker *t);
bool raft__tracker_quorum_active(const struct raft_tracker *t, raft_id self);
uint64_t raft__tracker_reads_confirmed(const struct raft_tracker *t);

void raft__tracker_reset_votes(struct raft_tracker *t);
void raft__tracker_record_vote(struct raft_tracker *t, raft_id id,
                               bool granted); /* the first counts */
enum raft__vote_result raft__tracker_tally(const struct raft_tracker *t, uint32_t *ret_granted,
                                           uint32_t *ret_rejected);

/* Borrowed until the next call. */
struct raft_conf_state raft__tracker_conf_state(struct raft_tracker *t);

#endif
