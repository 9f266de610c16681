/* watch_rig.h -- a hub, and two streams whose notes are copied as they come.  Watchers are static:
 * the hub has them until the teardown. */
#ifndef KETCH_TESTS_WATCH_RIG_H
#define KETCH_TESTS_WATCH_RIG_H

#include "lib/cm.h"
#include "state/mvcc/watch.h"
#include "state/mvcc/watch_codec.h"

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

static inline void deliver(struct watch_sink *k, struct watch_batch *first)
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

static inline void free_kept(void)
{
    struct watch_batch *next;

    for (; kept != NULL; kept = next) {
        next = kept->next;
        watch_batch_free(kept);
    }
}

/* Hands out what was said since the last time; the streams take it at once. */
static inline size_t flush(void)
{
    size_t before = seen_n;

    watch_flush(hub);
    free_kept();
    return seen_n - before;
}

static inline bool prev_kv(void *ctx, const struct mvcc_event *ev, struct bytes *ret)
{
    (void) ctx;
    prev_calls++;
    *ret = ev->prev_main == 0 ? BYTES_EMPTY : bytes_str("PREV");
    return ret->n != 0;
}

static inline int begin(void **state)
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

static inline int end(void **state)
{
    (void) state;
    watch_stream_close(hub, &stream);
    watch_stream_close(hub, &other);
    flush();
    watch_hub_check(hub);
    watch_hub_free(hub);
    return 0;
}

static inline struct watch_options on(const char *key, const char *end_)
{
    return (struct watch_options){.key = bytes_str(key),
                                  .range_end = end_ == NULL ? BYTES_EMPTY : bytes_str(end_)};
}

static inline void join(struct watcher *w, struct watch_stream *s, struct watch_options o)
{
    assert_true(watcher_init(w, s, &o));
    watch_join(hub, w);
}

static inline struct mvcc_event put_of(int64_t main, const char *key, bool created)
{
    return (struct mvcc_event){.type = MVCC_PUT,
                               .main = main,
                               .created = created,
                               .key = bytes_str(key),
                               .kv = bytes_str(key),
                               .prev_main = created ? 0 : main - 1};
}

static inline struct mvcc_event delete_of(int64_t main, const char *key)
{
    return (struct mvcc_event){.type = MVCC_DELETE,
                               .main = main,
                               .key = bytes_str(key),
                               .kv = bytes_str(key),
                               .prev_main = main - 1};
}

static inline void put(int64_t main, const char *key)
{
    struct mvcc_event ev = put_of(main, key, false);

    watch_publish(hub, main, &ev, 1);
}

static inline void assert_note(size_t at, enum watch_note_kind kind, const struct watcher *w,
                               int64_t revision)
{
    assert_true(at < seen_n);
    assert_int_equal(seen[at].kind, kind);
    assert_ptr_equal(seen[at].watcher, w);
    assert_int_equal(seen[at].revision, revision);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

#endif
