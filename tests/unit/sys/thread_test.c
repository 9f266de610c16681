#define _GNU_SOURCE
#include "sys/thread.h"

#include <errno.h>
#include <sys/resource.h>

#include "lib/cm.h"
#include "sys/random.h"

#define ROUNDS 20000

static struct waker ping, pong;
static _Atomic unsigned served;

static void echo(void *arg)
{
    (void) arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        waker_wait(&ping, -1);
        atomic_fetch_add(&served, 1);
        waker_wake(&pong);
    }
}

/* No wake-up is lost between two threads that wait for each other in turn. */
static void wakes_are_not_lost(void **state)
{
    struct thread *t;

    (void) state;
    waker_init(&ping);
    waker_init(&pong);
    assert_int_equal(thread_start("echo", echo, NULL, &t, NULL), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        waker_wake(&ping);
        assert_true(waker_wait(&pong, INT64_C(10000000000)));
        assert_int_equal(atomic_load(&served), i + 1);
    }
    thread_join(t);
    thread_join(NULL);
}

/* A wake before the wait is kept, once; without one the wait ends after its time. */
static void a_wait_ends_after_its_time(void **state)
{
    struct waker w;
    mono_ns before = clock_mono_ns(clock_posix());

    (void) state;
    waker_init(&w);
    waker_wake(&w);
    waker_wake(&w);
    assert_true(waker_wait(&w, 0));
    assert_false(waker_wait(&w, 2000000));
    assert_true(clock_mono_ns(clock_posix()) - before >= 2000000);
}

static int nice_of_caller(void)
{
    errno = 0;
    return getpriority(PRIO_PROCESS, 0);
}

static void give_way(void *ret_nice)
{
    thread_give_way();
    *(int *) ret_nice = nice_of_caller();
}

static void stand_back(void *ret_nice)
{
    thread_stand_back();
    *(int *) ret_nice = nice_of_caller();
}

/* A thread that makes itself less important does so alone: those beside it and those that are
 * started later are as they were. */
static void less_important_alone(void **state)
{
    void (*const how[])(void *) = {give_way, stand_back};
    int before = nice_of_caller(), nice[2] = {0};

    (void) state;
    for (int i = 0; i < 2; i++) {
        struct thread *t;

        assert_int_equal(thread_start("nice", how[i], &nice[i], &t, NULL), 0);
        thread_join(t);
        assert_int_equal(nice_of_caller(), before);
    }
    assert_true(nice[0] > before);
    assert_true(nice[1] > nice[0]);
}

/* A seed gives one sequence, and numbers below a bound stay below it. */
static void seeded_random_repeats(void **state)
{
    struct random_seeded a, b;
    struct random *ra = random_seeded_init(&a, 7), *rb = random_seeded_init(&b, 7);

    (void) state;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = random_below(ra, 10);

        assert_true(x < 10);
        assert_int_equal(x, random_below(rb, 10));
    }
    assert_true(random_u64(random_posix()) != random_u64(random_posix()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wakes_are_not_lost),
        cmocka_unit_test(a_wait_ends_after_its_time),
        cmocka_unit_test(less_important_alone),
        cmocka_unit_test(seeded_random_repeats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
