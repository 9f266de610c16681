/* What comes out of the log: grants, revokes, checkpoints, keys, and what is on disk of them. */
#include "state/lease/lease_int.h"
#include "unit/state/lease/fixture.h"

/* A TTL below the minimum, zero and negative included, is raised; the largest is accepted as it is.
 */
static void grant_raises_short_ttls(void **state)
{
    struct lessor *l = open_with(&plain);

    (void) state;
    grant(l, 1, 0, 0);
    grant(l, 2, -5, 0);
    grant(l, 3, 1, 0);
    grant(l, 4, LEASE_TTL_S_MAX, 0);
    assert_int_equal(lookup(l, 4, 0).granted_ttl_s, LEASE_TTL_S_MAX);
    assert_int_equal(lessor_count(l), 4);
    lessor_check(l);
    lessor_free(l);
}

/* Each refusal has its own code and leaves nothing behind, neither in memory nor in the store. */
static void grant_refuses(void **state)
{
    struct lessor *l = open_with(&plain);
    int64_t ttl = 77;

    (void) state;
    assert_int_equal(lease_grant(l, 0, 10, 0, &ttl), ERR_LEASE_NOT_FOUND);
    assert_int_equal(lease_grant(l, 5, LEASE_TTL_S_MAX + 1, 0, &ttl), ERR_LEASE_TTL_TOO_LARGE);
    assert_int_equal(lessor_count(l), 0);
    assert_int_equal(disk.n, 0);
    grant(l, 5, 10, 0);
    assert_int_equal(lease_grant(l, 5, 20, 0, &ttl), ERR_LEASE_EXISTS);
    assert_int_equal(lookup(l, 5, 0).granted_ttl_s, 10);
    assert_int_equal(ttl, 77);
    assert_string_equal(lease_err_text(ERR_LEASE_EXISTS), "lease already exists");
    lessor_free(l);
}

/* The record of a lease has exactly the bytes that etcd writes: fields in order, zeros left out,
 * a negative id as a varint of ten bytes. */
static void records_are_etcds(void **state)
{
    struct lessor *l = open_with(&plain);
    static const uint8_t plain_record[] = {0x08, 0xac, 0x02, 0x10, 0x3c};
    static const uint8_t with_rest[] = {0x08, 0xac, 0x02, 0x10, 0x3c, 0x18, 0x0a};
    static const uint8_t negative[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                       0xff, 0xff, 0xff, 0x01, 0x10, 0x05};

    (void) state;
    grant(l, 300, 60, 0);
    assert_int_equal(disk.v[0].key_n, 8);
    assert_memory_equal(disk.v[0].key, "\0\0\0\0\0\0\x01\x2c", 8);
    assert_int_equal(disk.v[0].value_n, sizeof plain_record);
    assert_memory_equal(disk.v[0].value, plain_record, sizeof plain_record);
    lease_checkpoint(l, 300, 10, true);
    assert_int_equal(disk.v[0].value_n, sizeof with_rest);
    assert_memory_equal(disk.v[0].value, with_rest, sizeof with_rest);
    grant(l, -1, 5, 0);
    assert_memory_equal(disk.v[1].key, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    assert_int_equal(disk.v[1].value_n, sizeof negative);
    assert_memory_equal(disk.v[1].value, negative, sizeof negative);
    lessor_free(l);
}

/* All but the keys comes back from the store; a TTL below the minimum is raised when it is read. */
static void leases_come_back(void **state)
{
    struct lessor *l = open_with(&plain);
    uint8_t key[8] = {0, 0, 0, 0, 0, 0, 0, 9}, value[] = {0x08, 9, 0x10, 1};

    (void) state;
    grant(l, 1, 60, 0);
    grant(l, -7, 100, 0);
    grant(l, 3, 60, 0);
    attach(l, 1, "k");
    lease_checkpoint(l, 1, 33, true);
    lease_checkpoint(l, 3, 44, false);
    store_put(&disk, STORE_LEASE, bytes_of(key, 8), bytes_of(value, sizeof value));
    l = reopen(l);
    lessor_check(l);
    assert_int_equal(lessor_count(l), 4);
    assert_false(lessor_is_primary(l));
    assert_int_equal(lookup(l, 1, 0).remaining_ttl_s, 33);
    assert_int_equal(lookup(l, 1, 0).keys_n, 0);
    assert_int_equal(lookup(l, -7, 0).granted_ttl_s, 100);
    assert_int_equal(lookup(l, 3, 0).remaining_ttl_s, 0);
    assert_int_equal(lookup(l, 9, 0).granted_ttl_s, TTL_MIN);
    assert_int_equal(lookup(l, 9, 0).ttl_s, LEASE_TTL_S_UNKNOWN);
    lessor_free(l);
}

static void refuse_record(struct bytes key, struct bytes value)
{
    struct lessor *l = NULL;
    struct err e = ERR_INIT;

    fake_store_done(&disk);
    store_put(&disk, STORE_LEASE, key, value);
    assert_int_equal(lessor_open(&plain, &disk, &l, &e), ERR_LEASE_DAMAGED);
    assert_null(l);
    assert_non_null(strstr(e.msg, "load leases: "));
}

/* A record that is no lease stops the start with words that name it. */
static void damaged_records_are_refused(void **state)
{
    struct lessor *l = NULL;
    const struct bytes id9 = BYTES_LIT("\0\0\0\0\0\0\0\x09"), id0 = BYTES_LIT("\0\0\0\0\0\0\0\0");

    (void) state;
    refuse_record(BYTES_LIT("short"), BYTES_LIT("\x08\x09\x10\x05"));
    refuse_record(id9, BYTES_LIT("\x08\x08\x10\x05"));
    refuse_record(id9, BYTES_LIT("\x08\x09\x10"));
    refuse_record(id9, BYTES_LIT("\x0a\x01\x09"));
    refuse_record(id9, BYTES_EMPTY);
    refuse_record(id0, BYTES_EMPTY);
    fake_store_done(&disk);
    disk.fail_scan = ERR_IO;
    assert_int_equal(lessor_open(&plain, &disk, &l, NULL), ERR_IO);
    /* A field of a later version is passed over. */
    fake_store_done(&disk);
    store_put(&disk, STORE_LEASE, id9, BYTES_LIT("\x08\x09\x10\x05\x20\x01"));
    l = open_with(&plain);
    assert_int_equal(lookup(l, 9, 0).granted_ttl_s, 5);
    lessor_free(l);
}

/* Revoking yields the keys in byte order, which live on until they are freed, and erases the
 * record. */
static void revoke_yields_sorted_keys(void **state)
{
    struct lessor *l = open_with(&plain);
    struct lease_keys k;

    (void) state;
    grant(l, 1, 60, 0);
    grant(l, 2, 60, 0);
    attach(l, 1, "b");
    attach(l, 1, "a\xff");
    attach(l, 1, "a");
    attach(l, 1, "");
    attach(l, 2, "c");
    assert_int_equal(lease_revoke(l, 1, &k), 0);
    assert_int_equal(k.n, 4);
    for (size_t i = 0; i < k.n; i++)
        lease_detach(l, k.keys[i]); /* as the transaction that deletes them does */
    assert_int_equal(k.keys[0].n, 0);
    assert_true(bytes_eq(k.keys[1], bytes_str("a")));
    assert_true(bytes_eq(k.keys[2], bytes_str("a\xff")));
    assert_true(bytes_eq(k.keys[3], bytes_str("b")));
    lease_keys_free(&k);
    assert_int_equal(disk.n, 1);
    assert_int_equal(lease_revoke(l, 1, &k), ERR_LEASE_NOT_FOUND);
    assert_int_equal(lease_of_key(l, bytes_str("a")), LEASE_NONE);
    assert_int_equal(lease_of_key(l, bytes_str("c")), 2);
    lessor_check(l);
    lessor_free(l);
}

/* A key hangs on one lease at most: attaching moves it, and to an unknown lease takes it off. */
static void a_key_has_one_lease(void **state)
{
    struct lessor *l = open_with(&plain);

    (void) state;
    grant(l, 1, 60, 0);
    grant(l, 2, 60, 0);
    attach(l, 1, "k");
    attach(l, 1, "k");
    assert_int_equal(lookup(l, 1, 0).keys_n, 1);
    attach(l, 2, "k");
    assert_int_equal(lookup(l, 1, 0).keys_n, 0);
    assert_int_equal(lease_of_key(l, bytes_str("k")), 2);
    assert_int_equal(lease_attach(l, 3, bytes_str("k")), ERR_LEASE_NOT_FOUND);
    assert_int_equal(lease_of_key(l, bytes_str("k")), LEASE_NONE);
    assert_int_equal(lease_attach(l, 3, bytes_str("new")), ERR_LEASE_NOT_FOUND);
    lease_detach(l, bytes_str("never there"));
    attach(l, 1, "k");
    lease_detach(l, bytes_str("k"));
    assert_int_equal(lookup(l, 1, 0).keys_n, 0);
    assert_true(lease_exists(l, 1));
    assert_false(lease_exists(l, 3));
    assert_false(lease_exists(l, 0));
    lessor_check(l);
    lessor_free(l);
}

/* The keys of a lease are copied into the arena as they were put on it; an arena that is too small
 * is an error. */
static void keys_are_listed(void **state)
{
    struct lessor *l = open_with(&plain);
    struct arena a, tiny;
    struct bytes *keys;
    size_t n;

    (void) state;
    arena_init(&a, 1 << 20);
    arena_init(&tiny, 16);
    grant(l, 1, 60, 0);
    for (int i = 0; i < 100; i++) {
        char key[16];

        snprintf(key, sizeof key, "key-%02d", 99 - i);
        attach(l, 1, key);
    }
    assert_int_equal(lease_keys(l, 1, &a, &keys, &n), 0);
    assert_int_equal(n, 100);
    for (size_t i = 1; i < n; i++)
        assert_true(bytes_cmp(keys[i - 1], keys[i]) > 0);
    assert_int_equal(lease_keys(l, 2, &a, &keys, &n), ERR_LEASE_NOT_FOUND);
    assert_int_equal(lease_keys(l, 1, &tiny, &keys, &n), ERR_NOMEM);
    arena_done(&a);
    arena_done(&tiny);
    lessor_free(l);
}

struct walked {
    size_t n, most;
};

static bool count_key(void *ctx, struct bytes key)
{
    struct walked *w = ctx;

    assert_true(key.n > 0);
    return ++w->n < w->most;
}

static size_t walk_keys(struct lessor *l, lease_id id, size_t most)
{
    struct walked w = {0, most};

    lease_walk_keys(l, id, count_key, &w);
    return w.n;
}

/* A walk shows the keys of a lease once, however often it is asked, until the next one begins; it
 * stops where it is told to; a lease granted meanwhile has its turn. */
static void a_walk_takes_up_each_lease_once(void **state)
{
    struct lessor *l = open_with(&plain);

    (void) state;
    grant(l, 1, 60, 0);
    attach(l, 1, "a");
    attach(l, 1, "b");
    assert_int_equal(walk_keys(l, 9, 10), 0);
    lease_walk_begin(l);
    assert_int_equal(walk_keys(l, 1, 10), 2);
    assert_int_equal(walk_keys(l, 1, 10), 0);
    grant(l, 2, 60, 0);
    attach(l, 2, "c");
    assert_int_equal(walk_keys(l, 2, 10), 1);
    assert_int_equal(walk_keys(l, 2, 10), 0);
    lease_walk_begin(l);
    assert_int_equal(walk_keys(l, 1, 1), 1);
    lease_walk_begin(l);
    assert_int_equal(walk_keys(l, 1, 10), 2);
    assert_int_equal(walk_keys(l, 2, 10), 1);
    lessor_free(l);
}

static bool add_id(void *ctx, lease_id id)
{
    lease_id *sum = ctx;

    *sum += id;
    return *sum < 10;
}

/* Each lease is named, until that is enough. */
static void each_lease_is_named(void **state)
{
    struct lessor *l = open_with(&plain);
    lease_id sum = 0;

    (void) state;
    lease_each(l, add_id, &sum);
    assert_int_equal(sum, 0);
    grant(l, -2, 60, 0);
    grant(l, 1, 60, 0);
    grant(l, 4, 60, 0);
    lease_each(l, add_id, &sum);
    assert_int_equal(sum, 3);
    sum = 100;
    lease_each(l, add_id, &sum);
    assert_true(sum == 98 || sum == 101 || sum == 104);
    lessor_free(l);
}

/* A checkpoint for a lease that is gone, or a rest of zero, is harmless. */
static void checkpoints_are_recorded(void **state)
{
    struct lessor *l = open_with(&plain);

    (void) state;
    lease_checkpoint(l, 99, 10, true);
    assert_int_equal(disk.n, 0);
    grant(l, 1, 600, 0);
    lease_checkpoint(l, 1, 100, true);
    assert_int_equal(lookup(l, 1, 0).remaining_ttl_s, 100);
    lease_checkpoint(l, 1, 0, true);
    l = reopen(l);
    assert_int_equal(lookup(l, 1, 0).remaining_ttl_s, 0);
    lessor_free(l);
}

/* Clients choose ids: the tables that are searched by them have the secret. */
static void ids_are_hashed_with_the_secret(void **state)
{
    struct lessor *l = open_with(&plain);

    (void) state;
    assert_true(l->leases.has_secret && l->waits.has_secret);
    assert_memory_equal(l->leases.secret, plain.hash_seed, sizeof plain.hash_seed);
    lessor_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(grant_raises_short_ttls, fresh, fresh),
        cmocka_unit_test_setup_teardown(grant_refuses, fresh, fresh),
        cmocka_unit_test_setup_teardown(records_are_etcds, fresh, fresh),
        cmocka_unit_test_setup_teardown(leases_come_back, fresh, fresh),
        cmocka_unit_test_setup_teardown(damaged_records_are_refused, fresh, fresh),
        cmocka_unit_test_setup_teardown(revoke_yields_sorted_keys, fresh, fresh),
        cmocka_unit_test_setup_teardown(a_key_has_one_lease, fresh, fresh),
        cmocka_unit_test_setup_teardown(keys_are_listed, fresh, fresh),
        cmocka_unit_test_setup_teardown(a_walk_takes_up_each_lease_once, fresh, fresh),
        cmocka_unit_test_setup_teardown(each_lease_is_named, fresh, fresh),
        cmocka_unit_test_setup_teardown(checkpoints_are_recorded, fresh, fresh),
        cmocka_unit_test_setup_teardown(ids_are_hashed_with_the_secret, fresh, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
