#include "node/node_int.h"
#include "unit/node/lone.h"

static size_t released;

static void on_release(struct node_message *x)
{
    (void) x;
    released++;
}

static void propose(struct node_message *x, struct member *m, struct raft_entry *e)
{
    *x = (struct node_message){.release = on_release};
    x->m = (struct raft_message){
        .type = RAFT_MSG_PROP, .to = m->node->member_id, .from = 7, .entries = e, .entries_n = 1};
    node_receive(m->node, x);
}

/* A proposal of another member that comes while there is no leader is kept, but not for ever. */
static void proposals_without_a_leader_are_held(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = lone_new(disk, 1);
    struct raft_entry e = {.type = RAFT_ENTRY_NORMAL};
    struct node_message x;

    (void) state;
    released = 0;
    lone_open_as_one_of_three(m);
    propose(&x, m, &e);
    assert_true(member_run(m, 500, NULL));
    assert_int_equal(m->node->raft.held_n, 1);
    assert_int_equal(released, 0);
    assert_true(member_run(m, 3000, NULL));
    assert_int_equal(m->node->raft.held_n, 0);
    assert_int_equal(released, 1);
    propose(&x, m, &e);
    assert_true(member_run(m, 100, NULL));
    member_close(m); /* what is held then is given back */
    assert_int_equal(released, 2);
    test_free(m);
    simdisk_free(disk);
}

/* With a leader it goes into the log at once. */
static void proposals_are_not_held_for_nothing(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = lone_fresh(disk, 1);
    struct raft_entry e = {.type = RAFT_ENTRY_NORMAL};
    struct node_message x;
    struct node_status before, after;

    (void) state;
    released = 0;
    node_status(m->node, &before);
    propose(&x, m, &e);
    assert_true(member_run(m, 200, NULL));
    node_status(m->node, &after);
    assert_int_equal(released, 1);
    assert_int_equal(after.applied, before.applied + 1);
    lone_end(m, disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proposals_without_a_leader_are_held),
        cmocka_unit_test(proposals_are_not_held_for_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
