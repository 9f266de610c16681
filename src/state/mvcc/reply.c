/* reply.c -- results as wire bytes: making a reply (reply_read.c reads it).
 *
 * A reply is a list of segments in order: literal bytes, made when the reply is, and ranges, whose
 * KeyValues are fetched one by one while the reply is read. */
#include "state/mvcc/reply_int.h"

enum {
    HEADER_CLUSTER_ID = 1,
    HEADER_MEMBER_ID = 2,
    HEADER_REVISION = 3,
    HEADER_RAFT_TERM = 4,

    RESPONSE_HEADER = 1, /* of every response */
    RANGE_MORE = 3,
    RANGE_COUNT = 4,
    PUT_PREV_KV = 2,
    DELETE_DELETED = 2,
    DELETE_PREV_KVS = 3,
    TXN_SUCCEEDED = 2,
    TXN_RESPONSES = 3,
    OP_RANGE = 1,
    OP_PUT = 2,
    OP_DELETE = 3,
    OP_TXN = 4,
    CHUNK_RANGE = 1,
};

/* ---- making ---- */

static struct mvcc_reply *reply_new(struct arena *a)
{
    struct mvcc_reply *r = arena_calloc(a, 1, sizeof *r);

    if (r != NULL)
        r->arena = a;
    return r;
}

static struct mvcc_reply *reply_end(struct mvcc_reply *r)
{
    if (r->no_memory)
        return NULL;
    ASSERT(r->total == 0 || r->first != NULL);
    r->at = r->first;
    return r;
}

static struct reply_segment *segment_add(struct mvcc_reply *r)
{
    struct reply_segment *s = arena_calloc(r->arena, 1, sizeof *s);

    if (s == NULL) {
        r->no_memory = true;
        return NULL;
    }
    if (r->last == NULL)
        r->first = s;
    else
        r->last->next = s;
    r->last = s;
    return s;
}

/* Room for n literal bytes, or NULL; *ret_end is where they must end. */
static uint8_t *literal(struct mvcc_reply *r, size_t n)
{
    struct reply_segment *s;
    uint8_t *p;

    if (n == 0 || r->no_memory)
        return NULL;
    s = segment_add(r);
    p = arena_alloc(r->arena, n);
    if (s == NULL || p == NULL) {
        r->no_memory = true;
        return NULL;
    }
    ASSERT(s->range == NULL);
    s->bytes = bytes_of(p, n);
    r->total += n;
    return p;
}

static size_t header_bytes(const struct mvcc_header *h)
{
    return pb_u64_size(HEADER_CLUSTER_ID, h->cluster_id) +
           pb_u64_size(HEADER_MEMBER_ID, h->member_id) +
           pb_u64_size(HEADER_REVISION, (uint64_t) h->revision) +
           pb_u64_size(HEADER_RAFT_TERM, h->raft_term);
}

/* Of the field; nothing without a header. */
static size_t header_field_bytes(const struct mvcc_header *h)
{
    size_t n;

    if (h == NULL)
        return 0;
    n = header_bytes(h);
    return pb_head_size(RESPONSE_HEADER, n) + n;
}

static uint8_t *header_field_put(uint8_t *p, const struct mvcc_header *h)
{
    if (h == NULL)
        return p;
    p = pb_put_head(p, RESPONSE_HEADER, header_bytes(h));
    p = pb_put_u64(p, HEADER_CLUSTER_ID, h->cluster_id);
    p = pb_put_u64(p, HEADER_MEMBER_ID, h->member_id);
    p = pb_put_u64(p, HEADER_REVISION, (uint64_t) h->revision);
    return pb_put_u64(p, HEADER_RAFT_TERM, h->raft_term);
}

/* The given header with the result's revision where it names none. */
static const struct mvcc_header *header_of(const struct mvcc_header *h, int64_t revision,
                                           struct mvcc_header *room)
{
    if (h == NULL)
        return NULL;
    *room = *h;
    if (room->revision == 0)
        room->revision = revision;
    return room;
}

static uint64_t range_tail_bytes(const struct mvcc_range_info *info)
{
    return pb_u64_size(RANGE_MORE, info->more) + pb_u64_size(RANGE_COUNT, (uint64_t) info->count);
}

static uint64_t range_bytes(const struct mvcc_range_info *info, const struct mvcc_header *h)
{
    return header_field_bytes(h) + info->kvs_bytes + range_tail_bytes(info);
}

static void range_kvs_add(struct mvcc_reply *r, struct mvcc_range *g)
{
    struct reply_segment *s;

    if (g->info.kvs_n == 0)
        return;
    s = segment_add(r);
    if (s == NULL)
        return;
    ASSERT(g->info.kvs_bytes > 0);
    s->range = g;
    r->total += g->info.kvs_bytes;
    r->kvs += g->info.kvs_n;
}

static void range_add(struct mvcc_reply *r, struct mvcc_range *g, const struct mvcc_header *h)
{
    uint8_t *p = literal(r, header_field_bytes(h));

    if (p != NULL)
        header_field_put(p, h);
    range_kvs_add(r, g);
    p = literal(r, range_tail_bytes(&g->info));
    if (p != NULL)
        pb_put_u64(pb_put_u64(p, RANGE_MORE, g->info.more), RANGE_COUNT, (uint64_t) g->info.count);
}

static size_t put_bytes(const struct mvcc_put_result *x, const struct mvcc_header *h)
{
    size_t prev = x->has_prev ? pb_head_size(PUT_PREV_KV, x->prev_kv.n) + x->prev_kv.n : 0;

    return header_field_bytes(h) + prev;
}

static void put_add(struct mvcc_reply *r, const struct mvcc_put_result *x,
                    const struct mvcc_header *h)
{
    uint8_t *p = literal(r, put_bytes(x, h));

    if (p == NULL)
        return;
    p = header_field_put(p, h);
    if (x->has_prev)
        pb_put_raw(pb_put_head(p, PUT_PREV_KV, x->prev_kv.n), x->prev_kv.p, x->prev_kv.n);
    r->kvs += x->has_prev;
}

static size_t delete_bytes(const struct mvcc_delete_result *x, const struct mvcc_header *h)
{
    size_t n = header_field_bytes(h) + pb_u64_size(DELETE_DELETED, (uint64_t) x->deleted);

    for (size_t i = 0; i < x->prev_kvs.n; i++)
        n += pb_head_size(DELETE_PREV_KVS, x->prev_kvs.v[i].n) + x->prev_kvs.v[i].n;
    return n;
}

static void delete_add(struct mvcc_reply *r, const struct mvcc_delete_result *x,
                       const struct mvcc_header *h)
{
    uint8_t *p = literal(r, delete_bytes(x, h));

    if (p == NULL)
        return;
    p = pb_put_u64(header_field_put(p, h), DELETE_DELETED, (uint64_t) x->deleted);
    for (size_t i = 0; i < x->prev_kvs.n; i++) {
        struct bytes kv = x->prev_kvs.v[i];

        p = pb_put_raw(pb_put_head(p, DELETE_PREV_KVS, kv.n), kv.p, kv.n);
    }
    r->kvs += x->prev_kvs.n;
}

/* ---- transactions: sizes first, from the inside out ---- */

static uint64_t txn_bytes(const struct mvcc_txn_result *t, const struct mvcc_header *h);

static const uint32_t op_field[] = {[MVCC_OP_RANGE] = OP_RANGE,
                                    [MVCC_OP_PUT] = OP_PUT,
                                    [MVCC_OP_DELETE] = OP_DELETE,
                                    [MVCC_OP_TXN] = OP_TXN};

/* Headers inside a transaction hold the revision of the step; that of a nested one is empty. */
static struct mvcc_header op_header(const struct mvcc_op_result *op)
{
    struct mvcc_header h = {0};

    if (op->op == MVCC_OP_RANGE)
        h.revision = op->range->info.revision;
    else if (op->op == MVCC_OP_PUT)
        h.revision = op->put.revision;
    else if (op->op == MVCC_OP_DELETE)
        h.revision = op->del.revision;
    return h;
}

/* Of the response itself. */
static uint64_t op_bytes(const struct mvcc_op_result *op)
{
    struct mvcc_header h = op_header(op);

    switch (op->op) {
    case MVCC_OP_RANGE:
        return range_bytes(&op->range->info, &h);
    case MVCC_OP_PUT:
        return put_bytes(&op->put, &h);
    case MVCC_OP_DELETE:
        return delete_bytes(&op->del, &h);
    case MVCC_OP_TXN:
        return txn_bytes(&op->txn, &h);
    }
    UNREACHABLE();
}

/* Of the ResponseOp around it. */
static uint64_t op_outer_bytes(const struct mvcc_op_result *op, uint64_t inner)
{
    return pb_head_size(op_field[op->op], inner) + inner;
}

static uint64_t txn_bytes(const struct mvcc_txn_result *t, const struct mvcc_header *h)
{
    uint64_t n = header_field_bytes(h) + pb_u64_size(TXN_SUCCEEDED, t->succeeded);

    for (size_t i = 0; i < t->responses_n; i++) {
        uint64_t outer = op_outer_bytes(&t->responses[i], op_bytes(&t->responses[i]));

        n += pb_head_size(TXN_RESPONSES, outer) + outer;
    }
    return n;
}

static void txn_add(struct mvcc_reply *r, const struct mvcc_txn_result *t,
                    const struct mvcc_header *h);

static void op_add(struct mvcc_reply *r, const struct mvcc_op_result *op)
{
    struct mvcc_header h = op_header(op);
    uint64_t inner = op_bytes(op), outer = op_outer_bytes(op, inner);
    uint8_t *p = literal(r, pb_head_size(TXN_RESPONSES, outer) +
                                pb_head_size(op_field[op->op], inner));

    if (p == NULL)
        return;
    pb_put_head(pb_put_head(p, TXN_RESPONSES, outer), op_field[op->op], inner);
    switch (op->op) {
    case MVCC_OP_RANGE:
        range_add(r, op->range, &h);
        break;
    case MVCC_OP_PUT:
        put_add(r, &op->put, &h);
        break;
    case MVCC_OP_DELETE:
        delete_add(r, &op->del, &h);
        break;
    case MVCC_OP_TXN:
        txn_add(r, &op->txn, &h);
        break;
    }
}

static void txn_add(struct mvcc_reply *r, const struct mvcc_txn_result *t,
                    const struct mvcc_header *h)
{
    uint8_t *p = literal(r, header_field_bytes(h) + pb_u64_size(TXN_SUCCEEDED, t->succeeded));

    if (p != NULL)
        pb_put_u64(header_field_put(p, h), TXN_SUCCEEDED, t->succeeded);
    for (size_t i = 0; i < t->responses_n && !r->no_memory; i++)
        op_add(r, &t->responses[i]);
}

/* ---- the replies ---- */

struct mvcc_reply *mvcc_reply_range(struct mvcc_range *g, const struct mvcc_header *h,
                                    struct arena *a)
{
    struct mvcc_reply *r = reply_new(a);
    struct mvcc_header room;

    if (r == NULL)
        return NULL;
    range_add(r, g, header_of(h, g->info.revision, &room));
    return reply_end(r);
}

struct mvcc_reply *mvcc_reply_put(const struct mvcc_put_result *x, const struct mvcc_header *h,
                                  struct arena *a)
{
    struct mvcc_reply *r = reply_new(a);
    struct mvcc_header room;

    if (r == NULL)
        return NULL;
    put_add(r, x, header_of(h, x->revision, &room));
    return reply_end(r);
}

struct mvcc_reply *mvcc_reply_delete(const struct mvcc_delete_result *x,
                                     const struct mvcc_header *h, struct arena *a)
{
    struct mvcc_reply *r = reply_new(a);
    struct mvcc_header room;

    if (r == NULL)
        return NULL;
    delete_add(r, x, header_of(h, x->revision, &room));
    return reply_end(r);
}

struct mvcc_reply *mvcc_reply_txn(const struct mvcc_txn_result *t, const struct mvcc_header *h,
                                  struct arena *a)
{
    struct mvcc_reply *r = reply_new(a);
    struct mvcc_header room;
    const struct mvcc_header *used;

    if (r == NULL)
        return NULL;
    used = header_of(h, t->revision, &room);
    txn_add(r, t, used);
    ASSERT(r->no_memory || r->total == txn_bytes(t, used));
    return reply_end(r);
}

struct mvcc_reply *mvcc_reply_range_chunk(struct mvcc_range *g, bool last,
                                          const struct mvcc_header *h, struct arena *a)
{
    struct mvcc_reply *r = reply_new(a);
    struct mvcc_header room;
    const struct mvcc_header *used = last ? header_of(h, g->info.revision, &room) : NULL;
    uint64_t inner = last ? range_bytes(&g->info, used) : g->info.kvs_bytes;
    uint8_t *p;

    if (r == NULL)
        return NULL;
    p = literal(r, pb_head_size(CHUNK_RANGE, inner));
    if (p != NULL)
        pb_put_head(p, CHUNK_RANGE, inner);
    if (last)
        range_add(r, g, used);
    else
        range_kvs_add(r, g);
    return reply_end(r);
}

uint64_t mvcc_reply_bytes(const struct mvcc_reply *r)
{
    return r->total;
}

uint64_t mvcc_reply_kvs(const struct mvcc_reply *r)
{
    return r->kvs;
}
