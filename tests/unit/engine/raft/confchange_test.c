/* Configuration changes against a version in bit masks, on random sequences. */
#include "lib/cm.h"

#include "engine/raft/confchange.h"

#define IDS 6
#define SEQUENCES 2000
#define STEPS 30

/* Bit i is id i; bit 0 is unused. */
struct model {
    unsigned in, out, learners, next;
    bool auto_leave;
};

static uint64_t random_state;

static unsigned below(unsigned n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned) (random_state >> 33) % n;
}

static unsigned bit(raft_id id)
{
    return 1u << id;
}

static unsigned count(unsigned mask)
{
    unsigned n = 0;

    for (; mask != 0; mask &= mask - 1)
        n++;
    return n;
}

/* ---- the slow version ---- */

static bool is_member(const struct model *m, raft_id id)
{
    return ((m->in | m->out | m->learners) & bit(id)) != 0;
}

static void model_change(struct model *m, const struct raft_conf_change_single *c)
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

static bool model_simple(struct model *m, const struct raft_conf_change_single *v, size_t n)
{
    struct model after = *m;

    if (m->out != 0)
        return false;
    for (size_t i = 0; i < n; i++)
        model_change(&after, &v[i]);
    if (after.in == 0 || count(m->in ^ after.in) > 1)
        return false;
    *m = after;
    return true;
}

static bool model_enter(struct model *m, bool auto_leave, const struct raft_conf_change_single *v,
                        size_t n)
{
    struct model after = *m;

    if (m->out != 0 || m->in == 0)
        return false;
    after.out = after.in;
    for (size_t i = 0; i < n; i++)
        model_change(&after, &v[i]);
    if (after.in == 0)
        return false;
    after.auto_leave = auto_leave;
    *m = after;
    return true;
}

static bool model_leave(struct model *m)
{
    if (m->out == 0)
        return false;
    m->learners |= m->next;
    m->next = m->out = 0;
    m->auto_leave = false;
    return true;
}

/* ---- the comparison ---- */

static unsigned mask_of(const struct raft_id_set *s)
{
    unsigned mask = 0;

    for (size_t i = 0; i < s->n; i++)
        mask |= bit(s->v[i]);
    return mask;
}

static void assert_same(const struct raft_tracker *t, const struct model *m)
{
    assert_int_equal(mask_of(&t->members.incoming), m->in);
    assert_int_equal(mask_of(&t->members.outgoing), m->out);
    assert_int_equal(mask_of(&t->members.learners), m->learners);
    assert_int_equal(mask_of(&t->members.learners_next), m->next);
    assert_int_equal(t->members.auto_leave, m->auto_leave);
    for (raft_id id = 1; id <= IDS; id++)
        assert_int_equal(raft__tracker_get(t, id) != NULL, is_member(m, id));
    raft__tracker_check(t);
}

static struct raft_tracker empty_tracker(void)
{
    return (struct raft_tracker){.inflight_max = 8};
}

/* Restoring the ConfState of any configuration gives that configuration. */
static void assert_restores(struct raft_tracker *t)
{
    struct raft_tracker copy = empty_tracker();
    struct raft_conf_state cs = raft__tracker_conf_state(t), again;
    struct err e = ERR_INIT;

    assert_int_equal(raft__conf_restore(&copy, 5, &cs, &e), 0);
    again = raft__tracker_conf_state(&copy);
    assert_true(raft__conf_state_equal(&cs, &again));
    raft__tracker_done(&copy);
}

static size_t random_changes(struct raft_conf_change_single *v, size_t max)
{
    size_t n = below((unsigned) max + 1);

    for (size_t i = 0; i < n; i++)
        v[i] = (struct raft_conf_change_single){(enum raft_conf_change_type) below(4),
                                                below(IDS + 1)};
    return n;
}

static void step(struct raft_tracker *t, struct model *m, raft_index last)
{
    struct raft_conf_change_single v[4];
    size_t n = random_changes(v, 4);
    struct raft_conf_change_v2 c = {.changes = v, .changes_n = n};
    bool expected;

    c.transition = (enum raft_conf_transition) below(3);
    if (c.transition == RAFT_CONF_AUTO && n == 0)
        expected = model_leave(m);
    else if (c.transition == RAFT_CONF_AUTO && n == 1)
        expected = model_simple(m, v, n);
    else
        expected = model_enter(m, c.transition != RAFT_CONF_JOINT_EXPLICIT, v, n);
    assert_int_equal(raft__conf_apply(t, last, &c, NULL) == 0, expected);
    assert_same(t, m);
}

/* Random changes lead to the same configurations and the same refusals as the version in masks;
 * every configuration on the way can be restored from its ConfState. */
static void random_sequences(void **state)
{
    (void) state;
    for (random_state = 1; random_state < SEQUENCES;) {
        uint64_t seed = random_state;
        struct raft_tracker t = empty_tracker();
        struct model m = {0};
        struct raft_conf_change_single first = {RAFT_CONF_ADD_NODE, 1 + below(IDS)};

        assert_int_equal(raft__conf_simple(&t, 0, &first, 1, NULL), 0);
        assert_true(model_simple(&m, &first, 1));
        for (raft_index i = 1; i < STEPS; i++) {
            step(&t, &m, i);
            assert_restores(&t);
        }
        raft__tracker_done(&t);
        random_state = seed + 1;
    }
}

/* Who has acknowledged what is kept over changes that keep the member. */
static void progress_is_kept(void **state)
{
    struct raft_tracker t = empty_tracker();
    struct raft_conf_change_single add = {RAFT_CONF_ADD_NODE, 1},
                                   learner = {RAFT_CONF_ADD_LEARNER_NODE, 2},
                                   promote = {RAFT_CONF_ADD_NODE, 2};

    (void) state;
    assert_int_equal(raft__conf_simple(&t, 10, &add, 1, NULL), 0);
    assert_int_equal(raft__conf_simple(&t, 10, &learner, 1, NULL), 0);
    assert_int_equal(raft__tracker_get(&t, 2)->next, 10);
    assert_true(raft__progress_maybe_update(raft__tracker_get(&t, 2), 7));
    raft__inflights_add(&raft__tracker_get(&t, 1)->inflights, 3, 1);
    raft__tracker_get(&t, 1)->state = RAFT_REPLICATE;
    assert_int_equal(raft__conf_simple(&t, 20, &promote, 1, NULL), 0);
    assert_int_equal(raft__tracker_get(&t, 2)->match, 7);
    assert_int_equal(raft__tracker_get(&t, 1)->inflights.n, 1);
    raft__tracker_done(&t);
}

static size_t many(struct raft_conf_change_single *v, size_t n, raft_id first,
                   enum raft_conf_change_type type)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (struct raft_conf_change_single){type, first + i};
    return n;
}

/* More members than the limit are refused, in whatever role, and nothing changes. */
static void too_many_members(void **state)
{
    static const enum raft_conf_change_type roles[] = {RAFT_CONF_ADD_NODE,
                                                       RAFT_CONF_ADD_LEARNER_NODE};
    struct raft_conf_change_single v[RAFT_MEMBERS_MAX + 1], one = {RAFT_CONF_ADD_NODE, 1};

    (void) state;
    for (size_t k = 0; k < ARRAY_LEN(roles); k++) {
        struct raft_tracker t = empty_tracker();
        struct err e = ERR_INIT;

        assert_int_equal(raft__conf_simple(&t, 1, &one, 1, NULL), 0);
        (void) many(v, ARRAY_LEN(v), 2, roles[k]);
        assert_int_equal(raft__conf_enter_joint(&t, 1, true, v, ARRAY_LEN(v), &e),
                         ERR_RAFT_CONF_CHANGE);
        assert_non_null(strstr(e.msg, "more than"));
        assert_int_equal(raft__conf_enter_joint(&t, 1, true, v, RAFT_MEMBERS_MAX, &e),
                         ERR_RAFT_CONF_CHANGE);
        assert_int_equal(t.n, 1);
        assert_int_equal(raft__conf_enter_joint(&t, 1, true, v, RAFT_MEMBERS_MAX - 1, &e), 0);
        raft__tracker_done(&t);
    }
}

/* A change of a kind that does not exist is refused. */
static void unknown_kind(void **state)
{
    struct raft_tracker t = empty_tracker();
    struct raft_conf_change_single odd = {(enum raft_conf_change_type) 9, 1};
    struct err e = ERR_INIT;

    (void) state;
    assert_int_equal(raft__conf_simple(&t, 1, &odd, 1, &e), ERR_RAFT_CONF_CHANGE);
    assert_string_equal(e.msg, "unexpected conf type 9");
    raft__tracker_done(&t);
}

/* ConfStates are equal when they name the same members, in whatever order, in the same roles. */
static void equality_of_conf_states(void **state)
{
    raft_id ab[] = {1, 2}, ba[] = {2, 1}, ac[] = {1, 3};
    struct raft_conf_state x = {.voters = {ab, 2}}, y = {.voters = {ba, 2}},
                           z = {.voters = {ac, 2}}, w = y;

    (void) state;
    assert_true(raft__conf_state_equal(&x, &y));
    assert_false(raft__conf_state_equal(&x, &z));
    w.auto_leave = true;
    assert_false(raft__conf_state_equal(&x, &w));
    w = y;
    w.learners = (struct raft_ids){ac + 1, 1};
    assert_false(raft__conf_state_equal(&x, &w));
    w = y;
    w.voters_outgoing = (struct raft_ids){ab, 1};
    assert_false(raft__conf_state_equal(&x, &w));
    w = y;
    w.learners_next = (struct raft_ids){ab, 1};
    assert_false(raft__conf_state_equal(&x, &w));
}

/* A ConfState that contradicts itself cannot be restored. */
static void impossible_conf_states(void **state)
{
    raft_id one[] = {1};
    struct raft_conf_state only_learners = {.learners = {one, 1}};
    struct raft_conf_state no_voters = {.voters_outgoing = {one, 1}};
    struct raft_tracker t = empty_tracker(), u = empty_tracker();

    (void) state;
    assert_int_not_equal(raft__conf_restore(&t, 1, &only_learners, NULL), 0);
    assert_int_not_equal(raft__conf_restore(&u, 1, &no_voters, NULL), 0);
    raft__tracker_done(&t);
    raft__tracker_done(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_sequences),        cmocka_unit_test(progress_is_kept),
        cmocka_unit_test(too_many_members),        cmocka_unit_test(unknown_kind),
        cmocka_unit_test(equality_of_conf_states), cmocka_unit_test(impossible_conf_states),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
