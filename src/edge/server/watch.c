/* The Watch service: streams, and what clients ask on them. */
#include "base/alloc.h"
#include "edge/server/otel.h"
#include "edge/server/permit.h"
#include "edge/server/watch_int.h"

/* ---- requests to the hub ---- */

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
static void leave(struct wwatch *w)
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

static void end_span(struct wwatch *w)
{
    otel_watch_end(w->stream->io, w->span);
    w->span = NULL;
}

static void forget_name(struct wwatch *w)
{
    if (w->named)
        map64_del(&w->stream->by_id, (uint64_t) w->id);
    w->named = false;
}

void wwatch_drop(struct wwatch *w)
{
    struct wstream *s = w->stream;

    forget_name(w);
    end_span(w);
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

/* ---- the end of a stream ---- */

static void stream_returned(struct req *r)
{
    struct wstream *s = r->user;

    s->requests--;
    wstream_settle(s);
}

static void stream_free(struct wstream *s)
{
    ASSERT(!loop_timer_active(&s->timer)); /* I4 */
    ASSERT(list_empty(&s->guard.link));
    ASSERT(s->requests == 0); /* the task at its end is one of them */
    while (!list_empty(&s->watches)) {
        struct wwatch *w = CONTAINER_OF(s->watches.next, struct wwatch, link);

        ASSERT(!w->busy);
        ASSERT(!w->leaving);
        wwatch_drop(w);
    }
    while (!list_empty(&s->orders))
        mem_free(CONTAINER_OF(list_pop(&s->orders), struct worder, link));
    map64_done(&s->by_id);
    metric_add(s->io->server->m.watch_streams, -1);
    s->io->outstanding--;
    mem_free(s);
}

void wstream_settle(struct wstream *s)
{
    if (!s->closing || s->requests > 0)
        return;
    if (s->joined && !s->close_sent) {
        s->close_sent = true;
        submit(s, NULL, &s->close, NODE_REQ_WATCH_STREAM_CLOSE, stream_returned);
        return;
    }
    if (s->first == NULL && (s->closed || !s->joined))
        stream_free(s);
}

static void stop_watches(struct wstream *s)
{
    LIST_EACH (l, &s->watches) {
        struct wwatch *w = CONTAINER_OF(l, struct wwatch, link);

        wwatch_catch_stop(w);
        end_span(w);
    }
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
    stop_watches(s);
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

/* ---- what is owed to creations ---- */

/* Refusals wait for the answers of the creations before them (W3). */
void wwatch_owe(struct wstream *s)
{
    while (!list_empty(&s->orders) && !s->closing) {
        struct worder *o = CONTAINER_OF(s->orders.next, struct worder, link);
        const char *reason = o->reason;

        if (o->watch != NULL)
            return;
        list_remove(&o->link);
        mem_free(o);
        wstream_send_refused(s, reason);
    }
}

static void refuse(struct wstream *s, const char *reason)
{
    struct worder *o;

    if (list_empty(&s->orders)) {
        wstream_send_refused(s, reason);
        return;
    }
    o = mem_calloc(1, sizeof *o);
    if (o == NULL) {
        wstream_fail(s, GRPC_RESOURCE_EXHAUSTED, "etcdserver: out of memory");
        return;
    }
    o->reason = reason;
    list_push(&s->orders, &o->link);
}

/* ---- create ---- */

static int64_t free_id(struct wstream *s)
{
    while (map64_get(&s->by_id, (uint64_t) s->next_id) != NULL)
        s->next_id++;
    return s->next_id++;
}

static struct wwatch *watch_new(struct wstream *s, const Etcdserverpb__WatchCreateRequest *q)
{
    struct wwatch *w = mem_calloc(1, sizeof *w + q->key.len + q->range_end.len);

    if (w == NULL)
        return NULL;
    w->stream = s;
    w->fragment = q->fragment;
    w->order.watch = w;
    list_init(&w->order.link);
    list_init(&w->link);
    list_init(&w->catching);
    if (q->key.len != 0)
        memcpy(w->keys, q->key.data, q->key.len);
    if (q->range_end.len != 0)
        memcpy(w->keys + q->key.len, q->range_end.data, q->range_end.len);
    return w;
}

static bool watch_init(struct wwatch *w, struct wstream *s,
                       const Etcdserverpb__WatchCreateRequest *q)
{
    struct watch_options o = {.key = bytes_of(w->keys, q->key.len),
                              .range_end = bytes_of(w->keys + q->key.len, q->range_end.len),
                              .prev_kv = q->prev_kv,
                              .progress_notify = q->progress_notify,
                              .start_rev = q->start_revision};

    for (size_t i = 0; i < q->n_filters; i++) {
        if (q->filters[i] == ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT)
            o.filters |= WATCH_NOPUT;
        else if (q->filters[i] == ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE)
            o.filters |= WATCH_NODELETE;
    }
    return watcher_init(&w->hub, &s->hub, &o);
}

static void progress_begin(struct wstream *s)
{
    if (loop_timer_active(&s->timer))
        return;
    if (loop_timer_start(s->io->loop, &s->timer, s->interval_ms) != 0)
        LOG_WARN(s->io->server->log, "cannot send progress to a watch stream; out of memory");
}

static bool watch_register(struct wstream *s, struct wwatch *w, int64_t wanted_id)
{
    w->id = wanted_id != 0 ? wanted_id : free_id(s);
    if (!map64_put(&s->by_id, (uint64_t) w->id, w))
        return false;
    w->named = true;
    list_push(&s->watches, &w->link);
    list_push(&s->orders, &w->order.link);
    s->watches_n++;
    metric_inc(s->io->server->m.watchers);
    return true;
}

/* Checked once, with the range as it was sent (CVE-2026-73499); NULL: it may be watched. */
static const char *watch_denied(struct wstream *s, const Etcdserverpb__WatchCreateRequest *q)
{
    /* No key: the smallest one. */
    struct bytes key = q->key.len == 0 ? bytes_of("", 1) : wire_bytes(q->key);
    enum api_error err = permit_range(s->call, &s->io->watch->scratch, AUTH_READ, key,
                                      wire_bytes(q->range_end));

    /* etcd gives the error as its client library prints it. */
    switch (err) {
    case API_OK:
        return NULL;
    case API_INVALID_AUTH_TOKEN:
        return "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token";
    case API_AUTH_OLD_REVISION:
        return "rpc error: code = InvalidArgument desc = etcdserver: revision of auth store is old";
    case API_USER_EMPTY:
        return "rpc error: code = InvalidArgument desc = etcdserver: user name is empty";
    default:
        return "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
    }
}

static void create(struct wstream *s, const Etcdserverpb__WatchCreateRequest *q)
{
    const char *denied;
    struct wwatch *w;

    if (q->start_revision < 0) {
        refuse(s, api_error_text(API_COMPACTED));
        return;
    }
    denied = watch_denied(s, q);
    if (denied != NULL) {
        refuse(s, denied);
        return;
    }
    if (s->watches_n >= WATCH_PER_STREAM_MAX) {
        refuse(s, "etcdserver: too many watchers on the stream");
        return;
    }
    w = watch_new(s, q);
    if (w == NULL) {
        wstream_fail(s, GRPC_RESOURCE_EXHAUSTED, "etcdserver: out of memory");
        return;
    }
    if (!watch_init(w, s, q)) {
        mem_free(w);
        refuse(s, "mvcc: watcher range is empty");
        return;
    }
    if (q->watch_id != 0 && map64_get(&s->by_id, (uint64_t) q->watch_id) != NULL) {
        mem_free(w);
        refuse(s, "mvcc: duplicate watch ID provided on the WatchStream");
        return;
    }
    if (!watch_register(s, w, q->watch_id)) {
        mem_free(w);
        wstream_fail(s, GRPC_RESOURCE_EXHAUSTED, "etcdserver: out of memory");
        return;
    }
    w->span = otel_watch(s->call, q);
    if (q->progress_notify)
        progress_begin(s);
    wwatch_join(w);
}

/* ---- cancel ---- */

static void cancel(struct wstream *s, const Etcdserverpb__WatchCancelRequest *q)
{
    struct wwatch *w = map64_get(&s->by_id, (uint64_t) q->watch_id);

    if (w == NULL)
        return;     /* unknown ids are passed over in silence */
    forget_name(w); /* the id may be used again at once */
    end_span(w);
    ASSERT(w->state != WWATCH_LEAVING);
    if (w->state == WWATCH_JOINING && w->join_again) {
        w->join_again = false; /* the hub has not been asked: the watch is still ours */
        w->state = WWATCH_CATCHING;
    }
    if (w->state != WWATCH_CATCHING)
        leave(w);
    else if (wstream_send_canceled(s, w->id, io_revision(s->io), 0))
        wwatch_drop(w);
}

/* ---- progress ---- */

static void progress_next(struct wstream *s);

static void progress_returned(struct req *r)
{
    struct wstream *s = r->user;

    s->progress_busy = false;
    s->requests--;
    if (s->closing)
        wstream_settle(s);
    else
        progress_next(s);
}

static void progress_next(struct wstream *s)
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

static void tick(struct loop_timer *t)
{
    struct wstream *s = CONTAINER_OF(t, struct wstream, timer);

    LIST_EACH (l, &s->watches) {
        struct wwatch *w = CONTAINER_OF(l, struct wwatch, link);

        w->skip_progress = w->had_events;
        w->had_events = false;
    }
    if (!s->each_busy && s->watches_n > 0) {
        s->each_busy = true;
        submit(s, NULL, &s->each, NODE_REQ_WATCH_PROGRESS_EACH, each_returned);
    }
    progress_begin(s);
}

/* ---- the stream ---- */

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
    map64_init(&s->by_id);
    list_init(&s->watches);
    list_init(&s->orders);
    list_init(&s->stalled);
    watch_stream_init(&s->hub, &io->watches.sink);
    loop_timer_init(&s->timer, tick);
    s->settle.run = settle_task;
    s->interval_ms = interval_ms(io->server);
    io->outstanding++;
    metric_inc(io->server->m.watch_streams);
    call_set_user(c, s);
    call_on_cancel(c, canceled);
    call_on_writable(c, WATCH_QUEUED_LOW, writable);
    leader_guard_begin(c, &s->guard, leaderless);
    call_send_headers(c);
}

static void request(struct wstream *s, const Etcdserverpb__WatchRequest *q)
{
    switch (q->request_union_case) {
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST:
        create(s, q->create_request);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST:
        cancel(s, q->cancel_request);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST:
        s->progress_wanted = MIN(s->progress_wanted + 1, (size_t) WATCH_PROGRESS_WANTED_MAX);
        progress_next(s);
        break;
    default:
        LOG_INFO(s->io->server->log, "not supported request type");
    }
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
        request(s, q);
    }
    arena_reset(scratch);
}

int watch_io_init(struct io *io, struct err *e)
{
    struct watch_io *wio = mem_calloc(1, sizeof *wio);

    if (wio == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    wio->io = io;
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
