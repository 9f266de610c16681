/* What the hub says to the streams of this I/O thread. */
#include "edge/server/watch_int.h"

/* The first note about a watch: now its creation can be answered. */
static bool created(struct wwatch *w, int64_t revision)
{
    struct wstream *s = w->stream;

    if (w->created)
        return true;
    w->created = true;
    list_remove(&w->order.link);
    if (!wstream_send_created(s, w->id, revision))
        return false;
    wwatch_owe(s);
    return !s->closing;
}

static void behind(struct wwatch *w, int64_t revision)
{
    if (!created(w, revision) || w->state == WWATCH_LEAVING)
        return; /* of a leaving watch LEFT follows */
    w->state = WWATCH_CATCHING;
    wwatch_catch_up(w);
}

static void compacted(struct wwatch *w, int64_t compact_revision)
{
    if (!created(w, io_revision(w->stream->io)) || w->state == WWATCH_LEAVING)
        return;
    w->state = WWATCH_CATCHING; /* ours again */
    if (wstream_send_canceled(w->stream, w->id, 0, compact_revision))
        wwatch_drop(w);
}

static void joined(struct wwatch *w, int64_t revision)
{
    if (w->state == WWATCH_JOINING)
        w->state = WWATCH_LIVE;
    created(w, revision);
}

static void handle(struct wstream *s, const struct watch_note *note)
{
    struct wwatch *w = note->watcher == NULL ? NULL
                                             : CONTAINER_OF(note->watcher, struct wwatch, hub);

    switch ((enum watch_note_kind) note->kind) {
    case WATCH_EVENTS:
        if (created(w, note->revision))
            wwatch_send_events(w, note->events, note->events_n, note->revision);
        break;
    case WATCH_JOINED:
        joined(w, note->revision);
        break;
    case WATCH_BEHIND:
        behind(w, note->revision);
        break;
    case WATCH_COMPACTED:
        compacted(w, note->revision);
        break;
    case WATCH_PROGRESS:
        if (w == NULL)
            wstream_send_progress(s, -1, note->revision);
        else if (w->state == WWATCH_LIVE && !w->skip_progress)
            wstream_send_progress(s, w->id, note->revision);
        break;
    case WATCH_LEFT:
        if (wstream_send_canceled(s, w->id, note->revision, 0))
            wwatch_drop(w);
        break;
    case WATCH_CLOSED:
        UNREACHABLE(); /* only a closing stream gets it */
    }
}

static void drop_batch(struct wstream *s)
{
    struct watch_batch *b = s->first;

    s->first = b->next;
    if (s->first == NULL)
        s->last = NULL;
    s->at = 0;
    watch_batch_free(b);
}

/* etcd's send-loop histograms, observed once per batch rather than per response. */
static void observe(struct wstream *s, const struct watch_batch *b, mono_ns begin)
{
    struct server *srv = s->io->server;
    mono_ns took = clock_mono_ns(srv->o.clock) - begin;
    uint64_t events = 0;

    for (uint32_t i = 0; i < b->n; i++)
        events += b->notes[i].events_n;
    if (events == 0) {
        histogram_observe(b->notes[0].kind == WATCH_PROGRESS ? srv->m.watch_send_progress
                                                             : srv->m.watch_send_control,
                          took);
        return;
    }
    histogram_observe(srv->m.watch_send, took);
    histogram_observe(srv->m.watch_send_event, took / (mono_ns) events);
}

void wstream_pump(struct wstream *s)
{
    while (s->first != NULL) {
        struct watch_batch *b = s->first;
        mono_ns begin = clock_mono_ns(s->io->server->o.clock);

        while (s->at < b->n) {
            const struct watch_note *note = &b->notes[s->at];

            if (s->closing) {
                s->closed = s->closed || note->kind == WATCH_CLOSED;
            } else if (wstream_full(s)) {
                s->blocked = true;
                return;
            } else {
                handle(s, note);
            }
            s->at++;
        }
        if (b->n > 0)
            observe(s, b, begin);
        drop_batch(s);
    }
    if (s->closing)
        wstream_settle(s);
}

void watch_io_batches(struct io *io, struct watch_batch *first)
{
    struct node_status st;

    node_status(io->server->node, &st);
    io->watch->term = st.term;
    while (first != NULL) {
        struct watch_batch *b = first;
        struct wstream *s = CONTAINER_OF(b->stream, struct wstream, hub);

        first = b->next;
        b->next = NULL;
        if (s->last != NULL)
            s->last->next = b;
        else
            s->first = b;
        s->last = b;
        if (!s->blocked || s->closing)
            wstream_pump(s);
    }
}
