#include "base/alloc.h"
#include "unit/state/store/store_writes.h"

static mono_ns test_now;

static mono_ns test_mono(struct clock *c)
{
    (void) c;
    return test_now;
}

static void a_view_that_is_kept_is_told(void **state)
{
    /* From the commit that made it old until it is let go of: since when, and how many bytes wait
     * for it; of the newest view nothing is said, however old it is. */
    struct clock clock = {.mono = test_mono};
    struct store_config cfg = {
        .disk = simdisk_disk(sim), .path = "snap/db", .map_bytes = 1 << 26, .clock = &clock};
    struct store_commit_times times;
    struct store_view old;

    (void) state;
    store_close(s);
    test_now = 5;
    assert_int_equal(store_open(&cfg, &s, &e), 0);
    append(2, "two");
    commit();
    adopt();
    store_view_take(s, &old);
    test_now = 70;
    assert_int_equal(store_commit(s, &e), 0); /* nothing to do: the view stays the newest */
    assert_int_equal(store_held_since_ns(s), 0);
    append(3, "three");
    commit();
    adopt();
    test_now = 90;
    for (int64_t main = 4; main < 8; main++) {
        append(main, "more");
        commit();
        adopt();
    }
    assert_int_equal(store_held_since_ns(s), 70);
    assert_true(store_held_bytes(s) > 0);
    store_last_commit(s, &times);
    assert_int_equal(times.write_ns, 0); /* by this clock */
    store_view_release(s, &old);
    append(9, "last");
    commit();
    adopt();
    append(10, "and one");
    commit();
    adopt();
    assert_int_equal(store_commit(s, &e), 0);
    assert_true(store_held_since_ns(s) == 0 || store_held_since_ns(s) == 90);
    cfg.clock = NULL;
    store_close(s);
    open_store();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_view_that_is_kept_is_told, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
