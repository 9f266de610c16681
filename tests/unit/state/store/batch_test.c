#include "base/alloc.h"
#include "unit/state/store/store_writes.h"

static void batches_are_due_by_number_and_by_time(void **state)
{
    /* At 10,000 operations at once, else after 100 ms if there is anything at all. */
    (void) state;
    assert_false(store_batch_due(s, 1000));
    append(2, "x");
    assert_false(store_batch_due(s, 99));
    assert_true(store_batch_due(s, 100));
    for (int64_t i = 3; i < STORE_BATCH_OPS_DEFAULT + 2; i++)
        append(i, "x");
    assert_true(store_batch_due(s, 0));
    commit();
    assert_false(store_batch_due(s, 1000));
}

static void sealing_stops_while_too_many_batches_wait(void **state)
{
    /* The open batch then goes on growing; after a commit sealing works again and nothing is lost.
     */
    int64_t main = 2;
    struct store_view v;

    (void) state;
    for (;; main++) {
        append(main, "x");
        if (!store_seal(s))
            break;
    }
    assert_int_equal(main, 2 + STORE_BATCHES_MAX - 2);
    assert_false(store_batch_due(s, 1000));
    append(++main, "x");
    store_view_take(s, &v);
    for (int64_t i = 2; i <= main; i++)
        check_get(&v, i, "x");
    store_view_release(s, &v);
    assert_int_equal(store_commit(s, &e), 0);
    assert_true(store_seal(s));
    assert_int_equal(store_commit(s, &e), 0);
    store_view_take(s, &v);
    assert_int_equal(v.batches_n, 0);
    check_get(&v, main, "x");
    store_view_release(s, &v);
}

static void apply_is_told_to_pause_when_too_much_is_pending(void **state)
{
    /* Past STORE_PENDING_BYTES_MAX, until a commit has caught up. */
    int64_t main = 2;

    (void) state;
    while (!store_must_pause(s)) {
        uint8_t *p = store_key_append(s, main++, 0, false, 16 << 20);

        p[0] = 0;
        assert_true(main < 30);
    }
    assert_true(store_pending_bytes(s) > STORE_PENDING_BYTES_MAX);
    assert_true(main > 15);
    /* Not committed: 256 MiB on the simulated disk would prove nothing more. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(batches_are_due_by_number_and_by_time, setup, teardown),
        cmocka_unit_test_setup_teardown(sealing_stops_while_too_many_batches_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(apply_is_told_to_pause_when_too_much_is_pending, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
