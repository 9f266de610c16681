/* peer.h -- what other members talk to: one member's peer listeners.
 *
 * So far a member is alone, so what is served is what anyone may ask of a member before it is a
 * peer: its version, and whether it is there.  Everything else is answered as by a member that
 * knows nobody.
 *
 *      peer_new        takes the addresses
 *      peer_start      answers, on a loop of its own, so that the load of clients delays no member
 *      peer_stop       cuts what is open and joins the loop;   peer_free
 *
 * Threads: all of these by one thread, the program's main one.   Memory: options are borrowed for
 * the peer server's life.
 */
#ifndef KETCH_EDGE_PEER_PEER_H
#define KETCH_EDGE_PEER_PEER_H

#include "base/err.h"
#include "engine/net/server.h"
#include "node/node.h"
#include "obs/log.h"
#include "sys/clock.h"

struct peer_server;

struct peer_options {
    const struct net_listen *listen;
    size_t listen_n;
    const char *version; /* "3.7.1", or that of the release it stands for */
    struct log *log;
    struct clock *clock;
};

/* "listen tcp 127.0.0.1:2380: bind: address already in use" and other words of engine/net. */
NODISCARD int peer_new(const struct peer_options *o, struct peer_server **ret, struct err *e);

NODISCARD int peer_start(struct peer_server *p, struct node *n, struct err *e);

void peer_stop(struct peer_server *p); /* NULL is accepted; stopped ones too */
void peer_free(struct peer_server *p); /* NULL is accepted */

/* The port of the first listener, for tests that listen on port 0. */
uint16_t peer_port(const struct peer_server *p);

#endif
