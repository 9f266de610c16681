/* Maintenance.Snapshot: the data file in pieces of 32 KiB, then the SHA-256 of all of them.
 *
 * The node's work actor reads and sums up; this thread only frames what it was given.  Two requests
 * for a piece are under way in turn, so that one is read while the other is sent, and no more: what
 * waits is bounded by two pieces and SNAPSHOT_QUEUED_BYTES, and the file is read only as fast as
 * the client takes it.
 *
 *     opened -> [ piece asked for -> arrived -> sent ] ... -> sum sent -> over
 *
 * A stream that is to end while the node still has one of its requests waits for that (I1): the
 * request lies in the call's arena.  The client sees the end at once only where it caused it.
 */
#include "edge/server/maintenance.h"
#include "edge/server/permit.h"
#include "wire/pb.h"

#define SNAPSHOT_BLOB_BYTES 32768
#define SNAPSHOT_QUEUED_BYTES (256u << 10)
#define SNAPSHOT_PIECES 2

struct snapshot_piece {
    struct req req;
    struct payload *bytes; /* arrived, not sent whole; else NULL */
    size_t sent;
};

struct snapshot_stream {
    struct req req;
    struct node_snapshot *snapshot;
    struct snapshot_piece pieces[SNAPSHOT_PIECES]; /* asked for and sent in turn */
    unsigned at;                                   /* the one to be sent next */
    unsigned under_way;                            /* requests with the node */
    uint64_t left;                                 /* bytes not yet sent */
    char version[16];
    struct loop_timer stall_timer;
    bool over; /* to be ended with `code` and `text` once nothing is under way */
    int code;
    const char *text; /* static, or in the snapshot */
    mono_ns begin;
};

/* Frees what is not in the arena and ends the call, behind which there is no arena. */
static void end_now(struct snapshot_stream *t)
{
    struct node_snapshot *snapshot = t->snapshot;
    struct io *io = t->req.io;

    ASSERT(t->over);
    ASSERT(t->under_way == 0);
    loop_timer_stop(io->loop, &t->stall_timer); /* I4 */
    for (size_t i = 0; i < SNAPSHOT_PIECES; i++)
        payload_unref(t->pieces[i].bytes);
    io->outstanding--;
    histogram_observe(io->server->m.snapshot_seconds, loop_now_ns(io->loop) - t->begin);
    call_finish(t->req.call, t->code, t->text);
    node_snapshot_free(snapshot); /* `text` may lie in it */
}

static void end(struct snapshot_stream *t, int code, const char *text)
{
    ASSERT(!t->over);
    t->over = true;
    t->code = code;
    t->text = text;
    if (t->under_way == 0)
        end_now(t);
    else
        call_on_writable(t->req.call, 0, NULL);
}

static int send_blob(struct snapshot_stream *t, struct net_piece blob)
{
    uint8_t head[40], tail[24], *h = head, *w = tail;
    struct net_piece v[3];

    h = pb_put_u64(h, 2, t->left);
    h = pb_put_head(h, 3, blob.bytes.n);
    if (*t->version != 0)
        w = pb_put_bytes(w, 4, bytes_str(t->version));
    v[0] = net_piece_copied(head, (size_t) (h - head));
    v[1] = blob;
    v[2] = net_piece_copied(tail, (size_t) (w - tail));
    count_sent(t->req.io, METHOD_SNAPSHOT);
    return call_send(t->req.call, v, ARRAY_LEN(v));
}

static void finish(struct snapshot_stream *t)
{
    uint8_t sum[SHA256_BYTES];
    int rc;

    node_snapshot_sum(t->snapshot, sum);
    rc = send_blob(t, net_piece_copied(sum, sizeof sum));
    LOG_INFO(t->req.io->server->log, "successfully sent database snapshot to client",
             F_U64("total-bytes", node_snapshot_bytes(t->snapshot)),
             F_NS("took", loop_now_ns(t->req.io->loop) - t->begin));
    end(t, rc == 0 ? GRPC_OK : GRPC_RESOURCE_EXHAUSTED,
        rc == 0 ? NULL : "etcdserver: out of memory");
}

static void ask(struct snapshot_stream *t, struct snapshot_piece *p)
{
    ASSERT(p->bytes == NULL);
    t->under_way++;
    req_submit(&p->req);
}

/* The next blob of a piece. */
static int send_next(struct snapshot_stream *t, struct snapshot_piece *p)
{
    struct net_piece blob = net_piece_counted(p->bytes);

    blob.bytes.p += p->sent;
    blob.bytes.n = MIN(blob.bytes.n - p->sent, (size_t) SNAPSHOT_BLOB_BYTES);
    ASSERT(blob.bytes.n <= t->left);
    t->left -= blob.bytes.n;
    p->sent += blob.bytes.n;
    return send_blob(t, blob);
}

static void restart_stall_timer(struct snapshot_stream *t)
{
    if (loop_timer_start(t->req.io->loop, &t->stall_timer, t->req.io->server->stall_ms) != 0)
        end(t, GRPC_RESOURCE_EXHAUSTED, "etcdserver: out of memory");
}

/* Sends what is there until enough waits for the client. */
static void pump(struct snapshot_stream *t)
{
    struct snapshot_piece *p = &t->pieces[t->at];

    while (p->bytes != NULL && call_queued_bytes(t->req.call) < SNAPSHOT_QUEUED_BYTES) {
        if (send_next(t, p) != 0) {
            end(t, GRPC_RESOURCE_EXHAUSTED, "etcdserver: out of memory");
            return;
        }
        if (p->sent < p->bytes->bytes)
            continue;
        payload_unref(p->bytes);
        p->bytes = NULL;
        t->at = (t->at + 1) % SNAPSHOT_PIECES;
        if (t->left > 0)
            ask(t, p);
        p = &t->pieces[t->at];
    }
    if (t->left > 0)
        restart_stall_timer(t);
    else if (t->under_way == 0)
        finish(t);
}

static void arrived(struct req *r)
{
    struct snapshot_piece *p = CONTAINER_OF(r, struct snapshot_piece, req);
    struct snapshot_stream *t = r->user;
    const struct node_result *res = &r->node.result;

    t->under_way--;
    if (res->answer == NODE_ANSWER_PIECE) {
        p->bytes = res->piece;
        p->sent = 0;
    }
    if (t->over) {
        if (t->under_way == 0)
            end_now(t);
        return;
    }
    if (res->answer != NODE_ANSWER_PIECE) {
        ASSERT(res->err == API_OK); /* the work actor knows no API errors of a piece */
        end(t, (int) res->code, res->text);
        return;
    }
    if (p->bytes->bytes == 0) {
        /* Asked for ahead, and there was nothing more. */
        payload_unref(p->bytes);
        p->bytes = NULL;
    }
    pump(t);
}

static void writable(struct call *c)
{
    struct snapshot_stream *t = call_user(c);

    if (!t->over)
        pump(t);
}

static void canceled(struct call *c, enum call_cancel_reason why)
{
    struct snapshot_stream *t = call_user(c);

    (void) why;
    if (!t->over)
        end(t, GRPC_CANCELED, "context canceled");
}

static void stalled(struct loop_timer *timer)
{
    struct snapshot_stream *t = CONTAINER_OF(timer, struct snapshot_stream, stall_timer);

    if (t->over)
        return;
    LOG_WARN(t->req.io->server->log, "ending a snapshot stream whose client takes nothing",
             F_U64("bytes-left", t->left));
    end(t, GRPC_ABORTED, "etcdserver: snapshot not taken by its client");
}

static void prepare(struct snapshot_stream *t)
{
    struct server *s = t->req.io->server;
    struct node_status st;

    t->left = node_snapshot_bytes(t->snapshot);
    node_status(s->node, &st);
    if (st.storage_version != 0 && strcmp(s->config->emulated_version, "3.5") != 0)
        snprintf(t->version, sizeof t->version, "%u.%u.0", st.storage_version >> 16,
                 st.storage_version & 0xffff);
    for (size_t i = 0; i < SNAPSHOT_PIECES; i++) {
        struct req *r = &t->pieces[i].req;

        *r = (struct req){.io = t->req.io, .call = t->req.call, .then = arrived, .user = t};
        r->node.kind = NODE_REQ_SNAPSHOT_PIECE;
        r->node.sink = &t->req.io->sink;
        r->node.snapshot = t->snapshot;
    }
}

static void opened(struct req *r)
{
    struct snapshot_stream *t = CONTAINER_OF(r, struct snapshot_stream, req);

    if (reply_failed(r->call, &r->node.result))
        return;
    t->snapshot = r->node.result.snapshot;
    r->io->outstanding++; /* until end_now */
    if (call_canceled(r->call) != CALL_NOT_CANCELED) {
        end(t, GRPC_CANCELED, "context canceled");
        return;
    }
    prepare(t);
    LOG_INFO(r->io->server->log, "sending database snapshot to client",
             F_U64("total-bytes", t->left), F_STR("storage-version", t->version));
    call_set_user(r->call, t);
    call_on_cancel(r->call, canceled);
    call_on_writable(r->call, SNAPSHOT_QUEUED_BYTES, writable);
    for (size_t i = 0; i < SNAPSHOT_PIECES; i++)
        ask(t, &t->pieces[i]);
}

void maintenance_snapshot(struct call *c, struct bytes message)
{
    Etcdserverpb__SnapshotRequest *q;
    struct snapshot_stream *t;

    count_received(c, METHOD_SNAPSHOT);
    if (!REQUEST_DECODE(c, etcdserverpb__snapshot_request, message, &q) ||
        !permitted(c, permit_admin(c)))
        return;
    t = arena_calloc(call_arena(c), 1, sizeof *t);
    if (t == NULL) {
        reply_no_memory(c);
        return;
    }
    t->req.node.kind = NODE_REQ_SNAPSHOT;
    t->req.node.sink = &call_io(c)->sink;
    t->req.node.arena = call_arena(c);
    t->req.io = call_io(c);
    t->req.call = c;
    t->req.then = opened;
    loop_timer_init(&t->stall_timer, stalled);
    t->begin = loop_now_ns(call_loop(c));
    req_submit(&t->req);
}
