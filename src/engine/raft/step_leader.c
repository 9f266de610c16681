#include "engine/raft/raft_int.h"

static void check_quorum(struct raft *r)
{
    ASSERT(r->state == RAFT_LEADER);
    if (!raft__tracker_quorum_active(&r->tracker, r->config.id)) {
        TRACE_WARN(r->trace, "%" PRIx64 " stepped down to follower since quorum is not active",
                   r->config.id);
        raft__become_follower(r, r->term, RAFT_NONE);
    }
    for (size_t i = 0; i < r->tracker.n; i++)
        if (r->tracker.progress[i].id != r->config.id)
            r->tracker.progress[i].recent_active = false;
}

static void append_rejected(struct raft *r, struct raft_progress *p, const struct raft_message *m)
{
    raft_index hint = m->reject_hint;

    ASSERT(m->reject);
    TRACE_DEBUG(r->trace,
                "%" PRIx64 " received MsgAppResp(rejected, hint: (index %" PRIu64 ", term %" PRIu64
                ")) from %" PRIx64 " for index %" PRIu64,
                r->config.id, m->reject_hint, m->log_term, m->from, m->index);
    /* The follower's entry at the hint has log_term, and terms never fall along a log: whatever
     * here is of a later term cannot match, so a whole term is skipped in one probe instead of one
     * entry. */
    if (m->log_term > 0)
        hint = raft__log_find_conflict_by_term(&r->log, m->reject_hint, m->log_term).index;
    if (!raft__progress_maybe_decrease(p, m->index, hint))
        return;
    TRACE_DEBUG(r->trace, "%" PRIx64 " decreased progress of %" PRIx64 " to [%s]", r->config.id,
                m->from, PROGRESS_TEXT(p));
    if (p->state == RAFT_REPLICATE)
        raft__progress_become_probe(p);
    (void) raft__maybe_send_append(r, m->from, true);
}

static void progress_accepted(struct raft *r, struct raft_progress *p, raft_index i)
{
    ASSERT(p->match >= i);
    switch (p->state) {
    case RAFT_PROBE:
        raft__progress_become_replicate(p);
        break;
    case RAFT_SNAPSHOT:
        /* Whatever brought the follower this far, this snapshot or another: its log connects. */
        if (p->match + 1 < raft__log_first_index(&r->log))
            break;
        TRACE_DEBUG(r->trace,
                    "%" PRIx64 " recovered from needing snapshot, resumed sending replication "
                    "messages to %" PRIx64 " [%s]",
                    r->config.id, p->id, PROGRESS_TEXT(p));
        raft__progress_become_probe(p);
        raft__progress_become_replicate(p);
        break;
    case RAFT_REPLICATE:
        raft__inflights_free_to(&p->inflights, i);
        break;
    }
}

static void append_accepted(struct raft *r, struct raft_progress *p, const struct raft_message *m)
{
    bool self = m->from == r->config.id;

    ASSERT(!m->reject);
    if (m->index > raft__log_last_index(&r->log))
        return; /* no follower of ours has what we never sent */
    if (!raft__progress_maybe_update(p, m->index) &&
        !(p->match == m->index && p->state == RAFT_PROBE))
        return;
    progress_accepted(r, p, m->index);
    if (raft__maybe_commit(r)) {
        raft__release_postponed_reads(r);
        raft__bcast_append(r);
    } else if (!self && raft__progress_can_bump_commit(p, r->log.committed)) {
        (void) raft__maybe_send_append(r, m->from, true);
    }
    /* The window has room again. */
    while (!self && raft__maybe_send_append(r, m->from, false))
        continue;
    if (m->from == r->lead_transferee && p->match == raft__log_last_index(&r->log)) {
        TRACE_INFO(r->trace,
                   "%" PRIx64 " sent MsgTimeoutNow to %" PRIx64 " after received MsgAppResp",
                   r->config.id, m->from);
        raft__send_timeout_now(r, m->from);
    }
}

static void heartbeat_answered(struct raft *r, struct raft_progress *p,
                               const struct raft_message *m)
{
    ASSERT(p->id == m->from);
    p->recent_active = true;
    p->flow_paused = false;
    if (p->match < raft__log_last_index(&r->log) || p->state == RAFT_PROBE)
        (void) raft__maybe_send_append(r, m->from, true);
    raft__leader_read_ack(r, p, m->context);
}

static void snapshot_status(struct raft *r, struct raft_progress *p, const struct raft_message *m)
{
    ASSERT(p->id == m->from);
    if (p->state != RAFT_SNAPSHOT)
        return;
    if (m->reject)
        p->pending_snapshot = 0; /* it never arrived: the search begins behind match */
    raft__progress_become_probe(p);
    TRACE_DEBUG(r->trace,
                "%" PRIx64 " snapshot %s, resumed sending replication messages to %" PRIx64 " [%s]",
                r->config.id, m->reject ? "failed" : "succeeded", p->id, PROGRESS_TEXT(p));
    /* An answer comes when the follower has stored the snapshot; a failure is retried at the next
     * heartbeat. */
    p->flow_paused = true;
}

static void unreachable(struct raft *r, struct raft_progress *p)
{
    ASSERT(p->id != RAFT_NONE);
    /* What was sent optimistically is probably lost. */
    if (p->state == RAFT_REPLICATE)
        raft__progress_become_probe(p);
    TRACE_DEBUG(r->trace,
                "%" PRIx64 " failed to send message to %" PRIx64 " because it is unreachable [%s]",
                r->config.id, p->id, PROGRESS_TEXT(p));
}

/* About one peer. */
static void step_about_peer(struct raft *r, struct raft_progress *p, const struct raft_message *m)
{
    ASSERT(p->id == m->from);
    switch (m->type) {
    case RAFT_MSG_APP_RESP:
        p->recent_active = true;
        if (m->reject)
            append_rejected(r, p, m);
        else
            append_accepted(r, p, m);
        break;
    case RAFT_MSG_HEARTBEAT_RESP:
        heartbeat_answered(r, p, m);
        break;
    case RAFT_MSG_SNAP_STATUS:
        snapshot_status(r, p, m);
        break;
    case RAFT_MSG_UNREACHABLE:
        unreachable(r, p);
        break;
    case RAFT_MSG_TRANSFER_LEADER:
        raft__leader_transfer(r, p);
        break;
    default:
        break; /* a leader has no use for the rest */
    }
}

int raft__step_leader(struct raft *r, const struct raft_message *m)
{
    struct raft_progress *p;

    ASSERT(r->lead == r->config.id);
    switch (m->type) {
    case RAFT_MSG_BEAT:
        raft__bcast_heartbeat(r);
        return 0;
    case RAFT_MSG_CHECK_QUORUM:
        check_quorum(r);
        return 0;
    case RAFT_MSG_PROP:
        return raft__leader_propose(r, m);
    case RAFT_MSG_READ_INDEX:
        raft__leader_read_index(r, m);
        return 0;
    case RAFT_MSG_FORGET_LEADER:
        return 0; /* it is the leader */
    default:
        break;
    }
    p = raft__tracker_get(&r->tracker, m->from);
    if (p == NULL) {
        TRACE_DEBUG(r->trace, "%" PRIx64 " no progress available for %" PRIx64, r->config.id,
                    m->from);
        return 0;
    }
    step_about_peer(r, p, m);
    return 0;
}
