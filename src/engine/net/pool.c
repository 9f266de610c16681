#include "engine/net/pool.h"

#include "base/alloc.h"

#define HEAD_BYTES 16
#define CLASS_BITS_MIN 6
#define CLASS_BYTES_MIN ((size_t) 1 << CLASS_BITS_MIN)
#define CLASS_NONE POOL_CLASSES

/* Under AddressSanitizer every block comes from the heap, so that a use after free is seen. */
#if defined(__SANITIZE_ADDRESS__)
#define POOLING false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOLING false
#endif
#endif
#ifndef POOLING
#define POOLING true
#endif

struct pool_block {
    size_t class;
    size_t bytes;            /* for the caller */
    struct pool_block *next; /* while it is free; the caller's first bytes else */
};

_Static_assert(offsetof(struct pool_block, next) == HEAD_BYTES,
               "the caller's bytes follow the head");
_Static_assert(CLASS_BYTES_MIN << (POOL_CLASSES - 1) == POOL_BLOCK_BYTES_MAX, "classes double");

static size_t class_bytes(size_t class)
{
    return CLASS_BYTES_MIN << class;
}

static size_t class_of(size_t bytes)
{
    if (!POOLING || bytes > POOL_BLOCK_BYTES_MAX)
        return CLASS_NONE;
    if (bytes <= CLASS_BYTES_MIN)
        return 0;
    return (size_t) (64 - CLASS_BITS_MIN - __builtin_clzll(bytes - 1));
}

static struct pool_block *block_of(void *x)
{
    return (struct pool_block *) (void *) ((uint8_t *) x - HEAD_BYTES);
}

void pool_init(struct pool *p)
{
    *p = (struct pool){0};
}

void pool_done(struct pool *p)
{
    for (size_t i = 0; i < POOL_CLASSES; i++) {
        while (p->free[i] != NULL) {
            struct pool_block *b = p->free[i];

            p->free[i] = b->next;
            mem_free(b);
        }
    }
    p->kept_bytes = 0;
}

void *pool_alloc(struct pool *p, size_t n)
{
    size_t class, bytes;
    struct pool_block *b;

    if (n > SIZE_MAX - HEAD_BYTES)
        return NULL;
    class = class_of(n + HEAD_BYTES);
    if (class < POOL_CLASSES && p->free[class] != NULL) {
        b = p->free[class];
        p->free[class] = b->next;
        p->kept_bytes -= class_bytes(class);
    } else {
        bytes = class < POOL_CLASSES ? class_bytes(class) : n + HEAD_BYTES;
        b = mem_alloc(MAX(bytes, sizeof *b));
        if (b == NULL)
            b = xmem_alloc(MAX(bytes, sizeof *b)); /* stops the process: see pool.h */
        b->class = class;
        b->bytes = bytes - HEAD_BYTES;
    }
    ASSERT(b->bytes >= n);
    return (uint8_t *) b + HEAD_BYTES;
}

void pool_free(struct pool *p, void *x)
{
    struct pool_block *b;

    if (x == NULL)
        return;
    b = block_of(x);
    ASSERT(b->class <= CLASS_NONE);
    if (b->class == CLASS_NONE || p->kept_bytes + class_bytes(b->class) > POOL_KEPT_BYTES_MAX) {
        mem_free(b);
        return;
    }
    b->next = p->free[b->class];
    p->free[b->class] = b;
    p->kept_bytes += class_bytes(b->class);
}

void *pool_realloc(struct pool *p, void *x, size_t n)
{
    struct pool_block *b;
    void *y;

    if (x == NULL)
        return pool_alloc(p, n);
    b = block_of(x);
    if (n <= b->bytes)
        return x;
    y = pool_alloc(p, n);
    if (NEVER(y == NULL))
        return NULL;
    memcpy(y, x, b->bytes);
    pool_free(p, x);
    return y;
}
