/* list.h -- a circular doubly linked list whose links live inside the elements.
 *
 *     struct waiter { struct list link; ... };
 *     struct list waiters;  list_init(&waiters);
 *     list_push(&waiters, &w->link);
 *     LIST_EACH(it, &waiters) { struct waiter *w = CONTAINER_OF(it, struct waiter, link); ... }
 *
 * list_init also marks an element as being in no list; list_remove leaves it in that state, in
 * which it may be removed again.  What is put into a list must be in none: nobody checks.
 *
 * Threads: one at a time.   Memory: none; the elements are the caller's.
 */
#ifndef KETCH_BASE_LIST_H
#define KETCH_BASE_LIST_H

#include "base/base.h"

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *x)
{
    x->next = at;
    x->prev = at->prev;
    at->prev->next = x;
    at->prev = x;
}

/* At the end. */
static inline void list_push(struct list *l, struct list *x)
{
    list_insert_before(l, x);
}

static inline void list_push_front(struct list *l, struct list *x)
{
    list_insert_before(l->next, x);
}

static inline void list_remove(struct list *x)
{
    x->prev->next = x->next;
    x->next->prev = x->prev;
    list_init(x);
}

/* The first element, taken out; NULL when empty. */
static inline struct list *list_pop(struct list *l)
{
    struct list *x = l->next;

    if (x == l)
        return NULL;
    list_remove(x);
    return x;
}

/* All of `from` goes to the end of `to`; `from` is empty afterwards. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define LIST_EACH(it, l) for (struct list *it = (l)->next; it != (l); it = it->next)
/* The body may remove `it`. */
#define LIST_EACH_SAFE(it, l)                                           \
    for (struct list *it = (l)->next, *it##_next = it->next; it != (l); \
         it = it##_next, it##_next = it->next)

#endif
