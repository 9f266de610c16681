/* full_disk_test.c -- what happens to batches, removals and copies while the disk is full, and how
 * few transactions a compaction needs. */
#include "unit/state/store/store_rig.h"

#define RECORDS 600
#define VALUE_BYTES 4000

static void append(int64_t main)
{
    memset(store_key_append(s, main, 0, false, VALUE_BYTES), (int) (main & 0x7f), VALUE_BYTES);
    store_set_applied(s, (uint64_t) main, 1);
}

static bool has(int64_t main)
{
    struct store_view v;
    struct bytes got;
    bool found;

    store_view_take(s, &v);
    found = store_view_get(&v, main, 0, &got);
    assert_true(!found || got.n == VALUE_BYTES);
    assert_true(!found || got.p[VALUE_BYTES - 1] == (main & 0x7f));
    store_view_release(s, &v);
    return found;
}

static void fill(void)
{
    for (int64_t main = 2; main < 2 + RECORDS; main++)
        append(main);
    assert_true(store_seal(s));
    assert_int_equal(store_commit(s, &e), 0);
}

/* The file is filled, the disk full, and a sealed batch has the records 1000 to 1599. */
static void seal_on_full_disk(void)
{
    fill();
    simdisk_set_full(sim, "snap/db");
    for (int64_t main = 1000; main < 1600; main++)
        append(main);
    assert_true(store_seal(s));
}

static enum store_keep keep_none(void *ctx, const struct store_record *r)
{
    (void) ctx;
    (void) r;
    return STORE_REMOVE;
}

/* A batch that finds the disk full waits in memory, can be read, and goes into the file with those
 * behind it when there is room: nothing is lost, nothing is reopened. */
static void batches_wait_for_room(void **state)
{
    (void) state;
    seal_on_full_disk();
    assert_int_equal(store_commit(s, &e), ERR_NO_SPACE);
    assert_true(store_low_on_space(s));
    assert_int_equal(store_ask_room(s, &e), 0); /* a small file keeps no reserve */
    assert_true(store_low_on_space(s));         /* while batches wait */
    assert_true(store_pending_bytes(s) > 600 * VALUE_BYTES);
    assert_true(has(1599));
    append(1600);
    assert_true(store_seal(s));
    assert_int_equal(store_commit(s, &e), ERR_NO_SPACE);
    assert_true(has(1600));
    simdisk_set_full(sim, NULL);
    assert_int_equal(store_commit(s, &e), 0);
    assert_false(store_low_on_space(s));
    assert_int_equal(store_pending_bytes(s), 0);
    simdisk_crash(sim, SIM_CRASH_DROP);
    store_close(s);
    open_store();
    assert_int_equal(store_applied_index(s), 1600);
    for (int64_t main = 1000; main <= 1600; main++)
        assert_true(has(main));
}

/* A power cut while batches wait leaves the state before them, as whole as ever. */
static void a_power_cut_on_a_full_disk(void **state)
{
    (void) state;
    seal_on_full_disk();
    assert_int_equal(store_commit(s, &e), ERR_NO_SPACE);
    simdisk_crash(sim, SIM_CRASH_TEAR);
    store_close(s);
    open_store(); /* still full: opening needs no room */
    assert_int_equal(store_applied_index(s), 1 + RECORDS);
    assert_true(has(1 + RECORDS));
    assert_false(has(1000));
}

/* A disk that is found full by a write or a sync, when there is no way back, is no reason to wait:
 * the first commit that meets it says so, and what is in the file stays. */
static void full_in_the_midst_of_a_commit(void **state)
{
    static const unsigned calls[] = {SIM_WRITE, SIM_SYNC};

    (void) state;
    fill();
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        append(1000);
        assert_true(store_seal(s));
        simdisk_fail(sim, calls[i], 1, ERR_NO_SPACE, false);
        assert_int_equal(store_commit(s, &e), ERR_IO);
        assert_false(store_low_on_space(s));
        simdisk_crash(sim, SIM_CRASH_KEEP);
        store_close(s);
        open_store();
        assert_int_equal(store_applied_index(s), 1 + RECORDS);
        assert_true(has(1 + RECORDS));
        assert_false(has(1000));
    }
}

/* The same for removals, which are tried alone when batches have been refused. */
static void full_in_the_midst_of_removals(void **state)
{
    struct store_compact c = {.main_max = RECORDS, .records = 100, .decide = keep_none};
    bool done = false;

    (void) state;
    seal_on_full_disk();
    assert_int_equal(store_compact_step(s, &c, &done, &e), 0);
    simdisk_fail(sim, SIM_WRITE, 1, ERR_NO_SPACE, false);
    assert_int_equal(store_commit(s, &e), ERR_IO);
}

/* On a full disk a compaction goes on, and what it removes makes room for the batches that wait. */
static void compaction_makes_room(void **state)
{
    struct store_compact c = {.main_max = RECORDS, .records = 100, .decide = keep_none};
    bool done = false;
    int refused = 0;

    (void) state;
    seal_on_full_disk();
    while (!done) {
        int rc = store_commit(s, &e);

        assert_true(rc == 0 || rc == ERR_NO_SPACE);
        refused += rc != 0;
        assert_int_equal(store_compact_step(s, &c, &done, &e), 0);
        assert_true(has(1599));
    }
    assert_true(refused > 0);
    assert_int_equal(store_commit(s, &e), 0);
    assert_int_equal(store_pending_bytes(s), 0);
    assert_false(has(RECORDS));
    assert_true(has(1 + RECORDS));
    store_close(s);
    open_store();
    assert_int_equal(store_applied_index(s), 1599);
    assert_true(has(1000));
}

/* What a compaction removes goes with the commits of batches and has one of its own only at the
 * end; what was not committed by a power cut is found again by the next compaction. */
static void removals_ride_with_batches(void **state)
{
    struct store_compact c = {.main_max = RECORDS, .records = 100, .decide = keep_none};
    struct store_compact again = c;
    uint64_t commits;
    bool done = false;

    (void) state;
    fill();
    commits = store_commits(s);
    for (int i = 0; i < 3; i++)
        assert_int_equal(store_compact_step(s, &c, &done, &e), 0);
    assert_int_equal(store_commits(s), commits);
    assert_true(has(2));
    append(1000);
    assert_true(store_seal(s));
    assert_int_equal(store_commit(s, &e), 0);
    assert_int_equal(store_commits(s), commits + 1);
    assert_false(has(2));
    assert_false(has(301));
    assert_true(has(302));
    assert_int_equal(store_compact_step(s, &c, &done, &e), 0);
    simdisk_crash(sim, SIM_CRASH_DROP);
    store_close(s);
    open_store();
    assert_true(has(302));
    commits = store_commits(s);
    while (!done)
        assert_int_equal(store_compact_step(s, &again, &done, &e), 0);
    assert_int_equal(store_commits(s), commits + 1);
    assert_int_equal(again.removed, RECORDS - 1 - 300);
    assert_false(has(302));
    assert_false(has(RECORDS));
    assert_true(has(1 + RECORDS));
}

static enum store_keep keep_odd(void *ctx, const struct store_record *r)
{
    (void) ctx;
    return r->main % 2 != 0 ? STORE_KEEP : STORE_REMOVE;
}

/* Among large records that stay fewer are removed at once: a commit copies what lies beside them.
 */
static void removals_beside_large_records(void **state)
{
    struct store_compact c = {.main_max = 101, .records = 1000, .decide = keep_odd};
    uint64_t commits;
    bool done = false;

    (void) state;
    for (int64_t main = 2; main <= 101; main++)
        memset(store_key_append(s, main, 0, false, 1 << 20), 'l', 1 << 20);
    assert_true(store_seal(s));
    assert_int_equal(store_commit(s, &e), 0);
    commits = store_commits(s);
    while (!done)
        assert_int_equal(store_compact_step(s, &c, &done, &e), 0);
    assert_in_range(store_commits(s) - commits, 3, 5);
    assert_int_equal(c.scanned, 100);
    assert_int_equal(c.removed, 50);
}

/* A compaction that was given up leaves removals behind that are harmless: they go with the next
 * commit, before a defragmentation, and are no error to a compaction that comes after. */
static void a_compaction_given_up(void **state)
{
    struct store_compact c = {.main_max = RECORDS, .records = 100, .decide = keep_none};
    struct store_compact again = c;
    struct store_defrag *d;
    bool done = false;

    (void) state;
    fill();
    assert_int_equal(store_compact_step(s, &c, &done, &e), 0);
    assert_int_equal(store_compact_step(s, &again, &done, &e), 0);
    assert_int_equal(store_defrag_begin(s, &d, &e), 0);
    assert_false(has(2));
    assert_true(has(102));
    assert_int_equal(store_compact_step(s, &again, &done, &e), 0); /* rests: S3 */
    assert_int_equal(again.scanned, 100);
    while (!done)
        assert_int_equal(store_defrag_step(d, 100, &done, &e), 0);
    store_defrag_end(d);
    for (done = false; !done;)
        assert_int_equal(store_compact_step(s, &again, &done, &e), 0);
    assert_false(has(RECORDS));
    assert_true(has(1 + RECORDS));
}

/* A defragmentation that finds no room gives up, says so, and leaves nothing behind. */
static void defragmentation_without_room(void **state)
{
    struct store_defrag *d;
    bool done = false;
    int rc;

    (void) state;
    fill();
    simdisk_set_full(sim, "db.tmp");
    rc = store_defrag_begin(s, &d, &e);
    if (rc == 0) {
        while (rc == 0 && !done)
            rc = store_defrag_step(d, 100, &done, &e);
        store_defrag_end(d);
    }
    assert_int_equal(rc, ERR_NO_SPACE);
    assert_false(disk_exists(simdisk_disk(sim), "snap/db.tmp.defrag"));
    assert_true(has(2));
    append(1000);
    assert_true(store_seal(s));
    assert_int_equal(store_commit(s, &e), 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(batches_wait_for_room),         T(a_power_cut_on_a_full_disk),
        T(compaction_makes_room),         T(removals_ride_with_batches),
        T(a_compaction_given_up),         T(defragmentation_without_room),
        T(removals_beside_large_records), T(full_in_the_midst_of_a_commit),
        T(full_in_the_midst_of_removals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
