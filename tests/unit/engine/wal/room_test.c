/* room_test.c -- a log on a disk that has no more room: nothing is written that could be refused
 * half way. */
#include "wal_lib.h"

#define SEGMENT 65536
#define ENTRY 3000

static int setup(void **state)
{
    *state = simdisk_new(1);
    return 0;
}

static int teardown(void **state)
{
    simdisk_free(*state);
    return 0;
}

/* Appends entries from `from` on until there is no room; returns the first that was refused. */
static raft_index fill(struct wal *w, raft_index from)
{
    struct err e = ERR_INIT;
    int rc;

    while ((rc = test_append(w, from, 1, 1, ENTRY, &e)) == 0)
        assert_true(++from < 1000);
    assert_int_equal(rc, ERR_NO_SPACE);
    return from;
}

static void check_reopened(struct simdisk *s, raft_index last)
{
    struct wal_contents c;
    struct wal *w = test_open(s, SEGMENT, &c);

    test_check_entries(&c.entries, 1, last);
    assert_false(c.repaired);
    wal_contents_done(&c);
    wal_close(w);
}

/* The batch that crosses the end of a segment is refused whole when there is no room behind it; the
 * log is not poisoned, and takes it when there is room. */
static void refused_and_taken_later(void **state)
{
    struct simdisk *s = *state;
    struct wal *w = test_create(s, SEGMENT);
    raft_index next;

    simdisk_set_full(s, "wal");
    next = fill(w, 1);
    assert_in_range(next, SEGMENT / ENTRY - 4, SEGMENT / ENTRY + 1);
    assert_int_equal(wal_durable_index(w), next - 1);
    assert_int_equal(fill(w, next), next);
    simdisk_set_full(s, NULL);
    for (raft_index i = next; i < next + 60; i++)
        assert_int_equal(test_append(w, i, 1, 1, ENTRY, NULL), 0);
    wal_close(w);
    check_reopened(s, next + 59);
}

/* With a segment ready the present one ends early, and all of the ready one is used. */
static void a_ready_segment_is_begun_early(void **state)
{
    struct simdisk *s = *state;
    struct wal *w = test_create(s, SEGMENT);
    struct wal_stats st;
    raft_index next;

    assert_int_equal(wal_prepare(w, NULL), 0);
    simdisk_set_capacity(s, 2 * SEGMENT);
    next = fill(w, 1);
    assert_in_range(next, 2 * (SEGMENT / ENTRY - 4), 2 * (SEGMENT / ENTRY + 1));
    wal_stats(w, &st);
    assert_int_equal(st.cuts, 1);
    assert_true(wal_room_bytes(w) < 3 * 4096 + ENTRY);
    simdisk_crash(s, SIM_CRASH_DROP);
    wal_close(w);
    check_reopened(s, next - 1);
}

/* A log is opened on a full disk, too, and what was taken before is there. */
static void opened_without_room(void **state)
{
    struct simdisk *s = *state;
    struct wal *w = test_create(s, SEGMENT);
    struct wal_contents c;
    raft_index next;

    simdisk_set_capacity(s, SEGMENT);
    next = fill(w, 1);
    simdisk_crash(s, SIM_CRASH_DROP);
    wal_close(w);
    w = test_open(s, SEGMENT, &c);
    test_check_entries(&c.entries, 1, next - 1);
    wal_contents_done(&c);
    assert_int_equal(fill(w, next), next);
    simdisk_set_capacity(s, 0);
    assert_int_equal(test_append(w, next, 1, 1, ENTRY, NULL), 0);
    wal_close(w);
    check_reopened(s, next);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(refused_and_taken_later),
        T(a_ready_segment_is_begun_early),
        T(opened_without_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
