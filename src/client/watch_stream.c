/* watch_stream.c -- the stream that watches share: opened, opened again, ended.
 *
 * A stream that ends with Unavailable or Internal is opened again, on whichever endpoint is up; any
 * other end, and "no leader" for watches that insist on one, ends its watches.  A token that the
 * server refuses is a stream's, not a watch's: the stream is opened again with a new one.
 */
#include "client/watch_int.h"

#define WATCH_PATH "/etcdserverpb.Watch/Watch"

static void on_end(struct rpc *rpc, const struct rpc_result *res, void *user)
{
    struct watch_stream *s = user;
    struct ketch_error e;
    bool refused = s->refused || watch__is_refused(s, res->message);
    bool again = res->code == GRPC_OK || client__transient(res->code) || refused;

    (void) rpc;
    s->rpc = NULL;
    s->refused = false;
    if (s->client->closing)
        return;
    client__status(&e, res->code == GRPC_OK ? GRPC_UNAVAILABLE : res->code, res->message);
    if (!again || (s->require_leader && api_error_find(res->message) == API_NO_LEADER)) {
        watch__fail_all(s, e.text);
        return;
    }
    s->busy++;
    LIST_EACH (it, &s->watches) {
        struct ketch_watch *w = CONTAINER_OF(it, struct ketch_watch, link);

        watch__become(w, WATCH_NEW, 0);
        s->some_dead |= w->dead;
    }
    s->busy--;
    watch__sweep(s);
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
        watch__fail_all(s, e->text);
}

static const struct rpc_stream_callbacks rpc_callbacks = {
    .on_message = watch__on_message,
    .on_end = on_end,
};

static void on_reopen(struct loop_timer *t)
{
    watch__stream_connect(CONTAINER_OF(t, struct watch_stream, reopen));
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
            watch__send_create(w);
    }
}

void watch__stream_connect(struct watch_stream *s)
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

struct watch_stream *watch__stream_of(struct ketch_client *c, const struct ketch_watch_options *o)
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

/* ---- the client ends ---- */

/* The rpc of a stream ends, silently, when its channel is freed: the watches go before it. */
void watch__close_all(struct ketch_client *c)
{
    LIST_EACH (it, &c->watch_streams) {
        struct watch_stream *s = CONTAINER_OF(it, struct watch_stream, link);

        ASSERT(s->busy == 0);
        list_remove(&s->waiter.link);
        list_remove(&s->login.link);
        loop_timer_stop(client_loop(c), &s->reopen);
        watch__fail_all(s, "context canceled");
        while (!list_empty(&s->watches))
            watch__free(CONTAINER_OF(s->watches.next, struct ketch_watch, link));
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
