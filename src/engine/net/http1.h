/* http1.h -- the HTTP/1 side of a server connection: one request at a time, in order.
 *
 *       first byte          header complete        handler ended it, all written
 *  IDLE ---------> READING ----------------> BUSY -------------------------------> IDLE, or closed
 *                     |                       |
 *                     | malformed, too large, | client gone: the request is told
 *                     v late                  v
 *                   closed                  closed
 *
 * Bytes that come while a request is busy (pipelining) wait in `pending`, up to a limit at which
 * the socket is no longer read.
 */
#ifndef KETCH_ENGINE_NET_HTTP1_H
#define KETCH_ENGINE_NET_HTTP1_H

#include "engine/net/server_int.h"

struct http1;

/* Takes over the connection.  False: no memory. */
NODISCARD bool http1__attach(struct server_conn *sc);
/* Closes when the request that is busy has been answered. */
void http1__drain(struct http1 *h);

#endif
