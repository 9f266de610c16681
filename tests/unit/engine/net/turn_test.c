/* Who waits for whom on one loop: greedy connections beside a modest one, on a clock that only the
 * services move.  Client and server are on this thread, and the loop is turned by hand. */
#define _GNU_SOURCE
#include "unit/engine/net/turn_crowd.h"

/* A thousand requests in one read are begun a slice at a time, in their order, and a request of
 * another connection waits for one slice at most. */
static void one_slice_each(void **state)
{
    int greedy = turns_connect(), modest = connect_modest();

    (void) state;
    send_calls(greedy, "/t.T/Ask", 0, 0, GREEDY_REQUESTS);
    expect_one_slice(greedy, modest);
}

/* However many connections ask for much: once they were cut short they have a part of the turn
 * together, and take turns in it. */
static void greedy_ones_share(void **state)
{
    int fds[GREEDY_MAX], modest = connect_modest();
    size_t least = SIZE_MAX, most = 0, before;

    (void) state;
    crowd_ask(fds, "/t.T/Ask", GREEDY_REQUESTS);
    for (int i = 0; i < 100; i++)
        turn();
    for (uint32_t i = 0; i < 20; i++) {
        before = t.n;
        ask_modest(modest, i);
        turn_until_begun(MODEST, i + 1);
        assert_true(t.n - before <= (i == 0 ? SLICE_REQUESTS : 2 * GREEDY_SLICE_REQUESTS) + 1);
    }
    for (uint8_t i = 0; i < GREEDY_MAX; i++) {
        least = MIN(least, begun(i));
        most = MAX(most, begun(i));
    }
    assert_true(least > 0);
    assert_true(most - least <= 2 * SLICE_REQUESTS);
    crowd_finish(fds);
    close(modest);
}

/* Whoever has just come waits in the same row, so that many who come at once and ask for much hold
 * up nobody who is known to ask for little. */
static void newcomers_share(void **state)
{
    int fds[GREEDY_MAX], modest = connect_modest();
    size_t before;

    (void) state;
    crowd_ask(fds, "/t.T/Ask", GREEDY_REQUESTS);
    for (uint32_t i = 0; i < 40; i++) {
        before = t.n;
        ask_modest(modest, i);
        turn();
        assert_int_equal(begun(MODEST), i + 1);
        assert_true(t.n - before <= 2 * GREEDY_SLICE_REQUESTS + 1);
    }
    crowd_finish(fds);
    close(modest);
}

/* What one of them has to say is taken out of its socket a little at a time: the kernel, too, takes
 * its time for a quarter of a megabyte. */
static void newcomers_are_read_bit_by_bit(void **state)
{
    int fd = turns_connect(), modest = connect_modest();
    const _Atomic uint64_t *in = &turns.w.loop->counters.bytes_in;
    static uint8_t part[16384];
    struct buf b;

    (void) state;
    buf_init(&b, SIZE_MAX);
    raw_request(&b, 1, "/t.T/Ask", 0);
    be32_put(part + 1, 1u << 20); /* of a message that is longer than what comes of it */
    for (size_t i = 0; i < 4; i++) {
        raw_frame(&b, RAW_DATA, 0, 1, part, sizeof part);
        memset(part, 'x', 5);
    }
    send_all(fd, &b);
    buf_done(&b);
    turns.step = 4000;
    for (uint32_t i = 0; i < 20; i++) {
        uint64_t before = *in;

        turns_work(NET_LATER_WAIT_US);
        ask_modest(modest, i);
        turn();
        assert_in_range(*in - before, 1, NET_READ_LITTLE_BYTES + 1000);
    }
    assert_true(*in > 4 * sizeof part);
    close(fd);
    close(modest);
}

/* While modest ones have something to ask in turn after turn, greedy ones have a part of one of
 * these after a while; a turn in which they have not has it at once. */
static void modest_ones_first(void **state)
{
    int greedy = turns_connect(), modest = connect_modest();
    bool long_ago = false; /* a turn comes to its end when the next one begins */
    size_t before, first;

    (void) state;
    send_calls(greedy, "/t.T/Ask", 0, 0, GREEDY_REQUESTS);
    while (begun(0) == 0)
        turn();
    first = begun(0);
    for (uint32_t i = 0; i < 16; i++) {
        bool waited = i % 2 == 1;

        before = begun(0);
        if (waited)
            turns_work(NET_LATER_WAIT_US);
        ask_modest(modest, i);
        turn();
        assert_int_equal(begun(MODEST), i + 1);
        assert_true(begun(0) - before <= (long_ago ? GREEDY_SLICE_REQUESTS : 0));
        long_ago = waited;
    }
    assert_true(begun(0) - first >= 16 / 2 / 2); /* the others were rounds of output */
    before = begun(0);
    turn();
    turn();
    assert_in_range(begun(0) - before, 1, GREEDY_SLICE_REQUESTS);
    turn_until_begun(0, GREEDY_REQUESTS);
    close(greedy);
    close(modest);
}

/* Who has asked for much for a while has shorter slices, but only while another one asks for
 * little. */
static void short_slices_beside_modest_ones(void **state)
{
    int greedy = turns_connect(), modest = connect_modest();
    size_t before;

    (void) state;
    send_calls(greedy, "/t.T/Ask", 0, 0, GREEDY_REQUESTS);
    while (begun(0) < (NET_CUTS_GREEDY + 2) * SLICE_REQUESTS)
        turn();
    ask_modest(modest, 0);
    turn_until_begun(MODEST, 1);
    before = begun(0);
    for (int i = 0; i < 10; i++)
        turn();
    assert_in_range(begun(0) - before, 3, 10 * GREEDY_SLICE_REQUESTS);
    calm();
    before = begun(0);
    turn();
    assert_int_equal(begun(0) - before, SLICE_REQUESTS);
    turn_until_begun(0, GREEDY_REQUESTS);
    close(greedy);
    close(modest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_slice_each, begin, end),
        cmocka_unit_test_setup_teardown(greedy_ones_share, begin, end),
        cmocka_unit_test_setup_teardown(newcomers_share, begin, end),
        cmocka_unit_test_setup_teardown(newcomers_are_read_bit_by_bit, begin, end),
        cmocka_unit_test_setup_teardown(modest_ones_first, begin, end),
        cmocka_unit_test_setup_teardown(short_slices_beside_modest_ones, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
