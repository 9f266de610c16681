#include "base/endian.h"
#include "wal_lib.h"

/* What a crash can do to the end of the log, and what only damage can do to it. */

#define SEGMENT 65536
#define GOOD 20 /* entries before the last record */

/* The file of a log whose last record is one entry, without a state behind it, and where in it that
 * record begins and ends. */
struct sample {
    uint8_t *file;
    size_t n;
    uint64_t begin, end;
};

static struct sample sample_make(size_t bytes)
{
    struct simdisk *s = simdisk_new(1);
    struct wal *w = test_create(s, SEGMENT);
    struct wal_save save = {.entries_n = 1};
    struct sample x = {0};
    struct wal_stats st;
    struct raft_entry en;
    struct arena a;

    arena_init(&a, 1 << 20);
    assert_int_equal(test_append(w, 1, GOOD, 1, 90, NULL), 0);
    wal_stats(w, &st);
    x.begin = st.bytes_written;
    en = test_entry(&a, GOOD + 1, 1, bytes);
    save.entries = &en;
    assert_int_equal(wal_append_batch(w, &save, 1, NULL), 0);
    wal_stats(w, &st);
    x.end = st.bytes_written;
    arena_done(&a);
    wal_close(w);
    x.file = simdisk_get_file(s, TEST_FIRST, &x.n);
    simdisk_free(s);
    return x;
}

/* Opens a log of which the last record is not whole: it is gone, the rest is there, the damaged
 * file was kept, and the log takes new entries. */
static void expect_repaired(const uint8_t *file, size_t n)
{
    struct simdisk *s = simdisk_new(3);
    struct wal_contents c, ro;
    struct wal *w;
    uint8_t *p;
    size_t got;

    simdisk_put_file(s, TEST_FIRST, file, n);
    assert_int_equal(wal_read(simdisk_disk(s), TEST_DIR, 0, 0, &ro, NULL), 0);
    test_check_entries(&ro.entries, 1, GOOD);
    wal_contents_done(&ro);
    w = test_open(s, SEGMENT, &c);
    assert_true(c.repaired);
    test_check_entries(&c.entries, 1, GOOD);
    assert_string_equal(c.broken_name, "0000000000000000-0000000000000000.wal.broken");
    p = simdisk_get_file(s, TEST_FIRST ".broken", &got);
    assert_int_equal(got, n);
    assert_memory_equal(p, file, n);
    mem_free(p);
    wal_contents_done(&c);
    assert_int_equal(test_append(w, GOOD + 1, 2, 2, 50, NULL), 0);
    wal_close(w);
    simdisk_crash(s, SIM_CRASH_DROP);
    w = test_open(s, SEGMENT, &c);
    assert_false(c.repaired);
    test_check_entries(&c.entries, 1, GOOD + 2);
    wal_contents_done(&c);
    wal_close(w);
    simdisk_free(s);
}

/* Opening must fail, name the file, and change nothing. */
static void expect_refused(const uint8_t *file, size_t n, const char *where)
{
    struct simdisk *s = simdisk_new(3);
    struct wal_options o = test_options(s, SEGMENT);
    struct wal_contents c;
    struct err e = ERR_INIT;
    struct wal *w;
    uint8_t *p;
    size_t got;

    simdisk_put_file(s, TEST_FIRST, file, n);
    assert_int_equal(wal_open(&o, 0, 0, &c, &w, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.msg, "0000000000000000-0000000000000000.wal"));
    if (strstr(e.msg, where) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", e.msg, where);
    p = simdisk_get_file(s, TEST_FIRST, &got);
    assert_int_equal(got, n);
    assert_memory_equal(p, file, n);
    mem_free(p);
    assert_false(disk_exists(simdisk_disk(s), TEST_FIRST ".broken"));
    simdisk_free(s);
}

/* A file that ends anywhere within the last record is repaired. */
static void cut_at_every_byte(void **state)
{
    struct sample x = sample_make(150);

    (void) state;
    for (uint64_t at = x.begin + 1; at < x.end; at++)
        expect_repaired(x.file, (size_t) at);
    mem_free(x.file);
}

/* A sector that never reached the disk, whichever of the last record's, is repaired; the length
 * word's own sector missing means a clean end. */
static void every_sector_missing(void **state)
{
    struct sample x = sample_make(3500);
    struct simdisk *s = simdisk_new(1);

    (void) state;
    for (uint64_t sector = x.begin / 512 + 1; sector * 512 < x.end; sector++) {
        uint8_t saved[512];

        memcpy(saved, x.file + sector * 512, 512);
        memset(x.file + sector * 512, 0, 512);
        expect_repaired(x.file, x.n);
        memcpy(x.file + sector * 512, saved, 512);
    }
    memset(x.file + x.begin, 0, 512 - x.begin % 512);
    simdisk_put_file(s, TEST_FIRST, x.file, x.n);
    {
        struct wal_contents c;
        struct wal *w = test_open(s, SEGMENT, &c);

        assert_false(c.repaired);
        test_check_entries(&c.entries, 1, GOOD);
        wal_contents_done(&c);
        wal_close(w);
    }
    mem_free(x.file);
    simdisk_free(s);
}

/* Wrong bytes are damage, wherever they are: no byte of the log may change without opening being
 * refused, or nothing being lost (unused bits, padding).  But for one byte per record, its type,
 * which etcd's format has no checksum over. */
static void every_byte_wrong(void **state)
{
    struct sample x = sample_make(150);

    (void) state;
    for (uint64_t at = 0, frame = 0; at < x.end; at++) {
        struct simdisk *t;
        struct wal_options o;
        struct wal_contents c;
        struct err e = ERR_INIT;
        struct wal *w;
        int rc;

        if (at == frame + 9)
            continue;
        if (at == frame + 16) /* no frame is shorter */
            frame += 8 + ((le64_get(x.file + frame) & 0xffffff) + 7) / 8 * 8;
        t = simdisk_new(2);
        o = test_options(t, SEGMENT);
        x.file[at] ^= (uint8_t) (1 + at % 255);
        simdisk_put_file(t, TEST_FIRST, x.file, x.n);
        rc = wal_open(&o, 0, 0, &c, &w, &e);
        if (rc == 0) {
            if (c.entries.n != GOOD + 1 || c.repaired)
                fail_msg("byte %u: %zu entries", (unsigned) at, c.entries.n);
            test_check_entries(&c.entries, 1, GOOD + 1);
            wal_contents_done(&c);
            wal_close(w);
        } else if (rc != ERR_CORRUPT) {
            fail_msg("byte %u: %s", (unsigned) at, e.msg);
        }
        x.file[at] ^= (uint8_t) (1 + at % 255);
        simdisk_free(t);
    }
    mem_free(x.file);
}

/* A length word that damage has made too long does not pass for a torn tail, though the file seems
 * to end within its record: the records behind it would be lost. */
static void length_words(void **state)
{
    struct sample x = sample_make(150);

    (void) state;
    for (int bit = 17; bit < 56; bit++) {
        x.file[72 + bit / 8] ^= (uint8_t) (1 << bit % 8);
        expect_refused(x.file, x.n, "offset 72");
        x.file[72 + bit / 8] ^= (uint8_t) (1 << bit % 8);
    }
    mem_free(x.file);
}

/* Eight zero bytes inside a sector are damage; so is anything wrong before the last segment. */
static void damage_is_not_a_torn_tail(void **state)
{
    struct sample x = sample_make(150);
    struct simdisk *s = simdisk_new(2);
    struct wal_options o = test_options(s, SEGMENT);
    struct wal_contents c;
    struct err e = ERR_INIT;
    struct wal *w;
    uint8_t *file;
    char where[64];
    size_t n;

    (void) state;
    memset(x.file + x.begin + 32, 0, 8);
    snprintf(where, sizeof where, "damaged record at offset %u", (unsigned) x.begin);
    expect_refused(x.file, x.n, where);
    mem_free(x.file);

    w = test_create(s, SEGMENT);
    test_append_each(w, 1, 30);
    wal_close(w);
    file = simdisk_get_file(s, TEST_FIRST, &n);
    memset(file + 8192, 0, 512);
    simdisk_put_file(s, TEST_FIRST, file, n);
    assert_int_equal(wal_open(&o, 0, 0, &c, &w, &e), ERR_CORRUPT);
    assert_int_equal(wal_read(simdisk_disk(s), TEST_DIR, 0, 0, &c, &e), ERR_CORRUPT);
    simdisk_put_file(s, TEST_FIRST, file, 8200); /* it ends early: the next checksum tells */
    assert_int_equal(wal_open(&o, 0, 0, &c, &w, &e), ERR_CORRUPT);
    mem_free(file);
    simdisk_free(s);
}

/* Records that are in order by themselves but cannot follow one another are refused. */
static void impossible_records(void **state)
{
    struct simdisk *s = simdisk_new(1);
    struct wal_options o = test_options(s, SEGMENT);
    struct wal *w = test_create(s, SEGMENT);
    struct raft_entry gap = {.term = 1, .index = 7};
    struct wal_save save = {.entries = &gap, .entries_n = 1};
    struct wal_snapshot snap = {.index = 9, .term = 4};
    struct wal_save marker = {.snapshot = &snap};
    struct wal_contents c;
    struct err e = ERR_INIT;

    (void) state;
    assert_int_equal(test_append(w, 1, 3, 1, 10, NULL), 0);
    assert_int_equal(wal_append_batch(w, &save, 1, NULL), 0);
    assert_int_equal(wal_append_batch(w, &marker, 1, NULL), 0);
    wal_close(w);
    assert_int_equal(wal_open(&o, 0, 0, &c, &w, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.msg, "entry 7 follows entry 3"));
    e = ERR_INIT;
    assert_int_equal(wal_open(&o, 9, 3, &c, &w, &e), ERR_WAL_SNAPSHOT_MISMATCH);
    assert_int_equal(wal_read(simdisk_disk(s), TEST_DIR, 8, 1, &c, &e), ERR_WAL_SNAPSHOT_NOT_FOUND);
    assert_int_equal(wal_open(&o, 9, 4, &c, &w, &e), 0);
    assert_int_equal(c.entries.n, 0);
    assert_true(c.snapshot_found);
    wal_contents_done(&c);
    wal_close(w);
    simdisk_free(s);
}

/* A new leader's entries replace those from the same index on. */
static void replaced_entries(void **state)
{
    struct simdisk *s = simdisk_new(1);
    struct wal *w = test_create(s, SEGMENT);
    struct wal_contents c;

    (void) state;
    assert_int_equal(test_append(w, 1, 10, 1, 100, NULL), 0);
    assert_int_equal(test_append(w, 6, 2, 2, 30, NULL), 0);
    wal_close(w);
    w = test_open(s, SEGMENT, &c);
    test_check_entries(&c.entries, 1, 7);
    assert_int_equal(c.entries.v[4].term, 1);
    assert_int_equal(c.entries.v[5].term, 2);
    wal_contents_done(&c);
    wal_close(w);
    simdisk_free(s);
}

/* A missing segment in the middle, and a directory without any, are told apart. */
static void missing_segments(void **state)
{
    struct simdisk *s = simdisk_new(1);
    struct disk *d = simdisk_disk(s);
    struct wal_options o = test_options(s, SEGMENT);
    struct wal *w = test_create(s, SEGMENT);
    struct wal_contents c;
    struct err e = ERR_INIT;

    (void) state;
    assert_true(wal_exists(d, TEST_DIR));
    test_append_each(w, 1, 60);
    wal_close(w);
    assert_int_equal(disk_remove(d, TEST_DIR "/0000000000000001-0000000000000017.wal", &e), 0);
    assert_int_equal(wal_open(&o, 0, 0, &c, &w, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.msg, "missing"));
    o.dir = "member/other";
    assert_false(wal_exists(d, o.dir));
    assert_int_equal(wal_open(&o, 0, 0, &c, &w, &e), ERR_NOT_FOUND);
    simdisk_put_file(s, "member/other/readme.txt", "x", 1);
    assert_false(wal_exists(d, o.dir));
    assert_int_equal(wal_open(&o, 0, 0, &c, &w, &e), ERR_NOT_FOUND);
    simdisk_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_at_every_byte),         cmocka_unit_test(every_sector_missing),
        cmocka_unit_test(every_byte_wrong),          cmocka_unit_test(length_words),
        cmocka_unit_test(damage_is_not_a_torn_tail), cmocka_unit_test(impossible_records),
        cmocka_unit_test(replaced_entries),          cmocka_unit_test(missing_segments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
