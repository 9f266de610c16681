/* watch.c -- a client's Watch stream: ids are given per stream, from 0, as etcd's proxy does; what
 * is asked for is turned into feeds (watch_feed.c) of a source (watch_source.c). */
#include "edge/proxy/watch_int.h"
#include "wire/pb.h"

/* Fields of WatchResponse. */
enum { WATCH_ID = 2, CREATED = 3, CANCELED = 4, CANCEL_REASON = 6 };

/* ---- answers ---- */

static void doom(struct stream *st)
{
    if (list_empty(&st->doomed))
        list_push(&st->source->doomed, &st->doomed);
}

static void put_on(struct stream *st, const struct net_piece *v, size_t vn)
{
    int rc;

    if (!list_empty(&st->doomed))
        return;
    rc = call_send(st->call, v, vn);
    if ((rc != 0 && rc != ERR_CANCELED) ||
        call_queued_bytes(st->call) > PROXY_WATCH_BEHIND_BYTES_MAX)
        doom(st);
}

void stream__send(struct stream *st, int64_t id, const struct watch_note *n, size_t from)
{
    struct payload *p = n->payload;
    uint8_t head[2 * PB_VARINT_BYTES_MAX];
    uint8_t *end = pb_put_u64(head, WATCH_ID, (uint64_t) id);
    struct net_piece v[3];
    size_t vn = 0;

    if (end != head)
        v[vn++] = net_piece_copied(head, (size_t) (end - head));
    if (from == n->head_bytes) {
        v[vn++] = net_piece_counted(p);
    } else {
        v[vn++] = (struct net_piece){NET_PIECE_COUNTED, bytes_of(p->data, n->head_bytes), p};
        if (from < p->bytes)
            v[vn++] = (struct net_piece){NET_PIECE_COUNTED,
                                         bytes_of(p->data + from, p->bytes - from), p};
    }
    put_on(st, v, vn);
}

/* An answer of our own, with the header that the member sent last. */
static void answer(struct stream *st, int64_t id, bool created, const char *reason)
{
    uint8_t fields[4 * PB_VARINT_BYTES_MAX];
    uint8_t *p = pb_put_u64(fields, WATCH_ID, (uint64_t) id);
    struct buf b;
    struct net_piece piece;

    p = pb_put_u64(p, CREATED, created);
    p = pb_put_u64(p, CANCELED, 1);
    p = reason[0] == 0 ? p : pb_put_head(p, CANCEL_REASON, strlen(reason));
    buf_init(&b, PROXY_RECV_BYTES_MAX * (size_t) 2);
    buf_add_bytes(&b, buf_bytes(&st->source->header));
    buf_add(&b, fields, (size_t) (p - fields));
    buf_add_str(&b, reason);
    piece = net_piece_copied(b.p, b.len);
    if (b.failed)
        doom(st);
    else
        put_on(st, &piece, 1);
    buf_done(&b);
}

/* ---- watchers ---- */

/* Its feed has let it go already, or does so now. */
void watcher__free(struct watcher *w)
{
    if (w->feed != NULL)
        feed__remove(w);
    w->stream->source->proxy->watchers_n--;
    map64_del(&w->stream->ids, (uint64_t) w->id + 1);
    list_remove(&w->link);
    list_remove(&w->receiver);
    mem_free(w);
}

static struct watcher *watcher_new(struct stream *st, int64_t id, int64_t start_rev)
{
    struct watcher *w = mem_calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->stream = st;
    w->id = id;
    w->next_rev = start_rev;
    list_init(&w->receiver);
    if (!map64_put(&st->ids, (uint64_t) id + 1, w)) {
        mem_free(w);
        return NULL;
    }
    list_push(&st->watchers, &w->link);
    st->source->proxy->watchers_n++;
    return w;
}

/* The id that a new watch gets; -1: the client wants one that it has. */
static int64_t choose_id(struct stream *st, int64_t wanted)
{
    if (wanted != 0)
        return wanted < 0 || map64_get(&st->ids, (uint64_t) wanted + 1) != NULL ? -1 : wanted;
    while (map64_get(&st->ids, (uint64_t) st->next_id + 1) != NULL)
        st->next_id++;
    return st->next_id++;
}

/* The request without what is the client's alone; under its prefix. */
static bool options_of(struct stream *st, Etcdserverpb__WatchCreateRequest *m, struct arena *a,
                       struct buf *ret)
{
    struct bytes prefix = st->source->proxy->prefix;

    buf_init(ret, PROXY_RECV_BYTES_MAX * (size_t) 2);
    m->watch_id = 0;
    m->start_revision = 0;
    if (prefix.n > 0 && ns_watch_create(prefix, m, a) != NS_OK)
        return false;
    return wire_encode(&m->base, ret);
}

static void create(struct stream *st, Etcdserverpb__WatchCreateRequest *m, struct arena *a)
{
    struct source *s = st->source;
    int64_t start_rev = m->start_revision, id = choose_id(st, m->watch_id);
    bool fragment = m->fragment;
    struct buf options;
    struct watcher *w;
    struct feed *f;

    if (id < 0) {
        answer(st, -1, true, "mvcc: duplicate watch ID provided on the WatchStream");
        return;
    }
    if (s->proxy->watchers_n >= PROXY_WATCHES_MAX) {
        answer(st, -1, true, api_error_text(API_REQUEST_TOO_MANY_REQUESTS));
        return;
    }
    if (!options_of(st, m, a, &options)) {
        buf_done(&options);
        doom(st);
        return;
    }
    f = feed__new(s, &options, start_rev, !fragment && start_rev >= 0);
    w = f == NULL ? NULL : watcher_new(st, id, start_rev);
    if (w == NULL) {
        if (f != NULL)
            feed__free(f);
        doom(st);
        return;
    }
    feed__add(f, w);
    if (s->rpc != NULL)
        feed__ask(f);
}

static void cancel(struct stream *st, int64_t id)
{
    struct watcher *w = map64_get(&st->ids, (uint64_t) id + 1);

    if (w == NULL)
        return;
    watcher__free(w);
    answer(st, id, false, "");
}

/* ---- the stream ---- */

void stream__end(struct stream *st, int code, const char *text)
{
    LIST_EACH_SAFE (it, &st->watchers)
        watcher__free(CONTAINER_OF(it, struct watcher, link));
    map64_done(&st->ids);
    list_remove(&st->doomed);
    list_remove(&st->link);
    call_finish(st->call, code, text);
}

static void end_alone(struct stream *st, int code, const char *text)
{
    struct source *s = st->source;

    stream__end(st, code, text);
    source__maybe_close(s);
}

static void on_cancel(struct call *c, enum call_cancel_reason why)
{
    if (why == CALL_DEADLINE)
        end_alone(call_user(c), GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
    else
        end_alone(call_user(c), GRPC_CANCELED, "context canceled");
}

void watch__open(struct call *c)
{
    struct source *s = source__of(call_service(c), c);
    struct stream *st = s == NULL ? NULL : arena_calloc(call_arena(c), 1, sizeof *st);

    if (st == NULL) {
        call_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        if (s != NULL)
            source__maybe_close(s);
        return;
    }
    st->source = s;
    st->call = c;
    list_init(&st->doomed);
    list_init(&st->watchers);
    list_init(&st->link);
    map64_init_secret(&st->ids, s->proxy->seed);
    list_push(&s->streams, &st->link);
    call_set_user(c, st);
    call_on_cancel(c, on_cancel);
    call_send_headers(c);
}

static void act_on(struct stream *st, Etcdserverpb__WatchRequest *m, struct arena *a)
{
    switch (m->request_union_case) {
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST:
        create(st, m->create_request, a);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST:
        cancel(st, m->cancel_request->watch_id);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST:
        st->wants_progress = true;
        source__ask_progress(st->source);
        break;
    default: /* of a later version: nobody can tell what it wants */
        break;
    }
}

void watch__message(struct call *c, struct bytes message)
{
    struct stream *st = call_user(c);
    struct source *s = st->source;
    Etcdserverpb__WatchRequest *m;
    struct arena a;
    int rc;

    arena_init(&a, message.n * PROXY_DECODED_PER_BYTE + PROXY_DECODED_BYTES_MIN);
    rc = WIRE_DECODE(etcdserverpb__watch_request, message, &a, &m, NULL);
    if (rc == 0)
        act_on(st, m, &a);
    arena_done(&a);
    if (rc != 0) {
        end_alone(st, GRPC_INTERNAL, "grpc: error unmarshalling request: the message is malformed");
        return;
    }
    if (!list_empty(&st->doomed)) {
        end_alone(st, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    if (s->rpc == NULL || rpc_queued_bytes(s->rpc) < PROXY_STREAM_HIGH_BYTES || st->paused)
        return;
    st->paused = true;
    call_pause(c);
}

/* As a member: the client has said its last, and still listens. */
void watch__half_closed(struct call *c)
{
    (void) c;
}
