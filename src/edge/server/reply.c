/* Answers: headers, errors, and results that leave piece by piece. */
#include "edge/server/kv.h"
#include "wire/pb.h"

void reply_error(struct call *c, enum api_error err)
{
    ASSERT(err != API_OK);
    call_finish(c, (int) api_error_code(err), api_error_text(err));
}

void reply_no_memory(struct call *c)
{
    call_finish(c, GRPC_RESOURCE_EXHAUSTED, "etcdserver: out of memory");
}

void reply_canceled(struct call *c)
{
    if (call_canceled(c) == CALL_DEADLINE)
        call_finish(c, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
    else
        call_finish(c, GRPC_CANCELED, "context canceled");
}

bool reply_failed(struct call *c, const struct node_result *res)
{
    if (res->err != API_OK)
        reply_error(c, res->err);
    else if (res->code != GRPC_OK)
        call_finish(c, (int) res->code, res->text);
    else if (res->too_large)
        call_finish(c, GRPC_RESOURCE_EXHAUSTED, "grpc: trying to send message larger than max");
    else
        return false;
    return true;
}

struct mvcc_header header_make(struct server *s, int64_t revision, uint64_t term)
{
    struct mvcc_header h = {s->cluster_id, s->member_id, revision, term};

    if (term == 0) {
        struct node_status st;

        node_status(s->node, &st);
        h.raft_term = st.term;
    }
    return h;
}

struct mvcc_header header_current(struct io *io, const struct node_result *res)
{
    int64_t revision = res->revision;

    if (revision == 0) {
        const struct mvcc_view *v = mvcc_view_pin(io->reader);

        revision = mvcc_view_revision(v);
        mvcc_view_unpin(v);
    }
    return header_make(io->server, revision, res->raft_term);
}

size_t header_size(const struct mvcc_header *h)
{
    return pb_u64_size(1, h->cluster_id) + pb_u64_size(2, h->member_id) +
           pb_u64_size(3, (uint64_t) h->revision) + pb_u64_size(4, h->raft_term);
}

uint8_t *header_put(const struct mvcc_header *h, uint8_t *p)
{
    p = pb_put_u64(p, 1, h->cluster_id);
    p = pb_put_u64(p, 2, h->member_id);
    p = pb_put_u64(p, 3, (uint64_t) h->revision);
    return pb_put_u64(p, 4, h->raft_term);
}

size_t header_field_put(const struct mvcc_header *h, uint8_t out[HEADER_BYTES_MAX])
{
    uint8_t *p = pb_put_head(out, 1, header_size(h));

    p = header_put(h, p);
    ASSERT(p <= out + HEADER_BYTES_MAX);
    return (size_t) (p - out);
}

void reply_header(struct call *c, const struct mvcc_header *h)
{
    uint8_t out[HEADER_BYTES_MAX];
    struct net_piece piece = net_piece_copied(out, header_field_put(h, out));

    call_reply(c, &piece, 1);
}

void reply_message(struct call *c, const struct mvcc_header *h, const ProtobufCMessage *m)
{
    uint8_t head[HEADER_BYTES_MAX];
    size_t n = wire_size(m);
    uint8_t *body = n == 0 ? NULL : arena_alloc(call_arena(c), n);
    struct net_piece pieces[2];

    if (n != 0 && body == NULL) {
        reply_no_memory(c);
        return;
    }
    if (n != 0 && protobuf_c_message_pack(m, body) != n)
        UNREACHABLE();
    pieces[0] = net_piece_copied(head, h == NULL ? 0 : header_field_put(h, head));
    pieces[1] = net_piece_kept(body, n);
    call_reply(c, pieces, ARRAY_LEN(pieces));
}

void req_message_done(struct req *r)
{
    const struct node_result *res = &r->node.result;
    struct mvcc_header h;

    if (reply_failed(r->call, res))
        return;
    h = header_current(r->io, res);
    if (res->answer == NODE_ANSWER_MSG)
        reply_message(r->call, &h, res->msg);
    else
        reply_header(r->call, &h);
}

/* ---- results of the store ---- */

void sorted_take(struct io *io, size_t n)
{
    if (n == 0)
        return;
    io->sorted_bytes += n;
    metric_add(io->server->m.sorted_bytes, (int64_t) n);
}

void sorted_release(struct io *io, size_t n)
{
    if (n == 0)
        return;
    ASSERT(io->sorted_bytes >= n);
    io->sorted_bytes -= n;
    metric_add(io->server->m.sorted_bytes, -(int64_t) n);
}

struct leaving {
    struct mvcc_reply *reply;
    const struct mvcc_view *view;
    struct stall stall;
    struct io *io;
    size_t sorted_bytes;
};

static bool fill(void *arg, uint8_t *out, size_t n)
{
    struct leaving *l = arg;

    stall_moved(&l->stall);
    return mvcc_reply_read(l->reply, out, n) == n;
}

static void filled(void *arg)
{
    struct leaving *l = arg;

    stall_end(&l->stall);
    mvcc_view_unpin(l->view);
    l->view = NULL;
    sorted_release(l->io, l->sorted_bytes);
}

/* All bytes at once; NULL: no memory, and the call was ended.  The view is unpinned. */
static uint8_t *read_whole(struct call *c, struct mvcc_reply *r, size_t n,
                           const struct mvcc_view *view)
{
    uint8_t *body = arena_alloc(call_arena(c), n);

    if (body != NULL && mvcc_reply_read(r, body, n) != n)
        UNREACHABLE();
    mvcc_view_unpin(view);
    return body;
}

static void reply_whole(struct call *c, const uint8_t *body, size_t n)
{
    struct net_piece piece;

    if (body == NULL) {
        reply_no_memory(c);
        return;
    }
    piece = net_piece_kept(body, n);
    call_reply(c, &piece, 1);
}

void reply_read(struct call *c, struct mvcc_reply *r, const struct mvcc_view *view,
                size_t sorted_bytes)
{
    struct leaving *l = r == NULL ? NULL : arena_alloc(call_arena(c), sizeof *l);
    struct io *io = call_io(c);
    uint64_t n;

    if (l == NULL) {
        mvcc_view_unpin(view);
        reply_no_memory(c);
        sorted_release(io, sorted_bytes);
        return;
    }
    n = mvcc_reply_bytes(r);
    if (n <= SERVER_REPLY_WHOLE_BYTES) {
        reply_whole(c, read_whole(c, r, (size_t) n, view), (size_t) n);
        sorted_release(io, sorted_bytes);
        return;
    }
    *l = (struct leaving){.reply = r, .view = view, .io = io, .sorted_bytes = sorted_bytes};
    if (view != NULL)
        stall_begin(&l->stall, c);
    call_reply_pull(c, n, (struct net_pull){fill, filled, l});
}

void reply_reply(struct call *c, struct mvcc_reply *r, const struct mvcc_view *view)
{
    reply_read(c, r, view, 0);
}

/* ---- ranges ---- */

struct range_leaving {
    struct leaving l;
    struct read_trace trace;
};

/* What a slow disk costs is found here, where the records are read. */
static bool range_fill(void *arg, uint8_t *out, size_t n)
{
    struct range_leaving *l = arg;
    struct clock *clock = l->trace.r->io->server->o.clock;
    mono_ns begin = clock_mono_ns(clock);
    bool filled_all = fill(&l->l, out, n);

    l->trace.end += clock_mono_ns(clock) - begin;
    return filled_all;
}

static void range_filled(void *arg)
{
    struct range_leaving *l = arg;

    trace_step_at(&l->trace.steps, TRACE_RECORDS, l->trace.end);
    trace_range(&l->trace);
    filled(&l->l);
}

static void reply_range_whole(struct mvcc_reply *r, size_t n, const struct mvcc_view *view,
                              struct read_trace *t, size_t sorted_bytes)
{
    struct call *c = t->r->call;
    struct io *io = t->r->io;
    uint8_t *body = read_whole(c, r, n, view);

    range_made(t);
    trace_range(t);
    reply_whole(c, body, n);
    sorted_release(io, sorted_bytes);
}

void reply_range(struct mvcc_reply *r, const struct mvcc_view *view, struct read_trace *t,
                 size_t sorted_bytes)
{
    struct call *c = t->r->call;
    uint64_t n = r == NULL ? 0 : mvcc_reply_bytes(r);
    struct range_leaving *l;

    if (r != NULL && n <= SERVER_REPLY_WHOLE_BYTES) {
        reply_range_whole(r, (size_t) n, view, t, sorted_bytes);
        return;
    }
    range_made(t);
    l = r == NULL ? NULL : arena_alloc(call_arena(c), sizeof *l);
    if (l == NULL) {
        mvcc_view_unpin(view);
        sorted_release(t->r->io, sorted_bytes);
        reply_no_memory(c);
        return;
    }
    *l = (struct range_leaving){
        {.reply = r, .view = view, .io = t->r->io, .sorted_bytes = sorted_bytes}, *t};
    stall_begin(&l->l.stall, c);
    call_reply_pull(c, n, (struct net_pull){range_fill, range_filled, l});
}

/* ---- requests ---- */

#define UNDECODABLE "proto: cannot parse invalid wire-format data"

const char *undecodable_text(const struct call *c, const struct err *e)
{
    /* grpc-go's words, and those of Go's protobuf, which has one text for all that is malformed. */
    bool utf8 = strcmp(e->msg, WIRE_TEXT_UTF8) == 0;

    if (call_method(c)->kind == NET_UNARY)
        return utf8 ? "grpc: error unmarshalling request: " WIRE_TEXT_UTF8
                    : "grpc: error unmarshalling request: " UNDECODABLE;
    return utf8 ? "grpc: failed to unmarshal the received message: " WIRE_TEXT_UTF8
                : "grpc: failed to unmarshal the received message: " UNDECODABLE;
}

bool request_decode(struct call *c, const ProtobufCMessageDescriptor *d, struct bytes *message,
                    void *ret)
{
    struct err e = ERR_INIT;
    int rc = wire_plain(d, *message, WIRE_DEPTH_MAX, call_arena(c), message, &e);

    if (rc == 0)
        rc = wire_unpack(d, *message, call_arena(c), ret, &e);
    if (rc == 0)
        return true;
    if (rc == ERR_CORRUPT)
        call_finish(c, GRPC_INTERNAL, undecodable_text(c, &e));
    else
        call_finish(c, GRPC_RESOURCE_EXHAUSTED, e.msg);
    return false;
}
