/* arena.h -- memory with one lifetime: a request, an applied batch, a storage transaction.
 *
 * An arena hands out memory by moving a pointer and gives everything back at once.  It is born with
 * its maximum: an allocation that would pass it returns NULL, as does one the heap cannot serve.
 *
 * Threads: one at a time; an arena may be handed from thread to thread.
 */
#ifndef KETCH_BASE_ARENA_H
#define KETCH_BASE_ARENA_H

#include "base/base.h"

#define ARENA_CHUNK_BYTES 4096 /* of a first chunk, header included */

struct arena_chunk;

struct arena {
    uint8_t *next; /* first free byte of the newest chunk */
    uint8_t *end;
    struct arena_chunk *newest;
    size_t used_bytes; /* handed out, alignment included */
    size_t bytes_max;
};

void arena_init(struct arena *a, size_t bytes_max);
/* Frees all; the arena is empty and usable again.  Not for one of arena_new. */
void arena_done(struct arena *a);
void arena_reset(struct arena *a); /* as arena_done, but keeps one chunk for the next use */

/* What it has of the heap: more than was handed out. */
size_t arena_heap_bytes(const struct arena *a);

/* Aligned to 16 bytes; not zeroed.  NULL past the maximum or without memory; n == 0 gives an
 * address of its own. */
NODISCARD void *arena_alloc(struct arena *a, size_t n);
NODISCARD void *arena_calloc(struct arena *a, size_t count, size_t n);
NODISCARD void *arena_dup(struct arena *a, const void *p, size_t n);
NODISCARD char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* An arena that lives in its own first chunk: one allocation for a small request; NULL without
 * memory.  arena_free ends it, and accepts NULL. */
NODISCARD struct arena *arena_new(size_t bytes_max);
void arena_free(struct arena *a);

#endif
