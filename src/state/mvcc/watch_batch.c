/* The queue from the hub to a stream: notes gather in the stream's open batch until watch_flush
 * hands all open batches to their sinks.  What is queued is counted in bytes that it keeps in
 * memory: a payload that many notes of one batch share counts once. */
#include "state/mvcc/watch_int.h"

#define BATCH_NOTES_FIRST 4

void watch_sink_init(struct watch_sink *s,
                     void (*deliver)(struct watch_sink *s, struct watch_batch *first))
{
    s->deliver = deliver;
    s->first = s->last = NULL;
    list_init(&s->link);
}

void watch_stream_init(struct watch_stream *s, struct watch_sink *sink)
{
    s->sink = sink;
    atomic_init(&s->queued_bytes, 0);
    atomic_init(&s->queued_notes, 0);
    list_init(&s->watchers);
    s->live_n = s->future_n = 0;
    s->batch = NULL;
    list_init(&s->link);
    s->base_bytes = s->base_notes = 0;
}

static size_t batch_size(uint32_t cap)
{
    return sizeof(struct watch_batch) + cap * sizeof(struct watch_note);
}

static struct watch_batch *open_batch(struct watch_hub *h, struct watch_stream *s)
{
    if (s->batch != NULL)
        return s->batch;
    if (list_empty(&h->open)) {
        h->base_bytes = atomic_load_explicit(&h->queued_bytes, memory_order_relaxed);
        h->open_bytes = 0;
    }
    s->base_bytes = atomic_load_explicit(&s->queued_bytes, memory_order_relaxed);
    s->base_notes = atomic_load_explicit(&s->queued_notes, memory_order_relaxed);
    s->batch = xmem_alloc(batch_size(BATCH_NOTES_FIRST));
    *s->batch = (struct watch_batch){.stream = s, .hub = h, .cap = BATCH_NOTES_FIRST};
    list_push(&h->open, &s->link);
    return s->batch;
}

bool watch__room(struct watch_hub *h, struct watch_stream *s)
{
    const struct watch_batch *b = open_batch(h, s);

    return s->base_notes + b->n < h->cfg.stream_notes_max + 2 * s->live_n &&
           s->base_bytes + b->bytes < h->cfg.stream_bytes_max &&
           h->base_bytes + h->open_bytes < h->cfg.hub_bytes_max;
}

void watch__note(struct watch_hub *h, struct watch_stream *s, const struct watch_note *n)
{
    struct watch_batch *b = open_batch(h, s);
    struct watch_note *to;
    size_t bytes = sizeof *n;

    ASSERT((n->kind == WATCH_EVENTS) == (n->events != NULL));
    ASSERT((n->kind == WATCH_EVENTS) == (n->events_n > 0));
    ASSERT(n->watcher == NULL || n->watcher->stream == s);
    if (b->n == b->cap) {
        b = xmem_realloc(b, batch_size(b->cap * 2));
        b->cap *= 2;
        s->batch = b;
    }
    to = &b->notes[b->n++];
    *to = *n;
    to->owns_events = n->events != NULL && (b->n == 1 || to[-1].events != n->events);
    if (to->owns_events) {
        payload_ref(n->events);
        bytes += n->events->bytes;
    }
    b->bytes += bytes;
    h->open_bytes += bytes;
}

static void to_sink(struct watch_sink *k, struct watch_batch *b, struct list *sinks)
{
    if (k->first == NULL) {
        k->first = b;
        list_push(sinks, &k->link);
    } else {
        k->last->next = b;
    }
    k->last = b;
}

void watch_flush(struct watch_hub *h)
{
    struct list sinks, *at;

    list_init(&sinks);
    while ((at = list_pop(&h->open)) != NULL) {
        struct watch_stream *s = CONTAINER_OF(at, struct watch_stream, link);
        struct watch_batch *b = s->batch;

        ASSERT(b->stream == s);
        ASSERT(b->next == NULL);
        s->batch = NULL;
        if (b->n == 0) { /* opened only to look for room */
            mem_free(b);
            continue;
        }
        atomic_fetch_add_explicit(&s->queued_bytes, b->bytes, memory_order_relaxed);
        atomic_fetch_add_explicit(&s->queued_notes, b->n, memory_order_relaxed);
        atomic_fetch_add_explicit(&h->queued_bytes, b->bytes, memory_order_relaxed);
        to_sink(s->sink, b, &sinks);
    }
    /* From here on streams may go away: their threads have the batches. */
    while ((at = list_pop(&sinks)) != NULL) {
        struct watch_sink *k = CONTAINER_OF(at, struct watch_sink, link);
        struct watch_batch *first = k->first;

        k->first = k->last = NULL;
        k->deliver(k, first);
    }
}

void watch_batch_free(struct watch_batch *b)
{
    uint64_t bytes, notes, all;

    for (uint32_t i = 0; i < b->n; i++)
        if (b->notes[i].owns_events)
            payload_unref(b->notes[i].events);
    bytes = atomic_fetch_sub_explicit(&b->stream->queued_bytes, b->bytes, memory_order_relaxed);
    notes = atomic_fetch_sub_explicit(&b->stream->queued_notes, b->n, memory_order_relaxed);
    all = atomic_fetch_sub_explicit(&b->hub->queued_bytes, b->bytes, memory_order_relaxed);
    ASSERT(bytes >= b->bytes);
    ASSERT(notes >= b->n);
    ASSERT(all >= b->bytes);
    mem_free(b);
}
