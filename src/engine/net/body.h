/* body.h -- the outgoing bytes of one stream that have not been framed yet: messages made of
 * pieces.
 *
 * A message is one allocation, from the arena of a unary call or the heap: its parts, and behind
 * them the bytes that had to be copied.  Counted blocks are referenced, short ones copied all the
 * same.
 *
 * Invariant: bytes is the sum over the messages; held_bytes leaves out what pulls will make, and
 * own_bytes, which falls when a part has left, is what is kept for this body: of a counted block
 * its share, as small as others had it before.  What waits at a call to be compressed is in it,
 * too.
 */
#ifndef KETCH_ENGINE_NET_BODY_H
#define KETCH_ENGINE_NET_BODY_H

#include "base/arena.h"
#include "engine/net/outq.h"
#include "engine/net/piece.h"

/* A counted piece shorter than this is copied: a reference costs more. */
#define BODY_COPY_BYTES 512

/* A block for the small messages that queue up behind one that waits. */
#define BODY_BURST_BYTES 4096

struct body_msg;

struct body {
    struct body_msg *head;
    struct body_msg *last;
    uint64_t bytes;
    uint64_t held_bytes;
    uint64_t own_bytes;
};

/* What a body that refers to n bytes of `p` next keeps of them. */
static inline uint64_t body_share(const struct payload *p, uint64_t n)
{
    return n / MAX(atomic_load_explicit(&p->refs, memory_order_relaxed), 1u);
}

static inline void body_init(struct body *b)
{
    *b = (struct body){0};
}

/* Drops everything; pulls are told that they are done. */
void body_clear(struct body *b);

/* One message: `head` (copied), then the pieces.  a: where the memory comes from, NULL: the heap.
 * False: no memory, nothing changed. */
NODISCARD bool body_add(struct body *b, struct arena *a, struct bytes head,
                        const struct net_piece *v, size_t vn);
/* False: no memory; pull.done was not called. */
NODISCARD bool body_add_pull(struct body *b, struct arena *a, struct bytes head, uint64_t bytes,
                             const struct net_pull *pull);

enum body_taken {
    BODY_TAKEN,
    BODY_NOMEM,
    BODY_BROKEN, /* a pull gave up */
};

/* Moves the first n bytes (n <= b->bytes) to the end of q. */
NODISCARD enum body_taken body_take(struct body *b, struct outq *q, size_t n);

#endif
