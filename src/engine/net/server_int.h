/* server_int.h -- the inside of a server: what its loops share, and what each has of its own. */
#ifndef KETCH_ENGINE_NET_SERVER_INT_H
#define KETCH_ENGINE_NET_SERVER_INT_H

#include "engine/net/conn.h"
#include "engine/net/server.h"

struct listener;
struct server_loop;

struct server_counters {
    _Atomic uint64_t connections_open;
    _Atomic uint64_t connections_total;
    _Atomic uint64_t connections_refused;
    _Atomic uint64_t calls_open;
    _Atomic uint64_t calls_total;
    _Atomic uint64_t http_total;
    _Atomic uint64_t grpc_bytes_in;
    _Atomic uint64_t grpc_bytes_out;
    _Atomic uint64_t abuse_closed;
    _Atomic uint64_t handshakes_failed;
};

/* One connection of a server, whatever it speaks.  The first bytes decide; then `kind` and the
 * fields of its session are set (h2_server.h, http1.h). */
struct server_conn {
    struct conn conn;
    struct server_loop *sl;
    struct listener *listener;
    struct list link;        /* sl->conns */
    struct loop_timer timer; /* first request, idle, keepalive: moved lazily, see the sessions */
    unsigned refs;           /* the connection itself, and each call or request on it */
    unsigned serves;
    uint8_t sniffed[24];
    size_t sniffed_n;
    struct h2_server *h2;
    uint64_t head_bytes;   /* of all calls, as RFC 9113 counts */
    struct list kept_link; /* sl->kept */
    uint64_t kept_bytes;   /* of all calls: kept.h */
    bool kept_going;       /* was told to go, or is closed */
    mono_ns took_ns;       /* when a body of its calls last went on its way; 0: never */
    struct http1 *http1;
    char *common_name; /* of the client's certificate; as long as there is a call on it */
};

/* A server's part on one loop.  Touched by that loop only, the counters apart. */
struct server_loop {
    struct net_server *server;
    struct loop *loop;
    struct list conns; /* until their last call has ended */
    struct list
        opening; /* struct h2_server.opening_link: have, or had, requests that are not whole */
    size_t opening_bytes; /* of those requests */
    size_t opening_bytes_max;
    struct list inflating; /* struct h2_server.inflate_link: have messages to be inflated */
    struct loop_work inflate_work;
    struct list kept; /* struct server_conn.kept_link: keep, or kept, something (kept.h) */
    _Atomic uint64_t kept_bytes;
    _Atomic uint64_t kept_going_bytes; /* of these: of connections that were told to go */
    uint64_t kept_part_bytes;
    bool stopping;
    bool drained;
    struct loop_timer grace;
    struct loop_task stop_task;
    _Atomic bool stop_posted;
    struct server_counters counters;
};

struct method_slot {
    struct bytes path;
    const struct net_method *method; /* NULL: empty */
    void *service;
};

struct net_server {
    struct net_server_options options;
    struct method_slot *methods; /* open addressing */
    size_t methods_cap;
    size_t methods_n;
    struct listener *listeners;
    struct server_loop *loops;
    size_t loops_n;
    _Atomic uint64_t held_bytes; /* of messages that came in parts, all connections */
    _Atomic bool stopping;
    _Atomic int64_t stop_at_ns;
    _Atomic uint32_t loops_running; /* not yet drained */
    void (*stopped)(void *user);
    void *stopped_user;
    struct loop_task stopped_task;
    struct loop_task start_task;
    _Atomic bool start_posted;
};

/* ---- server_methods.c ---- */

/* NULL: unknown. */
const struct method_slot *server__method(const struct net_server *s, struct bytes path);
/* Whether any method of the service is known: "etcdserverpb.KV". */
bool server__has_service(const struct net_server *s, struct bytes service);

/* ---- server_conn.c ---- */

/* On the loop of sl: takes the socket.  `peer` is the text of its address. */
void server__accepted(struct server_loop *sl, struct listener *ls, int fd, const char *peer);
/* A connection without socket, for tests and fuzz targets.  NULL without memory. */
struct server_conn *server__conn_new(struct server_loop *sl, struct listener *ls, int fd,
                                     const char *peer, unsigned serves);

static inline void server__conn_ref(struct server_conn *sc)
{
    sc->refs++;
}

void server__conn_unref(struct server_conn *sc);

/* The last lines of every session's conn_ops.closed and .free. */
void server__conn_closed(struct server_conn *sc);
void server__conn_free(struct conn *c);

/* ---- server_stop.c ---- */

/* A connection has gone, or the loop was told to stop: whether it was the last. */
void server__loop_drained(struct server_loop *sl);
/* Tasks and timer of a server that stops (net_server_new makes them). */
void server__on_stop(struct loop_task *t);
void server__on_stopped(struct loop_task *t);
void server__grace_over(struct loop_timer *t);

/* ---- listener.c: all listeners of a server; they live on the first loop. ---- */

void listener__closed(struct listener *ls); /* any loop: one connection less */
const struct net_listen *listener__where(const struct listener *ls); /* its serves and TLS */
void listener__start_all(struct net_server *s);
void listener__stop_all(struct net_server *s);
void listener__free_all(struct net_server *s);

static inline const struct net_limits *server__limits(const struct server_conn *sc)
{
    return &sc->sl->server->options.limits;
}

#endif
