#include "base/alloc.h"
#include "unit/state/store/store_writes.h"

static void defragmentation_goes_on_between_commits(void **state)
{
    /* Views and commits work during the steps; afterwards the file is small, holds the same, and
     * goes on taking commits; an old view still reads from the old file. */
    struct store_defrag *d;
    struct store_view before, after;
    bool done = false;
    int64_t main = 602;
    uint64_t size;
    uint32_t hash;

    (void) state;
    make_holes();
    size = store_db_size(s);
    store_view_take(s, &before);
    assert_int_equal(store_defrag_begin(s, &d, &e), 0);
    assert_int_equal(store_defrag_begin(s, &d, &e), ERR_AGAIN);
    while (!done) {
        if (main < 620) {
            append(main++, "new");
            store_put(s, STORE_AUTH, BYTES_LIT("authRevision"), BYTES_LIT("12345678"));
            store_set_applied(s, store_applied_index(s) + 1, 5);
            commit();
        }
        hash = hash_all();
        assert_int_equal(store_defrag_step(d, 20, &done, &e), 0);
    }
    store_defrag_end(d);
    assert_int_equal(hash_all(), hash);
    assert_true(store_db_size(s) < size / 2);
    check_get(&before, 601,
              "a value that takes some room in its page so that there are many pages");
    check_get(&before, 602, NULL);
    append(main, "last");
    commit();
    store_view_take(s, &after);
    check_get(&after, 502, "a value that takes some room in its page so that there are many pages");
    check_get(&after, 603, "new");
    check_get(&after, main, "last");
    store_view_release(s, &before);
    store_view_release(s, &after);
    check_whole("snap/db");
    store_close(s);
    open_store();
    store_view_take(s, &after);
    check_get(&after, main, "last");
    store_view_release(s, &after);
    assert_false(disk_exists(simdisk_disk(sim), "snap/db.tmp.defrag"));
}

static void defragment(void)
{
    struct store_defrag *d;
    bool done = false;

    assert_int_equal(store_defrag_begin(s, &d, &e), 0);
    while (!done)
        assert_int_equal(store_defrag_step(d, 1000, &done, &e), 0);
    store_defrag_end(d);
}

static void what_a_defragmentation_replaced_goes_in_pieces(void **state)
{
    /* The old file keeps its room while a view reads it, and gives it back page by page when none
     * does any more; the file in use loses nothing, not when the store is closed in the middle
     * either. */
    struct store_view v;
    uint64_t size, pages = 0;

    (void) state;
    make_holes();
    append(602, "new");
    commit();
    store_view_take(s, &v);
    size = store_db_size(s);
    defragment();
    assert_false(store_shed(s, 4096));
    check_get(&v, 602, "new");
    store_view_release(s, &v);
    adopt();
    append(603, "newer");
    commit();
    while (store_shed(s, 4096))
        pages++;
    assert_true(pages >= size / 4096 - 1);
    defragment();
    adopt();
    append(604, "newest");
    commit();
    assert_true(store_shed(s, 4096));
    check_whole("snap/db");
    store_close(s);
    open_store();
    check_whole("snap/db");
    store_view_take(s, &v);
    check_get(&v, 603, "newer");
    check_get(&v, 604, "newest");
    store_view_release(s, &v);
    assert_false(store_shed(s, 4096));
}

static void a_defragmentation_that_fails_or_is_cut_off_changes_nothing(void **state)
{
    /* Each call to the disk fails once; then the power is cut at each one: the data is the same. */
    uint32_t hash;

    (void) state;
    make_holes();
    hash = hash_all();
    for (uint64_t nth = 1; nth < 60; nth++) {
        struct store_defrag *d = NULL;
        bool done = false;
        int rc;

        if (nth % 2 == 0)
            simdisk_cut_after(sim, nth / 2);
        else
            simdisk_fail(sim, SIM_CHANGES & ~(unsigned) SIM_SYNC_DIR, nth / 2 + 1, ERR_IO, false);
        rc = store_defrag_begin(s, &d, &e);
        while (rc == 0 && !done) {
            if (nth % 2 == 0 && simdisk_calls(sim, SIM_RENAME) > 0)
                break; /* a directory that cannot be synced stops the process: not here */
            rc = store_defrag_step(d, 30, &done, &e);
        }
        simdisk_fail(sim, 0, 0, 0, false);
        store_defrag_end(d);
        if (nth % 2 == 0) {
            simdisk_crash(sim, SIM_CRASH_TEAR);
            store_close(s);
            open_store();
        }
        assert_int_equal(hash_all(), hash);
        if (done)
            break;
    }
}

static void leftovers_of_a_defragmentation_go_at_start(void **state)
{
    /* db.tmp* of the same directory, ours or etcd's; nothing else. */
    (void) state;
    store_close(s);
    simdisk_put_file(sim, "snap/db.tmp.1234567", "x", 1);
    simdisk_put_file(sim, "snap/db.tmp.defrag", "x", 1);
    simdisk_put_file(sim, "snap/0000000000000002-0000000000000003.snap", "x", 1);
    open_store();
    assert_false(disk_exists(simdisk_disk(sim), "snap/db.tmp.1234567"));
    assert_false(disk_exists(simdisk_disk(sim), "snap/db.tmp.defrag"));
    assert_true(disk_exists(simdisk_disk(sim), "snap/0000000000000002-0000000000000003.snap"));
}

static void a_refused_opening_takes_no_leftovers(void **state)
{
    /* Whoever cannot have the file may not remove the copy that its owner is just making. */
    struct store_config cfg = {.disk = simdisk_disk(sim), .path = "snap/db"};
    struct store *other = NULL;

    (void) state;
    simdisk_put_file(sim, "snap/db.tmp.defrag", "x", 1);
    assert_int_equal(store_open(&cfg, &other, &e), ERR_LOCKED);
    assert_true(disk_exists(simdisk_disk(sim), "snap/db.tmp.defrag"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defragmentation_goes_on_between_commits, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_defragmentation_replaced_goes_in_pieces, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_defragmentation_that_fails_or_is_cut_off_changes_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(leftovers_of_a_defragmentation_go_at_start, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_refused_opening_takes_no_leftovers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
