#include "engine/raft/progress.h"

void raft__progress_check(const struct raft_progress *p)
{
    ASSERT(p->match < p->next);
    if (p->state != RAFT_REPLICATE)
        ASSERT(p->inflights.n == 0);
    if (p->state != RAFT_SNAPSHOT)
        ASSERT(p->pending_snapshot == 0);
}

#define TO(s) (1u << (s))

static const unsigned progress_fsm[] = {
    [RAFT_PROBE] = TO(RAFT_PROBE) | TO(RAFT_REPLICATE) | TO(RAFT_SNAPSHOT),
    [RAFT_REPLICATE] = TO(RAFT_PROBE) | TO(RAFT_REPLICATE) | TO(RAFT_SNAPSHOT),
    [RAFT_SNAPSHOT] = TO(RAFT_PROBE),
};

static void become(struct raft_progress *p, enum raft_progress_state state)
{
    ASSERT((progress_fsm[p->state] & TO(state)) != 0);
    p->state = state;
    p->flow_paused = false;
    p->pending_snapshot = 0;
    raft__inflights_reset(&p->inflights);
}

void raft__progress_become_probe(struct raft_progress *p)
{
    raft_index next = p->match + 1;

    /* The snapshot may have arrived although nobody says so: begin the search behind it. */
    if (p->state == RAFT_SNAPSHOT)
        next = MAX(next, p->pending_snapshot + 1);
    become(p, RAFT_PROBE);
    p->next = next;
    p->sent_commit = MIN(p->sent_commit, next - 1);
    raft__progress_check(p);
}

void raft__progress_become_replicate(struct raft_progress *p)
{
    become(p, RAFT_REPLICATE);
    p->next = p->match + 1;
    raft__progress_check(p);
}

void raft__progress_become_snapshot(struct raft_progress *p, raft_index snapshot)
{
    ASSERT(snapshot >= p->match);
    become(p, RAFT_SNAPSHOT);
    p->pending_snapshot = snapshot;
    p->next = snapshot + 1;
    p->sent_commit = snapshot;
    raft__progress_check(p);
}

bool raft__progress_paused(const struct raft_progress *p)
{
    return p->state == RAFT_SNAPSHOT || p->flow_paused;
}

bool raft__progress_can_bump_commit(const struct raft_progress *p, raft_index commit)
{
    ASSERT(p->next > 0);
    return commit > p->sent_commit && p->sent_commit < p->next - 1;
}

void raft__progress_sent_entries(struct raft_progress *p, size_t n, uint64_t data_bytes)
{
    ASSERT(p->state != RAFT_SNAPSHOT);
    if (p->state == RAFT_PROBE) {
        p->flow_paused = p->flow_paused || n > 0;
        return;
    }
    if (n > 0) {
        p->next += n;
        raft__inflights_add(&p->inflights, p->next - 1, data_bytes);
    }
    /* The message that fills the window is a probe in itself: nothing more until an answer. */
    p->flow_paused = raft__inflights_full(&p->inflights);
}

bool raft__progress_maybe_update(struct raft_progress *p, raft_index i)
{
    if (i <= p->match)
        return false;
    p->match = i;
    p->next = MAX(p->next, i + 1);
    p->flow_paused = false;
    ASSERT(p->match < p->next);
    return true;
}

bool raft__progress_maybe_decrease(struct raft_progress *p, raft_index rejected, raft_index hint)
{
    if (p->state == RAFT_REPLICATE) {
        if (rejected <= p->match)
            return false;
        p->next = p->match + 1;
    } else {
        /* Probes go one at a time, so an answer to any other is stale. */
        if (p->next - 1 != rejected)
            return false;
        p->next = MAX(MIN(rejected, hint + 1), p->match + 1);
        p->flow_paused = false;
    }
    p->sent_commit = MIN(p->sent_commit, p->next - 1);
    ASSERT(p->match < p->next);
    return true;
}
