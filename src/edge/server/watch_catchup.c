/* Watches that are behind: history is read for many of them by one scan, a bounded piece at a time,
 * between the other work of the I/O thread. */
#include "base/alloc.h"
#include "edge/server/watch_int.h"

static void schedule(struct watch_io *wio)
{
    if (wio->posted || list_empty(&wio->catching))
        return;
    wio->posted = true;
    loop_post(wio->io->loop, &wio->task);
}

void wwatch_catch_up(struct wwatch *w)
{
    struct watch_io *wio = w->stream->io->watch;

    ASSERT(w->state == WWATCH_CATCHING);
    ASSERT(list_empty(&w->catching));
    metric_inc(w->stream->io->server->m.slow_watchers);
    list_push(&wio->catching, &w->catching);
    schedule(wio);
}

void wwatch_catch_stop(struct wwatch *w)
{
    if (list_empty(&w->catching))
        return;
    list_remove(&w->catching);
    metric_add(w->stream->io->server->m.slow_watchers, -1);
}

void wstream_unstall(struct wstream *s)
{
    list_splice(&s->io->watch->catching, &s->stalled);
    schedule(s->io->watch);
}

/* Until its client has read. */
static void stall(struct wwatch *w)
{
    w->stream->blocked = true;
    list_remove(&w->catching);
    list_push(&w->stream->stalled, &w->catching);
}

/* The watches of the next scan, among the first WATCH_LOOKED_MAX.  Those whose client does not read
 * wait aside, those whose stream has ended leave. */
static size_t choose(struct watch_io *wio, struct history_want *wants)
{
    size_t n = 0, looked = 0;

    LIST_EACH_SAFE (l, &wio->catching) {
        struct wwatch *w = CONTAINER_OF(l, struct wwatch, catching);

        if (n == WATCH_WANTS_MAX || looked++ == WATCH_LOOKED_MAX)
            break;
        if (w->stream->closing) {
            wwatch_catch_stop(w);
            continue;
        }
        if (wstream_full(w->stream)) {
            stall(w);
            continue;
        }
        ASSERT(w->hub.next_rev > 0);
        wants[n++] = (struct history_want){.watcher = &w->hub, .next_rev = w->hub.next_rev};
    }
    return n;
}

/* What a scan found for one watch. */
static void deliver(struct watch_io *wio, struct history_want *want, const struct mvcc_view *v)
{
    struct wwatch *w = CONTAINER_OF((struct watcher *) (uintptr_t) want->watcher, struct wwatch,
                                    hub);
    bool sent = true;

    w->hub.next_rev = want->next_rev;
    if (want->events != NULL) {
        sent = wwatch_send_events(w, want->events, want->events_n, mvcc_view_revision(v));
        payload_unref(want->events);
        want->events = NULL;
    }
    if (!sent)
        return; /* the stream has ended, and this watch with it */
    if (want->end == HISTORY_MORE) {
        list_remove(&w->catching);
        list_push(&wio->catching, &w->catching);
        return;
    }
    wwatch_catch_stop(w);
    if (want->end == HISTORY_DONE)
        wwatch_join(w);
    else if (wstream_send_canceled(w->stream, w->id, 0, mvcc_view_compact_revision(v)))
        wwatch_drop(w);
}

/* Memory was short: again in a moment. */
static void later(struct watch_io *wio)
{
    if (loop_timer_start(wio->io->loop, &wio->retry, WATCH_RETRY_MS) != 0)
        LOG_WARN(wio->io->server->log, "cannot catch up watchers; out of memory");
}

static void scan(struct watch_io *wio, struct history_want *wants, size_t n)
{
    const struct mvcc_view *v = mvcc_view_pin(wio->io->reader);
    struct err e = ERR_INIT;
    int rc = history_scan(v, wants, n, NULL, &e);

    if (rc == ERR_NOMEM) {
        mvcc_view_unpin(v);
        later(wio);
        return;
    }
    if (rc != 0)
        LOG_FATAL(wio->io->server->log, "failed to read history for watchers", F_ERR(&e));
    for (size_t i = 0; i < n; i++) {
        /* An earlier watch of the list may have ended the stream of this one. */
        struct wwatch *w = CONTAINER_OF((struct watcher *) (uintptr_t) wants[i].watcher,
                                        struct wwatch, hub);

        if (w->state == WWATCH_CATCHING && !w->stream->closing && !wstream_full(w->stream)) {
            deliver(wio, &wants[i], v);
            continue;
        }
        /* A large revision may be more for many watches of a stream than its client takes. */
        if (w->state == WWATCH_CATCHING && !w->stream->closing)
            stall(w);
        payload_unref(wants[i].events);
    }
    mvcc_view_unpin(v);
}

static void step(struct loop_task *t)
{
    struct watch_io *wio = CONTAINER_OF(t, struct watch_io, task);
    struct history_want *wants = NULL;
    size_t n = 0;

    wio->posted = false;
    if (!list_empty(&wio->catching)) {
        wants = mem_alloc(WATCH_WANTS_MAX * sizeof *wants);
        if (wants == NULL)
            later(wio);
        else
            n = choose(wio, wants);
    }
    if (n > 0)
        scan(wio, wants, n);
    if (!loop_timer_active(&wio->retry))
        schedule(wio);
    mem_free(wants);
}

static void retry(struct loop_timer *t)
{
    schedule(CONTAINER_OF(t, struct watch_io, retry));
}

void watch_catchup_init(struct watch_io *wio)
{
    list_init(&wio->catching);
    wio->task.run = step;
    loop_timer_init(&wio->retry, retry);
}
