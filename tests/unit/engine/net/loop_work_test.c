/* Long work of a loop, turned by hand on a clock that moves with the work. */
#define _GNU_SOURCE
#include "unit/engine/net/turn_rig.h"

#define PIECE_US 10 /* of long work, between two looks at the clock */

static int begin(void **state)
{
    (void) state;
    turns_begin(NULL, 0, NULL);
    return 0;
}

static int end(void **state)
{
    (void) state;
    turns_end();
    return 0;
}

static struct {
    struct loop_work w;
    mono_ns left_us;
    size_t slices;
    mono_ns longest;
} lasting;

static void go_on(struct loop_work *w, mono_ns until)
{
    mono_ns began = turns.now;

    do {
        turns_work(PIECE_US);
        lasting.left_us -= PIECE_US;
    } while (lasting.left_us > 0 && !loop_work_over(turns.w.loop, until));
    lasting.slices++;
    lasting.longest = MAX(lasting.longest, turns.now - began);
    if (lasting.left_us > 0)
        loop_work_add(turns.w.loop, w);
}

/* How many turns until it is done. */
static size_t turns_of_long_work(mono_ns us, bool modest_near)
{
    size_t n = 0;

    memset(&lasting, 0, sizeof lasting);
    loop_work_init(&lasting.w, go_on);
    lasting.left_us = us;
    loop_work_add(turns.w.loop, &lasting.w);
    loop_work_add(turns.w.loop, &lasting.w);
    for (; lasting.left_us > 0; n++) {
        size_t before = lasting.slices;

        if (modest_near)
            turns.w.loop->modest_ns = turns.now;
        turn();
        assert_in_range(lasting.slices, before, before + 1);
    }
    return n;
}

/* Long work has a slice in each turn, however often it was added: a short one beside a connection
 * that asks for little. */
static void long_work_has_slices(void **state)
{
    const mono_ns us = 20 * NET_LATER_US;

    (void) state;
    assert_in_range(turns_of_long_work(us, false), us / NET_LATER_US, us / NET_LATER_US + 1);
    assert_true(lasting.longest <= (mono_ns) (NET_LATER_US + PIECE_US) * 1000);
    assert_in_range(turns_of_long_work(us, true), us / NET_SLICE_GREEDY_US,
                    us / NET_SLICE_GREEDY_US + 1);
    assert_true(lasting.longest <= (mono_ns) (NET_SLICE_GREEDY_US + PIECE_US) * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(long_work_has_slices, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
