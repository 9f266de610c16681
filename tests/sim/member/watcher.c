/* watcher.c -- clients that watch.  Each wants every event on its keys once and in order, whatever
 * happens to the members: when one is gone it goes on at another, from the revision behind the last
 * that it has seen.
 *
 * The member's side of it is what edge/server does, in short: it joins the hub, and reads from
 * history what the hub does not have.
 */
#include "sim/member/sim.h"

/* What a member has of one connection. */
struct sim_watch {
    struct sim_watcher *client; /* NULL: it has gone */
    struct sim_member *m;
    uint32_t life;
    struct watch_sink sink;
    struct watch_stream stream;
    struct watcher watcher;
    char lo[4], hi[4];
    bool closing;
    struct watch_batch *first, *last; /* not yet looked at by the I/O thread */
    struct sim_event look;
};

/* A message to the client. */
struct sim_told {
    struct sim_watch *w;
    struct payload *events; /* NULL: progress, or the end */
    int64_t revision;
    int64_t compacted; /* the watch ends: go on behind this */
};

static void connect_later(struct sim_watcher *c, sim_ns delay)
{
    sim_post(c->s, &c->again, delay);
}

static void disconnect(struct sim_watcher *c);

/* ---- the client ---- */

static bool matches(const struct sim_watcher *c, const struct sim_truth_event *e)
{
    return e->key >= c->lo && e->key < c->hi;
}

/* Nothing on its keys happened from `next` to before `revision`. */
static void check_gap(struct sim_watcher *c, int64_t revision)
{
    struct sim *s = c->s;

    for (int64_t r = c->next; r < revision; r++) {
        const struct sim_truth *t = sim_truth_at(s, r);

        for (size_t i = 0; t != NULL && i < t->n; i++) {
            if (matches(c, &t->v[i]))
                sim_fail(s, "watcher %u was not told of revision %" PRId64 " at member %u",
                         c->index + 1, r, c->member + 1);
        }
    }
}

static void take_events(void *arg, int64_t revision, const struct sim_truth_event *v, size_t n)
{
    struct sim_watcher *c = arg;
    struct sim *s = c->s;
    const struct sim_truth *t = sim_truth_at(s, revision);
    size_t k = 0;

    sim_detail(s, NULL, "watcher %u takes %zu events of revision %" PRId64 ", wants %" PRId64,
               c->index + 1, n, revision, c->next);
    if (revision < c->next)
        sim_fail(s, "watcher %u is told of revision %" PRId64 " again, at member %u", c->index + 1,
                 revision, c->member + 1);
    if (t == NULL || t->n == 0)
        sim_fail(s, "watcher %u is told of revision %" PRId64 ", which nobody has applied",
                 c->index + 1, revision);
    check_gap(c, revision);
    for (size_t i = 0; i < t->n; i++) {
        if (!matches(c, &t->v[i]))
            continue;
        if (k == n || !sim_truth_event_eq(&t->v[i], &v[k++]))
            sim_fail(s, "watcher %u is told something else of revision %" PRId64, c->index + 1,
                     revision);
    }
    if (k != n)
        sim_fail(s, "watcher %u is told too much of revision %" PRId64, c->index + 1, revision);
    c->next = revision + 1;
    s->result.counts.watched += n;
}

static void told_free(struct sim_told *x)
{
    payload_unref(x->events);
    mem_free(x);
}

static void on_told(struct sim *s, void *arg)
{
    struct sim_told *x = arg;
    struct sim_watcher *c = x->w->client;

    if (c != NULL && c->watch == x->w) {
        if (x->events != NULL) {
            sim_events_each(s, x->events, take_events, c);
        } else if (x->compacted != 0) {
            if (x->compacted > s->compact_asked)
                sim_fail(s, "watcher %u hears of a compaction at %" PRId64, c->index + 1,
                         x->compacted);
            c->next = MAX(c->next, x->compacted + 1);
            disconnect(c);
            connect_later(c, 10 * SIM_MS);
        } else {
            check_gap(c, x->revision + 1);
            c->next = MAX(c->next, x->revision + 1);
        }
    }
    told_free(x);
}

/* In order, as on one connection. */
static void tell(struct sim_watch *w, struct payload *events, int64_t revision, int64_t compacted)
{
    struct sim_watcher *c = w->client;
    struct sim_told *x;
    sim_ns at;

    if (c == NULL)
        return;
    sim_detail(c->s, w->m, "tells watcher %u: %s, revision %" PRId64 ", compacted %" PRId64,
               c->index + 1, events != NULL ? "events" : "no events", revision, compacted);
    x = xmem_calloc(1, sizeof *x);
    *x = (struct sim_told){w, payload_ref(events), revision, compacted};
    at = c->s->now + sim_client_delay(c->s);
    c->arrival = MAX(c->arrival + 1, at);
    sim_at(c->s, c->arrival - c->s->now, on_told, x);
}

/* ---- the member's side ---- */

static void watch_submit(struct sim_watch *w, enum node_request_kind kind);

static bool lives(const struct sim_watch *w)
{
    return w->m->up && w->m->life == w->life;
}

static void on_submitted(struct sim_call *c)
{
    sim_call_free(c);
}

static void watch_submit(struct sim_watch *w, enum node_request_kind kind)
{
    struct sim_call *c = sim_call_new(w->m, kind, on_submitted, NULL);

    c->r.watcher = &w->watcher;
    c->r.stream = &w->stream;
    c->r.watchers_n = 1;
    sim_call_submit(c);
}

static void watch_close(struct sim_watch *w)
{
    w->client = NULL;
    if (!lives(w) || w->closing)
        return;
    w->closing = true;
    watch_submit(w, NODE_REQ_WATCH_STREAM_CLOSE);
}

static void catch_up(struct sim *s, void *arg)
{
    static const struct history_limits small = {3, 0, 40, 0};
    struct sim_watch *w = arg;
    struct history_want want = {.watcher = &w->watcher, .next_rev = w->watcher.next_rev};
    const struct mvcc_view *v;
    struct err e = ERR_INIT;

    if (!lives(w) || w->closing)
        return;
    if (w->m->paused > 0) {
        sim_at(s, 50 * SIM_MS, catch_up, w);
        return;
    }
    v = mvcc_view_pin(w->m->reader);
    if (history_scan(v, &want, 1, sim_chance(&s->client_random, 2) == 0 ? &small : NULL, &e) != 0)
        sim_fail(s, "history cannot be read: %s", e.msg);
    w->watcher.next_rev = want.next_rev;
    if (want.events != NULL)
        tell(w, want.events, 0, 0);
    payload_unref(want.events);
    if (want.end == HISTORY_COMPACTED)
        tell(w, NULL, 0, mvcc_view_compact_revision(v));
    else if (want.end == HISTORY_MORE)
        sim_at(s, sim_delay(&s->turn_random, s->setup.turn_ns), catch_up, w);
    else
        watch_submit(w, NODE_REQ_WATCH_JOIN);
    mvcc_view_unpin(v);
}

static void on_note(struct sim *s, struct sim_watch *w, const struct watch_note *x)
{
    sim_detail(s, w->m, "note of kind %u, revision %" PRId64 ", of a watcher at %" PRId64,
               (unsigned) x->kind, x->revision, w->watcher.next_rev);
    switch ((enum watch_note_kind) x->kind) {
    case WATCH_EVENTS:
        tell(w, x->events, x->revision, 0);
        break;
    case WATCH_BEHIND:
        sim_at(s, sim_delay(&s->turn_random, s->setup.turn_ns), catch_up, w);
        break;
    case WATCH_COMPACTED:
        tell(w, NULL, 0, x->revision);
        break;
    case WATCH_PROGRESS:
        tell(w, NULL, x->revision, 0);
        break;
    case WATCH_CLOSED:
        w->m->streams--;
        break;
    case WATCH_JOINED:
    case WATCH_LEFT:
        break;
    }
}

static void on_notes(struct sim *s, void *arg)
{
    struct sim_watch *w = arg;

    if (lives(w) && w->m->paused > 0) {
        sim_post(s, &w->look, 50 * SIM_MS);
        return;
    }
    while (lives(w) && w->first != NULL) {
        struct watch_batch *b = w->first;

        w->first = b->next;
        for (uint32_t i = 0; i < b->n; i++)
            on_note(s, w, &b->notes[i]);
        watch_batch_free(b);
    }
}

static void deliver(struct watch_sink *sink, struct watch_batch *first)
{
    struct sim_watch *w = CONTAINER_OF(sink, struct sim_watch, sink);
    struct sim *s = w->m->sim;

    if (w->first == NULL)
        w->first = first;
    else
        w->last->next = first;
    for (w->last = first; w->last->next != NULL;)
        w->last = w->last->next;
    sim_post(s, &w->look, sim_delay(&s->turn_random, s->setup.turn_ns));
}

static void watch_open(struct sim_watcher *c, struct sim_member *m)
{
    struct sim_watch *w = xmem_calloc(1, sizeof *w);
    struct watch_options o;

    sim_key_text(c->lo, w->lo);
    sim_key_text(c->hi, w->hi);
    o = (struct watch_options){.key = bytes_of(w->lo, 3),
                               .range_end = c->hi == c->lo + 1 ? BYTES_EMPTY : bytes_of(w->hi, 3),
                               .prev_kv = c->prev_kv,
                               .start_rev = c->next};
    w->client = c;
    w->m = m;
    w->life = m->life;
    heap_item_init(&w->look.item);
    w->look.run = on_notes;
    w->look.arg = w;
    watch_sink_init(&w->sink, deliver);
    watch_stream_init(&w->stream, &w->sink);
    if (!watcher_init(&w->watcher, &w->stream, &o))
        UNREACHABLE();
    w->watcher.next_rev = c->next;
    c->watch = w;
    m->streams++;
    watch_submit(w, NODE_REQ_WATCH_JOIN);
}

/* ---- connecting ---- */

static void disconnect(struct sim_watcher *c)
{
    if (c->watch != NULL)
        watch_close(c->watch);
    c->watch = NULL;
}

static void connect(struct sim *s, void *arg)
{
    struct sim_watcher *c = arg;
    struct sim_member *m;

    /* Still there: asks how far it is, or goes elsewhere. */
    if (c->watch != NULL && lives(c->watch) && !c->watch->closing &&
        (s->healing || sim_chance(&s->client_random, 3) != 0) && c->watch->m->paused == 0) {
        watch_submit(c->watch, NODE_REQ_WATCH_PROGRESS);
        connect_later(c, 300 * SIM_MS + sim_delay(&s->client_random, SIM_S));
        return;
    }
    disconnect(c);
    for (int tries = 0; tries < (s->healing ? 20 : 1); tries++) {
        c->member = sim_some_member(s, &s->client_random);
        if (sim_member_serves(&s->members[c->member]))
            break;
    }
    m = &s->members[c->member];
    if (sim_member_serves(m) && m->paused == 0)
        watch_open(c, m);
    connect_later(c, 300 * SIM_MS + sim_delay(&s->client_random, s->healing ? SIM_S : 3 * SIM_S));
}

void sim_watchers_begin(struct sim *s)
{
    for (uint32_t i = 0; s->setup.watches && i < SIM_WATCHERS; i++) {
        struct sim_watcher *c = &s->watchers[i];

        *c = (struct sim_watcher){.s = s, .index = i, .next = 2};
        c->lo = i == 0 ? 0 : (unsigned) sim_chance(&s->client_random, MODEL_KEYS);
        c->hi = i == 0 ? MODEL_KEYS
                       : c->lo + 1 + (unsigned) sim_chance(&s->client_random, MODEL_KEYS - c->lo);
        c->prev_kv = i % 2 == 0;
        heap_item_init(&c->again.item);
        c->again.run = connect;
        c->again.arg = c;
        connect_later(c, SIM_S + sim_delay(&s->client_random, SIM_S));
    }
}

void sim_watchers_crashed(struct sim_member *m)
{
    struct sim *s = m->sim;

    for (uint32_t i = 0; i < SIM_WATCHERS; i++) {
        struct sim_watcher *c = &s->watchers[i];

        if (c->watch == NULL || c->watch->m != m)
            continue;
        c->watch->client = NULL;
        c->watch = NULL;
        connect_later(c, sim_delay(&s->client_random, 200 * SIM_MS));
    }
}

void sim_watchers_stop(struct sim_member *m)
{
    struct sim *s = m->sim;

    for (uint32_t i = 0; i < SIM_WATCHERS; i++) {
        struct sim_watcher *c = &s->watchers[i];

        if (c->watch == NULL || c->watch->m != m)
            continue;
        disconnect(c);
        connect_later(c, sim_delay(&s->client_random, 200 * SIM_MS));
    }
}

void sim_watchers_end(struct sim *s)
{
    for (uint32_t i = 0; s->setup.watches && i < SIM_WATCHERS; i++) {
        struct sim_watcher *c = &s->watchers[i];

        check_gap(c, s->revision + 1);
    }
}
