#include "engine/raft/tracker.h"

#include "base/plant.h"

void raft__tracker_done(struct raft_tracker *t)
{
    for (size_t i = 0; i < t->n; i++)
        raft__inflights_done(&t->progress[i].inflights);
    mem_free(t->progress);
    t->progress = NULL;
    t->n = t->cap = 0;
}

struct raft_progress *raft__tracker_get(const struct raft_tracker *t, raft_id id)
{
    size_t lo = 0, hi = t->n;

    ASSERT(t->n <= t->cap);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (t->progress[mid].id == id)
            return &t->progress[mid];
        if (t->progress[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

void raft__tracker_check(const struct raft_tracker *t)
{
    const struct raft_members *m = &t->members;

    for (size_t i = 0; i < t->n; i++) {
        raft_id id = t->progress[i].id;
        bool voter = raft__tracker_is_voter(t, id);
        bool learner = raft__ids_has(&m->learners, id);

        raft__progress_check(&t->progress[i]);
        ASSERT(voter != learner);                  /* 1, 3 */
        ASSERT(t->progress[i].learner == learner); /* learners_next still vote */
        if (i > 0)
            ASSERT(t->progress[i - 1].id < id);
    }
    for (size_t i = 0; i < m->incoming.n; i++)
        ASSERT(raft__tracker_get(t, m->incoming.v[i]) != NULL); /* 1 */
    for (size_t i = 0; i < m->outgoing.n; i++)
        ASSERT(raft__tracker_get(t, m->outgoing.v[i]) != NULL); /* 1 */
    for (size_t i = 0; i < m->learners_next.n; i++)
        ASSERT(raft__ids_has(&m->outgoing,
                             m->learners_next.v[i])); /* 2; with 3 also its second half */
    if (m->outgoing.n == 0) {
        ASSERT(m->learners_next.n == 0); /* 4 */
        ASSERT(!m->auto_leave);
    }
}

bool raft__tracker_is_voter(const struct raft_tracker *t, raft_id id)
{
    return raft__ids_has(&t->members.incoming, id) || raft__ids_has(&t->members.outgoing, id);
}

bool raft__tracker_is_joint(const struct raft_tracker *t)
{
    ASSERT(t->members.outgoing.n <= RAFT_MEMBERS_MAX);
    return t->members.outgoing.n > 0;
}

bool raft__tracker_is_single_voter(const struct raft_tracker *t)
{
    return t->members.incoming.n == 1 && t->members.outgoing.n == 0;
}

/* ---- quorums over the progress ---- */

static raft_index acked_match(const void *arg, raft_id id)
{
    const struct raft_progress *p = raft__tracker_get(arg, id);

    ASSERT(p != NULL);
    return p->match;
}

static raft_index acked_read(const void *arg, raft_id id)
{
    const struct raft_progress *p = raft__tracker_get(arg, id);

    ASSERT(p != NULL);
    return p->read_acked;
}

raft_index raft__tracker_committed(const struct raft_tracker *t)
{
    const struct raft_members *m = &t->members;

    if (PLANTED(JOINT_ONE_HALF))
        return raft__majority_committed(&m->incoming, acked_match, t);
    if (PLANTED(LEARNER_COUNTED)) {
        struct raft_id_set all = m->incoming;

        for (size_t i = 0; i < m->learners.n; i++)
            (void) raft__ids_add(&all, m->learners.v[i]);
        return raft__joint_committed(&all, &m->outgoing, acked_match, t);
    }
    return raft__joint_committed(&m->incoming, &m->outgoing, acked_match, t);
}

uint64_t raft__tracker_reads_confirmed(const struct raft_tracker *t)
{
    return raft__joint_committed(&t->members.incoming, &t->members.outgoing, acked_read, t);
}

struct active_of {
    const struct raft_tracker *t;
    raft_id self;
};

static enum raft__vote voted_active(const void *arg, raft_id id)
{
    const struct active_of *a = arg;
    const struct raft_progress *p = raft__tracker_get(a->t, id);

    ASSERT(p != NULL);
    return p->recent_active || id == a->self ? RAFT_VOTE_YES : RAFT_VOTE_NO;
}

bool raft__tracker_quorum_active(const struct raft_tracker *t, raft_id self)
{
    struct active_of a = {t, self};

    return raft__joint_vote(&t->members.incoming, &t->members.outgoing, voted_active, &a) ==
           RAFT_VOTE_WON;
}

/* ---- votes ---- */

void raft__tracker_reset_votes(struct raft_tracker *t)
{
    for (size_t i = 0; i < t->n; i++)
        t->progress[i].vote = RAFT_VOTE_MISSING;
}

void raft__tracker_record_vote(struct raft_tracker *t, raft_id id, bool granted)
{
    struct raft_progress *p = raft__tracker_get(t, id);

    ASSERT(id != RAFT_NONE);
    if (p != NULL && p->vote == RAFT_VOTE_MISSING)
        p->vote = granted ? RAFT_VOTE_YES : RAFT_VOTE_NO;
}

static enum raft__vote voted(const void *arg, raft_id id)
{
    const struct raft_progress *p = raft__tracker_get(arg, id);

    ASSERT(p != NULL);
    return p->vote;
}

enum raft__vote_result raft__tracker_tally(const struct raft_tracker *t, uint32_t *ret_granted,
                                           uint32_t *ret_rejected)
{
    uint32_t granted = 0, rejected = 0;

    for (size_t i = 0; i < t->n; i++) {
        if (t->progress[i].learner)
            continue;
        granted += t->progress[i].vote == RAFT_VOTE_YES;
        rejected += t->progress[i].vote == RAFT_VOTE_NO;
    }
    *ret_granted = granted;
    *ret_rejected = rejected;
    return raft__joint_vote(&t->members.incoming, &t->members.outgoing, voted, t);
}

struct raft_conf_state raft__tracker_conf_state(struct raft_tracker *t)
{
    struct raft_members *c = &t->conf_state_copy;

    /* A copy, because the caller may keep it while the configuration moves on. */
    *c = t->members;
    return (struct raft_conf_state){
        .voters = {c->incoming.v, c->incoming.n},
        .learners = {c->learners.v, c->learners.n},
        .voters_outgoing = {c->outgoing.v, c->outgoing.n},
        .learners_next = {c->learners_next.v, c->learners_next.n},
        .auto_leave = c->auto_leave,
    };
}
