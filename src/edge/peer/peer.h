/* peer.h -- what members say to one another: one member's peer listeners, and its connections to
 * the others (etcd's rafthttp).
 *
 *      peer_new        takes the addresses
 *      peer_transport  what node_open is given, so that the node can send
 *      peer_attach     to the opened node, before its actors run
 *      peer_start      answers and dials, on a loop of its own, so that the load of clients delays
 *                      no heartbeat
 *      peer_stop       cuts what is open and joins the loop;   peer_free
 *
 * Each pair of members has four long streams, two in each direction: one for appends, one for the
 * rest; each is dialed by the one who reads.  A member that has not dialed yet is sent POSTs.
 *
 * Source: etcd's server/etcdserver/api/rafthttp, as found in its traffic.
 *
 * Threads: all of these by one thread, the program's main one.   Memory: what the options point to
 * is borrowed for the peer server's life.
 */
#ifndef KETCH_EDGE_PEER_PEER_H
#define KETCH_EDGE_PEER_PEER_H

#include "base/err.h"
#include "engine/net/server.h"
#include "engine/net/tls.h"
#include "node/node.h"
#include "node/transport.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "sys/clock.h"

struct peer_server;

struct peer_options {
    const struct net_listen *listen;
    size_t listen_n;
    const char *version; /* "3.7.1", or that of the release it stands for */
    const char *const
        *peer_urls; /* --initial-advertise-peer-urls: where others reach this member */
    size_t peer_urls_n;
    int64_t dial_timeout_ms; /* 1 s + election timeout */
    int64_t request_ms;      /* for a request that comes, a snapshot's body apart; 0: as all have */
    struct tls *tls;         /* for https URLs of others; NULL: the system's CAs, no certificate */
    void (*rejected)(const struct tls_rejected *r, void *user); /* as net_server_options has it */
    void *rejected_user;
    struct log *log;
    struct metrics *metrics; /* NULL: none */
    struct clock *clock;
};

/* ERR_NOMEM, and those of net_server_listen with its words: "listen tcp 127.0.0.1:2380: bind:
 * address already in use". */
NODISCARD int peer_new(const struct peer_options *o, struct peer_server **ret, struct err *e);

/* For node_env; valid for the peer server's life.  Messages handed over before peer_start wait. */
const struct node_transport *peer_transport(struct peer_server *p);

/* A member that is known before it is in the membership: of a cluster that this one joins.  Between
 * node_open and peer_start. */
void peer_add_remote(struct peer_server *p, const struct cluster_member *m);

/* `n` is borrowed until peer_free. */
void peer_attach(struct peer_server *p, struct node *n);

/* Who may promote a member: asked on the peer loop with what the request's Authorization says
 * (empty: nothing).  Before peer_start; without it everybody may. */
void peer_guard(struct peer_server *p, enum api_error (*may)(void *user, struct bytes token),
                void *user);

/* Between peer_attach and the actors' start: do the other members that answer hold the same keys?
 * Waits for each of them in turn, for up to timeout_ms.
 *   ERR_CORRUPT   they do not: this member must not serve anybody
 *   ERR_NOMEM, or another of loop_new */
NODISCARD int peer_first_check(struct peer_server *p, int64_t timeout_ms, struct err *e);

/* Errors are those of loop_start: peer_stop and peer_free are called all the same. */
NODISCARD int peer_start(struct peer_server *p, struct err *e);

/* Behind node_stop, while the actors go on: returns when the node has no request of it any more.
 * Snapshots under way are broken off.  NULL is accepted; stopped ones, too. */
void peer_stop(struct peer_server *p);
/* When the actors run no more, and before the node is closed.  NULL is accepted. */
void peer_free(struct peer_server *p);

/* ---- joining ---- */

/* --initial-cluster, and which of its members this one is. */
struct peer_discovery {
    const char *name;
    const struct cluster_member *members; /* names and peer URLs */
    size_t members_n;
    const char *version; /* as peer_options has it; likewise tls */
    struct tls *tls;
    struct log *log;
};

struct peer_discovered {
    uint64_t cluster_id;
    struct cluster_member *members; /* as the cluster knows them; in the arena */
    size_t members_n;
    const struct cluster_member *self;
};

/* Asks the other members, one after the other, and waits for an answer.  What is in *d is borrowed
 * for the call.
 *   ERR_NOT_FOUND   none of them answers ("cannot fetch cluster info from peer urls: ...")
 *   ERR_INVALID     the cluster has other members than --initial-cluster, or runs at a version
 *                   that this release cannot share
 *   ERR_NOMEM, or another of loop_new */
NODISCARD int peer_discover(const struct peer_discovery *d, struct arena *a,
                            struct peer_discovered *ret, struct err *e);

/* A member of a new cluster asks the others whether it has been one before: then its directory was
 * lost, and it must not vote a second time.  False as well when nobody answers, each in a second.
 */
bool peer_was_started(const struct peer_discovery *d, uint64_t own_id, struct arena *a);

/* The port of the first listener, for tests that listen on port 0. */
uint16_t peer_port(const struct peer_server *p);

#endif
