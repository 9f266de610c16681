/* Reads that took long: etcd's line "apply request took too long". */
#include "edge/server/kv.h"
#include "wire/pb.h"
#include "wire/request_text.h"

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
