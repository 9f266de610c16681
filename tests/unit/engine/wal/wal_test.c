#define _DEFAULT_SOURCE
#include "engine/wal/wal.h"

#include <unistd.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "engine/wal/wal_int.h"
#include "wal_lib.h"

#define SEGMENT 65536

static int set_up(void **state)
{
    *state = simdisk_new(1);
    return *state == NULL;
}

static int tear_down(void **state)
{
    simdisk_free(*state);
    return 0;
}

/* A new log begins with the bytes that a real member's begins with: checksum 0, metadata, the empty
 * snapshot; then comes what is appended, each frame padded to 8 bytes. */
static void first_bytes(void **state)
{
    static const uint8_t frame1[] = {4, 0, 0, 0, 0, 0, 0, 0x84, 0x08, 4, 0x10, 0, 0, 0, 0, 0};
    static const uint8_t meta[] = {0x08, 0xaa, 0xac, 0xc9, 0x83, 0xdf,
                                   0xeb, 0xa4, 0x93, 0x09, 0x10, 77};
    static const uint8_t snap[] = {0x08, 0, 0x10, 0};
    struct simdisk *s = *state;
    struct wal *w = test_create(s, SEGMENT);
    uint32_t crc = crc32c(0, meta, sizeof meta);
    size_t n;
    uint8_t *p = simdisk_get_file(s, TEST_FIRST, &n);

    assert_int_equal(n, SEGMENT);
    assert_memory_equal(p, frame1, sizeof frame1);
    assert_int_equal(p[16], 10 + sizeof meta); /* 08 01 10 crc(5) 1a len */
    assert_memory_equal(p + 24, "\x08\x01\x10", 3);
    assert_int_equal(p[32], 0x1a);
    assert_memory_equal(p + 34, meta, sizeof meta);
    for (int i = 0; i < 5; i++)
        assert_int_equal(p[27 + i] & 0x7f, crc >> (7 * i) & 0x7f);
    assert_memory_equal(p + 48 + 8, "\x08\x05\x10", 3);
    crc = crc32c(crc, snap, sizeof snap);
    for (int i = 0; i < 5; i++)
        assert_int_equal(p[59 + i] & 0x7f, crc >> (7 * i) & 0x7f);
    assert_memory_equal(p + 66, snap, sizeof snap);
    for (size_t i = 72; i < n; i++)
        assert_int_equal(p[i], 0);
    mem_free(p);
    wal_close(w);
}

/* What was appended is read back: entries, the last state, metadata; and the log goes on. */
static void append_and_open(void **state)
{
    struct simdisk *s = *state;
    struct wal *w = test_create(s, SEGMENT);
    struct wal_contents c;

    assert_int_equal(test_append(w, 1, 10, 2, 100, NULL), 0);
    assert_int_equal(wal_durable_index(w), 10);
    wal_close(w);
    w = test_open(s, SEGMENT, &c);
    test_check_entries(&c.entries, 1, 10);
    assert_int_equal(c.hard_state.commit, 10);
    assert_int_equal(c.hard_state.term, 2);
    assert_int_equal(c.metadata.node_id, test_metadata.node_id);
    assert_int_equal(c.metadata.cluster_id, test_metadata.cluster_id);
    assert_true(c.snapshot_found);
    assert_false(c.repaired);
    wal_contents_done(&c);
    assert_int_equal(test_append(w, 11, 1, 2, 0, NULL), 0);
    wal_close(w);
    test_expect_entries(s, SEGMENT, 11);
}

/* Entries of every size around the limits of copying and padding come back whole, in one batch. */
static void entry_sizes(void **state)
{
    static const size_t sizes[] = {0,    1,    2,    3,    4,    5,    6,     7,     8,    100,
                                   4090, 4095, 4096, 4097, 4098, 8191, 16384, 20000, 4096, 1};
    struct simdisk *s = *state;
    struct wal *w = test_create(s, 1 << 20);
    struct raft_entry v[ARRAY_LEN(sizes)];
    struct wal_save save = {.entries = v, .entries_n = ARRAY_LEN(v)};
    struct wal_contents c;
    struct arena a;

    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        v[i] = test_entry(&a, i + 1, 1, sizes[i]);
    assert_int_equal(wal_append_batch(w, &save, 1, NULL), 0);
    arena_done(&a);
    wal_close(w);
    w = test_open(s, 1 << 20, &c);
    test_check_entries(&c.entries, 1, ARRAY_LEN(sizes));
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        assert_int_equal(c.entries.v[i].data.n, sizes[i]);
    wal_contents_done(&c);
    wal_close(w);
}

/* A batch far larger than the buffer, of entries that are referenced and copied in turn, is written
 * in pieces and synced once. */
static void large_batch(void **state)
{
    enum { N = 1000 };
    struct simdisk *s = *state;
    struct wal *w = test_create(s, 64 << 20);
    static struct raft_entry v[N];
    struct wal_save saves[2] = {{.entries = v, .entries_n = N / 2},
                                {.entries = v + N / 2, .entries_n = N / 2}};
    struct wal_stats before, after;
    struct wal_contents c;
    struct arena a;

    arena_init(&a, 64 << 20);
    for (size_t i = 0; i < N; i++)
        v[i] = test_entry(&a, i + 1, 1, i % 2 == 0 ? 4000 : 9000);
    wal_stats(w, &before);
    assert_int_equal(wal_append_batch(w, saves, 2, NULL), 0);
    wal_stats(w, &after);
    assert_int_equal(after.syncs, before.syncs + 1);
    arena_done(&a);
    wal_close(w);
    w = test_open(s, 64 << 20, &c);
    test_check_entries(&c.entries, 1, N);
    wal_contents_done(&c);
    wal_close(w);
}

/* The rule of etcd: entries, markers, and a new term or vote are synced; a rise of the commit index
 * alone is written only, and nothing at all when nothing is new. */
static void sync_rule(void **state)
{
    struct simdisk *s = *state;
    struct wal *w = test_create(s, SEGMENT);
    struct raft_hard_state hs = {.term = 1};
    struct wal_snapshot snap = {.index = 5, .term = 1};
    struct wal_save state_only = {.hard_state = &hs}, marker = {.snapshot = &snap}, none = {0};
    struct wal_stats st;
    uint64_t syncs, bytes;

    wal_stats(w, &st);
    syncs = st.syncs;
    assert_int_equal(wal_append_batch(w, &state_only, 1, NULL), 0); /* a term */
    hs.vote = 3;
    assert_int_equal(wal_append_batch(w, &state_only, 1, NULL), 0); /* a vote */
    wal_stats(w, &st);
    assert_int_equal(st.syncs, syncs + 2);
    bytes = st.bytes_written;
    hs.commit = 9;
    assert_int_equal(wal_append_batch(w, &state_only, 1, NULL), 0);
    wal_stats(w, &st);
    assert_int_equal(st.syncs, syncs + 2);
    assert_true(st.bytes_written > bytes);
    bytes = st.bytes_written;
    assert_int_equal(wal_append_batch(w, &state_only, 1, NULL), 0);
    assert_int_equal(wal_append_batch(w, &none, 1, NULL), 0);
    assert_int_equal(wal_append_batch(w, NULL, 0, NULL), 0);
    wal_stats(w, &st);
    assert_int_equal(st.bytes_written, bytes);
    assert_int_equal(wal_append_batch(w, &marker, 1, NULL), 0);
    wal_stats(w, &st);
    assert_int_equal(st.syncs, syncs + 3);
    assert_int_equal(wal_durable_index(w), 5);
    hs.commit = 10;
    assert_int_equal(wal_append_batch(w, &state_only, 1, NULL), 0);
    assert_int_equal(wal_sync(w, NULL), 0);
    assert_int_equal(wal_sync(w, NULL), 0);
    wal_stats(w, &st);
    assert_int_equal(st.syncs, syncs + 4);
    wal_close(w);
}

/* Of several states in a batch only the last is written, but a vote in any of them is synced. */
static void states_of_a_batch_merge(void **state)
{
    struct simdisk *s = *state;
    struct wal *w = test_create(s, SEGMENT);
    struct raft_hard_state a = {.term = 1, .vote = 1}, b = {.term = 1, .vote = 1, .commit = 1};
    struct wal_save saves[2] = {{.hard_state = &a}, {.hard_state = &b}};
    struct wal_stats before, after;
    struct wal_contents c;

    wal_stats(w, &before);
    assert_int_equal(wal_append_batch(w, saves, 2, NULL), 0);
    wal_stats(w, &after);
    assert_int_equal(after.syncs, before.syncs + 1);
    assert_int_equal(after.bytes_written - before.bytes_written, 24);
    wal_close(w);
    w = test_open(s, SEGMENT, &c);
    assert_int_equal(c.hard_state.commit, 1);
    wal_contents_done(&c);
    wal_close(w);
}

/* The bytes of a log are the same whether or not it is written past the page cache, with small
 * batches, with large ones that zeros do not precede, and with entries that do not fit the buffer.
 */
static void direct_or_not_the_bytes_are_the_same(void **state)
{
    static const size_t bytes[] = {10, 4000, 4096, 5000, 20000, 900000, 7, 300};
    uint8_t *file[2];
    size_t n[2];

    (void) state;
    for (int k = 0; k < 2; k++) {
        struct simdisk *s = simdisk_new(7);
        struct wal *w;
        struct wal_contents c;
        raft_index last = 0;

        simdisk_set_direct(s, k == 0);
        w = test_create(s, 8 << 20);
        for (size_t i = 0; i < ARRAY_LEN(bytes); i++, last += 3)
            assert_int_equal(test_append(w, last + 1, 3, 1, bytes[i], NULL), 0);
        wal_close(w);
        w = test_open(s, 8 << 20, &c); /* and goes on in the middle of a block */
        test_check_entries(&c.entries, 1, last);
        wal_contents_done(&c);
        assert_int_equal(test_append(w, last + 1, 1, 1, 50, NULL), 0);
        wal_close(w);
        file[k] = simdisk_get_file(s, TEST_FIRST, &n[k]);
        simdisk_free(s);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(file[0], file[1], n[0]);
    mem_free(file[0]);
    mem_free(file[1]);
}

/* Zeros go ahead of the log only where small batches follow one another: between long ones they
 * would be written over at once, and the disk would have written twice. */
static void zeros_are_for_small_batches_in_a_row(void **state)
{
    struct simdisk *s = *state;
    struct wal *w = test_create(s, 8 << 20);
    raft_index i = 1;

    for (int k = 0; k < 40; k++, i += 2) {
        assert_int_equal(test_append(w, i, 1, 1, 100, NULL), 0);
        assert_int_equal(test_append(w, i + 1, 1, 1, 20000, NULL), 0);
        assert_true(w->enc.zeroed_end < w->enc.off + WAL__BLOCK_BYTES);
    }
    for (unsigned k = 0; k < 2 * WAL__ZEROS_AFTER; k++, i++)
        assert_int_equal(test_append(w, i, 1, 1, 4000, NULL), 0);
    assert_true(w->enc.zeroed_end > w->enc.off);
    assert_int_equal(w->enc.zeroed_end % WAL__ZEROS_BYTES, 0);
    wal_close(w);
}

/* Full segments are cut: names carry the next index, the old file ends at its last record, and each
 * new one begins with the running checksum, metadata and the state.  All is read across them. */
static void cut_segments(void **state)
{
    struct simdisk *s = *state;
    struct wal *w = test_create(s, SEGMENT);
    struct wal_contents c;
    struct wal_stats st;
    size_t n;
    uint8_t *p;

    test_append_each(w, 1, 100);
    wal_stats(w, &st);
    assert_true(st.cuts >= 4);
    assert_int_equal(st.cuts, st.cuts_unprepared);
    p = simdisk_get_file(s, TEST_DIR "/0000000000000001-0000000000000017.wal", &n);
    assert_non_null(p);
    assert_int_equal(p[9], WAL_RECORD_CRC);
    assert_int_not_equal(p[11], 0);
    mem_free(p);
    p = simdisk_get_file(s, TEST_FIRST, &n);
    assert_true(n >= SEGMENT && n < SEGMENT + 4096 && n % 8 == 0);
    mem_free(p);
    wal_close(w);
    w = test_open(s, SEGMENT, &c);
    test_check_entries(&c.entries, 1, 100);
    assert_int_equal(c.hard_state.commit, 100);
    wal_contents_done(&c);
    wal_close(w);
}

/* A segment prepared ahead is taken by the next cut; closing removes one that was not taken. */
static void prepared_segments(void **state)
{
    struct simdisk *s = *state;
    struct wal *w = test_create(s, SEGMENT);
    struct wal_stats st;

    assert_true(wal_wants_prepare(w));
    assert_int_equal(wal_prepare(w, NULL), 0);
    assert_false(wal_wants_prepare(w));
    assert_int_equal(wal_prepare(w, NULL), 0);
    test_append_each(w, 1, 25);
    wal_stats(w, &st);
    assert_int_equal(st.cuts, 1);
    assert_int_equal(st.cuts_unprepared, 0);
    assert_true(wal_wants_prepare(w));
    assert_int_equal(wal_prepare(w, NULL), 0);
    assert_true(disk_exists(simdisk_disk(s), TEST_DIR "/0.tmp"));
    wal_close(w);
    assert_false(disk_exists(simdisk_disk(s), TEST_DIR "/0.tmp"));
    test_expect_entries(s, SEGMENT, 25);
}

/* A log is held by one: a second open is refused until the first is closed, reading is not. */
static void locking(void **state)
{
    struct simdisk *s = *state;
    struct wal *w = test_create(s, SEGMENT), *second;
    struct wal_options o = test_options(s, SEGMENT);
    struct wal_contents c;
    struct err e = ERR_INIT;

    assert_int_equal(test_append(w, 1, 1, 1, 10, NULL), 0);
    assert_int_equal(wal_open(&o, 0, 0, &c, &second, &e), ERR_LOCKED);
    assert_int_equal(wal_read(simdisk_disk(s), TEST_DIR, 0, 0, &c, &e), 0);
    test_check_entries(&c.entries, 1, 1);
    wal_contents_done(&c);
    assert_int_equal(wal_create(&o, &test_metadata, "", &second, &e), ERR_EXISTS);
    wal_close(w);
    w = test_open(s, SEGMENT, &c);
    wal_contents_done(&c);
    wal_close(w);
}

/* Released segments can be purged, the oldest first, and never one that is still needed. */
static void release_and_purge(void **state)
{
    struct simdisk *s = *state;
    struct disk *d = simdisk_disk(s);
    struct wal *w = test_create(s, SEGMENT);
    struct wal_snapshot snap = {.index = 60, .term = 1};
    struct wal_save save = {.snapshot = &snap};
    struct wal_options o = test_options(s, SEGMENT);
    struct wal_contents c;

    test_append_each(w, 1, 100);
    assert_int_equal(wal_append_batch(w, &save, 1, NULL), 0);
    assert_int_equal(test_purge(d, 1), 0);
    wal_release_to(w, 60);
    assert_int_equal(test_purge(d, 4), 1);
    assert_int_equal(test_purge(d, 1), 1);
    assert_false(disk_exists(d, TEST_FIRST));
    assert_int_equal(test_append(w, 101, 1, 1, 10, NULL), 0);
    wal_close(w);
    assert_int_equal(wal_open(&o, 60, 1, &c, &w, NULL), 0);
    test_check_entries(&c.entries, 61, 41);
    assert_true(c.snapshot_found);
    wal_contents_done(&c);
    wal_close(w);
    assert_int_equal(wal_open(&o, 10, 1, &c, &w, NULL), ERR_WAL_NO_SEGMENT);
}

/* The newest snapshot is the last of the valid ones, wherever its marker lies; segments before that
 * are not looked at. */
static void newest_snapshot(void **state)
{
    struct simdisk *s = *state;
    struct disk *d = simdisk_disk(s);
    struct wal *w = test_create(s, SEGMENT);
    struct wal_snapshot marker = {.term = 1}, got, *all;
    struct wal_save save = {.snapshot = &marker};
    struct file *f;
    struct arena a;
    size_t n;

    arena_init(&a, 1 << 20);
    for (raft_index i = 1; i <= 400; i++) {
        assert_int_equal(test_append(w, i, 1, 1, 3000, NULL), 0);
        if (i == 20 || i == 21 || i == 90 || i == 300) {
            marker.index = i == 300 ? 999 : i; /* one of a snapshot beyond what was committed */
            assert_int_equal(wal_append_batch(w, &save, 1, NULL), 0);
        }
        if (i % 40 != 10)
            continue;
        assert_int_equal(wal_valid_snapshots(d, TEST_DIR, &a, &all, &n, NULL), 0);
        assert_int_equal(wal_newest_snapshot(d, TEST_DIR, &a, &got, NULL), 0);
        assert_int_equal(got.index, all[n - 1].index);
        assert_int_equal(got.index, i < 20 ? 0 : i < 90 ? 21 : 90);
    }
    assert_int_equal(disk_open(d, TEST_FIRST, DISK_READ | DISK_WRITE, 0, &f, NULL), 0);
    assert_int_equal(file_write_one(f, "damage", 6, 5000, NULL), 0);
    file_close(f);
    wal_close(w);
    assert_int_equal(wal_valid_snapshots(d, TEST_DIR, &a, &all, &n, NULL), ERR_CORRUPT);
    assert_int_equal(wal_newest_snapshot(d, TEST_DIR, &a, &got, NULL), 0);
    assert_int_equal(got.index, 90);
    arena_done(&a);
}

/* After a failed write or sync nothing is taken any more, and what was acknowledged is there at the
 * next start. */
static void poisoned(void **state)
{
    static const unsigned calls[] = {SIM_WRITE, SIM_SYNC};
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        struct simdisk *s = simdisk_new(i + 1);
        struct wal *w = test_create(s, SEGMENT);
        struct err e = ERR_INIT;

        (void) state;
        assert_int_equal(test_append(w, 1, 5, 1, 600, &e), 0);
        simdisk_fail(s, calls[i], 1, ERR_IO, false);
        assert_int_equal(test_append(w, 6, 5, 1, 600, &e), ERR_IO);
        assert_non_null(strstr(e.msg, "0000000000000000-0000000000000000.wal"));
        e = ERR_INIT;
        assert_int_equal(test_append(w, 6, 5, 1, 600, &e), ERR_WAL_POISONED);
        assert_int_equal(wal_sync(w, &e), ERR_WAL_POISONED);
        assert_int_equal(wal_durable_index(w), 5);
        wal_close(w);
        simdisk_crash(s, SIM_CRASH_TEAR);
        test_expect_at_least(s, SEGMENT, 5);
        simdisk_free(s);
    }
}

/* No cut is possible, for this reason: the log goes on in the old segment. */
static void goes_on_without_cuts(struct wal *w, int code)
{
    struct wal_stats st;

    test_append_each(w, 1, 30);
    assert_int_equal(wal_prepare(w, NULL), code);
    wal_stats(w, &st);
    assert_int_equal(st.cuts, 0);
}

/* The reason is gone: the next entry begins a segment, and all are there. */
static void cuts_at_last(struct simdisk *s, struct wal *w)
{
    struct wal_stats st;

    test_append_each(w, 31, 31);
    wal_stats(w, &st);
    assert_int_equal(st.cuts, 1);
    wal_close(w);
    test_expect_entries(s, SEGMENT, 31);
}

/* When the disk has no room for a next segment the log goes on in the old one, and cuts as soon as
 * there is room. */
static void full_disk_at_a_cut(void **state)
{
    struct simdisk *s = *state;
    struct wal *w = test_create(s, SEGMENT);

    simdisk_set_capacity(s, 2 * SEGMENT);
    goes_on_without_cuts(w, ERR_NO_SPACE);
    simdisk_set_capacity(s, 0);
    cuts_at_last(s, w);
}

/* So it does when the process has no descriptor or no memory for it. */
static void no_descriptor_at_a_cut(void **state)
{
    static const int codes[] = {ERR_AGAIN, ERR_NOMEM};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct simdisk *s = simdisk_new(i + 1);
        struct wal *w = test_create(s, SEGMENT);

        simdisk_fail(s, SIM_OPEN, 1, codes[i], true);
        goes_on_without_cuts(w, codes[i]);
        simdisk_fail(s, 0, 0, 0, false);
        cuts_at_last(s, w);
        simdisk_free(s);
    }
}

/* In the steady state a batch costs no allocation.  (On a real file: the simulated disk allocates.)
 */
static void no_allocation(void **state)
{
    char dir[] = "/tmp/ketch-wal-XXXXXX", log[64];
    struct wal_options o = {.disk = disk_posix(), .dir = log, .segment_bytes = 8 << 20};
    struct raft_hard_state hs = {.term = 1, .vote = 1};
    struct raft_entry en = {.term = 1, .data = BYTES_LIT("some data")};
    struct wal_save save = {.entries = &en, .entries_n = 1, .hard_state = &hs};
    uint64_t before;
    struct wal *w;

    (void) state;
    assert_non_null(mkdtemp(dir));
    snprintf(log, sizeof log, "%s/wal", dir);
    assert_int_equal(wal_create(&o, &test_metadata, "20261125.120000.000000", &w, NULL), 0);
    before = mem_alloc_count();
    for (raft_index i = 1; i <= 200; i++) {
        en.index = hs.commit = i;
        assert_int_equal(wal_append_batch(w, &save, 1, NULL), 0);
    }
    assert_int_equal(mem_alloc_count(), before);
    wal_close(w);
    snprintf(log, sizeof log, "%s/wal/0000000000000000-0000000000000000.wal", dir);
    assert_int_equal(disk_remove(disk_posix(), log, NULL), 0);
    snprintf(log, sizeof log, "%s/wal", dir);
    assert_int_equal(disk_remove(disk_posix(), log, NULL), 0);
    assert_int_equal(disk_remove(disk_posix(), dir, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(first_bytes),
        T(append_and_open),
        T(entry_sizes),
        T(large_batch),
        T(sync_rule),
        T(states_of_a_batch_merge),
        T(direct_or_not_the_bytes_are_the_same),
        T(cut_segments),
        T(prepared_segments),
        T(locking),
        T(release_and_purge),
        T(zeros_are_for_small_batches_in_a_row),
        T(newest_snapshot),
        T(poisoned),
        cmocka_unit_test(no_descriptor_at_a_cut),
        T(full_disk_at_a_cut),
        T(no_allocation),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
