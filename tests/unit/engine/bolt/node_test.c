/* node_test.c -- transactions that are much larger than a page: nodes split in memory, trees that
 * grow and shrink by whole levels in one commit. */
#include "bolt_util.h"

#include "engine/bolt/bolt_int.h"

#define KEYS 20000

static char keys[KEYS][8];
static uint32_t order[KEYS];

static int setup(void **state)
{
    uint64_t rng = 11;

    (void) state;
    for (uint32_t i = 0; i < KEYS; i++) {
        uint32_t k = (uint32_t) (next_random(&rng) % (i + 1));

        snprintf(keys[i], sizeof keys[i], "%06u", i);
        order[i] = order[k];
        order[k] = i;
    }
    return 0;
}

static struct bytes key_of(uint32_t i)
{
    return bytes_of(keys[i], 6);
}

/* All keys i with has(i, arg) are there, in order, and no others. */
static void expect_keys(const struct bolt_bucket *b, bool (*has)(uint32_t i))
{
    struct bolt_cursor c;
    struct bytes k, v;
    int rc;

    bolt_cursor_init(&c, b);
    rc = bolt_cursor_first(&c, &k, &v, NULL);
    for (uint32_t i = 0; i < KEYS; i++) {
        if (!has(i))
            continue;
        assert_int_equal(rc, 0);
        assert_true(bytes_eq(k, key_of(i)));
        rc = bolt_cursor_next(&c, &k, &v, NULL);
    }
    assert_int_equal(rc, ERR_NOT_FOUND);
}

static bool all(uint32_t i)
{
    (void) i;
    return true;
}

static bool none(uint32_t i)
{
    (void) i;
    return false;
}

static bool odd(uint32_t i)
{
    return i % 2 == 1;
}

static bool one_in_500(uint32_t i)
{
    return i % 500 == 250;
}

static void put_all(struct bolt_db *db, bool in_order)
{
    struct bolt_tx *tx = write_begin(db);
    struct bolt_bucket b = bucket(tx, "b");

    for (uint32_t i = 0; i < KEYS; i++)
        put(&b, key_of(in_order ? i : order[i]), BYTES_LIT("a value"));
    expect_keys(&b, all);
    commit(tx);
}

/* Deletes what `keep` does not keep, in random order. */
static void delete_but(struct bolt_db *db, bool (*had)(uint32_t i), bool (*keep)(uint32_t i))
{
    struct bolt_tx *tx = write_begin(db);
    struct bolt_bucket b = bucket(tx, "b");

    for (uint32_t n = 0; n < KEYS; n++) {
        uint32_t i = order[n];

        if (had(i) && !keep(i))
            assert_int_equal(bolt_delete(&b, key_of(i), NULL), 0);
    }
    expect_keys(&b, keep);
    commit(tx);
}

static void expect_committed(struct bolt_db *db, bool (*has)(uint32_t i))
{
    struct bolt_tx *tx = read_begin(db);
    struct bolt_bucket b = bucket(tx, "b");

    expect_keys(&b, has);
    bolt_rollback(tx);
    db_check(db);
}

/* Twenty thousand keys put in one transaction, in order or at random, then thinned out step by step
 * to none: each commit leaves exactly the keys that it should, in a whole tree. */
static void test_huge_transactions(void **state)
{
    (void) state;
    for (unsigned in_order = 0; in_order <= 1; in_order++) {
        struct fixture f;

        fixture_init(&f, 1024);
        put_all(f.db, in_order == 1);
        expect_committed(f.db, all);
        delete_but(f.db, all, odd);
        expect_committed(f.db, odd);
        put_all(f.db, in_order == 0);
        delete_but(f.db, all, one_in_500);
        expect_committed(f.db, one_in_500);
        delete_but(f.db, one_in_500, none);
        expect_committed(f.db, none);
        fixture_done(&f);
    }
}

/* Put and delete in one transaction: what was split off in memory disappears again. */
static void test_all_gone_in_one_transaction(void **state)
{
    struct fixture f;
    struct bolt_bucket b;
    struct bolt_tx *tx;
    struct bolt_stats st;

    (void) state;
    fixture_init(&f, 1024);
    tx = write_begin(f.db);
    b = bucket(tx, "b");
    for (uint32_t i = 0; i < KEYS; i++)
        put(&b, key_of(order[i]), BYTES_LIT("a value"));
    for (uint32_t i = 0; i < KEYS; i++)
        assert_int_equal(bolt_delete(&b, key_of(i), NULL), 0);
    expect_keys(&b, none);
    commit(tx);
    expect_committed(f.db, none);
    bolt_get_stats(f.db, &st);
    assert_int_equal(st.size_bytes, 5 * 1024); /* inline again */
    fixture_done(&f);
}

/* A bucket deleted while it is half changed gives back every page of its old and new state. */
static void test_delete_changed_bucket(void **state)
{
    struct fixture f;
    struct bolt_bucket b;
    struct bolt_tx *tx;

    (void) state;
    fixture_init(&f, 1024);
    put_all(f.db, true);
    tx = write_begin(f.db);
    b = bucket(tx, "b");
    for (uint32_t i = 0; i < KEYS; i += 300)
        assert_int_equal(bolt_delete(&b, key_of(i), NULL), 0);
    put(&b, key_of(300), BYTES_LIT("again"));
    assert_int_equal(bolt_bucket_delete(tx, BYTES_LIT("b"), NULL), 0);
    commit(tx);
    db_check(f.db);
    put_one(f.db, "b", "k", "v");
    db_check(f.db);
    fixture_done(&f);
}

/* A search that remembers the last leaf finds the right one for keys just inside and outside its
 * bounds. */
static void test_hint_bounds(void **state)
{
    struct fixture f;
    struct bolt_tx *tx;
    struct bolt_bucket b;
    struct bytes v;

    (void) state;
    fixture_init(&f, 1024);
    put_all(f.db, true);
    tx = write_begin(f.db);
    b = bucket(tx, "b");
    for (uint32_t i = 1; i + 1 < KEYS; i += 37) {
        put(&b, key_of(i), BYTES_LIT("1"));     /* makes its leaf the remembered one */
        put(&b, key_of(i - 1), BYTES_LIT("2")); /* maybe in the leaf before */
        put(&b, key_of(i + 1), BYTES_LIT("3")); /* maybe in the leaf behind */
        assert_int_equal(bolt_get(&b, key_of(i - 1), &v, NULL), 0);
        assert_true(bytes_eq(v, BYTES_LIT("2")));
        assert_int_equal(bolt_get(&b, key_of(i + 1), &v, NULL), 0);
        assert_true(bytes_eq(v, BYTES_LIT("3")));
    }
    expect_keys(&b, all);
    commit(tx);
    expect_committed(f.db, all);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_huge_transactions),
        cmocka_unit_test(test_all_gone_in_one_transaction),
        cmocka_unit_test(test_delete_changed_bucket),
        cmocka_unit_test(test_hint_bounds),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
