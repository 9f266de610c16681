#include "wire/raftpb.h"

#include "lib/cm.h"
#include "unit/wire/hex.h"

/* Ids are written one by one and read packed as well; auto_leave is always written. */
static void conf_state_forms(void **state)
{
    uint64_t ids[] = {1, 300, 0};
    struct raft_conf_state cs = {.voters = {ids, 3}}, got;
    uint8_t b[64];
    struct bytes out;
    struct arena a;

    (void) state;
    arena_init(&a, ARENA_MAX);
    out = bytes_of(b, (size_t) (raft_conf_state_put(&cs, b) - b));
    assert_int_equal(out.n, raft_conf_state_size(&cs));
    assert_true(bytes_eq(out, from_hex(&a, "0801 08ac02 0800 2800")));
    assert_int_equal(
        raft_conf_state_get(from_hex(&a, "0a04 01ac0200 0807 1201 05 2801"), &a, &got, NULL), 0);
    assert_int_equal(got.voters.n, 4);
    assert_int_equal(got.voters.v[1], 300);
    assert_int_equal(got.voters.v[3], 7);
    assert_int_equal(got.learners.n, 1);
    assert_int_equal(got.learners.v[0], 5);
    assert_true(got.auto_leave);
    assert_int_equal(raft_conf_state_get(from_hex(&a, "0a02 0180"), &a, &got, NULL), ERR_CORRUPT);
    assert_int_equal(raft_conf_state_get(from_hex(&a, "0a01 80"), &a, &got, NULL), ERR_CORRUPT);
    arena_done(&a);
}

/* A configuration change of a bootstrap, byte for byte, and one of version 2 there and back. */
static void conf_changes(void **state)
{
    struct raft_conf_change_single singles[] = {{RAFT_CONF_ADD_LEARNER_NODE, 9},
                                                {RAFT_CONF_ADD_NODE, 0}};
    struct raft_conf_change_v2 v2 = {RAFT_CONF_JOINT_EXPLICIT, singles, 2, BYTES_LIT("x")}, got2;
    struct raft_conf_change c = {0, RAFT_CONF_ADD_NODE, 5, BYTES_LIT("{}")}, got;
    uint8_t b[64];
    struct bytes out;
    struct arena a;

    (void) state;
    arena_init(&a, ARENA_MAX);
    out = bytes_of(b, (size_t) (raft_conf_change_put(&c, b) - b));
    assert_int_equal(out.n, raft_conf_change_size(&c));
    assert_true(bytes_eq(out, from_hex(&a, "1805 2202 7b7d")));
    assert_int_equal(raft_conf_change_get(from_hex(&a, "0800 1001 1805 2200"), &got, NULL), 0);
    assert_int_equal(got.type, RAFT_CONF_REMOVE_NODE);
    assert_int_equal(got.node_id, 5);
    out = bytes_of(b, (size_t) (raft_conf_change_v2_put(&v2, b) - b));
    assert_int_equal(out.n, raft_conf_change_v2_size(&v2));
    assert_int_equal(raft_conf_change_v2_get(out, &a, &got2, NULL), 0);
    assert_int_equal(got2.transition, RAFT_CONF_JOINT_EXPLICIT);
    assert_int_equal(got2.changes_n, 2);
    assert_int_equal(got2.changes[0].type, RAFT_CONF_ADD_LEARNER_NODE);
    assert_int_equal(got2.changes[0].node_id, 9);
    assert_int_equal(got2.changes[1].node_id, 0);
    assert_int_equal(got2.context.n, 1);
    arena_done(&a);
}

/* Sizes that the input chooses are checked before memory is taken. */
static void limits(void **state)
{
    struct raft_conf_state cs;
    struct raft_conf_change_v2 cc;
    struct arena a;
    struct buf b;

    (void) state;
    arena_init(&a, 65536);
    buf_init(&b, 4 << 20);
    for (int i = 0; i <= RAFTPB_CONF_IDS_MAX; i++)
        assert_true(buf_add(&b, "\x12\x00", 2));
    assert_int_equal(raft_conf_change_v2_get(buf_bytes(&b), &a, &cc, NULL), ERR_LIMIT);
    buf_clear(&b);
    for (int i = 0; i <= RAFTPB_CONF_IDS_MAX; i++)
        assert_true(buf_add(&b, "\x10\x01", 2));
    assert_int_equal(raft_conf_state_get(buf_bytes(&b), &a, &cs, NULL), ERR_LIMIT);
    buf_done(&b);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conf_state_forms),
        cmocka_unit_test(conf_changes),
        cmocka_unit_test(limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
