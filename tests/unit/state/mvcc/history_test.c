/* Watchers over the real key space: live, behind, catching up by scan and by index. */
#include "lib/cm.h"
#include "unit/state/mvcc/watch_real.h"

static struct real r;

static const struct history_limits wide = {
    .revisions_max = 1000, .bytes_max = 1 << 20, .records_max = 10000, .scan_bytes_max = 1 << 20};

static int begin(void **state)
{
    (void) state;
    real_init(&r, 1, (struct watch_hub_config){0}, false);
    return 0;
}

static int end(void **state)
{
    (void) state;
    real_done(&r);
    return 0;
}

static struct history_want want_of(size_t i, const char *key, const char *range_end, int64_t from)
{
    struct model_watcher *mw = &r.m.watchers[i];
    struct watch_options o = {.key = bytes_str(key),
                              .start_rev = from,
                              .range_end = range_end == NULL ? BYTES_EMPTY : bytes_str(range_end)};

    assert_true(watcher_init(&mw->w, &r.m.streams[0].s, &o));
    mw->next = from;
    return (struct history_want){.watcher = &mw->w, .next_rev = from};
}

static void scan(struct history_want *w, size_t n, const struct history_limits *limits)
{
    const struct mvcc_view *v = mvcc_view_pin(r.reader);

    assert_int_equal(history_scan(v, w, n, limits, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        real_judge(&r, &w[i], r.m.watchers[i].next, v, limits);
        payload_unref(w[i].events);
    }
    mvcc_view_unpin(v);
}

static void put_many(const char *prefix, int n)
{
    char key[16];

    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof key, "%s%03d", prefix, i);
        real_put(&r, bytes_str(key), 4);
    }
}

/* A scan ends at the number of revisions asked for and says where to go on; the next one ends at
 * the view. */
static void revisions_are_limited(void **state)
{
    struct history_limits limits = wide;
    struct history_want w = want_of(0, "k", "l", 2);

    (void) state;
    limits.revisions_max = 3;
    put_many("k", 5);
    real_turn(&r);
    scan(&w, 1, &limits);
    assert_int_equal(w.end, HISTORY_MORE);
    assert_int_equal(w.events_n, 3);
    assert_int_equal(w.next_rev, 5);
    scan(&w, 1, &limits);
    assert_int_equal(w.end, HISTORY_DONE);
    assert_int_equal(w.events_n, 2);
    assert_int_equal(w.next_rev, 7);
    scan(&w, 1, &limits);
    assert_int_equal(w.end, HISTORY_DONE);
    assert_int_equal(w.events_n, 0);
}

/* Bytes and records are limits too, and a revision that passes them alone is not split. */
static void bytes_and_records_are_limited(void **state)
{
    struct history_limits limits = wide;
    struct history_want w = want_of(0, "k", "l", 2), far[2];

    (void) state;
    real_put(&r, bytes_str("k1"), 900);
    real_put(&r, bytes_str("k2"), 900);
    real_delete(&r, bytes_str("k"), bytes_str("l")); /* two events, one revision */
    real_turn(&r);
    limits.bytes_max = 1;
    for (int i = 0; i < 3; i++) {
        scan(&w, 1, &limits);
        assert_int_equal(w.revisions_n, 1);
        assert_int_equal(w.events_n, i == 2 ? 2 : 1);
    }
    assert_int_equal(w.end, HISTORY_DONE);
    limits = wide;
    limits.records_max = 1;
    far[0] = want_of(0, "j", "z", 2);
    far[1] = want_of(1, "k", "l", 2);
    scan(far, 2, &limits);
    assert_int_equal(far[0].end, HISTORY_MORE);
    assert_int_equal(far[0].next_rev, 3);
    assert_int_equal(far[1].events_n, 1);
    limits = wide;
    limits.scan_bytes_max = 1;
    far[0] = want_of(0, "j", "z", 2);
    far[1] = want_of(1, "k", "l", 2);
    scan(far, 2, &limits);
    assert_int_equal(far[0].end, HISTORY_MORE);
    assert_int_equal(far[0].next_rev, 3);
    assert_int_equal(far[1].end, HISTORY_MORE);
    assert_int_equal(far[1].next_rev, 2); /* a revision for one is all that this call may hold */
}

/* One revision that is more for all watchers together than a call may hold: some get it whole, the
 * rest nothing of it yet, each call some more of them.  What came before it they have. */
static void a_large_revision_goes_to_some(void **state)
{
    static const size_t sizes[] = {2, 7, MODEL_WATCHERS}; /* matched one by one, and by an index */
    struct history_limits limits = wide;
    struct history_want w[MODEL_WATCHERS];
    unsigned calls;

    (void) state;
    put_many("k", 100); /* up to revision 101 */
    real_delete(&r, bytes_str("k"), bytes_str("l"));
    real_turn(&r);
    limits.scan_bytes_max = 1000;
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        size_t n = sizes[k], done = 0;

        for (size_t i = 0; i < n; i++)
            w[i] = want_of(i, "k", "l", i % 2 == 0 ? 102 : 101);
        for (calls = 0; done < n; calls++) {
            size_t events = 0, before = done;

            scan(w, n, &limits);
            done = 0;
            for (size_t i = 0; i < n; i++) {
                assert_true(w[i].events_n <= 1 || w[i].events_n >= 100);
                events += w[i].events_n;
                done += w[i].end == HISTORY_DONE;
            }
            assert_true(done > before);
            assert_true(events <= 200 + n);
        }
        assert_true(calls > 1);
    }
}

/* A start below the compact revision is refused; at it, even a deletion that lies exactly there is
 * delivered, without prev_kv. */
static void compacted_starts(void **state)
{
    struct history_want w;

    (void) state;
    real_put(&r, bytes_str("k"), 1);              /* 2 */
    real_delete(&r, bytes_str("k"), BYTES_EMPTY); /* 3 */
    real_put(&r, bytes_str("other"), 1);          /* 4 */
    real_compact(&r, 3);
    w = want_of(0, "k", NULL, 2);
    scan(&w, 1, &wide);
    assert_int_equal(w.end, HISTORY_COMPACTED);
    w = want_of(0, "k", "l", 3);
    r.m.watchers[0].w.prev_kv = true;
    scan(&w, 1, &wide);
    assert_int_equal(w.events_n, 1);
    assert_int_equal(w.end, HISTORY_DONE);
}

/* One key that changed twice among a thousand others is found by the index, not by reading them. */
static void a_rare_key_goes_by_index(void **state)
{
    struct history_limits limits = wide;
    struct history_want w = want_of(0, "rare", NULL, 2);

    (void) state;
    real_put(&r, bytes_str("rare"), 1);
    for (int i = 0; i < 10; i++)
        put_many("k", 100);
    real_put(&r, bytes_str("rare"), 1);
    real_commit(&r);
    limits.records_max = 20; /* a scan would end after these */
    scan(&w, 1, &limits);
    assert_int_equal(w.end, HISTORY_DONE);
    assert_int_equal(w.events_n, 2);
    /* A filter counts only what passes it. */
    real_delete(&r, bytes_str("rare"), BYTES_EMPTY);
    real_turn(&r);
    limits.revisions_max = 1;
    w = want_of(0, "rare", NULL, 2);
    r.m.watchers[0].w.filters = WATCH_NOPUT;
    scan(&w, 1, &limits);
    assert_int_equal(w.end, HISTORY_DONE);
    assert_int_equal(w.events_n, 1);
}

/* Memory that runs out at any point is an error that leaves nothing behind. */
static void without_memory(void **state)
{
    const struct mvcc_view *v;
    struct history_want w[9];
    int rc = ERR_NOMEM;

    (void) state;
    put_many("k", 20);
    real_delete(&r, bytes_str("k"), bytes_str("l"));
    real_turn(&r);
    v = mvcc_view_pin(r.reader);
    for (uint64_t nth = 1; rc != 0; nth++) {
        for (size_t i = 0; i < ARRAY_LEN(w); i++)
            w[i] = want_of(i, i == 0 ? "k001" : "k", i == 0 ? NULL : "l", 2);
        mem_fail_after(nth, false);
        rc = history_scan(v, w, ARRAY_LEN(w), &wide, NULL);
        mem_fail_after(0, false);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        for (size_t i = 0; i < ARRAY_LEN(w); i++) {
            assert_true(rc == 0 || w[i].events == NULL);
            payload_unref(w[i].events);
        }
#ifdef KETCH_ALLOC_TEST
        assert_true(nth < 100);
#endif
    }
    mvcc_view_unpin(v);
}

/* ---- everything together ---- */

static struct model_watcher *some(enum model_state s)
{
    size_t at = real_rnd(&r, MODEL_WATCHERS);

    for (size_t i = 0; i < MODEL_WATCHERS; i++)
        if (r.m.watchers[(at + i) % MODEL_WATCHERS].state == s)
            return &r.m.watchers[(at + i) % MODEL_WATCHERS];
    return NULL;
}

static void new_watch(void)
{
    struct model_watcher *mw = some(real_rnd(&r, 2) ? MODEL_FREE : MODEL_OVER);
    uint64_t start = real_rnd(&r, 4);
    int64_t back = (int64_t) real_rnd(&r, 150);
    struct watch_options o = {
        .key = real_key(real_rnd(&r, REAL_KEYS)),
        .filters = (unsigned) real_rnd(&r, 12) & 3u,
        .prev_kv = real_rnd(&r, 2) != 0,
    };

    if (real_rnd(&r, 2))
        o.range_end = real_key(real_rnd(&r, REAL_KEYS));
    if (start == 1)
        o.start_rev = r.m.revision + 1 + back % 5;
    if (start > 1)
        o.start_rev = MAX(1, r.m.revision - back);
    if (mw != NULL)
        (void) !model_watch(&r.m, mw, real_rnd(&r, MODEL_STREAMS), &o);
}

static struct history_limits some_limits(void)
{
    return (struct history_limits){
        .revisions_max = 1 + (uint32_t) real_rnd(&r, 30),
        .bytes_max = 1 + real_rnd(&r, 3000),
        .records_max = 1 + real_rnd(&r, 100),
        .scan_bytes_max = 1 + real_rnd(&r, 10000),
    };
}

static void step(void)
{
    struct history_limits limits = some_limits();
    struct model_watcher *mw;

    switch (real_rnd(&r, 32)) {
    case 0:
    case 1:
        new_watch();
        break;
    case 2:
        mw = some(real_rnd(&r, 2) ? MODEL_LIVE : MODEL_BEHIND);
        if (mw != NULL && real_rnd(&r, 3) == 0)
            model_leave(&r.m, mw);
        break;
    case 3:
    case 4:
    case 5:
        real_turn(&r);
        break;
    case 6:
        if (real_rnd(&r, 8) == 0)
            real_commit(&r);
        break;
    case 7:
        if (real_rnd(&r, 16) == 0)
            real_compact(&r, r.m.revision - (int64_t) real_rnd(&r, 100));
        break;
    case 8:
    case 9:
    case 10:
    case 11:
        for (uint64_t n = real_rnd(&r, 8), sink = real_rnd(&r, MODEL_SINKS); n > 0; n--)
            model_take(&r.m, sink);
        break;
    case 12:
    case 13:
        real_catch_up(&r, &limits, 1 + real_rnd(&r, MODEL_WATCHERS));
        break;
    default:
        real_write(&r);
    }
}

static void run(uint64_t seed)
{
    const struct history_limits fast = {20, 100000, 1000, 100000};

    real_init(&r, seed,
              (struct watch_hub_config){.stream_notes_max = 1 + seed % 30,
                                        .stream_bytes_max = 500 + seed % 7 * 1000,
                                        .hub_bytes_max = 20000},
              seed % 2 == 0);
    for (int i = 0; i < 700; i++)
        step();
    real_settle(&r, &fast);
    watch_hub_check(r.m.hub);
}

/* Whatever the writes, transactions, compactions, commits, slow streams and scans with small
 * limits: every watcher is told what the log says, once and in order. */
static void random_histories(void **state)
{
    uint64_t events = 0, behind = 0, compacted = 0;

    (void) state;
    for (uint64_t seed = 1; seed <= 14; seed++) {
        run(seed);
        events += r.m.events_n;
        behind += r.m.behind_n;
        compacted += r.m.compacted_n;
        real_done(&r);
    }

    assert_true(events > 4000);
    assert_true(behind > 300);
    assert_true(compacted > 10);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(revisions_are_limited),           T(bytes_and_records_are_limited),
        T(a_large_revision_goes_to_some),   T(compacted_starts),
        T(a_rare_key_goes_by_index),        T(without_memory),
        cmocka_unit_test(random_histories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
