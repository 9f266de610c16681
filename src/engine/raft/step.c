/* step.c -- what holds for every message: who may send it, and what its term says. */
#include "engine/raft/raft_int.h"

/* Types that only this member and its two storage threads may raise. */
static bool is_local(enum raft_message_type t)
{
    switch (t) {
    case RAFT_MSG_HUP:
    case RAFT_MSG_BEAT:
    case RAFT_MSG_UNREACHABLE:
    case RAFT_MSG_SNAP_STATUS:
    case RAFT_MSG_CHECK_QUORUM:
    case RAFT_MSG_STORAGE_APPEND:
    case RAFT_MSG_STORAGE_APPEND_RESP:
    case RAFT_MSG_STORAGE_APPLY:
    case RAFT_MSG_STORAGE_APPLY_RESP:
        return true;
    default:
        return false;
    }
}

static bool is_response(enum raft_message_type t)
{
    switch (t) {
    case RAFT_MSG_APP_RESP:
    case RAFT_MSG_VOTE_RESP:
    case RAFT_MSG_HEARTBEAT_RESP:
    case RAFT_MSG_UNREACHABLE:
    case RAFT_MSG_READ_INDEX_RESP:
    case RAFT_MSG_PRE_VOTE_RESP:
        return true;
    default:
        return false;
    }
}

/* Types that mean something only within a term; others are requests, which travel with term 0. */
static bool needs_term(enum raft_message_type t)
{
    switch (t) {
    case RAFT_MSG_APP:
    case RAFT_MSG_APP_RESP:
    case RAFT_MSG_VOTE:
    case RAFT_MSG_VOTE_RESP:
    case RAFT_MSG_SNAP:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_HEARTBEAT_RESP:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_PRE_VOTE_RESP:
        return true;
    default:
        return false;
    }
}

static bool is_local_thread(raft_id id)
{
    return id == RAFT_LOCAL_APPEND_THREAD || id == RAFT_LOCAL_APPLY_THREAD;
}

/* ---- terms ---- */

static bool asks_for_vote(const struct raft_message *m)
{
    return m->type == RAFT_MSG_VOTE || m->type == RAFT_MSG_PRE_VOTE;
}

/* A member that hears its leader does not help to depose it (Raft thesis 6, leader stickiness). */
static bool in_lease(const struct raft *r, const struct raft_message *m)
{
    ASSERT(asks_for_vote(m));
    if (bytes_eq(m->context, BYTES_LIT(RAFT_CAMPAIGN_TRANSFER_CONTEXT)))
        return false;
    return r->config.check_quorum && r->lead != RAFT_NONE &&
           r->election_elapsed < r->config.election_tick;
}

static void trace_in_lease(const struct raft *r, const struct raft_message *m)
{
    struct raft_entry_id last = raft__log_last(&r->log);

    ASSERT(r->election_elapsed < r->config.election_tick);
    TRACE_INFO(r->trace,
               "%" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64 ", vote: %" PRIx64
               "] ignored %s from %" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64
               "] at term %" PRIu64 ": lease is not expired (remaining ticks: %" PRIu32 ")",
               r->config.id, last.term, last.index, r->vote, raft_message_type_name(m->type),
               m->from, m->log_term, m->index, r->term,
               r->config.election_tick - r->election_elapsed);
}

/* False: the message is done with. */
static bool take_higher_term(struct raft *r, const struct raft_message *m)
{
    bool from_leader = m->type == RAFT_MSG_APP || m->type == RAFT_MSG_HEARTBEAT ||
                       m->type == RAFT_MSG_SNAP;

    ASSERT(m->term > r->term);
    if (asks_for_vote(m) && in_lease(r, m)) {
        trace_in_lease(r, m);
        return false;
    }
    /* Pre-votes are about a term that nobody has yet. */
    if (m->type == RAFT_MSG_PRE_VOTE || (m->type == RAFT_MSG_PRE_VOTE_RESP && !m->reject))
        return true;
    TRACE_INFO(r->trace,
               "%" PRIx64 " [term: %" PRIu64
               "] received a %s message with higher term from %" PRIx64 " [term: %" PRIu64 "]",
               r->config.id, r->term, raft_message_type_name(m->type), m->from, m->term);
    raft__become_follower(r, m->term, from_leader ? m->from : RAFT_NONE);
    return true;
}

/* Entries stored under an earlier term may have been replaced here since, and their replacements
 * may have the same index and be on their way to storage: only an acknowledgement of the present
 * term removes entries. */
static void late_store_ack(struct raft *r, const struct raft_message *m)
{
    ASSERT(m->term < r->term);
    if (m->index != 0)
        TRACE_INFO(r->trace,
                   "%" PRIx64 " [term: %" PRIu64
                   "] ignored entry appends from a %s message with lower term [term: %" PRIu64 "]",
                   r->config.id, r->term, raft_message_type_name(m->type), m->term);
    if (m->snapshot != NULL)
        raft__applied_snapshot(r, m->snapshot->meta.index);
}

static void drop_lower_term(struct raft *r, const struct raft_message *m)
{
    struct raft_entry_id last;

    ASSERT(m->term < r->term);
    if ((r->config.check_quorum || r->config.pre_vote) &&
        (m->type == RAFT_MSG_HEARTBEAT || m->type == RAFT_MSG_APP)) {
        /* A deposed leader that a partition kept away. With these options nobody disturbs it by a
         * higher term, so tell it. */
        raft__send(r, (struct raft_message){.type = RAFT_MSG_APP_RESP, .to = m->from});
    } else if (m->type == RAFT_MSG_PRE_VOTE) {
        last = raft__log_last(&r->log);
        TRACE_INFO(r->trace,
                   "%" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64 ", vote: %" PRIx64
                   "] rejected %s from %" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64
                   "] at term %" PRIu64,
                   r->config.id, last.term, last.index, r->vote, raft_message_type_name(m->type),
                   m->from, m->log_term, m->index, r->term);
        raft__send(
            r, (struct raft_message){
                   .type = RAFT_MSG_PRE_VOTE_RESP, .to = m->from, .term = r->term, .reject = true});
    } else if (m->type == RAFT_MSG_STORAGE_APPEND_RESP) {
        late_store_ack(r, m);
    } else {
        TRACE_INFO(r->trace,
                   "%" PRIx64 " [term: %" PRIu64
                   "] ignored a %s message with lower term from %" PRIx64 " [term: %" PRIu64 "]",
                   r->config.id, r->term, raft_message_type_name(m->type), m->from, m->term);
    }
}

/* ---- dispatch ---- */

static void store_ack(struct raft *r, const struct raft_message *m)
{
    ASSERT(m->index == 0 || m->log_term > 0);
    if (m->index != 0)
        raft__unstable_stable_to(&r->log.unstable, m->index, m->log_term);
    if (m->snapshot != NULL)
        raft__applied_snapshot(r, m->snapshot->meta.index);
}

static void apply_ack(struct raft *r, const struct raft_message *m)
{
    struct raft_apply_mark mark = {.data_bytes = raft__data_bytes(m->entries, m->entries_n)};

    if (m->entries_n == 0)
        return;
    for (size_t i = 0; i < m->entries_n; i++)
        mark.bytes += raft_entry_size(&m->entries[i]);
    mark.index = m->entries[m->entries_n - 1].index;
    raft_applied(r, &mark);
}

static int step_state(struct raft *r, const struct raft_message *m)
{
    switch (r->state) {
    case RAFT_LEADER:
        return raft__step_leader(r, m);
    case RAFT_CANDIDATE:
    case RAFT_PRE_CANDIDATE:
        return raft__step_candidate(r, m);
    case RAFT_FOLLOWER:
        return raft__step_follower(r, m);
    }
    UNREACHABLE();
}

int raft__step(struct raft *r, const struct raft_message *m)
{
    int rc = 0;

    if (m->term > r->term && !take_higher_term(r, m))
        return 0;
    /* Term 0: not subject to terms. */
    if (m->term != 0 && m->term < r->term && !(PLANTED(STORED_LATE) && is_local(m->type))) {
        drop_lower_term(r, m);
        return 0;
    }
    switch (m->type) {
    case RAFT_MSG_HUP:
        raft__hup(r, r->config.pre_vote ? RAFT_CAMPAIGN_PRE_ELECTION : RAFT_CAMPAIGN_ELECTION);
        break;
    case RAFT_MSG_STORAGE_APPEND_RESP:
        store_ack(r, m);
        break;
    case RAFT_MSG_STORAGE_APPLY_RESP:
        apply_ack(r, m);
        break;
    case RAFT_MSG_VOTE:
    case RAFT_MSG_PRE_VOTE:
        raft__handle_vote_request(r, m);
        break;
    default:
        rc = step_state(r, m);
        break;
    }
#ifdef KETCH_DEBUG
    raft__check(r);
#endif
    return rc;
}

/* What no leader would send: of nobody, without the term that it is about, with numbers that nobody
 * has counted up to, or a snapshot of a later term.  (That one may come of a member that has lost
 * its leadership while it made the copy.  Taken, the log would end in a term that this member has
 * yet to reach, and its own entries would fall behind it.) */
static bool is_forged(const struct raft_message *m)
{
    if (needs_term(m->type) && (m->term == 0 || m->from == RAFT_NONE))
        return true;
    if (m->type == RAFT_MSG_SNAP && m->snapshot != NULL &&
        (m->snapshot->meta.index > RAFT_INDEX_MAX || m->snapshot->meta.term > m->term))
        return true;
    return m->term > RAFT_TERM_MAX || m->index > RAFT_INDEX_MAX;
}

int raft_step(struct raft *r, const struct raft_message *m)
{
    ASSERT(r->magic == RAFT_MAGIC);
    ASSERT(m->type < RAFT_MSG_END);
    if (is_local(m->type) && !is_local_thread(m->from))
        return ERR_RAFT_STEP_LOCAL;
    if (is_response(m->type) && raft__tracker_get(&r->tracker, m->from) == NULL)
        return ERR_RAFT_PEER_NOT_FOUND;
    /* What could not be echoed or queued is lost, as it might have been on the way. */
    if (m->context.n > RAFT_CONTEXT_BYTES_MAX || is_forged(m))
        return 0;
    return raft__step(r, m);
}
