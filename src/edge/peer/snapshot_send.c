/* snapshot_send.c -- a snapshot to another member: POST /raft/snapshot, its body made as the socket
 * takes it.
 *
 *     head queued --> pieces asked of the node --> queued --> ... --> the empty piece: body ends
 *          ^                                       |                      |
 *          '-- few bytes wait to be sent,                                 '--> the answer
 *              and a rest is over while others write (snapshot_pace.h)
 *
 * What is asked for and what waits for the socket are together no more than
 * PEER_SNAPSHOT_QUEUED_BYTES and a piece.  Whatever ends it, the node is told once, when no request
 * is with it any more.
 */
#include "base/alloc.h"
#include "edge/peer/peer_int.h"
#include "edge/peer/snapshot_head.h"
#include "edge/peer/snapshot_pace.h"
#include "obs/gofmt.h"

#define NS_PER_MS INT64_C(1000000)

struct snapshot_out;

/* A piece that the node is asked for; they come back in order. */
struct out_piece {
    struct node_request node;
    struct snapshot_out *x;
    bool asked;
};

struct snapshot_out {
    struct list link; /* peer_snapshots.sending */
    struct peer_server *ps;
    struct node_sending *s;
    struct http_out *out; /* NULL: over */
    raft_id to;
    char to_hex[PEER_ID_TEXT_BYTES];
    size_t url;
    struct out_piece pieces[PEER_SNAPSHOT_ASKED_MAX];
    size_t asked; /* of them with the node */
    bool whole;   /* the body has been handed to the socket */
    bool ok;
    uint64_t bytes;
    mono_ns began;
    struct loop_timer late;
    struct loop_timer rest;
    struct snapshot_pace pace;
    struct peer_snapshot_metrics metrics;
};

/* ---- the end ---- */

static void snapshot_free(struct snapshot_out *x)
{
    ASSERT(x->out == NULL); /* P5 */
    ASSERT(x->asked == 0);
    ASSERT(!loop_timer_active(&x->late));
    ASSERT(!loop_timer_active(&x->rest));
    list_remove(&x->link);
    node_sent(x->ps->node, x->s, x->ok);
    mem_free(x);
}

static void log_end(struct snapshot_out *x, const char *why)
{
    struct log *l = x->ps->o.log;
    char size[GO_SIZE_BYTES];
    raft_index index = x->s->m.snapshot->meta.index;

    go_size(x->bytes, size);
    if (why == NULL)
        LOG_INFO(l, "sent database snapshot", F_U64("snapshot-index", index),
                 F_STR("remote-peer-id", x->to_hex), F_U64("bytes", x->bytes), F_STR("size", size));
    else
        LOG_WARN(l, "failed to send database snapshot", F_U64("snapshot-index", index),
                 F_STR("remote-peer-id", x->to_hex), F_U64("bytes", x->bytes), F_STR("size", size),
                 F_STR("error", why));
}

/* why NULL: it has arrived. */
static void over(struct snapshot_out *x, const char *why)
{
    struct peer *p = peer__find(x->ps, x->to);

    x->out = NULL;
    x->ok = why == NULL;
    loop_timer_stop(x->ps->loop, &x->late);
    loop_timer_stop(x->ps->loop, &x->rest);
    log_end(x, why);
    metric_add(x->metrics.under_way, -1);
    metric_inc(why == NULL ? x->metrics.success : x->metrics.failures);
    if (why == NULL)
        histogram_observe(x->metrics.seconds, loop_now_ns(x->ps->loop) - x->began);
    if (p != NULL && why == NULL) {
        metric_add(p->metrics.sent_bytes, (int64_t) x->bytes);
        peer__activate(p);
    } else if (p != NULL) {
        metric_inc(p->metrics.sent_failures);
        peer__url_failed(p, x->url);
        peer__deactivate(p, "post snapshot", why);
    }
    if (x->asked == 0)
        snapshot_free(x);
}

static void give_up(struct snapshot_out *x, const char *why)
{
    if (x->out != NULL)
        http_out_abort(x->out);
    over(x, why);
}

static void on_late(struct loop_timer *t)
{
    struct snapshot_out *x = CONTAINER_OF(t, struct snapshot_out, late);

    give_up(x, x->whole ? "no answer in time" : "the receiver takes nothing");
}

static void on_end(struct http_out *out, const char *why)
{
    struct snapshot_out *x = http_out_user(out);
    int status = http_out_status(out);
    char text[64];

    if (why == NULL && status == 403) {
        node_report_removed(x->ps->node);
        why = "the member has been permanently removed from the cluster";
    } else if (why == NULL && (status != 204 || !x->whole)) {
        snprintf(text, sizeof text, "unexpected http status code %d", status);
        why = text;
    }
    over(x, why);
}

/* Without memory for the timer nothing would end it. */
static void wait_for(struct snapshot_out *x, int64_t ms)
{
    if (loop_timer_start(x->ps->loop, &x->late, ms) != 0)
        mem_exhausted("the timer of a snapshot");
}

/* ---- the body ---- */

static void pull(struct snapshot_out *x);

static void on_writable(struct http_out *out)
{
    pull(http_out_user(out));
}

/* The last piece, or one behind it, or another. */
static void queue(struct snapshot_out *x, struct payload *p)
{
    struct net_piece piece;
    int rc = 0;

    if (x->whole) {
        ASSERT(p->bytes == 0);
    } else if (p->bytes == 0) {
        x->whole = true;
        http_out_finish(x->out);
        wait_for(x, PEER_SNAPSHOT_ANSWER_MS);
    } else {
        piece = net_piece_counted(p);
        rc = http_out_write(x->out, &piece, 1);
    }
    if (rc != 0)
        give_up(x, "out of memory");
    else
        pull(x);
}

static void piece_done(struct node_request *r)
{
    struct out_piece *o = CONTAINER_OF(r, struct out_piece, node);
    struct payload *p = r->result.answer == NODE_ANSWER_PIECE ? r->result.piece : NULL;
    struct snapshot_out *x = o->x;

    o->asked = false;
    x->asked--;
    if (x->asked == 0)
        snapshot_pace_came(&x->pace, loop_now_ns(x->ps->loop));
    if (x->out == NULL && x->asked == 0)
        snapshot_free(x);
    else if (x->out != NULL && p == NULL)
        give_up(x, r->result.text == NULL ? "the member stops" : r->result.text);
    else if (x->out != NULL)
        queue(x, p);
    payload_unref(p);
}

static void ask(struct snapshot_out *x, struct out_piece *o)
{
    o->x = x;
    o->asked = true;
    o->node = (struct node_request){.kind = NODE_REQ_SNAPSHOT_PIECE,
                                    .sink = &x->ps->snapshots.sink,
                                    .done = piece_done,
                                    .snapshot = x->s->copy};
    x->asked++;
    snapshot_pace_asked(&x->pace, loop_now_ns(x->ps->loop));
    node_submit(x->ps->node, &o->node);
}

static raft_index applied(const struct snapshot_out *x)
{
    struct node_status st;

    node_status(x->ps->node, &st);
    return st.applied;
}

static void on_rested(struct loop_timer *t)
{
    pull(CONTAINER_OF(t, struct snapshot_out, rest));
}

/* How many pieces may be on their way from the node now; 0: there will be another pull. */
static size_t pieces_now(struct snapshot_out *x)
{
    mono_ns now = loop_now_ns(x->ps->loop), rest_ns = x->pace.due - now;

    if (loop_timer_active(&x->rest))
        return 0;
    if (!snapshot_pace_is_beside(&x->pace, applied(x), now))
        return PEER_SNAPSHOT_ASKED_MAX;
    if (x->asked > 0)
        return 0;
    if (rest_ns <= 0)
        return 1;
    if (loop_timer_start(x->ps->loop, &x->rest, rest_ns / NS_PER_MS + 1) != 0)
        mem_exhausted("the timer of a snapshot");
    return 0;
}

static void pull(struct snapshot_out *x)
{
    size_t waiting, most;

    if (x->out == NULL || x->whole)
        return;
    wait_for(x, PEER_SNAPSHOT_STALL_MS);
    most = pieces_now(x);
    waiting = http_out_queued_bytes(x->out) + x->asked * NODE_SNAPSHOT_PIECE_BYTES;
    for (size_t i = 0; i < most && waiting < PEER_SNAPSHOT_QUEUED_BYTES; i++) {
        if (x->pieces[i].asked)
            continue;
        ask(x, &x->pieces[i]);
        waiting += NODE_SNAPSHOT_PIECE_BYTES;
    }
    if (x->asked == 0 && most > 0) /* or what comes back pulls */
        http_out_on_writable(x->out, PEER_SNAPSHOT_QUEUED_BYTES, on_writable);
}

/* ---- the beginning ---- */

static int post(struct snapshot_out *x, struct peer *p)
{
    struct http_client *c = peer__client(p);
    struct payload *head = snapshot_head_encode(&x->s->m);
    struct peer_fields fields;
    struct http_out_options o = {
        .method = "POST", .path = "/raft/snapshot", .streamed = true, .end = on_end, .user = x};
    struct net_piece piece;
    struct err e = ERR_INIT;
    int rc = head == NULL || c == NULL ? ERR_NOMEM : 0;

    x->url = p->url;
    peer__fields(x->ps, NULL, &fields);
    fields.f[fields.n++] = (struct http_field){"Content-Type", "application/octet-stream"};
    o.fields = fields.f;
    o.fields_n = fields.n;
    if (rc == 0)
        rc = http_client_request(c, &o, &x->out, &e);
    if (rc == 0) {
        piece = net_piece_counted(head);
        rc = http_out_write(x->out, &piece, 1);
    }
    payload_unref(head);
    return rc;
}

static void send(struct peer_server *ps, struct node_sending *s)
{
    struct peer *p = ps->stopping ? NULL : peer__find(ps, s->m.to);
    struct snapshot_out *x;
    char size[GO_SIZE_BYTES];

    if (p == NULL) {
        node_sent(ps->node, s, false);
        return;
    }
    x = xmem_calloc(1, sizeof *x);
    x->ps = ps;
    x->s = s;
    x->to = s->m.to;
    memcpy(x->to_hex, p->hex, sizeof x->to_hex);
    x->bytes = raft_message_size(&s->m) + node_snapshot_bytes(s->copy);
    x->began = loop_now_ns(ps->loop);
    loop_timer_init(&x->late, on_late);
    loop_timer_init(&x->rest, on_rested);
    snapshot_pace_init(&x->pace, applied(x), x->began);
    x->metrics = peer__snapshot_metrics(ps, PEER_SENT, p->hex);
    metric_add(x->metrics.under_way, 1);
    list_push(&ps->snapshots.sending, &x->link);
    LOG_INFO(ps->o.log, "sending database snapshot",
             F_U64("snapshot-index", s->m.snapshot->meta.index), F_STR("remote-peer-id", p->hex),
             F_U64("bytes", x->bytes), F_STR("size", go_size(x->bytes, size)));
    if (post(x, p) != 0)
        give_up(x, "no connection can be made");
    else
        pull(x);
}

void peer__snapshots_take(struct peer_server *ps)
{
    for (struct mpsc_node *x = mpsc_take(&ps->snapshots.outgoing), *next; x != NULL; x = next) {
        next = x->next;
        send(ps, CONTAINER_OF(x, struct node_sending, link));
    }
}

void peer__sendings_give_up(struct peer *p, const char *why)
{
    LIST_EACH_SAFE (l, &p->ps->snapshots.sending) {
        struct snapshot_out *x = CONTAINER_OF(l, struct snapshot_out, link);

        if (x->to == p->id && x->out != NULL)
            give_up(x, why);
    }
}

void peer__sendings_stop(struct peer_server *ps)
{
    LIST_EACH_SAFE (l, &ps->snapshots.sending) {
        struct snapshot_out *x = CONTAINER_OF(l, struct snapshot_out, link);

        if (x->out != NULL)
            give_up(x, "the member stops");
    }
}
