#include "base/alloc.h"
#include "unit/state/store/store_writes.h"

static void a_copy_is_the_file_at_one_moment(void **state)
{
    /* Pulled in odd pieces while commits go on, it opens as a store with the state at the
     * beginning. */
    struct store_copy *c;
    uint8_t *p;
    size_t n = 0, got;
    uint32_t hash;

    (void) state;
    make_holes();
    hash = hash_all();
    assert_int_equal(store_copy_begin(s, &c, &e), 0);
    p = xmem_alloc(store_copy_bytes(c));
    do {
        assert_int_equal(
            store_copy_read(c, p + n, MIN((size_t) 3001, store_copy_bytes(c) - n), &got, &e), 0);
        n += got;
        append(602 + (int64_t) n, "later");
        commit();
        adopt();
    } while (got > 0 && n < store_copy_bytes(c));
    assert_int_equal(n, store_copy_bytes(c));
    store_copy_end(c);
    store_close(s);
    simdisk_put_file(sim, "snap/db", p, n);
    mem_free(p);
    open_store();
    assert_int_equal(hash_all(), hash);
    assert_int_equal(store_applied_index(s), 601);
}

static void the_hash_leaves_out_what_differs_between_members(void **state)
{
    /* consistent_index, term and storageVersion do not count, everything else does. */
    uint32_t hash;

    (void) state;
    append(2, "x");
    store_set_applied(s, 1, 1);
    commit();
    hash = hash_all();
    store_put(s, STORE_META, BYTES_LIT(STORE_META_STORAGE_VERSION), BYTES_LIT("3.7.0"));
    store_set_applied(s, 9, 9);
    commit();
    assert_int_equal(hash_all(), hash);
    store_put(s, STORE_META, BYTES_LIT(STORE_META_CONF_STATE), BYTES_LIT("{}"));
    commit();
    assert_int_not_equal(hash_all(), hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_copy_is_the_file_at_one_moment, setup, teardown),
        cmocka_unit_test_setup_teardown(the_hash_leaves_out_what_differs_between_members, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
