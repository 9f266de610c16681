/* Reads that took long: etcd's line "apply request took too long", with the request in Go's
 * protobuf text. */
#include "edge/server/kv.h"
#include "wire/wire.h"

#define SLOW_TEXT_BYTES_MAX 4096

static void add_bytes(struct buf *b, const char *name, ProtobufCBinaryData v)
{
    if (v.len == 0)
        return;
    buf_printf(b, "%s:\"", name);
    for (size_t i = 0; i < v.len && !b->failed; i++) {
        uint8_t c = v.data[i];

        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c >= 0x20 && c < 0x7f)
            buf_add_char(b, (char) c);
        else
            buf_printf(b, "\\%03o", c);
    }
    buf_add_str(b, "\" ");
}

static void add_number(struct buf *b, const char *name, int64_t v)
{
    if (v != 0)
        buf_printf(b, "%s:%" PRId64 " ", name, v);
}

static void add_flag(struct buf *b, const char *name, bool v)
{
    if (v)
        buf_printf(b, "%s:true ", name);
}

static void add_range(struct buf *b, const Etcdserverpb__RangeRequest *q)
{
    add_bytes(b, "key", q->key);
    add_bytes(b, "range_end", q->range_end);
    add_number(b, "limit", q->limit);
    add_number(b, "revision", q->revision);
    add_flag(b, "serializable", q->serializable);
    add_flag(b, "keys_only", q->keys_only);
    add_flag(b, "count_only", q->count_only);
}

static void log_slow(struct server *s, mono_ns took, const char *prefix, struct buf *request,
                     const char *response)
{
    metric_inc(s->m.slow_apply);
    LOG_WARN(s->log, "apply request took too long", F_NS("took", took),
             F_NS("expected-duration", s->config->warning_apply_duration), F_STR("prefix", prefix),
             F_BYTES("request", buf_bytes(request)), F_STR("response", response));
}

void slow_range(struct server *s, mono_ns took, const Etcdserverpb__RangeRequest *q, uint64_t kvs,
                uint64_t bytes)
{
    char response[80];
    struct buf b;

    if (LIKELY(took <= s->config->warning_apply_duration))
        return;
    buf_init(&b, SLOW_TEXT_BYTES_MAX);
    add_range(&b, q);
    snprintf(response, sizeof response, "range_response_count:%" PRIu64 " size:%" PRIu64, kvs,
             bytes);
    log_slow(s, took, "read-only range ", &b, response);
    buf_done(&b);
}

void slow_txn(struct server *s, mono_ns took, const Etcdserverpb__TxnRequest *q)
{
    struct buf b;

    if (LIKELY(took <= s->config->warning_apply_duration))
        return;
    buf_init(&b, SLOW_TEXT_BYTES_MAX);
    buf_printf(&b, "compare:%zu success:%zu failure:%zu", q->n_compare, q->n_success, q->n_failure);
    log_slow(s, took, "read-only txn ", &b, "");
    buf_done(&b);
}
