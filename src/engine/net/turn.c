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

static bool run_ending(struct loop *l)
{
    struct list *x = list_pop(&l->ending);

    if (x != NULL)
        conn__end(CONTAINER_OF(x, struct conn, end_link));
    return x != NULL;
}

static bool run_work(struct loop *l)
{
    struct list *x = list_pop(&l->works);
    mono_ns us = turn__modest_near(l) ? NET_SLICE_GREEDY_US : NET_LATER_US;
    struct loop_work *w;

    if (x == NULL)
        return false;
    w = CONTAINER_OF(x, struct loop_work, link);
    w->run(w, clock_mono_ns(l->clock) + us * 1000);
    return true;
}

static bool none_waits(const struct loop *l)
{
    return list_empty(&l->carried) && list_empty(&l->owing) && list_empty(&l->ending) &&
           list_empty(&l->works);
}

/* One of them, of each kind in turn. */
static void run_one(struct loop *l)
{
    static bool (*const kinds[])(struct loop *) = {run_carried, run_owing, run_ending, run_work};

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[l->later_kind++ % ARRAY_LEN(kinds)](l))
            return;
}

/* Whoever was served in this turn may have more to ask as soon as he has his answer. */
static bool modest_first(struct loop *l)
{
    if (l->modest_turn == l->turn && l->now < l->later_ns + (mono_ns) NET_LATER_WAIT_US * 1000)
        return true;
    l->later_ns = l->now;
    return false;
}

void turn__run_later(struct loop *l)
{
    mono_ns until;
    bool any;

    if (LIKELY(none_waits(l)))
        return;
    if (turn__modest_near(l)) {
        if (!modest_first(l))
            run_one(l);
        return;
    }
    until = clock_mono_ns(l->clock) + (mono_ns) NET_LATER_US * 1000;
    do {
        any = run_carried(l);
        any = run_owing(l) || any;
        any = run_ending(l) || any;
        any = run_work(l) || any;
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
    if (none_waits(l) && !timer_is_due(l))
        uv_idle_stop(&l->idle);
    else
        uv_idle_start(&l->idle, nothing);
}
