/* watch_model.h -- a slow, obvious judge of what watchers are told.
 *
 * It keeps the whole log of revisions as copies.  For each watcher it knows the next revision that
 * the watcher is to be told of, and for every note it looks the answer up in the log.  The streams'
 * sinks only collect batches; a test decides when they are taken, so streams can be slow.
 *
 * The makers of events are the test's: a fake key space (watch_hub_test, the fuzz target) or the
 * real one (watch_history_test).
 */
#ifndef KETCH_TESTS_WATCH_MODEL_H
#define KETCH_TESTS_WATCH_MODEL_H

#include "base/alloc.h"
#include "base/buf.h"
#include "state/mvcc/watch.h"
#include "state/mvcc/watch_codec.h"

#define MODEL_REVISIONS_MAX 4096
#define MODEL_WATCHERS 24
#define MODEL_STREAMS 3
#define MODEL_SINKS 2

struct model_event {
    bool is_delete;
    bool created;
    bool has_prev;
    struct bytes key, kv, prev; /* owned */
};

struct model_revision {
    struct model_event *ev;
    size_t n;
};

enum model_state { MODEL_FREE, MODEL_JOINING, MODEL_LIVE, MODEL_BEHIND, MODEL_LEAVING, MODEL_OVER };

struct model_watcher {
    struct watcher w;
    enum model_state state;
    uint8_t key[8], end[8];
    int64_t next; /* next revision to be told of; 0: not known before JOINED */
    int64_t compact_at_join;
    size_t stream;
    uint64_t told; /* events */
};

struct model_stream {
    struct watch_stream s;
    bool closing;
};

struct model_sink {
    struct watch_sink k;
    struct watch_batch *first, **tail;
};

struct model {
    struct watch_hub *hub;
    int64_t revision;
    int64_t compact;
    struct model_revision log[MODEL_REVISIONS_MAX];
    struct model_watcher watchers[MODEL_WATCHERS];
    struct model_stream streams[MODEL_STREAMS];
    struct model_sink sinks[MODEL_SINKS];
    uint64_t progress_n, behind_n, compacted_n, events_n;
};

static struct bytes model_own(struct bytes b)
{
    return b.n == 0 ? BYTES_EMPTY : bytes_of(xmem_dup(b.p, b.n), b.n);
}

static void model_deliver(struct watch_sink *k, struct watch_batch *first)
{
    struct model_sink *m = CONTAINER_OF(k, struct model_sink, k);

    ASSERT(first != NULL);
    *m->tail = first;
    while (*m->tail != NULL)
        m->tail = &(*m->tail)->next;
}

static void model_init(struct model *m, const struct watch_hub_config *cfg)
{
    memset(m, 0, sizeof *m);
    m->hub = watch_hub_new(cfg);
    m->revision = cfg->revision;
    m->compact = cfg->compact_revision;
    for (size_t i = 0; i < MODEL_SINKS; i++) {
        watch_sink_init(&m->sinks[i].k, model_deliver);
        m->sinks[i].tail = &m->sinks[i].first;
    }
    for (size_t i = 0; i < MODEL_STREAMS; i++)
        watch_stream_init(&m->streams[i].s, &m->sinks[i % MODEL_SINKS].k);
}

/* The model learns of a write before the hub does. */
static void model_log(struct model *m, int64_t main, const struct mvcc_event *ev, size_t n,
                      struct bytes (*prev)(void *ctx, struct bytes key), void *ctx)
{
    struct model_revision *r = &m->log[main];

    ASSERT(main > m->revision);
    ASSERT(main < MODEL_REVISIONS_MAX);
    ASSERT(r->ev == NULL);
    r->ev = xmem_calloc(n, sizeof *r->ev);
    r->n = n;
    for (size_t i = 0; i < n; i++) {
        struct bytes p = prev(ctx, ev[i].key);

        r->ev[i] = (struct model_event){
            .is_delete = ev[i].type == MVCC_DELETE,
            .created = ev[i].created,
            .has_prev = p.n != 0,
            .key = model_own(ev[i].key),
            .kv = model_own(ev[i].kv),
            .prev = model_own(p),
        };
    }
    m->revision = main;
}

static bool model_in_range(const struct watcher *w, struct bytes key)
{
    if (w->range_end.n == 0)
        return bytes_eq(w->key, key);
    if (bytes_cmp(key, w->key) < 0)
        return false;
    return (w->range_end.n == 1 && w->range_end.p[0] == 0) || bytes_cmp(key, w->range_end) < 0;
}

/* Appends what the watcher is to be told of the revisions [from, to]; returns the events. */
static size_t model_expect(const struct model *m, const struct watcher *w, int64_t from, int64_t to,
                           int64_t compact, struct buf *out)
{
    size_t n = 0;

    for (int64_t rev = from; rev <= to; rev++) {
        for (size_t i = 0; i < m->log[rev].n; i++) {
            const struct model_event *e = &m->log[rev].ev[i];
            bool prev = w->prev_kv && e->has_prev && !e->created && rev - 1 >= compact;
            struct watch_event ev = {e->is_delete, e->kv, prev ? e->prev : BYTES_EMPTY};
            uint8_t *p;

            if (!model_in_range(w, e->key) ||
                (w->filters & (e->is_delete ? WATCH_NODELETE : WATCH_NOPUT)) != 0)
                continue;
            p = buf_reserve(out, watch_event_size(&ev));
            ASSERT(p != NULL);
            buf_commit(out, (size_t) (watch_event_put(p, &ev) - p));
            n++;
        }
    }
    return n;
}

/* Nothing that the watcher should hear of lies in [from, to]. */
static bool model_silent(const struct model *m, const struct watcher *w, int64_t from, int64_t to)
{
    struct buf b;
    size_t n;

    buf_init(&b, SIZE_MAX);
    n = model_expect(m, w, from, to, INT64_MAX, &b);
    buf_done(&b);
    return n == 0;
}

/* The watcher was told `events` for [mw->next, to]. */
static void model_told(struct model *m, struct model_watcher *mw, int64_t to, int64_t compact,
                       struct bytes events, size_t events_n)
{
    struct buf b;

    ASSERT(mw->next >= 1);
    ASSERT(to >= mw->next - 1);
    buf_init(&b, SIZE_MAX);
    ASSERT(model_expect(m, &mw->w, mw->next, to, compact, &b) == events_n);
    ASSERT(bytes_eq(buf_bytes(&b), events));
    buf_done(&b);
    mw->next = to + 1;
    mw->told += events_n;
    m->events_n += events_n;
}

static void model_note_events(struct model *m, struct model_watcher *mw, const struct watch_note *n)
{
    ASSERT(mw->state == MODEL_LIVE);
    ASSERT(n->events_n > 0);
    ASSERT(n->revision <= m->revision);
    /* The prev_kv of a live event is never compacted; that of a gap which the hub closed is judged
     * by the compact revision of that moment. */
    model_told(m, mw, n->revision, mw->compact_at_join, bytes_of(n->events->data, n->events->bytes),
               n->events_n);
}

static void model_note_progress(struct model *m, const struct watch_note *n,
                                const struct watch_stream *s)
{
    size_t spoken_for = 0;

    m->progress_n++;
    for (size_t i = 0; i < MODEL_WATCHERS; i++) {
        struct model_watcher *mw = &m->watchers[i];

        if (mw->state == MODEL_FREE || mw->state == MODEL_OVER || mw->w.stream != s ||
            (n->watcher != NULL && n->watcher != &mw->w))
            continue;
        spoken_for++;
        if (mw->state != MODEL_LIVE) {
            /* It has joined or left since; the note came before that. */
            ASSERT(mw->state == MODEL_JOINING || mw->state == MODEL_LEAVING);
            continue;
        }
        ASSERT(mw->w.start_rev <= n->revision);
        ASSERT(model_silent(m, &mw->w, mw->next, n->revision));
        mw->next = MAX(mw->next, n->revision + 1);
    }
    ASSERT(spoken_for > 0);
}

static void model_stream_over(struct model *m, struct model_stream *st)
{
    ASSERT(st->closing);
    for (size_t i = 0; i < MODEL_WATCHERS; i++)
        if (m->watchers[i].w.stream == &st->s)
            m->watchers[i].state = MODEL_FREE;
}

static void model_note(struct model *m, const struct watch_note *n, struct watch_stream *s)
{
    struct model_stream *st = CONTAINER_OF(s, struct model_stream, s);
    struct model_watcher *mw = NULL;

    if (n->kind == WATCH_CLOSED) {
        model_stream_over(m, st);
        return;
    }
    if (st->closing)
        return; /* nobody listens any more */
    if (n->kind == WATCH_PROGRESS) {
        model_note_progress(m, n, s);
        return;
    }
    mw = CONTAINER_OF(n->watcher, struct model_watcher, w);
    ASSERT(mw->w.stream == s);
    if (mw->state == MODEL_LEAVING && n->kind != WATCH_LEFT)
        return; /* was on its way */
    switch ((enum watch_note_kind) n->kind) {
    case WATCH_JOINED:
        ASSERT(mw->state == MODEL_JOINING);
        mw->state = MODEL_LIVE;
        if (mw->next == 0)
            mw->next = n->revision + 1;
        break;
    case WATCH_EVENTS:
        model_note_events(m, mw, n);
        break;
    case WATCH_BEHIND:
        ASSERT(mw->state == MODEL_JOINING || mw->state == MODEL_LIVE);
        ASSERT(mw->w.state == WATCH_APART);
        ASSERT(mw->w.next_rev >= mw->next);
        ASSERT(mw->w.next_rev <= n->revision);
        ASSERT(model_silent(m, &mw->w, mw->next, mw->w.next_rev - 1));
        mw->next = mw->w.next_rev;
        mw->state = MODEL_BEHIND;
        m->behind_n++;
        break;
    case WATCH_COMPACTED:
        ASSERT(mw->state == MODEL_JOINING);
        ASSERT(mw->next < n->revision);
        mw->state = MODEL_OVER;
        m->compacted_n++;
        break;
    case WATCH_LEFT:
        ASSERT(mw->state == MODEL_LEAVING);
        mw->state = MODEL_FREE;
        break;
    default:
        UNREACHABLE();
    }
}

/* Takes the oldest batch of a sink; false: there is none. */
static bool model_take(struct model *m, size_t sink)
{
    struct model_sink *k = &m->sinks[sink];
    struct watch_batch *b = k->first;
    struct watch_stream *s;
    bool closed;

    if (b == NULL)
        return false;
    k->first = b->next;
    if (k->first == NULL)
        k->tail = &k->first;
    s = b->stream;
    closed = b->notes[b->n - 1].kind == WATCH_CLOSED;
    for (uint32_t i = 0; i < b->n; i++)
        model_note(m, &b->notes[i], s);
    watch_batch_free(b);
    if (closed) { /* a new client comes */
        struct model_stream *st = CONTAINER_OF(s, struct model_stream, s);

        ASSERT(atomic_load(&s->queued_bytes) == 0);
        watch_stream_init(&st->s, s->sink);
        st->closing = false;
    }
    return true;
}

static void model_take_all(struct model *m)
{
    watch_flush(m->hub);
    for (size_t i = 0; i < MODEL_SINKS; i++)
        while (model_take(m, i))
            continue;
}

static void model_join(struct model *m, struct model_watcher *mw)
{
    ASSERT(mw->state == MODEL_BEHIND);
    ASSERT(!m->streams[mw->stream].closing);
    mw->state = MODEL_JOINING;
    mw->compact_at_join = m->compact;
    watch_join(m->hub, &mw->w);
}

/* Keys are copied into the watcher's record.  False: the range is empty. */
static UNUSED bool model_watch(struct model *m, struct model_watcher *mw, size_t stream,
                               const struct watch_options *o)
{
    struct watch_options mine = *o;

    ASSERT(mw->state == MODEL_FREE || mw->state == MODEL_OVER);
    ASSERT(o->key.n <= sizeof mw->key);
    ASSERT(o->range_end.n <= sizeof mw->end);
    if (o->key.n != 0)
        memcpy(mw->key, o->key.p, o->key.n);
    if (o->range_end.n != 0)
        memcpy(mw->end, o->range_end.p, o->range_end.n);
    mine.key = bytes_of(mw->key, o->key.n);
    mine.range_end = bytes_of(mw->end, o->range_end.n);
    if (!watcher_init(&mw->w, &m->streams[stream].s, &mine))
        return false;
    mw->stream = stream;
    mw->next = o->start_rev;
    mw->told = 0;
    mw->state = MODEL_BEHIND;
    model_join(m, mw);
    return true;
}

static UNUSED void model_leave(struct model *m, struct model_watcher *mw)
{
    ASSERT(mw->state != MODEL_FREE);
    ASSERT(mw->state != MODEL_OVER);
    ASSERT(mw->state != MODEL_LEAVING);
    mw->state = MODEL_LEAVING;
    watch_leave(m->hub, &mw->w);
}

/* How many watchers the stream's side would say it has. */
static UNUSED size_t model_watchers_of(const struct model *m, size_t stream)
{
    size_t n = 0;

    for (size_t i = 0; i < MODEL_WATCHERS; i++)
        n += m->watchers[i].stream == stream && m->watchers[i].state != MODEL_FREE &&
             m->watchers[i].state != MODEL_OVER && m->watchers[i].state != MODEL_LEAVING;
    return n;
}

static UNUSED void model_compact(struct model *m, int64_t revision)
{
    ASSERT(revision > m->compact);
    ASSERT(revision <= m->revision);
    m->compact = revision;
    watch_compacted(m->hub, revision);
}

/* Every watcher that is live has been told everything. */
static UNUSED void model_settled(struct model *m)
{
    for (size_t i = 0; i < MODEL_WATCHERS; i++) {
        struct model_watcher *mw = &m->watchers[i];

        ASSERT(mw->state == MODEL_FREE || mw->state == MODEL_OVER || mw->state == MODEL_LIVE);
        if (mw->state == MODEL_LIVE)
            ASSERT(model_silent(m, &mw->w, mw->next, m->revision));
    }
    watch_hub_check(m->hub);
}

static void model_done(struct model *m)
{
    model_take_all(m);
    for (size_t i = 0; i < MODEL_STREAMS; i++) {
        m->streams[i].closing = true;
        watch_stream_close(m->hub, &m->streams[i].s);
    }
    model_take_all(m);
    watch_hub_check(m->hub);
    watch_hub_free(m->hub);
    for (size_t rev = 0; rev < MODEL_REVISIONS_MAX; rev++) {
        for (size_t i = 0; i < m->log[rev].n; i++) {
            struct model_event *e = &m->log[rev].ev[i];

            mem_free((void *) (uintptr_t) e->key.p);
            mem_free((void *) (uintptr_t) e->kv.p);
            mem_free((void *) (uintptr_t) e->prev.p);
        }
        mem_free(m->log[rev].ev);
    }
}

#endif
