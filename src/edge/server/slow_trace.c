/* etcd's lines "trace": the steps of a range, put, transaction or compaction that took long.  Of
 * other requests etcd writes none, a delete among them. */
#include "edge/server/kv.h"
#include "wire/wire.h"

#define TRACE_ARENA_BYTES_MAX ((size_t) 64 << 20) /* to decode the request once more */
#define TRACE_VALUE_BYTES_MAX ((size_t) LOG_VALUE_BYTES_MAX)

static void write_line(struct server *s, struct trace_line *t, struct buf *detail, mono_ns took)
{
    buf_add_char(detail, '}');
    t->detail = buf_bytes(detail);
    t->took = took;
    t->end = clock_wall_ms(s->o.clock);
    trace_write(s->log, t);
    buf_done(detail);
}

static void detail_begin(struct buf *detail)
{
    buf_init(detail, TRACE_TEXT_BYTES_MAX);
    buf_add_char(detail, '{');
}

static void key_field(struct buf *b, const char *name, ProtobufCBinaryData key, size_t bytes_max)
{
    trace_field_text(b, name, wire_bytes(key), bytes_max);
}

/* ---- operations of transactions ---- */

struct op_search {
    const Etcdserverpb__TxnRequest *request;
    const struct mvcc_txn_result *result;
};

/* The *left-th range or put of the branches that were taken, in the order of execution. */
static const Etcdserverpb__RequestOp *find_op(const Etcdserverpb__TxnRequest *q,
                                              const struct mvcc_txn_result *res, uint32_t *left)
{
    Etcdserverpb__RequestOp *const *ops = res->succeeded ? q->success : q->failure;

    for (size_t i = 0; i < res->responses_n; i++) {
        const struct mvcc_op_result *op = &res->responses[i];
        const Etcdserverpb__RequestOp *found = NULL;

        if (op->op == MVCC_OP_TXN)
            found = find_op(ops[i]->request_txn, &op->txn, left);
        else if (op->op != MVCC_OP_DELETE && --*left == 0)
            found = ops[i];
        if (found != NULL)
            return found;
    }
    return NULL;
}

static void op_fields(void *arg, uint32_t op, struct buf *b)
{
    const struct op_search *search = arg;
    const Etcdserverpb__RequestOp *q = find_op(search->request, search->result, &op);
    const size_t max = TRACE_STEP_VALUE_BYTES_MAX;

    if (q == NULL)
        return;
    buf_add_char(b, '{');
    if (q->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE) {
        trace_field_text(b, "req_type", BYTES_LIT("range"), max);
        key_field(b, "range_begin", q->request_range->key, max);
        key_field(b, "range_end", q->request_range->range_end, max);
    } else {
        trace_field_text(b, "req_type", BYTES_LIT("put"), max);
        key_field(b, "key", q->request_put->key, max);
        trace_field_number(b, "req_size", wire_size(&q->request_put->base));
    }
    buf_add_char(b, '}');
}

static bool has_put(const struct mvcc_txn_result *res)
{
    for (size_t i = 0; i < res->responses_n; i++) {
        const struct mvcc_op_result *op = &res->responses[i];

        if (op->op == MVCC_OP_PUT || (op->op == MVCC_OP_TXN && has_put(&op->txn)))
            return true;
    }
    return false;
}

/* In the order in which etcd comes to know of them: a put knows the revision first. */
static void txn_detail(struct buf *b, const struct mvcc_txn_result *res)
{
    bool first = has_put(res);

    if (first)
        trace_field_number(b, "response_revision", (uint64_t) res->revision);
    trace_field_number(b, "number_of_response", res->responses_n);
    if (!first)
        trace_field_number(b, "response_revision", (uint64_t) res->revision);
}

/* ---- writes ---- */

/* The request, decoded into `a`; NULL: no memory. */
static const void *decode_again(struct req *r, const ProtobufCMessageDescriptor *d, struct arena *a)
{
    ProtobufCMessage *m;

    arena_init(a, TRACE_ARENA_BYTES_MAX);
    return wire_decode(d, r->node.body, a, &m, NULL) == 0 ? m : NULL;
}

/* From the call to its being applied, and the steps of that. */
static void write_steps(const struct req *r, struct trace_steps *t)
{
    const struct node_steps *applied = &r->node.steps;

    trace_steps_begin(t, NULL, r->began);
    if (applied->began == 0)
        return;
    trace_step_at(t, TRACE_RAFT, applied->began);
    trace_steps_join(t, applied->slow);
    t->count = applied->count + 1;
}

static mono_ns now_of(const struct req *r)
{
    return loop_now_ns(r->io->loop);
}

void trace_put(struct req *r)
{
    struct trace_steps steps;
    struct trace_line line = {.operation = "put", .steps = &steps};
    struct arena a;
    struct buf detail;
    const Etcdserverpb__PutRequest *q = decode_again(r, &etcdserverpb__put_request__descriptor, &a);

    write_steps(r, &steps);
    detail_begin(&detail);
    if (q != NULL) {
        key_field(&detail, "key", q->key, TRACE_VALUE_BYTES_MAX);
        trace_field_number(&detail, "req_size", wire_size(&q->base));
    }
    trace_field_number(&detail, "response_revision", (uint64_t) r->node.result.revision);
    write_line(r->io->server, &line, &detail, now_of(r) - r->began);
    arena_done(&a);
}

void trace_txn(struct req *r)
{
    const struct mvcc_txn_result *res = &r->node.result.txn;
    struct trace_steps steps;
    struct op_search search;
    struct trace_line line = {.operation = "transaction", .steps = &steps};
    struct arena a;
    struct buf detail;

    search.request = decode_again(r, &etcdserverpb__txn_request__descriptor, &a);
    search.result = res;
    if (search.request != NULL) {
        line.op_fields = op_fields;
        line.arg = &search;
    }
    write_steps(r, &steps);
    detail_begin(&detail);
    trace_field_text(&detail, "read_only", BYTES_LIT("false"), TRACE_VALUE_BYTES_MAX);
    txn_detail(&detail, res);
    write_line(r->io->server, &line, &detail, now_of(r) - r->began);
    arena_done(&a);
}

void trace_compact(struct req *r)
{
    struct trace_steps steps;
    struct trace_line line = {.operation = "compact", .steps = &steps};
    struct arena a;
    struct buf detail;
    const Etcdserverpb__CompactionRequest *q = decode_again(
        r, &etcdserverpb__compaction_request__descriptor, &a);

    write_steps(r, &steps);
    steps.count += 2; /* check and update, schedule */
    if (q != NULL && q->physical) {
        trace_step_at(&steps, TRACE_PHYSICAL, now_of(r));
        steps.count++;
    }
    detail_begin(&detail);
    if (q != NULL)
        trace_field_number(&detail, "revision", (uint64_t) q->revision);
    trace_field_number(&detail, "response_revision", (uint64_t) r->node.result.revision);
    write_line(r->io->server, &line, &detail, now_of(r) - r->began);
    arena_done(&a);
}

/* ---- reads ---- */

/* What came before the reading, and the steps of that. */
static void read_steps(const struct read_trace *t, bool serializable, struct trace_steps *ret)
{
    trace_steps_begin(ret, NULL, t->r->began);
    if (!serializable) {
        trace_step_at(ret, TRACE_AGREEMENT, t->agreed);
        trace_count(ret, 1);
    }
    trace_steps_join(ret, &t->steps);
}

static void write_range(const struct read_trace *t)
{
    const Etcdserverpb__RangeRequest *q = t->r->user;
    struct trace_steps steps;
    struct trace_line line = {.operation = "range", .steps = &steps};
    struct buf detail;

    read_steps(t, q->serializable, &steps);
    detail_begin(&detail);
    key_field(&detail, "range_begin", q->key, TRACE_VALUE_BYTES_MAX);
    key_field(&detail, "range_end", q->range_end, TRACE_VALUE_BYTES_MAX);
    if (t->range != NULL) {
        const struct mvcc_range_info *info = mvcc_range_info(t->range);

        trace_field_number(&detail, "response_count", info->kvs_n);
        trace_field_number(&detail, "response_revision", (uint64_t) info->revision);
    }
    write_line(t->r->io->server, &line, &detail, t->end - t->r->began);
}

void trace_range(const struct read_trace *t)
{
    if (UNLIKELY(t->end - t->r->began > TRACE_SLOW_NS))
        write_range(t);
}

static void write_txn_read(const struct read_trace *t)
{
    const Etcdserverpb__TxnRequest *q = t->r->user;
    struct op_search search = {q, t->txn};
    struct trace_steps steps;
    struct trace_line line = {.operation = "transaction", .steps = &steps};
    struct buf detail;

    if (t->txn != NULL) {
        line.op_fields = op_fields;
        line.arg = &search;
    }
    read_steps(t, mvcc_txn_is_serializable(q), &steps);
    detail_begin(&detail);
    trace_field_text(&detail, "read_only", BYTES_LIT("true"), TRACE_VALUE_BYTES_MAX);
    if (t->txn != NULL)
        txn_detail(&detail, t->txn);
    write_line(t->r->io->server, &line, &detail, t->end - t->r->began);
}

void trace_txn_read(const struct read_trace *t)
{
    if (UNLIKELY(t->end - t->r->began > TRACE_SLOW_NS))
        write_txn_read(t);
}
