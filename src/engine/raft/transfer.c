/* transfer.c -- handing leadership to a chosen follower (Raft thesis 3.10). */
#include "engine/raft/raft_int.h"

void raft__send_timeout_now(struct raft *r, raft_id to)
{
    ASSERT(r->state == RAFT_LEADER);
    ASSERT(to != r->config.id);
    raft__send(r, (struct raft_message){.type = RAFT_MSG_TIMEOUT_NOW, .to = to});
}

void raft__abort_transfer(struct raft *r)
{
    ASSERT(r->lead_transferee != RAFT_NONE);
    r->lead_transferee = RAFT_NONE;
}

/* While it lasts the leader takes no proposals, so that the target can catch up; tick_leader ends
 * it. */
void raft__leader_transfer(struct raft *r, struct raft_progress *p)
{
    ASSERT(r->state == RAFT_LEADER);
    if (p->learner) {
        TRACE_DEBUG(r->trace, "%" PRIx64 " is learner. Ignored transferring leadership",
                    r->config.id);
        return;
    }
    if (r->lead_transferee == p->id) {
        TRACE_INFO(r->trace,
                   "%" PRIx64 " [term %" PRIu64 "] transfer leadership to %" PRIx64
                   " is in progress, ignores request to same node %" PRIx64,
                   r->config.id, r->term, p->id, p->id);
        return;
    }
    if (r->lead_transferee != RAFT_NONE) {
        raft_id last = r->lead_transferee;

        raft__abort_transfer(r);
        TRACE_INFO(r->trace,
                   "%" PRIx64 " [term %" PRIu64
                   "] abort previous transferring leadership to %" PRIx64,
                   r->config.id, r->term, last);
    }
    if (p->id == r->config.id) {
        TRACE_DEBUG(r->trace,
                    "%" PRIx64 " is already leader. Ignored transferring leadership to self",
                    r->config.id);
        return;
    }
    TRACE_INFO(r->trace, "%" PRIx64 " [term %" PRIu64 "] starts to transfer leadership to %" PRIx64,
               r->config.id, r->term, p->id);
    r->election_elapsed = 0;
    r->lead_transferee = p->id;
    if (p->match == raft__log_last_index(&r->log)) {
        raft__send_timeout_now(r, p->id);
        TRACE_INFO(r->trace,
                   "%" PRIx64 " sends MsgTimeoutNow to %" PRIx64 " immediately as %" PRIx64
                   " already has up-to-date log",
                   r->config.id, p->id, p->id);
    } else {
        (void) raft__maybe_send_append(r, p->id, true);
    }
}
