/* The rules of the hub, one by one: who joins and leaves, and who is told of progress. */
#include "unit/state/mvcc/watch_rig.h"

/* ---- joining ---- */

/* The three forms of a range are accepted, an empty one is refused, an empty key is one zero byte.
 */
static void ranges_are_checked(void **state)
{
    struct watch_options empty = {.key = BYTES_EMPTY, .range_end = BYTES_EMPTY};
    struct watch_options no_end = {.key = bytes_str("k"), .range_end = bytes_of("", 1)};
    struct watch_options all = {.key = bytes_of("", 1), .range_end = bytes_of("", 1)};
    struct watch_options same = on("k", "k"), down = on("k", "a"), fine = on("k", "k0");
    static struct watcher w;

    (void) state;
    assert_true(watcher_init(&w, &stream, &empty));
    assert_true(bytes_eq(w.key, bytes_of("", 1)));
    assert_true(watcher_init(&w, &stream, &no_end));
    assert_true(watcher_init(&w, &stream, &all));
    assert_true(watcher_init(&w, &stream, &fine));
    assert_false(watcher_init(&w, &stream, &same));
    assert_false(watcher_init(&w, &stream, &down));
}

/* Start 0 means the revision after the current one. */
static void from_now_on(void **state)
{
    static struct watcher w;

    (void) state;
    join(&w, &stream, on("k", NULL));
    put(11, "k");
    put(12, "other");
    put(13, "k");
    assert_int_equal(flush(), 3);
    assert_note(0, WATCH_JOINED, &w, 10);
    assert_note(1, WATCH_EVENTS, &w, 11);
    assert_note(2, WATCH_EVENTS, &w, 13);
}

/* A start in the future waits for its revision, which itself is delivered. */
static void from_the_future(void **state)
{
    struct watch_options o = on("k", NULL);
    static struct watcher w;

    (void) state;
    o.start_rev = 13;
    assert_true(watcher_init(&w, &stream, &o));
    assert_int_equal(watch_join(hub, &w), WATCH_JOIN_SYNCED);
    put(11, "k");
    put(12, "k");
    assert_false(watch_progress(hub, &stream, 1));
    put(13, "k");
    assert_true(watch_progress(hub, &stream, 1));
    assert_int_equal(flush(), 3);
    assert_note(0, WATCH_JOINED, &w, 10);
    assert_note(1, WATCH_EVENTS, &w, 13);
    assert_note(2, WATCH_PROGRESS, NULL, 13);
}

/* A start in the past is handed back; one below the compact revision is told so, once; one equal to
 * it is fine. */
static void from_the_past(void **state)
{
    struct watch_options o = on("k", NULL);
    static struct watcher past, edge, gone;

    (void) state;
    o.start_rev = 10;
    join(&past, &stream, o);
    o.start_rev = 5;
    join(&edge, &stream, o);
    o.start_rev = 4;
    join(&gone, &stream, o);
    put(11, "k");
    assert_int_equal(flush(), 3);
    assert_note(0, WATCH_BEHIND, &past, 10);
    assert_note(1, WATCH_BEHIND, &edge, 10);
    assert_note(2, WATCH_COMPACTED, &gone, 5);
    assert_int_equal(past.next_rev, 10);
    past.next_rev = 11; /* as if it had read revision 10 */
    assert_int_equal(watch_join(hub, &past), WATCH_JOIN_BEHIND);
    past.next_rev = 12;
    assert_int_equal(watch_join(hub, &past), WATCH_JOIN_SYNCED);
    assert_int_equal(flush(), 2);
}

/* A compaction does not touch live watchers; one that is behind learns of it when it joins. */
static void compaction(void **state)
{
    struct watch_options o = on("k", NULL);
    static struct watcher live, behind;

    (void) state;
    join(&live, &stream, o);
    o.start_rev = 6;
    join(&behind, &stream, o);
    watch_compacted(hub, 9);
    put(11, "k");
    watch_join(hub, &behind);
    assert_int_equal(flush(), 4);
    assert_note(2, WATCH_EVENTS, &live, 11);
    assert_note(3, WATCH_COMPACTED, &behind, 9);
}

/* ---- a restored snapshot ---- */

/* Live watchers go on from what they had reached, future ones that were overtaken from their start;
 * a start that is still to come is kept, and gets no old events. */
static void restored(void **state)
{
    struct watch_options o = on("k", NULL);
    static struct watcher live, overtaken, future;

    (void) state;
    join(&live, &stream, o);
    o.start_rev = 15;
    join(&overtaken, &stream, o);
    o.start_rev = 30;
    join(&future, &stream, o);
    put(11, "k");
    flush();
    seen_n = 0;
    watch_restored(hub, 20, 12);
    assert_int_equal(flush(), 2);
    assert_note(0, WATCH_BEHIND, &live, 20);
    assert_note(1, WATCH_BEHIND, &overtaken, 20);
    assert_int_equal(live.next_rev, 12);
    assert_int_equal(overtaken.next_rev, 15);
    assert_int_equal(future.state, WATCH_FUTURE);
    put(21, "k");
    assert_int_equal(flush(), 0);
    put(30, "k");
    assert_int_equal(flush(), 1);
    assert_note(2, WATCH_EVENTS, &future, 30);
    watch_restored(hub, 30, 12);
    assert_int_equal(flush(), 0); /* the same state: nobody missed anything */
}

/* ---- progress, leaving ---- */

/* A request is answered only when every watcher of the stream is live and started, and never
 * without watchers; the note comes behind the events that it speaks of. */
static void progress_on_request(void **state)
{
    struct watch_options o = on("k", NULL);
    static struct watcher a, b;

    (void) state;
    assert_false(watch_progress(hub, &stream, 0));
    join(&a, &stream, o);
    o.start_rev = 10;
    join(&b, &stream, o);
    assert_false(watch_progress(hub, &stream, 2));
    b.next_rev = 11;
    watch_join(hub, &b);
    put(11, "k");
    assert_true(watch_progress(hub, &stream, 2));
    assert_int_equal(flush(), 6);
    assert_note(5, WATCH_PROGRESS, NULL, 11);
    assert_int_equal(seen[3].kind, WATCH_EVENTS);
    assert_int_equal(seen[4].kind, WATCH_EVENTS);
}

/* A start right after the current revision is still to come: etcd says nothing about it either. */
static void no_progress_before_the_start(void **state)
{
    struct watch_options o = on("k", NULL);
    static struct watcher w;

    (void) state;
    o.start_rev = 11;
    o.progress_notify = true;
    join(&w, &stream, o);
    assert_false(watch_progress(hub, &stream, 1));
    assert_int_equal(watch_progress_each(hub, &stream), 0);
    put(11, "other");
    assert_true(watch_progress(hub, &stream, 1));
    assert_int_equal(watch_progress_each(hub, &stream), 1);
}

/* The timer speaks for each watcher that asked for it. */
static void progress_by_timer(void **state)
{
    struct watch_options o = on("k", NULL);
    static struct watcher quiet, wants;

    (void) state;
    join(&quiet, &stream, o);
    o.progress_notify = true;
    join(&wants, &stream, o);
    assert_int_equal(watch_progress_each(hub, &stream), 1);
    assert_int_equal(watch_progress_each(hub, &other), 0);
    assert_int_equal(flush(), 3);
    assert_note(2, WATCH_PROGRESS, &wants, 10);
}

/* Whatever state it is in, a watcher that leaves hears WATCH_LEFT as its last word. */
static void leaving(void **state)
{
    struct watch_options o = on("k", NULL);
    static struct watcher live, future, behind;

    (void) state;
    join(&live, &stream, o);
    o.start_rev = 20;
    join(&future, &stream, o);
    o.start_rev = 8;
    join(&behind, &stream, o);
    put(11, "k");
    watch_leave(hub, &live);
    watch_leave(hub, &future);
    watch_leave(hub, &behind);
    put(12, "k");
    put(20, "k");
    assert_int_equal(flush(), 7);
    assert_note(3, WATCH_EVENTS, &live, 11);
    assert_note(4, WATCH_LEFT, &live, 11);
    assert_note(5, WATCH_LEFT, &future, 11);
    assert_note(6, WATCH_LEFT, &behind, 11);
}

/* Closing a stream takes its watchers out and says so last; after that the stream is not touched.
 */
static void closing(void **state)
{
    struct watch_options o = on("k", NULL);
    static struct watcher a, b;
    struct watch_stats st;

    (void) state;
    join(&a, &stream, o);
    o.start_rev = 20;
    join(&b, &stream, o);
    watch_stream_close(hub, &stream);
    flush();
    assert_note(2, WATCH_CLOSED, NULL, 10);
    memset(&stream, 0xee, sizeof stream);
    put(11, "k");
    put(20, "k");
    assert_int_equal(flush(), 0);
    watch_stats(hub, &st);
    assert_int_equal(st.watchers, 0);
    assert_int_equal(st.groups, 0);
    watch_stream_init(&stream, &sink);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(ranges_are_checked),
        T(from_now_on),
        T(from_the_future),
        T(from_the_past),
        T(compaction),
        T(restored),
        T(progress_on_request),
        T(no_progress_before_the_start),
        T(progress_by_timer),
        T(leaving),
        T(closing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
