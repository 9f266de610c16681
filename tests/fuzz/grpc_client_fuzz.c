/* grpc_client_fuzz.c -- a client's connection without a socket, fed with what a server might say.
 *
 * The first byte of the input says how the rest is cut into reads.  Four calls are open, a unary
 * one, two streams of which one pauses now and then, and one that is canceled on the way.  Whatever
 * comes: every call ends exactly once, with a code that exists; no message comes after its end or
 * is larger than allowed; what goes out is well-formed frames. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/client_int.h"
#include "fuzz/conn_output.h"

#define MESSAGE_BYTES_MAX 4096
#define CALLS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct expected {
    struct rpc *r; /* NULL: it has ended */
    unsigned ends;
    unsigned messages;
};

static struct loop *loop;
static struct expected calls[CALLS];

static void ended(struct rpc *r, const struct rpc_result *res, void *user)
{
    struct expected *x = user;

    ASSERT(x->r == r);
    ASSERT(res->code >= 0);
    ASSERT(res->code <= 16 || res->message.n > 0);
    ASSERT(res->response.n <= MESSAGE_BYTES_MAX);
    ASSERT(res->code == 0 || res->response.n == 0);
    x->r = NULL;
    x->ends++;
}

static void opened(struct rpc *r, void *user)
{
    struct bytes v;

    ASSERT(((struct expected *) user)->r == r);
    if (rpc_response_metadata(r, "content-type", &v))
        ASSERT(v.n > 0);
}

static void message(struct rpc *r, struct bytes m, void *user)
{
    struct expected *x = user;

    ASSERT(x->r == r);
    ASSERT(m.n <= MESSAGE_BYTES_MAX);
    x->messages++;
    if (x == &calls[2] && x->messages % 2 == 1)
        rpc_pause(r);
}

static const struct rpc_stream_callbacks stream = {
    .on_open = opened, .on_message = message, .on_end = ended};

static void begin_calls(struct channel *ch)
{
    struct rpc_options o = {.path = "/f.F/Unary", .user = &calls[0]};

    memset(calls, 0, sizeof calls);
    calls[0].r = rpc_unary(ch, &o, BYTES_LIT("request"), ended);
    for (size_t i = 1; i < CALLS; i++) {
        struct net_piece p = net_piece_kept("message", 7);

        o = (struct rpc_options){.path = "/f.F/Chat", .user = &calls[i]};
        calls[i].r = rpc_open(ch, &o, &stream);
        ASSERT(calls[i].r != NULL);
        ASSERT(rpc_send(calls[i].r, &p, 1) == 0);
    }
    ASSERT(calls[0].r != NULL);
    rpc_half_close(calls[1].r);
}

/* What the client says: its preface, then frames of legal length. */
static void check_output(const struct buf *out)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    size_t n = sizeof preface - 1;

    ASSERT(out->len >= n);
    ASSERT(memcmp(out->p, preface, n) == 0);
    conn_output_check_frames(out, n);
}

/* One turn: what is to be written is taken; false: the connection is gone. */
static bool turn(struct channel *ch, struct buf *out)
{
    struct client_conn *cc;

    loop__turn_end(loop);
    if (list_empty(&ch->conns))
        return false;
    cc = CONTAINER_OF(ch->conns.next, struct client_conn, link);
    if (cc->conn.state != CONN_OPEN)
        return false;
    conn_output_take(&cc->conn, out);
    conn__dirty(&cc->conn);
    loop__turn_end(loop);
    return !list_empty(&ch->conns) && cc->conn.state == CONN_OPEN;
}

static void disturb(size_t round)
{
    if (round == 5 && calls[3].r != NULL)
        rpc_cancel(calls[3].r);
    if (round % 3 == 2 && calls[2].r != NULL)
        rpc_resume(calls[2].r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct channel_options o = {
        .host = "nowhere", .port = 1, .recv_message_bytes_max = MESSAGE_BYTES_MAX};
    struct channel *ch;
    struct conn *c;
    struct buf out;
    size_t step;
    bool open = true;

    if (size < 2)
        return 0;
    if (loop == NULL)
        ASSERT(loop_new("fuzz", &loop, NULL) == 0);
    buf_init(&out, SIZE_MAX);
    step = data[0] == 0 ? size : data[0];
    data++;
    size--;
    ASSERT(channel_new(loop, &o, &ch, NULL) == 0);
    ch->state = CHANNEL_CONNECTING; /* as after a dial */
    ch->cc = client_conn__new(ch, -1);
    ASSERT(ch->cc != NULL);
    c = &ch->cc->conn;
    begin_calls(ch);
    for (size_t at = 0; at < size && open; at += step) {
        conn__feed(c, data + at, MIN(step, size - at));
        open = turn(ch, &out);
        disturb(at / step);
    }
    for (int i = 0; i < 32 && open; i++)
        open = turn(ch, &out);
    if (open)
        check_output(&out);
    channel_free(ch);
    if (open)
        conn__doom(c, 0); /* no socket takes what is still to be written */
    loop__turn_end(loop);
    for (size_t i = 0; i < CALLS; i++)
        ASSERT(calls[i].ends == 1);
    buf_done(&out);
    return 0;
}
