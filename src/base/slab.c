/* slab.c -- see slab.h.
 *
 *     block   [ .. | page | page | ... ]      one allocation, pages aligned to their size
 *     page    [ head | object object ... | not yet used ]      objects of one class
 *
 * A free object holds the address of the next free one of its page.  Pages are not prepared when
 * they are taken: what was never handed out is not touched, so that it costs no memory.
 *
 * Invariants:
 *   S1  a page is in partial[class] exactly when it has room for one more object;
 *   S2  a page without objects goes back to its block at once;
 *   S3  blocks with a free page are in front of those without.
 */
#include "base/slab.h"

#include "base/alloc.h"

/* The address sanitizer sees each object by itself only when the heap knows it. */
#if defined(__SANITIZE_ADDRESS__)
#define DIRECT true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DIRECT true
#endif
#endif
#ifndef DIRECT
#define DIRECT false
#endif

struct slab_block {
    struct list link;
    uint8_t *pages;     /* the first one: aligned */
    uint64_t free_bits; /* pages that nobody has */
};

struct slab_page {
    struct list link;
    struct slab_block *block;
    void *free;      /* objects that came back */
    uint32_t used;   /* objects out */
    uint32_t virgin; /* offset of what was never handed out */
    uint32_t class;
    uint32_t object_bytes;
};

#define PAGE_HEAD_BYTES ((sizeof(struct slab_page) + 15) & ~(size_t) 15)
#define BLOCK_BYTES (sizeof(struct slab_block) + (SLAB_BLOCK_PAGES + 1) * SLAB_PAGE_BYTES)

_Static_assert(SLAB_BLOCK_PAGES == 64, "free_bits has one bit for each page");

static unsigned class_of(size_t n)
{
    if (n <= 128)
        return n == 0 ? 0 : (unsigned) ((n + 7) / 8 - 1);
    return (unsigned) (128 / 8 + (n - 128 + 63) / 64 - 1);
}

static size_t class_bytes(unsigned class)
{
    return class < 128 / 8 ? (class + 1) * (size_t) 8 : 128 + (class - 128 / 8 + 1) * (size_t) 64;
}

size_t slab_object_bytes(size_t n)
{
    return n > SLAB_OBJECT_BYTES_MAX ? n : class_bytes(class_of(n));
}

void slab_init(struct slab *s)
{
    for (size_t i = 0; i < SLAB_CLASSES; i++)
        list_init(&s->partial[i]);
    list_init(&s->blocks);
    s->block_bytes = 0;
}

void slab_done(struct slab *s)
{
    struct list *l;

    while ((l = list_pop(&s->blocks)) != NULL)
        mem_free(CONTAINER_OF(l, struct slab_block, link));
    slab_init(s);
}

/* ---- blocks of pages ---- */

static struct slab_block *block_new(struct slab *s)
{
    struct slab_block *b = xmem_alloc(BLOCK_BYTES);
    uintptr_t first = (uintptr_t) (b + 1) + SLAB_PAGE_BYTES - 1;

    b->pages = (uint8_t *) b + ((first & ~(SLAB_PAGE_BYTES - 1)) - (uintptr_t) b);
    b->free_bits = UINT64_MAX;
    ASSERT(b->pages + SLAB_BLOCK_PAGES * SLAB_PAGE_BYTES <= (uint8_t *) b + BLOCK_BYTES);
    list_push_front(&s->blocks, &b->link);
    s->block_bytes += BLOCK_BYTES;
    return b;
}

static struct slab_page *page_new(struct slab *s, unsigned class)
{
    struct slab_block *b = CONTAINER_OF(s->blocks.next, struct slab_block, link);
    struct slab_page *p;
    unsigned i;

    if (list_empty(&s->blocks) || b->free_bits == 0) /* S3 */
        b = block_new(s);
    i = (unsigned) __builtin_ctzll(b->free_bits);
    b->free_bits &= b->free_bits - 1;
    if (b->free_bits == 0) {
        list_remove(&b->link);
        list_push(&s->blocks, &b->link);
    }
    p = (struct slab_page *) (b->pages + i * SLAB_PAGE_BYTES);
    *p = (struct slab_page){.block = b,
                            .virgin = PAGE_HEAD_BYTES,
                            .class = class,
                            .object_bytes = (uint32_t) class_bytes(class)};
    list_push_front(&s->partial[class], &p->link);
    return p;
}

static void page_release(struct slab *s, struct slab_page *p)
{
    struct slab_block *b = p->block;
    size_t i = (size_t) ((uint8_t *) p - b->pages) / SLAB_PAGE_BYTES;

    ASSERT((b->free_bits >> i & 1) == 0);
    list_remove(&p->link);
    if (b->free_bits == 0) {
        list_remove(&b->link);
        list_push_front(&s->blocks, &b->link);
    }
    b->free_bits |= UINT64_C(1) << i;
    if (b->free_bits != UINT64_MAX)
        return;
    list_remove(&b->link);
    s->block_bytes -= BLOCK_BYTES;
    mem_free(b);
}

static bool page_has_room(const struct slab_page *p)
{
    return p->free != NULL || p->virgin + p->object_bytes <= SLAB_PAGE_BYTES;
}

/* ---- objects ---- */

void *slab_alloc(struct slab *s, size_t n)
{
    unsigned class = class_of(n);
    struct slab_page *p;
    void *x;

    if (DIRECT || n > SLAB_OBJECT_BYTES_MAX)
        return xmem_alloc(n);
    p = list_empty(&s->partial[class])
            ? page_new(s, class)
            : CONTAINER_OF(s->partial[class].next, struct slab_page, link);
    x = p->free;
    if (x != NULL) {
        memcpy(&p->free, x, sizeof p->free);
    } else {
        x = (uint8_t *) p + p->virgin;
        p->virgin += p->object_bytes;
    }
    p->used++;
    if (!page_has_room(p))
        list_remove(&p->link); /* S1 */
    return x;
}

void slab_free(struct slab *s, void *x, size_t n)
{
    struct slab_page *p;
    bool had_room;

    if (DIRECT || x == NULL || n > SLAB_OBJECT_BYTES_MAX) {
        mem_free(x);
        return;
    }
    p = (struct slab_page *) ((uint8_t *) x - ((uintptr_t) x & (SLAB_PAGE_BYTES - 1)));
    ASSERT(p->class == class_of(n));
    ASSERT(p->used > 0);
    had_room = page_has_room(p);
    memcpy(x, &p->free, sizeof p->free);
    p->free = x;
    if (!had_room)
        list_push_front(&s->partial[p->class], &p->link); /* S1 */
    if (--p->used == 0)
        page_release(s, p); /* S2 */
}

/* ---- checking ---- */

static size_t page_check(const struct slab_page *p)
{
    size_t n = 0, made = (p->virgin - PAGE_HEAD_BYTES) / p->object_bytes;

    for (void *x = p->free; x != NULL; memcpy(&x, x, sizeof x)) {
        ASSERT(((uintptr_t) x & ~(SLAB_PAGE_BYTES - 1)) == (uintptr_t) p);
        ASSERT(++n <= made);
    }
    ASSERT(p->used + n == made);
    ASSERT(p->used > 0);                               /* S2 */
    ASSERT(list_empty(&p->link) == !page_has_room(p)); /* S1 */
    return p->used;
}

void slab_check(const struct slab *s)
{
    bool full_before = false;
    uint64_t bytes = 0;

    LIST_EACH (l, &s->blocks) {
        const struct slab_block *b = CONTAINER_OF(l, struct slab_block, link);

        ASSERT(b->free_bits == 0 || !full_before); /* S3 */
        ASSERT(b->free_bits != UINT64_MAX);
        full_before = b->free_bits == 0;
        bytes += BLOCK_BYTES;
        for (size_t i = 0; i < SLAB_BLOCK_PAGES; i++)
            if ((b->free_bits >> i & 1) == 0)
                page_check((const struct slab_page *) (b->pages + i * SLAB_PAGE_BYTES));
    }
    ASSERT(bytes == s->block_bytes);
}
