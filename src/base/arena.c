#include "base/arena.h"

#include "base/alloc.h"

#define ALIGN 16

struct arena_chunk {
    struct arena_chunk *older;
    size_t bytes;    /* this header included */
    size_t reserved; /* bytes at the start that belong to a self-hosted arena */
};

_Static_assert(sizeof(struct arena_chunk) + sizeof(struct arena) + 2 * ALIGN < ARENA_CHUNK_BYTES,
               "a first chunk has room for its headers");

static size_t align_up(size_t n)
{
    return (n + ALIGN - 1) & ~(size_t) (ALIGN - 1);
}

static void chunk_use(struct arena *a, struct arena_chunk *c)
{
    a->newest = c;
    a->next = (uint8_t *) c + align_up(sizeof *c) + c->reserved;
    a->end = (uint8_t *) c + c->bytes;
}

void arena_init(struct arena *a, size_t bytes_max)
{
    *a = (struct arena){.bytes_max = bytes_max};
}

/* Frees all chunks but `keep`. */
static void chunks_free(struct arena *a, struct arena_chunk *keep)
{
    struct arena_chunk *c = a->newest;

    while (c != NULL) {
        struct arena_chunk *older = c->older;

        if (c != keep)
            mem_free(c);
        c = older;
    }
    a->newest = NULL;
    a->next = a->end = NULL;
    a->used_bytes = 0;
}

void arena_done(struct arena *a)
{
    chunks_free(a, NULL);
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *oldest = a->newest;

    if (oldest == NULL)
        return;
    while (oldest->older != NULL)
        oldest = oldest->older;
    chunks_free(a, oldest);
    oldest->older = NULL;
    chunk_use(a, oldest);
}

size_t arena_heap_bytes(const struct arena *a)
{
    size_t n = 0;

    for (const struct arena_chunk *c = a->newest; c != NULL; c = c->older)
        n += c->bytes;
    return n;
}

/* A new chunk doubles the last one up to a megabyte, so that a large request costs few of them. */
static bool chunk_add(struct arena *a, size_t n)
{
    size_t want = a->newest == NULL ? ARENA_CHUNK_BYTES
                                    : MIN(a->newest->bytes * 2, (size_t) 1 << 20);
    size_t head = align_up(sizeof(struct arena_chunk));
    struct arena_chunk *c;

    if (want < head + n)
        want = head + n;
    c = mem_alloc(want);
    if (c == NULL)
        return false;
    *c = (struct arena_chunk){.older = a->newest, .bytes = want};
    chunk_use(a, c);
    return true;
}

void *arena_alloc(struct arena *a, size_t n)
{
    uint8_t *p;

    if (n > a->bytes_max)
        return NULL;
    n = n == 0 ? ALIGN : align_up(n);
    if (n > a->bytes_max - MIN(a->used_bytes, a->bytes_max))
        return NULL;
    if ((size_t) (a->end - a->next) < n && !chunk_add(a, n))
        return NULL;
    p = a->next;
    a->next += n;
    a->used_bytes += n;
    ASSERT(a->next <= a->end);
    return p;
}

void *arena_calloc(struct arena *a, size_t count, size_t n)
{
    void *p;

    if (n != 0 && count > SIZE_MAX / n)
        return NULL;
    p = arena_alloc(a, count * n);
    if (p != NULL)
        memset(p, 0, count * n);
    return p;
}

void *arena_dup(struct arena *a, const void *p, size_t n)
{
    void *q = arena_alloc(a, n);

    if (q != NULL && n != 0)
        memcpy(q, p, n);
    return q;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    int n;
    char *s;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    ASSERT(n >= 0);
    s = arena_alloc(a, (size_t) n + 1);
    if (s == NULL)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(s, (size_t) n + 1, fmt, ap);
    va_end(ap);
    return s;
}

struct arena *arena_new(size_t bytes_max)
{
    struct arena_chunk *c = mem_alloc(ARENA_CHUNK_BYTES);
    struct arena *a;

    if (c == NULL)
        return NULL;
    *c = (struct arena_chunk){.bytes = ARENA_CHUNK_BYTES, .reserved = align_up(sizeof *a)};
    a = (struct arena *) ((uint8_t *) c + align_up(sizeof *c));
    arena_init(a, bytes_max);
    chunk_use(a, c);
    return a;
}

void arena_free(struct arena *a)
{
    struct arena_chunk *c;

    if (a == NULL)
        return;
    /* The arena lives in its oldest chunk: take the list out before freeing it. */
    c = a->newest;
    while (c != NULL) {
        struct arena_chunk *older = c->older;

        mem_free(c);
        c = older;
    }
}
