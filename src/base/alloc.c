#include "base/alloc.h"

#include <stdatomic.h>

/* Counting costs an atomic add on every allocation, so only test builds do it. */
#ifdef KETCH_ALLOC_TEST
static _Atomic uint64_t asked;
static _Atomic uint64_t fail_at;
static _Atomic bool fail_sticky;
static _Atomic uint64_t asked_mark;

static bool may_alloc(void)
{
    uint64_t n = atomic_fetch_add(&asked, 1) + 1;
    uint64_t at = atomic_load(&fail_at);

    return at == 0 || (n != at && !(atomic_load(&fail_sticky) && n > at));
}

uint64_t mem_fail_after(uint64_t nth, bool sticky)
{
    uint64_t now = atomic_load(&asked);
    uint64_t since = now - atomic_exchange(&asked_mark, now);

    atomic_store(&fail_sticky, sticky);
    atomic_store(&fail_at, nth == 0 ? 0 : now + nth);
    return since;
}

uint64_t mem_alloc_count(void)
{
    return atomic_load(&asked);
}
#else
static inline bool may_alloc(void)
{
    return true;
}

uint64_t mem_fail_after(uint64_t nth, bool sticky)
{
    (void) nth;
    (void) sticky;
    return 0;
}

uint64_t mem_alloc_count(void)
{
    return 0;
}
#endif

void *mem_alloc(size_t n)
{
    return may_alloc() ? malloc(n == 0 ? 1 : n) : NULL;
}

void *mem_calloc(size_t count, size_t n)
{
    return may_alloc() ? calloc(count == 0 ? 1 : count, n == 0 ? 1 : n) : NULL;
}

void *mem_realloc(void *p, size_t n)
{
    return may_alloc() ? realloc(p, n == 0 ? 1 : n) : NULL;
}

void mem_free(void *p)
{
    free(p);
}

void mem_exhausted(const char *what)
{
    fprintf(stderr, "out of memory: %s\n", what);
    abort();
}

static void *must(void *p, size_t n)
{
    if (p == NULL) {
        fprintf(stderr, "out of memory: %zu bytes asked for\n", n);
        abort();
    }
    return p;
}

void *xmem_alloc(size_t n)
{
    return must(mem_alloc(n), n);
}

void *xmem_calloc(size_t count, size_t n)
{
    return must(mem_calloc(count, n), n);
}

void *xmem_realloc(void *p, size_t n)
{
    return must(mem_realloc(p, n), n);
}

void *xmem_dup(const void *p, size_t n)
{
    void *q = xmem_alloc(n);

    if (n != 0)
        memcpy(q, p, n);
    return q;
}

char *xmem_strdup(const char *s)
{
    return xmem_dup(s, strlen(s) + 1);
}
