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

/* As many events as fit below the limit into each piece, at least one. */
static bool send_fragments(struct wwatch *w, struct watch_response *r, struct payload *owner,
                           size_t limit)
{
    struct bytes rest = bytes_of(owner->data, owner->bytes), one;
    const uint8_t *from = rest.p;
    size_t n = 0;

    r->fragment = true;
    while (watch_events_next(&rest, &one)) {
        if (n > 0 && watch_response_size(r) + n + one.n >= limit) {
            if (!send_events(w->stream, r, owner, bytes_of(from, n)))
                return false;
            from = one.p;
            n = 0;
        }
        n += one.n;
    }
    r->fragment = false;
    return send_events(w->stream, r, owner, bytes_of(from, n));
}

bool wwatch_send_events(struct wwatch *w, struct payload *events, uint32_t n, int64_t revision)
{
    struct server *srv = w->stream->io->server;
    struct watch_response r = response(w->stream, w->id, revision);
    size_t limit = (size_t) srv->config->max_request_bytes + WATCH_FRAGMENT_EXTRA_BYTES;

    metric_add(srv->m.watch_events, n);
    w->had_events = true;
    if (w->fragment && n > 1 && watch_response_size(&r) + events->bytes >= limit)
        return send_fragments(w, &r, events, limit);
    return send_events(w->stream, &r, events, bytes_of(events->data, events->bytes));
}
