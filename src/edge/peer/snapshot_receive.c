/* snapshot_receive.c -- POST /raft/snapshot: the head is read here, the data file goes to the node
 * piece by piece.
 *
 *     head --> pieces ... --> the body ends --> answered when the node has taken it over, or not
 *
 * While PEER_SNAPSHOT_PIECES_MAX pieces wait to be written the socket is not read.  What is wrong
 * with sender or message is answered before any file is touched (etcd looks at some of it only
 * afterwards); the rest of the body is then thrown away.
 *
 * It may take hours, as long as bytes come.  One whose leader has been followed by another is given
 * up when that one sends its own: raft would not take it any more, and each is as large as all
 * data.
 */
#include "base/alloc.h"
#include "edge/peer/peer_int.h"
#include "edge/peer/snapshot_head.h"
#include "obs/gofmt.h"

struct snapshot_in {
    struct list link; /* peer_snapshots.coming */
    struct peer_server *ps;
    struct http_req *req; /* NULL: answered */
    struct snapshot_head head;
    struct node_message *message; /* NULL: its head is not complete, or the node has it */
    struct node_receiving *receiving;
    struct payload *piece; /* being filled */
    struct list pieces;    /* in_piece.link: with the node */
    size_t pieces_n;
    struct node_request last; /* END or ABORT */
    bool closing;             /* `last` is with the node */
    struct loop_timer silence;
    bool paused;
    char from[PEER_ID_TEXT_BYTES];
    raft_id sender;
    raft_index index;
    mono_ns began;
};

/* A piece on its way to the file. */
struct in_piece {
    struct list link;
    struct node_request node;
    struct snapshot_in *x;
};

/* ---- the end ---- */

static void piece_free(struct in_piece *p)
{
    list_remove(&p->link);
    payload_unref(p->node.piece);
    mem_free(p);
}

static void snapshot_free(struct snapshot_in *x)
{
    ASSERT(x->req == NULL); /* P5 */
    ASSERT(!x->closing);
    ASSERT(list_empty(&x->pieces));
    ASSERT(!loop_timer_active(&x->silence));
    list_remove(&x->link);
    x->ps->snapshots.coming_n--;
    payload_unref(x->piece);
    if (x->message != NULL)
        peer_message_free(x->message);
    node_receiving_free(x->receiving);
    snapshot_head_done(&x->head);
    mem_free(x);
}

/* Nothing of it is with the node any more, and nobody waits for an answer. */
static void free_when_idle(struct snapshot_in *x)
{
    if (x->req == NULL && !x->closing && x->pieces_n == 0)
        snapshot_free(x);
}

static void count_end(struct snapshot_in *x, bool ok)
{
    struct peer_snapshot_metrics m = peer__snapshot_metrics(x->ps, PEER_RECEIVED, x->from);

    if (x->receiving != NULL)
        metric_add(m.under_way, -1);
    metric_inc(ok ? m.success : m.failures);
    if (ok)
        histogram_observe(m.seconds, loop_now_ns(x->ps->loop) - x->began);
}

static void submit_last(struct snapshot_in *x, enum node_request_kind kind,
                        void (*done)(struct node_request *r))
{
    x->last = (struct node_request){.kind = kind,
                                    .sink = &x->ps->snapshots.sink,
                                    .done = done,
                                    .receiving = x->receiving,
                                    .message = x->message};
    x->closing = true;
    node_submit(x->ps->node, &x->last);
}

static void aborted(struct node_request *r)
{
    struct snapshot_in *x = CONTAINER_OF(r, struct snapshot_in, last);

    x->closing = false;
    free_when_idle(x);
}

/* It will not arrive.  The request has been answered, or is to be dropped now. */
static void give_up(struct snapshot_in *x)
{
    loop_timer_stop(x->ps->loop, &x->silence);
    count_end(x, false);
    x->req = NULL;
    if (x->receiving != NULL && !x->closing)
        submit_last(x, NODE_REQ_RECEIVE_ABORT, aborted);
    free_when_idle(x);
}

static void fail(struct snapshot_in *x, int status, const char *what, const char *why)
{
    char text[200];

    snprintf(text, sizeof text, "%s (%s)", what, why);
    peer__answer(x->req, x->ps, status, text);
    give_up(x);
}

static void not_saved(struct snapshot_in *x, const char *why)
{
    LOG_WARN(x->ps->o.log, "failed to save incoming database snapshot",
             F_STR("local-member-id", x->ps->hex), F_STR("remote-snapshot-sender-id", x->from),
             F_U64("incoming-snapshot-index", x->index), F_STR("error", why));
    fail(x, 500, "failed to save KV snapshot", why);
}

/* Its sender is gone, or as good as. */
static void lost(struct snapshot_in *x, const char *why)
{
    LOG_WARN(x->ps->o.log, "failed to save incoming database snapshot",
             F_STR("local-member-id", x->ps->hex), F_STR("remote-snapshot-sender-id", x->from),
             F_U64("incoming-snapshot-index", x->index), F_STR("error", why));
    http_abort(x->req);
    give_up(x);
}

static void on_silence(struct loop_timer *t)
{
    lost(CONTAINER_OF(t, struct snapshot_in, silence), "i/o timeout");
}

/* Behind the last byte nothing is waited for but the node. */
static void expect_more(struct snapshot_in *x)
{
    if (!x->paused && !x->closing &&
        loop_timer_start(x->ps->loop, &x->silence, PEER_SNAPSHOT_STALL_MS) != 0)
        mem_exhausted("the timer of a snapshot");
}

static const char *why_not(const struct node_request *r)
{
    if (r->result.err == API_OK && r->result.code == GRPC_OK)
        return NULL;
    return r->result.text != NULL ? r->result.text : "the member stops";
}

static void received(struct node_request *r)
{
    struct snapshot_in *x = CONTAINER_OF(r, struct snapshot_in, last);
    const char *why = why_not(r);
    uint64_t bytes = node_receiving_bytes(x->receiving);
    struct peer *p;
    char size[GO_SIZE_BYTES], took[GO_DURATION_BYTES];

    x->closing = false;
    if (why == NULL)
        x->message = NULL;               /* raft may have done with it by now */
    if (x->req == NULL || why != NULL) { /* the sender is gone, or is told */
        if (x->req != NULL)
            not_saved(x, why);
        else
            free_when_idle(x);
        return;
    }
    LOG_INFO(x->ps->o.log, "received and saved database snapshot",
             F_STR("local-member-id", x->ps->hex), F_STR("remote-snapshot-sender-id", x->from),
             F_U64("incoming-snapshot-index", x->index),
             F_U64("incoming-snapshot-size-bytes", bytes),
             F_STR("incoming-snapshot-size", go_size(bytes, size)),
             F_STR("download-took", go_duration(loop_now_ns(x->ps->loop) - x->began, took)));
    p = peer__find(x->ps, x->sender);
    if (p != NULL)
        metric_add(p->metrics.received_bytes, (int64_t) bytes);
    peer__answer_taken(x->req, x->ps);
    x->req = NULL;
    count_end(x, true);
    free_when_idle(x);
}

/* ---- the data file ---- */

static void piece_done(struct node_request *r)
{
    struct in_piece *p = CONTAINER_OF(r, struct in_piece, node);
    struct snapshot_in *x = p->x;
    const char *why = why_not(r);

    piece_free(p);
    x->pieces_n--;
    if (x->req == NULL) {
        free_when_idle(x);
        return;
    }
    if (why != NULL && !x->closing) {
        not_saved(x, why);
        return;
    }
    if (x->paused && x->pieces_n < PEER_SNAPSHOT_PIECES_MAX / 2) {
        x->paused = false;
        expect_more(x);
        http_resume(x->req);
    }
}

static void piece_submit(struct snapshot_in *x)
{
    struct in_piece *p = xmem_calloc(1, sizeof *p);

    ASSERT(x->piece->bytes > 0);
    p->x = x;
    p->node = (struct node_request){.kind = NODE_REQ_RECEIVE_PIECE,
                                    .sink = &x->ps->snapshots.sink,
                                    .done = piece_done,
                                    .receiving = x->receiving,
                                    .piece = x->piece};
    x->piece = NULL;
    list_push(&x->pieces, &p->link);
    x->pieces_n++;
    node_submit(x->ps->node, &p->node);
    if (x->pieces_n >= PEER_SNAPSHOT_PIECES_MAX && !x->paused) {
        x->paused = true;
        loop_timer_stop(x->ps->loop, &x->silence);
        http_pause(x->req);
    }
}

static void take_data(struct snapshot_in *x, struct bytes part)
{
    while (part.n > 0) {
        size_t n;

        if (x->piece == NULL) {
            x->piece = payload_new(NODE_SNAPSHOT_PIECE_BYTES);
            if (x->piece == NULL) {
                not_saved(x, "out of memory");
                return;
            }
            x->piece->bytes = 0;
        }
        n = MIN(part.n, NODE_SNAPSHOT_PIECE_BYTES - x->piece->bytes);
        memcpy(x->piece->data + x->piece->bytes, part.p, n);
        x->piece->bytes += n;
        part = bytes_of(part.p + n, part.n - n);
        if (x->piece->bytes == NODE_SNAPSHOT_PIECE_BYTES)
            piece_submit(x);
    }
}

/* ---- the head ---- */

static void bad_head(struct snapshot_in *x, const char *why)
{
    LOG_WARN(x->ps->o.log, "failed to decode Raft message", F_STR("local-member-id", x->ps->hex),
             F_STR("remote-snapshot-sender-id", x->from), F_STR("error", why));
    fail(x, 400, "failed to decode raft message", why);
}

static void wrong_type(struct snapshot_in *x)
{
    LOG_WARN(x->ps->o.log, "unexpected Raft message type", F_STR("local-member-id", x->ps->hex),
             F_STR("remote-snapshot-sender-id", x->from),
             F_I64("message-type", x->message->m.type));
    peer__answer(x->req, x->ps, 400, "wrong raft message type");
    give_up(x);
}

static void release(struct node_message *m)
{
    peer_message_free(m);
}

static void end_earlier_terms(const struct snapshot_in *x)
{
    LIST_EACH_SAFE (l, &x->ps->snapshots.coming) {
        struct snapshot_in *o = CONTAINER_OF(l, struct snapshot_in, link);

        if (o->req != NULL && o->receiving != NULL && !o->closing &&
            o->message->m.term < x->message->m.term)
            not_saved(o, "a leader of a later term sends another");
    }
}

/* The data file follows. */
static void begin_data(struct snapshot_in *x)
{
    uint64_t bytes = x->head.message_bytes;
    char size[GO_SIZE_BYTES];

    end_earlier_terms(x);
    x->index = x->message->m.snapshot->meta.index;
    x->message->release = release;
    x->receiving = node_receiving_new(x->index);
    metric_add(peer__snapshot_metrics(x->ps, PEER_RECEIVED, x->from).under_way, 1);
    LOG_INFO(x->ps->o.log, "receiving database snapshot", F_STR("local-member-id", x->ps->hex),
             F_STR("remote-snapshot-sender-id", x->from),
             F_U64("incoming-snapshot-index", x->index),
             F_U64("incoming-snapshot-message-size-bytes", bytes),
             F_STR("incoming-snapshot-message-size", go_size(bytes, size)));
}

/* True: the data file may come. */
static bool take_head(struct snapshot_in *x, struct bytes *part)
{
    struct err e = ERR_INIT;
    const char *why;
    int rc = snapshot_head_take(&x->head, part, &e);

    if (rc == 0 && !x->head.done)
        return false;
    if (rc == 0)
        rc = snapshot_head_message(&x->head, &x->message, &e);
    if (rc != 0) {
        bad_head(x, e.msg);
        return false;
    }
    x->sender = x->message->m.from;
    cluster_id_text(x->sender, x->from);
    if (x->message->m.type != RAFT_MSG_SNAP || x->message->m.snapshot == NULL ||
        x->message->m.snapshot->meta.index == 0) {
        wrong_type(x);
        return false;
    }
    why = peer__misdirected(x->ps, &x->message->m);
    if (why != NULL) {
        fail(x, 500, "failed to process raft message", why);
        return false;
    }
    begin_data(x);
    return true;
}

/* ---- the request ---- */

static void on_data(struct http_req *r, struct bytes part)
{
    struct snapshot_in *x = http_user(r);

    expect_more(x);
    if (x->receiving != NULL || take_head(x, &part))
        take_data(x, part);
}

static void on_data_end(struct http_req *r)
{
    struct snapshot_in *x = http_user(r);

    if (x->receiving == NULL) {
        bad_head(x, snapshot_head_cut(&x->head));
        return;
    }
    if (x->piece != NULL)
        piece_submit(x);
    loop_timer_stop(x->ps->loop, &x->silence);
    submit_last(x, NODE_REQ_RECEIVE_END, received);
}

static void on_cancel(struct http_req *r)
{
    lost(http_user(r), "unexpected EOF");
}

static void count_unknown(struct peer_server *ps)
{
    metric_inc(peer__snapshot_metrics(ps, PEER_RECEIVED, PEER_UNKNOWN_SENDER).failures);
}

void peer__snapshot_page(struct http_req *r, struct peer_server *ps)
{
    struct snapshot_in *x;

    if (!peer__is_post(r) || !peer__compatible(r, ps)) {
        count_unknown(ps);
        return;
    }
    peer__note_sender(r, ps);
    if (ps->snapshots.coming_n >= PEER_SNAPSHOTS_COMING_MAX) {
        peer__answer(r, ps, 503, "too many snapshots are being received");
        count_unknown(ps);
        return;
    }
    x = xmem_calloc(1, sizeof *x);
    x->ps = ps;
    x->req = r;
    x->began = loop_now_ns(ps->loop);
    snprintf(x->from, sizeof x->from, "0"); /* as etcd calls a sender that has not said */
    loop_timer_init(&x->silence, on_silence);
    snapshot_head_init(&x->head);
    list_init(&x->pieces);
    list_push(&ps->snapshots.coming, &x->link);
    ps->snapshots.coming_n++;
    http_set_user(r, x);
    http_on_cancel(r, on_cancel);
    expect_more(x);
    http_read_patiently(r);
    http_read_stream(r, on_data, on_data_end);
}

/* ---- the server ends ---- */

void peer__comings_stop(struct peer_server *ps)
{
    LIST_EACH_SAFE (l, &ps->snapshots.coming) {
        struct snapshot_in *x = CONTAINER_OF(l, struct snapshot_in, link);

        if (x->req != NULL) {
            peer__answer(x->req, ps, 503, "the member stops");
            give_up(x);
        }
    }
}
