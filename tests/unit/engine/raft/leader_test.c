/* What a leader does where nothing is as usual: limits, absurd messages, nobody to follow it. */
#include "unit/engine/raft/owner.h"

/* A leader takes nothing amiss: stale, absurd and unknown messages leave it as it was. */
static void strange_messages_to_a_leader(void **state)
{
    struct owner o;
    raft_term t;
    raft_index last;

    (void) state;
    owner_lead(&o, 3);
    t = raft_get_term(o.raft);
    last = raft_get_last_index(o.raft);
    acks(&o, 3, last + 100);
    step(&o, (struct raft_message){.type = RAFT_MSG_APP, .from = 2, .term = t, .index = last});
    step(&o, (struct raft_message){.type = RAFT_MSG_TRANSFER_LEADER, .from = 77, .term = t});
    step(&o, (struct raft_message){.type = RAFT_MSG_READ_INDEX_RESP, .from = 2, .term = t});
    raft_report_snapshot(o.raft, 2, true); /* none is on its way */
    raft_forget_leader(o.raft);
    assert_int_equal(raft_step(o.raft, &(struct raft_message){.type = RAFT_MSG_PROP, .from = 2}),
                     ERR_RAFT_PROPOSAL_DROPPED);
    assert_int_equal(raft_get_state(o.raft), RAFT_LEADER);
    assert_int_equal(raft_get_commit(o.raft), last);
    assert_int_equal(raft__tracker_get(&o.raft->tracker, 3)->match, 0);
    owner_done(&o);
}

/* It leads, and takes so much that is not committed yet. */
static void lead_with_limit(struct owner *o, uint64_t uncommitted_bytes_max)
{
    owner_init(o, 3);
    o->config.uncommitted_bytes_max = uncommitted_bytes_max;
    owner_start(o);
    become_leader(o);
}

/* Uncommitted data is bounded: a single large proposal passes, more are dropped until it is
 * applied. */
static void uncommitted_limit(void **state)
{
    struct owner o;

    (void) state;
    lead_with_limit(&o, 100);
    assert_int_equal(propose(&o, 4000), 0);
    assert_int_equal(raft_get_uncommitted_bytes(o.raft), 4000);
    assert_int_equal(propose(&o, 1), ERR_RAFT_PROPOSAL_DROPPED);
    assert_int_equal(propose(&o, 0), 0);
    run(&o);
    acks(&o, 2, raft_get_last_index(o.raft));
    run(&o);
    assert_int_equal(raft_get_uncommitted_bytes(o.raft), 0);
    assert_int_equal(propose(&o, 60), 0);
    assert_int_equal(propose(&o, 40), 0);
    assert_int_equal(propose(&o, 1), ERR_RAFT_PROPOSAL_DROPPED);
    owner_done(&o);
}

/* A leader without a quorum steps down after its election timeout, when it is to check. */
static void steps_down_without_a_quorum(void **state)
{
    struct owner o;

    (void) state;
    owner_init(&o, 3);
    o.config.check_quorum = true;
    owner_start(&o);
    become_leader(&o);
    for (int i = 0; i < 10; i++)
        raft_tick(o.raft);
    assert_int_equal(raft_get_state(o.raft), RAFT_LEADER); /* 2 was heard of */
    for (int i = 0; i < 10; i++)
        raft_tick(o.raft);
    assert_int_equal(raft_get_state(o.raft), RAFT_FOLLOWER);
    assert_int_equal(raft_get_lead(o.raft), 0);
    owner_done(&o);
}

/* What storage has not acknowledged is bounded: proposals are dropped, whatever their size. */
static void unstable_log_of_a_leader(void **state)
{
    static struct raft_entry v[4096];
    struct owner o;
    raft_index last;

    (void) state;
    owner_init(&o, 3);
    o.config.trace.emit = NULL;
    owner_start(&o);
    become_leader(&o);
    for (unsigned i = 0; i < RAFT_UNSTABLE_ENTRIES_MAX / 4096 - 1; i++)
        assert_int_equal(raft_propose(o.raft, v, 4096), 0);
    assert_int_equal(raft_propose(o.raft, v, 4096), 0);
    last = raft_get_last_index(o.raft);
    assert_int_equal(raft_propose(o.raft, v, 1), ERR_RAFT_PROPOSAL_DROPPED);
    assert_int_equal(raft_get_last_index(o.raft), last);
    owner_done(&o);
}

/* A proposal larger than the whole limit waits until nothing else does. */
static void larger_than_the_limit(void **state)
{
    struct owner o;

    (void) state;
    lead_with_limit(&o, 100);
    assert_int_equal(propose(&o, 1), 0);
    assert_int_equal(propose(&o, 101), ERR_RAFT_PROPOSAL_DROPPED);
    owner_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strange_messages_to_a_leader), cmocka_unit_test(uncommitted_limit),
        cmocka_unit_test(steps_down_without_a_quorum),  cmocka_unit_test(unstable_log_of_a_leader),
        cmocka_unit_test(larger_than_the_limit),
    };

    return cmocka_run_group_tests(tests, owner_loud, NULL) +
           cmocka_run_group_tests(tests, owner_mute, NULL);
}
