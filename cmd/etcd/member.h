/* member.h -- a member of a cluster: its parts, and the order in which they begin and end.
 *
 * Order of a start: ports (a port in use is found before anything on disk is touched), the data
 * directory, the threads, the clients.  A stop goes the other way round.
 */
#ifndef KETCH_CMD_ETCD_MEMBER_H
#define KETCH_CMD_ETCD_MEMBER_H

#include "edge/server/config.h"
#include "edge/server/member_permit.h"
#include "edge/server/server.h"
#include "etcd/actors.h"
#include "etcd/peer_side.h"

/* What the program sends to itself. */
#define MEMBER_SIGNAL_REMOVED SIGUSR2

/* How long a member that was removed still serves, so that others hear of it, and how long its
 * calls then have to end.  Short: a removed leader that still answers hides that the others have no
 * leader yet, and what a client then proposes is lost; and whoever watches there sees nothing of
 * what the others do. */
#define MEMBER_REMOVED_STOP_MS 100

struct member {
    struct config config;
    struct log *log;
    struct metrics *metrics;
    struct actors actors;
    struct server *server;
    struct peer_side peer_side;
    struct peer_server *peers;
    struct member_permit *permit; /* of the peer port */
    struct node *node;
    _Atomic bool removed;
};

/* Configuration, log and metrics are there.  After an error member_close ends what has begun. */
NODISCARD int member_open(struct member *m, char *const *argv, struct err *e);
void member_close(struct member *m);

#endif
