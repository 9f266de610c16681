/* snapshot_coming.c -- the data file of a snapshot that comes, piece by piece to the node, and its
 * end. */
#include "edge/peer/snapshot_coming.h"

#include "base/alloc.h"
#include "obs/gofmt.h"

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

void peer__coming_give_up(struct snapshot_in *x)
{
    loop_timer_stop(x->ps->loop, &x->silence);
    count_end(x, false);
    x->req = NULL;
    if (x->receiving != NULL && !x->closing)
        submit_last(x, NODE_REQ_RECEIVE_ABORT, aborted);
    free_when_idle(x);
}

void peer__coming_fail(struct snapshot_in *x, int status, const char *what, const char *why)
{
    char text[200];

    snprintf(text, sizeof text, "%s (%s)", what, why);
    peer__answer(x->req, x->ps, status, text);
    peer__coming_give_up(x);
}

static void log_failed(const struct snapshot_in *x, const char *why)
{
    LOG_WARN(x->ps->o.log, "failed to save incoming database snapshot",
             F_STR("local-member-id", x->ps->hex), F_STR("remote-snapshot-sender-id", x->from),
             F_U64("incoming-snapshot-index", x->index), F_STR("error", why));
}

void peer__coming_not_saved(struct snapshot_in *x, const char *why)
{
    log_failed(x, why);
    peer__coming_fail(x, 500, "failed to save KV snapshot", why);
}

void peer__coming_lost(struct snapshot_in *x, const char *why)
{
    log_failed(x, why);
    http_abort(x->req);
    peer__coming_give_up(x);
}

static void on_silence(struct loop_timer *t)
{
    peer__coming_lost(CONTAINER_OF(t, struct snapshot_in, silence), "i/o timeout");
}

/* Behind the last byte nothing is waited for but the node. */
void peer__coming_expect_more(struct snapshot_in *x)
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
            peer__coming_not_saved(x, why);
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
        peer__coming_not_saved(x, why);
        return;
    }
    if (x->paused && x->pieces_n < PEER_SNAPSHOT_PIECES_MAX / 2) {
        x->paused = false;
        peer__coming_expect_more(x);
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

void peer__coming_data(struct snapshot_in *x, struct bytes part)
{
    while (part.n > 0) {
        size_t n;

        if (x->piece == NULL) {
            x->piece = payload_new(NODE_SNAPSHOT_PIECE_BYTES);
            if (x->piece == NULL) {
                peer__coming_not_saved(x, "out of memory");
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

void peer__coming_data_end(struct snapshot_in *x)
{
    if (x->piece != NULL)
        piece_submit(x);
    loop_timer_stop(x->ps->loop, &x->silence);
    submit_last(x, NODE_REQ_RECEIVE_END, received);
}

/* ---- the beginning ---- */

struct snapshot_in *peer__coming_new(struct peer_server *ps, struct http_req *r)
{
    struct snapshot_in *x = xmem_calloc(1, sizeof *x);

    x->ps = ps;
    x->req = r;
    x->began = loop_now_ns(ps->loop);
    snprintf(x->from, sizeof x->from, "0"); /* as etcd calls a sender that has not said */
    loop_timer_init(&x->silence, on_silence);
    snapshot_head_init(&x->head);
    list_init(&x->pieces);
    list_push(&ps->snapshots.coming, &x->link);
    ps->snapshots.coming_n++;
    return x;
}
