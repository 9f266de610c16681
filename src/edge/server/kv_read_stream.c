/* RangeStream: a range in chunks, from one view.
 *
 *      next --> slices (long_read.h) ... chunk is made --> call_send_pull --> ... leaves ...
 *        ^                                                                       |
 *        `------------------------------ task <-- chunk_gone <-------------------'
 *
 * One chunk is under way at a time, in an arena of its own.  chunk_gone may run from within the
 * connection's writing, so the next chunk is made by a task of its own. */
#include "edge/server/kv_read.h"
#include "edge/server/otel.h"

struct range_stream {
    struct long_read slices; /* of the chunk under way */
    struct mvcc_range_stream t;
    const struct mvcc_view *view;
    size_t sorted_bytes; /* of the chunk under way: sorted_take */
    struct mvcc_reply *reply;
    struct loop_task task;
    struct mvcc_header header;
    struct stall stall; /* of the chunk under way */
    bool last;
};

static struct range_stream *stream_of(struct long_read *r)
{
    return CONTAINER_OF(r, struct range_stream, slices);
}

static void chunk_free(struct range_stream *t)
{
    sorted_release(t->slices.io, t->sorted_bytes);
    t->sorted_bytes = 0;
    arena_free(t->slices.arena);
    t->slices.arena = NULL;
}

static void stream_end(struct range_stream *t, int code, const char *text)
{
    struct call *c = t->slices.call;

    mvcc_view_unpin(t->view);
    chunk_free(t);
    t->slices.io->outstanding--;
    call_finish(c, code, text);
}

static void stream_failed(struct range_stream *t, int rc)
{
    enum api_error err = mvcc_api_error(rc);

    if (err == API_OK)
        stream_end(t, GRPC_RESOURCE_EXHAUSTED, "etcdserver: out of memory");
    else
        stream_end(t, (int) api_error_code(err), api_error_text(err));
}

static bool chunk_fill(void *arg, uint8_t *out, size_t n)
{
    struct range_stream *t = arg;

    stall_moved(&t->stall);
    return mvcc_reply_read(t->reply, out, n) == n;
}

static void chunk_gone(void *arg)
{
    struct range_stream *t = arg;

    stall_end(&t->stall);
    loop_post(t->slices.io->loop, &t->task);
}

static int chunk_step(struct long_read *r, uint64_t units, bool *ret_ready)
{
    return mvcc_range_stream_step(&stream_of(r)->t, units, ret_ready);
}

static void chunk_send(struct range_stream *t)
{
    struct call *c = t->slices.call;
    struct arena *a = t->slices.arena;
    struct mvcc_range *g = mvcc_range_stream_chunk(&t->t, &t->last);

    metric_inc(t->slices.io->server->m.ranges);
    t->reply = mvcc_reply_range_chunk(g, t->last, t->last ? &t->header : NULL, a);
    if (t->reply == NULL) {
        stream_failed(t, ERR_NOMEM);
        return;
    }
    t->sorted_bytes = t->slices.bytes != 0 ? a->used_bytes : 0;
    sorted_take(t->slices.io, t->sorted_bytes);
    count_sent(t->slices.io, METHOD_KV_RANGE_STREAM);
    stall_begin(&t->stall, c);
    /* A refusal runs chunk_gone all the same; the task then sees that nobody listens. */
    if (call_send_pull(c, mvcc_reply_bytes(t->reply),
                       (struct net_pull){chunk_fill, chunk_gone, t}) != 0)
        t->last = true;
}

static void chunk_end(struct long_read *r, int rc)
{
    struct range_stream *t = stream_of(r);

    if (rc == ERR_CANCELED)
        stream_end(t, GRPC_OK, NULL);
    else if (rc != 0)
        stream_failed(t, rc);
    else
        chunk_send(t);
}

static void stream_next(struct range_stream *t)
{
    struct mvcc_range_ahead ahead;
    int rc = ERR_NOMEM;

    chunk_free(t);
    t->slices.arena = arena_new(SERVER_SORT_BYTES_MAX);
    if (t->slices.arena != NULL)
        rc = mvcc_range_stream_begin(&t->t, t->slices.arena);
    if (rc != 0) {
        stream_failed(t, rc);
        return;
    }
    mvcc_range_stream_ahead(&t->t, &ahead);
    long_read_go_on(&t->slices, &ahead);
}

static void stream_step(struct loop_task *task)
{
    struct range_stream *t = CONTAINER_OF(task, struct range_stream, task);

    if (t->last || call_canceled(t->slices.call) != CALL_NOT_CANCELED)
        stream_end(t, GRPC_OK, NULL);
    else
        stream_next(t);
}

static void stream_run(struct req *r)
{
    const Etcdserverpb__RangeRequest *q = r->user;
    struct auth_who who;
    struct range_stream *t;

    if (reply_failed(r->call, &r->node.result) ||
        !permitted(r->call,
                   permit_read(r->call, wire_bytes(q->key), wire_bytes(q->range_end), &who)))
        return;
    t = arena_calloc(call_arena(r->call), 1, sizeof *t);
    if (t == NULL) {
        reply_no_memory(r->call);
        return;
    }
    t->slices.call = r->call;
    t->slices.io = r->io;
    t->slices.step = chunk_step;
    t->slices.end = chunk_end;
    t->task.run = stream_step;
    t->view = mvcc_view_pin(r->io->reader);
    if (permit_after(r->io, &who) != API_OK) { /* what is in this view, only who may see it reads */
        mvcc_view_unpin(t->view);
        reply_error(r->call, API_AUTH_OLD_REVISION);
        return;
    }
    t->header = header_make(r->io->server, mvcc_view_revision(t->view), 0);
    mvcc_range_stream_init(&t->t, t->view, r->user, r->io->server->config->max_request_bytes);
    r->io->outstanding++; /* until stream_end: the loop may not stop before */
    stream_next(t);
}

void kv_range_stream(struct call *c, struct bytes message)
{
    Etcdserverpb__RangeRequest *q;
    enum api_error err;
    const char *text;

    count_received(c, METHOD_KV_RANGE_STREAM);
    q = kv_range_decode(c, message);
    if (q == NULL)
        return;
    err = mvcc_check_range(q);
    if (err != API_OK) {
        reply_error(c, err);
        return;
    }
    text = mvcc_check_range_stream(q);
    if (text != NULL) {
        call_finish(c, GRPC_UNIMPLEMENTED, text);
        return;
    }
    OTEL(c, range, q, true);
    read_when(c, q->serializable, q, stream_run);
}
