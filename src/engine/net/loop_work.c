/* loop_work.c -- what a loop is given to run: tasks, timers, hooks, signals. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/loop_int.h"

#define NS_PER_MS 1000000

void loop_queue(struct loop *l, struct loop_task *t)
{
    mpsc_push(&l->tasks, &t->node);
}

void loop_wake(struct loop *l)
{
    if (atomic_exchange_explicit(&l->asleep, false, memory_order_seq_cst))
        uv_async_send(&l->async);
}

void loop_post(struct loop *l, struct loop_task *t)
{
    loop_queue(l, t);
    loop_wake(l);
}

void loop_timer_init(struct loop_timer *t, void (*fire)(struct loop_timer *t))
{
    heap_item_init(&t->item);
    t->fire = fire;
}

int loop__timer_at(struct loop *l, struct loop_timer *t, mono_ns at)
{
    if (loop_timer_active(t)) {
        heap_move(&l->timers, &t->item, at);
        return 0;
    }
    return heap_push(&l->timers, &t->item, at) ? 0 : ERR_NOMEM;
}

int loop_timer_start(struct loop *l, struct loop_timer *t, int64_t after_ms)
{
    int64_t ms = MIN(MAX(after_ms, 0), INT64_MAX / NS_PER_MS / 2);

    return loop__timer_at(l, t, l->now + ms * NS_PER_MS);
}

void loop_timer_stop(struct loop *l, struct loop_timer *t)
{
    if (loop_timer_active(t))
        heap_remove(&l->timers, &t->item);
}

bool loop_timer_active(const struct loop_timer *t)
{
    return t->item.at != HEAP_NOWHERE;
}

void loop_hook_init(struct loop_hook *h, void (*run)(struct loop_hook *h))
{
    list_init(&h->link);
    h->run = run;
}

void loop_hook_arm(struct loop *l, struct loop_hook *h)
{
    if (list_empty(&h->link))
        list_push(&l->hooks, &h->link);
}

void loop_hook_disarm(struct loop_hook *h)
{
    list_remove(&h->link);
}

static void on_signal(uv_signal_t *h, int signum)
{
    struct loop_signal *s = h->data;

    loop__turn_begin(CONTAINER_OF(h->loop, struct loop, uv));
    s->fn(signum, s->user);
}

int loop_on_signal(struct loop *l, int signum, void (*fn)(int signum, void *user), void *user,
                   struct err *e)
{
    struct loop_signal *s = mem_calloc(1, sizeof *s);
    int rc;

    if (s == NULL)
        return err_set(e, ERR_NOMEM, "wait for signal %d: out of memory", signum);
    s->fn = fn;
    s->user = user;
    uv_signal_init(&l->uv, &s->uv);
    s->uv.data = s;
    s->next = l->signals;
    l->signals = s;
    rc = uv_signal_start(&s->uv, on_signal, signum);
    return rc == 0 ? 0 : err_sys(e, -rc, "wait for signal %d", signum);
}

/* ---- long work ---- */

void loop_work_init(struct loop_work *w, void (*run)(struct loop_work *w, mono_ns until))
{
    list_init(&w->link);
    w->run = run;
}

void loop_work_add(struct loop *l, struct loop_work *w)
{
    if (list_empty(&w->link))
        list_push(&l->works, &w->link);
}

void loop_work_drop(struct loop_work *w)
{
    list_remove(&w->link);
}

bool loop_work_over(const struct loop *l, mono_ns until)
{
    return clock_mono_ns(l->clock) >= until;
}
