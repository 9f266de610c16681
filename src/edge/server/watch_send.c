/* Watch responses: a head of their own in front of bytes that are shared by all who get the same
 * events. */
#include "edge/server/watch_int.h"

#define HEAD_BYTES_MAX 512 /* all fields but events, the longest reason included */

int64_t io_revision(struct io *io)
{
    const struct mvcc_view *v = mvcc_view_pin(io->reader);
    int64_t revision = mvcc_view_revision(v);

    mvcc_view_unpin(v);
    return revision;
}

static struct watch_response response(struct wstream *s, int64_t id, int64_t revision)
{
    struct server *srv = s->io->server;

    return (struct watch_response){.cluster_id = srv->cluster_id,
                                   .member_id = srv->member_id,
                                   .revision = revision,
                                   .raft_term = s->io->watch->term,
                                   .watch_id = id};
}

static bool send_pieces(struct wstream *s, const struct net_piece *v, size_t n)
{
    int rc;

    if (s->closing)
        return false;
    rc = call_send(s->call, v, n);
    if (rc == 0) {
        count_sent(s->io, METHOD_WATCH);
        return true;
    }
    metric_inc(metric_with(s->io->server->m.stream_failures, METRIC_LABELS("send", "watch")));
    wstream_fail(s, GRPC_RESOURCE_EXHAUSTED, "etcdserver: the connection takes no more responses");
    return false;
}

static bool send_head(struct wstream *s, const struct watch_response *r)
{
    uint8_t head[HEAD_BYTES_MAX];
    size_t n = watch_response_size(r);
    struct net_piece piece = net_piece_copied(head, n);

    ASSERT(n <= sizeof head);
    watch_response_put(head, r);
    return send_pieces(s, &piece, 1);
}

bool wstream_send_created(struct wstream *s, int64_t id, int64_t revision)
{
    struct watch_response r = response(s, id, revision);

    r.created = true;
    return send_head(s, &r);
}

bool wstream_send_refused(struct wstream *s, const char *reason)
{
    struct watch_response r = response(s, -1, io_revision(s->io));

    r.created = true;
    r.canceled = true;
    r.cancel_reason = bytes_str(reason);
    return send_head(s, &r);
}

bool wstream_send_canceled(struct wstream *s, int64_t id, int64_t revision,
                           int64_t compact_revision)
{
    struct watch_response r = response(s, id, revision);

    r.canceled = true;
    r.compact_revision = compact_revision;
    return send_head(s, &r);
}

bool wstream_send_progress(struct wstream *s, int64_t id, int64_t revision)
{
    struct watch_response r = response(s, id, revision);

    return send_head(s, &r);
}

static bool send_events(struct wstream *s, const struct watch_response *r, struct payload *owner,
                        struct bytes events)
{
    uint8_t head[HEAD_BYTES_MAX];
    size_t n = watch_response_size(r);
    struct net_piece v[2] = {net_piece_copied(head, n), net_piece_counted(owner)};

    ASSERT(n <= sizeof head);
    watch_response_put(head, r);
    v[1].bytes = events;
    return send_pieces(s, v, 2);
}

bool wstream_full(const struct wstream *s)
{
    return s->rest.events != NULL || call_queued_bytes(s->call) >= WATCH_QUEUED_HIGH;
}

static size_t fragment_limit(const struct server *srv)
{
    return (size_t) MIN(srv->config->max_request_bytes, (uint64_t) NET_SEND_MESSAGE_BYTES_MAX / 2) +
           WATCH_FRAGMENT_EXTRA_BYTES;
}

/* As many events as fit below the limit, at least one. */
static struct bytes next_fragment(struct bytes rest, size_t limit)
{
    struct bytes left = rest, one;
    size_t n = 0;

    while (watch_events_next(&left, &one) && (n == 0 || n + one.n < limit))
        n += one.n;
    return bytes_of(rest.p, n);
}

/* Sends of the rest what the client takes; what is left stays there. */
static bool send_fragments(struct wstream *s)
{
    struct wrest *t = &s->rest;
    struct watch_response r = response(s, t->watch->id, t->revision);
    size_t limit = fragment_limit(s->io->server) - watch_response_size(&r);

    do {
        struct bytes rest = bytes_of(t->events->data + t->at, t->events->bytes - t->at);
        struct bytes fragment = next_fragment(rest, limit);

        r.fragment = fragment.n < rest.n;
        t->at += fragment.n;
        if (!send_events(s, &r, t->events, fragment))
            return false; /* the stream has ended, and the rest with it */
    } while (r.fragment && call_queued_bytes(s->call) < WATCH_QUEUED_HIGH);
    if (r.fragment)
        s->blocked = true; /* else as it was: notes or other watches may wait for the client */
    else
        wstream_drop_rest(s);
    return true;
}

void wstream_drop_rest(struct wstream *s)
{
    payload_unref(s->rest.events);
    s->rest = (struct wrest){0};
}

/* W6 */
static bool begin_fragments(struct wwatch *w, struct payload *events, int64_t revision)
{
    struct wstream *s = w->stream;

    ASSERT(s->rest.events == NULL);
    s->rest = (struct wrest){payload_ref(events), 0, w, revision};
    if (!send_fragments(s))
        return false;
    if (s->rest.events != NULL)
        call_pause(s->call);
    return true;
}

bool wstream_send_rest(struct wstream *s)
{
    if (s->rest.events == NULL)
        return true;
    if (!send_fragments(s) || s->rest.events != NULL)
        return false;
    call_resume(s->call);
    return true;
}

bool wwatch_send_events(struct wwatch *w, struct payload *events, uint32_t n, int64_t revision)
{
    struct server *srv = w->stream->io->server;
    struct watch_response r = response(w->stream, w->id, revision);

    ASSERT(w->stream->rest.events == NULL); /* W6 */
    metric_add(srv->m.watch_events, n);
    w->had_events = true;
    if (w->fragment && n > 1 && watch_response_size(&r) + events->bytes >= fragment_limit(srv))
        return begin_fragments(w, events, revision);
    return send_events(w->stream, &r, events, bytes_of(events->data, events->bytes));
}
