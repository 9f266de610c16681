/* What a stream asks of the hub: requests to the apply thread, in the order in which this thread
 * makes them, and watches whose memory is kept while one is under way. */
#include "base/alloc.h"
#include "edge/server/otel.h"
#include "edge/server/watch_int.h"

/* `w`: of a join or leave, else NULL. */
static void submit(struct wstream *s, struct wwatch *w, struct req *r, enum node_request_kind kind,
                   void (*then)(struct req *r))
{
    *r = (struct req){.node = {.kind = kind,
                               .sink = &s->io->sink,
                               .watcher = w == NULL ? NULL : &w->hub,
                               .stream = &s->hub,
                               .watchers_n = s->watches_n - s->leaving_n},
                      .io = s->io,
                      .then = then,
                      .user = s};
    s->requests++;
    req_submit(r);
}

/* ---- of one watch ---- */

/* Once no request of it is with the node. */
static void watch_free(struct wwatch *w)
{
    if (w->busy || w->leaving)
        return;
    ASSERT(list_empty(&w->catching)); /* I4 */
    ASSERT(list_empty(&w->order.link));
    mem_free(w->leave);
    mem_free(w);
}

/* A join came back: what waited for it goes on. */
static void watch_returned(struct req *r)
{
    struct wwatch *w = CONTAINER_OF(r, struct wwatch, req);
    struct wstream *s = w->stream;
    enum api_error err = r->node.result.err;

    s->requests--;
    w->busy = false;
    if (w->dead) {
        watch_free(w);
    } else if (err != API_OK && !s->closing) {
        /* The node stops: it did not hear of the watch. */
        wstream_fail(s, (int) api_error_code(err), api_error_text(err));
        return;
    } else if (!s->closing && w->join_again) {
        wwatch_join(w);
    }
    if (s->closing)
        wstream_settle(s);
}

void wwatch_join(struct wwatch *w)
{
    w->state = WWATCH_JOINING;
    w->join_again = w->busy;
    if (w->busy)
        return;
    w->busy = true;
    w->stream->joined = true;
    submit(w->stream, w, &w->req, NODE_REQ_WATCH_JOIN, watch_returned);
}

static void leave_returned(struct req *r)
{
    struct wwatch *w = r->user;
    struct wstream *s = w->stream;

    s->requests--;
    w->leaving = false;
    if (w->dead)
        watch_free(w);
    if (s->closing)
        wstream_settle(s);
}

/* A join that is under way is seen by the hub first: requests of one thread keep their order. */
void wwatch_leave(struct wwatch *w)
{
    struct wstream *s = w->stream;

    ASSERT(w->leave == NULL);
    w->leave = mem_calloc(1, sizeof *w->leave);
    if (w->leave == NULL) {
        wstream_fail(s, GRPC_RESOURCE_EXHAUSTED, "etcdserver: out of memory");
        return;
    }
    w->state = WWATCH_LEAVING;
    w->leaving = true;
    s->leaving_n++;
    submit(s, w, w->leave, NODE_REQ_WATCH_LEAVE, leave_returned);
    w->leave->user = w;
}

void wwatch_end_span(struct wwatch *w)
{
    otel_watch_end(w->stream->io, w->span);
    w->span = NULL;
}

void wwatch_forget_name(struct wwatch *w)
{
    if (w->named)
        map64_del(&w->stream->by_id, (uint64_t) w->id);
    w->named = false;
}

void wwatch_drop(struct wwatch *w)
{
    struct wstream *s = w->stream;

    wwatch_forget_name(w);
    wwatch_end_span(w);
    wwatch_catch_stop(w);
    list_remove(&w->order.link);
    list_remove(&w->link);
    s->watches_n--;
    if (w->state == WWATCH_LEAVING)
        s->leaving_n--;
    metric_add(s->io->server->m.watchers, -1);
    w->dead = true;
    watch_free(w);
}

/* ---- of a stream as a whole ---- */

static void stream_returned(struct req *r)
{
    struct wstream *s = r->user;

    s->requests--;
    wstream_settle(s);
}

static void progress_returned(struct req *r)
{
    struct wstream *s = r->user;

    s->progress_busy = false;
    s->requests--;
    if (s->closing)
        wstream_settle(s);
    else
        wstream_progress(s);
}

void wstream_progress(struct wstream *s)
{
    if (s->progress_busy || s->progress_wanted == 0 || s->watches_n == s->leaving_n) {
        s->progress_wanted = s->progress_busy ? s->progress_wanted : 0;
        return;
    }
    s->progress_wanted--;
    s->progress_busy = true;
    s->joined = true;
    submit(s, NULL, &s->progress, NODE_REQ_WATCH_PROGRESS, progress_returned);
}

static void each_returned(struct req *r)
{
    struct wstream *s = r->user;

    s->each_busy = false;
    stream_returned(r);
}

void wstream_progress_each(struct wstream *s)
{
    if (s->each_busy || s->watches_n == 0)
        return;
    s->each_busy = true;
    submit(s, NULL, &s->each, NODE_REQ_WATCH_PROGRESS_EACH, each_returned);
}

void wstream_close_hub(struct wstream *s)
{
    ASSERT(!s->close_sent);
    s->close_sent = true;
    submit(s, NULL, &s->close, NODE_REQ_WATCH_STREAM_CLOSE, stream_returned);
}
