/* piece.h -- the parts of which an outgoing message is made, so that its bytes need not be copied
 * together first.
 *
 * Three kinds, by who keeps the bytes alive until they are on the socket:
 *   copied    nobody: they are copied during the call that takes the piece
 *   kept      the caller promises that they stay until the call or response is over: bytes in
 *             call_arena(), constants, a mapped file whose view the caller holds
 *   counted   a struct payload, of which the taker gets a reference of its own: one encoded event
 *             for a thousand watchers
 */
#ifndef KETCH_ENGINE_NET_PIECE_H
#define KETCH_ENGINE_NET_PIECE_H

#include "base/payload.h"

enum net_piece_kind {
    NET_PIECE_COPIED,
    NET_PIECE_KEPT,
    NET_PIECE_COUNTED,
};

struct net_piece {
    enum net_piece_kind kind;
    struct bytes bytes;
    struct payload *owner; /* counted only: `bytes` lies within it */
};

static inline struct net_piece net_piece_copied(const void *p, size_t n)
{
    return (struct net_piece){NET_PIECE_COPIED, bytes_of(p, n), NULL};
}

static inline struct net_piece net_piece_kept(const void *p, size_t n)
{
    return (struct net_piece){NET_PIECE_KEPT, bytes_of(p, n), NULL};
}

/* Borrows the caller's reference: the taker adds its own, and gives it back when the bytes left. */
static inline struct net_piece net_piece_counted(struct payload *owner)
{
    return (struct net_piece){NET_PIECE_COUNTED, bytes_of(owner->data, owner->bytes), owner};
}

/* A body that is made while it leaves: `fill` is asked for bytes as the window and the socket take
 * them, so that a large answer is never held as a whole.
 *
 * fill  writes exactly n bytes to `out`: the next ones of the body.  False: it cannot (the stream
 * is then reset with INTERNAL_ERROR).  n is at most 16384 and never goes past the length promised.
 * done  is called exactly once, when the last byte was asked for or when nobody wants more.
 * Both run on the loop's thread. */
struct net_pull {
    bool (*fill)(void *arg, uint8_t *out, size_t n);
    void (*done)(void *arg);
    void *arg;
};

#endif
