#include "engine/raft/raft_int.h"

static int forward_proposal(struct raft *r, const struct raft_message *m)
{
    struct raft_message copy = *m;

    ASSERT(r->state == RAFT_FOLLOWER);
    if (r->lead == RAFT_NONE) {
        TRACE_INFO(r->trace, "%" PRIx64 " no leader at term %" PRIu64 "; dropping proposal",
                   r->config.id, r->term);
        return ERR_RAFT_PROPOSAL_DROPPED;
    }
    if (r->config.disable_proposal_forwarding) {
        TRACE_INFO(r->trace,
                   "%" PRIx64 " not forwarding to leader %" PRIx64 " at term %" PRIu64
                   "; dropping proposal",
                   r->config.id, r->lead, r->term);
        return ERR_RAFT_PROPOSAL_DROPPED;
    }
    copy.to = r->lead;
    copy.term = 0;
    raft__send(r, copy);
    return 0;
}

/* To the leader, unchanged but for the address. */
static void forward(struct raft *r, const struct raft_message *m, const char *what)
{
    struct raft_message copy = *m;

    ASSERT(r->state == RAFT_FOLLOWER);
    if (r->lead == RAFT_NONE) {
        TRACE_INFO(r->trace, "%" PRIx64 " no leader at term %" PRIu64 "; dropping %s", r->config.id,
                   r->term, what);
        return;
    }
    copy.to = r->lead;
    copy.term = 0;
    raft__send(r, copy);
}

static void forget_leader(struct raft *r)
{
    ASSERT(r->state == RAFT_FOLLOWER);
    if (r->config.read_only == RAFT_READ_ONLY_LEASE_BASED) {
        /* The leader counts on being the only one for the length of its lease. */
        TRACE_ERROR(r->trace, "ignoring MsgForgetLeader due to ReadOnlyLeaseBased");
        return;
    }
    if (r->lead == RAFT_NONE)
        return;
    TRACE_INFO(r->trace, "%" PRIx64 " forgetting leader %" PRIx64 " at term %" PRIu64, r->config.id,
               r->lead, r->term);
    r->lead = RAFT_NONE;
}

static void read_answered(struct raft *r, const struct raft_message *m)
{
    if (m->entries_n != 1 || m->entries[0].data.n > RAFT_READ_CONTEXT_BYTES_MAX) {
        TRACE_ERROR(r->trace,
                    "%" PRIx64 " invalid format of MsgReadIndexResp from %" PRIx64
                    ", entries count: %zu",
                    r->config.id, m->from, m->entries_n);
        return;
    }
    raft__outbox_add_read(raft__out(r), m->index, m->entries[0].data);
}

int raft__step_follower(struct raft *r, const struct raft_message *m)
{
    ASSERT(r->state == RAFT_FOLLOWER);
    switch (m->type) {
    case RAFT_MSG_PROP:
        return forward_proposal(r, m);
    case RAFT_MSG_APP:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_SNAP:
        r->election_elapsed = 0;
        r->lead = m->from;
        if (m->type == RAFT_MSG_HEARTBEAT)
            return raft__handle_heartbeat(r, m);
        if (m->type == RAFT_MSG_APP)
            raft__handle_append(r, m);
        else
            raft__handle_snapshot(r, m);
        return 0;
    case RAFT_MSG_TRANSFER_LEADER:
        forward(r, m, "leader transfer msg");
        return 0;
    case RAFT_MSG_FORGET_LEADER:
        forget_leader(r);
        return 0;
    case RAFT_MSG_TIMEOUT_NOW:
        TRACE_INFO(r->trace,
                   "%" PRIx64 " [term %" PRIu64 "] received MsgTimeoutNow from %" PRIx64
                   " and starts an election to get leadership.",
                   r->config.id, r->term, m->from);
        /* Even with pre_vote: the leader itself asks for it. */
        raft__hup(r, RAFT_CAMPAIGN_TRANSFER);
        return 0;
    case RAFT_MSG_READ_INDEX:
        forward(r, m, "index reading msg");
        return 0;
    case RAFT_MSG_READ_INDEX_RESP:
        read_answered(r, m);
        return 0;
    default:
        return 0;
    }
}
