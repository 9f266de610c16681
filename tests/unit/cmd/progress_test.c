#define _POSIX_C_SOURCE 200809L
#include "lib/cm.h"

#include <unistd.h>

#include "cli/progress.h"

static void expect_text(uint64_t done, uint64_t total, const char *want)
{
    struct progress p = {.what = "copying", .total = total, .done = done};
    struct buf b;

    buf_init(&b, 4096);
    progress_text(&p, &b);
    assert_string_equal(buf_cstr(&b), want);
    buf_done(&b);
}

/* The line names the work, how much is done, and of how much where that is known; never more than
 * all of it. */
static void says_how_far_it_is(void **state)
{
    (void) state;
    expect_text(0, 1000, "copying: 0 B of 1.0 kB (0%)");
    expect_text(310000000, 1100000000, "copying: 310 MB of 1.1 GB (28%)");
    expect_text(1000, 1000, "copying: 1.0 kB of 1.0 kB (100%)");
    expect_text(2000, 1000, "copying: 2.0 kB of 1.0 kB (100%)");
    expect_text(25000, 0, "copying: 25 kB");
}

/* Things that are no bytes are told by their share alone. */
static void says_the_share_of_things(void **state)
{
    struct progress p;
    struct buf b;

    (void) state;
    progress_begin_things(&p, "writing keys", 3000);
    p.on = false;
    progress_add(&p, 1000);
    buf_init(&b, 4096);
    progress_text(&p, &b);
    assert_string_equal(buf_cstr(&b), "writing keys: 33%");
    buf_done(&b);
}

/* Work is counted, and nothing is drawn where stderr is no terminal. */
static void is_silent_off_a_terminal(void **state)
{
    struct progress p;

    (void) state;
    progress_begin(&p, "copying", 10);
    p.on = false;
    progress_add(&p, 4);
    progress_add(&p, 5);
    progress_end(&p);
    assert_int_equal(p.done, 9);
    assert_int_equal(p.drawn_ms, 0);
}

/* On a terminal the line is drawn once the work has taken a while, over itself, not at every step,
 * and taken away at the end. */
static void draws_over_itself(void **state)
{
    struct progress p;
    char got[256];
    int ends[2], was = dup(STDERR_FILENO);
    ssize_t n;

    (void) state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    progress_begin(&p, "copying", 10);
    p.on = true;
    progress_add(&p, 1); /* too early */
    p.began_ms -= 2 * PROGRESS_QUIET_MS;
    progress_add(&p, 3);
    progress_add(&p, 1); /* too soon after the last one */
    progress_end(&p);
    progress_end(&p);
    assert_int_equal(dup2(was, STDERR_FILENO), STDERR_FILENO);
    close(was);
    close(ends[1]);
    n = read(ends[0], got, sizeof got - 1);
    assert_true(n > 0);
    got[n] = 0;
    close(ends[0]);
    assert_string_equal(got, "\r\033[Kcopying: 4 B of 10 B (40%)\r\033[K");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_how_far_it_is),
        cmocka_unit_test(says_the_share_of_things),
        cmocka_unit_test(is_silent_off_a_terminal),
        cmocka_unit_test(draws_over_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
