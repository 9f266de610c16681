/* conn_int.h -- what the files of a connection share: conn.c (its life, what its socket is watched
 * for, the end of its turn), conn_input.c (what comes in: reads, slices, what is carried) and
 * conn_output.c (what goes out: a round of output).  The contract is conn.h; how connections share
 * a turn is turn.h.
 */
#ifndef KETCH_ENGINE_NET_CONN_INT_H
#define KETCH_ENGINE_NET_CONN_INT_H

#include "engine/net/conn.h"

/* Input waits for its slice, and the socket is not read (invariant 10). */
static inline bool conn__carries(const struct conn *c)
{
    return !list_empty(&c->carry_link);
}

/* ---- conn.c ---- */

/* After a change of read_paused, of want_write or of whether it carries: watches the socket for
 * what is of use now. */
void conn__poll_update(struct conn *c);
/* What was answered at once leaves at once, while the session is in the cache; answers that come
 * later in the turn, from tasks and hooks, leave together at its end. */
void conn__flush_fresh(struct conn *c);
/* The socket failed: as conn__doom, and TLS says nothing more. */
void conn__broke(struct conn *c, int why);

/* ---- conn_input.c ---- */

/* The socket has something to say: reads some of it, or lets it wait where the connection yields.
 * Not while it carries or reading is paused. */
void conn__readable(struct conn *c);
/* It carries nothing any more. */
void conn__carry_drop(struct conn *c);

/* ---- conn_output.c ---- */

/* One round: take output from the session if nothing is left of the last, write it.  True: there is
 * more and the socket would take it. */
bool conn__flush_round(struct conn *c);
/* Writes what waits for the socket, as much as it takes; want_write: it did not take all. */
void conn__write_some(struct conn *c);

#endif
