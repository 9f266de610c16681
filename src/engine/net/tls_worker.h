/* tls_worker.h -- the thread on which a loop's clients' handshakes are made.
 *
 * A step of a handshake may cost a millisecond (a signature with an RSA key), in which a loop
 * serves ten requests.  So each loop that has clients with TLS has a thread beside it for these
 * steps, and for the reading of certificates that have changed:
 *
 *        loop                          worker
 *     tls_worker__send ---- step ----> tls_shake__step
 *     step.home.run <---- the same ---- loop_post
 *
 * While a step is away the worker has what it needs of the connection (tls_conn_int.h says which
 * fields), and the loop touches none of that.  At most NET_HANDSHAKES_AWAY_MAX are away at a time,
 * in the order in which they were sent; who is next is for tls_queue.c to say.
 *
 * It gives way: a step waits when those who serve clients need the processor, and still gets a part
 * of it, so that a handshake ends in its time.
 *
 * Threads: the loop's, all functions.
 */
#ifndef KETCH_ENGINE_NET_TLS_WORKER_H
#define KETCH_ENGINE_NET_TLS_WORKER_H

#include "engine/net/tls_conn_int.h"

struct tls_step {
    struct tls_conn *t;
    struct list link; /* of those that are not away */
    struct mpsc_node node;
    struct loop_task home;

    /* The worker's while the step is away. */
    struct buf in;  /* what was received; t->in points into it */
    struct buf out; /* what is to be sent */
    enum tls_outcome outcome;
    char why[TLS_WHY_BYTES];

    /* The loop's. */
    char lost[TLS_WHY_BYTES]; /* what has ended the handshake meanwhile; "": nothing */
};

/* Starts the loop's worker if it has none.  False: no memory, or no thread. */
NODISCARD bool tls_worker__start(struct loop *l);
/* Waits for its thread.  No step is away any more (invariant 20).  NULL is accepted. */
void tls_worker__free(struct tls_worker *w);

/* Whether one more may be sent. */
bool tls_worker__has_room(const struct tls_worker *w);
/* Sends a step for `t`, which reads `in` (taken).  `home` runs later, once, on the loop, and ends
 * with tls_worker__done. */
void tls_worker__send(struct tls_worker *w, struct tls_conn *t, struct buf *in,
                      void (*home)(struct loop_task *task));
void tls_worker__done(struct tls_worker *w, struct tls_step *s);

#endif
