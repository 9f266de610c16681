/* What the apply actor does of its own accord, and when it wants to run again. */
#include "node/node_int.h"
#include "unit/node/lone.h"

#define KEYS (4 * MVCC_INDEX_STEP_DEFAULT)
#define TICK_NS INT64_C(1000000)

/* A turn of the apply actor alone, a millisecond later. */
static int64_t turn(struct member *m)
{
    m->now += TICK_NS;
    return node_run(m->node, NODE_APPLY, m->now, clock_wall_ms(&m->clock));
}

/* A member whose compaction has begun in the index and is far from its end. */
static struct member *compacts(struct simdisk *disk)
{
    Etcdserverpb__CompactionRequest compact = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct member *m = lone_fresh(disk, 1);
    struct call *c;
    char key[16];

    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "k%d", i);
        compact.revision = member_put(m, key, "v");
    }
    c = member_propose(m, NODE_OP_COMPACTION, &compact.base);
    assert_int_equal(c->r.result.err, API_OK);
    call_free(c);
    assert_true(mvcc_compact_index_pending(m->node->apply.mvcc));
    return m;
}

/* It goes on at once, turn after turn, until it is through. */
static void a_compaction_goes_on_at_once(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = compacts(disk);
    int turns = 0;

    (void) state;
    while (mvcc_compact_index_pending(m->node->apply.mvcc)) {
        int64_t again = turn(m);

        assert_true(turns++ < KEYS);
        if (mvcc_compact_index_pending(m->node->apply.mvcc))
            assert_int_equal(again, 0);
    }
    lone_end(m, disk);
}

/* While the state is being replaced there is nothing that a turn could bring further: the actor
 * waits for the store, whose word wakes it, and neither for the compaction nor for a batch that is
 * never sealed. */
static void a_restore_is_waited_for_asleep(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = compacts(disk);

    (void) state;
    assert_true(store_pending_bytes(m->node->apply.store) > 0);
    atomic_store(&m->node->restoring, true);
    for (int i = 0; i < 300 && mvcc_reclaiming(m->node->apply.mvcc); i++)
        (void) turn(m);
    for (int i = 0; i < 300; i++)
        assert_true(turn(m) > TICK_NS);
    assert_true(mvcc_compact_index_pending(m->node->apply.mvcc));
    atomic_store(&m->node->restoring, false);
    assert_int_equal(turn(m), 0);
    lone_end(m, disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_compaction_goes_on_at_once),
        cmocka_unit_test(a_restore_is_waited_for_asleep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
