/* Ranges: their forms, limits, orders and filters. */
#include "unit/state/mvcc/kv_short.h"

static void put_some(void)
{
    put("a", "3");
    put("b", "2");
    put("b", "9");
    put("c", "1");
}

static void the_three_forms_of_a_range(void **state)
{
    /* One key; from a key on; from and to.  An end at or before the key is empty, not an error. */
    (void) state;
    put_some();
    assert_string_equal(range(from("b", BYTES_EMPTY)), "b=9@3/4/2 n=1");
    assert_string_equal(range(from("b", TO_THE_END)), "b=9@3/4/2 c=1@5/5/1 n=2");
    assert_string_equal(range(from("a", bytes_str("c"))), "a=3@2/2/1 b=9@3/4/2 n=2");
    assert_string_equal(range(from("c", bytes_str("a"))), "n=0");
    assert_string_equal(range(from("b", bytes_str("b"))), "n=0");
    assert_string_equal(range(from("d", BYTES_EMPTY)), "n=0");
}

static void limit_count_and_more(void **state)
{
    /* The limit cuts the answer, not the count; 0 and negative are no limit; count_only has
     * neither. */
    Etcdserverpb__RangeRequest r = from("a", TO_THE_END);

    (void) state;
    put_some();
    r.limit = 2;
    assert_string_equal(range(r), "a=3@2/2/1 b=9@3/4/2 n=3 more");
    r.limit = 3;
    assert_string_equal(range(r), "a=3@2/2/1 b=9@3/4/2 c=1@5/5/1 n=3");
    r.limit = -1;
    assert_string_equal(range(r), "a=3@2/2/1 b=9@3/4/2 c=1@5/5/1 n=3");
    r.limit = 1;
    r.count_only = true;
    assert_string_equal(range(r), "n=3");
}

static void order_comes_after_everything_is_fetched_or_not(void **state)
{
    /* A real order looks at all keys; an order of NONE with a target sorts only what the limit let
     * through. */
    Etcdserverpb__RangeRequest r = from("a", TO_THE_END);

    (void) state;
    put_some();
    r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    r.limit = 1;
    assert_string_equal(range(r), "a=3@2/2/1 n=3 more");
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    assert_string_equal(range(r), "c=1@5/5/1 n=3 more");
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    assert_string_equal(range(r), "b=9@3/4/2 n=3 more");
    r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY;
    assert_string_equal(range(r), "c=1@5/5/1 n=3 more");
    r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION;
    r.limit = 0;
    assert_string_equal(range(r), "b=9@3/4/2 a=3@2/2/1 c=1@5/5/1 n=3");
}

static void filters_leave_the_count_alone(void **state)
{
    /* They drop keys after the fetch; `more` is about what passed. */
    Etcdserverpb__RangeRequest r = from("a", TO_THE_END);

    (void) state;
    put_some();
    r.min_mod_revision = 4;
    assert_string_equal(range(r), "b=9@3/4/2 c=1@5/5/1 n=3");
    r.limit = 1;
    assert_string_equal(range(r), "b=9@3/4/2 n=3 more");
    r.max_create_revision = 3;
    assert_string_equal(range(r), "b=9@3/4/2 n=3");
}

static void keys_only_comes_from_the_index(void **state)
{
    /* Without value and, as in 3.7, without lease; with an order by value the lease is there. */
    Etcdserverpb__RangeRequest r = from("a", BYTES_EMPTY);
    struct mvcc_range *g;
    struct kv_fields f;
    struct bytes b;

    (void) state;
    put_with("a", "value", 7);
    r.keys_only = true;
    for (int by_value = 0; by_value < 2; by_value++) {
        if (by_value)
            r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
        assert_int_equal(mvcc_range(newest(), &r, &a, &g), 0);
        assert_true(mvcc_range_next(g, &b));
        kv_decode_stored(b, &f);
        assert_int_equal(f.value.n, 0);
        assert_int_equal(f.version, 1);
        assert_int_equal(f.lease, by_value ? 7 : 0);
        assert_int_equal(mvcc_range_info(g)->kvs_bytes, range_kv_field_bytes(b.n));
    }
}

static void reads_without_memory_are_refused(void **state)
{
    /* Whatever allocation fails, and in an arena that is too small: ERR_NOMEM, and the next try
     * works. */
    Etcdserverpb__RangeRequest r = from("a", TO_THE_END);
    struct mvcc_range *g;
    struct arena small;
    int rc = ERR_NOMEM;

    (void) state;
    for (int i = 0; i < 500; i++) {
        char key[16];

        snprintf(key, sizeof key, "a%d", i);
        put(key, "value");
    }
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    newest();
    for (size_t bytes = 64; rc != 0; bytes *= 2) {
        arena_init(&small, bytes);
        rc = mvcc_range(view, &r, &small, &g);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        assert_true(rc == ERR_NOMEM || bytes > 500 * sizeof(struct range_ref));
        arena_done(&small);
    }
    for (uint64_t n = 1; n < 50; n++) {
        arena_init(&small, SIZE_MAX);
        mem_fail_after(n, false);
        rc = mvcc_range(view, &r, &small, &g);
        mem_fail_after(0, false);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        arena_done(&small);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_three_forms_of_a_range),
        TEST(limit_count_and_more),
        TEST(order_comes_after_everything_is_fetched_or_not),
        TEST(filters_leave_the_count_alone),
        TEST(keys_only_comes_from_the_index),
        TEST(reads_without_memory_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
