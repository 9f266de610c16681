/* Reads and calls that took long: etcd's lines "apply request took too long" and "request stats".
 */
#include "edge/server/kv.h"
#include "wire/pb.h"
#include "wire/request_text.h"
#include "wire/wire.h"

#define SLOW_TEXT_BYTES_MAX 16384
#define TXN_REPLY_BYTES_MAX ((size_t) 64 << 20) /* scratch to find out how long an answer is */

static void log_slow(struct server *s, mono_ns took, const char *prefix, struct buf *request,
                     const char *response)
{
    metric_inc(s->m.slow_apply);
    LOG_WARN(s->log, "apply request took too long", F_NS("took", took),
             F_NS("expected-duration", s->config->warning_apply_duration), F_STR("prefix", prefix),
             F_BYTES("request", buf_bytes(request)), F_STR("response", response));
}

/* The answer's length before the member adds to its header. */
static uint64_t inner_bytes(const struct mvcc_range_info *info)
{
    struct mvcc_header h = {.revision = info->revision};

    return pb_bytes_size(1, header_size(&h)) + info->kvs_bytes + pb_u64_size(3, info->more) +
           pb_u64_size(4, (uint64_t) info->count);
}

void slow_range(struct server *s, mono_ns took, const Etcdserverpb__RangeRequest *q,
                const struct mvcc_range_info *info)
{
    char response[80];
    struct buf b;

    if (LIKELY(took <= s->config->warning_apply_duration))
        return;
    buf_init(&b, SLOW_TEXT_BYTES_MAX);
    message_text(&b, &q->base);
    snprintf(response, sizeof response, "range_response_count:%" PRIu64 " size:%" PRIu64,
             info->kvs_n, inner_bytes(info));
    log_slow(s, took, "read-only range ", &b, response);
    buf_done(&b);
}

/* `responses:<range_response_count:1 range_response_count:0>`; what else a read can hold is a
 * transaction. */
static void add_responses(struct buf *b, const struct mvcc_txn_result *res)
{
    buf_add_str(b, "responses:<");
    for (size_t i = 0; i < res->responses_n && !b->failed; i++) {
        const struct mvcc_op_result *op = &res->responses[i];

        buf_add_str(b, i == 0 ? "" : " ");
        if (op->op == MVCC_OP_RANGE)
            buf_printf(b, "range_response_count:%" PRIu64, mvcc_range_info(op->range)->kvs_n);
        else if (op->op == MVCC_OP_TXN)
            add_responses(b, &op->txn);
    }
    buf_add_char(b, '>');
}

static uint64_t txn_bytes(const struct mvcc_txn_result *res)
{
    struct mvcc_header h = {.revision = res->revision};
    struct mvcc_reply *reply;
    struct arena a;
    uint64_t n;

    arena_init(&a, TXN_REPLY_BYTES_MAX);
    reply = mvcc_reply_txn(res, &h, &a);
    n = reply == NULL ? 0 : mvcc_reply_bytes(reply);
    arena_done(&a);
    return n;
}

void slow_txn(struct server *s, mono_ns took, const Etcdserverpb__TxnRequest *q,
              const struct mvcc_txn_result *res)
{
    struct buf request, response;

    if (LIKELY(took <= s->config->warning_apply_duration))
        return;
    buf_init(&request, SLOW_TEXT_BYTES_MAX);
    buf_init(&response, SLOW_TEXT_BYTES_MAX);
    txn_text(&request, q);
    if (res != NULL) {
        add_responses(&response, res);
        buf_printf(&response, " size:%" PRIu64, txn_bytes(res));
    }
    log_slow(s, took, "read-only txn ", &request, buf_cstr(&response));
    buf_done(&request);
    buf_done(&response);
}

/* ---- calls ---- */

struct call_stats {
    int64_t requests;
    int64_t request_bytes;
    int64_t responses;
    int64_t response_bytes;
    struct buf content;
};

/* The operations of the branch that was taken. */
static void txn_stats(struct call_stats *st, const Etcdserverpb__TxnRequest *q,
                      const struct mvcc_txn_result *res)
{
    Etcdserverpb__RequestOp *const *ops = res->succeeded ? q->success : q->failure;

    st->requests = (int64_t) (res->succeeded ? q->n_success : q->n_failure);
    for (int64_t i = 0; i < st->requests; i++)
        st->request_bytes += (int64_t) wire_size(&ops[i]->base);
}

/* Only requests of the KV service are looked into; of the others etcd tells nothing either. */
static void kv_stats(struct call *c, enum method_id id, const ProtobufCMessage *m,
                     struct call_stats *st)
{
    const struct mvcc_delete_result *deleted;
    const struct mvcc_txn_result *txn;
    const struct mvcc_range *range;

    st->request_bytes = (int64_t) call_request(c).n;
    switch (id) {
    case METHOD_KV_RANGE:
        range = kv_range_answer(c);
        if (range != NULL)
            st->responses = (int64_t) mvcc_range_info(range)->kvs_n;
        message_text(&st->content, m);
        break;
    case METHOD_KV_PUT:
        st->requests = 1;
        put_text(&st->content, (const Etcdserverpb__PutRequest *) m);
        break;
    case METHOD_KV_DELETE_RANGE:
        deleted = call_user(c);
        if (deleted != NULL)
            st->responses = deleted->deleted;
        message_text(&st->content, m);
        break;
    default:
        st->request_bytes = 0;
        txn = kv_txn_answer(c, (const Etcdserverpb__TxnRequest *) m);
        if (txn != NULL)
            txn_stats(st, (const Etcdserverpb__TxnRequest *) m, txn);
        txn_text(&st->content, (const Etcdserverpb__TxnRequest *) m);
        break;
    }
}

static const ProtobufCMessageDescriptor *kv_request(enum method_id id)
{
    switch (id) {
    case METHOD_KV_RANGE:
        return &etcdserverpb__range_request__descriptor;
    case METHOD_KV_PUT:
        return &etcdserverpb__put_request__descriptor;
    case METHOD_KV_DELETE_RANGE:
        return &etcdserverpb__delete_range_request__descriptor;
    case METHOD_KV_TXN:
        return &etcdserverpb__txn_request__descriptor;
    default:
        return NULL;
    }
}

void slow_call(struct call *c, enum log_level level, mono_ns took)
{
    struct server *s = call_server(c);
    enum method_id id = (enum method_id) call_method(c)->tag;
    const ProtobufCMessageDescriptor *d = kv_request(id);
    struct call_stats st = {.response_bytes = (int64_t) call_reply_bytes(c)};
    ProtobufCMessage *m;
    struct arena a;

    arena_init(&a, TXN_REPLY_BYTES_MAX);
    buf_init(&st.content, SLOW_TEXT_BYTES_MAX);
    if (d != NULL && wire_decode(d, call_request(c), &a, &m, NULL) == 0)
        kv_stats(c, id, m, &st);
    else
        st.requests = st.request_bytes = st.responses = st.response_bytes = -1;
    log_write(s->log, level, LOG_SITE_, "request stats",
              (const struct log_field[]){
                  F_WALL("start time", clock_wall_ms(s->o.clock) - took / 1000000),
                  F_NS("time spent", took), F_STR("remote", call_peer(c)),
                  F_STR("response type", methods[id].path), F_I64("request count", st.requests),
                  F_I64("request size", st.request_bytes), F_I64("response count", st.responses),
                  F_I64("response size", st.response_bytes),
                  F_BYTES("request content", buf_bytes(&st.content)), LOG_END_});
    buf_done(&st.content);
    arena_done(&a);
}
