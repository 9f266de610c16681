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

static uint64_t cuts_of(const struct wal *w)
{
    struct wal_stats st;

    wal_stats(w, &st);
    return st.cuts;
}

/* A log with a segment ready on a disk that has no room for more. */
static struct wal *create_with_one_ready(struct simdisk *s)
{
    struct wal *w = test_create(s, SEGMENT);

    assert_int_equal(wal_prepare(w, NULL), 0);
    simdisk_set_capacity(s, 2 * SEGMENT);
    return w;
}

/* The entry for which the ready segment is begun. */
static raft_index first_in_ready_segment(void)
{
    struct simdisk *s = simdisk_new(1);
    struct wal *w = create_with_one_ready(s);
    raft_index next = 0;

    while (cuts_of(w) == 0)
        assert_int_equal(test_append(w, ++next, 1, 1, ENTRY, NULL), 0);
    wal_close(w);
    simdisk_free(s);
    return next;
}

/* A disk that says it is full in the middle of an early cut is not asked again: the log is
 * poisoned, and all that was taken is there afterwards. */
static void full_within_an_early_cut(void **state)
{
    static const unsigned calls[] = {SIM_TRUNCATE, SIM_SYNC, SIM_WRITE, SIM_RENAME, SIM_SYNC_DIR};

    raft_index next = first_in_ready_segment();

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        struct simdisk *s = simdisk_new(i);
        struct wal *w = create_with_one_ready(s);

        for (raft_index k = 1; k < next; k++)
            assert_int_equal(test_append(w, k, 1, 1, ENTRY, NULL), 0);
        simdisk_fail(s, calls[i], 1, ERR_NO_SPACE, false);
        assert_int_equal(test_append(w, next, 1, 1, ENTRY, NULL), ERR_IO);
        assert_int_equal(cuts_of(w), 1);
        simdisk_set_capacity(s, 0);
        assert_int_equal(test_append(w, next, 1, 1, ENTRY, NULL), ERR_WAL_POISONED);
        simdisk_crash(s, SIM_CRASH_DROP);
        wal_close(w);
        check_reopened(s, next - 1);
        simdisk_free(s);
    }
}

/* Nor is it where a batch is written: how much of it was kept is unknown. */
static void full_within_a_batch(void **state)
{
    static const unsigned calls[] = {SIM_WRITE, SIM_SYNC};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        struct simdisk *s = simdisk_new(i);
        struct wal *w = test_create(s, SEGMENT);

        simdisk_fail(s, calls[i], 1, ERR_NO_SPACE, false);
        assert_int_equal(test_append(w, 1, 1, 1, ENTRY, NULL), ERR_IO);
        assert_int_equal(test_append(w, 1, 1, 1, ENTRY, NULL), ERR_WAL_POISONED);
        wal_close(w);
        simdisk_free(s);
    }
}

/* A log whose last segment cannot be written anew is not opened (W6), full disk or not. */
static void not_opened_on_what_was_merely_read(void **state)
{
    static const unsigned calls[] = {SIM_WRITE, SIM_TRUNCATE, SIM_SYNC};
    struct simdisk *s = *state;
    struct wal *w = test_create(s, SEGMENT);

    assert_int_equal(test_append(w, 1, 1, 1, ENTRY, NULL), 0);
    wal_close(w);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        struct wal_options o = test_options(s, SEGMENT);
        struct wal_contents c;

        simdisk_fail(s, calls[i], 1, ERR_NO_SPACE, false);
        assert_int_equal(wal_open(&o, 0, 0, &c, &w, NULL), ERR_NO_SPACE);
    }
    simdisk_fail(s, 0, 0, 0, false);
    check_reopened(s, 1);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(refused_and_taken_later), T(a_ready_segment_is_begun_early),
        T(opened_without_room),     T(full_within_an_early_cut),
        T(full_within_a_batch),     T(not_opened_on_what_was_merely_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
