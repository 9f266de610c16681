#include "base/alloc.h"
#include "unit/state/store/store_writes.h"

static void applied_index_and_data_survive_a_power_cut_together(void **state)
{
    /* Whatever call the power fails at, the file holds the state of one sealed batch, with its
     * index. */
    (void) state;
    for (uint64_t nth = 1; nth < 40; nth++) {
        struct store_view v;
        struct bytes got;
        uint64_t index;

        simdisk_cut_after(sim, nth);
        for (uint64_t i = 1; i <= 4; i++) {
            append((int64_t) (store_applied_index(s) + 2), "value");
            store_set_applied(s, store_applied_index(s) + 1, 3);
            store_seal(s);
            if (store_commit(s, &e) != 0)
                break;
        }
        simdisk_crash(sim, SIM_CRASH_TEAR);
        store_close(s);
        open_store();
        index = store_applied_index(s);
        assert_int_equal(store_applied_term(s), index == 0 ? 0 : 3);
        store_view_take(s, &v);
        assert_int_equal(store_view_get(&v, (int64_t) index + 1, 0, &got), index > 0);
        assert_false(store_view_get(&v, (int64_t) index + 2, 0, &got));
        store_view_release(s, &v);
        check_whole("snap/db");
    }
    assert_true(store_applied_index(s) > 40);
}

static void a_failed_write_is_an_error_of_the_commit(void **state)
{
    /* The caller learns that it has to stop. */
    (void) state;
    append(2, "x");
    store_seal(s);
    simdisk_fail(sim, SIM_SYNC, 1, ERR_IO, true);
    assert_int_equal(store_commit(s, &e), ERR_IO);
    assert_non_null(strstr(e.msg, "commit batch"));
    simdisk_fail(sim, SIM_SYNC, 0, 0, false);
}

static enum store_keep keep_even(void *ctx, const struct store_record *r)
{
    int *stops = ctx;

    if (r->main == 50 && *stops > 0) {
        --*stops;
        return STORE_STOP;
    }
    return r->main % 2 == 0 ? STORE_KEEP : STORE_REMOVE;
}

static void compaction_removes_in_small_steps_and_says_when_it_is_done(void **state)
{
    /* Up to main_max only; a record that is not decided yet is asked about again;
     * finishedCompactRev comes with the last step; a view from before sees everything. */
    int stops = 2;
    struct store_compact c = {.main_max = 90, .records = 7, .decide = keep_even, .ctx = &stops};
    struct store_view old, new;
    struct bytes got;
    bool done = false;
    int steps = 0;

    (void) state;
    for (int64_t main = 2; main <= 100; main++)
        append(main, "value");
    commit();
    store_view_take(s, &old);
    for (; !done; steps++) {
        assert_false(store_get(s, STORE_META, BYTES_LIT(STORE_META_FINISHED_COMPACT), &got));
        assert_int_equal(store_compact_step(s, &c, &done, &e), 0);
        adopt();
    }
    assert_true(steps > 90 / 7);
    assert_int_equal(c.scanned, 89);
    assert_int_equal(c.removed, 44);
    assert_true(store_get(s, STORE_META, BYTES_LIT(STORE_META_FINISHED_COMPACT), &got));
    assert_int_equal(got.n, STORE_REV_KEY_BYTES);
    store_view_take(s, &new);
    for (int64_t main = 2; main <= 100; main++) {
        check_get(&old, main, "value");
        check_get(&new, main, main > 90 || main % 2 == 0 ? "value" : NULL);
    }
    store_view_release(s, &old);
    store_view_release(s, &new);
    check_whole("snap/db");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(applied_index_and_data_survive_a_power_cut_together, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_failed_write_is_an_error_of_the_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(compaction_removes_in_small_steps_and_says_when_it_is_done,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
