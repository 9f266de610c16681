/* pool.h -- small blocks of memory for nghttp2, kept for reuse by the loop that freed them.
 *
 * A request costs nghttp2 about ten allocations of well-known sizes, all freed on the same thread
 * soon after.  A list per size class, last in first out, gives them back warm and without a lock.
 *
 * Every block has a head of 16 bytes that names its class:  [ class | .... ][ what the caller sees
 * ]
 *
 * It never returns NULL for a size that can exist: nghttp2 1.52 frees twice when it gets no memory
 * in the middle of submitting an answer (tests/unit/engine/net/alloc_test.c found it), and stopping
 * is better than going on with a broken heap.  What it may ask for is bounded by our own limits on
 * streams and headers.
 *
 * Threads: the loop's only.   Limits: blocks up to POOL_BLOCK_BYTES_MAX, and POOL_KEPT_BYTES_MAX
 * kept in all; what goes beyond is the heap's.
 */
#ifndef KETCH_ENGINE_NET_POOL_H
#define KETCH_ENGINE_NET_POOL_H

#include "base/base.h"

#define POOL_CLASSES 6 /* 64, 128, ... 2048 bytes, head included */
#define POOL_BLOCK_BYTES_MAX 2048
#define POOL_KEPT_BYTES_MAX ((size_t) 4 << 20)

struct pool_block;

struct pool {
    struct pool_block *free[POOL_CLASSES];
    size_t kept_bytes;
};

void pool_init(struct pool *p);
void pool_done(struct pool *p); /* frees what is kept; every block has come back before */

NODISCARD void *pool_alloc(struct pool *p, size_t n); /* NULL: n is absurd */
NODISCARD void *pool_realloc(struct pool *p, void *x, size_t n);
void pool_free(struct pool *p, void *x); /* NULL is accepted */

#endif
