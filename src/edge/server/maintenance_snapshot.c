/* Maintenance.Snapshot: the data file in pieces of 32 KiB, then the SHA-256 of all of them.
 *
 * The file is read only as fast as the client takes it: never more than SNAPSHOT_QUEUED_BYTES wait.
 */
#include "edge/server/maintenance.h"
#include "sys/digest.h"
#include "wire/pb.h"

#define SNAPSHOT_BLOB_BYTES 32768
#define SNAPSHOT_QUEUED_BYTES (256u << 10)
#define SNAPSHOT_TURN_BYTES \
    (1u << 20) /* read in one go: other calls of the thread wait meanwhile */

struct snapshot_stream {
    struct req req;
    struct node_snapshot *snapshot;
    struct digest *digest;
    uint64_t left; /* bytes not yet sent */
    char version[16];
    struct loop_task task;
    bool posted; /* the task is on its way */
    bool ended;  /* the call was ended; the record waits for its task */
    mono_ns begin;
};

/* Frees what is not in the arena; the call may be ended after that. */
static void release(struct snapshot_stream *t)
{
    node_snapshot_free(t->snapshot);
    digest_free(t->digest);
    t->snapshot = NULL;
    t->digest = NULL;
}

static void end(struct snapshot_stream *t, int code, const char *text)
{
    release(t);
    if (t->posted) {
        /* The task still points here: it ends the call. */
        t->ended = true;
        call_on_writable(t->req.call, 0, NULL);
        return;
    }
    t->req.io->outstanding--;
    histogram_observe(t->req.io->server->m.snapshot_seconds,
                      loop_now_ns(t->req.io->loop) - t->begin);
    call_finish(t->req.call, code, text);
}

static int send_piece(struct snapshot_stream *t, const uint8_t *p, size_t n)
{
    uint8_t head[40], tail[24], *h = head, *w = tail;
    struct net_piece v[3];

    h = pb_put_u64(h, 2, t->left);
    h = pb_put_head(h, 3, n);
    if (*t->version != 0)
        w = pb_put_bytes(w, 4, bytes_str(t->version));
    v[0] = net_piece_copied(head, (size_t) (h - head));
    v[1] = net_piece_copied(p, n);
    v[2] = net_piece_copied(tail, (size_t) (w - tail));
    count_sent(t->req.io, METHOD_SNAPSHOT);
    return call_send(t->req.call, v, ARRAY_LEN(v));
}

static void finish(struct snapshot_stream *t)
{
    uint8_t sum[SHA256_BYTES];
    int rc;

    digest_end(t->digest, sum);
    t->digest = NULL;
    rc = send_piece(t, sum, sizeof sum);
    LOG_INFO(t->req.io->server->log, "successfully sent database snapshot to client",
             F_U64("total-bytes", node_snapshot_bytes(t->snapshot)),
             F_NS("took", loop_now_ns(t->req.io->loop) - t->begin));
    end(t, rc == 0 ? GRPC_OK : GRPC_RESOURCE_EXHAUSTED,
        rc == 0 ? NULL : "etcdserver: out of memory");
}

/* Sends until enough waits for the client or this thread has other things to do. */
static void pump(struct snapshot_stream *t)
{
    size_t sent = 0;

    while (t->left > 0 && sent < SNAPSHOT_TURN_BYTES &&
           call_queued_bytes(t->req.call) < SNAPSHOT_QUEUED_BYTES) {
        struct err e = ERR_INIT;
        const uint8_t *p;
        size_t n;

        if (node_snapshot_read(t->snapshot, &p, SNAPSHOT_BLOB_BYTES, &n, &e) != 0 || n == 0 ||
            n > t->left) {
            end(t, GRPC_UNKNOWN, e.code == 0 ? "snapshot ended early" : e.msg);
            return;
        }
        t->left -= n;
        digest_add(t->digest, p, n);
        if (send_piece(t, p, n) != 0) {
            end(t, GRPC_RESOURCE_EXHAUSTED, "etcdserver: out of memory");
            return;
        }
        sent += n;
    }
    if (t->left == 0) {
        finish(t);
    } else if (sent >= SNAPSHOT_TURN_BYTES && !t->posted) {
        t->posted = true;
        loop_post(t->req.io->loop, &t->task);
    }
}

static void step(struct loop_task *task)
{
    struct snapshot_stream *t = CONTAINER_OF(task, struct snapshot_stream, task);

    t->posted = false;
    if (t->ended)
        end(t, GRPC_CANCELED, "context canceled");
    else
        pump(t);
}

static void writable(struct call *c)
{
    struct snapshot_stream *t = call_user(c);

    if (!t->ended && !t->posted && t->snapshot != NULL)
        pump(t);
}

static void canceled(struct call *c, enum call_cancel_reason why)
{
    struct snapshot_stream *t = call_user(c);

    (void) why;
    if (!t->ended)
        end(t, GRPC_CANCELED, "context canceled");
}

static void opened(struct req *r)
{
    struct snapshot_stream *t = CONTAINER_OF(r, struct snapshot_stream, req);
    struct server *s = r->io->server;
    struct node_status st;

    if (reply_failed(r->call, &r->node.result))
        return;
    t->snapshot = r->node.result.snapshot;
    t->digest = digest_sha256_new();
    r->io->outstanding++; /* until `end` */
    if (t->digest == NULL || call_canceled(r->call) != CALL_NOT_CANCELED) {
        end(t, GRPC_CANCELED, "context canceled");
        return;
    }
    t->left = node_snapshot_bytes(t->snapshot);
    node_status(s->node, &st);
    if (st.storage_version != 0 && strcmp(s->config->emulated_version, "3.5") != 0)
        snprintf(t->version, sizeof t->version, "%u.%u.0", st.storage_version >> 16,
                 st.storage_version & 0xffff);
    LOG_INFO(s->log, "sending database snapshot to client", F_U64("total-bytes", t->left),
             F_STR("storage-version", t->version));
    call_set_user(r->call, t);
    call_on_cancel(r->call, canceled);
    call_on_writable(r->call, SNAPSHOT_QUEUED_BYTES, writable);
    pump(t);
}

void maintenance_snapshot(struct call *c, struct bytes message)
{
    Etcdserverpb__SnapshotRequest *q;
    struct snapshot_stream *t;

    count_received(c, METHOD_SNAPSHOT);
    if (!REQUEST_DECODE(c, etcdserverpb__snapshot_request, message, &q))
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
    t->task.run = step;
    t->begin = loop_now_ns(call_loop(c));
    req_submit(&t->req);
}
