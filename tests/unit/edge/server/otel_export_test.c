/* The exporter against collectors on another thread, fed by several: every span arrives or is
 * counted as dropped.  Meant to be run under ThreadSanitizer too. */
#define _GNU_SOURCE
#include "edge/server/otel_export.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "engine/net/call.h"
#include "engine/net/server.h"
#include "lib/cm.h"
#include "sys/thread.h"
#include "wire/api_error.h"
#include "wire/pb.h"

#define THREADS 3
#define SPANS 2000 /* of each thread */
#define PATH "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

struct collector {
    struct loop *loop;
    struct net_server *server;
    char address[32];
    _Atomic size_t spans;
    _Atomic size_t batches;
    _Atomic int code; /* what it answers with */
    _Atomic bool stopped;
};

static struct collector collector;

static size_t fields_n(struct bytes message, uint32_t number, struct bytes *ret_last)
{
    struct pb_reader r = pb_reader_of(message);
    struct pb_field f;
    size_t n = 0;

    while (pb_next(&r, &f)) {
        if (f.number == number) {
            n++;
            *ret_last = f.bytes;
        }
    }
    assert_false(r.bad);
    return n;
}

static void export(struct call *c, struct bytes message)
{
    struct bytes resource_spans = BYTES_EMPTY, scope_spans = BYTES_EMPTY, unused;

    assert_int_equal(fields_n(message, 1, &resource_spans), 1);
    assert_int_equal(fields_n(resource_spans, 2, &scope_spans), 1);
    atomic_fetch_add(&collector.batches, 1);
    if (atomic_load(&collector.code) == GRPC_OK) {
        atomic_fetch_add(&collector.spans, fields_n(scope_spans, 2, &unused));
        call_reply(c, NULL, 0);
    } else {
        call_finish(c, atomic_load(&collector.code), "no");
    }
}

static const struct net_method methods[] = {
    {.path = PATH, .kind = NET_UNARY, .request = export},
};

static void collector_open(int code)
{
    struct net_server_options o = {.loops = &collector.loop, .loops_n = 1};
    struct net_listen where = {.host = "127.0.0.1"};
    struct err e = ERR_INIT;
    uint16_t port;

    memset(&collector, 0, sizeof collector);
    collector.code = code;
    net_limits_default(&o.limits);
    o.limits.recv_message_bytes_max = 4u << 20;
    assert_int_equal(loop_new("collector", &collector.loop, &e), 0);
    assert_int_equal(net_server_new(&o, &collector.server, &e), 0);
    assert_int_equal(net_server_add(collector.server, methods, 1, NULL, &e), 0);
    assert_int_equal(net_server_listen(collector.server, &where, &port, &e), 0);
    snprintf(collector.address, sizeof collector.address, "127.0.0.1:%u", port);
    net_server_start(collector.server);
    assert_int_equal(loop_start(collector.loop, &e), 0);
}

static void on_stopped(void *user)
{
    (void) user;
    loop_stop(collector.loop);
}

static void collector_close(void)
{
    net_server_stop(collector.server, 1000, on_stopped, NULL);
    loop_join(collector.loop);
    net_server_free(collector.server);
    loop_free(collector.loop);
}

/* Not started. */
static struct otel_export *exporter_new(const char *address, struct metrics *m)
{
    struct otel_export_options o = {.address = address,
                                    .service_name = "etcd",
                                    .instance_id = "",
                                    .metrics = m,
                                    .random = random_posix()};
    struct otel_export *x;
    struct err e = ERR_INIT;

    assert_int_equal(otel_export_new(&o, &x, &e), 0);
    return x;
}

static struct otel_export *exporter_open(const char *address, struct metrics *m)
{
    struct otel_export *x = exporter_new(address, m);
    struct err e = ERR_INIT;

    assert_int_equal(otel_export_start(x, &e), 0);
    return x;
}

static void make_span(struct otel_export *x)
{
    struct otel_span_start o = {
        .kind = OTEL_KIND_SERVER, .name = "put", .context = {{1}, {2}, OTEL_SAMPLED}};
    struct otel_span *s = otel_span_new(&o);

    assert_non_null(s);
    otel_span_end(s, OTEL_STATUS_UNSET, NULL, 1);
    otel_export_take(x, s);
}

static void feed(void *arg)
{
    for (int i = 0; i < SPANS; i++)
        make_span(arg);
}

static int64_t counted(struct metrics *m, const char *name)
{
    return metric_get(metrics_counter(m, name, ""));
}

/* Spans of several threads: at the end each was taken by the collector or counted as dropped, and
 * what waited for its interval has left before. */
static void nothing_is_lost_in_silence(void **state)
{
    struct metrics *m = metrics_new();
    struct thread *threads[THREADS];
    struct otel_export *x;
    struct err e = ERR_INIT;
    size_t got;

    (void) state;
    collector_open(GRPC_OK);
    x = exporter_open(collector.address, m);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(thread_start("feed", feed, x, &threads[i], &e), 0);
    for (int i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    otel_export_stop(x);
    got = atomic_load(&collector.spans);
    assert_true(got > 0);
    assert_int_equal(counted(m, "ketch_tracing_sent_spans_total"), got);
    otel_export_free(x);
    assert_int_equal(counted(m, "ketch_tracing_dropped_spans_total"), THREADS * SPANS - got);
    collector_close();
    metrics_free(m);
}

/* A batch that is refused for good is not sent again. */
static void refused_is_dropped(void **state)
{
    struct metrics *m = metrics_new();
    struct otel_export *x;

    (void) state;
    collector_open(GRPC_UNIMPLEMENTED);
    x = exporter_open(collector.address, m);
    make_span(x);
    make_span(x);
    otel_export_stop(x);
    assert_int_equal(atomic_load(&collector.batches), 1);
    assert_int_equal(counted(m, "ketch_tracing_dropped_spans_total"), 2);
    otel_export_free(x);
    collector_close();
    metrics_free(m);
}

/* An address that leads nowhere, and an exporter that is never started: spans are counted. */
static void nowhere_to_go(void **state)
{
    struct metrics *m = metrics_new();
    struct otel_export *x = exporter_open("nowhere:at:all", m);

    (void) state;
    make_span(x);
    otel_export_stop(x);
    otel_export_free(x);
    assert_int_equal(counted(m, "ketch_tracing_dropped_spans_total"), 1);
    x = exporter_new("127.0.0.1:1", m);
    make_span(x);
    otel_export_stop(x);
    otel_export_free(x);
    assert_int_equal(counted(m, "ketch_tracing_dropped_spans_total"), 2);
    metrics_free(m);
}

/* The queue is bounded in spans, and in bytes. */
static void the_queue_is_bounded(void **state)
{
    static char text[OTEL_VALUE_BYTES_MAX];
    struct metrics *m = metrics_new();
    struct otel_export *x;
    size_t held = 0;

    (void) state;
    x = exporter_new("127.0.0.1:1", m);
    for (int i = 0; i < OTEL_QUEUE_SPANS_MAX + 5; i++)
        make_span(x);
    assert_int_equal(counted(m, "ketch_tracing_dropped_spans_total"), 5);
    otel_export_free(x);
    metrics_free(m);
    m = metrics_new();
    x = exporter_new("127.0.0.1:1", m);
    memset(text, 'x', sizeof text);
    while (counted(m, "ketch_tracing_dropped_spans_total") == 0) {
        struct otel_span_start start = {.kind = OTEL_KIND_SERVER, .name = "put"};
        struct otel_span *s = otel_span_new(&start);

        otel_span_text(s, "key", bytes_of(text, sizeof text));
        held += s->pb.len;
        otel_export_take(x, s);
        assert_true(held < OTEL_QUEUE_BYTES_MAX + 2 * sizeof text);
    }
    otel_export_free(x);
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_in_silence),
        cmocka_unit_test(refused_is_dropped),
        cmocka_unit_test(nowhere_to_go),
        cmocka_unit_test(the_queue_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
