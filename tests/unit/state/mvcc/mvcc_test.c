/* Writes: revisions, leases, and the stored form. */
#include "unit/state/mvcc/kv_short.h"

static void revisions_count_changes_from_two_on(void **state)
{
    /* An empty store is at 1; a write that changes nothing takes no revision. */
    (void) state;
    assert_int_equal(mvcc_revision(kv), 1);
    assert_int_equal(del("absent"), 1);
    assert_int_equal(put("a", "1"), 2);
    assert_int_equal(put("a", "2"), 3);
    assert_int_equal(del("a"), 4);
    assert_int_equal(del("a"), 4);
    assert_int_equal(put("a", "3"), 5);
    assert_string_equal(get_at("a", 0), "a=3@5/5/1 n=1");
    assert_string_equal(get_at("a", 3), "a=2@2/3/2 n=1");
    assert_string_equal(get_at("a", 4), "n=0");
    restart();
    assert_int_equal(mvcc_revision(kv), 5);
    assert_string_equal(get_at("a", 3), "a=2@2/3/2 n=1");
}

static void a_record_that_is_no_key_value_is_damage(void **state)
{
    /* Opening names the record and refuses. */
    struct mvcc *other;
    uint8_t *p = store_key_append(s, 2, 0, false, 3);

    (void) state;
    memcpy(p, "\x0a\xff\x01", 3);
    commit();
    assert_int_equal(mvcc_open(s, NULL, &other, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.msg, "record 2_0"));
}

static void an_answer_that_is_too_large_does_not_stop_the_write(void **state)
{
    /* The change is made; only the answer is missing. */
    Etcdserverpb__DeleteRangeRequest r = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    struct mvcc_delete_result got;
    struct arena small;
    bool too_large;

    (void) state;
    put("a", "3");
    put("b", "2");
    put("b", "9");
    put("c", "1");
    arena_init(&small, 64);
    r.key = wire_binary(bytes_str("a"));
    r.range_end = wire_binary(TO_THE_END);
    r.prev_kv = true;
    mvcc_delete_range(kv, &r, &small, &got, &too_large);
    arena_done(&small);
    assert_true(too_large);
    assert_int_equal(mvcc_revision(kv), 6);
    assert_string_equal(range(from("a", TO_THE_END)), "n=0");
}

/* ---- leases ---- */

static void leases_follow_the_newest_put(void **state)
{
    /* Attached by a put, detached by a put without lease and by a delete; after a restart the last
     * value decides. */
    (void) state;
    assert_int_equal(put_with("a", "1", 9), ERR_MVCC_LEASE_NOT_FOUND);
    assert_int_equal(mvcc_revision(kv), 1);
    put_with("a", "1", 7);
    put_with("a", "2", 8);
    put("a", "3");
    put("a", "4");
    put_with("b", "1", 7);
    del("b");
    put_with("c", "1", 7);
    put_with("d", "1", 8);
    assert_string_equal(lease_log, "+7:a +8:a -0:a +7:b -0:b +7:c +8:d ");
    restart();
    assert_string_equal(lease_log, "+7:c +8:d ");
    del("c");
    assert_string_equal(lease_log, "+7:c +8:d -0:c ");
}

static void an_unknown_lease_is_seen_before_a_missing_key(void **state)
{
    /* In a transaction as for a lone put; each operation in its turn (etcd 3.7.1). */
    Etcdserverpb__PutRequest lease = ETCDSERVERPB__PUT_REQUEST__INIT, key = lease;
    Etcdserverpb__RequestOp first = ETCDSERVERPB__REQUEST_OP__INIT, second,
                            *ops[] = {&first, &second};
    Etcdserverpb__TxnRequest q = ETCDSERVERPB__TXN_REQUEST__INIT;
    struct mvcc_put_result put_got;
    struct mvcc_txn_result got;
    bool too_large;

    (void) state;
    lease.key = key.key = wire_binary(bytes_str("a"));
    lease.ignore_value = key.ignore_value = true;
    lease.lease = 9;
    first.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    second = first;
    first.request_put = &lease;
    second.request_put = &key;
    q.success = ops;
    q.n_success = 2;
    assert_int_equal(mvcc_put(kv, &lease, &a, &put_got, &too_large), ERR_MVCC_LEASE_NOT_FOUND);
    assert_int_equal(mvcc_txn(kv, &q, &a, &got, &too_large), ERR_MVCC_LEASE_NOT_FOUND);
    ops[0] = &second;
    ops[1] = &first;
    assert_int_equal(mvcc_txn(kv, &q, &a, &got, &too_large), ERR_MVCC_KEY_NOT_FOUND);
    assert_int_equal(mvcc_revision(kv), 1);
}

static void ignoring_keeps_value_or_lease(void **state)
{
    /* Both need the key to exist. */
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct mvcc_put_result got;
    bool too_large;
    struct bytes stored;
    struct kv_fields f;

    (void) state;
    r.key = wire_binary(bytes_str("a"));
    r.ignore_value = r.ignore_lease = true;
    assert_int_equal(mvcc_put(kv, &r, &a, &got, &too_large), ERR_MVCC_KEY_NOT_FOUND);
    put_with("a", "kept", 7);
    assert_int_equal(mvcc_put(kv, &r, &a, &got, &too_large), 0);
    assert_true(mvcc_view_get(newest(), bytes_str("a"), 3, &stored));
    kv_decode_stored(stored, &f);
    assert_memory_equal(f.value.p, "kept", 4);
    assert_int_equal(f.lease, 7);
    assert_int_equal(f.version, 2);
}

static void keys_of_a_lease_go_in_one_revision(void **state)
{
    /* Those that are still there, in the order given. */
    struct bytes keys[] = {bytes_str("a"), bytes_str("gone"), bytes_str("b")};

    (void) state;
    put("a", "1");
    put("b", "1");
    assert_int_equal(mvcc_delete_keys(kv, keys, 3), 2);
    assert_int_equal(mvcc_revision(kv), 4);
    assert_int_equal(mvcc_delete_keys(kv, keys, 3), 0);
    assert_int_equal(mvcc_revision(kv), 4);
    assert_string_equal(remembered("b"), "3 4t ");
    assert_int_equal(index_get(kv->index->root, bytes_str("b"))->mod_sub_tombstone >> 1, 1);
}

/* ---- the stored form ---- */

static void a_stored_put_has_etcds_bytes(void **state)
{
    /* The verified example of the reference: put foo=bar2 as the second write. */
    static const uint8_t want[] = {0x0a, 3, 'f',  'o', 'o', 0x10, 2,   0x18, 3,
                                   0x20, 2, 0x2a, 4,   'b', 'a',  'r', '2'};
    struct bytes got;

    (void) state;
    put("foo", "bar");
    put("foo", "bar2");
    assert_true(mvcc_view_get(newest(), bytes_str("foo"), 3, &got));
    assert_int_equal(got.n, sizeof want);
    assert_memory_equal(got.p, want, sizeof want);
}

static void a_stored_deletion_has_only_the_key(void **state)
{
    /* As in etcd: 0a 03 66 6f 6f under a key with t behind. */
    struct store_cursor *c = arena_alloc(&a, store_cursor_bytes());
    struct store_record r;

    (void) state;
    put("foo", "bar");
    del("foo");
    store_cursor_init(c, mvcc_view_store(newest()));
    store_cursor_seek(c, 3, 0);
    assert_true(store_cursor_next(c, &r));
    assert_true(r.tombstone);
    assert_int_equal(r.value.n, 5);
    assert_memory_equal(r.value.p,
                        "\x0a\x03"
                        "foo",
                        5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(revisions_count_changes_from_two_on),
        TEST(a_record_that_is_no_key_value_is_damage),
        TEST(an_answer_that_is_too_large_does_not_stop_the_write),
        TEST(leases_follow_the_newest_put),
        TEST(an_unknown_lease_is_seen_before_a_missing_key),
        TEST(ignoring_keeps_value_or_lease),
        TEST(keys_of_a_lease_go_in_one_revision),
        TEST(a_stored_put_has_etcds_bytes),
        TEST(a_stored_deletion_has_only_the_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
