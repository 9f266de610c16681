/* otel_span.h -- one span of a trace, kept from its beginning as what leaves: an encoded
 * opentelemetry.proto.trace.v1.Span.
 *
 *      otel_span_new -- attributes and events, in any order -- otel_span_end -- otel_export_take
 *
 * Nothing here fails loudly: a span that found no memory, or grew beyond OTEL_SPAN_BYTES_MAX, is
 * marked (otel_span_ok) and dropped when it ends.
 *
 * Threads: one at a time.
 */
#ifndef KETCH_EDGE_SERVER_OTEL_SPAN_H
#define KETCH_EDGE_SERVER_OTEL_SPAN_H

#include "base/buf.h"
#include "base/mpsc.h"
#include "edge/server/otel_context.h"

/* Keys are as long as a request; what a collector shows of them is not.  A collector that is left
 * as it came takes 4 MiB in one batch. */
#define OTEL_VALUE_BYTES_MAX 65536
#define OTEL_SPAN_BYTES_MAX 524288

/* Who made it: each batch has its spans under these heads. */
enum otel_scope { OTEL_SCOPE_RPC, OTEL_SCOPE_ETCD, OTEL_SCOPES_N };

/* Numbers of Span.SpanKind and Status.StatusCode. */
enum otel_kind { OTEL_KIND_INTERNAL = 1, OTEL_KIND_SERVER = 2 };
enum otel_status { OTEL_STATUS_UNSET = 0, OTEL_STATUS_ERROR = 2 };

struct otel_span {
    struct mpsc_node node; /* once it has ended: of the exporter */
    enum otel_scope scope;
    struct otel_context context; /* its own */
    int64_t ahead_ns;            /* of the clock by which its maker measures: otel.c */
    struct buf pb;
};

struct otel_span_start {
    enum otel_scope scope;
    enum otel_kind kind;
    const char *name;
    struct otel_context context;
    const uint8_t *parent; /* the parent's span id; NULL: none */
    bool remote;           /* the parent is not of this process, or might be */
    struct bytes state;    /* of otel_tracestate */
    int64_t unix_ns;
};

/* NULL without memory. */
struct otel_span *otel_span_new(const struct otel_span_start *s);
void otel_span_free(struct otel_span *s); /* NULL is accepted */

/* Attributes.  Text is made valid UTF-8 (each wrong byte becomes U+FFFD) and cut at
 * OTEL_VALUE_BYTES_MAX: one wrong text would make a collector refuse the whole batch. */
void otel_span_text(struct otel_span *s, const char *key, struct bytes v);
void otel_span_i64(struct otel_span *s, const char *key, int64_t v);
void otel_span_bool(struct otel_span *s, const char *key, bool v);

void otel_span_event(struct otel_span *s, const char *name, int64_t unix_ns);
/* The event of an error, as Go's library records one made by errors.New. */
void otel_span_error(struct otel_span *s, const char *message, int64_t unix_ns);

/* message: of an error; NULL is accepted. */
void otel_span_end(struct otel_span *s, enum otel_status status, const char *message,
                   int64_t unix_ns);

static inline bool otel_span_ok(const struct otel_span *s)
{
    return !s->pb.failed;
}

/* An encoded KeyValue as field `number` of a message: how attributes of a resource are made, too.
 */
void otel_put_text(struct buf *b, uint32_t number, const char *key, struct bytes v);

#endif
