/* tree_test.c -- random changes, compared with a sorted array after every commit and reopening. */
#include "bolt_util.h"

#define MODEL_KEYS 400
#define MODEL_BUCKETS 3
#define VALUE_BYTES_MAX 3000

/* Key i of bucket b has version v: its value follows from the three numbers. */
struct model {
    bool exists[MODEL_BUCKETS];
    uint32_t version[MODEL_BUCKETS][MODEL_KEYS]; /* 0: absent */
};

static uint8_t key_text[MODEL_KEYS][16];
static uint8_t filler[VALUE_BYTES_MAX + 256];
static const char *const names[MODEL_BUCKETS] = {"alarm", "key", "lease"};

static struct bytes key_of(unsigned i)
{
    /* Of different lengths, in numerical order. */
    return bytes_of(key_text[i], 5 + i % 8);
}

static struct bytes value_of(unsigned b, unsigned i, uint32_t version)
{
    uint32_t n = (b * 7 + i * 31 + version * 101) % 97;

    /* Now and then one that needs several pages. */
    if (n == 96)
        n = VALUE_BYTES_MAX;
    return bytes_of(filler + version % 256, n);
}

static int setup(void **state)
{
    (void) state;
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        memset(key_text[i], 'x', sizeof key_text[i]);
        snprintf((char *) key_text[i], sizeof key_text[i], "k%04u", i);
        key_text[i][5] = 'x';
    }
    for (size_t i = 0; i < sizeof filler; i++)
        filler[i] = (uint8_t) (i * 131 >> 3);
    return 0;
}

static void bucket_compare(const struct model *m, unsigned b, struct bolt_tx *tx)
{
    struct err e = ERR_INIT;
    struct bolt_cursor c;
    struct bolt_bucket h;
    struct bytes k, v;
    int rc = bolt_bucket_get(tx, bytes_str(names[b]), &h, &e);

    assert_int_equal(rc, m->exists[b] ? 0 : ERR_NOT_FOUND);
    if (rc != 0)
        return;
    bolt_cursor_init(&c, &h);
    rc = bolt_cursor_first(&c, &k, &v, &e);
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        struct bytes got;

        if (m->version[b][i] == 0) {
            assert_int_equal(bolt_get(&h, key_of(i), &got, &e), ERR_NOT_FOUND);
            continue;
        }
        assert_int_equal(rc, 0);
        assert_true(bytes_eq(k, key_of(i)));
        assert_true(bytes_eq(v, value_of(b, i, m->version[b][i])));
        OK(bolt_get(&h, key_of(i), &got, &e), &e);
        assert_true(bytes_eq(got, v));
        rc = bolt_cursor_next(&c, &k, &v, &e);
    }
    assert_int_equal(rc, ERR_NOT_FOUND);
}

static void model_compare(const struct model *m, struct bolt_tx *tx)
{
    for (unsigned b = 0; b < MODEL_BUCKETS; b++)
        bucket_compare(m, b, tx);
}

static void op_put(struct model *m, unsigned b, unsigned i, uint32_t version, struct bolt_tx *tx)
{
    struct err e = ERR_INIT;
    struct bolt_bucket h;

    OK(bolt_bucket_ensure(tx, bytes_str(names[b]), &h, &e), &e);
    bolt_bucket_set_fill(&h, b == 1 ? 90 : 50);
    put(&h, key_of(i), value_of(b, i, version));
    m->exists[b] = true;
    m->version[b][i] = version;
}

static void op_delete(struct model *m, unsigned b, unsigned i, struct bolt_tx *tx)
{
    struct err e = ERR_INIT;
    struct bolt_bucket h;

    if (!m->exists[b])
        return;
    OK(bolt_bucket_get(tx, bytes_str(names[b]), &h, &e), &e);
    assert_int_equal(bolt_delete(&h, key_of(i), &e), m->version[b][i] == 0 ? ERR_NOT_FOUND : 0);
    m->version[b][i] = 0;
}

static void op_bucket_delete(struct model *m, unsigned b, struct bolt_tx *tx)
{
    struct err e = ERR_INIT;

    assert_int_equal(bolt_bucket_delete(tx, bytes_str(names[b]), &e),
                     m->exists[b] ? 0 : ERR_NOT_FOUND);
    m->exists[b] = false;
    memset(m->version[b], 0, sizeof m->version[b]);
}

static void op_random(struct model *m, uint64_t *rng, uint32_t version, struct bolt_tx *tx)
{
    unsigned b = (unsigned) (next_random(rng) % MODEL_BUCKETS);
    unsigned i = (unsigned) (next_random(rng) % MODEL_KEYS);
    uint64_t what = next_random(rng) % 1000;

    if (what < 2) {
        op_bucket_delete(m, b, tx);
    } else if (what < 20) { /* a whole range, as a compaction does */
        for (unsigned k = 0; k < 60 && i + k < MODEL_KEYS; k++)
            op_delete(m, b, i + k, tx);
    } else if (what < 40) {
        for (unsigned k = 0; k < 60 && i + k < MODEL_KEYS; k++)
            op_put(m, b, i + k, version, tx);
    } else if (what < 450) {
        op_delete(m, b, i, tx);
    } else {
        op_put(m, b, i, version, tx);
    }
}

static void run_model(uint64_t seed, uint32_t page_bytes, unsigned commits)
{
    struct model m = {0}, before;
    struct fixture f;
    uint32_t version = 0;

    fixture_init(&f, page_bytes);
    for (unsigned n = 0; n < commits; n++) {
        struct bolt_tx *tx = write_begin(f.db);
        unsigned ops = (unsigned) (next_random(&seed) % 40);

        before = m;
        for (unsigned i = 0; i < ops; i++)
            op_random(&m, &seed, ++version, tx);
        model_compare(&m, tx);
        if (next_random(&seed) % 8 == 0) {
            bolt_rollback(tx);
            m = before;
        } else {
            commit(tx);
        }
        if (next_random(&seed) % 4 == 0)
            fixture_reopen(&f);
        db_check(f.db);
        tx = read_begin(f.db);
        model_compare(&m, tx);
        bolt_rollback(tx);
    }
    fixture_done(&f);
}

/* Random puts and deletes in three buckets give what a sorted array gives, inside the transaction,
 * after each commit or rollback, and after reopening; every page is accounted for each time. */
static void test_model_small_pages(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 6; seed++)
        run_model(seed, 1024, 60);
}

/* The same with pages as etcd has them. */
static void test_model_default_pages(void **state)
{
    (void) state;
    run_model(7, 4096, 100);
}

/* Old states stay readable, whole, while the writer goes on: each reader still sees its model. */
static void test_readers_keep_their_state(void **state)
{
    enum { READERS = 12 };
    struct model m = {0}, seen[READERS];
    struct bolt_tx *readers[READERS] = {NULL};
    uint64_t rng = 99;
    uint32_t version = 0;
    struct fixture f;

    (void) state;
    fixture_init(&f, 1024);
    for (unsigned n = 0; n < 200; n++) {
        unsigned r = (unsigned) (next_random(&rng) % READERS);
        struct bolt_tx *tx = write_begin(f.db);

        for (unsigned i = 0; i < 20; i++)
            op_random(&m, &rng, ++version, tx);
        commit(tx);
        db_check(f.db);
        if (readers[r] != NULL) {
            model_compare(&seen[r], readers[r]);
            OK(bolt_check(readers[r], finding_print, NULL, NULL), &ERR_INIT);
        }
        bolt_rollback(readers[r]);
        readers[r] = read_begin(f.db);
        seen[r] = m;
    }
    for (unsigned r = 0; r < READERS; r++)
        bolt_rollback(readers[r]);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_small_pages),
        cmocka_unit_test(test_model_default_pages),
        cmocka_unit_test(test_readers_keep_their_state),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
