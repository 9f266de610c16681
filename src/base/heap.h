/* heap.h -- a binary min-heap whose elements know their place, so that any can be moved or removed.
 *
 * The element embeds a struct heap_item.  Ties are broken by `seq`, the order of insertion (one
 * that is moved counts as inserted anew), so the order of removal is a function of the calls alone.
 *
 * Threads: one at a time.   Memory: the heap owns its array, not the elements.
 */
#ifndef KETCH_BASE_HEAP_H
#define KETCH_BASE_HEAP_H

#include "base/base.h"

#define HEAP_NOWHERE SIZE_MAX

struct heap_item {
    int64_t key;
    uint64_t seq;
    size_t at; /* HEAP_NOWHERE: in no heap */
};

struct heap {
    struct heap_item **items;
    size_t count;
    size_t cap;
    uint64_t next_seq;
};

void heap_init(struct heap *h);
void heap_done(struct heap *h);

static inline void heap_item_init(struct heap_item *x)
{
    *x = (struct heap_item){.at = HEAP_NOWHERE};
}

/* x is in no heap.  False: no memory, nothing has changed. */
NODISCARD bool heap_push(struct heap *h, struct heap_item *x, int64_t key);
void heap_remove(struct heap *h, struct heap_item *x);            /* must be in h */
void heap_move(struct heap *h, struct heap_item *x, int64_t key); /* must be in h */

static inline struct heap_item *heap_min(const struct heap *h)
{
    return h->count == 0 ? NULL : h->items[0];
}

#endif
