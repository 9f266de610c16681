/* server.c -- a server from its making to its end; its limits and its numbers. */
#define _GNU_SOURCE
#include "engine/net/server.h"

#include "base/alloc.h"
#include "engine/net/kept.h"
#include "engine/net/opening.h"
#include "engine/net/server_int.h"

void net_limits_default(struct net_limits *l)
{
    *l = (struct net_limits){
        .connections_max = NET_CONNECTIONS_MAX,
        .concurrent_streams_max = NET_CONCURRENT_STREAMS_MAX,
        .conn_streams_max = NET_CONN_STREAMS_MAX,
        .recv_message_bytes_max = NET_RECV_MESSAGE_BYTES_MAX,
        .header_bytes_max = NET_HEADER_BYTES_MAX,
        .http_body_bytes_max = NET_HTTP_BODY_BYTES_MAX,
        .call_arena_bytes_max = NET_CALL_ARENA_BYTES_MAX,
        .conn_queued_bytes_max = NET_CONN_QUEUED_BYTES_MAX,
        .conn_head_bytes_max = NET_CONN_HEAD_BYTES_MAX,
        .server_opening_bytes_max = NET_SERVER_OPENING_BYTES_MAX,
        .conn_held_bytes_max = NET_CONN_HELD_BYTES_MAX,
        .server_held_bytes_max = NET_SERVER_HELD_BYTES_MAX,
        .server_kept_bytes_max = NET_SERVER_KEPT_BYTES_MAX,
        .stream_window_bytes = NET_STREAM_WINDOW_BYTES,
        .conn_window_bytes = NET_CONN_WINDOW_BYTES,
        .handshake_ms = NET_HANDSHAKE_MS,
        .first_request_ms = NET_FIRST_REQUEST_MS,
        .http_header_ms = NET_HTTP_HEADER_MS,
        .http_idle_ms = NET_HTTP_IDLE_MS,
        .keepalive_min_ms = NET_KEEPALIVE_MIN_MS,
        .keepalive_interval_ms = NET_KEEPALIVE_INTERVAL_MS,
        .keepalive_timeout_ms = NET_KEEPALIVE_TIMEOUT_MS,
        .keepalive_enforced = true,
    };
}

/* ---- life ---- */

static void on_start(struct loop_task *t)
{
    struct net_server *s = CONTAINER_OF(t, struct net_server, start_task);

    atomic_store_explicit(&s->start_posted, false, memory_order_release);
    if (!s->loops[0].stopping)
        listener__start_all(s);
}

int net_server_new(const struct net_server_options *o, struct net_server **ret, struct err *e)
{
    struct net_server *s = mem_calloc(1, sizeof *s);

    ASSERT(o->loops_n > 0);
    if (s != NULL)
        s->loops = mem_calloc(o->loops_n, sizeof *s->loops);
    if (s == NULL || s->loops == NULL) {
        mem_free(s);
        return err_set(e, ERR_NOMEM, "make a server: out of memory");
    }
    s->options = *o;
    s->options.loops = NULL;
    s->loops_n = o->loops_n;
    s->stopped_task.run = server__on_stopped;
    s->start_task.run = on_start;
    atomic_store(&s->loops_running, (uint32_t) o->loops_n);
    for (size_t i = 0; i < o->loops_n; i++) {
        struct server_loop *sl = &s->loops[i];

        sl->server = s;
        sl->loop = o->loops[i];
        list_init(&sl->conns);
        opening__init(sl);
        call__inflate_init(sl);
        kept__init(sl);
        loop_timer_init(&sl->grace, server__grace_over);
        sl->stop_task.run = server__on_stop;
    }
    *ret = s;
    return 0;
}

void net_server_free(struct net_server *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->loops_n; i++) {
        ASSERT(list_empty(&s->loops[i].conns));
        ASSERT(!loop_timer_active(&s->loops[i].grace)); /* invariant 14 */
    }
    listener__free_all(s);
    mem_free(s->methods);
    mem_free(s->loops);
    mem_free(s);
}

void net_server_start(struct net_server *s)
{
    if (!atomic_exchange_explicit(&s->start_posted, true, memory_order_acq_rel))
        loop_post(s->loops[0].loop, &s->start_task);
}

static uint64_t load(const _Atomic uint64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

void net_server_counters(const struct net_server *s, struct net_counters *ret)
{
    *ret = (struct net_counters){0};
    for (size_t i = 0; i < s->loops_n; i++) {
        const struct server_counters *c = &s->loops[i].counters;
        const struct loop_counters *l = &s->loops[i].loop->counters;

        ret->connections_open += load(&c->connections_open);
        ret->connections_total += load(&c->connections_total);
        ret->connections_refused += load(&c->connections_refused);
        ret->calls_open += load(&c->calls_open);
        ret->calls_total += load(&c->calls_total);
        ret->http_total += load(&c->http_total);
        ret->grpc_bytes_in += load(&c->grpc_bytes_in);
        ret->grpc_bytes_out += load(&c->grpc_bytes_out);
        ret->abuse_closed += load(&c->abuse_closed);
        ret->handshakes_failed += load(&c->handshakes_failed);
        ret->bytes_in += load(&l->bytes_in);
        ret->bytes_out += load(&l->bytes_out);
        ret->reads += load(&l->reads);
        ret->writes += load(&l->writes);
    }
}
