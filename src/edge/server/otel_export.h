/* otel_export.h -- spans that have ended, on their way to a collector: OTLP over gRPC, without TLS,
 * on a thread of its own.
 *
 *      otel_export_take --> queue --- a batch is full, or the interval is over ---> SENDING
 *                             |                                                    |    ^
 *                             | queue full                          failed, for now |    | later
 *                             v                                                    v    |
 *                          dropped <------- OTEL_EXPORT_MS are over ----------- WAITING --+
 *
 * The numbers are those of OpenTelemetry's library for Go, and so are the variables that change
 * them: OTEL_BSP_SCHEDULE_DELAY (milliseconds), OTEL_BSP_MAX_QUEUE_SIZE,
 * OTEL_BSP_MAX_EXPORT_BATCH_SIZE (spans).  One batch is on its way at a time.  A collector that is
 * away, slow or hostile costs what the queue holds and the thread's time, nothing else.
 *
 * Threads: otel_export_take any; the others the one that sets up and stops.
 */
#ifndef KETCH_EDGE_SERVER_OTEL_EXPORT_H
#define KETCH_EDGE_SERVER_OTEL_EXPORT_H

#include "edge/server/otel_span.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "sys/random.h"

#define OTEL_QUEUE_SPANS_MAX 2048
#define OTEL_QUEUE_SPANS_LIMIT 65536 /* a variable may not ask for more */
#define OTEL_QUEUE_BYTES_MAX ((size_t) 16 << 20)
#define OTEL_BATCH_SPANS_MAX 512
#define OTEL_BATCH_BYTES_MAX                                            \
    ((size_t) 3 << 20) /* a collector takes 4 MiB unless told otherwise \
                        */
#define OTEL_INTERVAL_MS 5000
#define OTEL_EXPORT_MS 10000 /* for one batch, further attempts included */
#define OTEL_RETRY_MS 5000   /* until the second attempt, half of it more or less; then longer */
#define OTEL_ANSWER_BYTES_MAX 65536
#define OTEL_STOP_MS 1000 /* for what is left when the member stops */

struct otel_export;

/* Strings are borrowed for its life. */
struct otel_export_options {
    const char *address; /* as gRPC takes it: host:port, host (port 443), unix:PATH, dns:///host */
    const char *service_name;
    const char *instance_id; /* "": none */
    struct log *log;
    struct metrics *metrics;
    struct random *random;
};

NODISCARD int otel_export_new(const struct otel_export_options *o, struct otel_export **ret,
                              struct err *e);
NODISCARD int otel_export_start(struct otel_export *x, struct err *e);
/* Takes the span, which has ended: it will be sent or dropped, and is freed. */
void otel_export_take(struct otel_export *x, struct otel_span *s);
/* Sends what is left, for OTEL_STOP_MS at most, and ends the thread.  No span comes any more. */
void otel_export_stop(struct otel_export *x);
void otel_export_free(struct otel_export *x); /* stopped, or never started; NULL is accepted */

/* Where a target as gRPC writes it leads.  False: nowhere that we know. */
struct otel_address {
    char host[256];
    uint16_t port;
    char unix_path[108]; /* "": host and port */
};
bool otel_address_parse(const char *target, struct otel_address *ret);

/* What every batch says of the member. */
struct otel_head {
    const char *service_name;
    const char *instance_id;
};

struct otel_batched {
    size_t n;     /* spans */
    size_t bytes; /* of them, encoded */
};

/* The spans of *first as one ExportTraceServiceRequest behind `out`, as many as fit: those are
 * freed, and *first is what is left.  False without memory; they were freed all the same. */
NODISCARD bool otel_batch(const struct otel_head *h, struct mpsc_node **first, size_t spans_max,
                          struct buf *out, struct otel_batched *ret);

/* Of an ExportTraceServiceResponse: how many spans of a batch that arrived were not taken (as the
 * collector says: any number), and its words about that, which are parts of `response`. */
uint64_t otel_rejected(struct bytes response, struct bytes *message);

#endif
