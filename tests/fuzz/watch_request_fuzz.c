/* A watch request of any bytes is decoded, and what was decoded is encoded and read again the same.
 */
#include "node/node.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void create(const Etcdserverpb__WatchCreateRequest *q)
{
    struct watch_stream s;
    struct watch_sink sink;
    struct watcher w;
    struct watch_options o = {.key = wire_bytes(q->key),
                              .range_end = wire_bytes(q->range_end),
                              .start_rev = q->start_revision < 0 ? 0 : q->start_revision};

    watch_sink_init(&sink, NULL);
    watch_stream_init(&s, &sink);
    if (!watcher_init(&w, &s, &o))
        ASSERT(q->range_end.len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Etcdserverpb__WatchRequest *q, *again;
    struct arena a;
    struct buf b;

    arena_init(&a, 1u << 24);
    buf_init(&b, 1u << 24);
    if (WIRE_DECODE(etcdserverpb__watch_request, bytes_of(data, n), &a, &q, NULL) == 0) {
        if (q->request_union_case == ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST)
            create(q->create_request);
        if (!wire_encode(&q->base, &b) ||
            WIRE_DECODE(etcdserverpb__watch_request, buf_bytes(&b), &a, &again, NULL) != 0)
            abort();
        ASSERT(again->request_union_case == q->request_union_case);
    }
    buf_done(&b);
    arena_done(&a);
    return 0;
}
