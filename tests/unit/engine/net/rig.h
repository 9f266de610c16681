/* rig.h -- a server and a client on one loop and one thread, over loopback on a free port.
 *
 * The services are in the tests; what a call of the client came to is collected in struct outcome,
 * and rig_wait turns the loop until it is there.
 *
 * A group of tests may run a second time over TLS: with rig_tls_on as its setup and rig_tls_off as
 * its teardown. */
#ifndef KETCH_TESTS_NET_RIG_H
#define KETCH_TESTS_NET_RIG_H

#include <unistd.h>

#include "base/alloc.h"
#include "engine/net/call.h"
#include "engine/net/grpc_client.h"
#include "engine/net/http.h"
#include "engine/net/loop.h"
#include "engine/net/server.h"
#include "engine/net/tls.h"
#include "lib/cm.h"

#define RIG_WAIT_MS 20000

struct rig {
    struct loop *loop;
    struct net_server *server;
    struct channel *ch;
    uint16_t port;
    bool stopped;
    bool late;
    struct loop_timer watchdog;
};

/* Both ends' TLS; NULL: cleartext. */
static struct {
    char dir[64];
    char cert[TLS_PATH_BYTES];
    char key[TLS_PATH_BYTES];
    struct tls *server;
    struct tls *client;
} rig_tls;

static inline int rig_tls_on(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    struct tls_self self = {
        .dir = rig_tls.dir, .hosts = hosts, .hosts_n = 2, .years = 1, .for_clients = true};
    struct tls_options so = {.server = true, .cert_file = rig_tls.cert, .key_file = rig_tls.key};
    struct tls_options co = {.ca_file = rig_tls.cert};
    struct err e = ERR_INIT;
    bool made;

    (void) state;
    snprintf(rig_tls.dir, sizeof rig_tls.dir, "/tmp/rig-tls-XXXXXX");
    assert_non_null(mkdtemp(rig_tls.dir));
    assert_int_equal(tls_self_signed(&self, rig_tls.cert, rig_tls.key, &made, &e), 0);
    assert_true(made);
    assert_int_equal(tls_new(&so, &rig_tls.server, &e), 0);
    assert_int_equal(tls_new(&co, &rig_tls.client, &e), 0);
    return 0;
}

static inline int rig_tls_off(void **state)
{
    (void) state;
    tls_unref(rig_tls.server);
    tls_unref(rig_tls.client);
    rig_tls.server = rig_tls.client = NULL;
    unlink(rig_tls.cert);
    unlink(rig_tls.key);
    rmdir(rig_tls.dir);
    return 0;
}

struct outcome {
    struct rpc *r;
    bool done;
    int code;
    char text[256];
    uint8_t *response;
    size_t response_n;
    int messages;
    size_t bytes;
    bool opened;
    bool writable;
};

static inline void rig_late(struct loop_timer *t)
{
    (void) t;
    fprintf(stderr, "rig: nothing happened for too long\n");
    abort();
}

static inline void rig_stopped(void *user)
{
    struct rig *g = user;

    g->stopped = true;
}

static inline void rig_wait(struct rig *g, const bool *flag)
{
    assert_int_equal(loop_timer_start(g->loop, &g->watchdog, RIG_WAIT_MS), 0);
    loop_run_until(g->loop, flag);
    loop_timer_stop(g->loop, &g->watchdog);
    assert_true(*flag);
}

struct rig_pause {
    struct loop_timer t;
    bool over;
};

static inline void rig_pause_over(struct loop_timer *t)
{
    CONTAINER_OF(t, struct rig_pause, t)->over = true;
}

/* Turns the loop for a while. */
static inline void rig_turn(struct rig *g, int64_t ms)
{
    struct rig_pause p = {.over = false};

    loop_timer_init(&p.t, rig_pause_over);
    assert_int_equal(loop_timer_start(g->loop, &p.t, ms), 0);
    rig_wait(g, &p.over);
}

/* Neither a server nor a channel yet. */
static inline void rig_loop(struct rig *g)
{
    struct err e = ERR_INIT;

    memset(g, 0, sizeof *g);
    loop_timer_init(&g->watchdog, rig_late);
    assert_int_equal(loop_new("test", &g->loop, &e), 0);
}

static inline void rig_server(struct rig *g, const struct net_method *m, size_t n, void *service,
                              const struct net_server_options *opt)
{
    struct net_server_options o = {0};
    struct net_listen where = {.host = "127.0.0.1",
                               .serves = NET_SERVES_GRPC | NET_SERVES_HTTP | NET_SERVES_HTTP2,
                               .tls = rig_tls.server};
    struct err e = ERR_INIT;

    rig_loop(g);
    if (opt != NULL)
        o = *opt;
    else
        net_limits_default(&o.limits);
    o.loops = &g->loop;
    o.loops_n = 1;
    assert_int_equal(net_server_new(&o, &g->server, &e), 0);
    assert_int_equal(net_server_add(g->server, m, n, service, &e), 0);
    assert_int_equal(net_server_listen(g->server, &where, &g->port, &e), 0);
    net_server_start(g->server);
}

static inline void rig_channel_to(struct rig *g, const struct channel_options *co)
{
    struct err e = ERR_INIT;

    assert_int_equal(channel_new(g->loop, co, &g->ch, &e), 0);
}

static inline void rig_channel(struct rig *g)
{
    struct channel_options co = {.host = "127.0.0.1", .port = g->port, .tls = rig_tls.client};

    rig_channel_to(g, &co);
}

/* A channel to a server that is not ours. */
static inline void rig_client(struct rig *g, const struct channel_options *co)
{
    rig_loop(g);
    rig_channel_to(g, co);
}

static inline void rig_init(struct rig *g, const struct net_method *m, size_t n, void *service,
                            const struct net_server_options *opt)
{
    rig_server(g, m, n, service, opt);
    rig_channel(g);
}

static inline void rig_done(struct rig *g)
{
    channel_free(g->ch);
    net_server_stop(g->server, 1000, rig_stopped, g);
    rig_wait(g, &g->stopped);
    net_server_free(g->server);
    loop_free(g->loop);
}

/* The same when the test has stopped the server, or there is none. */
static inline void rig_free(struct rig *g)
{
    channel_free(g->ch);
    net_server_free(g->server);
    loop_free(g->loop);
}

static inline void outcome_set(struct outcome *o, const struct rpc_result *res)
{
    o->done = true;
    o->code = res->code;
    snprintf(o->text, sizeof o->text, "%.*s", (int) res->message.n, (const char *) res->message.p);
    if (res->response.n > 0) {
        o->response = xmem_dup(res->response.p, res->response.n);
        o->response_n = res->response.n;
    }
}

static inline void on_unary_end(struct rpc *r, const struct rpc_result *res, void *user)
{
    (void) r;
    outcome_set(user, res);
}

static inline void on_stream_open(struct rpc *r, void *user)
{
    (void) r;
    ((struct outcome *) user)->opened = true;
}

static inline void on_stream_message(struct rpc *r, struct bytes m, void *user)
{
    struct outcome *o = user;

    (void) r;
    o->messages++;
    o->bytes += m.n;
}

static inline void on_stream_writable(struct rpc *r, void *user)
{
    (void) r;
    ((struct outcome *) user)->writable = true;
}

static const struct rpc_stream_callbacks stream_callbacks = {on_stream_open, on_stream_message,
                                                             on_stream_writable, on_unary_end};

static inline void start_unary(struct rig *g, struct outcome *o, const char *path,
                               struct bytes request, int64_t timeout_ms)
{
    struct rpc_options ro = {.path = path, .timeout_ms = timeout_ms, .user = o};

    memset(o, 0, sizeof *o);
    o->r = rpc_unary(g->ch, &ro, request, on_unary_end);
    assert_non_null(o->r);
}

static inline void unary(struct rig *g, struct outcome *o, const char *path, struct bytes request)
{
    start_unary(g, o, path, request, 0);
    rig_wait(g, &o->done);
}

static inline void start_stream(struct rig *g, struct outcome *o, const char *path,
                                int64_t timeout_ms)
{
    struct rpc_options ro = {.path = path, .timeout_ms = timeout_ms, .user = o};

    memset(o, 0, sizeof *o);
    o->r = rpc_open(g->ch, &ro, &stream_callbacks);
    assert_non_null(o->r);
}

static inline void send_text(struct outcome *o, const char *s)
{
    struct net_piece p = net_piece_copied(s, strlen(s));

    assert_int_equal(rpc_send(o->r, &p, 1), 0);
}

static inline void outcome_done(struct outcome *o)
{
    mem_free(o->response);
    o->response = NULL;
}

#endif
