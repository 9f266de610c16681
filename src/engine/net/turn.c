#define _GNU_SOURCE
#include "engine/net/turn.h"

static bool run_carried(struct loop *l)
{
    struct list *x = list_pop(&l->carried);

    if (x != NULL)
        conn__resume(CONTAINER_OF(x, struct conn, carry_link));
    return x != NULL;
}

static bool run_owing(struct loop *l)
{
    struct list *x = list_pop(&l->owing);

    if (x != NULL)
        conn__flush(CONTAINER_OF(x, struct conn, dirty_link));
    return x != NULL;
}

void turn__run_later(struct loop *l)
{
    mono_ns until;
    bool any;

    if (LIKELY(list_empty(&l->carried)) && LIKELY(list_empty(&l->owing)))
        return;
    until = clock_mono_ns(l->clock) + (mono_ns) NET_LATER_US * 1000;
    do {
        any = run_carried(l);
        any = run_owing(l) || any;
    } while (any && clock_mono_ns(l->clock) < until);
}

static void nothing(uv_idle_t *h)
{
    (void) h;
}

/* A timer for the next turn (the next step of a handshake): libuv's would wait a millisecond. */
static bool timer_is_due(const struct loop *l)
{
    const struct heap_item *min = heap_min(&l->timers);

    return min != NULL && min->key <= l->now + 1;
}

void turn__stay_awake(struct loop *l)
{
    if (list_empty(&l->carried) && list_empty(&l->owing) && !timer_is_due(l))
        uv_idle_stop(&l->idle);
    else
        uv_idle_start(&l->idle, nothing);
}
