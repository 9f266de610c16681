/* mpsc.h -- an intrusive queue: many threads push, one thread takes everything at once.
 *
 * A Treiber stack that the consumer empties with one exchange and turns round: elements come out in
 * the order in which they were pushed.  mpsc_push says whether the queue was empty before, which is
 * when the consumer needs to be woken: one wake-up per batch, however many pushes follow.
 *
 * Threads: push from any; take from the owner only.  No lock, no allocation.
 */
#ifndef KETCH_BASE_MPSC_H
#define KETCH_BASE_MPSC_H

#include <stdatomic.h>

#include "base/base.h"

struct mpsc_node {
    struct mpsc_node *next;
};

struct mpsc {
    _Atomic(struct mpsc_node *) top;
};

static inline void mpsc_init(struct mpsc *q)
{
    atomic_init(&q->top, NULL);
}

/* True when the queue was empty: wake the consumer. */
static inline bool mpsc_push(struct mpsc *q, struct mpsc_node *n)
{
    struct mpsc_node *old = atomic_load_explicit(&q->top, memory_order_relaxed);

    do
        n->next = old;
    while (!atomic_compare_exchange_weak_explicit(&q->top, &old, n, memory_order_seq_cst,
                                                  memory_order_relaxed));
    return old == NULL;
}

/* All elements, oldest first, linked by next; NULL when there are none. */
static inline struct mpsc_node *mpsc_take(struct mpsc *q)
{
    struct mpsc_node *n = atomic_exchange_explicit(&q->top, NULL, memory_order_seq_cst);
    struct mpsc_node *out = NULL;

    while (n != NULL) {
        struct mpsc_node *next = n->next;

        n->next = out;
        out = n;
        n = next;
    }
    return out;
}

static inline bool mpsc_empty(struct mpsc *q)
{
    return atomic_load_explicit(&q->top, memory_order_seq_cst) == NULL;
}

#endif
