#include "node/node_int.h"
#include "unit/node/lone.h"

#define S INT64_C(1000000000)

/* A transport that is connected to everybody since a time of the test's choice. */
static mono_ns connected_since;

static mono_ns active_since(void *ctx, raft_id id)
{
    (void) ctx;
    (void) id;
    return connected_since;
}

static const struct node_transport transport = {.active_since = active_since};

/* A request that began shortly before this member was elected, within two election timeouts, may
 * have gone to the leader that was lost. */
static void the_leader_before_may_have_failed(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = lone_fresh(disk, 1);

    (void) state;
    m->node->raft.elected_at = 100 * S; /* the election timeout is 1 s */
    assert_int_equal(node__timeout_error(m->node, 99 * S), API_TIMEOUT_DUE_TO_LEADER_FAIL);
    assert_int_equal(node__timeout_error(m->node, 98 * S + 1), API_TIMEOUT_DUE_TO_LEADER_FAIL);
    assert_int_equal(node__timeout_error(m->node, 98 * S), API_TIMEOUT);
    assert_int_equal(node__timeout_error(m->node, 100 * S), API_TIMEOUT);
    lone_end(m, disk);
}

/* Of a leader that has not been heard of since the request began, the connection may be lost; of
 * no leader nothing is known. */
static void the_connection_may_be_lost(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = lone_fresh(disk, 1);
    const struct node_transport *old = m->node->env.transport;
    raft_id self = m->node->raft.lead;

    (void) state;
    m->node->env.transport = &transport;
    m->node->raft.lead = 7;
    connected_since = 0;
    assert_int_equal(node__timeout_error(m->node, 50 * S), API_TIMEOUT_DUE_TO_CONNECTION_LOST);
    connected_since = 51 * S; /* again, but not since before */
    assert_int_equal(node__timeout_error(m->node, 50 * S), API_TIMEOUT_DUE_TO_CONNECTION_LOST);
    connected_since = 49 * S;
    assert_int_equal(node__timeout_error(m->node, 50 * S), API_TIMEOUT);
    m->node->raft.lead = RAFT_NONE;
    connected_since = 0;
    assert_int_equal(node__timeout_error(m->node, 50 * S), API_TIMEOUT);
    m->node->raft.lead = self; /* alone, it is connected to all voters */
    assert_int_equal(node__timeout_error(m->node, 50 * S), API_TIMEOUT);
    m->node->env.transport = old;
    lone_end(m, disk);
}

/* A write to the log that takes an election timeout shows in the status, and is over when it is. */
static void a_log_that_hangs_is_seen(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = lone_fresh(disk, 1);
    struct node_status st;

    (void) state;
    node__log_write_begins(m->node, m->now);
    assert_true(member_run(m, 900, NULL));
    node_status(m->node, &st);
    assert_false(st.log_hangs);
    node__log_write_begins(m->node, m->now - S);
    assert_true(member_run(m, 200, NULL));
    node_status(m->node, &st);
    assert_true(st.log_hangs);
    node__log_write_ends(m->node);
    assert_true(member_run(m, 200, NULL));
    node_status(m->node, &st);
    assert_false(st.log_hangs);
    lone_end(m, disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_leader_before_may_have_failed),
        cmocka_unit_test(the_connection_may_be_lost),
        cmocka_unit_test(a_log_that_hangs_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
