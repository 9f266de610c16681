/* server_stop.c -- a server that stops: each loop lets its connections end, cuts those that do not
 * in time, and is drained when there are none; the last one to be says so. */
#define _GNU_SOURCE
#include "engine/net/h2_server.h"
#include "engine/net/http1.h"
#include "engine/net/server_int.h"

void server__loop_drained(struct server_loop *sl)
{
    struct net_server *s = sl->server;

    if (!sl->stopping || sl->drained || !list_empty(&sl->conns))
        return;
    sl->drained = true;
    loop_timer_stop(sl->loop, &sl->grace);
    if (atomic_fetch_sub_explicit(&s->loops_running, 1, memory_order_acq_rel) == 1)
        loop_post(s->loops[0].loop, &s->stopped_task);
}

static void conn_drain(struct server_conn *sc)
{
    if (sc->h2 != NULL)
        h2_server__drain(sc->h2);
    else if (sc->http1 != NULL)
        http1__drain(sc->http1);
    else
        conn__doom(&sc->conn, 0);
}

static void conn_cut(struct server_conn *sc)
{
    if (sc->h2 != NULL)
        h2_server__cut(sc->h2);
    conn__close_soon(&sc->conn);
    sc->conn.no_linger = true;
    if (sc->conn.lingering)
        conn__doom(&sc->conn, 0);
    /* Who does not take the last bytes at once does not get them. */
    if (sc->h2 == NULL || sc->conn.want_write)
        conn__doom(&sc->conn, ERR_CANCELED);
}

void server__grace_over(struct loop_timer *t)
{
    struct server_loop *sl = CONTAINER_OF(t, struct server_loop, grace);

    LIST_EACH_SAFE (x, &sl->conns)
        conn_cut(CONTAINER_OF(x, struct server_conn, link));
}

void server__on_stop(struct loop_task *t)
{
    struct server_loop *sl = CONTAINER_OF(t, struct server_loop, stop_task);
    struct net_server *s = sl->server;
    bool first = !sl->stopping;

    atomic_store_explicit(&sl->stop_posted, false, memory_order_release);
    if (sl->drained)
        return; /* a second stop came too late to shorten anything */
    sl->stopping = true;
    if (first && sl == &s->loops[0])
        listener__stop_all(s);
    if (first) {
        LIST_EACH_SAFE (x, &sl->conns)
            conn_drain(CONTAINER_OF(x, struct server_conn, link));
    }
    if (loop__timer_at(sl->loop, &sl->grace,
                       atomic_load_explicit(&s->stop_at_ns, memory_order_acquire)) != 0)
        server__grace_over(&sl->grace);
    server__loop_drained(sl);
}

void server__on_stopped(struct loop_task *t)
{
    struct net_server *s = CONTAINER_OF(t, struct net_server, stopped_task);

    if (s->stopped != NULL)
        s->stopped(s->stopped_user);
}

void net_server_stop(struct net_server *s, int64_t grace_ms, void (*done)(void *user), void *user)
{
    mono_ns at = clock_mono_ns(clock_posix()) +
                 MIN(MAX(grace_ms, 0), INT64_MAX / 4000000) * 1000000;

    if (!atomic_exchange_explicit(&s->stopping, true, memory_order_acq_rel)) {
        s->stopped = done;
        s->stopped_user = user;
        atomic_store_explicit(&s->stop_at_ns, at, memory_order_release);
    } else if (at < atomic_load_explicit(&s->stop_at_ns, memory_order_acquire)) {
        atomic_store_explicit(&s->stop_at_ns, at, memory_order_release);
    }
    for (size_t i = 0; i < s->loops_n; i++) {
        struct server_loop *sl = &s->loops[i];

        if (!atomic_exchange_explicit(&sl->stop_posted, true, memory_order_acq_rel))
            loop_post(sl->loop, &sl->stop_task);
    }
}
