/* Changes of members as a leader sees them: what it does not let into its log, and what follows
 * from one. */
#include "unit/engine/raft/owner.h"

/* A forwarded change of members that cannot be read is dropped, with the whole batch. */
static void unreadable_change(void **state)
{
    struct owner o;
    struct raft_entry v[2] = {
        {.data = BYTES_LIT("fine")},
        {.type = RAFT_ENTRY_CONF_CHANGE_V2, .data = BYTES_LIT("\xff\xff\xff")}};
    raft_index last;

    (void) state;
    owner_lead(&o, 3);
    last = raft_get_last_index(o.raft);
    assert_int_equal(raft_propose(o.raft, v, 2), ERR_RAFT_PROPOSAL_DROPPED);
    v[1].type = RAFT_ENTRY_CONF_CHANGE;
    assert_int_equal(raft_propose(o.raft, v, 2), ERR_RAFT_PROPOSAL_DROPPED);
    assert_int_equal(raft_get_last_index(o.raft), last);
    owner_done(&o);
}

/* Of a batch with two changes of members the second becomes an empty entry. */
static void one_change_at_a_time(void **state)
{
    struct owner o;
    struct raft_conf_change c = {.type = RAFT_CONF_ADD_NODE, .node_id = 4};
    uint8_t data[64];
    struct raft_entry v[3] = {{.type = RAFT_ENTRY_CONF_CHANGE},
                              {.data = BYTES_LIT("x")},
                              {.type = RAFT_ENTRY_CONF_CHANGE}};
    struct raft_entry_list l = {0};
    raft_index last;

    (void) state;
    owner_lead(&o, 3);
    last = raft_get_last_index(o.raft);
    v[0].data = v[2].data = bytes_of(data, (size_t) (raft_conf_change_put(&c, data) - data));
    assert_int_equal(raft_propose(o.raft, v, 3), 0);
    assert_int_equal(raft__log_slice(&o.raft->log, last + 1, last + 4, UINT64_MAX, &l), 0);
    assert_int_equal(l.v[0].type, RAFT_ENTRY_CONF_CHANGE);
    assert_int_equal(l.v[1].data.n, 1);
    assert_int_equal(l.v[2].type, RAFT_ENTRY_NORMAL);
    assert_int_equal(l.v[2].data.n, 0);
    raft_entry_list_done(&l);
    owner_done(&o);
}

static enum raft_entry_type last_type(struct owner *o)
{
    struct raft_entry_list l = {0};
    raft_index last = raft_get_last_index(o->raft);
    enum raft_entry_type type;

    assert_int_equal(raft__log_slice(&o->raft->log, last, last + 1, UINT64_MAX, &l), 0);
    type = l.v[0].type;
    raft_entry_list_done(&l);
    return type;
}

/* What no member could apply does not get into the log, whoever proposes it: one member more than
 * there may be, and the removal of the last voter. */
static void changes_that_do_not_fit(void **state)
{
    struct raft_conf_change c = {.type = RAFT_CONF_ADD_LEARNER_NODE};
    struct owner o;

    (void) state;
    owner_lead(&o, 1);
    for (c.node_id = 2; c.node_id <= RAFT_MEMBERS_MAX; c.node_id++) {
        assert_int_equal(raft_propose_conf_change(o.raft, &c), 0);
        assert_int_equal(last_type(&o), RAFT_ENTRY_CONF_CHANGE);
        run(&o);
    }
    assert_int_equal(raft_propose_conf_change(o.raft, &c), 0);
    assert_int_equal(last_type(&o), RAFT_ENTRY_NORMAL);
    run(&o);
    c.type = RAFT_CONF_REMOVE_NODE;
    c.node_id = 1;
    assert_int_equal(raft_propose_conf_change(o.raft, &c), 0);
    assert_int_equal(last_type(&o), RAFT_ENTRY_NORMAL);
    run(&o);
    c.type = RAFT_CONF_ADD_NODE; /* a learner becomes a voter: nobody more */
    c.node_id = 2;
    assert_int_equal(raft_propose_conf_change(o.raft, &c), 0);
    assert_int_equal(last_type(&o), RAFT_ENTRY_CONF_CHANGE);
    run(&o);
    owner_done(&o);
}

/* A transfer ends when its target is removed. */
static void transfer_target_removed(void **state)
{
    struct owner o;
    struct raft_conf_change_single remove = {RAFT_CONF_REMOVE_NODE, 3};
    struct raft_conf_change_v2 c = {.changes = &remove, .changes_n = 1};
    struct raft_status s;

    (void) state;
    owner_lead(&o, 3);
    raft_transfer_leader(o.raft, 3);
    raft_get_status(o.raft, &s);
    assert_int_equal(s.lead_transferee, 3);
    assert_int_equal(raft_apply_conf_change(o.raft, &c, NULL, NULL), 0);
    raft_get_status(o.raft, &s);
    assert_int_equal(s.lead_transferee, 0);
    assert_int_equal(s.peers_n, 2);
    owner_done(&o);
}

/* While leadership is being transferred the automatic leave of a joint configuration waits. */
static void auto_leave_waits_for_transfer(void **state)
{
    struct owner o;
    struct raft_conf_change_single v[] = {{RAFT_CONF_ADD_LEARNER_NODE, 4},
                                          {RAFT_CONF_ADD_LEARNER_NODE, 5}};
    struct raft_conf_change_v2 c = {.changes = v, .changes_n = 2};
    raft_index last;

    (void) state;
    owner_lead(&o, 3);
    assert_int_equal(raft_propose_conf_change_v2(o.raft, &c), 0);
    run(&o);
    last = raft_get_last_index(o.raft);
    assert_int_equal(raft_apply_conf_change(o.raft, &c, NULL, NULL), 0);
    raft_transfer_leader(o.raft, 3);
    acks(&o, 2, last);
    raft_applied(o.raft, &(struct raft_apply_mark){.index = last});
    assert_int_equal(raft_get_last_index(o.raft), last);
    owner_done(&o);
}

/* Removing a member may make a majority of what was none: the leader commits, and tells the others.
 */
static void removal_commits(void **state)
{
    struct owner o;
    struct raft_conf_change_single remove = {RAFT_CONF_REMOVE_NODE, 4};
    struct raft_conf_change_v2 c = {.changes = &remove, .changes_n = 1};
    raft_index last;

    (void) state;
    owner_begin(&o, 4);
    raft_campaign(o.raft);
    run(&o);
    for (raft_id id = 2; id <= 3; id++)
        grants_vote(&o, id);
    run(&o);
    assert_int_equal(propose(&o, 5), 0);
    run(&o);
    last = raft_get_last_index(o.raft);
    acks(&o, 2, last);
    run(&o);
    assert_int_equal(raft_get_commit(o.raft), 1);
    assert_int_equal(raft_apply_conf_change(o.raft, &c, NULL, NULL), 0);
    assert_int_equal(raft_get_commit(o.raft), last);
    owner_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unreadable_change),
        cmocka_unit_test(one_change_at_a_time),
        cmocka_unit_test(changes_that_do_not_fit),
        cmocka_unit_test(transfer_target_removed),
        cmocka_unit_test(auto_leave_waits_for_transfer),
        cmocka_unit_test(removal_commits),
    };

    return cmocka_run_group_tests(tests, owner_loud, NULL) +
           cmocka_run_group_tests(tests, owner_mute, NULL);
}
