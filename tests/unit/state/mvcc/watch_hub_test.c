/* The rules of the hub, one by one.  Watchers are static: the hub has them until the teardown. */
#include "lib/cm.h"
#include "state/mvcc/watch.h"
#include "state/mvcc/watch_codec.h"

/* ---- a stream whose notes are copied as they come ---- */

#define NOTES_MAX 4096

struct seen {
    enum watch_note_kind kind;
    const struct watcher *watcher;
    int64_t revision;
    uint32_t events_n;
    const struct payload *events; /* to compare addresses while batches are kept */
    uint8_t bytes[256];
    size_t bytes_n;
};

static struct watch_sink sink;
static struct watch_stream stream, other;
static struct watch_hub *hub;
static struct seen seen[NOTES_MAX];
static size_t seen_n;
static struct watch_batch *kept; /* not freed yet: the streams are slow */
static unsigned deliveries;
static unsigned prev_calls;

static void deliver(struct watch_sink *k, struct watch_batch *first)
{
    (void) k;
    deliveries++;
    for (struct watch_batch *b = first, *next; b != NULL; b = next) {
        next = b->next;
        for (uint32_t i = 0; i < b->n; i++) {
            const struct watch_note *n = &b->notes[i];
            struct seen *s = &seen[seen_n++];

            *s = (struct seen){n->kind, n->watcher, n->revision, n->events_n, n->events, {0}, 0};
            if (n->events != NULL) {
                s->bytes_n = n->events->bytes;
                memcpy(s->bytes, n->events->data, MIN(s->bytes_n, sizeof s->bytes));
            }
        }
        b->next = kept;
        kept = b;
    }
}

static void free_kept(void)
{
    struct watch_batch *next;

    for (; kept != NULL; kept = next) {
        next = kept->next;
        watch_batch_free(kept);
    }
}

/* Hands out what was said since the last time; the streams take it at once. */
static size_t flush(void)
{
    size_t before = seen_n;

    watch_flush(hub);
    free_kept();
    return seen_n - before;
}

static bool prev_kv(void *ctx, const struct mvcc_event *ev, struct bytes *ret)
{
    (void) ctx;
    prev_calls++;
    *ret = ev->prev_main == 0 ? BYTES_EMPTY : bytes_str("PREV");
    return ret->n != 0;
}

static int begin(void **state)
{
    const struct watch_hub_config cfg = {.revision = 10,
                                         .compact_revision = 5,
                                         .stream_notes_max = 8,
                                         .stream_bytes_max = 4000,
                                         .hub_bytes_max = 6000,
                                         .prev_kv = prev_kv};

    (void) state;
    hub = watch_hub_new(&cfg);
    watch_sink_init(&sink, deliver);
    watch_stream_init(&stream, &sink);
    watch_stream_init(&other, &sink);
    seen_n = deliveries = prev_calls = 0;
    return 0;
}

static int end(void **state)
{
    (void) state;
    watch_stream_close(hub, &stream);
    watch_stream_close(hub, &other);
    flush();
    watch_hub_check(hub);
    watch_hub_free(hub);
    return 0;
}

static struct watch_options on(const char *key, const char *end_)
{
    return (struct watch_options){.key = bytes_str(key),
                                  .range_end = end_ == NULL ? BYTES_EMPTY : bytes_str(end_)};
}

static void join(struct watcher *w, struct watch_stream *s, struct watch_options o)
{
    assert_true(watcher_init(w, s, &o));
    watch_join(hub, w);
}

static struct mvcc_event put_of(int64_t main, const char *key, bool created)
{
    return (struct mvcc_event){.type = MVCC_PUT,
                               .main = main,
                               .created = created,
                               .key = bytes_str(key),
                               .kv = bytes_str(key),
                               .prev_main = created ? 0 : main - 1};
}

static struct mvcc_event delete_of(int64_t main, const char *key)
{
    return (struct mvcc_event){.type = MVCC_DELETE,
                               .main = main,
                               .key = bytes_str(key),
                               .kv = bytes_str(key),
                               .prev_main = main - 1};
}

static void put(int64_t main, const char *key)
{
    struct mvcc_event ev = put_of(main, key, false);

    watch_publish(hub, main, &ev, 1);
}

static void assert_note(size_t at, enum watch_note_kind kind, const struct watcher *w,
                        int64_t revision)
{
    assert_true(at < seen_n);
    assert_int_equal(seen[at].kind, kind);
    assert_ptr_equal(seen[at].watcher, w);
    assert_int_equal(seen[at].revision, revision);
}

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

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(ranges_are_checked),
        T(from_now_on),
        T(from_the_future),
        T(from_the_past),
        T(compaction),
        T(a_revision_is_one_note),
        T(filters),
        T(prev_kv_is_looked_up_once),
        T(events_are_encoded_once),
        T(a_flush_wakes_once),
        T(a_full_stream_lags),
        T(bytes_are_bounded),
        T(nothing_is_encoded_without_room),
        T(a_write_that_hits_too_many),
        T(one_event_hits_all),
        T(restored),
        T(progress_on_request),
        T(no_progress_before_the_start),
        T(progress_by_timer),
        T(leaving),
        T(closing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
