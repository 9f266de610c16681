#include "base/alloc.h"
#include "unit/state/store/store_writes.h"

static void an_empty_store_is_as_large_as_etcds(void **state)
{
    /* Five pages ever used, four of them in use, however many small commits came before: what
     * etcd's Status shows for a fresh member. */
    (void) state;
    for (uint64_t i = 1; i <= 6; i++) {
        store_put(s, STORE_MEMBERS, BYTES_LIT("8e9e05c52164694d"), BYTES_LIT("{\"id\":1}"));
        store_set_applied(s, i, 2);
        commit();
        adopt();
    }
    assert_int_equal(store_db_size(s), 20480);
    assert_int_equal(store_db_size_in_use(s), 16384);
}

static void revision_keys_have_one_form(void **state)
{
    /* 17 bytes, 18 for a tombstone; everything else is refused. */
    uint8_t p[STORE_REV_KEY_BYTES_MAX];
    int64_t main, sub;
    bool tombstone;

    (void) state;
    assert_int_equal(store_rev_key_put(p, 0x0102030405060708, 9, false), 17);
    assert_memory_equal(p, "\x01\x02\x03\x04\x05\x06\x07\x08_\0\0\0\0\0\0\0\x09", 17);
    assert_true(store_rev_key_get(bytes_of(p, 17), &main, &sub, &tombstone));
    assert_int_equal(main, 0x0102030405060708);
    assert_int_equal(sub, 9);
    assert_false(tombstone);
    assert_int_equal(store_rev_key_put(p, 3, 0, true), 18);
    assert_int_equal(p[17], 't');
    assert_true(store_rev_key_get(bytes_of(p, 18), &main, &sub, &tombstone));
    assert_true(tombstone);
    assert_false(store_rev_key_get(bytes_of(p, 16), &main, &sub, &tombstone));
    p[17] = 'x';
    assert_false(store_rev_key_get(bytes_of(p, 18), &main, &sub, &tombstone));
    p[8] = '-';
    assert_false(store_rev_key_get(bytes_of(p, 17), &main, &sub, &tombstone));
    p[8] = '_';
    p[0] = 0x80;
    assert_false(store_rev_key_get(bytes_of(p, 17), &main, &sub, &tombstone));
}

static void a_file_whose_last_key_is_no_revision_is_refused(void **state)
{
    /* Opening says what is wrong instead of building on it. */
    struct store_config cfg = {.disk = simdisk_disk(sim), .path = "snap/db", .map_bytes = 1 << 26};
    struct bolt_bucket b;
    struct bolt_db *db;
    struct bolt_tx *tx;

    (void) state;
    store_close(s);
    assert_int_equal(bolt_open(simdisk_disk(sim), "snap/db", NULL, &db, &e), 0);
    assert_int_equal(bolt_begin_write(db, &tx, &e), 0);
    assert_int_equal(bolt_bucket_get(tx, BYTES_LIT("key"), &b, &e), 0);
    assert_int_equal(bolt_put(&b, BYTES_LIT("nonsense"), BYTES_LIT(""), &e), 0);
    assert_int_equal(bolt_commit(tx, &e), 0);
    bolt_close(db);
    s = NULL;
    assert_int_equal(store_open(&cfg, &s, &e), ERR_STORE_BAD_REVISION_KEY);
}

static void reading_only_leaves_the_file_alone(void **state)
{
    /* Tools open a file that nothing may be written to. */
    struct store_config cfg = {
        .disk = simdisk_disk(sim), .path = "snap/db", .map_bytes = 1 << 26, .read_only = true};
    struct store_view v;
    uint64_t changes;

    (void) state;
    append(2, "x");
    commit();
    store_close(s);
    changes = simdisk_calls(sim, SIM_CHANGES);
    assert_int_equal(store_open(&cfg, &s, &e), 0);
    store_view_take(s, &v);
    check_get(&v, 2, "x");
    store_view_release(s, &v);
    assert_int_equal(simdisk_calls(sim, SIM_CHANGES), changes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_store_is_as_large_as_etcds, setup, teardown),
        cmocka_unit_test_setup_teardown(revision_keys_have_one_form, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_whose_last_key_is_no_revision_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(reading_only_leaves_the_file_alone, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
