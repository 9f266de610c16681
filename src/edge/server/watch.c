/* The Watch service: the life of a stream. */
#include "base/alloc.h"
#include "edge/server/watch_int.h"

/* The time is looked at after so many watches of a stream that ends. */
#define WATCHES_FOR_A_LOOK 64

/* ---- the end of a stream ---- */

static void stream_free(struct wstream *s)
{
    ASSERT(!loop_timer_active(&s->timer)); /* I4 */
    ASSERT(list_empty(&s->guard.link));
    ASSERT(list_empty(&s->freeing.link));
    ASSERT(list_empty(&s->watches));
    ASSERT(s->requests == 0); /* the task at its end is one of them */
    while (!list_empty(&s->orders))
        mem_free(CONTAINER_OF(list_pop(&s->orders), struct worder, link));
    map64_done(&s->by_id);
    metric_add(s->io->server->m.watch_streams, -1);
    s->io->outstanding--;
    mem_free(s);
}

/* A stream has up to WATCH_PER_STREAM_MAX watches: they are freed in slices, the stream last. */
static void free_some(struct loop_work *work, mono_ns until)
{
    struct wstream *s = CONTAINER_OF(work, struct wstream, freeing);
    struct loop *l = s->io->loop;

    for (unsigned n = 1; !list_empty(&s->watches); n++) {
        struct wwatch *w = CONTAINER_OF(s->watches.next, struct wwatch, link);

        ASSERT(!w->busy);
        ASSERT(!w->leaving);
        wwatch_drop(w);
        if (n % WATCHES_FOR_A_LOOK == 0 && loop_work_over(l, until)) {
            loop_work_add(l, work);
            return;
        }
    }
    stream_free(s);
}

void wstream_settle(struct wstream *s)
{
    if (!s->closing || s->requests > 0)
        return;
    if (s->joined && !s->close_sent) {
        wstream_close_hub(s);
        return;
    }
    if (s->first == NULL && (s->closed || !s->joined))
        loop_work_add(s->io->loop, &s->freeing);
}

/* The stream's memory stays until the hub has let go of it, and at least until a task of the loop
 * has run, so that whoever is at work on the stream in this turn may finish. */
void wstream_fail(struct wstream *s, int code, const char *text)
{
    struct call *c = s->call;

    if (s->closing)
        return;
    s->closing = true;
    s->call = NULL;
    loop_timer_stop(s->io->loop, &s->timer);
    leader_guard_end(&s->guard);
    wstream_drop_rest(s);
    call_on_writable(c, 0, NULL);
    call_set_user(c, NULL);
    call_finish(c, code, text);
    s->requests++;
    loop_post(s->io->loop, &s->settle);
}

static void settle_task(struct loop_task *t)
{
    struct wstream *s = CONTAINER_OF(t, struct wstream, settle);

    s->requests--; /* the task itself */
    wstream_pump(s);
}

static void canceled(struct call *c, enum call_cancel_reason why)
{
    struct wstream *s = call_user(c);

    (void) why;
    if (s != NULL)
        wstream_fail(s, (int) api_error_code(API_WATCH_CANCELED),
                     api_error_text(API_WATCH_CANCELED));
}

static void leaderless(struct leader_guard *g)
{
    struct wstream *s = CONTAINER_OF(g, struct wstream, guard);

    wstream_fail(s, (int) api_error_code(API_NO_LEADER), api_error_text(API_NO_LEADER));
}

static void writable(struct call *c)
{
    struct wstream *s = call_user(c);

    if (s == NULL || !s->blocked)
        return;
    s->blocked = false;
    if (!wstream_send_rest(s))
        return;
    wstream_unstall(s);
    wstream_pump(s);
}

/* ---- progress now and then ---- */

void wstream_progress_begin(struct wstream *s)
{
    if (loop_timer_active(&s->timer))
        return;
    if (loop_timer_start(s->io->loop, &s->timer, s->interval_ms) != 0)
        LOG_WARN(s->io->server->log, "cannot send progress to a watch stream; out of memory");
}

static void tick(struct loop_timer *t)
{
    struct wstream *s = CONTAINER_OF(t, struct wstream, timer);

    LIST_EACH (l, &s->watches) {
        struct wwatch *w = CONTAINER_OF(l, struct wwatch, link);

        w->skip_progress = w->had_events;
        w->had_events = false;
    }
    wstream_progress_each(s);
    wstream_progress_begin(s);
}

/* ---- the beginning, and what comes ---- */

/* etcd: the interval, and up to a tenth of it by chance, chosen once per stream. */
static int64_t interval_ms(struct server *s)
{
    int64_t ms = s->config->watch_progress_notify_interval / 1000000;

    return ms + (int64_t) random_below(s->o.random, (uint64_t) ms / 10 + 1);
}

static void open_stream(struct call *c)
{
    struct io *io = call_io(c);
    struct wstream *s = mem_calloc(1, sizeof *s);

    if (s == NULL) {
        reply_no_memory(c);
        return;
    }
    s->io = io;
    s->call = c;
    map64_init_secret(&s->by_id, io->watch->secret);
    list_init(&s->watches);
    list_init(&s->orders);
    list_init(&s->stalled);
    watch_stream_init(&s->hub, &io->watches.sink);
    loop_timer_init(&s->timer, tick);
    s->settle.run = settle_task;
    loop_work_init(&s->freeing, free_some);
    s->interval_ms = interval_ms(io->server);
    io->outstanding++;
    metric_inc(io->server->m.watch_streams);
    call_set_user(c, s);
    call_on_cancel(c, canceled);
    call_on_writable(c, WATCH_QUEUED_LOW, writable);
    leader_guard_begin(c, &s->guard, leaderless);
    call_send_headers(c);
}

static void message(struct call *c, struct bytes bytes)
{
    struct wstream *s = call_user(c);
    Etcdserverpb__WatchRequest *q;
    struct arena *scratch;
    struct node_status st;
    struct err e = ERR_INIT;

    if (s == NULL)
        return;
    count_received(c, METHOD_WATCH);
    scratch = &s->io->watch->scratch;
    if (WIRE_DECODE(etcdserverpb__watch_request, bytes, scratch, &q, &e) != 0) {
        metric_inc(
            metric_with(s->io->server->m.stream_failures, METRIC_LABELS("receive", "watch")));
        wstream_fail(s, GRPC_INTERNAL, undecodable_text(c, &e));
    } else {
        node_status(s->io->server->node, &st);
        s->io->watch->term = st.term;
        wstream_request(s, q);
    }
    arena_reset(scratch);
}

int watch_io_init(struct io *io, struct err *e)
{
    struct watch_io *wio = mem_calloc(1, sizeof *wio);

    if (wio == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    wio->io = io;
    wio->secret[0] = random_u64(io->server->o.random);
    wio->secret[1] = random_u64(io->server->o.random);
    arena_init(&wio->scratch, WATCH_SCRATCH_BYTES_MAX);
    watch_catchup_init(wio);
    io->watch = wio;
    return 0;
}

void watch_io_done(struct io *io)
{
    if (io->watch == NULL)
        return;
    ASSERT(list_empty(&io->watch->catching));
    ASSERT(!io->watch->posted);
    loop_timer_stop(io->loop, &io->watch->retry);
    arena_done(&io->watch->scratch);
    mem_free(io->watch);
    io->watch = NULL;
}

const struct net_method watch_methods[] = {
    {.kind = NET_BIDI, .open = open_stream, .message = message, .tag = METHOD_WATCH},
};
const size_t watch_methods_n = ARRAY_LEN(watch_methods);
