/* slab.h -- many small objects of a few sizes, without a header for each.
 *
 * An object costs its size rounded up to a class (a multiple of 8 up to 128 bytes, of 64 up to
 * 1024), where malloc adds 8 bytes and rounds up to 16.  Objects of a class share pages, pages lie
 * in blocks from the heap; a block that holds nothing goes back to the heap.  Larger objects come
 * from the heap directly.
 *
 * Whoever frees an object says how large it was.
 *
 * Threads: one.   Without memory: stops, as xmem_alloc.
 */
#ifndef KETCH_BASE_SLAB_H
#define KETCH_BASE_SLAB_H

#include "base/list.h"

#define SLAB_OBJECT_BYTES_MAX 1024
#define SLAB_PAGE_BYTES ((size_t) 16384)
#define SLAB_BLOCK_PAGES 64
#define SLAB_CLASSES (128 / 8 + (SLAB_OBJECT_BYTES_MAX - 128) / 64)

struct slab {
    struct list partial[SLAB_CLASSES]; /* slab_page.link: pages of the class with room */
    struct list blocks;                /* all of them; those with a free page come first */
    uint64_t block_bytes;              /* held from the heap in blocks */
};

void slab_init(struct slab *s);
/* Gives all memory back, whatever is still in it but for objects beyond SLAB_OBJECT_BYTES_MAX.
 * (Under the address sanitizer each object comes from the heap, and those still in it leak.) */
void slab_done(struct slab *s);
void *slab_alloc(struct slab *s, size_t n);        /* not zeroed; aligned to 8 */
void slab_free(struct slab *s, void *p, size_t n); /* NULL is accepted */

/* What an object of n bytes really takes, in bytes. */
size_t slab_object_bytes(size_t n);

/* Stops when the bookkeeping is broken: for tests. */
void slab_check(const struct slab *s);

#endif
