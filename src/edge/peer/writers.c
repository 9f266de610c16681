/* writers.c -- streams that other members have dialed: on them we write. */
#include "edge/peer/peer_int.h"

static const char *const stream_names[PEER_STREAMS] = {"stream Message", "stream MsgApp v2"};

static void arm_heartbeat(struct peer_writer *w)
{
    if (loop_timer_start(w->peer->ps->loop, &w->heartbeat, PEER_LINK_HEARTBEAT_MS) != 0)
        peer__writer_close(w);
}

static void on_heartbeat(struct loop_timer *t)
{
    struct peer_writer *w = CONTAINER_OF(t, struct peer_writer, heartbeat);
    struct bytes b = peer_link_heartbeat(w->kind);
    struct net_piece piece = net_piece_kept(b.p, b.n);

    if (http_write(w->req, &piece, 1) == 0)
        metric_add(w->peer->metrics.sent_bytes, (int64_t) b.n);
    arm_heartbeat(w);
}

void peer__writer_init(struct peer *p, enum peer_stream kind)
{
    struct peer_writer *w = &p->writers[kind];

    w->peer = p;
    w->kind = kind;
    loop_timer_init(&w->heartbeat, on_heartbeat);
}

static void forget(struct peer_writer *w)
{
    struct peer *p = w->peer;

    loop_timer_stop(p->ps->loop, &w->heartbeat);
    w->req = NULL;
}

static void on_gone(struct http_req *r)
{
    struct peer_writer *w = http_user(r);
    struct peer *p = w->peer;

    LOG_WARN(p->ps->o.log, "lost TCP streaming connection with remote peer",
             F_STR("stream-writer-type", stream_names[w->kind]),
             F_STR("local-member-id", p->ps->hex), F_STR("remote-peer-id", p->hex));
    forget(w);
    http_end(r);
    node_report_unreachable(p->ps->node, p->id);
}

void peer__writer_close(struct peer_writer *w)
{
    struct http_req *r = w->req;

    if (r == NULL)
        return;
    forget(w);
    http_abort(r);
}

/* A second stream of the same kind takes the place of the first. */
void peer__writer_accept(struct peer_writer *w, struct http_req *r)
{
    struct peer *p = w->peer;
    const struct http_field f[] = {{"X-Server-Version", p->ps->o.version},
                                   {"X-Etcd-Cluster-ID", p->ps->cluster_hex}};

    if (w->req != NULL) {
        LOG_WARN(p->ps->o.log, "closed TCP streaming connection with remote peer",
                 F_STR("stream-writer-type", stream_names[w->kind]),
                 F_STR("local-member-id", p->ps->hex), F_STR("remote-peer-id", p->hex));
        peer__writer_close(w);
        node_report_unreachable(p->ps->node, p->id);
    }
    w->req = r;
    w->st = (struct peer_stream_state){0};
    http_set_user(r, w);
    http_on_cancel(r, on_gone);
    http_begin(r, 200, f, ARRAY_LEN(f));
    arm_heartbeat(w);
    LOG_INFO(p->ps->o.log, "established TCP streaming connection with remote peer",
             F_STR("stream-writer-type", stream_names[w->kind]),
             F_STR("local-member-id", p->ps->hex), F_STR("remote-peer-id", p->hex));
}

bool peer__writer_send(struct peer_writer *w, const struct raft_message *m)
{
    struct peer_stream_state st = w->st;
    struct net_piece piece;
    struct payload *b;
    int rc;

    if (http_queued_bytes(w->req) > PEER_QUEUE_BYTES_MAX)
        return false;
    b = peer_encode(w->kind, &st, m);
    if (b == NULL)
        return false;
    piece = net_piece_counted(b);
    rc = http_write(w->req, &piece, 1);
    if (rc == 0) {
        w->st = st;
        metric_add(w->peer->metrics.sent_bytes, (int64_t) b->bytes);
    }
    payload_unref(b);
    return rc == 0;
}
