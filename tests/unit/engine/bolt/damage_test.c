/* damage_test.c -- damaged files: every one is either whole by our check or refused with the place.
 */
#include "bolt_util.h"

#include "engine/bolt/page.h"

#define P 1024

static uint8_t value[3000];

/* A file with a three-level tree, inline buckets and an overflow page. */
static void fixture_fill(struct fixture *f)
{
    static char keys[300][8];

    fixture_init(f, P);
    for (unsigned i = 0; i < 300; i += 50) {
        struct bolt_tx *tx = write_begin(f->db);
        struct bolt_bucket b = bucket(tx, "key"), small = bucket(tx, "meta");

        for (unsigned k = i; k < i + 50; k++) {
            snprintf(keys[k], sizeof keys[k], "k%05u", k);
            put(&b, bytes_of(keys[k], 6), bytes_of(value, k == 77 ? sizeof value : 40));
        }
        put(&small, bytes_of(keys[i], 6), BYTES_LIT("v"));
        commit(tx);
    }
}

/* Reads everything that tx sees.  Returns the first error, or 0. */
static int read_all(struct bolt_tx *tx, struct err *e)
{
    struct bolt_bucket root, b;
    struct bolt_cursor names, c;
    struct bytes name, k, v;
    int rc, inner = 0;

    bolt_bucket_root(tx, &root);
    bolt_cursor_init(&names, &root);
    for (rc = bolt_cursor_first(&names, &name, &v, e); rc == 0;
         rc = bolt_cursor_next(&names, &name, &v, e)) {
        inner = bolt_bucket_get(tx, name, &b, e);
        if (inner != 0)
            return inner;
        bolt_cursor_init(&c, &b);
        for (inner = bolt_cursor_first(&c, &k, &v, e); inner == 0;
             inner = bolt_cursor_next(&c, &k, &v, e))
            assert_true(k.n > 0);
        if (inner != ERR_NOT_FOUND)
            return inner;
    }
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static void findings_count(void *arg, const char *text)
{
    assert_true(strlen(text) > 0);
    ++*(unsigned *) arg;
}

/* Opens the damaged file both ways.  Returns whether the damage was noticed. */
static bool open_damaged(struct fixture *f)
{
    struct bolt_options ro = {.read_only = true};
    struct err e = ERR_INIT;
    struct bolt_db *db;
    struct bolt_tx *tx;
    unsigned findings = 0;
    int rc = bolt_open(f->disk, DB_PATH, &ro, &db, &e), check = ERR_CORRUPT, all;

    if (rc == 0) {
        tx = read_begin(db);
        check = bolt_check(tx, findings_count, &findings, &e);
        assert_int_equal(check != 0, findings > 0);
        all = read_all(tx, &e);
        if (all != 0) {
            /* A name that is no longer a bucket, or is out of order, answers otherwise. */
            assert_true(all == ERR_CORRUPT || all == ERR_INVALID || all == ERR_NOT_FOUND);
            assert_int_equal(check, ERR_CORRUPT); /* the check finds what reading stumbles over */
        }
        bolt_rollback(tx);
        bolt_close(db);
    } else {
        assert_int_equal(rc, ERR_CORRUPT);
    }
    e = ERR_INIT;
    rc = bolt_open(f->disk, DB_PATH, &f->opt, &db, &e);
    assert_int_equal(rc, check);
    if (rc == 0)
        bolt_close(db);
    else
        assert_true(strlen(e.msg) > 0);
    return rc != 0;
}

/* Turning over bits of any byte of the file is noticed at open, or harms nothing that is reachable;
 * it never crashes, and the check and the opening for writing agree. */
static void test_flip_every_byte(void **state)
{
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    struct fixture f;
    struct bolt_stats st;
    unsigned noticed = 0;
    uint64_t end;

    (void) state;
    fixture_fill(&f);
    bolt_get_stats(f.db, &st);
    end = st.size_bytes;
    fixture_close(&f);
    for (uint64_t at = 0; at < end; at += at % P < 120 ? 1 : 37) {
        uint8_t mask = masks[at % ARRAY_LEN(masks)];

        simdisk_flip(f.sim, DB_PATH, at, mask);
        noticed += open_damaged(&f);
        simdisk_flip(f.sim, DB_PATH, at, mask);
    }
    assert_true(noticed > 1000);
    assert_false(open_damaged(&f));
    fixture_done(&f);
}

/* A file shorter than its database is refused before anything behind its end is touched. */
static void test_cut_file(void **state)
{
    struct fixture f;
    uint8_t *whole;
    size_t n;
    uint64_t used;
    struct bolt_stats st;

    (void) state;
    fixture_fill(&f);
    bolt_get_stats(f.db, &st);
    used = st.size_bytes;
    fixture_close(&f);
    whole = simdisk_get_file(f.sim, DB_PATH, &n);
    for (size_t cut = 0; cut <= n; cut += 509) {
        simdisk_put_file(f.sim, DB_PATH, whole, cut);
        if (cut > 0)
            assert_int_equal(open_damaged(&f), cut < used);
    }
    simdisk_put_file(f.sim, DB_PATH, whole, used);
    assert_false(open_damaged(&f));
    mem_free(whole);
    fixture_done(&f);
}

/* A leaf of bucket `key` in the file, neither the first nor the last. */
static uint64_t some_leaf(struct fixture *f)
{
    size_t n;
    uint8_t *file = simdisk_get_file(f->sim, DB_PATH, &n);
    uint64_t id = 0;

    for (uint64_t i = 2; i < n / P && id == 0; i++) {
        const uint8_t *p = file + i * P;

        if (page_id(p) == i && page_is_leaf(p) && page_overflow(p) == 0 && page_count(p) > 4 &&
            memcmp(page_leaf_key(p, 0).p, "k002", 4) == 0)
            id = i;
    }
    mem_free(file);
    assert_true(id > 0);
    return id;
}

static void finding_keep(void *arg, const char *text)
{
    char *first = arg;

    if (first[0] == '\0')
        snprintf(first, 256, "%s", text);
}

static void expect_finding(struct fixture *f, const char *want)
{
    struct bolt_options ro = {.read_only = true};
    struct bolt_db *db;
    struct bolt_tx *tx;
    struct err e = ERR_INIT;
    char text[256] = "";

    OK(bolt_open(f->disk, DB_PATH, &ro, &db, &e), &e);
    tx = read_begin(db);
    assert_int_equal(bolt_check(tx, finding_keep, text, &e), ERR_CORRUPT);
    if (strstr(text, want) == NULL)
        fail_msg("found: %s", text);
    bolt_rollback(tx);
    bolt_close(db);
    assert_int_equal(bolt_open(f->disk, DB_PATH, &f->opt, &db, &e), ERR_CORRUPT);
    if (strstr(e.msg, want) == NULL)
        fail_msg("opening says: %s", e.msg);
}

/* Findings name the page and what is wrong with it, in bbolt's words where it has them. */
static void test_findings(void **state)
{
    static const struct {
        unsigned at; /* in the page */
        uint8_t mask;
        const char *words;
    } damages[] = {
        {0, 0x40, "it says that it is page"},
        {8, 0x06, "invalid type: meta"},
        {8, 0x40, "invalid type: unknown<42>"},
        {12, 0x7f, "out of bounds"},
        {16, 0x02, "item 0 has unknown flags 0x2"},
        {16 + 7, 0x80, "item 0 lies outside the page"},
        {16 + 9, 0x80, "item 0 has a key of 32774 bytes"},
        {16 + 32, 0x01, "inline bucket in item 2"},
    };
    struct fixture f;
    uint64_t id;

    (void) state;
    fixture_fill(&f);
    fixture_close(&f);
    id = some_leaf(&f);
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        simdisk_flip(f.sim, DB_PATH, id * P + damages[i].at, damages[i].mask);
        expect_finding(&f, damages[i].words);
        simdisk_flip(f.sim, DB_PATH, id * P + damages[i].at, damages[i].mask);
    }
    fixture_done(&f);
}

/* Keys out of order inside a page, and against the page above, are findings. */
static void test_key_order(void **state)
{
    struct fixture f;
    uint64_t id, key0, key2;
    uint8_t *file;
    size_t n;

    (void) state;
    fixture_fill(&f);
    fixture_close(&f);
    id = some_leaf(&f);
    file = simdisk_get_file(f.sim, DB_PATH, &n);
    key0 = (uint64_t) (page_leaf_key(file + id * P, 0).p - file);
    key2 = (uint64_t) (page_leaf_key(file + id * P, 2).p - file);
    mem_free(file);
    simdisk_flip(f.sim, DB_PATH, key2, 0x04); /* "k" becomes "o": greater than the next */
    expect_finding(&f, "needs to be > than previous element");
    simdisk_flip(f.sim, DB_PATH, key2, 0x04);
    simdisk_flip(f.sim, DB_PATH, key0, 0x08); /* "k" becomes "c": less than the branch says */
    expect_finding(&f, "needs to be >= the key in the ancestor");
    simdisk_flip(f.sim, DB_PATH, key0, 0x08);
    assert_false(open_damaged(&f));
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flip_every_byte),
        cmocka_unit_test(test_cut_file),
        cmocka_unit_test(test_findings),
        cmocka_unit_test(test_key_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
