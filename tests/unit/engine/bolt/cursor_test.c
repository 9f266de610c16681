/* cursor_test.c -- walking and seeking, in the file and among changes that are not committed yet.
 */
#include "bolt_util.h"

#define KEYS 1000

static char keys[KEYS][8];

static int setup(void **state)
{
    (void) state;
    for (unsigned i = 0; i < KEYS; i++)
        snprintf(keys[i], sizeof keys[i], "%05u", i);
    return 0;
}

static unsigned number(struct bytes key)
{
    char text[8] = {0};

    assert_int_equal(key.n, 5);
    memcpy(text, key.p, 5);
    return (unsigned) strtoul(text, NULL, 10);
}

/* Every seek, and every step from there both ways, agrees with `has`. */
static void cursor_compare(const struct bolt_bucket *b, const bool *has)
{
    struct bolt_cursor c;
    struct bytes k, v;
    int rc;

    bolt_cursor_init(&c, b);
    for (unsigned i = 0; i <= KEYS; i += 7) {
        unsigned at = i, steps = 0;
        char probe[16];

        snprintf(probe, sizeof probe, "%05u", i);
        while (at < KEYS && !has[at])
            at++;
        rc = bolt_cursor_seek(&c, bytes_str(probe), &k, &v, NULL);
        assert_int_equal(rc, at == KEYS ? ERR_NOT_FOUND : 0);
        while (rc == 0 && steps++ < 30) {
            assert_int_equal(number(k), at);
            do
                at++;
            while (at < KEYS && !has[at]);
            rc = bolt_cursor_next(&c, &k, &v, NULL);
            assert_int_equal(rc, at == KEYS ? ERR_NOT_FOUND : 0);
        }
    }
    rc = bolt_cursor_last(&c, &k, &v, NULL);
    for (unsigned i = KEYS; i-- > 0;) {
        if (!has[i])
            continue;
        assert_int_equal(rc, 0);
        assert_int_equal(number(k), i);
        rc = bolt_cursor_prev(&c, &k, &v, NULL);
    }
    assert_int_equal(rc, ERR_NOT_FOUND);
    /* Nowhere: neither way leads on until it is placed anew. */
    assert_int_equal(bolt_cursor_prev(&c, &k, &v, NULL), ERR_NOT_FOUND);
    assert_int_equal(bolt_cursor_next(&c, &k, &v, NULL), ERR_NOT_FOUND);
}

/* Cursors agree with an array of flags while ranges are deleted and added, before and after
 * commits: whole leaves emptied in the open transaction are stepped over. */
static void test_cursor_model(void **state)
{
    bool has[KEYS] = {false};
    uint64_t rng = 3;
    struct fixture f;

    (void) state;
    fixture_init(&f, 1024);
    for (unsigned round = 0; round < 40; round++) {
        struct bolt_tx *tx = write_begin(f.db);
        struct bolt_bucket b = bucket(tx, "b");

        for (unsigned part = 0; part < 3; part++) {
            unsigned from = (unsigned) (next_random(&rng) % KEYS);
            unsigned span = (unsigned) (next_random(&rng) % 400);
            unsigned to = MIN(KEYS, from + span);
            bool add = next_random(&rng) % 2 == 0;

            for (unsigned i = from; i < to; i++) {
                if (add)
                    put(&b, bytes_of(keys[i], 5), BYTES_LIT("a value of some length"));
                else
                    assert_int_equal(bolt_delete(&b, bytes_of(keys[i], 5), NULL),
                                     has[i] ? 0 : ERR_NOT_FOUND);
                has[i] = add;
            }
            cursor_compare(&b, has);
        }
        commit(tx);
        tx = read_begin(f.db);
        b = bucket(tx, "b");
        cursor_compare(&b, has);
        bolt_rollback(tx);
        db_check(f.db);
    }
    fixture_done(&f);
}

/* In an empty bucket there is nothing anywhere. */
static void test_empty_bucket(void **state)
{
    struct fixture f;
    struct bolt_bucket b;
    struct bolt_cursor c;
    struct bolt_tx *tx;
    struct bytes k, v;

    (void) state;
    fixture_init(&f, 1024);
    tx = write_begin(f.db);
    b = bucket(tx, "b");
    bolt_cursor_init(&c, &b);
    assert_int_equal(bolt_cursor_next(&c, &k, &v, NULL), ERR_NOT_FOUND);
    assert_int_equal(bolt_cursor_first(&c, &k, &v, NULL), ERR_NOT_FOUND);
    assert_int_equal(bolt_cursor_last(&c, &k, &v, NULL), ERR_NOT_FOUND);
    assert_int_equal(bolt_cursor_seek(&c, BYTES_LIT("a"), &k, &v, NULL), ERR_NOT_FOUND);
    commit(tx);
    tx = read_begin(f.db);
    b = bucket(tx, "b");
    bolt_cursor_init(&c, &b);
    assert_int_equal(bolt_cursor_first(&c, &k, &v, NULL), ERR_NOT_FOUND);
    assert_int_equal(bolt_cursor_last(&c, &k, &v, NULL), ERR_NOT_FOUND);
    bolt_rollback(tx);
    fixture_done(&f);
}

/* The root bucket gives the names of the buckets, in byte order, new ones too. */
static void test_names(void **state)
{
    static const char *const names[] = {"zeta", "alpha", "mid"};
    struct fixture f;
    struct bolt_bucket root;
    struct bolt_cursor c;
    struct bolt_tx *tx;
    struct bytes k, v;

    (void) state;
    fixture_init(&f, 1024);
    put_one(f.db, "beta", "k", "v");
    tx = write_begin(f.db);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        bucket(tx, names[i]);
    bolt_bucket_root(tx, &root);
    bolt_cursor_init(&c, &root);
    assert_int_equal(bolt_cursor_first(&c, &k, &v, NULL), 0);
    assert_true(bytes_eq(k, BYTES_LIT("alpha")));
    assert_true(bolt_cursor_at_bucket(&c));
    assert_int_equal(bolt_cursor_next(&c, &k, &v, NULL), 0);
    assert_true(bytes_eq(k, BYTES_LIT("beta")));
    assert_int_equal(bolt_cursor_next(&c, &k, &v, NULL), 0);
    assert_int_equal(bolt_cursor_next(&c, &k, &v, NULL), 0);
    assert_true(bytes_eq(k, BYTES_LIT("zeta")));
    assert_int_equal(bolt_cursor_next(&c, &k, &v, NULL), ERR_NOT_FOUND);
    bolt_rollback(tx);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursor_model),
        cmocka_unit_test(test_empty_bucket),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
