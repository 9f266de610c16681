#define _GNU_SOURCE
#include "engine/net/h2_mem.h"

static void *h2_malloc(size_t n, void *pool)
{
    return pool_alloc(pool, n);
}

static void h2_free(void *x, void *pool)
{
    pool_free(pool, x);
}

static void *h2_calloc(size_t count, size_t n, void *pool)
{
    void *x = n != 0 && count > SIZE_MAX / n ? NULL : pool_alloc(pool, count * n);

    if (x != NULL)
        memset(x, 0, count * n);
    return x;
}

static void *h2_realloc(void *x, size_t n, void *pool)
{
    return pool_realloc(pool, x, n);
}

nghttp2_mem h2_mem(struct loop *l)
{
    return (nghttp2_mem){&l->pool, h2_malloc, h2_free, h2_calloc, h2_realloc};
}
