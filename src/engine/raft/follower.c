/* follower.c -- what a leader tells a follower about the log. */
#include "engine/raft/raft_int.h"

static void answer_append(struct raft *r, raft_id to, raft_index i)
{
    ASSERT(to != RAFT_NONE);
    raft__send(r, (struct raft_message){.type = RAFT_MSG_APP_RESP, .to = to, .index = i});
}

static void reject_append(struct raft *r, const struct raft_message *m)
{
    struct raft_entry_id hint = {.index = MIN(m->index, raft__log_last_index(&r->log))};

    TRACE_DEBUG(r->trace,
                "%" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64
                "] rejected MsgApp [logterm: %" PRIu64 ", index: %" PRIu64 "] from %" PRIx64,
                r->config.id, raft__log_term_or_zero(&r->log, m->index), m->index, m->log_term,
                m->index, m->from);
    /* Whatever here has a later term than the leader's entry cannot be in the leader's log: the
     * leader need not probe there. */
    hint = raft__log_find_conflict_by_term(&r->log, hint.index, m->log_term);
    raft__send(r, (struct raft_message){.type = RAFT_MSG_APP_RESP,
                                        .to = m->from,
                                        .index = m->index,
                                        .reject = true,
                                        .reject_hint = hint.index,
                                        .log_term = hint.term});
}

/* Indices must follow on one another from m->index, and terms never fall along a log, or the
 * message is damaged. */
static bool entries_in_order(const struct raft_message *m)
{
    raft_term term = MAX(m->log_term, 1);

    for (size_t i = 0; i < m->entries_n; i++) {
        if (m->entries[i].index != m->index + 1 + i || m->entries[i].term < term)
            return false;
        term = m->entries[i].term;
    }
    return term <= m->term;
}

void raft__handle_append(struct raft *r, const struct raft_message *m)
{
    const struct raft_entry_queue *q = &r->log.unstable.entries;
    struct raft_entry_id prev = {m->log_term, m->index};
    raft_index last;

    ASSERT(r->state == RAFT_FOLLOWER);
    ASSERT(r->lead == m->from);
    if (!entries_in_order(m))
        return;
    if (q->n + m->entries_n > RAFT_UNSTABLE_ENTRIES_MAX || q->data_bytes > RAFT_UNSTABLE_BYTES_MAX)
        return; /* as if lost: storage must catch up first */
    if (m->index < r->log.committed) {
        answer_append(r, m->from, r->log.committed);
        return;
    }
    if (raft__log_maybe_append(&r->log, prev, m->entries, m->entries_n, m->commit, &last))
        answer_append(r, m->from, last);
    else
        reject_append(r, m);
}

/* A heartbeat tells to commit only what its leader has had acknowledged by this very member. */
int raft__handle_heartbeat(struct raft *r, const struct raft_message *m)
{
    ASSERT(r->state == RAFT_FOLLOWER);
    ASSERT(r->lead == m->from);
    if (m->commit > raft__log_last_index(&r->log) && !PLANTED(HEARTBEAT_COMMIT))
        return ERR_RAFT_LOG_LOST;
    if (PLANTED(HEARTBEAT_COMMIT))
        raft__log_commit_to(&r->log, MIN(m->commit, raft__log_last_index(&r->log)));
    else
        raft__log_commit_to(&r->log, m->commit);
    raft__send(r, (struct raft_message){
                      .type = RAFT_MSG_HEARTBEAT_RESP, .to = m->from, .context = m->context});
    return 0;
}

const char *raft_log_lost_text(const struct raft *r, const struct raft_message *m,
                               char buf[RAFT_LOG_LOST_BYTES])
{
    ASSERT(r->magic == RAFT_MAGIC);
    (void) snprintf(buf, RAFT_LOG_LOST_BYTES,
                    "tocommit(%" PRIu64 ") is out of range [lastIndex(%" PRIu64
                    ")]. Was the raft log corrupted, truncated, or lost?",
                    m->commit, raft__log_last_index(&r->log));
    return buf;
}

/* ---- snapshots ---- */

static bool listed(const struct raft_ids *ids, raft_id id)
{
    for (size_t i = 0; i < ids->n; i++)
        if (ids->v[i] == id)
            return true;
    return false;
}

static bool names(const struct raft_conf_state *c, raft_id id)
{
    return listed(&c->voters, id) || listed(&c->learners, id) || listed(&c->voters_outgoing, id);
}

/* The snapshot's configuration, in a tracker of its own: false when it contradicts itself. */
static bool restore_members(const struct raft *r, const struct raft_snapshot *s,
                            struct raft_tracker *ret)
{
    struct raft_conf_state restored;

    ASSERT(s->meta.index > r->log.committed);
    *ret = (struct raft_tracker){.inflight_max = r->config.inflight_max,
                                 .inflight_bytes_max = r->config.inflight_bytes_max};
    if (raft__conf_restore(ret, s->meta.index, &s->meta.conf_state, NULL) == 0) {
        restored = raft__tracker_conf_state(ret);
        if (raft__conf_state_equal(&s->meta.conf_state, &restored))
            return true;
    }
    raft__tracker_done(ret);
    return false;
}

/* Why a snapshot is not needed or not wanted; it may still move the commit index. */
static bool ignores_snapshot(struct raft *r, const struct raft_snapshot *s)
{
    struct raft_entry_id last = raft__log_last(&r->log);

    ASSERT(r->state == RAFT_FOLLOWER);
    if (s->meta.index <= r->log.committed)
        return true;
    if (!names(&s->meta.conf_state, r->config.id)) {
        TRACE_WARN(r->trace,
                   "%" PRIx64
                   " attempted to restore snapshot but it is not in the ConfState; should "
                   "never happen",
                   r->config.id);
        return true;
    }
    if (!raft__log_matches(&r->log, (struct raft_entry_id){s->meta.term, s->meta.index}))
        return false;
    TRACE_INFO(r->trace,
               "%" PRIx64 " [commit: %" PRIu64 ", lastindex: %" PRIu64 ", lastterm: %" PRIu64
               "] fast-forwarded commit to snapshot [index: %" PRIu64 ", term: %" PRIu64 "]",
               r->config.id, r->log.committed, last.index, last.term, s->meta.index, s->meta.term);
    raft__log_commit_to(&r->log, s->meta.index);
    return true;
}

static bool restore(struct raft *r, const struct raft_snapshot *s)
{
    struct raft_tracker members;
    struct raft_entry_id last;

    ASSERT(r->state == RAFT_FOLLOWER);
    if (ignores_snapshot(r, s))
        return false;
    if (!restore_members(r, s, &members)) {
        TRACE_ERROR(r->trace, "%" PRIx64 " refused a snapshot whose ConfState contradicts itself",
                    r->config.id);
        return false;
    }
    raft__log_restore(&r->log, s);
    r->restored_index = s->meta.index;
    raft__tracker_done(&r->tracker);
    r->tracker = members;
    raft__switched_config(r);
    last = raft__log_last(&r->log);
    TRACE_INFO(r->trace,
               "%" PRIx64 " [commit: %" PRIu64 ", lastindex: %" PRIu64 ", lastterm: %" PRIu64
               "] restored snapshot [index: %" PRIu64 ", term: %" PRIu64 "]",
               r->config.id, r->log.committed, last.index, last.term, s->meta.index, s->meta.term);
    return true;
}

void raft__handle_snapshot(struct raft *r, const struct raft_message *m)
{
    static const struct raft_snapshot none;
    const struct raft_snapshot *s = m->snapshot == NULL ? &none : m->snapshot;
    bool restored = restore(r, s);

    ASSERT(r->lead == m->from);
    TRACE_INFO(r->trace,
               "%" PRIx64 " [commit: %" PRIu64 "] %s snapshot [index: %" PRIu64 ", term: %" PRIu64
               "]",
               r->config.id, r->log.committed, restored ? "restored" : "ignored", s->meta.index,
               s->meta.term);
    answer_append(r, m->from, restored ? raft__log_last_index(&r->log) : r->log.committed);
}
