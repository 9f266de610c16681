/* loop_aside.c -- a loop's thread that goes away for a while, and who runs the loop meanwhile. */
#define _GNU_SOURCE
#include "engine/net/loop_int.h"

bool loop_may_step_aside(const struct loop *l)
{
    return l->for_good && l->aside == NULL && atomic_load(&l->place) == LOOP_AT_HOME;
}

void loop_step_aside(struct loop *l, void (*fn)(void *arg), void *arg)
{
    ASSERT(loop_may_step_aside(l));
    ASSERT(loop_is_mine(l));
    l->aside = fn;
    l->aside_arg = arg;
    uv_stop(&l->uv);
}

/* A turn that goes on is not the one that it was: time has passed. */
static void go_on(struct loop *l)
{
    l->now = clock_mono_ns(l->clock);
    l->runner = uv_thread_self();
}

void loop__aside(struct loop *l)
{
    void (*fn)(void *arg) = l->aside;
    int aside = LOOP_ASIDE;

    l->aside = NULL;
    atomic_store(&l->back, false);
    atomic_store(&l->place, LOOP_ASIDE);
    fn(l->aside_arg);
    if (!atomic_compare_exchange_strong(&l->place, &aside, LOOP_AT_HOME)) {
        atomic_store(&l->back, true);
        uv_async_send(&l->async);
        waker_wait(&l->home, -1);
        ASSERT(atomic_load(&l->place) == LOOP_AT_HOME);
    }
    go_on(l);
}

void loop_stand_in(struct loop *l)
{
    int aside = LOOP_ASIDE;

    if (!atomic_compare_exchange_strong(&l->place, &aside, LOOP_STOOD_IN))
        return;
    go_on(l);
    while (!atomic_load(&l->back) && !atomic_load_explicit(&l->stopping, memory_order_acquire))
        uv_run(&l->uv, UV_RUN_DEFAULT);
    atomic_store(&l->place, LOOP_AT_HOME);
    waker_wake(&l->home);
}

uint64_t loop_other_readers(const struct loop *l)
{
    return l->other_readers;
}
