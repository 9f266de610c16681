/* watch_source.c -- a Watch stream to a member, for all clients that come with the same token and
 * wishes.  A stream that was lost is opened again, at another member if need be, and each feed goes
 * on behind what it has delivered; clients notice nothing. */
#include "edge/proxy/watch_int.h"

static void seek(struct source *s);

/* ---- life ---- */

static void source_free(struct source *s)
{
    ASSERT(list_empty(&s->streams)); /* invariant 7 */
    ASSERT(list_empty(&s->doomed));
    ASSERT(s->rpc == NULL);
    ASSERT(!s->busy);
    LIST_EACH_SAFE (it, &s->feeds)
        feed__free(CONTAINER_OF(it, struct feed, link));
    upstream_forget(s->proxy->up, &s->waiter);
    loop_timer_stop(s->proxy->loop, &s->timer);
    upstream_give(s->member);
    list_remove(&s->link);
    map64_done(&s->running);
    map64_done(&s->same);
    buf_done(&s->header);
    for (size_t i = 0; i < s->metadata_n; i++)
        mem_free((void *) (uintptr_t) s->metadata[i].value.p);
    mem_free(s);
}

static bool keep_metadata(struct source *s, const struct rpc_metadata *md, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t *p = mem_alloc(md[i].value.n + 1);

        if (p == NULL)
            return false;
        memcpy(p, md[i].value.p, md[i].value.n);
        s->metadata[s->metadata_n++] = (struct rpc_metadata){md[i].name,
                                                             bytes_of(p, md[i].value.n)};
    }
    return true;
}

static bool is_for(const struct source *s, const struct rpc_metadata *md, size_t n)
{
    if (s->closing || s->metadata_n != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(s->metadata[i].name, md[i].name) != 0 ||
            !bytes_eq(s->metadata[i].value, md[i].value))
            return false;
    }
    return true;
}

static void on_timer(struct loop_timer *t)
{
    seek(CONTAINER_OF(t, struct source, timer));
}

static void on_member(struct upstream_waiter *w, struct upstream_member *m);

static struct source *source_new(struct proxy *p, const struct rpc_metadata *md, size_t n)
{
    struct source *s = mem_calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->proxy = p;
    s->waiter.go = on_member;
    list_init(&s->waiter.link);
    list_init(&s->streams);
    list_init(&s->doomed);
    list_init(&s->feeds);
    list_init(&s->creating);
    list_init(&s->link);
    map64_init(&s->running);
    map64_init(&s->same);
    buf_init(&s->header, PROXY_RECV_BYTES_MAX);
    loop_timer_init(&s->timer, on_timer);
    if (!keep_metadata(s, md, n)) {
        source_free(s);
        return NULL;
    }
    list_push(&p->sources, &s->link);
    seek(s);
    return s;
}

struct source *source__of(struct proxy *p, const struct call *c)
{
    struct rpc_metadata md[PROXY_METADATA_MAX];
    size_t n = proxy__metadata(c, md);

    LIST_EACH (it, &p->sources) {
        struct source *s = CONTAINER_OF(it, struct source, link);

        if (is_for(s, md, n))
            return s;
    }
    return source_new(p, md, n);
}

void source__maybe_close(struct source *s)
{
    if (!list_empty(&s->streams) || s->closing || s->busy)
        return;
    s->closing = true;
    if (s->rpc != NULL)
        rpc_cancel(s->rpc);
    else
        source_free(s);
}

/* ---- answers ---- */

static void end_doomed(struct source *s)
{
    struct list *it;

    while ((it = list_pop(&s->doomed)) != NULL)
        stream__end(CONTAINER_OF(it, struct stream, doomed), GRPC_UNAVAILABLE,
                    "the client does not read its watches");
}

static void progress(struct source *s, const struct watch_note *n)
{
    LIST_EACH (it, &s->streams) {
        struct stream *st = CONTAINER_OF(it, struct stream, link);

        if (!st->wants_progress)
            continue;
        st->wants_progress = false;
        stream__send(st, n->watch_id, n, n->payload->bytes);
    }
}

static void hand_on(struct source *s, const struct watch_note *n)
{
    struct feed *f = NULL;

    if (n->header.n > 0) {
        buf_clear(&s->header);
        buf_add_bytes(&s->header, n->header);
    }
    if (n->created)
        f = list_empty(&s->creating) ? NULL : CONTAINER_OF(s->creating.next, struct feed, creating);
    else
        f = map64_get(&s->running, (uint64_t) n->watch_id + 1);
    if (f != NULL)
        feed__note(f, n);
    else if (n->watch_id == -1 && !n->created && !n->canceled)
        progress(s, n);
}

static void on_message(struct rpc *r, struct bytes message, void *user)
{
    struct source *s = user;
    struct proxy *p = s->proxy;
    struct watch_note n;
    struct buf out;

    if (s->closing)
        return;
    if (proxy__response(p, p->prefix.n == 0 ? NULL : ns_watch_response, message, &out, &message) &&
        watch_note_read(message, &n)) {
        hand_on(s, &n);
        watch_note_done(&n);
        end_doomed(s);
    } else {
        rpc_cancel(r); /* it is asked anew, perhaps of another member */
    }
    buf_done(&out);
    source__maybe_close(s);
}

/* What was held back goes on; it may end its own stream. */
static void resume_clients(struct source *s)
{
    s->busy = true;
    LIST_EACH_SAFE (it, &s->streams) {
        struct stream *st = CONTAINER_OF(it, struct stream, link);

        if (!st->paused)
            continue;
        st->paused = false;
        call_resume(st->call);
    }
    s->busy = false;
}

static void on_writable(struct rpc *r, void *user)
{
    (void) r;
    resume_clients(user);
    source__maybe_close(user);
}

/* ---- the stream ---- */

/* Does opening it again do good?  Not when a member has said, in the API's words, what is wrong. */
static bool may_repeat(const struct rpc_result *res)
{
    switch (res->code) {
    case GRPC_UNAVAILABLE:
        return api_error_find(res->message) != API_NO_LEADER;
    case GRPC_INTERNAL:
    case GRPC_CANCELED: /* by us */
        return true;
    default:
        return false;
    }
}

static void end_streams(struct source *s, int code, struct bytes message)
{
    char text[ERR_MSG_BYTES];

    snprintf(text, sizeof text, "%.*s", (int) MIN(message.n, sizeof text - 1),
             (const char *) message.p);
    LIST_EACH_SAFE (it, &s->streams)
        stream__end(CONTAINER_OF(it, struct stream, link), code, text);
}

static void open_later(struct source *s)
{
    int rc = loop_timer_start(s->proxy->loop, &s->timer, PROXY_REOPEN_MS);

    ASSERT(rc == 0);
}

static void on_end(struct rpc *r, const struct rpc_result *res, void *user)
{
    struct source *s = user;

    (void) r;
    s->rpc = NULL;
    upstream_give(s->member);
    s->member = NULL;
    LIST_EACH_SAFE (it, &s->feeds)
        feed__lost(CONTAINER_OF(it, struct feed, link));
    if (s->closing) {
        source_free(s);
        return;
    }
    if (upstream_is_closed(s->proxy->up)) {
        end_streams(s, GRPC_UNAVAILABLE, BYTES_LIT("the proxy stops"));
    } else if (may_repeat(res)) {
        resume_clients(s);
        open_later(s);
    } else {
        end_streams(s, res->code, res->message);
    }
    source__maybe_close(s);
}

static const struct rpc_stream_callbacks callbacks = {
    .on_message = on_message,
    .on_writable = on_writable,
    .on_end = on_end,
};

static void on_member(struct upstream_waiter *w, struct upstream_member *m)
{
    struct source *s = CONTAINER_OF(w, struct source, waiter);
    struct rpc_options o = {.path = "/etcdserverpb.Watch/Watch",
                            .metadata = s->metadata,
                            .metadata_n = s->metadata_n,
                            .user = s};
    bool wanted = false;

    s->member = m;
    s->rpc = rpc_open(upstream_channel(m), &o, &callbacks);
    if (s->rpc == NULL) {
        s->member = NULL;
        upstream_give(m);
        open_later(s);
        return;
    }
    LIST_EACH (it, &s->feeds)
        feed__ask(CONTAINER_OF(it, struct feed, link));
    LIST_EACH (it, &s->streams)
        wanted |= CONTAINER_OF(it, struct stream, link)->wants_progress;
    if (wanted)
        source__ask_progress(s);
}

static void seek(struct source *s)
{
    if (upstream_wait(s->proxy->up, &s->waiter) != 0)
        open_later(s);
}

void source__send(struct source *s, struct buf *request)
{
    struct net_piece piece = net_piece_copied(request->p, request->len);

    if (s->rpc != NULL && (request->failed || rpc_send(s->rpc, &piece, 1) == ERR_NOMEM))
        rpc_cancel(s->rpc);
    buf_done(request);
}

void source__ask_progress(struct source *s)
{
    static const uint8_t ask[] = {0x1a, 0x00}; /* WatchRequest of an empty WatchProgressRequest */
    struct buf request;

    buf_init(&request, sizeof ask);
    buf_add(&request, ask, sizeof ask);
    source__send(s, &request);
}
