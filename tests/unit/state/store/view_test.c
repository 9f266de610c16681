#include "base/alloc.h"
#include "unit/state/store/store_writes.h"

static void records_are_seen_from_the_batch_and_from_the_file(void **state)
{
    /* A view sees what was written before it was taken, whether it is open, sealed or committed by
     * now, and nothing later. */
    struct store_view v1, v2, v3;

    (void) state;
    append(2, "two");
    store_view_take(s, &v1);
    append(3, "three");
    store_seal(s);
    append(4, "four");
    store_view_take(s, &v2);
    assert_int_equal(store_commit(s, &e), 0);
    append(5, "five");
    store_view_take(s, &v3);
    for (int round = 0; round < 2; round++) {
        check_get(&v1, 2, "two");
        check_get(&v1, 3, NULL);
        check_get(&v2, 3, "three");
        check_get(&v2, 4, "four");
        check_get(&v2, 5, NULL);
        check_get(&v3, 2, "two");
        check_get(&v3, 5, "five");
        commit();
        adopt();
    }
    store_view_release(s, &v2);
    check_get(&v1, 2, "two");
    store_view_release(s, &v1);
    store_view_release(s, &v3);
}

static void a_cursor_goes_through_file_and_batches_in_order(void **state)
{
    /* From any place on, every record once, tombstones too. */
    struct store_view v;
    struct store_cursor *c = xmem_alloc(store_cursor_bytes());
    struct store_record r;

    (void) state;
    for (int64_t main = 2; main <= 40; main++) {
        if (main % 3 == 0)
            assert_non_null(store_key_append(s, main, 0, true, 0));
        else
            append(main, "x");
        if (main == 10)
            commit();
        if (main == 20 || main == 30)
            store_seal(s);
    }
    store_view_take(s, &v);
    for (int64_t from = 0; from <= 42; from++) {
        int64_t want = from < 2 ? 2 : from;

        store_cursor_init(c, &v);
        store_cursor_seek(c, from, 0);
        for (; store_cursor_next(c, &r); want++) {
            assert_int_equal(r.main, want);
            assert_int_equal(r.tombstone, want % 3 == 0);
        }
        assert_int_equal(want, from > 41 ? from : 41);
    }
    store_view_release(s, &v);
    mem_free(c);
}

static void a_cursor_finds_single_records_in_any_order(void **state)
{
    /* Forwards, backwards and in leaps; a tombstone is no value. */
    struct store_view v;
    struct store_cursor *c = xmem_alloc(store_cursor_bytes());
    struct bytes got;

    (void) state;
    for (int64_t main = 2; main < 1000; main++) {
        if (main == 500)
            assert_non_null(store_key_append(s, main, 0, true, 0));
        else
            append(main, "value of some length");
        if (main == 800)
            commit();
    }
    store_view_take(s, &v);
    store_cursor_init(c, &v);
    for (int64_t i = 0; i < 5000; i++) {
        int64_t main = i < 1000 ? 2 + i % 998 : 2 + i * 7919 % 998;

        assert_int_equal(store_cursor_get(c, main, 0, &got), main != 500);
    }
    assert_false(store_cursor_get(c, 2, 1, &got));
    assert_false(store_cursor_get(c, 1000, 0, &got));
    store_view_release(s, &v);
    mem_free(c);
}

static void small_buckets_read_back_what_is_not_committed(void **state)
{
    /* The newest change counts: open batch, sealed batches, then the file. */
    struct bytes got;

    (void) state;
    assert_false(store_get(s, STORE_LEASE, BYTES_LIT("a"), &got));
    store_put(s, STORE_LEASE, BYTES_LIT("a"), BYTES_LIT("1"));
    assert_true(store_get(s, STORE_LEASE, BYTES_LIT("a"), &got));
    commit();
    adopt();
    assert_true(store_get(s, STORE_LEASE, BYTES_LIT("a"), &got));
    assert_memory_equal(got.p, "1", 1);
    store_put(s, STORE_LEASE, BYTES_LIT("a"), BYTES_LIT("2"));
    store_seal(s);
    assert_true(store_get(s, STORE_LEASE, BYTES_LIT("a"), &got));
    assert_memory_equal(got.p, "2", 1);
    assert_false(store_get(s, STORE_ALARM, BYTES_LIT("a"), &got));
    store_delete(s, STORE_LEASE, BYTES_LIT("a"));
    store_delete(s, STORE_LEASE, BYTES_LIT("absent"));
    assert_false(store_get(s, STORE_LEASE, BYTES_LIT("a"), &got));
    commit();
    adopt();
    assert_false(store_get(s, STORE_LEASE, BYTES_LIT("a"), &got));
}

static int count_pairs(void *ctx, struct bytes key, struct bytes value)
{
    (void) key;
    (void) value;
    ++*(int *) ctx;
    return 0;
}

static int stop_at_first(void *ctx, struct bytes key, struct bytes value)
{
    (void) ctx;
    (void) key;
    (void) value;
    return 42;
}

static void a_scan_gives_each_committed_pair_until_told_to_stop(void **state)
{
    /* In order, and the callback's own number comes back. */
    int n = 0;

    (void) state;
    store_put(s, STORE_AUTH_USERS, BYTES_LIT("u1"), BYTES_LIT("x"));
    store_put(s, STORE_AUTH_USERS, BYTES_LIT("u2"), BYTES_LIT(""));
    assert_int_equal(store_scan(s, STORE_AUTH_USERS, count_pairs, &n, &e), 0);
    assert_int_equal(n, 0);
    commit();
    assert_int_equal(store_scan(s, STORE_AUTH_USERS, count_pairs, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_int_equal(store_scan(s, STORE_AUTH_USERS, stop_at_first, &n, &e), 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_are_seen_from_the_batch_and_from_the_file, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_cursor_goes_through_file_and_batches_in_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_cursor_finds_single_records_in_any_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(small_buckets_read_back_what_is_not_committed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_scan_gives_each_committed_pair_until_told_to_stop, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
