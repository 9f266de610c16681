/* replicate.c -- the leader's side of the log. */
#include "base/endian.h"
#include "engine/raft/raft_int.h"

uint64_t raft__data_bytes(const struct raft_entry *v, size_t n)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += v[i].data.n;
    return bytes;
}

/* ---- sending ---- */

static bool maybe_send_snapshot(struct raft *r, struct raft_progress *p)
{
    struct raft_snapshot s = {0};
    struct raft_storage *storage = r->config.storage;

    ASSERT(r->state == RAFT_LEADER);
    ASSERT(p->id != r->config.id);
    if (!p->recent_active) {
        TRACE_DEBUG(r->trace,
                    "ignore sending snapshot to %" PRIx64 " since it is not recently active",
                    p->id);
        return false;
    }
    ASSERT(r->log.unstable.snapshot == NULL); /* or it would not have campaigned */
    if (storage->ops->snapshot(storage, &s) != 0) {
        TRACE_DEBUG(r->trace,
                    "%" PRIx64 " failed to send snapshot to %" PRIx64
                    " because snapshot is temporarily unavailable",
                    r->config.id, p->id);
        return false;
    }
    /* None yet, or one that the follower is past (its entries could not be read just now). */
    if (s.meta.index == 0 || s.meta.index < p->match)
        return false;
    TRACE_DEBUG(r->trace,
                "%" PRIx64 " [firstindex: %" PRIu64 ", commit: %" PRIu64
                "] sent snapshot[index: %" PRIu64 ", term: %" PRIu64 "] to %" PRIx64 " [%s]",
                r->config.id, raft__log_first_index(&r->log), r->log.committed, s.meta.index,
                s.meta.term, p->id, PROGRESS_TEXT(p));
    raft__progress_become_snapshot(p, s.meta.index);
    TRACE_DEBUG(r->trace, "%" PRIx64 " paused sending replication messages to %" PRIx64 " [%s]",
                r->config.id, p->id, PROGRESS_TEXT(p));
    raft__send(r, (struct raft_message){.type = RAFT_MSG_SNAP, .to = p->id, .snapshot = &s});
    return true;
}

/* The entries of the next append go straight into the pool of messages. */
static int next_entries(struct raft *r, const struct raft_progress *p)
{
    raft_index end = raft__log_last_index(&r->log) + 1;

    ASSERT(p->state != RAFT_SNAPSHOT);
    /* A full window: an empty message, so that a lost answer is noticed. */
    if (p->state == RAFT_REPLICATE && raft__inflights_full(&p->inflights))
        return 0;
    if (p->next >= end)
        return 0;
    return raft__log_slice(&r->log, p->next, end, r->config.msg_bytes_max, &raft__out(r)->pool);
}

bool raft__maybe_send_append(struct raft *r, raft_id to, bool send_if_empty)
{
    struct raft_progress *p = raft__tracker_get(&r->tracker, to);
    struct raft_entry_list *pool = &raft__out(r)->pool;
    size_t at = pool->n, n;
    raft_term prev_term;
    int rc;

    ASSERT(to != r->config.id);
    ASSERT(p != NULL);
    if (raft__progress_paused(p))
        return false;
    rc = raft__log_term(&r->log, p->next - 1, &prev_term);
    if (rc == 0)
        rc = next_entries(r, p);
    n = pool->n - at;
    p->awaits_entries = rc == ERR_AGAIN;
    if (rc == ERR_AGAIN)
        return false; /* asked for again by any later event, at the latest a heartbeat's answer */
    if (rc != 0)
        return maybe_send_snapshot(r, p);
    if (n == 0 && !send_if_empty)
        return false;
    raft__send_pooled(r,
                      (struct raft_message){.type = RAFT_MSG_APP,
                                            .to = to,
                                            .index = p->next - 1,
                                            .log_term = prev_term,
                                            .entries_n = n,
                                            .commit = r->log.committed},
                      at);
    raft__progress_sent_entries(p, n, n == 0 ? 0 : raft__data_bytes(&pool->v[at], n));
    p->sent_commit = r->log.committed;
    return true;
}

void raft_entries_arrived(struct raft *r)
{
    ASSERT(r->magic == RAFT_MAGIC);
    r->log.read_back_pending = false;
    for (size_t i = 0; r->state == RAFT_LEADER && i < r->tracker.n; i++) {
        struct raft_progress *p = &r->tracker.progress[i];

        if (!p->awaits_entries)
            continue;
        while (p->inflights.n < RAFT_READ_BACK_INFLIGHT_MAX &&
               raft__maybe_send_append(r, p->id, false)) {
        }
    }
}

void raft__bcast_append(struct raft *r)
{
    ASSERT(r->state == RAFT_LEADER);
    for (size_t i = 0; i < r->tracker.n; i++)
        if (r->tracker.progress[i].id != r->config.id)
            (void) raft__maybe_send_append(r, r->tracker.progress[i].id, true);
}

static void send_heartbeat(struct raft *r, struct raft_progress *p, struct bytes context)
{
    ASSERT(p->match < p->next);
    /* No more than the follower is known to have: it commits without looking at its log. */
    raft_index commit = MIN(p->match, r->log.committed);

    if (PLANTED(HEARTBEAT_COMMIT))
        commit = r->log.committed;
    raft__send(r,
               (struct raft_message){
                   .type = RAFT_MSG_HEARTBEAT, .to = p->id, .commit = commit, .context = context});
    p->sent_commit = commit;
}

void raft__bcast_heartbeat(struct raft *r)
{
    uint8_t position[8];
    struct bytes context = BYTES_EMPTY;

    ASSERT(r->state == RAFT_LEADER);
    if (r->reads.n > 0) {
        le64_put(position, raft__reads_newest(&r->reads));
        context = bytes_of(position, sizeof position);
    }
    for (size_t i = 0; i < r->tracker.n; i++)
        if (r->tracker.progress[i].id != r->config.id)
            send_heartbeat(r, &r->tracker.progress[i], context);
}

/* ---- committing ---- */

bool raft__committed_in_current_term(const struct raft *r)
{
    return raft__log_term_or_zero(&r->log, r->log.committed) == r->term;
}

bool raft__maybe_commit(struct raft *r)
{
    raft_index i = raft__tracker_committed(&r->tracker);

    ASSERT(r->state == RAFT_LEADER);
    if (i <= r->log.committed || i == RAFT_INDEX_INFINITE)
        return false;
    /* An entry of an earlier term may still be overwritten although a majority has it
     * (Raft paper 5.4.2, figure 8). */
    if (raft__log_term_or_zero(&r->log, i) != r->term && !PLANTED(COMMIT_OLD_TERM))
        return false;
    raft__log_commit_to(&r->log, i);
    return true;
}

/* ---- taking entries in ---- */

static bool over_limits(const struct raft *r, uint64_t data_bytes, size_t n)
{
    const struct raft_entry_queue *q = &r->log.unstable.entries;

    ASSERT(n > 0);
    /* A single huge one is let through when nothing waits; else it could never be proposed.  One
     * without data, such as leaving a joint configuration, is not held up by those with. */
    if (r->uncommitted_bytes > 0 && data_bytes > 0 &&
        (data_bytes > r->config.uncommitted_bytes_max ||
         r->uncommitted_bytes > r->config.uncommitted_bytes_max - data_bytes))
        return true;
    return q->n + n > RAFT_UNSTABLE_ENTRIES_MAX ||
           q->data_bytes + data_bytes > RAFT_UNSTABLE_BYTES_MAX;
}

void raft__append_entries(struct raft *r, const struct raft_entry *v, size_t n)
{
    raft_index last = raft__log_last_index(&r->log);

    ASSERT(r->state == RAFT_LEADER);
    r->uncommitted_bytes += raft__data_bytes(v, n);
    for (size_t i = 0; i < n; i++) {
        struct raft_entry e = v[i];

        e.term = r->term;
        e.index = ++last;
        raft__log_append(&r->log, &e, 1);
    }
    if (PLANTED(LEADER_COUNTS_UNSTORED) && raft__self(r) != NULL)
        (void) raft__progress_maybe_update(raft__self(r), last);
    /* One's own acknowledgement, which counts only once the entries are stored. */
    raft__send(r,
               (struct raft_message){.type = RAFT_MSG_APP_RESP, .to = r->config.id, .index = last});
}

bool raft__append_proposal(struct raft *r, const struct raft_entry *v, size_t n)
{
    ASSERT(n > 0);
    if (over_limits(r, raft__data_bytes(v, n), n)) {
        TRACE_DEBUG(r->trace,
                    "%" PRIx64 " appending new entries to log would exceed uncommitted entry size "
                    "limit; dropping proposal",
                    r->config.id);
        return false;
    }
    raft__append_entries(r, v, n);
    return true;
}
