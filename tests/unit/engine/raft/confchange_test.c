/* Configuration changes against a version in bit masks, on random sequences. */
#include "lib/cm.h"

#include "unit/engine/raft/confchange_model.h"

#define SEQUENCES 2000
#define STEPS 30

static uint64_t random_state;

static unsigned below(unsigned n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned) (random_state >> 33) % n;
}

static size_t random_changes(struct raft_conf_change_single *v, size_t max)
{
    size_t n = below((unsigned) max + 1);

    for (size_t i = 0; i < n; i++)
        v[i] = (struct raft_conf_change_single){(enum raft_conf_change_type) below(4),
                                                below(MODEL_IDS + 1)};
    return n;
}

static void step(struct raft_tracker *t, struct conf_model *m, raft_index last)
{
    struct raft_conf_change_single v[4];
    struct raft_conf_change_v2 c = {.changes = v, .changes_n = random_changes(v, 4)};

    c.transition = (enum raft_conf_transition) below(3);
    conf_step(t, m, last, &c);
}

/* Random changes lead to the same configurations and the same refusals as the version in masks;
 * every configuration on the way can be restored from its ConfState. */
static void random_sequences(void **state)
{
    (void) state;
    for (random_state = 1; random_state < SEQUENCES;) {
        uint64_t seed = random_state;
        struct raft_tracker t;
        struct conf_model m;

        conf_begin(&t, &m, 1 + below(MODEL_IDS));
        for (raft_index i = 1; i < STEPS; i++)
            step(&t, &m, i);
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

/* So are twice as many voters, half of them on their way out, with learners beside them, as a
 * snapshot of a stranger's may name them. */
static void too_many_members_in_a_joint_state(void **state)
{
    raft_id out[RAFT_MEMBERS_MAX], in[RAFT_MEMBERS_MAX], learners[] = {1, 2, 3};
    struct raft_conf_state cs = {.voters = {in, RAFT_MEMBERS_MAX},
                                 .learners = {learners, ARRAY_LEN(learners)},
                                 .voters_outgoing = {out, RAFT_MEMBERS_MAX}};
    struct raft_tracker t = empty_tracker();
    struct err e = ERR_INIT;

    (void) state;
    for (raft_id i = 0; i < RAFT_MEMBERS_MAX; i++) {
        out[i] = 1000 + i;
        in[i] = 2000 + i;
    }
    assert_int_equal(raft__conf_restore(&t, 1, &cs, &e), ERR_RAFT_CONF_CHANGE);
    assert_non_null(strstr(e.msg, "more than"));
    raft__tracker_done(&t);
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

/* ConfStates are equal when they name the same members, in whatever order, in the same roles; one
 * that names nobody (0) as a member is equal to none. */
static void equality_of_conf_states(void **state)
{
    raft_id ab[] = {1, 2}, ba[] = {2, 1}, ac[] = {1, 3}, nobody[] = {0, 1};
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
    w = y;
    w.voters = (struct raft_ids){nobody, 2};
    assert_false(raft__conf_state_equal(&w, &x));
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
        cmocka_unit_test(random_sequences),
        cmocka_unit_test(progress_is_kept),
        cmocka_unit_test(too_many_members),
        cmocka_unit_test(too_many_members_in_a_joint_state),
        cmocka_unit_test(unknown_kind),
        cmocka_unit_test(equality_of_conf_states),
        cmocka_unit_test(impossible_conf_states),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
