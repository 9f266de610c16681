/* format_test.c -- the bytes of the file: bbolt's worked example read and written, page sizes,
 * metas, stored freelists, nested buckets. */
#include "bolt_util.h"

#include "base/endian.h"
#include "engine/bolt/bolt_int.h"

#define P 1024

/* The file of reference bolt.md section 11, written by bbolt 1.5.0 with page size 1024. */
static const struct {
    unsigned at;
    const char *hex;
} example[] = {
    {0x0000, "00000000000000000400000000000000"},
    {0x0010, "edda0ced020000000004000000000000"},
    {0x0020, "04000000000000000000000000000000"},
    {0x0030, "05000000000000000600000000000000"},
    {0x0040, "0200000000000000a2baac5fa3d60acc"},
    {0x0400, "01000000000000000400000000000000"},
    {0x0410, "edda0ced020000000004000000000000"},
    {0x0420, "03000000000000000000000000000000"},
    {0x0430, "02000000000000000400000000000000"},
    {0x0440, "010000000000000043515030b99a00c3"},
    {0x0800, "02000000000000001000000000000000"},
    {0x0c00, "03000000000000000200000000000000"},
    {0x1000, "04000000000000000200010000000000"},
    {0x1010, "01000000100000000300000046000000"},
    {0x1020, "6b6579"},
    {0x1023, "00000000000000000000000000000000"},
    {0x1033, "00000000000000000200020000000000"},
    {0x1043, "00000000200000000100000001000000"},
    {0x1053, "00000000120000000200000002000000"},
    {0x1063, "613162623232"},
    {0x1400, "05000000000000001000020000000000"},
    {0x1410, "02000000000000000300000000000000"},
};

#define EXAMPLE_BYTES 32768

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned) (c - '0') : (unsigned) (c - 'a' + 10);
}

static void example_make(uint8_t *file)
{
    memset(file, 0, EXAMPLE_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(example); i++) {
        for (size_t k = 0; example[i].hex[2 * k] != '\0'; k++)
            file[example[i].at + k] = (uint8_t) (hex_digit(example[i].hex[2 * k]) << 4 |
                                                 hex_digit(example[i].hex[2 * k + 1]));
    }
}

static void expect(const struct bolt_bucket *b, const char *key, const char *value)
{
    struct err e = ERR_INIT;
    struct bytes v;

    OK(bolt_get(b, bytes_str(key), &v, &e), &e);
    assert_true(bytes_eq(v, bytes_str(value)));
}

/* The worked example is read, is whole by the check (its stored freelist too), and can be written
 * to; the first commit gives up the stored freelist as etcd does. */
static void test_example_read(void **state)
{
    static uint8_t file[EXAMPLE_BYTES];
    struct fixture f = {.sim = simdisk_new(1)};
    struct bolt_bucket b;
    struct bolt_tx *tx;
    uint8_t *now;
    size_t n;

    (void) state;
    example_make(file);
    simdisk_put_file(f.sim, DB_PATH, file, sizeof file);
    f.disk = simdisk_disk(f.sim);
    fixture_open(&f);
    tx = read_begin(f.db);
    assert_int_equal(bolt_txid(tx), 2);
    assert_int_equal(bolt_tx_size_bytes(tx), 6 * P);
    b = bucket(tx, "key");
    expect(&b, "a", "1");
    expect(&b, "bb", "22");
    bolt_rollback(tx);
    db_check(f.db);
    put_one(f.db, "key", "ccc", "333");
    db_check(f.db);
    now = simdisk_get_file(f.sim, DB_PATH, &n);
    assert_int_equal(n, EXAMPLE_BYTES);
    assert_int_equal(le64_get(now + P + 0x30), META_NO_FREELIST);
    assert_int_equal(le64_get(now + P + 0x40), 3);
    mem_free(now);
    fixture_done(&f);
}

/* Doing what made the worked example gives the same bytes, but for the freelist, which is not
 * stored: the metas name none, and there is no page 5. */
static void test_example_written(void **state)
{
    static uint8_t want[EXAMPLE_BYTES];
    struct fixture f;
    struct bolt_bucket b;
    struct bolt_tx *tx;
    struct meta m;
    uint8_t *now;
    size_t n;

    (void) state;
    fixture_init(&f, P);
    tx = write_begin(f.db);
    b = bucket(tx, "key");
    put(&b, BYTES_LIT("a"), BYTES_LIT("1"));
    put(&b, BYTES_LIT("bb"), BYTES_LIT("22"));
    commit(tx);
    example_make(want);
    now = simdisk_get_file(f.sim, DB_PATH, &n);
    assert_int_equal(n, EXAMPLE_BYTES);
    assert_memory_equal(now + P, want + P, 4 * P);
    assert_int_equal(meta_decode(now, &m, NULL), 0);
    assert_int_equal(m.freelist, META_NO_FREELIST);
    assert_int_equal(m.high_water, 5);
    m.freelist = 5;
    m.high_water = 6;
    meta_encode(&m, 0, now);
    assert_memory_equal(now, want, P);
    mem_free(now);
    fixture_done(&f);
}

/* A new file is bbolt's: two metas, an empty freelist, an empty root, four pages, nothing else. */
static void test_new_file(void **state)
{
    struct fixture f;
    uint8_t *now;
    size_t n;
    struct meta m;

    (void) state;
    fixture_init(&f, 4096);
    now = simdisk_get_file(f.sim, DB_PATH, &n);
    assert_int_equal(n, 4 * 4096);
    for (uint64_t i = 0; i <= 1; i++) {
        assert_int_equal(page_id(now + i * 4096), i);
        assert_int_equal(meta_decode(now + i * 4096, &m, NULL), 0);
        assert_int_equal(m.txid, i);
        assert_int_equal(m.freelist, 2);
        assert_int_equal(m.root, 3);
        assert_int_equal(m.high_water, 4);
    }
    assert_int_equal(page_flags(now + 2 * 4096), PAGE_FREELIST);
    assert_int_equal(page_flags(now + 3 * 4096), PAGE_LEAF);
    mem_free(now);
    db_check(f.db);
    fixture_done(&f);
}

/* Every page size that the format allows is found again, also when the first meta is damaged: then
 * the second one, wherever it is. */
static void test_page_sizes(void **state)
{
    (void) state;
    for (uint32_t page_bytes = 1024; page_bytes <= 65536; page_bytes *= 2) {
        for (unsigned commits = 0; commits < 4; commits++) {
            struct fixture f;
            struct bolt_stats st;
            struct bolt_tx *tx;

            fixture_init(&f, page_bytes);
            for (unsigned i = 0; i < commits; i++)
                put_one(f.db, "b", "k", "v");
            bolt_close(f.db);
            f.opt.page_bytes = 0;
            simdisk_flip(f.sim, DB_PATH, 0x40, 0xff);
            fixture_open(&f);
            bolt_get_stats(f.db, &st);
            assert_int_equal(st.page_bytes, page_bytes);
            /* The state of the odd transaction: page 1. */
            tx = read_begin(f.db);
            assert_int_equal(bolt_txid(tx), commits % 2 == 0 ? commits + 1 : commits);
            bolt_rollback(tx);
            db_check(f.db);
            put_one(f.db, "b", "k2", "v2");
            db_check(f.db);
            fixture_done(&f);
        }
    }
}

/* With one meta damaged the other counts; with both, the words are those of meta 0, as in bbolt. */
static void test_both_metas_damaged(void **state)
{
    static const struct {
        unsigned at;
        const char *words;
    } damages[] = {{16, "invalid database"}, {20, "version mismatch"}, {64, "checksum error"}};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        struct fixture f;
        struct err e = ERR_INIT;

        fixture_init(&f, 4096);
        put_one(f.db, "b", "k", "v");
        fixture_close(&f);
        simdisk_flip(f.sim, DB_PATH, damages[i].at, 0xff);
        simdisk_flip(f.sim, DB_PATH, 4096 + 64, 0xff);
        assert_int_equal(bolt_open(f.disk, DB_PATH, &f.opt, &f.db, &e), ERR_CORRUPT);
        assert_string_equal(e.msg, damages[i].words);
        fixture_done(&f);
    }
}

/* Files that are no database, or cut short, are refused with words that say so, and left alone. */
static void test_not_a_database(void **state)
{
    static uint8_t junk[40000];
    static const struct {
        size_t n;
        const char *words;
    } files[] = {{1, "file size too small 1"},
                 {5000, "file size too small 5000"},
                 {16384, "invalid database"},
                 {40000, "invalid database"}};

    (void) state;
    memset(junk, 'x', sizeof junk);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct fixture f = {.sim = simdisk_new(1)};
        struct err e = ERR_INIT;
        uint8_t *now;
        size_t n;

        f.disk = simdisk_disk(f.sim);
        simdisk_put_file(f.sim, DB_PATH, junk, files[i].n);
        assert_int_equal(bolt_open(f.disk, DB_PATH, NULL, &f.db, &e), ERR_CORRUPT);
        assert_string_equal(e.msg, files[i].words);
        now = simdisk_get_file(f.sim, DB_PATH, &n);
        assert_int_equal(n, files[i].n);
        assert_memory_equal(now, junk, n);
        mem_free(now);
        fixture_done(&f);
    }
}

/* A leaf page with one bucket element. */
static void leaf_put(uint8_t *page, uint64_t id, const char *name, const uint8_t *value, size_t n)
{
    uint8_t *it = page + 16;

    page_header_put(page, (struct page_header){.id = id, .flags = PAGE_LEAF, .count = 1});
    le32_put(it, PAGE_ITEM_BUCKET);
    le32_put(it + 4, 16);
    le32_put(it + 8, (uint32_t) strlen(name));
    le32_put(it + 12, (uint32_t) n);
    memcpy(it + 16, name, strlen(name));
    memcpy(it + 16 + strlen(name), value, n);
}

/* A database with bucket "outer" that holds bucket "inner", as bbolt may write but etcd does not:
 * page 3 the root, page 4 outer; inner is inline (the value of the worked example) or empty on
 * page 5.
 */
static void nested_make(uint8_t *file, bool inner_inline)
{
    uint8_t head[16] = {0};
    struct meta m = {.page_bytes = P, .root = 3, .freelist = META_NO_FREELIST, .txid = 4};

    m.high_water = inner_inline ? 5 : 6;
    example_make(file);
    meta_encode(&m, 0, file);
    m.txid = 3;
    meta_encode(&m, 1, file + P);
    memset(file + 2 * P, 0, 2 * P);
    le64_put(head, 4);
    leaf_put(file + 3 * P, 3, "outer", head, sizeof head);
    if (inner_inline) {
        uint8_t value[70];

        memcpy(value, file + 0x1023, sizeof value);
        leaf_put(file + 4 * P, 4, "inner", value, sizeof value);
    } else {
        le64_put(head, 5);
        leaf_put(file + 4 * P, 4, "inner", head, sizeof head);
        page_header_put(file + 5 * P, (struct page_header){.id = 5, .flags = PAGE_LEAF});
    }
}

/* Buckets inside buckets are read, checked, shown by the cursor, and deleted with their parent;
 * their parent never becomes inline while they are there. */
static void test_nested_buckets(void **state)
{
    static uint8_t file[EXAMPLE_BYTES];

    (void) state;
    for (unsigned inner_inline = 0; inner_inline <= 1; inner_inline++) {
        struct fixture f = {.sim = simdisk_new(1)};
        struct bolt_bucket outer, inner;
        struct bolt_cursor c;
        struct bolt_stats st;
        struct bolt_tx *tx;
        struct bytes k, v;

        f.disk = simdisk_disk(f.sim);
        nested_make(file, inner_inline == 1);
        simdisk_put_file(f.sim, DB_PATH, file, sizeof file);
        fixture_open(&f);
        db_check(f.db);
        put_one(f.db, "outer", "z", "26");
        db_check(f.db);
        tx = read_begin(f.db);
        outer = bucket(tx, "outer");
        assert_int_equal(bolt_get(&outer, BYTES_LIT("inner"), &v, NULL), ERR_NOT_FOUND);
        assert_int_equal(bolt_bucket_nested(&outer, BYTES_LIT("z"), &inner, NULL), ERR_INVALID);
        assert_int_equal(bolt_bucket_nested(&outer, BYTES_LIT("inner"), &inner, NULL), 0);
        if (inner_inline == 1)
            expect(&inner, "bb", "22");
        bolt_cursor_init(&c, &outer);
        assert_int_equal(bolt_cursor_first(&c, &k, &v, NULL), 0);
        assert_true(bolt_cursor_at_bucket(&c));
        assert_int_equal(v.n, 0);
        assert_int_equal(bolt_cursor_next(&c, &k, &v, NULL), 0);
        assert_false(bolt_cursor_at_bucket(&c));
        bolt_rollback(tx);

        tx = write_begin(f.db);
        outer = bucket(tx, "outer");
        assert_int_equal(bolt_put(&outer, BYTES_LIT("inner"), BYTES_LIT("x"), NULL), ERR_INVALID);
        assert_int_equal(bolt_delete(&outer, BYTES_LIT("inner"), NULL), ERR_INVALID);
        assert_int_equal(bolt_bucket_delete(tx, BYTES_LIT("outer"), NULL), 0);
        commit(tx);
        db_check(f.db);
        put_one(f.db, "other", "k", "v");
        db_check(f.db);
        bolt_get_stats(f.db, &st);
        assert_int_equal(st.in_use_bytes, 4 * P); /* two metas, the root, the root before */
        fixture_done(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_read),       cmocka_unit_test(test_example_written),
        cmocka_unit_test(test_new_file),           cmocka_unit_test(test_page_sizes),
        cmocka_unit_test(test_both_metas_damaged), cmocka_unit_test(test_not_a_database),
        cmocka_unit_test(test_nested_buckets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
