#define _GNU_SOURCE
#include "sys/profile.h"

#include <time.h>

#include "lib/cm.h"

#define BURN_BYTES_MAX 2048 /* of code, with any compiler */

/* CPU time of the process as ITIMER_PROF counts it, by ticks (the kernel's CPUCLOCK_PROF): on a
 * machine that is stolen from, far less than the process had. */
#define CLOCK_OF_TICKS ((clockid_t) -8)
#define TICKS_MS 60
#define PATIENCE_MS 30000

static int64_t ms_of(clockid_t clock)
{
    struct timespec t;

    assert_int_equal(clock_gettime(clock, &t), 0);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* Where the time is spent. */
static __attribute__((noinline)) uint64_t burn(int64_t ms)
{
    int64_t until = ms_of(CLOCK_MONOTONIC) + ms;
    uint64_t x = 1;

    while (ms_of(CLOCK_MONOTONIC) < until)
        for (int i = 0; i < 1000; i++)
            x = x * 6364136223846793005u + 1442695040888963407u;
    return x;
}

/* The profile of a busy process has samples at the rate that it says, most of them with the
 * function that keeps it busy in their stacks, and the mappings that tell whose they are. */
static void test_samples(void **state)
{
    struct err e = ERR_INIT;
    const uintptr_t *w;
    struct buf out;
    size_t at = 5, samples = 0, in_burn = 0, words;
    int64_t ticks, began;

    (void) state;
    buf_init(&out, PROFILE_RESULT_BYTES_MAX);
    assert_int_equal(profile_start(&e), 0);
    assert_int_equal(profile_start(&e), ERR_LOCKED);
    assert_string_equal(e.msg, "cpu profiling already in use");
    ticks = ms_of(CLOCK_OF_TICKS), began = ms_of(CLOCK_MONOTONIC);
    do
        assert_int_not_equal(burn(500), 0);
    while (ms_of(CLOCK_OF_TICKS) - ticks < TICKS_MS &&
           ms_of(CLOCK_MONOTONIC) - began < PATIENCE_MS);
    assert_true(profile_stop(&out));
    w = (const uintptr_t *) (const void *) out.p;
    words = out.len / sizeof *w;
    assert_int_equal(w[0], 0);
    assert_int_equal(w[1], 3);
    assert_int_equal(w[3], PROFILE_PERIOD_US);
    while (at + 2 < words && w[at] != 0) {
        assert_int_equal(w[at], 1);
        assert_in_range(w[at + 1], 1, PROFILE_DEPTH_MAX);
        for (size_t i = 0; i < w[at + 1]; i++) {
            if (w[at + 2 + i] - (uintptr_t) burn < BURN_BYTES_MAX) {
                in_burn++;
                break;
            }
        }
        samples++;
        at += 2 + w[at + 1];
    }
    assert_int_equal(w[at + 1], 1);
    assert_int_equal(w[at + 2], 0);
    assert_in_range(in_burn, samples / 2, samples);
    assert_in_range(samples, 5, 100); /* at most one each 10 ms, fewer on a busy machine */
    assert_non_null(strstr(buf_cstr(&out) + (at + 3) * sizeof *w, "profile_test"));
    buf_done(&out);
}

/* One after the other, some of them thrown away; ticks behind the end do no harm. */
static void test_again(void **state)
{
    struct err e = ERR_INIT;

    (void) state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(profile_start(&e), 0);
        assert_int_not_equal(burn(15), 0);
        assert_true(profile_stop(NULL));
    }
    assert_int_not_equal(burn(30), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
