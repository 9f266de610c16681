/* watch.c -- watchers that outlive connections.
 *
 * All watches of a client (of one kind: with and without require_leader) share one gRPC stream. The
 * server answers create requests in the order in which they came, so the oldest watch without an id
 * is the one that a "created" answer speaks of.
 *
 *                 create sent                "created", id
 *      NEW ----------------------> CREATING ----------------> RUNNING --- canceled ---> (gone)
 *       ^                              |                         |
 *       +------------------------------+-------------------------+
 *              the stream broke: again, from next_revision
 *
 * A stream that ends with Unavailable or Internal is opened again, on whichever endpoint is up; any
 * other end, and "no leader" for watches that insist on one, ends its watches.  A token that the
 * server refuses is a stream's, not a watch's: the stream is opened again with a new one.
 *
 * Callbacks may cancel any watch: a watch is only marked dead while answers are handed out, and
 * freed by the sweep that follows (invariant: nothing is freed while stream->busy).
 */
#include "client/client_int.h"

#define WATCH_PATH "/etcdserverpb.Watch/Watch"
#define WATCH_ID_ALL (-1) /* in progress answers: every watch of the stream */

enum watch_state { WATCH_NEW, WATCH_CREATING, WATCH_RUNNING };

struct ketch_watch {
    struct list link;     /* of stream->watches, in the order of creation */
    struct list creating; /* of stream->creating, while CREATING */
    struct watch_stream *stream;
    enum watch_state state;
    bool dead; /* no more callbacks; freed by the sweep */
    int64_t id;
    int64_t next_revision; /* where to go on; 0: wherever the store is */
    Etcdserverpb__WatchCreateRequest request;
    ketch_watch_fn *fn;
    void (*on_created)(void *user); /* NULL once it was called */
    void *user;
};

struct watch_stream {
    struct list link; /* of client->watch_streams */
    struct ketch_client *client;
    struct waiter waiter;
    struct login_waiter login;
    unsigned token_number; /* of the token that it was opened with */
    unsigned refusals;     /* in a row */
    bool refused;          /* its token was: it is about to end */
    struct loop_timer reopen;
    struct list watches;
    struct list creating; /* in the order in which the server was asked */
    struct map64 running; /* by id */
    struct rpc *rpc;
    bool require_leader;
    unsigned number;
    unsigned busy;
    bool some_dead; /* the sweep has work */
};

static void stream_connect(struct watch_stream *s);

/* ---- watches ---- */

/* The one place where a watch changes its state. */
static void watch_become(struct ketch_watch *w, enum watch_state state, int64_t id)
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

static void watch_free(struct ketch_watch *w)
{
    watch_become(w, WATCH_NEW, 0);
    list_remove(&w->link);
    mem_free(w->request.key.data);
    mem_free(w->request.range_end.data);
    mem_free(w->request.filters);
    mem_free(w);
}

static void sweep(struct watch_stream *s)
{
    if (s->busy > 0 || !s->some_dead)
        return;
    s->some_dead = false;
    LIST_EACH_SAFE (it, &s->watches) {
        struct ketch_watch *w = CONTAINER_OF(it, struct ketch_watch, link);

        if (w->dead && w->state != WATCH_CREATING)
            watch_free(w);
    }
}

static void watch_die(struct ketch_watch *w)
{
    w->dead = true;
    w->stream->some_dead = true;
}

static void deliver(struct ketch_watch *w, const struct ketch_watch_event *ev)
{
    if (w->dead)
        return;
    if (ev->canceled)
        watch_die(w);
    w->fn(ev, w->user);
}

/* Ends every watch of the stream with these words. */
static void fail_all(struct watch_stream *s, const char *text)
{
    struct ketch_watch_event ev = {.canceled = true, .error = text};

    s->busy++;
    LIST_EACH (it, &s->watches) {
        struct ketch_watch *w = CONTAINER_OF(it, struct ketch_watch, link);

        watch_become(w, WATCH_NEW, 0);
        deliver(w, &ev);
    }
    s->busy--;
    sweep(s);
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

static void send_create(struct ketch_watch *w)
{
    Etcdserverpb__WatchRequest r = ETCDSERVERPB__WATCH_REQUEST__INIT;

    w->request.start_revision = w->next_revision;
    watch_become(w, WATCH_CREATING, 0);
    r.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    r.create_request = &w->request;
    send_request(w->stream, &r);
}

static void send_cancel(struct ketch_watch *w)
{
    Etcdserverpb__WatchRequest r = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCancelRequest cancel = ETCDSERVERPB__WATCH_CANCEL_REQUEST__INIT;

    cancel.watch_id = w->id;
    r.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST;
    r.cancel_request = &cancel;
    send_request(w->stream, &r);
}

/* ---- answers ---- */

static struct ketch_watch *find_creating(struct watch_stream *s)
{
    return list_empty(&s->creating) ? NULL
                                    : CONTAINER_OF(s->creating.next, struct ketch_watch, creating);
}

/* Is it the token, and will another one help?  A watch is refused in an answer, whose words are
 * those of the whole status: "rpc error: code = X desc = etcdserver: ...". */
static bool is_refused(const struct watch_stream *s, struct bytes message)
{
    static const char before[] = " desc = ";
    const size_t n = sizeof(before) - 1;

    for (size_t i = 0; i + n < message.n; i++)
        if (memcmp(message.p + i, before, n) == 0) {
            message = bytes_of(message.p + i + n, message.n - i - n);
            break;
        }
    return login__is_stale(s->client, message) && s->refusals < CLIENT_ATTEMPTS_MAX;
}

static void on_created(struct watch_stream *s, const Etcdserverpb__WatchResponse *r)
{
    struct ketch_watch *w = find_creating(s);
    struct ketch_watch_event refused = {.canceled = true, .error = r->cancel_reason};

    if (w == NULL)
        return;
    if (r->canceled && is_refused(s, bytes_str(r->cancel_reason))) {
        s->refused = true;
        rpc_cancel(s->rpc);
        return;
    }
    s->refusals = 0;
    if (r->watch_id == -1 || (r->canceled && r->cancel_reason[0] != 0)) {
        watch_become(w, WATCH_NEW, 0);
        deliver(w, &refused);
        watch_die(w);
        return;
    }
    watch_become(w, WATCH_RUNNING, r->watch_id);
    if (w->next_revision == 0 && r->header != NULL)
        w->next_revision = r->header->revision + 1;
    if (w->dead) {
        s->some_dead = true;
        send_cancel(w);
    } else if (w->on_created != NULL) {
        void (*told)(void *user) = w->on_created;

        w->on_created = NULL;
        told(w->user);
    }
}

/* Why a running watch was canceled, as WatchResponse.Err has it. */
static const char *cancel_words(const Etcdserverpb__WatchResponse *r)
{
    if (r->compact_revision != 0)
        return api_error_text(API_COMPACTED);
    if (r->cancel_reason[0] != 0)
        return r->cancel_reason;
    return api_error_text(API_FUTURE_REV);
}

static bool is_progress(const Etcdserverpb__WatchResponse *r)
{
    return r->n_events == 0 && !r->canceled && !r->created && r->compact_revision == 0 &&
           r->header != NULL && r->header->revision != 0;
}

static void hand_out(struct ketch_watch *w, const Etcdserverpb__WatchResponse *r)
{
    struct ketch_watch_event ev = {
        .header = r->header,
        .events = r->events,
        .event_count = r->n_events,
        .compact_revision = r->compact_revision,
        .canceled = r->canceled,
        .progress = is_progress(r),
        .error = r->canceled ? cancel_words(r) : NULL,
    };

    if (r->n_events > 0 && r->events[r->n_events - 1]->kv != NULL)
        w->next_revision = r->events[r->n_events - 1]->kv->mod_revision + 1;
    else if (ev.progress)
        w->next_revision = r->header->revision + 1;
    deliver(w, &ev);
}

static void hand_out_to_all(struct watch_stream *s, const Etcdserverpb__WatchResponse *r)
{
    LIST_EACH (it, &s->watches) {
        struct ketch_watch *w = CONTAINER_OF(it, struct ketch_watch, link);

        if (w->state == WATCH_RUNNING)
            hand_out(w, r);
    }
}

static void on_message(struct rpc *rpc, struct bytes message, void *user)
{
    struct watch_stream *s = user;
    struct ketch_error e;
    struct ketch_reply *reply = client__reply(&etcdserverpb__watch_response__descriptor, message,
                                              &e);
    const Etcdserverpb__WatchResponse *r;
    struct ketch_watch *w;

    if (s->refused) {
        ketch_reply_free(reply);
        return;
    }
    if (reply == NULL) {
        fail_all(s, e.text);
        rpc_cancel(rpc);
        return;
    }
    r = (const Etcdserverpb__WatchResponse *) (const void *) reply->message;
    s->busy++;
    if (r->created) {
        on_created(s, r);
    } else if (r->watch_id == WATCH_ID_ALL && is_progress(r)) {
        hand_out_to_all(s, r);
    } else if ((w = map64_get(&s->running, (uint64_t) r->watch_id)) != NULL) {
        hand_out(w, r);
    }
    s->busy--;
    ketch_reply_free(reply);
    sweep(s);
}

/* ---- the stream ---- */

static void on_end(struct rpc *rpc, const struct rpc_result *res, void *user)
{
    struct watch_stream *s = user;
    struct ketch_error e;
    bool refused = s->refused || is_refused(s, res->message);
    bool again = res->code == GRPC_OK || client__transient(res->code) || refused;

    (void) rpc;
    s->rpc = NULL;
    s->refused = false;
    if (s->client->closing)
        return;
    client__status(&e, res->code == GRPC_OK ? GRPC_UNAVAILABLE : res->code, res->message);
    if (!again || (s->require_leader && api_error_find(res->message) == API_NO_LEADER)) {
        fail_all(s, e.text);
        return;
    }
    s->busy++;
    LIST_EACH (it, &s->watches) {
        struct ketch_watch *w = CONTAINER_OF(it, struct ketch_watch, link);

        watch_become(w, WATCH_NEW, 0);
        s->some_dead |= w->dead;
    }
    s->busy--;
    sweep(s);
    if (list_empty(&s->watches))
        return;
    if (refused) {
        s->refusals++;
        login__renew(s->client, s->token_number, &s->login);
    } else {
        client__timer(s->client, &s->reopen, CLIENT_REOPEN_MS);
    }
}

static void on_login(struct login_waiter *w, const struct ketch_error *e)
{
    struct watch_stream *s = CONTAINER_OF(w, struct watch_stream, login);

    if (e->code == KETCH_OK)
        client__timer(s->client, &s->reopen, CLIENT_REOPEN_MS);
    else
        fail_all(s, e->text);
}

static const struct rpc_stream_callbacks rpc_callbacks = {
    .on_message = on_message,
    .on_end = on_end,
};

static void on_reopen(struct loop_timer *t)
{
    stream_connect(CONTAINER_OF(t, struct watch_stream, reopen));
}

static void on_endpoint(struct waiter *waiter, struct endpoint *ep)
{
    struct watch_stream *s = CONTAINER_OF(waiter, struct watch_stream, waiter);
    struct rpc_metadata md[CLIENT_METADATA_MAX];
    struct rpc_options o = {
        .path = WATCH_PATH,
        .metadata = md,
        .metadata_n = client__metadata(s->client, s->require_leader, md),
        .user = s,
    };

    s->token_number = s->client->login.token_number;
    s->rpc = rpc_open(ep->channel, &o, &rpc_callbacks);
    if (s->rpc == NULL) {
        client__timer(s->client, &s->reopen, CLIENT_REOPEN_MS);
        return;
    }
    LIST_EACH (it, &s->watches) {
        struct ketch_watch *w = CONTAINER_OF(it, struct ketch_watch, link);

        if (!w->dead)
            send_create(w);
    }
}

static void stream_connect(struct watch_stream *s)
{
    if (s->rpc == NULL && list_empty(&s->waiter.link) && list_empty(&s->login.link) &&
        !loop_timer_active(&s->reopen))
        client__need_endpoint(s->client, &s->waiter);
}

static struct watch_stream *stream_find(const struct ketch_client *c,
                                        const struct ketch_watch_options *o)
{
    LIST_EACH (it, &c->watch_streams) {
        struct watch_stream *s = CONTAINER_OF(it, struct watch_stream, link);

        if (s->require_leader == o->require_leader && s->number == o->stream)
            return s;
    }
    return NULL;
}

static struct watch_stream *stream_of(struct ketch_client *c, const struct ketch_watch_options *o)
{
    struct watch_stream *s = stream_find(c, o);

    if (s != NULL)
        return s;
    s = mem_calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->client = c;
    s->require_leader = o->require_leader;
    s->number = o->stream;
    s->waiter.go = on_endpoint;
    s->login.go = on_login;
    list_init(&s->link);
    list_init(&s->waiter.link);
    list_init(&s->login.link);
    list_init(&s->watches);
    list_init(&s->creating);
    map64_init(&s->running);
    loop_timer_init(&s->reopen, on_reopen);
    list_push(&c->watch_streams, &s->link);
    return s;
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
    struct watch_stream *s = stream_of(c, o != NULL ? o : &plain);
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
        send_create(w);
    else
        stream_connect(s);
    return w;
}

void ketch_watch_cancel(struct ketch_watch *w)
{
    ASSERT(!w->dead);
    watch_die(w);
    if (w->state == WATCH_RUNNING)
        send_cancel(w);
    sweep(w->stream);
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

/* The rpc of a stream ends, silently, when its channel is freed: the watches go before it. */
void watch__close_all(struct ketch_client *c)
{
    LIST_EACH (it, &c->watch_streams) {
        struct watch_stream *s = CONTAINER_OF(it, struct watch_stream, link);

        ASSERT(s->busy == 0);
        list_remove(&s->waiter.link);
        list_remove(&s->login.link);
        loop_timer_stop(client_loop(c), &s->reopen);
        fail_all(s, "context canceled");
        while (!list_empty(&s->watches))
            watch_free(CONTAINER_OF(s->watches.next, struct ketch_watch, link));
    }
}

void watch__free_streams(struct ketch_client *c)
{
    struct list *it;

    while ((it = list_pop(&c->watch_streams)) != NULL) {
        struct watch_stream *s = CONTAINER_OF(it, struct watch_stream, link);

        ASSERT(s->rpc == NULL);
        ASSERT(list_empty(&s->watches));
        ASSERT(list_empty(&s->waiter.link) && list_empty(&s->login.link));
        ASSERT(!loop_timer_active(&s->reopen));
        map64_done(&s->running);
        mem_free(s);
    }
}
