/* turn_rig.h -- a server whose loop the test turns by hand, on a clock that only moves with the
 * work that is said to be done; and the sockets of its clients, on the same thread.
 */
#ifndef KETCH_TESTS_NET_TURN_RIG_H
#define KETCH_TESTS_NET_TURN_RIG_H

#include "engine/net/turn.h"
#include "unit/engine/net/raw.h"

#define TURNS_MAX 20000 /* until a test gives up */

static struct {
    struct raw w;
    mono_ns now;
    mono_ns step; /* what a look at the clock takes */
    bool stopped;
} turns;

static inline mono_ns turns_mono(struct clock *c)
{
    (void) c;
    return turns.now += turns.step;
}

static struct clock turns_clock = {.mono = turns_mono};

/* What a service does takes so long. */
static inline void turns_work(mono_ns us)
{
    turns.now += us * 1000;
}

static inline void turns_begin(const struct net_method *m, size_t n,
                               void (*http)(struct http_req *r, void *user))
{
    struct net_server_options o = {.http = http};
    struct err e = ERR_INIT;

    memset(&turns, 0, sizeof turns);
    turns.now = 1000000000;
    net_limits_default(&o.limits);
    assert_int_equal(loop_new("turn", &turns.w.loop, &e), 0);
    turns.w.loop->clock = &turns_clock;
    raw_serve(&turns.w, m, n, &o);
}

/* One turn, without waiting for anything. */
static inline void turn(void)
{
    uv_run(&turns.w.loop->uv, UV_RUN_NOWAIT);
}

static inline void turns_on_stopped(void *user)
{
    (void) user;
    turns.stopped = true;
}

static inline void turns_stop(void)
{
    net_server_stop(turns.w.server, 0, turns_on_stopped, NULL);
    for (int i = 0; i < TURNS_MAX && !turns.stopped; i++)
        turn();
    assert_true(turns.stopped);
}

/* Nothing that came stays behind. */
static inline void turns_free(void)
{
    net_server_free(turns.w.server);
    assert_int_equal(turns.w.loop->carried_bytes, 0);
    loop_free(turns.w.loop);
}

static inline void turns_end(void)
{
    turns_stop();
    turns_free();
}

/* A connection that the server knows to speak HTTP/2, and whose windows are wide. */
static inline int turns_connect(void)
{
    int fd = raw_connect(&turns.w);
    uint8_t wide[4], window[6] = {0, 4};
    struct buf b;

    be32_put(wide, 0x3fffffff);
    be32_put(window + 2, 0x3fffffff);
    buf_init(&b, SIZE_MAX);
    buf_add_str(&b, RAW_PREFACE);
    raw_frame(&b, RAW_SETTINGS, 0, 0, window, sizeof window);
    raw_frame(&b, RAW_WINDOW_UPDATE, 0, 0, wide, sizeof wide);
    assert_true(raw_send(fd, b.p, b.len));
    buf_done(&b);
    for (int i = 0; i < TURNS_MAX && recv(fd, wide, 1, MSG_PEEK | MSG_DONTWAIT) <= 0; i++)
        turn(); /* until it has answered with its settings */
    return fd;
}

#endif
