#include <stdatomic.h>

#include "sys/thread.h"
#include "wal_lib.h"

/* The helper that prepares segments, and a reader, beside the thread that writes. */

#define SEGMENT 32768
#define ENTRIES 400

struct shared {
    struct simdisk *s;
    struct wal *w;
    _Atomic bool stop;
    _Atomic uint64_t prepared;
    _Atomic raft_index durable;
    _Atomic uint64_t read;
};

static void prepare_loop(void *arg)
{
    struct shared *x = arg;

    while (!atomic_load(&x->stop)) {
        if (!wal_wants_prepare(x->w))
            continue;
        assert_int_equal(wal_prepare(x->w, NULL), 0);
        atomic_fetch_add(&x->prepared, 1);
    }
}

static void read_loop(void *arg)
{
    struct shared *x = arg;
    struct wal_reader *r;
    raft_index next = 1;

    assert_int_equal(wal_reader_open(simdisk_disk(x->s), TEST_DIR, &r, NULL), 0);
    while (next <= ENTRIES) {
        struct wal_entries got;

        if (next > atomic_load(&x->durable))
            continue;
        if (wal_reader_entries(r, next, next + 7, 100000, &got, NULL) != 0)
            continue; /* its commit is not written yet */
        test_check_entries(&got, next, got.n);
        next += got.n;
        atomic_fetch_add(&x->read, got.n);
        wal_entries_done(&got);
    }
    wal_reader_close(r);
}

/* While one thread appends and cuts, another prepares and a third reads back: every entry is read
 * once, whole and in order, and all of them are there afterwards. */
static void three_threads(void **state)
{
    struct simdisk *s = simdisk_new(1);
    struct shared x = {.s = s, .w = test_create(s, SEGMENT)};
    struct thread *preparer, *reader;
    struct wal_stats st;

    (void) state;
    assert_int_equal(thread_start("prepare", prepare_loop, &x, &preparer, NULL), 0);
    assert_int_equal(thread_start("read", read_loop, &x, &reader, NULL), 0);
    for (raft_index i = 1; i <= ENTRIES; i++) {
        assert_int_equal(test_append(x.w, i, 1, 1, 1000, NULL), 0);
        atomic_store(&x.durable, i);
    }
    thread_join(reader);
    atomic_store(&x.stop, true);
    thread_join(preparer);
    wal_stats(x.w, &st);
    assert_true(st.cuts >= ENTRIES * 1000 / SEGMENT - 1);
    assert_int_equal(atomic_load(&x.read), ENTRIES);
    assert_true(atomic_load(&x.prepared) > 0);
    wal_close(x.w);
    test_expect_entries(s, SEGMENT, ENTRIES);
    simdisk_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(three_threads)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
