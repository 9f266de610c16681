/* Loops by themselves: tasks of other threads, timers, hooks, signals. */
#define _GNU_SOURCE
#include <signal.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/net/loop.h"
#include "lib/cm.h"
#include "sys/thread.h"

#define SENDERS 3
#define TASKS_EACH 20000

struct numbered {
    struct loop_task task;
    int sender;
    int n;
};

static struct loop *loop;
static int next_of[SENDERS];
static int seen;
static bool all_seen;

static int setup(void **state)
{
    struct err e = ERR_INIT;

    (void) state;
    seen = 0;
    all_seen = false;
    memset(next_of, 0, sizeof next_of);
    return loop_new("loop_test", &loop, &e);
}

static int teardown(void **state)
{
    (void) state;
    loop_free(loop);
    return 0;
}

static void on_numbered(struct loop_task *t)
{
    struct numbered *x = CONTAINER_OF(t, struct numbered, task);

    assert_true(loop_is_mine(loop));
    assert_int_equal(x->n, next_of[x->sender]);
    next_of[x->sender]++;
    if (++seen == SENDERS * TASKS_EACH)
        all_seen = true;
    mem_free(x);
}

static void send_all(void *arg)
{
    int sender = (int) (intptr_t) arg;

    for (int i = 0; i < TASKS_EACH; i++) {
        struct numbered *x = xmem_alloc(sizeof *x);

        *x = (struct numbered){.task.run = on_numbered, .sender = sender, .n = i};
        if (i % 7 == 0) {
            loop_post(loop, &x->task);
        } else {
            loop_queue(loop, &x->task);
            if (i % 7 == 6)
                loop_wake(loop);
        }
    }
    loop_wake(loop);
}

/* Tasks of several threads all run, on the loop's thread, those of each in its order; none is lost.
 */
static void tasks_from_threads(void **state)
{
    struct thread *t[SENDERS];
    struct err e = ERR_INIT;

    (void) state;
    for (intptr_t i = 0; i < SENDERS; i++)
        assert_int_equal(thread_start("sender", send_all, (void *) i, &t[i], &e), 0);
    loop_run_until(loop, &all_seen);
    for (int i = 0; i < SENDERS; i++)
        thread_join(t[i]);
    assert_int_equal(seen, SENDERS * TASKS_EACH);
}

struct pinger {
    struct loop_task task;
    struct loop *to;
    struct loop *back;
    _Atomic int left;
    bool over;
};

static void on_ping(struct loop_task *t)
{
    struct pinger *p = CONTAINER_OF(t, struct pinger, task);
    struct loop *to = p->to;

    if (p->left-- == 0) {
        p->over = true;
        loop_stop(loop);
        return;
    }
    p->to = p->back;
    p->back = to;
    loop_post(to, t);
}

/* Two loops throw one task to each other: no wake-up is ever lost, or this would hang. */
static void ping_pong(void **state)
{
    struct pinger p = {.task.run = on_ping};
    struct loop *other;
    struct err e = ERR_INIT;

    (void) state;
    assert_int_equal(loop_new("other", &other, &e), 0);
    p.left = 20000;
    p.to = loop;
    p.back = other;
    assert_int_equal(loop_start(loop, &e), 0);
    assert_int_equal(loop_start(other, &e), 0);
    loop_post(loop, &p.task);
    loop_join(loop);
    loop_stop(other);
    loop_join(other);
    assert_true(p.over);
    loop_free(other);
}

struct timed {
    struct loop_timer t;
    int id;
    mono_ns fired;
};

static int order[16];
static int order_n;
static bool last_fired;

static void on_timed(struct loop_timer *t)
{
    struct timed *x = CONTAINER_OF(t, struct timed, t);

    x->fired = loop_now_ns(loop);
    order[order_n++] = x->id;
    if (x->id == 9)
        last_fired = true;
}

/* Timers fire in the order of their times, not before them; moved and stopped ones as told. */
static void timers(void **state)
{
    struct timed x[10];
    mono_ns begin = loop_now_ns(loop);

    (void) state;
    order_n = 0;
    last_fired = false;
    for (int i = 0; i < 10; i++) {
        x[i].id = i;
        loop_timer_init(&x[i].t, on_timed);
        assert_int_equal(loop_timer_start(loop, &x[i].t, 10 * (10 - i)), 0);
    }
    assert_int_equal(loop_timer_start(loop, &x[9].t, 130), 0);
    loop_timer_stop(loop, &x[4].t);
    assert_false(loop_timer_active(&x[4].t));
    loop_run_until(loop, &last_fired);
    assert_int_equal(order_n, 9);
    for (int i = 0; i < 8; i++)
        assert_int_equal(order[i], i < 4 ? 8 - i : 7 - i);
    assert_true(x[9].fired - begin >= 130 * 1000000);
    assert_true(x[8].fired - begin >= 20 * 1000000);
}

struct hooked {
    struct loop_hook hook;
    int runs;
    bool again;
};

static void on_hook(struct loop_hook *h)
{
    struct hooked *x = CONTAINER_OF(h, struct hooked, hook);

    if (++x->runs == 3)
        x->again = true;
    else
        loop_hook_arm(loop, h);
}

/* A hook runs once per arming, at the end of the turn; armed again from within, once more. */
static void hooks(void **state)
{
    struct hooked x = {0}, never = {0};

    (void) state;
    loop_hook_init(&x.hook, on_hook);
    loop_hook_init(&never.hook, on_hook);
    loop_hook_arm(loop, &x.hook);
    loop_hook_arm(loop, &x.hook);
    loop_hook_arm(loop, &never.hook);
    loop_hook_disarm(&never.hook);
    loop_run_until(loop, &x.again);
    assert_int_equal(x.runs, 3);
    assert_int_equal(never.runs, 0);
}

static bool signaled;

static void on_signal(int signum, void *user)
{
    assert_int_equal(signum, SIGUSR1);
    assert_ptr_equal(user, &signaled);
    signaled = true;
}

/* A signal of the process arrives as a call on the loop. */
static void signals(void **state)
{
    struct err e = ERR_INIT;

    (void) state;
    signaled = false;
    assert_int_equal(loop_on_signal(loop, SIGUSR1, on_signal, &signaled, &e), 0);
    kill(getpid(), SIGUSR1);
    loop_run_until(loop, &signaled);
    assert_true(signaled);
}

/* ---- stepping aside ---- */

static struct {
    struct waker away, release, ran;
    struct loop_task leave, work;
    _Atomic bool ran_yet;
    _Atomic bool was_mine;
    _Atomic int64_t left_ns, ran_ns; /* by the loop's turns */
} aside;

static void be_away(void *arg)
{
    (void) arg;
    waker_wake(&aside.away);
    waker_wait(&aside.release, -1);
}

static void leave(struct loop_task *t)
{
    (void) t;
    assert_true(loop_may_step_aside(loop));
    atomic_store(&aside.left_ns, loop_now_ns(loop));
    loop_step_aside(loop, be_away, NULL);
    assert_false(loop_may_step_aside(loop));
}

static void work(struct loop_task *t)
{
    (void) t;
    atomic_store(&aside.was_mine, loop_is_mine(loop) && loop_may_step_aside(loop));
    atomic_store(&aside.ran_ns, loop_now_ns(loop));
    atomic_store(&aside.ran_yet, true);
    waker_wake(&aside.ran);
}

static void aside_begin(void)
{
    struct err e = ERR_INIT;

    waker_init(&aside.away);
    waker_init(&aside.release);
    waker_init(&aside.ran);
    aside.leave.run = leave;
    aside.work.run = work;
    assert_int_equal(loop_start(loop, &e), 0);
}

static void send_away(void)
{
    loop_post(loop, &aside.leave);
    waker_wait(&aside.away, -1);
    atomic_store(&aside.ran_yet, false);
    loop_post(loop, &aside.work);
}

/* What comes while the loop's thread is away is done when it is back, on that thread, and time has
 * passed meanwhile. */
static void a_thread_that_steps_aside_comes_back(void **state)
{
    (void) state;
    aside_begin();
    for (int i = 0; i < 20; i++) {
        send_away();
        assert_false(waker_wait(&aside.ran, 1000000));
        assert_false(atomic_load(&aside.ran_yet));
        waker_wake(&aside.release);
        waker_wait(&aside.ran, -1);
        assert_true(atomic_load(&aside.was_mine));
        assert_true(atomic_load(&aside.ran_ns) - atomic_load(&aside.left_ns) >= 1000000);
    }
    loop_stop(loop);
    loop_join(loop);
}

static void stand_in(void *arg)
{
    (void) arg;
    loop_stand_in(loop);
}

/* Another thread may do it meanwhile; it leaves when the first one is back, and does not step aside
 * itself.  Where nobody is away it has nothing to do. */
static void another_thread_stands_in(void **state)
{
    struct thread *t;
    struct err e = ERR_INIT;

    (void) state;
    aside_begin();
    loop_stand_in(loop);
    for (int i = 0; i < 20; i++) {
        send_away();
        assert_int_equal(thread_start("stand-in", stand_in, NULL, &t, &e), 0);
        waker_wait(&aside.ran, -1);
        assert_false(atomic_load(&aside.was_mine));
        waker_wake(&aside.release);
        thread_join(t);
        loop_post(loop, &aside.work);
        waker_wait(&aside.ran, -1);
        assert_true(atomic_load(&aside.was_mine));
    }
    loop_stop(loop);
    loop_join(loop);
}

/* A loop that is to end does so while its thread is away and another one stands in. */
static void a_loop_ends_while_its_thread_is_away(void **state)
{
    struct thread *t;
    struct err e = ERR_INIT;

    (void) state;
    aside_begin();
    send_away();
    assert_int_equal(thread_start("stand-in", stand_in, NULL, &t, &e), 0);
    waker_wait(&aside.ran, -1);
    loop_stop(loop);
    thread_join(t);
    waker_wake(&aside.release);
    loop_join(loop);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(tasks_from_threads),
        T(ping_pong),
        T(timers),
        T(hooks),
        T(signals),
        T(a_thread_that_steps_aside_comes_back),
        T(another_thread_stands_in),
        T(a_loop_ends_while_its_thread_is_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
