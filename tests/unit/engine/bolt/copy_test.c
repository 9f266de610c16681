/* copy_test.c -- the consistent copy of what a reader sees. */
#include "bolt_util.h"

#include "engine/bolt/bolt_int.h"

/* Pulls the copy in pieces of n bytes, with a commit between two pieces when `db` is not NULL. */
static uint8_t *copy_all(struct bolt_tx *tx, size_t n, struct bolt_db *db, size_t *ret_n)
{
    uint8_t *p = xmem_alloc(bolt_tx_size_bytes(tx) + 1);
    struct err e = ERR_INIT;
    struct bolt_copy c;
    size_t got = 1;

    *ret_n = 0;
    for (bolt_copy_init(&c, tx); got > 0; *ret_n += got) {
        OK(bolt_copy_next(&c, p + *ret_n, n, &got, &e), &e);
        assert_true(got <= n);
        if (db != NULL)
            put_one(db, "key", "changing", "while the copy is made");
    }
    assert_int_equal(c.offset, c.total_bytes);
    return p;
}

static void fill(struct bolt_db *db)
{
    static char keys[200][8];
    static uint8_t value[100];
    struct bolt_tx *tx = write_begin(db);
    struct bolt_bucket b = bucket(tx, "key");

    for (unsigned i = 0; i < 200; i++) {
        snprintf(keys[i], sizeof keys[i], "k%05u", i);
        put(&b, bytes_of(keys[i], 6), bytes_of(value, sizeof value));
    }
    commit(tx);
}

/* A copy, pulled in pieces of any size while the writer goes on, is a whole database of exactly the
 * state of its reader; its two metas name that state and, one less, the one before. */
static void test_copy_is_the_state(void **state)
{
    static const size_t pieces[] = {1, 79, 80, 81, 1024, 32768, 1 << 20};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct fixture f;
        struct bolt_db *db;
        struct bolt_tx *tx;
        struct bolt_bucket b;
        struct bytes v;
        struct err e = ERR_INIT;
        struct meta m;
        uint8_t *copy;
        size_t n;

        fixture_init(&f, 1024);
        fill(f.db);
        tx = read_begin(f.db);
        copy = copy_all(tx, pieces[i], pieces[i] > 80 ? f.db : NULL, &n);
        assert_int_equal(n, bolt_tx_size_bytes(tx));
        for (uint64_t k = 0; k <= 1; k++) {
            assert_int_equal(page_id(copy + k * 1024), k);
            assert_int_equal(meta_decode(copy + k * 1024, &m, NULL), 0);
            assert_int_equal(m.txid, bolt_txid(tx) - k);
        }
        bolt_rollback(tx);
        simdisk_put_file(f.sim, "copy", copy, n);
        mem_free(copy);

        OK(bolt_open(f.disk, "copy", &f.opt, &db, &e), &e);
        db_check(db);
        tx = read_begin(db);
        b = bucket(tx, "key");
        assert_int_equal(bolt_get(&b, BYTES_LIT("k00199"), &v, &e), 0);
        assert_int_equal(bolt_get(&b, BYTES_LIT("changing"), &v, &e), ERR_NOT_FOUND);
        bolt_rollback(tx);
        put_one(db, "key", "more", "can be written");
        db_check(db);
        bolt_close(db);
        fixture_done(&f);
    }
}

/* A read error ends the copy with the error. */
static void test_copy_read_error(void **state)
{
    struct fixture f;
    struct err e = ERR_INIT;
    struct bolt_copy c;
    struct bolt_tx *tx;
    uint8_t p[4096];
    size_t n;

    (void) state;
    fixture_init(&f, 1024);
    fill(f.db);
    tx = read_begin(f.db);
    bolt_copy_init(&c, tx);
    OK(bolt_copy_next(&c, p, sizeof p, &n, &e), &e);
    assert_int_equal(n, 1024);
    OK(bolt_copy_next(&c, p, sizeof p, &n, &e), &e);
    simdisk_fail(f.sim, SIM_READ, 1, ERR_IO, false);
    assert_int_equal(bolt_copy_next(&c, p, sizeof p, &n, &e), ERR_IO);
    assert_non_null(strstr(e.msg, "copy the database"));
    bolt_rollback(tx);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_is_the_state),
        cmocka_unit_test(test_copy_read_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
