/* server.h -- what clients talk to: gRPC services and HTTP pages of one member, on its client and
 * metrics listeners.
 *
 *      server_new      takes all addresses (a port in use is found before anything on disk is
 *                      touched)
 *      node_open       ... by the caller
 *      server_attach   tells the node where answers go
 *                      ... the caller starts the node's actors
 *      server_start    starts the I/O threads.  Metrics listeners answer at once, client listeners
 *                      when the member has published itself; until then connections wait in the
 *                      kernel
 *      server_stop     stops accepting, gives calls up to the request timeout to end, cuts the
 *                      rest, and joins the I/O threads; the node's actors run meanwhile.
 *                      server_stop_within gives them as long as the caller says
 *      server_free     ... and node_close afterwards
 *
 * Threads: all of these by one thread, the program's main one, but for server_stand_in.
 * Memory: what the options point to is borrowed for the server's life.
 */
#ifndef KETCH_EDGE_SERVER_SERVER_H
#define KETCH_EDGE_SERVER_SERVER_H

#include "edge/server/config.h"
#include "node/node.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "sys/clock.h"
#include "sys/random.h"

#define SERVER_IO_THREADS_MAX 32

struct server;

/* Whoever runs the node's actors may let an I/O thread run them that has nothing else to do.
 * borrow: true when it may, and then `run` follows; what is submitted in between waits for it.
 * run: until the node has nothing to do at once; waits for the disk. */
struct server_core {
    bool (*borrow)(void *ctx);
    void (*run)(void *ctx);
    void *ctx;
};

struct server_options {
    const struct config *config; /* checked: config_check, config_check_start */
    struct log *log;
    struct metrics *metrics;
    struct clock *clock;
    struct random *random;
    char *const *argv;       /* for /debug/vars; may be NULL */
    bool initialized;        /* the data directory has a member already: for the log */
    struct server_core core; /* borrow NULL: never */
};

/* ERR_NOMEM; ERR_INVALID and others for an option that only the start can judge (--auth-token, a
 * collector's address, TLS files); those of net_server_listen with its words: "listen tcp
 * 127.0.0.1:2379: bind: address already in use". */
NODISCARD int server_new(const struct server_options *o, struct server **ret, struct err *e);

/* After node_open, before the actors run.  ERR_LIMIT: there are too many readers. */
NODISCARD int server_attach(struct server *s, struct node *n, struct err *e);

/* Errors are those of loop_start: server_stop and server_free are called all the same. */
NODISCARD int server_start(struct server *s, struct err *e);

/* Any thread but the server's: while an I/O thread waits for the disk in `core.run`, does its work
 * in its place, and returns when it is back.  Returns at once where none does. */
void server_stand_in(struct server *s);

/* What the node needs to know of --auth-token: whether logins give simple tokens. */
bool server_simple_tokens(const struct config *c);

/* The port of the first client listener, for tests that listen on port 0. */
uint16_t server_client_port(const struct server *s);

/* Return when every request is back from the node. */
void server_stop(struct server *s);
void server_stop_within(struct server *s, int64_t grace_ms);
void server_free(struct server *s); /* NULL is accepted; stopped before */

/* systemd (sd_notify(3)): READY=1 to the socket that NOTIFY_SOCKET names.  False: there is none, or
 * it does not take it.  Any thread. */
bool notify_ready(void);

#endif
