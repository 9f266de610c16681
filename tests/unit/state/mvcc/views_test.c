#define _GNU_SOURCE
#include "lib/cm.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "state/mvcc/mvcc.h"
#include "state/mvcc/mvcc_int.h"
#include "state/store/store.h"
#include "sys/random.h"
#include "sys/thread.h"
#include "wire/wire.h"

#define ACCOUNTS 200
#define MONEY_EACH 1000
#define TRANSFERS 6000
#define READERS 2

static char path[] = "/tmp/ketch-views-XXXXXX";
static struct store *s;
static struct mvcc *kv;
static struct err e;
static struct waker store_waker;
static _Atomic bool stopping;
static _Atomic(struct mvcc_compaction *) job, job_done;
static _Atomic uint64_t reads;

/* ---- the apply thread's side ---- */

static Etcdserverpb__RequestOp put_op(Etcdserverpb__PutRequest *p, char key[16], char value[16],
                                      unsigned account, int64_t money)
{
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;

    etcdserverpb__put_request__init(p);
    p->key = wire_binary(bytes_of(key, (size_t) snprintf(key, 16, "account%04u", account)));
    p->value = wire_binary(
        bytes_of(value, (size_t) snprintf(value, 16, "%lld", (long long) money)));
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = p;
    return op;
}

/* Both accounts change in one revision. */
static void put_two(unsigned a, int64_t money_a, unsigned b, int64_t money_b)
{
    Etcdserverpb__TxnRequest t = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__PutRequest pa, pb;
    Etcdserverpb__RequestOp ops[2], *list[2] = {&ops[0], &ops[1]};
    char key[2][16], value[2][16];
    struct mvcc_txn_result r;
    bool too_large;

    ops[0] = put_op(&pa, key[0], value[0], a, money_a);
    ops[1] = put_op(&pb, key[1], value[1], b, money_b);
    t.success = list;
    t.n_success = 2;
    assert_int_equal(mvcc_txn(kv, &t, NULL, &r, &too_large), 0);
    store_set_applied(s, store_applied_index(s) + 1, 1);
}

static void housekeeping(unsigned i)
{
    struct mvcc_compaction *done = atomic_exchange(&job_done, NULL);

    if (done != NULL)
        mvcc_compaction_end(kv, done, true);
    mvcc_publish(kv);
    if (i % 16 == 0 && store_seal(s))
        waker_wake(&store_waker);
    mvcc_compact_index_step(kv, 20);
    if (i % 500 == 499 && atomic_load(&job) == NULL && mvcc_revision(kv) > 300) {
        assert_int_equal(mvcc_compact(kv, mvcc_revision(kv) - 200), 0);
        atomic_store(&job, mvcc_compaction_take(kv));
        store_seal(s);
        waker_wake(&store_waker);
    }
}

/* ---- the store thread ---- */

static void store_thread(void *arg)
{
    struct err err = ERR_INIT;

    (void) arg;
    while (!atomic_load(&stopping)) {
        struct mvcc_compaction *c = atomic_load(&job);
        bool done = false;

        waker_wait(&store_waker, 1000000);
        ASSERT(store_commit(s, &err) == 0);
        if (c == NULL)
            continue;
        while (!done && !atomic_load(&stopping)) {
            ASSERT(mvcc_compaction_step(c, 50, &done, &err) == 0);
            ASSERT(store_commit(s, &err) == 0);
        }
        if (done) {
            atomic_store(&job, NULL);
            atomic_store(&job_done, c);
        }
    }
}

/* ---- readers ---- */

static int64_t money_in(struct mvcc_range *g)
{
    struct bytes kv_bytes;
    int64_t sum = 0;

    while (mvcc_range_next(g, &kv_bytes)) {
        struct kv_fields f;
        char text[16] = {0};

        kv_decode_stored(kv_bytes, &f);
        memcpy(text, f.value.p, MIN(f.value.n, sizeof text - 1));
        sum += strtoll(text, NULL, 10);
    }
    return sum;
}

static void read_all(const struct mvcc_view *v, int64_t revision)
{
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct mvcc_range *g;
    struct arena a;

    arena_init(&a, SIZE_MAX);
    r.key = wire_binary(BYTES_LIT("account"));
    r.range_end = wire_binary(BYTES_LIT("accounu"));
    r.revision = revision;
    ASSERT(mvcc_range(v, &r, &a, &g) == 0);
    ASSERT(mvcc_range_info(g)->count == ACCOUNTS);
    ASSERT(money_in(g) == ACCOUNTS * MONEY_EACH);
    arena_done(&a);
    atomic_fetch_add(&reads, 1);
}

static void reader_thread(void *arg)
{
    struct mvcc_reader *reader = mvcc_reader_new(kv);
    const struct mvcc_view *kept = mvcc_view_pin(reader);
    uint64_t n = 0;

    (void) arg;
    while (!atomic_load(&stopping)) {
        const struct mvcc_view *v = mvcc_view_pin(reader);
        int64_t newest = mvcc_view_revision(v), oldest = mvcc_view_compact_revision(v);

        read_all(v, 0);
        if (newest - 3 > oldest && newest - 3 > ACCOUNTS)
            read_all(v, newest - 3);
        mvcc_view_unpin(v);
        /* One view is kept over many changes and compactions. */
        read_all(kept, 0);
        if (++n % 20 == 0) {
            mvcc_view_unpin(kept);
            kept = mvcc_view_pin(reader);
        }
    }
    mvcc_view_unpin(kept);
    mvcc_reader_free(reader);
}

static void readers_see_whole_transactions_while_the_writer_goes_on(void **state)
{
    /* Money moves between accounts, two puts in one revision; whatever view a reader has, new or
     * long kept, at its newest revision or an older one, the sum is right.  Commits and compactions
     * run beside. */
    struct store_config cfg = {.disk = disk_posix(), .path = path, .map_bytes = 1 << 30};
    struct thread *store_t, *reader_t[READERS];
    int64_t money[ACCOUNTS];
    struct random_seeded rnd;
    struct random *r = random_seeded_init(&rnd, 5);

    (void) state;
    assert_int_equal(store_open(&cfg, &s, &e), 0);
    assert_int_equal(mvcc_open(s, NULL, &kv, &e), 0);
    waker_init(&store_waker);
    for (unsigned i = 0; i < ACCOUNTS; i += 2) {
        money[i] = money[i + 1] = MONEY_EACH;
        put_two(i, MONEY_EACH, i + 1, MONEY_EACH);
    }
    mvcc_publish(kv);
    assert_int_equal(thread_start("store", store_thread, NULL, &store_t, &e), 0);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(thread_start("reader", reader_thread, NULL, &reader_t[i], &e), 0);
    for (unsigned i = 0; i < TRANSFERS; i++) {
        unsigned a = (unsigned) random_below(r, ACCOUNTS), b = (unsigned) random_below(r, ACCOUNTS);
        int64_t amount = (int64_t) random_below(r, 50);

        if (a == b)
            continue;
        money[a] -= amount;
        money[b] += amount;
        put_two(a, money[a], b, money[b]);
        if (i % 3 == 0)
            housekeeping(i);
    }
    while (atomic_load(&reads) < 20)
        housekeeping(1);
    atomic_store(&stopping, true);
    waker_wake(&store_waker);
    thread_join(store_t);
    for (int i = 0; i < READERS; i++)
        thread_join(reader_t[i]);
    mvcc_publish(kv);
    index_check(kv->index);
    mvcc_compaction_end(kv, atomic_load(&job), false);
    mvcc_compaction_end(kv, atomic_load(&job_done), true);
    assert_true(mvcc_idle(kv));
    mvcc_close(kv);
    store_seal(s);
    assert_int_equal(store_commit(s, &e), 0);
    store_close(s);
}

static void what_nobody_sees_is_freed_though_an_old_view_is_kept(void **state)
{
    /* A key is overwritten again and again while one early view stays pinned: memory stays bounded,
     * and the early view still shows its value. */
    struct store_config cfg = {.disk = disk_posix(), .path = path, .map_bytes = 1 << 30};
    Etcdserverpb__PutRequest p = ETCDSERVERPB__PUT_REQUEST__INIT;
    const struct mvcc_view *early = NULL;
    struct mvcc_reader *reader;
    struct mvcc_stats st;
    uint64_t settled = 0;
    struct bytes got;
    struct kv_fields f;

    (void) state;
    assert_int_equal(store_open(&cfg, &s, &e), 0);
    assert_int_equal(mvcc_open(s, NULL, &kv, &e), 0);
    reader = mvcc_reader_new(kv);
    p.key = wire_binary(BYTES_LIT("key"));
    p.value = wire_binary(BYTES_LIT("early"));
    for (int i = 0; i < 20000; i++) {
        struct mvcc_put_result r;
        bool too_large;

        assert_int_equal(mvcc_put(kv, &p, NULL, &r, &too_large), 0);
        mvcc_publish(kv);
        if (i == 0) {
            early = mvcc_view_pin(reader);
            p.value = wire_binary(BYTES_LIT("late"));
        }
        if (i % 100 == 99) {
            assert_int_equal(mvcc_compact(kv, mvcc_revision(kv)), 0);
            while (mvcc_compact_index_step(kv, 10))
                ;
            mvcc_compaction_end(kv, mvcc_compaction_take(kv), false);
            mvcc_publish(kv);
        }
        mvcc_stats(kv, &st);
        if (i == 1000)
            settled = st.index_bytes;
        assert_true(st.views <= 3);
    }
    assert_true(st.index_bytes <= settled + 4096);
    assert_int_equal(st.oldest_revision, mvcc_view_revision(early));
    assert_true(mvcc_view_get(early, BYTES_LIT("key"), mvcc_view_revision(early), &got));
    kv_decode_stored(got, &f);
    assert_memory_equal(f.value.p, "early", 5);
    assert_false(mvcc_idle(kv));
    mvcc_view_unpin(early);
    mvcc_publish(kv);
    mvcc_stats(kv, &st);
    assert_int_equal(st.views, 1);
    mvcc_reader_free(reader);
    mvcc_close(kv);
    store_close(s);
}

static void as_many_readers_as_promised(void **state)
{
    /* MVCC_READERS_MAX slots, each usable again. */
    struct store_config cfg = {.disk = disk_posix(), .path = path, .map_bytes = 1 << 30};
    struct mvcc_reader *r[MVCC_READERS_MAX];

    (void) state;
    assert_int_equal(store_open(&cfg, &s, &e), 0);
    assert_int_equal(mvcc_open(s, NULL, &kv, &e), 0);
    for (int i = 0; i < MVCC_READERS_MAX; i++) {
        r[i] = mvcc_reader_new(kv);
        assert_non_null(r[i]);
    }
    assert_null(mvcc_reader_new(kv));
    mvcc_reader_free(r[7]);
    r[7] = mvcc_reader_new(kv);
    assert_non_null(r[7]);
    for (int i = 0; i < MVCC_READERS_MAX; i++)
        mvcc_reader_free(r[i]);
    mvcc_close(kv);
    store_close(s);
}

static int setup(void **state)
{
    int fd;

    (void) state;
    snprintf(path, sizeof path, "/tmp/ketch-views-XXXXXX");
    fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    return unlink(path);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(readers_see_whole_transactions_while_the_writer_goes_on),
        TEST(what_nobody_sees_is_freed_though_an_old_view_is_kept),
        TEST(as_many_readers_as_promised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
