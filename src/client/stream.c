/* stream.c -- calls with one request and many answers: a snapshot, a large range.
 *
 * A stream is begun again only when the server refused its token; then nothing of an answer has
 * come.
 */
#include "client/client_int.h"

struct ketch_stream {
    struct list link; /* of client->streams */
    struct waiter waiter;
    struct login_waiter login;
    unsigned token_number; /* of the token that it was opened with */
    unsigned attempt;
    bool answered;           /* a message has come */
    struct loop_timer timer; /* the deadline while no endpoint is up */
    struct ketch_client *client;
    const struct stream_method *method;
    const struct ketch_stream_callbacks *cb;
    void *user;
    mono_ns deadline_ns;
    struct rpc *rpc;
    struct ketch_error error; /* what ended it, when it was not the server */
    struct buf request;
};

static const struct stream_method {
    const char *path;
    const ProtobufCMessageDescriptor *response;
} methods[] = {
    [KETCH_SNAPSHOT] = {"/etcdserverpb.Maintenance/Snapshot",
                        &etcdserverpb__snapshot_response__descriptor},
    [KETCH_RANGE_STREAM] = {"/etcdserverpb.KV/RangeStream",
                            &etcdserverpb__range_stream_response__descriptor},
};

static void stream_free(struct ketch_stream *s)
{
    ASSERT(s->rpc == NULL);
    loop_timer_stop(client_loop(s->client), &s->timer);
    list_remove(&s->waiter.link);
    list_remove(&s->login.link);
    list_remove(&s->link);
    buf_done(&s->request);
    mem_free(s);
}

static void stream_finish(struct ketch_stream *s, const struct ketch_error *e)
{
    const struct ketch_stream_callbacks *cb = s->cb;
    void *user = s->user;

    stream_free(s);
    cb->on_end(e, user);
}

static void on_open(struct rpc *r, void *user)
{
    struct ketch_stream *s = user;

    (void) r;
    if (s->cb->on_open != NULL)
        s->cb->on_open(s->user);
}

static void on_message(struct rpc *r, struct bytes message, void *user)
{
    struct ketch_stream *s = user;
    struct ketch_reply *reply;

    if (s->error.code != KETCH_OK)
        return;
    s->answered = true;
    reply = client__reply(s->method->response, message, &s->error);
    if (reply != NULL && !s->cb->on_message(reply->message, s->user))
        client__error(&s->error, KETCH_CANCELED, "context canceled");
    ketch_reply_free(reply);
    if (s->error.code != KETCH_OK)
        rpc_cancel(r);
}

static int64_t left_ms(const struct ketch_stream *s)
{
    mono_ns left = s->deadline_ns - clock_mono_ns(clock_posix());

    return MAX(left / 1000000, 1);
}

static void end_later(struct ketch_stream *s, int64_t after_ms, int code, const char *text)
{
    client__error(&s->error, code, "%s", text);
    client__timer(s->client, &s->timer, after_ms);
}

static void set_deadline(struct ketch_stream *s)
{
    if (s->deadline_ns != 0)
        end_later(s, left_ms(s), KETCH_DEADLINE_EXCEEDED, "context deadline exceeded");
}

static void begin(struct ketch_stream *s);

static void on_login(struct login_waiter *w, const struct ketch_error *e)
{
    struct ketch_stream *s = CONTAINER_OF(w, struct ketch_stream, login);

    if (e->code == KETCH_OK)
        begin(s);
    else
        stream_finish(s, e);
}

static bool is_refused(const struct ketch_stream *s, const struct rpc_result *res)
{
    return !s->answered && s->error.code == KETCH_OK && res->code != GRPC_OK &&
           login__is_stale(s->client, res->message) && s->attempt < CLIENT_ATTEMPTS_MAX;
}

static void on_end(struct rpc *r, const struct rpc_result *res, void *user)
{
    struct ketch_stream *s = user;
    struct ketch_error e = s->error;

    (void) r;
    s->rpc = NULL;
    if (!s->client->closing && is_refused(s, res)) {
        s->attempt++;
        set_deadline(s);
        login__renew(s->client, s->token_number, &s->login);
        return;
    }
    if (e.code == KETCH_OK && res->code != GRPC_OK)
        client__status(&e, res->code, res->message);
    stream_finish(s, &e);
}

static const struct rpc_stream_callbacks rpc_callbacks = {
    .on_open = on_open,
    .on_message = on_message,
    .on_end = on_end,
};

static void on_timer(struct loop_timer *t)
{
    struct ketch_stream *s = CONTAINER_OF(t, struct ketch_stream, timer);
    struct ketch_error e = s->error;

    if (s->rpc == NULL)
        stream_finish(s, &e);
}

static void on_endpoint(struct waiter *w, struct endpoint *ep)
{
    struct ketch_stream *s = CONTAINER_OF(w, struct ketch_stream, waiter);
    struct rpc_metadata md[CLIENT_METADATA_MAX];
    struct rpc_options o = {
        .path = s->method->path,
        .metadata = md,
        .metadata_n = client__metadata(s->client, false, md),
        .timeout_ms = s->deadline_ns == 0 ? 0 : left_ms(s),
        .user = s,
    };
    struct net_piece piece = net_piece_copied(s->request.p, s->request.len);

    loop_timer_stop(client_loop(s->client), &s->timer);
    s->error = (struct ketch_error){0};
    s->token_number = s->client->login.token_number;
    s->rpc = rpc_open(ep->channel, &o, &rpc_callbacks);
    if (s->rpc == NULL) {
        end_later(s, 0, KETCH_E_NO_MEMORY, "out of memory");
        return;
    }
    if (rpc_send(s->rpc, &piece, 1) == ERR_NOMEM) {
        client__error(&s->error, KETCH_E_NO_MEMORY, "out of memory");
        rpc_cancel(s->rpc);
        return;
    }
    rpc_half_close(s->rpc);
}

static void begin(struct ketch_stream *s)
{
    set_deadline(s);
    client__need_endpoint(s->client, &s->waiter);
}

struct ketch_stream *ketch_stream(struct ketch_client *c, enum ketch_stream_method m,
                                  const ProtobufCMessage *request, int64_t timeout_ms,
                                  const struct ketch_stream_callbacks *cb, void *user)
{
    struct ketch_stream *s = mem_calloc(1, sizeof(*s));

    ASSERT((size_t) m < ARRAY_LEN(methods));
    if (s == NULL)
        return NULL;
    s->client = c;
    s->method = &methods[m];
    s->cb = cb;
    s->user = user;
    s->waiter.go = on_endpoint;
    s->login.go = on_login;
    list_init(&s->waiter.link);
    list_init(&s->login.link);
    list_init(&s->link);
    loop_timer_init(&s->timer, on_timer);
    buf_init(&s->request, c->options.request_bytes_max);
    if (!wire_encode(request, &s->request)) {
        stream_free(s);
        return NULL;
    }
    list_push(&c->streams, &s->link);
    if (timeout_ms > 0)
        s->deadline_ns = clock_mono_ns(clock_posix()) + timeout_ms * 1000000;
    if (timeout_ms < 0)
        end_later(s, 0, KETCH_DEADLINE_EXCEEDED, "context deadline exceeded");
    else
        begin(s);
    return s;
}

/* Streams under way end when their channels are freed. */
void stream__close_all(struct ketch_client *c)
{
    struct ketch_error e;

    client__error(&e, KETCH_CANCELED, "grpc: the client connection is closing");
    LIST_EACH_SAFE (it, &c->streams) {
        struct ketch_stream *s = CONTAINER_OF(it, struct ketch_stream, link);

        if (s->rpc == NULL)
            stream_finish(s, &e);
    }
}
