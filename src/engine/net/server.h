/* server.h -- listeners, and the table of what is served on them.
 *
 * One server has one table of gRPC methods and one handler of plain HTTP requests, served by
 * connections that are spread over its loops.  On a cleartext port the first bytes decide: the
 * HTTP/2 preface brings a gRPC connection, an HTTP/1 request line an HTTP one, anything else is
 * closed.
 *
 * Life:  net_server_new, net_server_add, net_server_listen (the port is taken, connections queue in
 * the kernel), net_server_start (they are accepted), net_server_stop, net_server_free.
 *
 * Threads: new, add, listen and start by the thread that sets up; start and stop may be called
 * while the loops run, from any thread; free after net_server_stop said it is done and the loops
 * ended.  Counters: any thread.   Memory: options and addresses are copied; loops and method tables
 * are borrowed for the server's life.
 */
#ifndef KETCH_ENGINE_NET_SERVER_H
#define KETCH_ENGINE_NET_SERVER_H

#include "base/err.h"
#include "engine/net/net_limits.h"
#include "engine/net/shares.h"
#include "sys/clock.h"

struct call;
struct http_req;
struct loop;
struct net_server;

enum net_method_kind {
    NET_UNARY,         /* one request, one answer */
    NET_SERVER_STREAM, /* one request, then call_send and call_finish */
    NET_BIDI,          /* messages both ways; a client stream too */
};

/* What is called, always on the loop of the connection.
 *
 *   unary, server stream   `request` once, with the whole message, which lies in call_arena()
 *   bidi                   `open` once (may be NULL), when the headers are there; then `message`
 *                          for each, valid during the callback only; `half_closed` when the client
 *                          has said its last
 *
 * None of them after the call was ended or canceled. */
struct net_method {
    const char *path; /* "/etcdserverpb.KV/Put" */
    enum net_method_kind kind;
    void (*request)(struct call *c, struct bytes message);
    void (*open)(struct call *c);
    void (*message)(struct call *c, struct bytes message);
    void (*half_closed)(struct call *c);
    uint32_t tag; /* the service's own number for the method */
};

/* Seen for every call of a known method, for metrics and checks.  `begin` runs before the method's
 * first callback; when it returns a code other than 0 the call is answered with that code and
 * *ret_text (valid until `begin` is called again on this loop) and the method never hears of it.
 * `end` runs once, when the status is decided; code 1 (Canceled) when the client went first. */
struct net_call_hooks {
    int (*begin)(struct call *c, void *user, const char **ret_text);
    void (*end)(struct call *c, int code, void *user);
    void *user;
};

struct tls;
struct tls_rejected;

struct net_server_options {
    struct loop **loops; /* borrowed; at least one */
    size_t loops_n;
    struct net_limits limits; /* begin with net_limits_default */
    /* Of which each connection takes one, on whichever listener; borrowed, NULL: no more than
     * limits.connections_max says.  When it is used up a new connection is closed. */
    struct net_share *share;
    /* Then the oldest connection on the first loop that has no request is closed instead. */
    bool idle_yield;
    struct net_call_hooks hooks;
    /* Plain HTTP requests (http.h).  NULL: a cleartext port closes HTTP/1 connections. */
    void (*http)(struct http_req *r, void *user);
    void *http_user;
    /* A connection that was refused for its TLS (tls.h), on its loop.  May be NULL. */
    void (*rejected)(const struct tls_rejected *r, void *user);
    void *rejected_user;
};

/* ERR_NOMEM. */
NODISCARD int net_server_new(const struct net_server_options *o, struct net_server **ret,
                             struct err *e);
void net_server_free(struct net_server *s); /* NULL is accepted */

/* Adds methods; the table is borrowed and outlives the server.  `service` comes back as
 * call_service().  Before net_server_start.  Those in front of the one that failed are served.
 *   ERR_EXISTS   a path that is served already;   ERR_NOMEM */
NODISCARD int net_server_add(struct net_server *s, const struct net_method *m, size_t n,
                             void *service, struct err *e);

enum net_serves {
    NET_SERVES_GRPC = 1,
    NET_SERVES_HTTP = 2,  /* over HTTP/1 */
    NET_SERVES_HTTP2 = 4, /* plain requests over HTTP/2 too: etcd does so behind TLS only, and
                             answers them with 415 on a cleartext port */
};

/* Where to listen: host (a numeric address, or a name that is resolved, "" or NULL: all addresses)
 * and port, 0: one that is free; or the path of a unix socket, which is replaced when nobody
 * listens on it and removed at the end. */
struct net_listen {
    const char *host;
    uint16_t port;
    const char *unix_path; /* not NULL: host and port are ignored */
    bool reuse_port;       /* others that say so, too, may listen there (SO_REUSEPORT) */
    unsigned serves;       /* enum net_serves; 0: gRPC and HTTP */
    struct tls *tls;   /* NULL: cleartext.  A reference is taken.  With TLS, ALPN decides between
                          HTTP/1 and what goes over HTTP/2 */
    bool or_cleartext; /* takes connections without TLS, too */
};

/* Takes the address.  *ret_port (may be NULL) is the port.
 *
 *   ERR_NET_ADDR_IN_USE   in etcd's words: "listen tcp A:2379: bind: address already in use"
 *   ERR_NET_RESOLVE       no such host
 *   ERR_INVALID           the path of a unix socket is empty or too long for one
 *   ERR_PERMISSION, ERR_NOMEM, ERR_IO and others of base/err.h, by the system's errno
 */
NODISCARD int net_server_listen(struct net_server *s, const struct net_listen *where,
                                uint16_t *ret_port, struct err *e);

/* Accepts connections from now on, on all addresses that were taken; again after taking more. */
void net_server_start(struct net_server *s);

/* Stops accepting, tells every connection to end (GOAWAY), lets calls finish for at most
 * `grace_ms`, then cancels them and cuts the connections.  `done` (may be NULL) runs on the first
 * loop when the last connection is gone.  A second call with a shorter time shortens it; its `done`
 * is ignored. */
void net_server_stop(struct net_server *s, int64_t grace_ms, void (*done)(void *user), void *user);

struct net_counters {
    uint64_t connections_open;
    uint64_t connections_total;
    uint64_t connections_refused; /* over connections_max */
    uint64_t calls_open;
    uint64_t calls_total;
    uint64_t http_total;
    uint64_t bytes_in; /* of the sockets */
    uint64_t bytes_out;
    uint64_t grpc_bytes_in; /* of messages: etcd_network_client_grpc_received_bytes_total */
    uint64_t grpc_bytes_out;
    uint64_t reads; /* system calls */
    uint64_t writes;
    uint64_t abuse_closed; /* connections ended for breaking a limit */
    uint64_t handshakes_failed;
};

/* Any thread; each number is right, the sum of them not of one moment. */
void net_server_counters(const struct net_server *s, struct net_counters *ret);

#endif
