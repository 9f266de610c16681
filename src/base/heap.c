#include "base/heap.h"

#include "base/alloc.h"

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_done(struct heap *h)
{
    mem_free(h->items);
    heap_init(h);
}

static bool less(const struct heap_item *a, const struct heap_item *b)
{
    return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

static void put_at(struct heap *h, size_t i, struct heap_item *x)
{
    h->items[i] = x;
    x->at = i;
}

static void sift_up(struct heap *h, size_t i, struct heap_item *x)
{
    while (i > 0 && less(x, h->items[(i - 1) / 2])) {
        put_at(h, i, h->items[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put_at(h, i, x);
}

static void sift_down(struct heap *h, size_t i, struct heap_item *x)
{
    for (;;) {
        size_t c = 2 * i + 1;

        if (c >= h->count)
            break;
        if (c + 1 < h->count && less(h->items[c + 1], h->items[c]))
            c++;
        if (!less(h->items[c], x))
            break;
        put_at(h, i, h->items[c]);
        i = c;
    }
    put_at(h, i, x);
}

bool heap_push(struct heap *h, struct heap_item *x, int64_t key)
{
    ASSERT(x->at == HEAP_NOWHERE);
    if (h->count == h->cap) {
        size_t cap = h->cap == 0 ? 16 : h->cap * 2;
        struct heap_item **items = mem_realloc(h->items, cap * sizeof *items);

        if (items == NULL)
            return false;
        h->items = items;
        h->cap = cap;
    }
    x->key = key;
    x->seq = h->next_seq++;
    h->count++;
    sift_up(h, h->count - 1, x);
    return true;
}

void heap_remove(struct heap *h, struct heap_item *x)
{
    size_t i = x->at;
    struct heap_item *last;

    ASSERT(i < h->count);
    ASSERT(h->items[i] == x);
    last = h->items[--h->count];
    x->at = HEAP_NOWHERE;
    if (last == x)
        return;
    if (i > 0 && less(last, h->items[(i - 1) / 2]))
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

void heap_move(struct heap *h, struct heap_item *x, int64_t key)
{
    size_t i = x->at;

    ASSERT(i < h->count);
    ASSERT(h->items[i] == x);
    x->key = key;
    x->seq = h->next_seq++;
    if (i > 0 && less(x, h->items[(i - 1) / 2]))
        sift_up(h, i, x);
    else
        sift_down(h, i, x);
}
