/* scan_test.c -- pages in the order of the file, whoever still refers to them. */
#include "bolt_util.h"

static char keys[100][8];

static void fill(struct fixture *f)
{
    fixture_init(f, 1024);
    for (unsigned n = 0; n < 2; n++) {
        struct bolt_tx *tx = write_begin(f->db);
        struct bolt_bucket b = bucket(tx, "key");

        for (unsigned i = n * 50; i < n * 50 + 50; i++) {
            snprintf(keys[i], sizeof keys[i], "k%05u", i);
            put(&b, bytes_of(keys[i], 6), BYTES_LIT("a value of forty bytes, or nearly so ..."));
        }
        commit(tx);
    }
    commit(write_begin(f->db)); /* an even one: meta page 0 is the newest */
}

/* How often each key is found in leaves; counts pages that could not be read. */
static unsigned scan_count(struct fixture *f, unsigned found[100])
{
    struct bolt_scan *s;
    struct bolt_scan_page p;
    struct err e = ERR_INIT;
    unsigned bad = 0;
    uint64_t last = 1;
    int rc;

    OK(bolt_scan_open(f->disk, DB_PATH, &s, &e), &e);
    while ((rc = bolt_scan_next(s, &p, &e)) != ERR_NOT_FOUND) {
        assert_true(p.id > last);
        last = p.id;
        bad += rc != 0;
        for (uint32_t i = 0; rc == 0 && i < p.count; i++) {
            struct bytes k, v;

            bolt_scan_item(&p, i, &k, &v);
            for (unsigned n = 0; n < 100; n++)
                found[n] += bytes_eq(k, bytes_of(keys[n], 6));
        }
    }
    bolt_scan_close(s);
    return bad;
}

/* All keys are found, those of the rewritten leaf twice or more: pages of older states are shown
 * too. */
static void test_scan(void **state)
{
    struct fixture f;
    unsigned found[100] = {0}, more = 0;

    (void) state;
    fill(&f);
    assert_int_equal(scan_count(&f, found), 0);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(found[i] >= 1);
        more += found[i] > 1;
    }
    assert_true(more > 0);
    fixture_done(&f);
}

/* A page that is damaged is reported by its number and the walk goes on behind it. */
static void test_scan_goes_on(void **state)
{
    struct fixture f;
    unsigned found[100] = {0}, missing = 0;

    (void) state;
    fill(&f);
    simdisk_flip(f.sim, DB_PATH, 5 * 1024 + 16 + 4, 0x80); /* a position in page 5 */
    simdisk_flip(f.sim, DB_PATH, 6 * 1024 + 12, 0x40);     /* the overflow of page 6 */
    simdisk_flip(f.sim, DB_PATH, 7 * 1024, 0x40);          /* the number of page 7 */
    assert_true(scan_count(&f, found) >= 2);
    for (unsigned i = 0; i < 100; i++)
        missing += found[i] == 0;
    assert_true(missing > 0);
    assert_true(missing < 100);
    fixture_done(&f);
}

/* Without a valid first meta page there is no scan. */
static void test_scan_refused(void **state)
{
    struct fixture f;
    struct bolt_scan *s;
    struct err e = ERR_INIT;

    (void) state;
    fill(&f);
    assert_int_equal(bolt_scan_open(f.disk, "none", &s, &e), ERR_NOT_FOUND);
    simdisk_flip(f.sim, DB_PATH, 16, 1);
    assert_int_equal(bolt_scan_open(f.disk, DB_PATH, &s, &e), ERR_CORRUPT);
    assert_string_equal(e.msg, "invalid database");
    bolt_scan_close(NULL);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_scan_goes_on),
        cmocka_unit_test(test_scan_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
