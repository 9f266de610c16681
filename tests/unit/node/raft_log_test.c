#define _GNU_SOURCE
#include "base/alloc.h"
#include "node/node_int.h"
#include "unit/node/lone.h"

#define PUTS (2 * NODE_LOG_ALONE_ENTRIES_MAX)

static int entries(struct node *n, raft_index lo, raft_index hi, struct raft_entry_list *ret)
{
    struct raft_storage *s = raft_memory_storage_base(n->raft.log);

    return s->ops->entries(s, lo, hi, UINT64_MAX, ret);
}

/* A lone member that has taken many puts. */
static struct member *loaded(struct simdisk *disk)
{
    struct member *m = lone_fresh(disk, 1);

    for (int i = 0; i < PUTS; i++)
        assert_int_equal(member_put(m, "key", "value"), i + 2);
    assert_true(member_run(m, 1000, NULL));
    return m;
}

/* Only the newest entries stay in memory, and the others come back from the write-ahead log as they
 * were: first with a request for patience, then all of them. */
static void old_entries_are_read_back(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = loaded(disk);
    struct raft_memory_usage u = raft_memory_storage_usage(m->node->raft.log);
    struct raft_entry_list got = {0};

    (void) state;
    assert_true(u.entries <= NODE_LOG_ALONE_ENTRIES_MAX);
    assert_true(u.first_in_memory > PUTS / 2);
    assert_int_equal(entries(m->node, 1, u.first_in_memory, &got), ERR_AGAIN);
    assert_true(member_run(m, 100, NULL));
    assert_int_equal(entries(m->node, 1, u.first_in_memory, &got), 0);
    assert_int_equal(got.n, u.first_in_memory - 1);
    for (size_t i = 0; i < got.n; i++)
        assert_int_equal(got.v[i].index, i + 1);
    assert_int_equal(got.v[0].type, RAFT_ENTRY_CONF_CHANGE);
    assert_non_null(memmem(got.v[got.n - 1].data.p, got.v[got.n - 1].data.n, "value", 5));
    raft_entry_list_done(&got);
    lone_end(m, disk);
}

/* Reading back begins near what is wanted: what lies further back, even in the same segment, is not
 * looked at (it is damaged here). */
static void reading_back_begins_near(void **state)
{
    static const char *const segment = "/data/member/wal/0000000000000000-0000000000000000.wal";
    struct simdisk *disk = simdisk_new(4);
    struct member *m = lone_new(disk, 4);
    struct raft_entry_list got = {0};
    char value[30000];
    raft_index first;

    (void) state;
    m->cfg.wal_segment_bytes = 8 * NODE_LOG_MARK_BYTES;
    lone_open(m);
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (size_t bytes = 0; bytes < 3 * NODE_LOG_MARK_BYTES; bytes += sizeof value)
        assert_true(member_put(m, "large", value) > 0);
    assert_true(member_run(m, 1000, NULL));
    first = raft_memory_storage_usage(m->node->raft.log).first_in_memory;
    simdisk_flip(disk, segment, 3000, 1);
    assert_int_equal(entries(m->node, first - 2, first, &got), ERR_AGAIN);
    assert_true(member_run(m, 100, NULL));
    assert_int_equal(entries(m->node, first - 2, first, &got), 0);
    assert_int_equal(got.n, 2);
    simdisk_flip(disk, segment, 3000, 1);
    raft_entry_list_done(&got);
    lone_end(m, disk);
}

static size_t bytes_of_all(const struct raft_entry_list *l)
{
    size_t bytes = 0;

    for (size_t i = 0; i < l->n; i++)
        bytes += l->v[i].data.n;
    return bytes;
}

/* While something is written a follower gets small pieces of the log, with rests; else much. */
static void pieces_are_small_beside_writes(void **state)
{
    struct simdisk *disk = simdisk_new(5);
    struct member *m = lone_fresh(disk, 5);
    struct raft_entry_list got = {0};
    char value[30000];
    raft_index first;

    (void) state;
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (size_t bytes = 0; bytes < 20 * NODE_LOG_READ_BESIDE_BYTES; bytes += sizeof value)
        assert_true(member_put(m, "large", value) > 0);
    assert_true(member_run(m, 1000, NULL));
    assert_true(member_put(m, "one", "more") > 0);
    first = raft_memory_storage_usage(m->node->raft.log).first_in_memory;
    assert_int_equal(entries(m->node, 1, first, &got), ERR_AGAIN);
    while (member_turn(m)) {
    }
    assert_int_equal(entries(m->node, 1, first, &got), ERR_AGAIN);
    assert_true(member_run(m, 20, NULL));
    assert_int_equal(entries(m->node, 1, first, &got), 0);
    assert_in_range(bytes_of_all(&got), NODE_LOG_READ_BESIDE_BYTES / 2,
                    NODE_LOG_READ_BESIDE_BYTES + sizeof value);
    raft_entry_list_clear(&got);

    assert_true(member_run(m, 1000, NULL));
    assert_int_equal(entries(m->node, first - 1, first, &got), ERR_AGAIN); /* makes room */
    assert_true(member_run(m, 100, NULL));
    assert_int_equal(entries(m->node, first - 1, first, &got), 0);
    raft_entry_list_clear(&got);
    assert_int_equal(entries(m->node, 1, first, &got), ERR_AGAIN);
    assert_true(member_run(m, 100, NULL));
    assert_int_equal(entries(m->node, 1, first, &got), 0);
    assert_true(bytes_of_all(&got) > 10 * NODE_LOG_READ_BESIDE_BYTES);
    raft_entry_list_done(&got);
    lone_end(m, disk);
}

/* What was read for one follower waits a few times while another asks, and then makes room. */
static void readers_take_turns(void **state)
{
    struct simdisk *disk = simdisk_new(2);
    struct member *m = loaded(disk);
    struct raft_entry_list got = {0};

    (void) state;
    assert_int_equal(entries(m->node, 3, 4, &got), ERR_AGAIN);
    assert_true(member_run(m, 100, NULL));
    for (int i = 0; i < NODE_LOG_READ_PATIENCE; i++)
        assert_int_equal(entries(m->node, 1, 3, &got), ERR_AGAIN);
    assert_int_equal(entries(m->node, 3, 4, &got), 0);
    assert_int_equal(entries(m->node, 1, 3, &got), ERR_AGAIN);
    assert_true(member_run(m, 100, NULL));
    assert_int_equal(entries(m->node, 1, 3, &got), 0);
    assert_int_equal(got.n, 3);
    raft_entry_list_done(&got);
    lone_end(m, disk);
}

/* A log that was read at a start leaves memory as soon as something is written. */
static void a_restart_keeps_no_more(void **state)
{
    struct simdisk *disk = simdisk_new(3);
    struct member *m = loaded(disk);
    struct err e = ERR_INIT;

    (void) state;
    member_close(m);
    assert_int_equal(member_open(m, &e), 0);
    assert_true(member_run(m, 1000, NULL));
    assert_true(member_put(m, "one", "more") > 0);
    assert_true(member_run(m, 1000, NULL));
    assert_true(member_put(m, "and", "another") > 0);
    assert_true(raft_memory_storage_usage(m->node->raft.log).entries <= NODE_LOG_ALONE_ENTRIES_MAX);
    lone_end(m, disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_entries_are_read_back),
        cmocka_unit_test(reading_back_begins_near),
        cmocka_unit_test(pieces_are_small_beside_writes),
        cmocka_unit_test(readers_take_turns),
        cmocka_unit_test(a_restart_keeps_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
