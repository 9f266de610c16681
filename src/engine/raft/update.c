/* update.c -- work out, and its acknowledgements in. */
#include "engine/raft/raft_int.h"

static bool soft_equal(struct raft_soft_state a, struct raft_soft_state b)
{
    return a.lead == b.lead && a.state == b.state;
}

static bool hard_equal(struct raft_hard_state a, struct raft_hard_state b)
{
    return a.term == b.term && a.vote == b.vote && a.commit == b.commit;
}

static bool allow_unstable(const struct raft *r)
{
    return !r->config.async_storage_writes;
}

bool raft_has_update(const struct raft *r)
{
    size_t n;

    ASSERT(r->magic == RAFT_MAGIC);
    if (!raft__outbox_empty(&r->out[r->gathering]))
        return true;
    if (!soft_equal(raft__soft_state(r), r->prev_soft) ||
        !hard_equal(raft__hard_state(r), r->prev_hard))
        return true;
    /* A snapshot has moved the commit index, and so the hard state.  Entries: */
    (void) raft__unstable_next(&r->log.unstable, &n);
    return n > 0 || raft__log_has_next_committed(&r->log, allow_unstable(r));
}

static void take_states(struct raft *r, struct raft_update *u)
{
    u->soft = raft__soft_state(r);
    u->soft_changed = !soft_equal(u->soft, r->prev_soft);
    u->hard = raft__hard_state(r);
    u->hard_changed = !hard_equal(u->hard, r->prev_hard);
    u->must_sync = u->hard.term != r->prev_hard.term || u->hard.vote != r->prev_hard.vote;
    r->prev_soft = u->soft;
    r->prev_hard = u->hard;
}

static void take_unstable(struct raft *r, struct raft_outbox *o, struct raft_update *u)
{
    struct raft_unstable *un = &r->log.unstable;
    const struct raft_snapshot *s = raft__unstable_next_snapshot(un);
    size_t n;
    const struct raft_entry *v = raft__unstable_next(un, &n);

    ASSERT(o->entries.n == 0);
    for (size_t i = 0; i < n; i++)
        raft_entry_list_add(&o->entries, &v[i]);
    u->entries = o->entries.v;
    u->entries_n = n;
    u->must_sync = u->must_sync || n > 0;
    u->stored.term = r->term;
    if (un->entries.n > 0) {
        const struct raft_entry *last = raft__queue_at(&un->entries, un->entries.n - 1);

        /* Also when these were handed out before: the acknowledgement of then may come too late
         * to count, because the term has changed (late_store_ack); this one will count. */
        u->stored.index = last->index;
        u->stored.log_term = last->term;
    }
    if (s != NULL) {
        u->snapshot = raft__outbox_keep_snapshot(o, s);
        u->stored.snapshot_index = s->meta.index;
    }
}

static void take_committed(struct raft *r, struct raft_outbox *o, struct raft_update *u)
{
    ASSERT(o->committed.n == 0);
    raft__log_next_committed(&r->log, allow_unstable(r), &o->committed);
    u->committed = o->committed.v;
    u->committed_n = o->committed.n;
    if (o->committed.n == 0)
        return;
    for (size_t i = 0; i < o->committed.n; i++)
        u->applied.bytes += raft_entry_size(&o->committed.v[i]);
    u->applied.data_bytes = raft__data_bytes(o->committed.v, o->committed.n);
    u->applied.index = o->committed.v[o->committed.n - 1].index;
}

void raft_take_update(struct raft *r, struct raft_update *ret)
{
    struct raft_outbox *o = raft__out(r);
    struct raft_update u = {0};

    ASSERT(r->magic == RAFT_MAGIC);
    ASSERT(!r->advance_due); /* synchronous: raft_advance comes first */
    take_states(r, &u);
    take_unstable(r, o, &u);
    take_committed(r, o, &u);
    raft__outbox_close(o);
    u.read_states = o->reads;
    u.read_states_n = o->reads_n;
    u.messages = o->now.v;
    u.messages_n = o->now.n;
    u.after_store = o->after_store.v;
    u.after_store_n = o->after_store.n;

    raft__unstable_accept_in_progress(&r->log.unstable);
    if (u.committed_n > 0)
        raft__log_accept_applying(&r->log, u.applied.index, u.applied.bytes, allow_unstable(r));
    if (!r->config.async_storage_writes) {
        r->advance_due = true;
        r->advance_stored = u.stored;
        r->advance_applied = u.applied;
    }
    r->gathering ^= 1;
    raft__outbox_clear(raft__out(r));
    *ret = u;
}

/* ---- acknowledgements ---- */

void raft__applied_to(struct raft *r, raft_index i, uint64_t bytes)
{
    raft_index applied = MAX(i, r->log.applied);

    raft__log_applied_to(&r->log, applied, bytes);
    if (!r->tracker.members.auto_leave || applied < r->pending_conf_index ||
        r->state != RAFT_LEADER)
        return;
    /* The change that made the configuration joint is applied: leave it. */
    if (raft__propose_leave_joint(r) == 0)
        TRACE_INFO(r->trace, "initiating automatic transition out of joint configuration %s",
                   MEMBERS_TEXT(&r->tracker.members));
    else
        TRACE_DEBUG(r->trace,
                    "not initiating automatic transition out of joint configuration %s: %s",
                    MEMBERS_TEXT(&r->tracker.members), raft_err_text(ERR_RAFT_PROPOSAL_DROPPED));
}

void raft__applied_snapshot(struct raft *r, raft_index i)
{
    ASSERT(i > 0);
    raft__unstable_stable_snapshot_to(&r->log.unstable, i);
    raft__applied_to(r, i, 0);
}

void raft_stored(struct raft *r, const struct raft_store_mark *mark)
{
    struct raft_snapshot s = {.meta = {.index = mark->snapshot_index}};

    ASSERT(r->magic == RAFT_MAGIC);
    ASSERT(mark->term <= r->term);
    if (mark->index == 0 && mark->snapshot_index == 0)
        return;
    (void) raft__step(r, &(struct raft_message){.type = RAFT_MSG_STORAGE_APPEND_RESP,
                                                .from = RAFT_LOCAL_APPEND_THREAD,
                                                .to = r->config.id,
                                                .term = mark->term,
                                                .index = mark->index,
                                                .log_term = mark->log_term,
                                                .snapshot = mark->snapshot_index == 0 ? NULL : &s});
}

void raft_applied(struct raft *r, const struct raft_apply_mark *mark)
{
    ASSERT(r->magic == RAFT_MAGIC);
    if (mark->index == 0)
        return;
    raft__applied_to(r, mark->index, mark->bytes);
    /* Reported entries may be another leader's, uncounted here: hence not below 0. */
    r->uncommitted_bytes -= MIN(r->uncommitted_bytes, mark->data_bytes);
}

void raft_advance(struct raft *r)
{
    const struct raft_outbox *o = &r->out[r->gathering ^ 1];

    ASSERT(r->magic == RAFT_MAGIC);
    ASSERT(!r->config.async_storage_writes);
    ASSERT(r->advance_due);
    r->advance_due = false;
    for (size_t i = 0; i < o->after_store.n; i++)
        if (o->after_store.v[i].to == r->config.id)
            (void) raft__step(r, &o->after_store.v[i]);
    raft_stored(r, &r->advance_stored);
    raft_applied(r, &r->advance_applied);
}
