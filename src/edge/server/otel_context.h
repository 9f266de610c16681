/* otel_context.h -- which trace a request belongs to, as its client says it: the W3C's Trace
 * Context, in the metadata "traceparent" and "tracestate".
 *
 *      00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
 *      |  trace id                         span id          flags: 1 sampled, 2 random
 *      version
 *
 * Read as OpenTelemetry's library for Go 1.43 does, which etcd 3.7.1 uses: what that refuses is no
 * context, and the request begins a trace of its own.
 *
 * Threads: any.
 */
#ifndef KETCH_EDGE_SERVER_OTEL_CONTEXT_H
#define KETCH_EDGE_SERVER_OTEL_CONTEXT_H

#include "base/base.h"

#define OTEL_TRACE_ID_BYTES 16
#define OTEL_SPAN_ID_BYTES 8
#define OTEL_STATE_MEMBERS_MAX 32

enum otel_flags { OTEL_SAMPLED = 1, OTEL_RANDOM = 2 };

struct otel_context {
    uint8_t trace_id[OTEL_TRACE_ID_BYTES];
    uint8_t span_id[OTEL_SPAN_ID_BYTES];
    uint8_t flags; /* of enum otel_flags */
};

/* False: it is none, and *ret is untouched. */
bool otel_traceparent(struct bytes text, struct otel_context *ret);

/* The list of a tracestate without its blanks, as it is passed on: at most text.n bytes into `out`;
 * returns how many.  0 also when one of its members is wrong or there twice. */
size_t otel_tracestate(struct bytes text, char *out);

#endif
