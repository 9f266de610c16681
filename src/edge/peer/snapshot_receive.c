/* snapshot_receive.c -- POST /raft/snapshot: the request, and the head of its body.
 * What is wrong with sender or message is answered before any file is touched (etcd looks at some
 * of it only afterwards); the rest of the body is then thrown away.
 *
 * It may take hours, as long as bytes come.  One whose leader has been followed by another is given
 * up when that one sends its own: raft would not take it any more, and each is as large as all
 * data.
 */
#include "edge/peer/snapshot_coming.h"
#include "obs/gofmt.h"

/* ---- the head ---- */

static void bad_head(struct snapshot_in *x, const char *why)
{
    LOG_WARN(x->ps->o.log, "failed to decode Raft message", F_STR("local-member-id", x->ps->hex),
             F_STR("remote-snapshot-sender-id", x->from), F_STR("error", why));
    peer__coming_fail(x, 400, "failed to decode raft message", why);
}

static void wrong_type(struct snapshot_in *x)
{
    LOG_WARN(x->ps->o.log, "unexpected Raft message type", F_STR("local-member-id", x->ps->hex),
             F_STR("remote-snapshot-sender-id", x->from),
             F_I64("message-type", x->message->m.type));
    peer__answer(x->req, x->ps, 400, "wrong raft message type");
    peer__coming_give_up(x);
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
            peer__coming_not_saved(o, "a leader of a later term sends another");
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
        peer__coming_fail(x, 500, "failed to process raft message", why);
        return false;
    }
    begin_data(x);
    return true;
}

/* ---- the request ---- */

static void on_data(struct http_req *r, struct bytes part)
{
    struct snapshot_in *x = http_user(r);

    peer__coming_expect_more(x);
    if (x->receiving != NULL || take_head(x, &part))
        peer__coming_data(x, part);
}

static void on_data_end(struct http_req *r)
{
    struct snapshot_in *x = http_user(r);

    if (x->receiving == NULL) {
        bad_head(x, snapshot_head_cut(&x->head));
        return;
    }
    peer__coming_data_end(x);
}

static void on_cancel(struct http_req *r)
{
    peer__coming_lost(http_user(r), "unexpected EOF");
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
    x = peer__coming_new(ps, r);
    http_set_user(r, x);
    http_on_cancel(r, on_cancel);
    peer__coming_expect_more(x);
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
            peer__coming_give_up(x);
        }
    }
}
