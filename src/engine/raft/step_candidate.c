#include "engine/raft/raft_int.h"

static void vote_answered(struct raft *r, const struct raft_message *m)
{
    uint32_t granted, rejected;
    enum raft__vote_result result = raft__poll(r, m->from, m->type, !m->reject, &granted,
                                               &rejected);

    /* A granted pre-vote names the term that was asked for: the next one, or any later one when the
     * asking was done in an earlier life whose terms were not stored.  It promises nothing, so it
     * may count as etcd-io/raft counts it. */
    ASSERT(m->term == r->term || (m->type == RAFT_MSG_PRE_VOTE_RESP && m->term > r->term));
    TRACE_INFO(r->trace,
               "%" PRIx64 " has received %" PRIu32 " %s votes and %" PRIu32 " vote rejections",
               r->config.id, granted, raft_message_type_name(m->type), rejected);
    switch (result) {
    case RAFT_VOTE_WON:
        if (r->state == RAFT_PRE_CANDIDATE) {
            raft__campaign(r, RAFT_CAMPAIGN_ELECTION);
            break;
        }
        raft__become_leader(r);
        raft__bcast_append(r);
        break;
    case RAFT_VOTE_LOST:
        /* A rejected pre-vote carries a term higher than asked for only if it is someone's term;
         * then this member has taken that term already. */
        raft__become_follower(r, r->term, RAFT_NONE);
        break;
    case RAFT_VOTE_PENDING:
        break;
    }
}

/* Candidates and pre-candidates. */
int raft__step_candidate(struct raft *r, const struct raft_message *m)
{
    enum raft_message_type mine = r->state == RAFT_PRE_CANDIDATE ? RAFT_MSG_PRE_VOTE_RESP
                                                                 : RAFT_MSG_VOTE_RESP;

    ASSERT(r->lead == RAFT_NONE);
    switch (m->type) {
    case RAFT_MSG_PROP:
        TRACE_INFO(r->trace, "%" PRIx64 " no leader at term %" PRIu64 "; dropping proposal",
                   r->config.id, r->term);
        return ERR_RAFT_PROPOSAL_DROPPED;
    case RAFT_MSG_APP:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_SNAP:
        /* Of this very term, or it would not be here: someone else won. */
        ASSERT(m->term == r->term);
        raft__become_follower(r, m->term, m->from);
        return raft__step_follower(r, m);
    case RAFT_MSG_VOTE_RESP:
    case RAFT_MSG_PRE_VOTE_RESP:
        if (m->type == mine) /* else of the other phase, and late */
            vote_answered(r, m);
        return 0;
    case RAFT_MSG_TIMEOUT_NOW:
        TRACE_DEBUG(r->trace,
                    "%" PRIx64 " [term %" PRIu64 " state %s] ignored MsgTimeoutNow from %" PRIx64,
                    r->config.id, r->term, raft_state_name(r->state), m->from);
        return 0;
    default:
        return 0;
    }
}
