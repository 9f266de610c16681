/* What a client asks on a stream: watches created and canceled, progress. */
#include "base/alloc.h"
#include "edge/server/otel.h"
#include "edge/server/permit.h"
#include "edge/server/watch_int.h"

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
        wstream_progress_begin(s);
    wwatch_join(w);
}

/* ---- cancel ---- */

static void cancel(struct wstream *s, const Etcdserverpb__WatchCancelRequest *q)
{
    struct wwatch *w = map64_get(&s->by_id, (uint64_t) q->watch_id);

    if (w == NULL)
        return;            /* unknown ids are passed over in silence */
    wwatch_forget_name(w); /* the id may be used again at once */
    wwatch_end_span(w);
    ASSERT(w->state != WWATCH_LEAVING);
    if (w->state == WWATCH_JOINING && w->join_again) {
        w->join_again = false; /* the hub has not been asked: the watch is still ours */
        w->state = WWATCH_CATCHING;
    }
    if (w->state != WWATCH_CATCHING)
        wwatch_leave(w);
    else if (wstream_send_canceled(s, w->id, io_revision(s->io), 0))
        wwatch_drop(w);
}

/* ---- all together ---- */

void wstream_request(struct wstream *s, const Etcdserverpb__WatchRequest *q)
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
        wstream_progress(s);
        break;
    default:
        LOG_INFO(s->io->server->log, "not supported request type");
    }
}
