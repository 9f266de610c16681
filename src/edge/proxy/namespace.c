/* namespace.c -- see namespace.h.  Messages are decoded, changed in place and encoded again; fields
 * that this program does not know go along. */
#include "edge/proxy/namespace.h"

#include "wire/wire.h"

struct ns {
    struct bytes prefix;
    struct arena *arena;
    enum ns_verdict verdict; /* the first that was not NS_OK */
};

static void fail(struct ns *n, enum ns_verdict v)
{
    if (n->verdict == NS_OK)
        n->verdict = v;
}

/* ---- keys of requests ---- */

static void prepend(struct ns *n, ProtobufCBinaryData *key)
{
    uint8_t *p = arena_alloc(n->arena, n->prefix.n + key->len + 1);

    if (p == NULL) {
        fail(n, NS_NO_MEMORY);
        return;
    }
    memcpy(p, n->prefix.p, n->prefix.n);
    if (key->len > 0)
        memcpy(p + n->prefix.n, key->data, key->len);
    *key = (ProtobufCBinaryData){n->prefix.n + key->len, p};
}

/* The first key behind all that begin with the prefix; one zero byte when there is none. */
static void end_of_prefix(struct ns *n, ProtobufCBinaryData *end)
{
    uint8_t *p = arena_dup(n->arena, n->prefix.p, n->prefix.n);
    size_t len = n->prefix.n;

    if (p == NULL) {
        fail(n, NS_NO_MEMORY);
        return;
    }
    while (len > 0 && p[len - 1] == 0xff)
        len--;
    if (len > 0)
        p[len - 1]++;
    else
        p[len++] = 0; /* the prefix has a byte at least */
    *end = (ProtobufCBinaryData){len, p};
}

static void map_end(struct ns *n, ProtobufCBinaryData *end)
{
    if (end->len == 1 && end->data[0] == 0)
        end_of_prefix(n, end);
    else if (end->len > 0)
        prepend(n, end);
}

static void map_range(struct ns *n, ProtobufCBinaryData *key, ProtobufCBinaryData *end)
{
    if (key->len == 0) {
        fail(n, NS_EMPTY_KEY);
        return;
    }
    prepend(n, key);
    map_end(n, end);
}

static void map_put(struct ns *n, Etcdserverpb__PutRequest *m)
{
    if (m->key.len == 0)
        fail(n, NS_EMPTY_KEY);
    else
        prepend(n, &m->key);
}

static void map_txn(struct ns *n, Etcdserverpb__TxnRequest *m);

static void map_op(struct ns *n, Etcdserverpb__RequestOp *op)
{
    switch (op->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
        map_range(n, &op->request_range->key, &op->request_range->range_end);
        break;
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        map_put(n, op->request_put);
        break;
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        map_range(n, &op->request_delete_range->key, &op->request_delete_range->range_end);
        break;
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        map_txn(n, op->request_txn);
        break;
    default: /* nothing set: the member refuses it */
        break;
    }
}

static void map_txn(struct ns *n, Etcdserverpb__TxnRequest *m)
{
    for (size_t i = 0; i < m->n_compare; i++)
        map_range(n, &m->compare[i]->key, &m->compare[i]->range_end);
    for (size_t i = 0; i < m->n_success; i++)
        map_op(n, m->success[i]);
    for (size_t i = 0; i < m->n_failure; i++)
        map_op(n, m->failure[i]);
}

enum ns_verdict ns_watch_create(struct bytes prefix, Etcdserverpb__WatchCreateRequest *m,
                                struct arena *a)
{
    struct ns n = {.prefix = prefix, .arena = a};

    prepend(&n, &m->key); /* an empty key is the prefix itself, as etcd's proxy has it */
    map_end(&n, &m->range_end);
    return n.verdict;
}

/* ---- keys of answers ---- */

static bool has_prefix(const struct ns *n, const ProtobufCBinaryData *key)
{
    return key->len >= n->prefix.n && memcmp(key->data, n->prefix.p, n->prefix.n) == 0;
}

static void strip(const struct ns *n, ProtobufCBinaryData *key)
{
    if (has_prefix(n, key))
        *key = (ProtobufCBinaryData){key->len - n->prefix.n, key->data + n->prefix.n};
}

static void strip_kv(const struct ns *n, Mvccpb__KeyValue *kv)
{
    if (kv != NULL)
        strip(n, &kv->key);
}

static void strip_kvs(const struct ns *n, Mvccpb__KeyValue **v, size_t count)
{
    for (size_t i = 0; i < count; i++)
        strip_kv(n, v[i]);
}

static void strip_txn(const struct ns *n, Etcdserverpb__TxnResponse *m)
{
    for (size_t i = 0; i < m->n_responses; i++) {
        Etcdserverpb__ResponseOp *op = m->responses[i];

        switch (op->response_case) {
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE:
            strip_kvs(n, op->response_range->kvs, op->response_range->n_kvs);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT:
            strip_kv(n, op->response_put->prev_kv);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE:
            strip_kvs(n, op->response_delete_range->prev_kvs,
                      op->response_delete_range->n_prev_kvs);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN:
            strip_txn(n, op->response_txn);
            break;
        default:
            break;
        }
    }
}

/* ---- whole messages ---- */

static enum ns_verdict finish(const struct ns *n, const ProtobufCMessage *m, struct buf *out)
{
    if (n->verdict == NS_OK && !wire_encode(m, out))
        return NS_NO_MEMORY;
    return n->verdict;
}

static enum ns_verdict decoded(int rc)
{
    if (rc == 0)
        return NS_OK;
    return rc == ERR_CORRUPT ? NS_MALFORMED : NS_NO_MEMORY;
}

/* Decodes a `type` as m, runs `change`, encodes it. */
#define MAP(name, lower, type, change)                                                       \
    static enum ns_verdict name(struct bytes prefix, struct bytes in, struct arena *scratch, \
                                struct buf *out)                                             \
    {                                                                                        \
        struct ns n = {.prefix = prefix, .arena = scratch};                                  \
        Etcdserverpb__##type *m;                                                             \
                                                                                             \
        n.verdict = decoded(WIRE_DECODE(etcdserverpb__##lower, in, scratch, &m, NULL));      \
        if (n.verdict != NS_OK)                                                              \
            return n.verdict;                                                                \
        change;                                                                              \
        return finish(&n, &m->base, out);                                                    \
    }

MAP(range_request, range_request, RangeRequest, map_range(&n, &m->key, &m->range_end))
MAP(put_request, put_request, PutRequest, map_put(&n, m))
MAP(delete_request, delete_range_request, DeleteRangeRequest, map_range(&n, &m->key, &m->range_end))
MAP(txn_request, txn_request, TxnRequest, map_txn(&n, m))
MAP(range_response, range_response, RangeResponse, strip_kvs(&n, m->kvs, m->n_kvs))
MAP(put_response, put_response, PutResponse, strip_kv(&n, m->prev_kv))
MAP(delete_response, delete_range_response, DeleteRangeResponse,
    strip_kvs(&n, m->prev_kvs, m->n_prev_kvs))
MAP(txn_response, txn_response, TxnResponse, strip_txn(&n, m))

static void strip_piece(const struct ns *n, Etcdserverpb__RangeStreamResponse *m)
{
    if (m->range_response != NULL)
        strip_kvs(n, m->range_response->kvs, m->range_response->n_kvs);
}

MAP(range_piece, range_stream_response, RangeStreamResponse, strip_piece(&n, m))

static void strip_events(const struct ns *n, Etcdserverpb__WatchResponse *m)
{
    for (size_t i = 0; i < m->n_events; i++) {
        strip_kv(n, m->events[i]->kv);
        strip_kv(n, m->events[i]->prev_kv);
    }
}

MAP(watch_response, watch_response, WatchResponse, strip_events(&n, m))

enum ns_verdict ns_watch_response(struct bytes prefix, struct bytes in, struct arena *scratch,
                                  struct buf *out)
{
    return watch_response(prefix, in, scratch, out);
}

/* A lease may hold keys of others: those are not shown. */
static void strip_lease(const struct ns *n, Etcdserverpb__LeaseTimeToLiveResponse *m)
{
    size_t kept = 0;

    for (size_t i = 0; i < m->n_keys; i++) {
        if (!has_prefix(n, &m->keys[i]))
            continue;
        m->keys[kept] = m->keys[i];
        strip(n, &m->keys[kept++]);
    }
    m->n_keys = kept;
}

MAP(lease_response, lease_time_to_live_response, LeaseTimeToLiveResponse, strip_lease(&n, m))

static const struct {
    const char *path;
    ns_map *request;
    ns_map *response;
} MAPS[] = {
    {"/etcdserverpb.KV/Range", range_request, range_response},
    {"/etcdserverpb.KV/RangeStream", range_request, range_piece},
    {"/etcdserverpb.KV/Put", put_request, put_response},
    {"/etcdserverpb.KV/DeleteRange", delete_request, delete_response},
    {"/etcdserverpb.KV/Txn", txn_request, txn_response},
    {"/etcdserverpb.Lease/LeaseTimeToLive", NULL, lease_response},
};

ns_map *ns_request_map(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(MAPS); i++) {
        if (strcmp(MAPS[i].path, path) == 0)
            return MAPS[i].request;
    }
    return NULL;
}

ns_map *ns_response_map(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(MAPS); i++) {
        if (strcmp(MAPS[i].path, path) == 0)
            return MAPS[i].response;
    }
    return NULL;
}
