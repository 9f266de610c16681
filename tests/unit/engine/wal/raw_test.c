#include "wal_lib.h"

/* wal_visit_raw: what a damaged log still holds. */

#define SEGMENT 65536
#define ENTRIES 20

struct seen {
    size_t entries;
    size_t wrong;
    size_t markers_of_crc;
};

static int look(void *arg, const struct wal_record *rec, struct err *e)
{
    struct seen *s = arg;

    (void) e;
    s->entries += rec->type == WAL_RECORD_ENTRY;
    s->wrong += rec->crc_differs;
    s->markers_of_crc += rec->type == WAL_RECORD_CRC;
    return 0;
}

static uint8_t *log_of(struct simdisk *s, size_t n, size_t bytes, size_t *ret_n)
{
    struct wal *w = test_create(s, SEGMENT);

    assert_int_equal(test_append(w, 1, n, 1, bytes, NULL), 0);
    wal_close(w);
    return simdisk_get_file(s, TEST_FIRST, ret_n);
}

static struct seen seen_of(struct simdisk *s)
{
    struct seen seen = {0};
    struct err e = ERR_INIT;
    bool torn = true;

    if (wal_visit_raw(simdisk_disk(s), TEST_DIR, look, &seen, &torn, &e) != 0)
        fail_msg("%s", e.msg);
    assert_false(torn);
    return seen;
}

/* A whole log shows the same as wal_visit, and no wrong checksum. */
static void shows_a_whole_log(void **state)
{
    struct simdisk *s = simdisk_new(1);
    struct seen raw, strict = {0};
    bool torn;
    size_t n;

    (void) state;
    mem_free(log_of(s, ENTRIES, 90, &n));
    raw = seen_of(s);
    assert_int_equal(wal_visit(simdisk_disk(s), TEST_DIR, 0, look, &strict, &torn, NULL), 0);
    assert_int_equal(raw.entries, ENTRIES);
    assert_int_equal(raw.wrong, 0);
    assert_memory_equal(&raw, &strict, sizeof raw);
    simdisk_free(s);
}

/* Data turned over in one entry make its checksum and those of all records behind it wrong; all are
 * shown, where wal_visit stops. */
static void goes_on_past_a_wrong_checksum(void **state)
{
    struct simdisk *s = simdisk_new(1);
    struct seen raw, strict = {0};
    bool torn;
    size_t n;
    uint8_t *file = log_of(s, ENTRIES, 90, &n);

    (void) state;
    file[1000] ^= 1; /* inside the data of one of them */
    simdisk_put_file(s, TEST_FIRST, file, n);
    raw = seen_of(s);
    assert_int_equal(wal_visit(simdisk_disk(s), TEST_DIR, 0, look, &strict, &torn, NULL),
                     ERR_CORRUPT);
    assert_int_equal(raw.entries, ENTRIES);
    assert_true(raw.wrong > 1);
    assert_int_equal(strict.entries + raw.wrong, ENTRIES + 1); /* + the state behind them */
    mem_free(file);
    simdisk_free(s);
}

/* A segment that is missing between others is passed over; at the head of the next one the count of
 * the checksum begins anew. */
static void goes_on_past_a_missing_segment(void **state)
{
    struct simdisk *s = simdisk_new(1);
    struct wal *w = test_create(s, 8192);
    struct disk *d = simdisk_disk(s);
    struct seen seen, strict = {0};
    char **names, path[256];
    bool torn;
    size_t n, all;

    (void) state;
    for (raft_index i = 1; i <= 40; i++)
        assert_int_equal(test_append(w, i, 1, 1, 900, NULL), 0);
    wal_close(w);
    all = seen_of(s).entries;
    assert_int_equal(disk_list(d, TEST_DIR, &names, &n, NULL), 0);
    assert_true(n >= 3);
    snprintf(path, sizeof path, "%s/%s", TEST_DIR, names[1]);
    disk_list_free(names, n);
    assert_int_equal(disk_remove(d, path, NULL), 0);
    seen = seen_of(s);
    assert_int_not_equal(wal_visit(d, TEST_DIR, 0, look, &strict, &torn, NULL), 0);
    assert_true(seen.entries < all);
    assert_true(seen.entries > all / 2);
    assert_int_equal(seen.wrong, 0);
    simdisk_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_a_whole_log),
        cmocka_unit_test(goes_on_past_a_wrong_checksum),
        cmocka_unit_test(goes_on_past_a_missing_segment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
