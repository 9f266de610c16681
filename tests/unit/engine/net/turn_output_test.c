/* Who waits for whom with answers that are longer than what leaves in a turn. */
#define _GNU_SOURCE
#include <poll.h>

#include "unit/engine/net/turn_crowd.h"

#define ANSWER_MS 20000
#define FRAME_BYTES_MAX (9 + 16384)

/* What the client takes of a connection, without waiting. */
static size_t take(int fd)
{
    static uint8_t into[1 << 20];
    size_t sum = 0;
    ssize_t n;

    while ((n = recv(fd, into, sizeof into, MSG_DONTWAIT)) > 0)
        sum += (size_t) n;
    return sum;
}

/* Large answers to clients that take all they get: one round of one of them in a turn, each as
 * much as the others, and the answer of a modest one leaves in the turn of its request. */
static void large_answers_take_turns(void **state)
{
    int fds[GREEDY_MAX], modest = connect_modest();
    size_t got[GREEDY_MAX] = {0}, least = SIZE_MAX, most = 0;

    (void) state;
    crowd_ask(fds, "/t.T/Fetch", 2);
    for (int i = 0; i < 10; i++)
        turn();
    take(modest);
    for (uint32_t k = 0; k < 100; k++) {
        size_t before = 0, after = 0;

        for (int i = 0; i < GREEDY_MAX; i++)
            before += got[i] += take(fds[i]);
        ask_modest(modest, k);
        turn();
        assert_int_equal(begun(MODEST), k + 1);
        assert_int_equal(poll(&(struct pollfd){modest, POLLIN, 0}, 1, ANSWER_MS), 1);
        take(modest);
        for (int i = 0; i < GREEDY_MAX; i++)
            after += got[i] += take(fds[i]);
        assert_true(after - before <= NET_OUT_GREEDY_BYTES + FRAME_BYTES_MAX);
    }
    for (int i = 0; i < GREEDY_MAX; i++) {
        least = MIN(least, got[i]);
        most = MAX(most, got[i]);
    }
    assert_true(most - least <= 2 * LOOP_OUT_BYTES);
    for (int n = 0; n < TURNS_MAX && least < 2 * ANSWER_BYTES; n++) {
        turn();
        least = SIZE_MAX;
        for (int i = 0; i < GREEDY_MAX; i++)
            least = MIN(least, got[i] += take(fds[i]));
    }
    assert_true(least >= 2 * ANSWER_BYTES);
    crowd_close(fds);
    close(modest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(large_answers_take_turns, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
