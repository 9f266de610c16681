/* forward_pair.h -- two sockets of which each gets what the other sends.  See forward.h.
 *
 * A direction, from a side to its `other`:
 *
 *             read            not all taken               all taken
 *   FLOWING ---------> written -------------> WAITING -----------------> FLOWING
 *      |                                         |
 *      | end of input                            | end of input cannot be seen: not read meanwhile
 *      v
 *   the other's output is shut down
 *
 * Invariants:
 *  1. A side is read only while its other has nothing that waits.
 *  2. `wait` has memory only while bytes wait, NET_FORWARD_BYTES at most.
 *  3. A side's output is shut down at most once, with nothing that waits, after its other's end.
 *  4. The memory goes when both handles are closed.
 */
#ifndef KETCH_ENGINE_NET_FORWARD_PAIR_H
#define KETCH_ENGINE_NET_FORWARD_PAIR_H

#include "engine/net/loop_int.h"

struct pair_side {
    struct pair *pair;
    struct pair_side *other;
    int fd;
    uv_poll_t poll;
    bool open;     /* `poll` is */
    bool ended;    /* has said its last */
    bool shut;     /* we have said our last to it */
    uint8_t *wait; /* what it has not taken yet; NULL: nothing */
    size_t wait_at;
    size_t wait_n;
};

struct pair {
    struct list link; /* the owner's */
    struct loop *loop;
    struct pair_side sides[2];
    struct loop_timer half; /* runs while one side has ended */
    unsigned handles;       /* open or closing */
    bool closing;
    /* Once each: when the pair is closed, and when its memory may go. */
    void (*closed)(struct pair *p, bool silent);
    void (*freed)(struct pair *p);
};

/* Takes both sockets.  The callbacks are set by the owner; when there is no memory they run now. */
void pair__start(struct pair *p, struct loop *l, int fd_a, int fd_b);

/* `silent`: for its silence while half closed. */
void pair__close(struct pair *p, bool silent);

#endif
