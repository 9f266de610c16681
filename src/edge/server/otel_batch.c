/* A batch of spans as one message, and what the collector answers to it.  Field numbers:
 * opentelemetry-proto 1.10, collector/trace/v1/trace_service.proto, trace/v1/trace.proto,
 * resource/v1/resource.proto. */
#include "edge/server/otel_export.h"
#include "wire/pb.h"

enum { REQUEST_RESOURCE_SPANS = 1 };
enum { RESOURCE_SPANS_RESOURCE = 1, RESOURCE_SPANS_SCOPE_SPANS = 2 };
enum { RESOURCE_ATTRIBUTE = 1 };
enum { SCOPE_SPANS_SCOPE = 1, SCOPE_SPANS_SPAN = 2 };
enum { SCOPE_NAME = 1, SCOPE_VERSION = 2 };
enum { RESPONSE_PARTIAL_SUCCESS = 1, PARTIAL_REJECTED = 1, PARTIAL_MESSAGE = 2 };

/* As etcd 3.7.1 names what makes its spans, for whoever filters by it. */
static const struct {
    const char *name;
    const char *version;
} scopes[OTEL_SCOPES_N] = {
    [OTEL_SCOPE_RPC] = {"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/"
                        "otelgrpc",
                        "0.68.0"},
    [OTEL_SCOPE_ETCD] = {"go.etcd.io/etcd", ""},
};

struct sizes {
    size_t n;
    size_t spans[OTEL_SCOPES_N]; /* bytes of the fields SCOPE_SPANS_SPAN */
    size_t total;
};

static struct otel_span *span_of(struct mpsc_node *n)
{
    return CONTAINER_OF(n, struct otel_span, node);
}

/* How many of them fit. */
static void measure(struct mpsc_node *first, size_t spans_max, struct sizes *z)
{
    for (struct mpsc_node *n = first; n != NULL && z->n < spans_max; n = n->next, z->n++) {
        struct otel_span *s = span_of(n);
        size_t field = pb_head_size(SCOPE_SPANS_SPAN, s->pb.len) + s->pb.len;

        if (z->total + field > OTEL_BATCH_BYTES_MAX)
            break;
        z->total += field;
        z->spans[s->scope] += field;
    }
    ASSERT(first == NULL || z->n > 0); /* OTEL_SPAN_BYTES_MAX is less than a batch */
}

static size_t scope_size(enum otel_scope s)
{
    return pb_bytes_size(SCOPE_NAME, strlen(scopes[s].name)) +
           pb_bytes_size(SCOPE_VERSION, strlen(scopes[s].version));
}

static size_t scope_spans_size(enum otel_scope s, const struct sizes *z)
{
    size_t scope = scope_size(s);

    return pb_head_size(SCOPE_SPANS_SCOPE, scope) + scope + z->spans[s];
}

static uint8_t *put_scope_spans(uint8_t *p, enum otel_scope s, const struct sizes *z,
                                struct mpsc_node *first)
{
    p = pb_put_head(p, RESOURCE_SPANS_SCOPE_SPANS, scope_spans_size(s, z));
    p = pb_put_head(p, SCOPE_SPANS_SCOPE, scope_size(s));
    p = pb_put_bytes(p, SCOPE_NAME, bytes_str(scopes[s].name));
    p = pb_put_bytes(p, SCOPE_VERSION, bytes_str(scopes[s].version));
    for (size_t i = 0; i < z->n; i++, first = first->next) {
        const struct otel_span *x = span_of(first);

        if (x->scope == s)
            p = pb_put_raw(pb_put_head(p, SCOPE_SPANS_SPAN, x->pb.len), x->pb.p, x->pb.len);
    }
    return p;
}

static void put_batch(struct buf *out, struct bytes resource, const struct sizes *z,
                      struct mpsc_node *first)
{
    size_t n = pb_head_size(RESOURCE_SPANS_RESOURCE, resource.n) + resource.n;
    uint8_t *p;

    for (int s = 0; s < OTEL_SCOPES_N; s++) {
        size_t size = scope_spans_size((enum otel_scope) s, z);

        if (z->spans[s] > 0)
            n += pb_head_size(RESOURCE_SPANS_SCOPE_SPANS, size) + size;
    }
    p = buf_reserve(out, pb_head_size(REQUEST_RESOURCE_SPANS, n) + n);
    if (p == NULL)
        return;
    p = pb_put_head(p, REQUEST_RESOURCE_SPANS, n);
    p = pb_put_raw(pb_put_head(p, RESOURCE_SPANS_RESOURCE, resource.n), resource.p, resource.n);
    for (int s = 0; s < OTEL_SCOPES_N; s++) {
        if (z->spans[s] > 0)
            p = put_scope_spans(p, (enum otel_scope) s, z, first);
    }
    buf_commit(out, (size_t) (p - (out->p + out->len)));
}

bool otel_batch(const struct otel_head *h, struct mpsc_node **first, size_t spans_max,
                struct buf *out, struct otel_batched *ret)
{
    struct sizes z = {0};
    struct buf resource;
    bool ok;

    buf_init(&resource, 4 * OTEL_VALUE_BYTES_MAX);
    if (h->instance_id[0] != 0)
        otel_put_text(&resource, RESOURCE_ATTRIBUTE, "service.instance.id",
                      bytes_str(h->instance_id));
    otel_put_text(&resource, RESOURCE_ATTRIBUTE, "service.name", bytes_str(h->service_name));
    measure(*first, spans_max, &z);
    if (!resource.failed)
        put_batch(out, buf_bytes(&resource), &z, *first);
    *ret = (struct otel_batched){.n = z.n};
    for (size_t i = 0; i < z.n; i++) {
        struct otel_span *s = span_of(*first);

        ret->bytes += s->pb.len;
        *first = (*first)->next;
        otel_span_free(s);
    }
    ok = !resource.failed && !out->failed;
    buf_done(&resource);
    return ok;
}

uint64_t otel_rejected(struct bytes response, struct bytes *message)
{
    struct pb_reader r = pb_reader_of(response);
    struct pb_field f;
    uint64_t rejected = 0;

    *message = BYTES_EMPTY;
    while (pb_next(&r, &f)) {
        struct pb_reader in = pb_reader_of(f.bytes);

        if (f.number != RESPONSE_PARTIAL_SUCCESS || f.type != PB_LEN)
            continue;
        while (pb_next(&in, &f)) {
            if (f.number == PARTIAL_REJECTED && f.type == PB_VARINT)
                rejected = f.value;
            else if (f.number == PARTIAL_MESSAGE && f.type == PB_LEN)
                *message = f.bytes;
        }
    }
    return rejected;
}
