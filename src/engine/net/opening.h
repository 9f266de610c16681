/* opening.h -- requests that have begun and are not whole yet, and who has too many of them.
 *
 * Such a request costs us memory and its sender nothing more.  Counted is a unary request until its
 * end has come, a stream until its first message has.  When all of a loop are beyond their limit
 * (net_limits.h) the connection that has most of them is told to calm down and ended.
 *
 * Invariants: sl.opening_bytes is the sum of opening_bytes of the connections in sl.opening, each
 * of these that of its calls; a connection that was told to go has none.
 *
 * Threads: the loop's.
 */
#ifndef KETCH_ENGINE_NET_OPENING_H
#define KETCH_ENGINE_NET_OPENING_H

#include "engine/net/h2_server.h"

void opening__begin(struct call *c);        /* its head is there */
void opening__forget(struct h2_server *h2); /* none of its requests will become whole */
void opening__init(struct server_loop *sl);

/* It is whole, or will never be.  Again: nothing. */
static inline void opening__end(struct call *c)
{
    struct h2_server *h2 = c->h2;

    if (h2 == NULL || h2->terminated)
        return;
    h2->opening_bytes -= c->opening_bytes;
    c->sc->sl->opening_bytes -= c->opening_bytes;
    c->opening_bytes = 0;
}

#endif
