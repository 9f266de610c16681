#include "lib/cm.h"
#include "lib/node/others.h"
#include "node/node_int.h"

static struct call *submit_read(struct others *o)
{
    struct call *c = test_calloc(1, sizeof *c);

    c->r = (struct node_request){
        .kind = NODE_REQ_READ_INDEX, .sink = &o->m.sink, .arena = arena_new((size_t) 1 << 16)};
    node_submit(o->m.node, &c->r);
    return c;
}

static void read_free(struct call *c)
{
    arena_free(c->r.arena);
    test_free(c);
}

/* The leader, id[0], gives the index of the question that came last. */
static void answer(struct others *o, raft_index index)
{
    struct raft_entry e = {.data = bytes_of(o->context->data, o->context->bytes)};
    struct raft_message m = {
        .type = RAFT_MSG_READ_INDEX_RESP, .term = 9, .index = index, .entries = &e, .entries_n = 1};

    others_say(o, 0, &m);
    others_settle(o);
}

/* Reads that come while the leader is being asked wake nobody, wait for a question of their own,
 * and are asked for as soon as the first ones have their answer. */
static void reads_during_a_round_wait_without_a_wake_up(void **state)
{
    struct others *o = test_malloc(sizeof *o);
    struct raft_message m = {
        .type = RAFT_MSG_APP, .term = 9, .index = 3, .log_term = 1, .commit = 3};
    struct call *c[3];

    (void) state;
    others_init(o, 1);
    others_say(o, 0, &m);
    assert_true(member_run(&o->m, 50, NULL));
    c[0] = submit_read(o);
    assert_true(o->m.woken[NODE_RAFT]);
    others_settle(o);
    assert_int_equal(others_got(o, RAFT_MSG_READ_INDEX, NULL), 1);
    c[1] = submit_read(o);
    c[2] = submit_read(o);
    assert_false(o->m.woken[NODE_RAFT]);
    answer(o, 3);
    assert_true(c[0]->answered);
    assert_false(c[1]->answered);
    assert_int_equal(others_got(o, RAFT_MSG_READ_INDEX, NULL), 2);
    answer(o, 3);
    assert_true(c[1]->answered);
    assert_true(c[2]->answered);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(c[i]->r.result.err, API_OK);
        read_free(c[i]);
    }
    c[0] = submit_read(o); /* and behind the last round there is a wake-up again */
    assert_true(o->m.woken[NODE_RAFT]);
    others_settle(o);
    answer(o, 3);
    assert_true(c[0]->answered);
    read_free(c[0]);
    others_done(o);
    test_free(o);
}

/* The member stops while a round is under way: reads of the round, and those that woke nobody,
 * come back. */
static void reads_end_with_the_member(void **state)
{
    struct others *o = test_malloc(sizeof *o);
    struct raft_message m = {
        .type = RAFT_MSG_APP, .term = 9, .index = 3, .log_term = 1, .commit = 3};
    struct call *c[2];

    (void) state;
    others_init(o, 2);
    others_say(o, 0, &m);
    assert_true(member_run(&o->m, 50, NULL));
    c[0] = submit_read(o);
    others_settle(o);
    c[1] = submit_read(o);
    others_done(o);
    for (int i = 0; i < 2; i++) {
        assert_true(c[i]->answered);
        assert_int_equal(c[i]->r.result.err, API_STOPPED);
        read_free(c[i]);
    }
    test_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_during_a_round_wait_without_a_wake_up),
        cmocka_unit_test(reads_end_with_the_member),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
