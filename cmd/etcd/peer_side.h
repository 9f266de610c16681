/* peer_side.h -- from --listen-peer-urls and the peers' TLS flags to a peer server. */
#ifndef KETCH_CMD_ETCD_PEER_SIDE_H
#define KETCH_CMD_ETCD_PEER_SIDE_H

#include "edge/peer/peer.h"
#include "edge/server/security.h"

struct peer_side {
    struct security security;
    struct tls *client; /* of connections to other members; NULL: no flag says anything of it */
};

/* Takes the addresses; uses the configuration's memory.  `side` stays where it is for the peer
 * server's life, and is closed after it. */
NODISCARD int peer_side_open(struct peer_side *side, struct config *c, struct log *log,
                             struct metrics *m, struct peer_server **ret, struct err *e);
void peer_side_close(struct peer_side *side); /* an empty one is accepted */

#endif
