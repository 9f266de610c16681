/* payload.h -- a counted, immutable block of bytes that several holders, on several threads, keep
 * alive.
 *
 * The bytes of a batch of proposals live in one block: the log, the WAL writer, the messages to
 * followers and the apply queue each hold a reference, and nobody copies.
 *
 * Threads: any; the count is atomic.   Bytes are written by the maker before the block is shared,
 * never after.
 */
#ifndef KETCH_BASE_PAYLOAD_H
#define KETCH_BASE_PAYLOAD_H

#include <stdatomic.h>

#include "base/alloc.h"

struct payload {
    _Atomic uint32_t refs;
    uint32_t reserved;
    size_t bytes;
    uint8_t data[];
};

/* One reference, held by the caller.  NULL without memory. */
NODISCARD static inline struct payload *payload_new(size_t bytes)
{
    struct payload *p;

    if (bytes > SIZE_MAX - sizeof *p)
        return NULL;
    p = mem_alloc(sizeof *p + bytes);
    if (p != NULL) {
        atomic_init(&p->refs, 1);
        p->bytes = bytes;
    }
    return p;
}

/* One more reference, and p again.  NULL is accepted. */
static inline struct payload *payload_ref(struct payload *p)
{
    if (p != NULL)
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

/* Gives a reference back; with the last one the block goes.  NULL is accepted. */
static inline void payload_unref(struct payload *p)
{
    if (p == NULL)
        return;
    /* Not release and a fence, which ThreadSanitizer does not understand. */
    if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
        mem_free(p);
}

#endif
