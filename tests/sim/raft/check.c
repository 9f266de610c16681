/* check.c -- what must be true after every step.
 *
 *   1. Election safety: one leader per term.
 *   2. A member votes once per term, whatever it forgets in a crash.
 *   3. Log matching: an entry of one index and term is the same everywhere, as is the one before.
 *   4. Leader completeness: a new leader has every committed entry.
 *   5. State machine safety: what is committed at an index is committed there for ever; all members
 *      apply the same there, with the same state behind it.
 *   6. Nothing committed is lost: a commit means that a majority of each half has it on disk.
 *   7. Commit index and term of a member never move back.
 *   8. A read sees everything that was committed anywhere before it was asked for.
 *   9. In the end, with all faults over, the group makes progress and all members agree.
 */
#include "sim/raft/sim.h"

#include "engine/raft/raft_int.h"

static void *to_value(uint64_t x)
{
    return (void *) (uintptr_t) (x | UINT64_C(1) << 63); /* never NULL */
}

static uint64_t of_value(const void *p)
{
    return (uint64_t) (uintptr_t) p & ~(UINT64_C(1) << 63);
}

/* Remembers the first value of a key; returns whether `value` agrees with it. */
static bool same_for_ever(struct map64 *map, uint64_t key, uint64_t value, uint64_t *ret_first)
{
    void *old = map64_get(map, key);

    value &= ~(UINT64_C(1) << 63);
    *ret_first = old == NULL ? value : of_value(old);
    if (old == NULL && !map64_put(map, key, to_value(value)))
        abort();
    return *ret_first == value;
}

void sim_check_init(struct sim_checks *c)
{
    *c = (struct sim_checks){0};
}

void sim_check_done(struct sim_checks *c)
{
    map64_done(&c->leaders);
    map64_done(&c->votes);
    map64_done(&c->entries);
    map64_done(&c->committed);
    map64_done(&c->applied);
}

static uint64_t hash_bytes(struct bytes b, uint64_t h)
{
    for (size_t i = 0; i < b.n; i++)
        h = (h ^ b.p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t hash_entry(const struct raft_entry *e, uint64_t h)
{
    h = (h ^ e->index) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ e->term) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ (uint64_t) e->type) * UINT64_C(0x9e3779b97f4a7c15);
    return hash_bytes(e->data, h);
}

static uint64_t entry_key(raft_index i, raft_term t)
{
    ASSERT(t < UINT64_C(1) << 24);
    return i << 24 | t;
}

/* ---- 4 ---- */

static void check_new_leader(struct sim *s, struct sim_member *m)
{
    const struct raft_log *l = &m->raft->log;
    uint64_t first;

    if (!same_for_ever(&s->checks.leaders, m->raft->term, sim_id(m), &first))
        sim_fail(s, "two leaders of term %" PRIu64 ": %" PRIu64 " and %" PRIu64, m->raft->term,
                 first, sim_id(m));
    for (raft_index i = raft__log_first_index(l); i <= s->checks.commit_max; i++) {
        const void *term = map64_get(&s->checks.committed, i);

        if (term == NULL)
            continue;
        if (raft__log_term_or_zero(l, i) != of_value(term))
            sim_fail(s, "leader %" PRIu64 " of term %" PRIu64 " lacks committed entry %" PRIu64,
                     sim_id(m), m->raft->term, i);
    }
    s->result.counts.elections++;
}

/* ---- 5, 6 ---- */

static bool on_disks_of(struct sim *s, const struct raft_id_set *half, raft_index i, raft_term t)
{
    size_t n = 0;

    for (size_t k = 0; k < half->n; k++)
        n += sim_disk_has(&s->members[half->v[k] - 1].disk, i, t);
    return half->n == 0 || n >= half->n / 2 + 1;
}

static void check_commit_at(struct sim *s, struct sim_member *m, raft_index i)
{
    const struct raft_members *members = &m->raft->tracker.members;
    raft_term t = raft__log_term_or_zero(&m->raft->log, i);
    uint64_t first;

    if (t == 0)
        return; /* below a snapshot */
    if (!same_for_ever(&s->checks.committed, i, t, &first))
        sim_fail(s,
                 "member %" PRIu64 " commits %" PRIu64 " with term %" PRIu64
                 ", but it was committed with term %" PRIu64,
                 sim_id(m), i, t, first);
    if (i <= s->checks.commit_max)
        return;
    if (m->raft->state == RAFT_LEADER &&
        (!on_disks_of(s, &members->incoming, i, t) || !on_disks_of(s, &members->outgoing, i, t)))
        sim_fail(s, "leader %" PRIu64 " commits %" PRIu64 "/%" PRIu64 " that no quorum has on disk",
                 sim_id(m), t, i);
}

static void check_commit(struct sim *s, struct sim_member *m)
{
    raft_index commit = m->raft->log.committed;

    if (commit < m->commit_seen)
        sim_fail(s, "the commit index of %" PRIu64 " falls from %" PRIu64 " to %" PRIu64, sim_id(m),
                 m->commit_seen, commit);
    /* The last first: it is the one of which a quorum must be shown; what precedes it follows. */
    for (raft_index i = commit; i > m->commit_seen; i--)
        check_commit_at(s, m, i);
    if (commit > s->checks.commit_max) {
        s->result.counts.commits += commit - s->checks.commit_max;
        s->checks.commit_max = commit;
    }
    m->commit_seen = commit;
}

void sim_check_member(struct sim *s, struct sim_member *m)
{
    const struct raft *r = m->raft;
    const void *leader;

    if (r->term < m->term_seen)
        sim_fail(s, "the term of %" PRIu64 " falls from %" PRIu64 " to %" PRIu64, sim_id(m),
                 m->term_seen, r->term);
    m->term_seen = r->term;
    if (r->state == RAFT_LEADER) {
        leader = map64_get(&s->checks.leaders, r->term);
        if (leader == NULL || of_value(leader) != sim_id(m))
            check_new_leader(s, m);
    }
    if (r->log.committed != m->commit_seen)
        check_commit(s, m);
}

/* ---- 3, 8 ---- */

static void check_entry(struct sim *s, struct sim_member *m, const struct raft_entry *e,
                        raft_term before)
{
    uint64_t first, h = hash_entry(e, before + 1);

    if (!same_for_ever(&s->checks.entries, entry_key(e->index, e->term), h, &first))
        sim_fail(s, "member %" PRIu64 " has another entry %" PRIu64 "/%" PRIu64 " than others have",
                 sim_id(m), e->term, e->index);
}

static void check_read(struct sim *s, struct sim_member *m, const struct raft_read_state *x)
{
    uint64_t number;

    ASSERT(x->context.n == sizeof number);
    memcpy(&number, x->context.p, sizeof number);
    ASSERT(number < s->next_read);
    s->result.counts.reads++;
    if (x->index < s->read_floor[number])
        sim_fail(s,
                 "a read at %" PRIu64 " gets index %" PRIu64 ", but %" PRIu64
                 " was committed before it",
                 sim_id(m), x->index, s->read_floor[number]);
}

void sim_check_update(struct sim *s, struct sim_member *m, const struct raft_update *u)
{
    raft_term before = 0;

    if (u->entries_n > 0)
        before = raft__log_term_or_zero(&m->raft->log, u->entries[0].index - 1);
    for (size_t i = 0; i < u->entries_n; i++) {
        check_entry(s, m, &u->entries[i], before);
        before = u->entries[i].term;
    }
    for (size_t i = 0; i < u->read_states_n; i++)
        check_read(s, m, &u->read_states[i]);
}

/* ---- 2 ---- */

void sim_check_message(struct sim *s, struct sim_member *m, const struct raft_message *x)
{
    uint64_t first;

    if (x->type != RAFT_MSG_VOTE_RESP || x->reject)
        return;
    if (!same_for_ever(&s->checks.votes, x->term * 16 + sim_id(m), x->to, &first))
        sim_fail(s, "member %" PRIu64 " votes in term %" PRIu64 " for %" PRIu64 " after %" PRIu64,
                 sim_id(m), x->term, x->to, first);
}

/* ---- 5 ---- */

void sim_check_applied(struct sim *s, struct sim_member *m, const struct raft_entry *e)
{
    uint64_t first;

    if (e->index != m->applied + 1)
        sim_fail(s, "member %" PRIu64 " applies %" PRIu64 " after %" PRIu64, sim_id(m), e->index,
                 m->applied);
    m->state = hash_entry(e, m->state) & ~(UINT64_C(1) << 63);
    m->applied = e->index;
    if (!same_for_ever(&s->checks.applied, e->index, m->state, &first))
        sim_fail(s, "member %" PRIu64 " has another state than others after %" PRIu64, sim_id(m),
                 e->index);
}

/* ---- 9 ---- */

static struct sim_member *current_leader(struct sim *s)
{
    struct sim_member *leader = NULL;

    for (uint32_t i = 0; i < SIM_MEMBERS; i++) {
        struct sim_member *m = &s->members[i];

        if (m->up && m->raft->state == RAFT_LEADER &&
            (leader == NULL || m->raft->term > leader->raft->term))
            leader = m;
    }
    return leader;
}

bool sim_has_leader(struct sim *s)
{
    return current_leader(s) != NULL;
}

void sim_check_end(struct sim *s)
{
    struct sim_member *leader = current_leader(s);

    if (leader == NULL)
        sim_fail(s, "no leader %d s after the last fault", SIM_HEAL_S * (1 + SIM_EXTENSIONS));
    if (leader->raft->log.committed <= s->commit_at_heal)
        sim_fail(s, "nothing was committed in the %d s after the last fault", SIM_HEAL_S);
    for (size_t i = 0; i < leader->raft->tracker.n; i++) {
        const struct raft_progress *p = &leader->raft->tracker.progress[i];
        const struct sim_member *m = &s->members[p->id - 1];

        /* The last moments' entries may be on their way. */
        if (m->up && m->applied + 64 < leader->applied)
            sim_fail(s,
                     "member %" PRIu64 " has applied %" PRIu64 " of %" PRIu64
                     " long after the last fault, in the leader's eyes [%s]",
                     p->id, m->applied, leader->applied, PROGRESS_TEXT(p));
    }
}
