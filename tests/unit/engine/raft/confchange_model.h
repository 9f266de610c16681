/* confchange_model.h -- configuration changes in bit masks: the slow, obvious version beside which
 * the unit test and the fuzz target run the real one. */
#ifndef KETCH_TESTS_UNIT_ENGINE_RAFT_CONFCHANGE_MODEL_H
#define KETCH_TESTS_UNIT_ENGINE_RAFT_CONFCHANGE_MODEL_H

#include "engine/raft/confchange.h"

#define MODEL_IDS 6

/* Bit i is id i; bit 0 is unused. */
struct conf_model {
    unsigned in, out, learners, next;
    bool auto_leave;
};

static inline unsigned bit(raft_id id)
{
    return 1u << id;
}

static inline unsigned count(unsigned mask)
{
    unsigned n = 0;

    for (; mask != 0; mask &= mask - 1)
        n++;
    return n;
}

/* ---- the slow version ---- */

static inline bool is_member(const struct conf_model *m, raft_id id)
{
    return ((m->in | m->out | m->learners) & bit(id)) != 0;
}

static inline void conf_change(struct conf_model *m, const struct raft_conf_change_single *c)
{
    unsigned b = bit(c->node_id);

    if (c->node_id == 0)
        return;
    switch (c->type) {
    case RAFT_CONF_ADD_NODE:
        m->in |= b;
        m->learners &= ~b;
        m->next &= ~b;
        break;
    case RAFT_CONF_ADD_LEARNER_NODE:
        if ((m->learners & b) != 0)
            break;
        m->in &= ~b;
        if ((m->out & b) != 0)
            m->next |= b;
        else
            m->learners |= b;
        break;
    case RAFT_CONF_REMOVE_NODE:
        m->in &= ~b;
        m->learners &= ~b;
        m->next &= ~b;
        break;
    case RAFT_CONF_UPDATE_NODE:
        break;
    }
}

static inline bool conf_simple(struct conf_model *m, const struct raft_conf_change_single *v,
                               size_t n)
{
    struct conf_model after = *m;

    if (m->out != 0)
        return false;
    for (size_t i = 0; i < n; i++)
        conf_change(&after, &v[i]);
    if (after.in == 0 || count(m->in ^ after.in) > 1)
        return false;
    *m = after;
    return true;
}

static inline bool conf_enter(struct conf_model *m, bool auto_leave,
                              const struct raft_conf_change_single *v, size_t n)
{
    struct conf_model after = *m;

    if (m->out != 0 || m->in == 0)
        return false;
    after.out = after.in;
    for (size_t i = 0; i < n; i++)
        conf_change(&after, &v[i]);
    if (after.in == 0)
        return false;
    after.auto_leave = auto_leave;
    *m = after;
    return true;
}

static inline bool conf_leave(struct conf_model *m)
{
    if (m->out == 0)
        return false;
    m->learners |= m->next;
    m->next = m->out = 0;
    m->auto_leave = false;
    return true;
}

/* ---- the comparison ---- */

static inline unsigned mask_of(const struct raft_id_set *s)
{
    unsigned mask = 0;

    for (size_t i = 0; i < s->n; i++)
        mask |= bit(s->v[i]);
    return mask;
}

static inline void conf_same(const struct raft_tracker *t, const struct conf_model *m)
{
    ASSERT(mask_of(&t->members.incoming) == m->in);
    ASSERT(mask_of(&t->members.outgoing) == m->out);
    ASSERT(mask_of(&t->members.learners) == m->learners);
    ASSERT(mask_of(&t->members.learners_next) == m->next);
    ASSERT(t->members.auto_leave == m->auto_leave);
    for (raft_id id = 1; id <= MODEL_IDS; id++)
        ASSERT((raft__tracker_get(t, id) != NULL) == is_member(m, id));
    raft__tracker_check(t);
}

static inline struct raft_tracker empty_tracker(void)
{
    return (struct raft_tracker){.inflight_max = 8};
}

/* The change of the real one and of the masks: both refuse, or both are the same after it, and what
 * they are can be restored from its ConfState. */
static inline void conf_step(struct raft_tracker *t, struct conf_model *m, raft_index last,
                             const struct raft_conf_change_v2 *c)
{
    struct raft_tracker copy = empty_tracker();
    struct raft_conf_state cs, again;
    bool expected;

    if (c->transition == RAFT_CONF_AUTO && c->changes_n == 0)
        expected = conf_leave(m);
    else if (c->transition == RAFT_CONF_AUTO && c->changes_n == 1)
        expected = conf_simple(m, c->changes, c->changes_n);
    else
        expected = conf_enter(m, c->transition != RAFT_CONF_JOINT_EXPLICIT, c->changes,
                              c->changes_n);
    ASSERT((raft__conf_apply(t, last, c, NULL) == 0) == expected);
    conf_same(t, m);
    cs = raft__tracker_conf_state(t);
    ASSERT(raft__conf_restore(&copy, 5, &cs, NULL) == 0);
    again = raft__tracker_conf_state(&copy);
    ASSERT(raft__conf_state_equal(&cs, &again));
    raft__tracker_done(&copy);
}

/* One voter. */
static inline void conf_begin(struct raft_tracker *t, struct conf_model *m, raft_id id)
{
    struct raft_conf_change_single first = {RAFT_CONF_ADD_NODE, id};

    *t = empty_tracker();
    *m = (struct conf_model){0};
    ASSERT(raft__conf_simple(t, 0, &first, 1, NULL) == 0);
    ASSERT(conf_simple(m, &first, 1));
}

#endif
