/* What the hub makes of the events of a write, and how much of it it keeps for slow streams. */
#include "unit/state/mvcc/watch_rig.h"

/* ---- events ---- */

/* All events of one revision are one note, in the order of execution; others' events are not in it.
 */
static void a_revision_is_one_note(void **state)
{
    struct mvcc_event ev[] = {put_of(11, "a1", true), put_of(11, "b", true), delete_of(11, "a0"),
                              put_of(11, "a2", true)};
    struct bytes rest, one;
    const char *order[] = {"a1", "a0", "a2"};
    static struct watcher w;

    (void) state;
    join(&w, &stream, on("a", "b"));
    watch_publish(hub, 11, ev, 4);
    assert_int_equal(flush(), 2);
    assert_int_equal(seen[1].events_n, 3);
    rest = bytes_of(seen[1].bytes, seen[1].bytes_n);
    for (int i = 0; i < 3; i++) {
        assert_true(watch_events_next(&rest, &one));
        assert_memory_equal(one.p + one.n - 2, order[i], 2);
    }
    assert_false(watch_events_next(&rest, &one));
}

/* Filters drop their kind of event; when nothing is left nothing is sent. */
static void filters(void **state)
{
    struct watch_options o = on("k", NULL);
    static struct watcher no_put, no_delete, neither;
    struct mvcc_event del = delete_of(12, "k");

    (void) state;
    o.filters = WATCH_NOPUT;
    join(&no_put, &stream, o);
    o.filters = WATCH_NODELETE;
    join(&no_delete, &stream, o);
    o.filters = WATCH_NOPUT | WATCH_NODELETE;
    join(&neither, &stream, o);
    put(11, "k");
    watch_publish(hub, 12, &del, 1);
    assert_int_equal(flush(), 5);
    assert_note(3, WATCH_EVENTS, &no_delete, 11);
    assert_note(4, WATCH_EVENTS, &no_put, 12);
}

/* The replaced pair is asked for once for each event, not at all when nobody wants it or when the
 * event created its key. */
static void prev_kv_is_looked_up_once(void **state)
{
    struct watch_options o = on("k", NULL);
    static struct watcher plain, with[3];
    struct mvcc_event ev[] = {put_of(13, "k", false), put_of(13, "kk", true)};

    (void) state;
    join(&plain, &stream, o);
    put(11, "k");
    assert_int_equal(prev_calls, 0);
    o.prev_kv = true;
    join(&with[0], &stream, o);
    join(&with[1], &stream, o);
    o.range_end = bytes_str("l");
    join(&with[2], &stream, o);
    put(12, "k");
    assert_int_equal(prev_calls, 1);
    watch_publish(hub, 13, ev, 2);
    assert_int_equal(prev_calls, 2);
    flush();
    for (size_t i = 0; i < seen_n; i++) {
        bool has = seen[i].bytes_n > 4 &&
                   memcmp(seen[i].bytes + seen[i].bytes_n - 4, "PREV", 4) == 0;

        if (seen[i].kind == WATCH_EVENTS && seen[i].revision == 12)
            assert_int_equal(has, seen[i].watcher != &plain);
    }
}

/* Equal watchers, and watchers of different ranges around one event, share the very same bytes; on
 * one stream they are counted once. */
static void events_are_encoded_once(void **state)
{
    static struct watcher w[4];
    struct watch_stats st;

    (void) state;
    join(&w[0], &stream, on("k", NULL));
    join(&w[1], &stream, on("k", NULL));
    join(&w[2], &stream, on("a", "z"));
    join(&w[3], &other, on("k", NULL));
    flush();
    watch_stats(hub, &st);
    assert_int_equal(st.watchers, 4);
    assert_int_equal(st.groups, 2);
    seen_n = 0;
    put(11, "k");
    watch_flush(hub);
    assert_int_equal(seen_n, 4);
    for (size_t i = 1; i < 4; i++)
        assert_ptr_equal(seen[i].events, seen[0].events);
    assert_int_equal(atomic_load(&stream.queued_bytes),
                     3 * sizeof(struct watch_note) + seen[0].bytes_n);
    assert_int_equal(atomic_load(&seen[0].events->refs), 2);
    free_kept();
    assert_int_equal(atomic_load(&stream.queued_bytes), 0);
}

/* Each flush wakes a sink once, however many streams and notes; without notes not at all. */
static void a_flush_wakes_once(void **state)
{
    static struct watcher a, b;

    (void) state;
    join(&a, &stream, on("k", NULL));
    join(&b, &other, on("k", NULL));
    for (int64_t rev = 11; rev < 15; rev++)
        put(rev, "k");
    flush();
    assert_int_equal(deliveries, 1);
    put(15, "nobody's");
    flush();
    assert_int_equal(deliveries, 1);
}

/* ---- slow streams ---- */

/* A stream that takes nothing is told once that the watcher is behind, from the first revision that
 * it was not told of; another stream does not notice. */
static void a_full_stream_lags(void **state)
{
    static struct watcher slow, fast;
    size_t events = 0, behind = 0, fast_events = 0;
    int64_t rev;

    (void) state;
    join(&slow, &stream, on("k", NULL));
    join(&fast, &other, on("k", NULL));
    for (rev = 11; rev < 40; rev++) {
        put(rev, "k");
        watch_flush(hub);
        for (struct watch_batch **b = &kept, *x; (x = *b) != NULL;) {
            if (x->stream != &other) {
                b = &x->next;
                continue;
            }
            *b = x->next;
            watch_batch_free(x);
        }
    }
    for (size_t i = 0; i < seen_n; i++) {
        events += seen[i].kind == WATCH_EVENTS && seen[i].watcher == &slow;
        fast_events += seen[i].kind == WATCH_EVENTS && seen[i].watcher == &fast;
        behind += seen[i].kind == WATCH_BEHIND;
    }
    assert_int_equal(fast_events, 29);
    assert_int_equal(behind, 1);
    assert_in_range(events, 8, 10);
    assert_int_equal(slow.next_rev, 11 + (int64_t) events);
    assert_int_equal(slow.state, WATCH_APART);
    free_kept();
    slow.next_rev = rev;
    assert_int_equal(watch_join(hub, &slow), WATCH_JOIN_SYNCED);
}

/* Bytes count too, those of one stream and those of all streams together. */
static void bytes_are_bounded(void **state)
{
    static char big[1500];
    struct mvcc_event ev = put_of(0, "k", false);
    static struct watcher a, b;

    (void) state;
    memset(big, 'x', sizeof big);
    ev.kv = bytes_of(big, sizeof big);
    join(&a, &stream, on("k", NULL));
    join(&b, &other, on("k", NULL));
    for (int64_t rev = 11; rev < 16; rev++) {
        ev.main = rev;
        watch_publish(hub, rev, &ev, 1);
        watch_flush(hub);
    }
    assert_int_equal(a.state, WATCH_APART);
    assert_int_equal(b.state, WATCH_APART);
    assert_true(atomic_load(&stream.queued_bytes) < 4000 + 2000);
    assert_true(atomic_load(&stream.queued_bytes) + atomic_load(&other.queued_bytes) < 6000 + 2000);
    free_kept();
}

/* Where there is no room nothing is made: not even what was replaced is looked up. */
static void nothing_is_encoded_without_room(void **state)
{
    static char big[1500];
    struct mvcc_event ev = put_of(0, "big", false);
    struct mvcc_event two[] = {put_of(20, "k1", false), put_of(20, "k2", false)};
    struct watch_options o = on("k", "l");
    static struct watcher a, b;

    (void) state;
    ev.kv = bytes_of(big, sizeof big);
    o.prev_kv = true;
    join(&a, &stream, on("big", NULL));
    join(&b, &stream, o);
    for (int64_t rev = 11; rev < 14; rev++) {
        ev.main = rev;
        watch_publish(hub, rev, &ev, 1);
    }
    watch_flush(hub);
    assert_int_equal(a.state, WATCH_LIVE);
    seen_n = 0;
    watch_publish(hub, 20, two, 2);
    flush();
    assert_int_equal(seen_n, 1);
    assert_note(0, WATCH_BEHIND, &b, 20);
    assert_int_equal(b.next_rev, 20);
    assert_int_equal(prev_calls, 0);
}

/* A write that hits more groups more often than may be kept: whoever is hit past the limit is
 * behind, from that write on, and is not matched any more; who was hit before is told, and who is
 * not hit does not notice.  Afterwards all is as ever. */
static void a_write_that_hits_too_many(void **state)
{
    const struct watch_hub_config cfg = {.revision = 10, .compact_revision = 5, .hits_max = 5};
    struct mvcc_event ev[] = {put_of(11, "a1", false), put_of(11, "a2", false),
                              put_of(11, "a3", false), put_of(11, "a4", false),
                              put_of(11, "q", false)};
    static struct watcher w[5];
    struct watch_stats st;

    (void) state;
    watch_hub_free(hub);
    hub = watch_hub_new(&cfg);
    join(&w[0], &stream, on("a", "z"));
    join(&w[1], &other, on("a", "y"));
    join(&w[2], &stream, on("a1", NULL));
    join(&w[3], &stream, on("q", NULL));
    join(&w[4], &stream, on("b", NULL));
    flush();
    seen_n = 0;
    watch_publish(hub, 11, ev, ARRAY_LEN(ev));
    watch_hub_check(hub);
    flush();
    assert_int_equal(seen_n, 4);
    for (size_t i = 0; i < seen_n; i++) {
        bool told = seen[i].watcher == &w[2];

        assert_int_equal(seen[i].kind, told ? WATCH_EVENTS : WATCH_BEHIND);
        assert_int_equal(seen[i].events_n, told ? 1 : 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(w); i++)
        assert_int_equal(w[i].state, i == 2 || i == 4 ? WATCH_LIVE : WATCH_APART);
    assert_int_equal(w[0].next_rev, 11);
    watch_stats(hub, &st);
    assert_int_equal(st.groups, 2);
    assert_int_equal(st.behind_total, 3);
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        if (w[i].state == WATCH_LIVE)
            continue;
        w[i].next_rev = 12;
        assert_int_equal(watch_join(hub, &w[i]), WATCH_JOIN_SYNCED);
    }
    flush();
    seen_n = 0;
    put(12, "a1");
    flush();
    assert_int_equal(seen_n, 3);
}

/* However few hits are kept, a write of one event may hit all groups there are. */
static void one_event_hits_all(void **state)
{
    const struct watch_hub_config cfg = {.revision = 10, .compact_revision = 5, .hits_max = 1};
    static struct watcher w[26];
    static char ends[26][2];

    (void) state;
    watch_hub_free(hub);
    hub = watch_hub_new(&cfg);
    for (size_t i = 1; i < ARRAY_LEN(w); i++) {
        ends[i][0] = (char) ('a' + i);
        join(&w[i], &stream, on("a", ends[i]));
    }
    flush();
    seen_n = 0;
    put(11, "a");
    flush();
    assert_int_equal(seen_n, ARRAY_LEN(w) - 1);
    for (size_t i = 0; i < seen_n; i++)
        assert_int_equal(seen[i].kind, WATCH_EVENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_revision_is_one_note),     T(filters),
        T(prev_kv_is_looked_up_once),  T(events_are_encoded_once),
        T(a_flush_wakes_once),         T(a_full_stream_lags),
        T(bytes_are_bounded),          T(nothing_is_encoded_without_room),
        T(a_write_that_hits_too_many), T(one_event_hits_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
