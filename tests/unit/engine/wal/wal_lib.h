/* wal_lib.h -- what the tests of the log share: a log on a simulated disk, and entries whose data
 * follows from index and term, so that anyone can check them. */
#ifndef KETCH_TESTS_UNIT_ENGINE_WAL_WAL_LIB_H
#define KETCH_TESTS_UNIT_ENGINE_WAL_WAL_LIB_H

#include "base/alloc.h"
#include "engine/wal/wal.h"
#include "lib/cm.h"
#include "lib/simdisk.h"
#include "sys/random.h"

#define TEST_DIR "member/wal"
#define TEST_FIRST TEST_DIR "/0000000000000000-0000000000000000.wal"
#define TEST_DATA_MAX 1000000

static const struct wal_metadata test_metadata = {0x926935df072562aull, 77};

static inline struct wal_options test_options(struct simdisk *s, uint64_t segment_bytes)
{
    return (struct wal_options){simdisk_disk(s), TEST_DIR, segment_bytes, {0}};
}

static inline struct wal *test_create(struct simdisk *s, uint64_t segment_bytes)
{
    struct wal_options o = test_options(s, segment_bytes);
    struct wal *w;
    struct err e = ERR_INIT;

    if (!disk_exists(simdisk_disk(s), "member"))
        assert_int_equal(disk_mkdir(simdisk_disk(s), "member", 0700, &e), 0);
    assert_int_equal(disk_sync_dir(simdisk_disk(s), ".", &e), 0);
    assert_int_equal(wal_create(&o, &test_metadata, "20261125.120000.000000", &w, &e), 0);
    return w;
}

static inline struct wal *test_open(struct simdisk *s, uint64_t segment_bytes,
                                    struct wal_contents *ret)
{
    struct wal_options o = test_options(s, segment_bytes);
    struct err e = ERR_INIT;
    struct wal *w = NULL;

    if (wal_open(&o, 0, 0, ret, &w, &e) != 0)
        fail_msg("%s", e.msg);
    return w;
}

/* The n bytes that entry (index, term) carries. */
static inline void test_fill(raft_index index, raft_term term, uint8_t *p, size_t n)
{
    uint64_t x = index * UINT64_C(0x9e3779b97f4a7c15) ^ term;

    for (size_t i = 0; i < n; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        p[i] = (uint8_t) (x >> 56 | 1); /* never 0: a zero sector in it must come from outside */
    }
}

static inline struct raft_entry test_entry(struct arena *a, raft_index index, raft_term term,
                                           size_t n)
{
    uint8_t *p = arena_alloc(a, n + 1);

    assert_non_null(p);
    test_fill(index, term, p, n);
    return (struct raft_entry){.term = term, .index = index, .data = bytes_of(p, n)};
}

static inline void test_check_entry(const struct raft_entry *en)
{
    static uint8_t want[TEST_DATA_MAX];

    assert_true(en->data.n <= sizeof want);
    test_fill(en->index, en->term, want, en->data.n);
    assert_memory_equal(en->data.p == NULL ? want : en->data.p, want, en->data.n);
}

/* Removes all that may go but `keep`; returns how many went. */
static inline size_t test_purge(struct disk *d, size_t keep)
{
    struct file *f = NULL;
    size_t n = 0;

    do {
        assert_int_equal(wal_purge(d, TEST_DIR, keep, &f, NULL), 0);
        n += f != NULL;
        file_close(f);
    } while (f != NULL);
    return n;
}

/* Appends entries [first, first + n) of `bytes` bytes each, and a state that commits them. */
static inline int test_append(struct wal *w, raft_index first, size_t n, raft_term term,
                              size_t bytes, struct err *e)
{
    struct raft_hard_state hs = {.term = term, .vote = 1, .commit = first + n - 1};
    struct raft_entry *v;
    struct wal_save save;
    struct arena a;
    int rc;

    arena_init(&a, (size_t) 64 << 20);
    v = arena_alloc(&a, (n + 1) * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = test_entry(&a, first + i, term, bytes);
    save = (struct wal_save){.entries = v, .entries_n = n, .hard_state = &hs};
    rc = wal_append_batch(w, &save, 1, e);
    arena_done(&a);
    return rc;
}

static inline void test_check_entries(const struct wal_entries *x, raft_index first, size_t n)
{
    assert_int_equal(x->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(x->v[i].index, first + i);
        test_check_entry(&x->v[i]);
    }
}

/* Entries first to last, one at a time, large enough to fill a small segment soon. */
static inline void test_append_each(struct wal *w, raft_index first, raft_index last)
{
    for (raft_index i = first; i <= last; i++)
        assert_int_equal(test_append(w, i, 1, 1, 3000, NULL), 0);
}

/* Opens a log that has at least `n` entries, the first of them of index 1; returns how many. */
static inline size_t test_expect_at_least(struct simdisk *s, uint64_t segment_bytes, size_t n)
{
    struct wal_contents c;
    struct wal *w = test_open(s, segment_bytes, &c);
    size_t got = c.entries.n;

    assert_true(got >= n);
    test_check_entries(&c.entries, 1, got);
    wal_contents_done(&c);
    wal_close(w);
    return got;
}

/* The same of one that has these and no more. */
static inline void test_expect_entries(struct simdisk *s, uint64_t segment_bytes, size_t n)
{
    assert_int_equal(test_expect_at_least(s, segment_bytes, n), n);
}

#endif
