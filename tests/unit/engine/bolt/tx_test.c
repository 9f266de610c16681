/* tx_test.c -- the rules of transactions: who may begin, what readers see and hold, how the file
 * and its mapping grow, what the statistics say. */
#include "bolt_util.h"

static struct bolt_stats stats(struct bolt_db *db)
{
    struct bolt_stats st;

    bolt_get_stats(db, &st);
    return st;
}

static bool has(struct bolt_tx *tx, const char *key)
{
    struct bolt_bucket b;
    struct bytes v;

    return bolt_bucket_get(tx, BYTES_LIT("b"), &b, NULL) == 0 &&
           bolt_get(&b, bytes_str(key), &v, NULL) == 0;
}

/* One writer at a time, none in a read-only database, and begin never waits. */
static void test_who_may_write(void **state)
{
    struct fixture f;
    struct err e = ERR_INIT;
    struct bolt_tx *tx, *other;

    (void) state;
    fixture_init(&f, 1024);
    tx = write_begin(f.db);
    assert_int_equal(bolt_begin_write(f.db, &other, &e), ERR_AGAIN);
    assert_true(bolt_is_writable(tx));
    bolt_rollback(tx);
    tx = write_begin(f.db);
    commit(tx);
    bolt_close(f.db);
    f.opt.read_only = true;
    fixture_open(&f);
    assert_int_equal(bolt_begin_write(f.db, &other, &e), ERR_PERMISSION);
    tx = read_begin(f.db);
    assert_false(bolt_is_writable(tx));
    bolt_rollback(tx);
    bolt_rollback(NULL);
    fixture_done(&f);
}

/* Several may read a file at once, nobody while another writes; a read-only open makes no file. */
static void test_locks(void **state)
{
    struct bolt_options ro = {.read_only = true};
    struct bolt_options unlocked = {.read_only = true, .lock = BOLT_LOCK_NONE};
    struct fixture f;
    struct err e = ERR_INIT;
    struct bolt_db *other, *third;

    (void) state;
    fixture_init(&f, 1024);
    assert_int_equal(bolt_open(f.disk, DB_PATH, &ro, &other, &e), ERR_LOCKED);
    assert_int_equal(bolt_open(f.disk, DB_PATH, &f.opt, &other, &e), ERR_LOCKED);
    OK(bolt_open(f.disk, DB_PATH, &unlocked, &other, &e), &e);
    bolt_close(other);
    bolt_close(f.db);
    OK(bolt_open(f.disk, DB_PATH, &ro, &other, &e), &e);
    OK(bolt_open(f.disk, DB_PATH, &ro, &third, &e), &e);
    assert_int_equal(bolt_open(f.disk, DB_PATH, &f.opt, &f.db, &e), ERR_LOCKED);
    bolt_close(other);
    bolt_close(third);
    fixture_open(&f);
    assert_int_equal(bolt_open(f.disk, "dir/none", &ro, &other, &e), ERR_NOT_FOUND);
    assert_false(disk_exists(f.disk, "dir/none"));
    fixture_done(&f);
}

/* Options that cannot be are refused before anything is touched. */
static void test_options(void **state)
{
    struct simdisk *s = simdisk_new(1);
    struct bolt_options bad[] = {{.page_bytes = 512},
                                 {.page_bytes = 3000},
                                 {.page_bytes = 131072},
                                 {.lock = BOLT_LOCK_NONE}};
    struct bolt_db *db;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(bolt_open(simdisk_disk(s), "db", &bad[i], &db, NULL), ERR_INVALID);
    assert_false(disk_exists(simdisk_disk(s), "db"));
    simdisk_free(s);
}

/* A reader sees the commit before it, whatever is committed afterwards; a rollback leaves nothing.
 */
static void test_isolation(void **state)
{
    struct fixture f;
    struct bolt_tx *before, *after, *tx;
    struct bolt_bucket b;

    (void) state;
    fixture_init(&f, 1024);
    put_one(f.db, "b", "one", "1");
    before = read_begin(f.db);
    tx = write_begin(f.db);
    b = bucket(tx, "b");
    put(&b, BYTES_LIT("two"), BYTES_LIT("2"));
    assert_true(has(tx, "two"));
    assert_false(has(before, "two"));
    assert_int_equal(bolt_txid(tx), bolt_txid(before) + 1);
    commit(tx);
    assert_false(has(before, "two"));
    after = read_begin(f.db);
    assert_true(has(after, "two"));
    tx = write_begin(f.db);
    assert_int_equal(bolt_bucket_delete(tx, BYTES_LIT("b"), NULL), 0);
    assert_false(has(tx, "one"));
    bolt_rollback(tx);
    assert_true(has(after, "one"));
    bolt_rollback(after);
    bolt_rollback(before);
    db_check(f.db);
    fixture_done(&f);
}

/* A commit without changes is a commit: the number goes up, the file stays the same size. */
static void test_empty_commit(void **state)
{
    struct fixture f;
    uint64_t size;

    (void) state;
    fixture_init(&f, 1024);
    put_one(f.db, "b", "k", "v");
    size = stats(f.db).size_bytes;
    for (uint64_t id = 3; id < 8; id++) {
        commit(write_begin(f.db));
        assert_int_equal(stats(f.db).txid, id);
    }
    assert_int_equal(stats(f.db).size_bytes, size);
    db_check(f.db);
    fixture_done(&f);
}

/* While a reader lives, what it sees is pending and the file grows; then it is used again.  Readers
 * do not stop the writer. */
static void test_long_reader(void **state)
{
    struct fixture f;
    struct bolt_tx *old;
    uint64_t size;

    (void) state;
    fixture_init(&f, 1024);
    for (unsigned i = 0; i < 20; i++)
        put_one(f.db, "b", "k",
                "a value that is too long to be inline, as it has more than the "
                "quarter of a page that an inline bucket may have, which is 256 bytes "
                "when pages are as small as here, and so it has a page of its own and "
                "is copied with each commit: one page for it and one for the root");
    size = stats(f.db).size_bytes;
    old = read_begin(f.db);
    assert_int_equal(stats(f.db).readers, 1);
    assert_int_equal(stats(f.db).oldest_reader, bolt_txid(old));
    for (unsigned i = 0; i < 50; i++)
        put_one(f.db, "b", "k", "v");
    assert_true(stats(f.db).pending_pages >= 2);
    /* Pages that came and went meanwhile are used again: 50 commits did not take 100 pages. */
    assert_true(stats(f.db).size_bytes <= size + 6 * 1024);
    assert_true(has(old, "k"));
    bolt_rollback(old);
    put_one(f.db, "b", "k", "v");
    put_one(f.db, "b", "k", "v");
    assert_true(stats(f.db).pending_pages <= 2);
    assert_int_equal(stats(f.db).readers, 0);
    assert_int_equal(stats(f.db).oldest_reader, 0);
    db_check(f.db);
    fixture_done(&f);
}

/* A young database has exactly the size that etcd's has: needed bytes plus 16 MiB, because etcd
 * asks for a mapping of 10 GiB; with a small mapping the file has the size of the mapping. */
static void test_growth(void **state)
{
    struct fixture f;

    (void) state;
    fixture_init(&f, 4096);
    bolt_close(f.db);
    assert_int_equal(disk_remove(f.disk, DB_PATH, NULL), 0);
    f.opt = (struct bolt_options){0};
    fixture_open(&f);
    put_one(f.db, "b", "k", "v");
    assert_int_equal(stats(f.db).size_bytes, 5 * 4096);
    assert_int_equal(stats(f.db).file_bytes, 24576 + 16777216);
    fixture_done(&f);

    assert_int_equal(bolt_grown_bytes(24576, 32768), 32768);
    assert_int_equal(bolt_grown_bytes(15 << 20, 16 << 20), 16 << 20);
    assert_int_equal(bolt_grown_bytes(20 << 20, 32 << 20), 36 << 20);
}

/* A file that outgrows its mapping gets a larger one; a reader of the old one reads on; afterwards
 * the old one ends. */
static void test_remap(void **state)
{
    static uint8_t value[20000];
    struct fixture f;
    struct bolt_tx *readers[6];
    uint64_t maps;

    (void) state;
    fixture_init(&f, 1024);
    bolt_close(f.db);
    f.opt.reserve_bytes = 1;
    fixture_open(&f);
    maps = simdisk_calls(f.sim, SIM_MAP);
    for (unsigned i = 0; i < 6; i++) {
        char name[8], big[8];

        for (unsigned k = 0; k < 4; k++) {
            struct bolt_tx *tx = write_begin(f.db);
            struct bolt_bucket b = bucket(tx, "b");

            snprintf(name, sizeof name, "k%u", i);
            put(&b, bytes_str(name), BYTES_LIT("v"));
            snprintf(big, sizeof big, "big%u%u", i, k);
            put(&b, bytes_str(big), bytes_of(value, sizeof value));
            commit(tx);
        }
        readers[i] = read_begin(f.db);
    }
    assert_true(simdisk_calls(f.sim, SIM_MAP) > maps + 2);
    for (unsigned i = 0; i < 6; i++) {
        char name[8];

        snprintf(name, sizeof name, "k%u", i);
        assert_true(has(readers[i], name));
        snprintf(name, sizeof name, "k%u", i + 1);
        assert_false(has(readers[i], name));
        OK(bolt_check(readers[i], finding_print, NULL, NULL), &ERR_INIT);
    }
    for (unsigned i = 0; i < 6; i++)
        bolt_rollback(readers[5 - i]);
    db_check(f.db);
    fixture_reopen(&f);
    db_check(f.db);
    fixture_done(&f);
}

/* When the name leads to another file meanwhile, growing beyond the mapping fails rather than
 * mapping a stranger; nothing is lost. */
static void test_remap_of_a_stranger(void **state)
{
    static uint8_t value[60000];
    struct fixture f;
    struct err e = ERR_INIT;
    struct bolt_bucket b;
    struct bolt_tx *tx;

    (void) state;
    fixture_init(&f, 1024);
    bolt_close(f.db);
    f.opt.reserve_bytes = 1;
    fixture_open(&f);
    put_one(f.db, "b", "k", "v");
    assert_int_equal(disk_rename(f.disk, DB_PATH, "dir/moved", NULL), 0);
    simdisk_put_file(f.sim, DB_PATH, value, sizeof value);
    tx = write_begin(f.db);
    b = bucket(tx, "b");
    put(&b, BYTES_LIT("big"), bytes_of(value, sizeof value));
    assert_int_equal(bolt_commit(tx, &e), ERR_INVALID);
    tx = read_begin(f.db);
    assert_true(has(tx, "k"));
    assert_false(has(tx, "big"));
    bolt_rollback(tx);
    put_one(f.db, "b", "k2", "v");
    db_check(f.db);
    fixture_done(&f);
}

/* Where address space is short a smaller mapping will do. */
static void test_short_address_space(void **state)
{
    struct bolt_options opt = {.reserve_bytes = UINT64_C(1) << 55};
    struct simdisk *s = simdisk_new(1);
    struct err e = ERR_INIT;
    struct bolt_db *db;

    (void) state;
    OK(bolt_open(simdisk_disk(s), "db", &opt, &db, &e), &e);
    put_one(db, "b", "k", "v");
    db_check(db);
    bolt_close(db);
    simdisk_free(s);
}

/* Beginning a read allocates nothing once there were as many before. */
static void test_reads_do_not_allocate(void **state)
{
    struct fixture f;
    struct bolt_tx *tx[10];
    uint64_t before = 0;

    (void) state;
    fixture_init(&f, 1024);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 10; i++)
            tx[i] = read_begin(f.db);
        for (unsigned i = 0; i < 10; i++)
            bolt_rollback(tx[(i * 7) % 10]);
        if (round == 0)
            before = mem_alloc_count();
    }
    assert_int_equal(mem_alloc_count(), before);
    fixture_done(&f);
}

/* Readers have a limit, and it can be reached again after they ended. */
static void test_readers_limit(void **state)
{
    static struct bolt_tx *tx[BOLT_READERS_MAX];
    struct fixture f;
    struct err e = ERR_INIT;
    struct bolt_tx *more;

    (void) state;
    fixture_init(&f, 1024);
    for (unsigned i = 0; i < BOLT_READERS_MAX; i++)
        tx[i] = read_begin(f.db);
    assert_int_equal(bolt_begin_read(f.db, &more, &e), ERR_LIMIT);
    put_one(f.db, "b", "k", "v");
    for (unsigned i = 0; i < BOLT_READERS_MAX; i++)
        bolt_rollback(tx[i]);
    OK(bolt_begin_read(f.db, &more, &e), &e);
    bolt_rollback(more);
    fixture_done(&f);
}

/* Appending in order fills pages to the fill percentage, and deleting most of it gives the pages
 * back: the file does not grow when as much is written again. */
static void test_append_and_compact(void **state)
{
    enum { RECORDS = 20000, BATCH = 1000 };
    static char keys[RECORDS][10];
    static uint8_t value[100];
    struct fixture f;
    uint64_t full, size = 0;

    (void) state;
    fixture_init(&f, 4096);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < RECORDS; i += BATCH) {
            struct bolt_tx *tx = write_begin(f.db);
            struct bolt_bucket b = bucket(tx, "key");

            bolt_bucket_set_fill(&b, 90);
            for (unsigned k = i; k < i + BATCH; k++) {
                snprintf(keys[k], sizeof keys[k], "%c%08u", 'a' + round, k);
                put(&b, bytes_of(keys[k], 9), bytes_of(value, sizeof value));
            }
            commit(tx);
        }
        full = stats(f.db).in_use_bytes;
        /* 16 + 9 + 100 bytes a record in pages 90 per cent full, and a little for branches. */
        assert_true(full < UINT64_C(125) * RECORDS / 85 * 100);
        if (round == 0)
            size = stats(f.db).size_bytes;
        for (unsigned i = 0; i < RECORDS; i += BATCH) {
            struct bolt_tx *tx = write_begin(f.db);
            struct bolt_bucket b = bucket(tx, "key");

            for (unsigned k = i; k < i + BATCH; k++)
                assert_int_equal(bolt_delete(&b, bytes_of(keys[k], 9), NULL), 0);
            commit(tx);
        }
        commit(write_begin(f.db));
        assert_true(stats(f.db).in_use_bytes < 20 * 4096);
        db_check(f.db);
    }
    assert_true(stats(f.db).size_bytes < size + size / 4);
    fixture_done(&f);
}

/* The limits of keys, values and names are refused one by one; the largest allowed key is kept. */
static void test_limits(void **state)
{
    static uint8_t key[BOLT_KEY_BYTES_MAX + 1];
    struct fixture f;
    struct bolt_bucket b;
    struct bolt_tx *tx;
    struct bytes v, big = bytes_of(key, BOLT_KEY_BYTES_MAX);

    (void) state;
    memset(key, 'k', sizeof key);
    fixture_init(&f, 1024);
    tx = write_begin(f.db);
    b = bucket(tx, "b");
    assert_int_equal(bolt_put(&b, BYTES_EMPTY, BYTES_LIT("v"), NULL), ERR_INVALID);
    assert_int_equal(bolt_put(&b, bytes_of(key, sizeof key), BYTES_LIT("v"), NULL), ERR_INVALID);
    assert_int_equal(
        bolt_put(&b, BYTES_LIT("k"), bytes_of(key, (size_t) BOLT_VALUE_BYTES_MAX + 1), NULL),
        ERR_INVALID);
    assert_int_equal(bolt_bucket_create(tx, BYTES_EMPTY, &b, NULL), ERR_INVALID);
    assert_int_equal(bolt_bucket_create(tx, bytes_of(key, sizeof key), &b, NULL), ERR_INVALID);
    assert_int_equal(bolt_bucket_create(tx, BYTES_LIT("b"), &b, NULL), ERR_EXISTS);
    assert_int_equal(bolt_bucket_delete(tx, BYTES_LIT("none"), NULL), ERR_NOT_FOUND);
    b = bucket(tx, "b");
    put(&b, big, BYTES_EMPTY);
    put(&b, BYTES_LIT("a"), BYTES_LIT("v"));
    commit(tx);
    db_check(f.db);
    tx = read_begin(f.db);
    b = bucket(tx, "b");
    assert_int_equal(bolt_get(&b, big, &v, NULL), 0);
    assert_int_equal(v.n, 0);
    assert_non_null(v.p);
    bolt_rollback(tx);
    fixture_done(&f);
}

/* A bucket that is deleted and made again in one transaction is empty and new. */
static void test_bucket_made_again(void **state)
{
    struct fixture f;
    struct bolt_tx *tx;
    struct bolt_bucket b;

    (void) state;
    fixture_init(&f, 1024);
    put_one(f.db, "b", "old", "v");
    tx = write_begin(f.db);
    b = bucket(tx, "b");
    put(&b, BYTES_LIT("older"), BYTES_LIT("v"));
    assert_int_equal(bolt_bucket_delete(tx, BYTES_LIT("b"), NULL), 0);
    b = bucket(tx, "b");
    put(&b, BYTES_LIT("new"), BYTES_LIT("v"));
    commit(tx);
    tx = read_begin(f.db);
    assert_true(has(tx, "new"));
    assert_false(has(tx, "old"));
    assert_false(has(tx, "older"));
    bolt_rollback(tx);
    db_check(f.db);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_may_write),
        cmocka_unit_test(test_locks),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_isolation),
        cmocka_unit_test(test_empty_commit),
        cmocka_unit_test(test_long_reader),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_remap),
        cmocka_unit_test(test_remap_of_a_stranger),
        cmocka_unit_test(test_short_address_space),
        cmocka_unit_test(test_reads_do_not_allocate),
        cmocka_unit_test(test_readers_limit),
        cmocka_unit_test(test_append_and_compact),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_bucket_made_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
