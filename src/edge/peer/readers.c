/* readers.c -- streams that we dial: on them the other member writes. */
#include "edge/peer/peer_int.h"

static const char *const stream_names[PEER_STREAMS] = {"stream Message", "stream MsgApp v2"};
static const char *const stream_paths[PEER_STREAMS] = {"message", "msgapp"};

/* Words of an answer that are not 200. */
#define REASON_BYTES 128

/* Of a message that brings no entries and is let in although others fill the memory. */
#define SHORT_BYTES 4096

/* ---- what comes ---- */

static void release(struct node_message *x)
{
    struct peer *p = x->owner;

    atomic_fetch_sub(&p->received, 1);
    atomic_fetch_sub(&p->received_bytes, x->bytes);
    peer_message_free(x);
    peer__unref(p);
}

/* Bytes bound what brings entries, and whatever is long: behind one large entry heartbeats go on,
 * or it would cost the leader its office. */
static bool has_room(const struct peer *p, const struct node_message *x, size_t bytes)
{
    if (atomic_load(&p->received) >= PEER_QUEUE_MAX)
        return false;
    if (x->m.entries_n == 0 && bytes <= SHORT_BYTES)
        return true;
    return atomic_load(&p->received_bytes) <= PEER_QUEUE_BYTES_MAX;
}

bool peer__received(struct peer *p, struct node_message *x, size_t bytes)
{
    if (!has_room(p, x, bytes)) {
        LOG_WARN(
            p->ps->o.log,
            "dropped internal Raft message since receiving buffer is full (overloaded network)",
            F_U64("message-type", x->m.type), F_STR("local-member-id", p->ps->hex),
            F_STR("from", p->hex));
        peer_message_free(x);
        return false;
    }
    metric_add(p->metrics.received_bytes, (int64_t) bytes);
    x->owner = p;
    x->bytes = bytes;
    x->release = release;
    x->link.next = NULL;
    atomic_fetch_add(&p->received, 1);
    atomic_fetch_add(&p->received_bytes, bytes);
    atomic_fetch_add(&p->refs, 1);
    return true;
}

static void on_message(void *arg, struct node_message *x)
{
    struct peer_reader *r = arg;
    struct peer_server *ps = r->peer->ps;

    if (peer_is_link_heartbeat(&x->m)) {
        peer_message_free(x);
        return;
    }
    if (!peer__received(r->peer, x, x->block->bytes))
        return;
    if (ps->received_last != NULL)
        ps->received_last->link.next = &x->link;
    else
        ps->received = x;
    ps->received_last = x;
    loop_hook_arm(ps->loop, &ps->hand_over);
}

/* All that came in this turn of the loop wakes the node once: each message is a chunk of its own,
 * and several members answer at about the same time. */
static void hand_over(struct loop_hook *h)
{
    struct peer_server *ps = CONTAINER_OF(h, struct peer_server, hand_over);
    struct node_message *first = ps->received;

    ps->received = ps->received_last = NULL;
    if (first != NULL)
        node_receive(ps->node, first);
}

void peer__received_open(struct peer_server *ps)
{
    loop_hook_init(&ps->hand_over, hand_over);
}

void peer__received_close(struct peer_server *ps)
{
    loop_hook_disarm(&ps->hand_over);
    while (ps->received != NULL) {
        struct node_message *x = ps->received;

        ps->received = x->link.next == NULL ? NULL
                                            : CONTAINER_OF(x->link.next, struct node_message, link);
        x->release(x);
    }
    ps->received_last = NULL;
}

/* ---- the connection ---- */

static void redial_later(struct peer_reader *r)
{
    if (loop_timer_start(r->peer->ps->loop, &r->redial, PEER_REDIAL_MS) != 0)
        LOG_ERROR(r->peer->ps->o.log, "out of memory for a timer: a peer is not dialed any more",
                  F_STR("remote-peer-id", r->peer->hex));
}

static void lost(struct peer_reader *r, const char *why)
{
    struct peer *p = r->peer;

    if (r->connected)
        LOG_WARN(p->ps->o.log, "lost TCP streaming connection with remote peer",
                 F_STR("stream-reader-type", stream_names[r->kind]),
                 F_STR("local-member-id", p->ps->hex), F_STR("remote-peer-id", p->hex),
                 F_STR("error", why));
    peer__deactivate(p,
                     r->kind == PEER_STREAM_MESSAGE ? "read stream Message on peer"
                                                    : "read stream MsgApp v2 on peer",
                     why);
    r->out = NULL;
    r->connected = false;
    peer_decoder_done(&r->decoder);
    for (size_t i = 0; i < p->urls_n; i++) {
        if (p->clients[i] == r->on)
            peer__url_failed(p, i);
    }
    redial_later(r);
}

static void on_end(struct http_out *x, const char *why)
{
    lost(http_out_user(x), why == NULL ? "EOF" : why);
}

static void give_up(struct peer_reader *r, const char *why)
{
    struct http_out *x = r->out;

    http_out_abort(x);
    lost(r, why);
}

static void on_data(struct http_out *x, struct bytes part)
{
    struct peer_reader *r = http_out_user(x);
    struct err e = ERR_INIT;
    int rc;

    if (!r->connected)
        return; /* the words of a refusal */
    rc = peer_decode(&r->decoder, part, &e);
    if (rc != 0)
        give_up(r, e.msg);
}

static void on_head(struct http_out *x, int status)
{
    struct peer_reader *r = http_out_user(x);
    struct peer *p = r->peer;
    char why[REASON_BYTES];

    if (status == 410) {
        node_report_removed(p->ps->node);
        give_up(r, "the member has been permanently removed from the cluster");
        return;
    }
    if (status != 200) {
        snprintf(why, sizeof why, "unexpected http status code %d", status);
        give_up(r, why);
        return;
    }
    r->connected = true;
    peer_decoder_init(&r->decoder, r->kind, p->id, p->ps->id);
    r->decoder.deliver = on_message;
    r->decoder.arg = r;
    LOG_INFO(p->ps->o.log, "established TCP streaming connection with remote peer",
             F_STR("stream-reader-type", stream_names[r->kind]),
             F_STR("local-member-id", p->ps->hex), F_STR("remote-peer-id", p->hex));
    peer__activate(p);
}

static void dial(struct peer_reader *r)
{
    struct peer *p = r->peer;
    struct peer_fields fields;
    char path[96];
    struct http_out_options o = {.method = "GET",
                                 .path = path,
                                 .silence_ms = PEER_SILENCE_MS,
                                 .head = on_head,
                                 .data = on_data,
                                 .end = on_end,
                                 .user = r};
    struct err e = ERR_INIT;

    r->on = peer__client(p);
    if (r->on == NULL) {
        peer__url_failed(p, p->url);
        redial_later(r);
        return;
    }
    snprintf(path, sizeof path, "/raft/stream/%s/%s", stream_paths[r->kind], p->ps->hex);
    peer__fields(p->ps, p, &fields);
    o.fields = fields.f;
    o.fields_n = fields.n;
    if (http_client_request(r->on, &o, &r->out, &e) != 0) {
        r->out = NULL;
        peer__deactivate(p, "dial peer", e.msg);
        redial_later(r);
    }
}

static void on_redial(struct loop_timer *t)
{
    dial(CONTAINER_OF(t, struct peer_reader, redial));
}

/* ---- life ---- */

void peer__reader_init(struct peer *p, enum peer_stream kind)
{
    struct peer_reader *r = &p->readers[kind];

    r->peer = p;
    r->kind = kind;
    loop_timer_init(&r->redial, on_redial);
}

void peer__reader_start(struct peer_reader *r)
{
    if (r->out == NULL && !loop_timer_active(&r->redial))
        dial(r);
}

void peer__reader_close(struct peer_reader *r)
{
    loop_timer_stop(r->peer->ps->loop, &r->redial);
    if (r->out != NULL)
        http_out_abort(r->out);
    r->out = NULL;
    if (r->connected)
        peer_decoder_done(&r->decoder);
    r->connected = false;
}
