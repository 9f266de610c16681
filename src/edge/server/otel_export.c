/* The exporter's thread: gathers spans, sends one batch at a time, tries again for a while. */
#include "edge/server/otel_export.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "edge/server/goparse.h"
#include "engine/net/grpc_client.h"
#include "wire/api_error.h"

#define PATH "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

enum state { IDLE, SENDING, WAITING };

struct otel_export {
    struct otel_export_options o;
    struct log *log;
    struct loop *loop;
    bool running;
    size_t queue_max;
    size_t batch_max;
    int64_t interval_ms;
    struct metric *sent;
    struct metric *dropped;

    /* Of all threads. */
    struct mpsc queue;
    _Atomic size_t queued_n; /* in `queue` and `first` */
    _Atomic size_t queued_bytes;
    struct loop_task task;
    _Atomic bool posted;
    struct loop_task stop_task;

    /* Of its own. */
    struct channel *channel; /* NULL: the address is none */
    struct mpsc_node *first; /* oldest first */
    struct mpsc_node **end;
    size_t n;
    bool flush; /* all that is there leaves, however little */
    enum state state;
    struct buf batch;
    size_t batch_n;
    mono_ns until_ns; /* for the batch on its way */
    int64_t retry_ms;
    struct loop_timer tick;
    struct loop_timer retry;
    struct loop_timer late; /* stopping */
    bool stopping;
    bool failing; /* since the last success: said once */
    uint64_t lost_n;
};

/* ---- queue: any thread ---- */

static void drop(struct otel_export *x, struct otel_span *s)
{
    metric_inc(x->dropped);
    otel_span_free(s);
}

static void wake(struct otel_export *x)
{
    if (!atomic_exchange(&x->posted, true))
        loop_post(x->loop, &x->task);
}

void otel_export_take(struct otel_export *x, struct otel_span *s)
{
    size_t bytes = s->pb.len, n = atomic_fetch_add(&x->queued_n, 1);
    size_t held = atomic_fetch_add(&x->queued_bytes, bytes);

    if (n >= x->queue_max || held + bytes > OTEL_QUEUE_BYTES_MAX || !otel_span_ok(s)) {
        atomic_fetch_sub(&x->queued_n, 1);
        atomic_fetch_sub(&x->queued_bytes, bytes);
        drop(x, s);
        return;
    }
    mpsc_push(&x->queue, &s->node);
    /* The thread sleeps until there is a batch: one wake-up for each. */
    if ((n + 1) % x->batch_max == 0)
        wake(x);
}

static void gather(struct otel_export *x)
{
    struct mpsc_node *n = mpsc_take(&x->queue);

    *x->end = n;
    for (; n != NULL; n = n->next) {
        x->end = &n->next;
        x->n++;
    }
}

/* ---- the end ---- */

static void finish(struct otel_export *x)
{
    loop_timer_stop(x->loop, &x->tick);
    loop_timer_stop(x->loop, &x->retry);
    loop_timer_stop(x->loop, &x->late);
    channel_free(x->channel);
    x->channel = NULL;
    loop_stop(x->loop);
}

static void on_late(struct loop_timer *t)
{
    finish(CONTAINER_OF(t, struct otel_export, late));
}

/* ---- one batch ---- */

static bool retryable(int code)
{
    switch (code) {
    case GRPC_CANCELED:
    case GRPC_DEADLINE_EXCEEDED:
    case GRPC_ABORTED:
    case GRPC_OUT_OF_RANGE:
    case GRPC_UNAVAILABLE:
    case GRPC_DATA_LOSS:
        return true;
    default:
        return false;
    }
}

static void settled(struct otel_export *x)
{
    x->state = IDLE;
    x->batch_n = 0;
    buf_clear(&x->batch);
}

static void batch_lost(struct otel_export *x, struct bytes why)
{
    metric_add(x->dropped, (int64_t) x->batch_n);
    x->lost_n += x->batch_n;
    if (!x->failing)
        LOG_WARN(x->log, "failed to export traces", F_STR("address", x->o.address),
                 F_BYTES("error", why), F_U64("dropped-spans", x->batch_n));
    x->failing = true;
    settled(x);
}

/* What the collector did not take of a batch that it took. */
static void partly(struct otel_export *x, struct bytes response)
{
    struct bytes message;
    uint64_t rejected = MIN(otel_rejected(response, &message), (uint64_t) x->batch_n);

    metric_add(x->sent, (int64_t) (x->batch_n - rejected));
    metric_add(x->dropped, (int64_t) rejected);
    if (rejected > 0 || message.n > 0)
        LOG_WARN(x->log, "collector rejected traces", F_U64("rejected-spans", rejected),
                 F_BYTES("error", message));
}

static void batch_arrived(struct otel_export *x, struct bytes response)
{
    partly(x, response);
    if (x->failing)
        LOG_INFO(x->log, "exporting traces again", F_STR("address", x->o.address),
                 F_U64("dropped-spans", x->lost_n));
    x->failing = false;
    x->lost_n = 0;
    settled(x);
}

/* Half of it more or less, so that members do not ask in step. */
static int64_t jittered(struct otel_export *x, int64_t ms)
{
    return ms / 2 + (int64_t) random_below(x->o.random, (uint64_t) ms + 1);
}

static void on_end(struct rpc *r, const struct rpc_result *res, void *user)
{
    struct otel_export *x = user;
    int64_t wait_ms = jittered(x, x->retry_ms);
    bool late = loop_now_ns(x->loop) + wait_ms * 1000000 > x->until_ns;

    (void) r;
    ASSERT(x->state == SENDING);
    if (res->code == GRPC_OK)
        batch_arrived(x, res->response);
    else if (!retryable(res->code) || late || x->stopping ||
             loop_timer_start(x->loop, &x->retry, wait_ms) != 0)
        batch_lost(x, res->message);
    else
        x->state = WAITING;
    x->retry_ms += x->retry_ms / 2;
    if (x->state == IDLE)
        wake(x); /* not from within the channel's callback */
}

static void attempt(struct otel_export *x)
{
    int64_t left_ms = (x->until_ns - loop_now_ns(x->loop)) / 1000000;
    struct rpc_options o = {.path = PATH, .timeout_ms = MAX(left_ms, 1), .user = x};

    x->state = SENDING;
    if (x->channel == NULL)
        batch_lost(x, BYTES_LIT("no such address"));
    else if (rpc_unary(x->channel, &o, buf_bytes(&x->batch), on_end) == NULL)
        batch_lost(x, BYTES_LIT("out of memory"));
}

static void on_retry(struct loop_timer *t)
{
    attempt(CONTAINER_OF(t, struct otel_export, retry));
}

static void begin_batch(struct otel_export *x)
{
    struct otel_head head = {x->o.service_name, x->o.instance_id};
    struct otel_batched got;
    bool ok = otel_batch(&head, &x->first, x->batch_max, &x->batch, &got);

    if (x->first == NULL)
        x->end = &x->first;
    x->n -= got.n;
    x->batch_n = got.n;
    atomic_fetch_sub(&x->queued_n, got.n);
    atomic_fetch_sub(&x->queued_bytes, got.bytes);
    x->until_ns = loop_now_ns(x->loop) + INT64_C(1000000) * OTEL_EXPORT_MS;
    x->retry_ms = OTEL_RETRY_MS;
    if (ok)
        attempt(x);
    else
        batch_lost(x, BYTES_LIT("out of memory"));
}

static void pump(struct otel_export *x)
{
    gather(x);
    while (x->state == IDLE && x->n > 0 && (x->flush || x->n >= x->batch_max))
        begin_batch(x);
    if (x->n == 0)
        x->flush = false;
    if (x->stopping && x->state == IDLE && x->n == 0)
        finish(x);
}

static void run(struct loop_task *t)
{
    struct otel_export *x = CONTAINER_OF(t, struct otel_export, task);

    atomic_store(&x->posted, false);
    if (x->channel != NULL || !x->stopping)
        pump(x);
}

static void on_tick(struct loop_timer *t)
{
    struct otel_export *x = CONTAINER_OF(t, struct otel_export, tick);

    x->flush = true;
    pump(x);
    if (!x->stopping && loop_timer_start(x->loop, t, x->interval_ms) != 0)
        LOG_WARN(x->log, "cannot go on exporting traces; out of memory");
}

static void begin_stop(struct loop_task *t)
{
    struct otel_export *x = CONTAINER_OF(t, struct otel_export, stop_task);

    x->stopping = x->flush = true;
    if (x->state == WAITING) {
        loop_timer_stop(x->loop, &x->retry);
        batch_lost(x, BYTES_LIT("the member stops"));
    }
    if (loop_timer_start(x->loop, &x->late, OTEL_STOP_MS) != 0)
        finish(x);
    else
        pump(x);
}

/* ---- life ---- */

/* A number above 0 from the environment. */
static uint64_t variable(const char *name, uint64_t dflt, uint64_t max)
{
    const char *text = getenv(name);
    int64_t v;

    if (text == NULL || go_int_parse(text, &v, NULL) != 0 || v <= 0)
        return dflt;
    return MIN((uint64_t) v, max);
}

static int open_channel(struct otel_export *x, struct err *e)
{
    struct otel_address a;
    struct channel_options o = {.recv_message_bytes_max = OTEL_ANSWER_BYTES_MAX};

    if (!otel_address_parse(x->o.address, &a))
        return 0; /* etcd starts with any; each batch is lost then */
    o.host = a.host;
    o.port = a.port;
    o.unix_path = a.unix_path[0] == 0 ? NULL : a.unix_path;
    return channel_new(x->loop, &o, &x->channel, e);
}

int otel_export_new(const struct otel_export_options *o, struct otel_export **ret, struct err *e)
{
    struct otel_export *x = mem_calloc(1, sizeof *x);
    int rc;

    if (x == NULL)
        return err_set(e, ERR_NOMEM, "export traces: out of memory");
    x->o = *o;
    x->log = o->log;
    x->queue_max = variable("OTEL_BSP_MAX_QUEUE_SIZE", OTEL_QUEUE_SPANS_MAX,
                            OTEL_QUEUE_SPANS_LIMIT);
    x->batch_max = variable("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", OTEL_BATCH_SPANS_MAX,
                            OTEL_QUEUE_SPANS_LIMIT);
    if (x->batch_max > x->queue_max)
        x->batch_max = MIN((size_t) OTEL_BATCH_SPANS_MAX, x->queue_max);
    x->interval_ms = (int64_t) variable("OTEL_BSP_SCHEDULE_DELAY", OTEL_INTERVAL_MS, INT32_MAX);
    x->sent = metrics_counter(o->metrics, "ketch_tracing_sent_spans_total",
                              "Spans that the collector has taken.");
    x->dropped = metrics_counter(o->metrics, "ketch_tracing_dropped_spans_total",
                                 "Spans that found no room, no memory or no collector.");
    mpsc_init(&x->queue);
    x->end = &x->first;
    buf_init(&x->batch, 2 * OTEL_BATCH_BYTES_MAX);
    x->task.run = run;
    x->stop_task.run = begin_stop;
    loop_timer_init(&x->tick, on_tick);
    loop_timer_init(&x->retry, on_retry);
    loop_timer_init(&x->late, on_late);
    rc = loop_new("otel", &x->loop, e);
    if (rc == 0)
        rc = open_channel(x, e);
    if (rc != 0) {
        otel_export_free(x);
        return rc;
    }
    *ret = x;
    return 0;
}

int otel_export_start(struct otel_export *x, struct err *e)
{
    int rc = loop_timer_start(x->loop, &x->tick, x->interval_ms);

    if (rc != 0)
        return err_set(e, rc, "export traces: out of memory");
    rc = loop_start(x->loop, e);
    x->running = rc == 0;
    return rc;
}

void otel_export_stop(struct otel_export *x)
{
    if (x == NULL || !x->running)
        return;
    loop_post(x->loop, &x->stop_task);
    loop_join(x->loop);
    x->running = false;
}

void otel_export_free(struct otel_export *x)
{
    if (x == NULL)
        return;
    ASSERT(!x->running);
    if (x->loop != NULL)
        loop_timer_stop(x->loop, &x->tick); /* of one that never ran */
    ASSERT(!loop_timer_active(&x->retry));  /* I4 */
    ASSERT(!loop_timer_active(&x->late));
    channel_free(x->channel);
    x->channel = NULL;
    x->stopping = true; /* a task of one that never ran finds nothing to do: see `run` */
    gather(x);
    while (x->first != NULL) {
        struct otel_span *s = CONTAINER_OF(x->first, struct otel_span, node);

        x->first = x->first->next;
        drop(x, s);
    }
    buf_done(&x->batch);
    loop_free(x->loop);
    mem_free(x);
}
