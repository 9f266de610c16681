/* outq.h -- the bytes that a connection has for its socket: copied ones in a row, and between them
 * references to counted blocks that are written from where they lie.
 *
 *     flat:  [ head ][ DATA head | small message | DATA head ][ ...
 *                                                      ^ refs[0].at: 200 KiB of a payload go here
 *
 * The flat part is either the loop's scratch buffer, lent while one connection is being written
 * (the usual case: everything leaves at once and an idle connection holds no memory), or the
 * connection's own, grown when the socket did not take all.
 *
 * Invariants: off <= n <= cap; refs[i].at is not below refs[i-1].at, and off <= refs[first].at <=
 * n; bytes = (n - off) + what the refs hold.
 */
#ifndef KETCH_ENGINE_NET_OUTQ_H
#define KETCH_ENGINE_NET_OUTQ_H

#include <sys/uio.h>

#include "base/payload.h"

struct outq_ref {
    size_t at; /* offset in flat in front of which it goes */
    const uint8_t *p;
    size_t n;
    struct payload *owner;
};

struct outq {
    uint8_t *flat;
    size_t off; /* written to the socket up to here */
    size_t n;
    size_t cap;
    bool lent; /* flat is the loop's */
    struct outq_ref *refs;
    size_t refs_first;
    size_t refs_n;
    size_t refs_cap;
    size_t bytes; /* unwritten */
};

void outq_init(struct outq *q);
void outq_done(struct outq *q);

/* Only when q is empty: append into `scratch` from now on. */
void outq_lend(struct outq *q, uint8_t *scratch, size_t cap);
/* Moves what is left out of the scratch buffer.  False: no memory; the queue is then unusable. */
NODISCARD bool outq_unlend(struct outq *q);

/* Room for n bytes at the end, counted in at once; NULL without memory (or beyond the scratch). */
uint8_t *outq_reserve(struct outq *q, size_t n);
NODISCARD bool outq_add(struct outq *q, const void *p, size_t n);
/* By reference when long (NET_OUT_REF_BYTES), else copied.  `owner` NULL: always copied. */
NODISCARD bool outq_add_counted(struct outq *q, const uint8_t *p, size_t n, struct payload *owner);

/* A point to go back to, when a frame that was begun cannot be completed. */
struct outq_mark {
    size_t n;
    size_t refs_n;
    size_t bytes;
};

struct outq_mark outq_mark(const struct outq *q);
void outq_rewind(struct outq *q, struct outq_mark m);

/* Fills at most iov_max entries; returns how many. */
int outq_iov(const struct outq *q, struct iovec *iov, int iov_max);
/* n bytes have been written. */
void outq_consume(struct outq *q, size_t n);

#endif
