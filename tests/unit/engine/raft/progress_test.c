/* Flow control towards one follower. */
#include "lib/cm.h"

#include "engine/raft/progress.h"

static struct raft_progress replicating(uint32_t max, uint64_t bytes_max)
{
    struct raft_progress p = {
        .id = 2, .next = 1, .inflights = {.max = max, .bytes_max = bytes_max}};

    raft__progress_become_replicate(&p);
    return p;
}

/* The window holds as many appends as allowed, is freed in order, and survives its ring turning
 * round and growing. */
static void window_by_count(void **state)
{
    struct raft_progress p = replicating(40, 0);
    raft_index acked = 0;

    (void) state;
    for (int round = 0; round < 200; round++) {
        while (!raft__inflights_full(&p.inflights))
            raft__progress_sent_entries(&p, 1 + (size_t) round % 3, 10);
        assert_int_equal(p.inflights.n, 40);
        acked += 1 + (raft_index) round % 7;
        assert_true(raft__progress_maybe_update(&p, acked));
        raft__inflights_free_to(&p.inflights, acked);
        raft__progress_check(&p);
        if (p.inflights.n > 0)
            assert_true(p.inflights.ring[p.inflights.start].index > acked);
    }
    raft__inflights_done(&p.inflights);
}

/* The window is full, too, when it holds the bytes allowed. */
static void window_by_bytes(void **state)
{
    struct raft_progress p = replicating(100, 50);

    (void) state;
    raft__progress_sent_entries(&p, 1, 30);
    assert_false(raft__progress_paused(&p));
    raft__progress_sent_entries(&p, 1, 30);
    assert_true(raft__progress_paused(&p));
    raft__inflights_free_to(&p.inflights, 1);
    assert_false(raft__inflights_full(&p.inflights));
    raft__inflights_done(&p.inflights);
}

/* Rejections: an old one is ignored, a new one moves the search, never below what is acknowledged.
 */
static void rejections(void **state)
{
    struct raft_progress p = replicating(10, 0);

    (void) state;
    assert_true(raft__progress_maybe_update(&p, 5));
    assert_false(raft__progress_maybe_update(&p, 5));
    assert_false(raft__progress_maybe_decrease(&p, 5, 3));
    raft__progress_sent_entries(&p, 4, 0);
    assert_true(raft__progress_maybe_decrease(&p, 9, 9));
    assert_int_equal(p.next, 6);
    raft__progress_become_probe(&p);
    p.next = 10;
    raft__progress_sent_entries(&p, 1, 0);
    assert_true(raft__progress_paused(&p));
    raft__progress_sent_entries(&p, 0, 0);
    assert_true(raft__progress_paused(&p));
    assert_false(raft__progress_maybe_decrease(&p, 8, 7));
    assert_true(raft__progress_maybe_decrease(&p, 9, 7));
    assert_int_equal(p.next, 8);
    assert_false(raft__progress_paused(&p));
    assert_true(raft__progress_maybe_decrease(&p, 7, 0));
    assert_int_equal(p.next, 6);
    raft__inflights_done(&p.inflights);
}

/* After a snapshot the search goes on behind it, unless it is known to be lost. */
static void after_a_snapshot(void **state)
{
    struct raft_progress p = replicating(10, 0);

    (void) state;
    raft__progress_become_snapshot(&p, 20);
    assert_true(raft__progress_paused(&p));
    assert_int_equal(p.next, 21);
    raft__progress_become_probe(&p);
    assert_int_equal(p.next, 21);
    raft__progress_become_snapshot(&p, 30);
    p.pending_snapshot = 0;
    raft__progress_become_probe(&p);
    assert_int_equal(p.next, 1);
    assert_int_equal(p.sent_commit, 0);
}

/* A message just for the commit index is sent only when it would say something new. */
static void commit_bumps(void **state)
{
    struct raft_progress p = replicating(10, 0);

    (void) state;
    p.next = 11;
    p.sent_commit = 5;
    assert_true(raft__progress_can_bump_commit(&p, 6));
    assert_false(raft__progress_can_bump_commit(&p, 5));
    p.sent_commit = 10;
    assert_false(raft__progress_can_bump_commit(&p, 12)); /* it has no entries to commit */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(window_by_count), cmocka_unit_test(window_by_bytes),
        cmocka_unit_test(rejections),      cmocka_unit_test(after_a_snapshot),
        cmocka_unit_test(commit_bumps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
