/* net_echo_bench.c -- a gRPC server that answers each request with its own bytes, to be driven by
 * h2load:
 *
 *     bin/net_echo_bench PORT [LOOPS] &
 *     h2load -t1 -c64 -m1 -D3 -H 'content-type: application/grpc' -H 'te: trailers' -d body \
 *         http://127.0.0.1:PORT/bench.Echo/Unary
 *
 * (body: one zero byte, a 4-byte big-endian length, the message).  Every second, and at the end
 * (SIGTERM, SIGINT), it prints the calls answered meanwhile and the microseconds of CPU that each
 * has cost. /bench.Echo/Large answers with a megabyte that is made while it leaves. */
#include <signal.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "engine/net/call.h"
#include "engine/net/loop.h"
#include "engine/net/server.h"

#define LARGE_BYTES (1100u << 10)
#define LOOPS_MAX 16

static struct net_server *server;
static struct loop *loops[LOOPS_MAX];
static struct loop_timer tick;
static double last_cpu_us;
static uint64_t last_calls;

static void on_unary(struct call *c, struct bytes m)
{
    struct net_piece p = net_piece_kept(m.p, m.n);

    call_reply(c, &p, 1);
}

static bool fill(void *arg, uint8_t *out, size_t n)
{
    (void) arg;
    memset(out, 'x', n);
    return true;
}

static void on_large(struct call *c, struct bytes m)
{
    (void) m;
    call_reply_pull(c, LARGE_BYTES, (struct net_pull){fill, NULL, NULL});
}

static const struct net_method methods[] = {
    {.path = "/bench.Echo/Unary", .kind = NET_UNARY, .request = on_unary},
    {.path = "/bench.Echo/Large", .kind = NET_UNARY, .request = on_large},
};

static double cpu_us(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (double) (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e6 +
           (double) (r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static void report(void)
{
    struct net_counters n;
    double us = cpu_us();

    net_server_counters(server, &n);
    if (n.calls_total != last_calls)
        printf(
            "%8" PRIu64 " calls, %6.2f us CPU each, %.2f reads and %.2f writes per call so far\n",
            n.calls_total - last_calls, (us - last_cpu_us) / (double) (n.calls_total - last_calls),
            (double) n.reads / (double) n.calls_total, (double) n.writes / (double) n.calls_total);
    fflush(stdout);
    last_calls = n.calls_total;
    last_cpu_us = us;
}

static void on_tick(struct loop_timer *t)
{
    report();
    if (loop_timer_start(loops[0], t, 1000) != 0)
        exit(1);
}

static void on_stopped(void *user)
{
    (void) user;
    loop_stop(loops[0]);
}

static void on_signal(int signum, void *user)
{
    (void) signum;
    (void) user;
    net_server_stop(server, 100, on_stopped, NULL);
}

int main(int argc, char **argv)
{
    struct err e = ERR_INIT;
    struct net_server_options o = {.loops = loops,
                                   .loops_n = argc > 2 ? (size_t) atoi(argv[2]) : 1};
    struct net_listen where = {.host = "127.0.0.1",
                               .port = (uint16_t) (argc > 1 ? atoi(argv[1]) : 0)};
    uint16_t port = 0;
    int rc = 0;

    if (o.loops_n < 1 || o.loops_n > LOOPS_MAX)
        return 2;
    net_limits_default(&o.limits);
    for (size_t i = 0; rc == 0 && i < o.loops_n; i++)
        rc = loop_new("io", &loops[i], &e);
    if (rc == 0)
        rc = net_server_new(&o, &server, &e);
    if (rc == 0)
        rc = net_server_add(server, methods, ARRAY_LEN(methods), NULL, &e);
    if (rc == 0)
        rc = net_server_listen(server, &where, &port, &e);
    if (rc == 0)
        rc = loop_on_signal(loops[0], SIGTERM, on_signal, NULL, &e);
    if (rc == 0)
        rc = loop_on_signal(loops[0], SIGINT, on_signal, NULL, &e);
    for (size_t i = 1; rc == 0 && i < o.loops_n; i++)
        rc = loop_start(loops[i], &e);
    loop_timer_init(&tick, on_tick);
    if (rc == 0)
        rc = loop_timer_start(loops[0], &tick, 1000);
    if (rc != 0) {
        fprintf(stderr, "net_echo_bench: %s\n", e.msg);
        return 1;
    }
    printf("listening on 127.0.0.1:%u\n", port);
    fflush(stdout);
    net_server_start(server);
    loop_run(loops[0]);
    report();
    for (size_t i = 1; i < o.loops_n; i++) {
        loop_stop(loops[i]);
        loop_join(loops[i]);
    }
    net_server_free(server);
    loop_timer_stop(loops[0], &tick);
    for (size_t i = 0; i < o.loops_n; i++)
        loop_free(loops[i]);
    return 0;
}
