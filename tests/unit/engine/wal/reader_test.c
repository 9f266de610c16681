#include "wal_lib.h"

#define SEGMENT 65536

struct fixture {
    struct simdisk *s;
    struct wal *w;
    struct wal_reader *r;
};

static int set_up(void **state)
{
    struct fixture *f = xmem_calloc(1, sizeof *f);

    f->s = simdisk_new(1);
    f->w = test_create(f->s, SEGMENT);
    assert_int_equal(wal_reader_open(simdisk_disk(f->s), TEST_DIR, &f->r, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    wal_reader_close(f->r);
    wal_close(f->w);
    simdisk_free(f->s);
    mem_free(f);
    return 0;
}

/* Reads [lo, hi) and checks that it is n entries. */
static void expect(struct fixture *f, raft_index lo, raft_index hi, size_t bytes_max, size_t n)
{
    struct wal_entries x;
    struct err e = ERR_INIT;

    if (wal_reader_entries(f->r, lo, hi, bytes_max, &x, &e) != 0)
        fail_msg("%s", e.msg);
    test_check_entries(&x, lo, n);
    wal_entries_done(&x);
}

static void expect_none(struct fixture *f, raft_index lo, raft_index hi)
{
    struct wal_entries x;

    assert_int_equal(wal_reader_entries(f->r, lo, hi, SIZE_MAX, &x, NULL), ERR_NOT_FOUND);
}

/* Any range of a log of several segments is read, in any order, and in pieces of bounded size one
 * after another while the log grows. */
static void ranges(void **state)
{
    struct fixture *f = *state;
    raft_index at = 1;

    for (raft_index i = 1; i <= 100; i++)
        assert_int_equal(test_append(f->w, i, 1, 1, 3000, NULL), 0);
    expect(f, 1, 101, SIZE_MAX, 100);
    expect(f, 50, 51, SIZE_MAX, 1);
    expect(f, 99, 200, SIZE_MAX, 2);
    expect(f, 3, 90, 10000, 4); /* the fourth passes the bound */
    expect(f, 3, 90, 0, 1);
    expect_none(f, 101, 102);
    while (at <= 200) {
        size_t n = at + 7 <= 201 ? 7 : (size_t) (201 - at);

        expect(f, at, at + n, SIZE_MAX, n);
        at += n;
        if (at == 99) {
            for (raft_index i = 101; i <= 200; i++)
                assert_int_equal(test_append(f->w, i, 1, 1, 900, NULL), 0);
        }
    }
}

/* What is not committed is not given, since it may be replaced; once it is replaced and the new
 * version committed, that one is. */
static void only_committed(void **state)
{
    struct fixture *f = *state;
    struct raft_hard_state hs = {.term = 1, .vote = 1, .commit = 3};
    struct raft_entry v[6];
    struct wal_save save = {.entries = v, .entries_n = 6, .hard_state = &hs};
    struct wal_entries x;
    struct arena a;

    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < 6; i++)
        v[i] = test_entry(&a, i + 1, 1, 100);
    assert_int_equal(wal_append_batch(f->w, &save, 1, NULL), 0);
    arena_done(&a);
    expect(f, 1, 7, SIZE_MAX, 3);
    expect_none(f, 4, 7);
    assert_int_equal(test_append(f->w, 4, 1, 2, 50, NULL), 0);
    assert_int_equal(wal_reader_entries(f->r, 2, 7, SIZE_MAX, &x, NULL), 0);
    test_check_entries(&x, 2, 3);
    assert_int_equal(x.v[2].term, 2);
    wal_entries_done(&x);
}

/* Told of a place behind which the entries lie, a reader does not look at what comes before, which
 * is damaged here; where the place's segment is gone it does without. */
static void begins_near(void **state)
{
    struct fixture *f = *state;
    struct wal_position near;
    struct wal_entries x;

    for (raft_index i = 1; i <= 10; i++)
        assert_int_equal(test_append(f->w, i, 1, 1, 3000, NULL), 0);
    near = wal_position(f->w);
    assert_int_equal(near.last, 10);
    for (raft_index i = 11; i <= 15; i++)
        assert_int_equal(test_append(f->w, i, 1, 1, 3000, NULL), 0);
    simdisk_flip(f->s, TEST_FIRST, 6000, 1);
    /* In the last segment it passes for a record that is being written. */
    assert_int_equal(wal_reader_entries(f->r, 11, 16, SIZE_MAX, &x, NULL), ERR_NOT_FOUND);
    wal_reader_near(f->r, &near);
    expect(f, 11, 16, SIZE_MAX, 5);
    expect(f, 13, 14, SIZE_MAX, 1);
    simdisk_flip(f->s, TEST_FIRST, 6000, 1);
    near.seq = 99;
    wal_reader_near(f->r, &near);
    expect(f, 12, 13, SIZE_MAX, 1);
}

/* Entries older than the oldest segment are not found. */
static void purged(void **state)
{
    struct fixture *f = *state;

    for (raft_index i = 1; i <= 100; i++)
        assert_int_equal(test_append(f->w, i, 1, 1, 3000, NULL), 0);
    wal_release_to(f->w, 90);
    assert_true(test_purge(simdisk_disk(f->s), 1) > 0);
    expect_none(f, 5, 10);
    expect(f, 95, 101, SIZE_MAX, 6);
}

/* Against a plain list: random ranges of a history with replaced tails and cuts. */
static void random_history(void **state)
{
    struct fixture *f = *state;
    static raft_term terms[2000];
    static struct wal_position places[400];
    struct random_seeded rs;
    struct random *r = random_seeded_init(&rs, 5);
    raft_index commit = 0, last = 0;
    raft_term term = 1;

    for (int round = 0; round < 400; round++) {
        struct raft_hard_state hs;
        struct raft_entry v[4];
        size_t n = 1 + (size_t) random_below(r, 4);
        struct wal_save save = {.entries = v, .entries_n = n, .hard_state = &hs};
        struct wal_entries x;
        struct arena a;

        if (random_below(r, 6) == 0 && last > commit) {
            last = commit + random_below(r, last - commit);
            term++;
        }
        arena_init(&a, 1 << 20);
        for (size_t i = 0; i < n; i++) {
            v[i] = test_entry(&a, ++last, term, (size_t) random_below(r, 2000));
            terms[last] = term;
        }
        commit += random_below(r, last - commit + 1);
        hs = (struct raft_hard_state){.term = term, .vote = 1, .commit = commit};
        assert_int_equal(wal_append_batch(f->w, &save, 1, NULL), 0);
        arena_done(&a);
        places[round] = wal_position(f->w);
        if (commit > 0) {
            raft_index lo = 1 + random_below(r, commit), hi = lo + 1 + random_below(r, 20);
            struct wal_position near = places[random_below(r, (uint64_t) round + 1)];
            raft_index end = MIN(hi, commit + 1);

            if (near.last >= lo)
                near.off = 0;
            wal_reader_near(f->r, &near);
            assert_int_equal(wal_reader_entries(f->r, lo, hi, SIZE_MAX, &x, NULL), 0);
            test_check_entries(&x, lo, (size_t) (end - lo));
            for (size_t i = 0; i < x.n; i++)
                assert_int_equal(x.v[i].term, terms[lo + i]);
            wal_entries_done(&x);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(ranges), T(only_committed), T(begins_near), T(purged), T(random_history),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
