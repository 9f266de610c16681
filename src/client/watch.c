/* watch.c -- watchers that outlive connections, as their user sees them.  States: watch_int.h. */
#include "client/watch_int.h"

/* ---- watches ---- */

/* The one place where a watch changes its state. */
void watch__become(struct ketch_watch *w, enum watch_state state, int64_t id)
{
    if (w->state == WATCH_RUNNING && map64_get(&w->stream->running, (uint64_t) w->id) == w)
        (void) map64_del(&w->stream->running, (uint64_t) w->id);
    list_remove(&w->creating);
    w->state = state;
    w->id = id;
    if (state == WATCH_CREATING)
        list_push(&w->stream->creating, &w->creating);
    if (state == WATCH_RUNNING && !map64_put(&w->stream->running, (uint64_t) id, w))
        mem_exhausted("watches of a client");
}

void watch__free(struct ketch_watch *w)
{
    watch__become(w, WATCH_NEW, 0);
    list_remove(&w->link);
    mem_free(w->request.key.data);
    mem_free(w->request.range_end.data);
    mem_free(w->request.filters);
    mem_free(w);
}

void watch__sweep(struct watch_stream *s)
{
    if (s->busy > 0 || !s->some_dead)
        return;
    s->some_dead = false;
    LIST_EACH_SAFE (it, &s->watches) {
        struct ketch_watch *w = CONTAINER_OF(it, struct ketch_watch, link);

        if (w->dead && w->state != WATCH_CREATING)
            watch__free(w);
    }
}

void watch__die(struct ketch_watch *w)
{
    w->dead = true;
    w->stream->some_dead = true;
}

/* ---- requests ---- */

static void send_request(struct watch_stream *s, const Etcdserverpb__WatchRequest *r)
{
    struct buf b;
    struct net_piece piece;

    if (s->rpc == NULL)
        return;
    buf_init(&b, s->client->options.request_bytes_max);
    if (wire_encode(&r->base, &b)) {
        piece = net_piece_copied(b.p, b.len);
        /* A stream that is over says so through on_end; one that has no memory is as good as over.
         */
        if (rpc_send(s->rpc, &piece, 1) == ERR_NOMEM)
            rpc_cancel(s->rpc);
    }
    buf_done(&b);
}

void watch__send_create(struct ketch_watch *w)
{
    Etcdserverpb__WatchRequest r = ETCDSERVERPB__WATCH_REQUEST__INIT;

    w->request.start_revision = w->next_revision;
    watch__become(w, WATCH_CREATING, 0);
    r.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    r.create_request = &w->request;
    send_request(w->stream, &r);
}

void watch__send_cancel(struct ketch_watch *w)
{
    Etcdserverpb__WatchRequest r = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCancelRequest cancel = ETCDSERVERPB__WATCH_CANCEL_REQUEST__INIT;

    cancel.watch_id = w->id;
    r.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST;
    r.cancel_request = &cancel;
    send_request(w->stream, &r);
}

/* ---- public ---- */

static ProtobufCBinaryData copy_of(ProtobufCBinaryData b)
{
    return (ProtobufCBinaryData){b.len, b.len == 0 ? NULL : xmem_dup(b.data, b.len)};
}

struct ketch_watch *ketch_watch(struct ketch_client *c, const Etcdserverpb__WatchCreateRequest *r,
                                const struct ketch_watch_options *o, ketch_watch_fn *fn, void *user)
{
    static const struct ketch_watch_options plain = {0};
    struct watch_stream *s = watch__stream_of(c, o != NULL ? o : &plain);
    struct ketch_watch *w = s == NULL ? NULL : mem_calloc(1, sizeof(*w));

    if (w == NULL)
        return NULL;
    w->stream = s;
    w->request = *r;
    w->request.key = copy_of(r->key);
    w->request.range_end = copy_of(r->range_end);
    if (r->n_filters > 0)
        w->request.filters = xmem_dup(r->filters, r->n_filters * sizeof(*r->filters));
    w->request.watch_id = 0; /* the server chooses: ours would collide after a reconnection */
    w->next_revision = r->start_revision;
    w->fn = fn;
    w->on_created = o != NULL ? o->on_created : NULL;
    w->user = user;
    list_init(&w->link);
    list_init(&w->creating);
    list_push(&s->watches, &w->link);
    if (s->rpc != NULL)
        watch__send_create(w);
    else
        watch__stream_connect(s);
    return w;
}

void ketch_watch_cancel(struct ketch_watch *w)
{
    ASSERT(!w->dead);
    watch__die(w);
    if (w->state == WATCH_RUNNING)
        watch__send_cancel(w);
    watch__sweep(w->stream);
}

void ketch_watch_progress(struct ketch_client *c)
{
    Etcdserverpb__WatchRequest r = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchProgressRequest progress = ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;

    r.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
    r.progress_request = &progress;
    LIST_EACH (it, &c->watch_streams)
        send_request(CONTAINER_OF(it, struct watch_stream, link), &r);
}
