/* listen.h -- the listeners of a server.  Private to edge/server. */
#ifndef KETCH_EDGE_SERVER_LISTEN_H
#define KETCH_EDGE_SERVER_LISTEN_H

#include "edge/server/server_int.h"

/* Makes the net servers and takes their addresses.  What was made before an error is the server's
 * to free. */
NODISCARD int listen_open(struct server *s, struct err *e);

#endif
