/* Input that waits for its turn: of whatever kind it is it is taken in slices, none of it is lost
 * or grows without bound, and a connection that breaks off leaves nothing behind. */
#define _GNU_SOURCE
#include "unit/engine/net/turn_crowd.h"

#define ENDED_MAX 32 /* calls of a broken connection, in one turn or two */

/* A slice that is over when the last bytes have been taken leaves a request to be begun: it is,
 * also when nothing more comes. */
static void cut_behind_the_last_byte(void **state)
{
    int modest = connect_modest(), fd = turns_connect();
    struct buf b, m;

    (void) state;
    buf_init(&b, SIZE_MAX);
    buf_init(&m, 64);
    raw_request(&b, 1, "/t.T/Ask", 0);
    raw_request(&b, 3, "/t.T/Ask", 0);
    add_message(&m, 0, 0);
    raw_frame(&b, RAW_DATA, RAW_END_STREAM, 3, m.p, m.len);
    buf_consume(&m, m.len);
    add_message(&m, 0, 1);
    raw_frame(&b, RAW_DATA, RAW_END_STREAM, 1, m.p, m.len);
    send_all(fd, &b);
    turn_until_begun(0, 2);
    buf_done(&m);
    buf_done(&b);
    close(fd);
    close(modest);
}

/* The socket of a connection that carries input is left alone: what the server holds of it is
 * bounded, and the client has to wait. */
static void what_is_carried_is_bounded(void **state)
{
    int fd = turns_connect();
    uint32_t sent = 0;
    struct buf b;

    (void) state;
    buf_init(&b, SIZE_MAX);
    while (sent < 2 * GREEDY_MAX * GREEDY_REQUESTS)
        add_call(&b, "/t.T/Ask", 0, sent++);
    for (size_t at = 0; at < b.len || begun(0) < sent;) {
        ssize_t n = at == b.len ? 0 : send(fd, b.p + at, b.len - at, MSG_DONTWAIT | MSG_NOSIGNAL);

        at += n > 0 ? (size_t) n : 0;
        turn();
        assert_true(turns.w.loop->carried_bytes <= NET_READ_BYTES);
        while (recv(fd, b.p, 1024, MSG_DONTWAIT) > 0 && at == b.len)
            ;
    }
    buf_done(&b);
    close(fd);
}

/* A connection that is lost, and a server that stops, while input is carried: nothing stays
 * behind. */
static void gone_while_it_carries(void **state)
{
    struct linger at_once = {.l_onoff = 1};
    int lost = turns_connect(), open = turns_connect();

    (void) state;
    calm();
    send_calls(lost, "/t.T/Ask", 0, 0, GREEDY_REQUESTS);
    send_calls(open, "/t.T/Ask", 1, 0, GREEDY_REQUESTS);
    turn();
    turn();
    assert_true(turns.w.loop->carried_bytes > 0);
    setsockopt(lost, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(lost);
    for (int i = 0; i < 10; i++)
        turn();
    assert_true(begun(0) <= 10 * SLICE_REQUESTS);
    assert_in_range(begun(1), 8 * SLICE_REQUESTS, GREEDY_REQUESTS - 1);
    close(open);
}

static size_t calls_open(void)
{
    struct net_counters n;

    net_server_counters(turns.w.server, &n);
    return n.calls_open;
}

/* A connection with a thousand streams that breaks off is ended a slice at a time: a request of
 * another connection waits for one of them. */
static void the_end_takes_turns(void **state)
{
    int full = turns_connect(), modest = connect_modest();
    struct linger at_once = {.l_onoff = 1};
    size_t before;
    struct buf b;

    (void) state;
    buf_init(&b, SIZE_MAX);
    for (uint32_t i = 0; i < GREEDY_REQUESTS; i++)
        raw_request(&b, 1 + 2 * i, "/t.T/Chat", 0);
    assert_true(raw_send(full, b.p, b.len));
    buf_done(&b);
    for (int i = 0; i < TURNS_MAX && calls_open() < GREEDY_REQUESTS; i++)
        turn();
    setsockopt(full, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(full);
    for (uint32_t i = 0; t.canceled < GREEDY_REQUESTS; i++) {
        before = t.canceled;
        ask_modest(modest, i);
        turn_until_begun(MODEST, i + 1);
        assert_true(t.canceled - before <= ENDED_MAX);
    }
    assert_true(begun(MODEST) >= GREEDY_REQUESTS / ENDED_MAX);
    close(modest);
}

/* Messages of a stream count as requests; a frame is handed over whole. */
static void messages_of_a_stream(void **state)
{
    int greedy = turns_connect(), modest = connect_modest();
    struct buf b, m;

    (void) state;
    buf_init(&b, SIZE_MAX);
    raw_request(&b, 1, "/t.T/Chat", 0);
    for (uint32_t i = 0; i < GREEDY_REQUESTS; i++) {
        buf_init(&m, 64);
        add_message(&m, 0, i);
        raw_frame(&b, RAW_DATA, 0, 1, m.p, m.len);
        buf_done(&m);
    }
    send_all(greedy, &b);
    buf_done(&b);
    expect_one_slice(greedy, modest);
}

/* Frames that begin no request take time as well: after a piece of them the others have their
 * turn, and what follows them is not lost. */
static void frames_that_ask_for_nothing(void **state)
{
    int greedy = turns_connect(), modest = connect_modest();
    struct buf b;

    (void) state;
    calm();
    buf_init(&b, SIZE_MAX);
    while (b.len < 4 * NET_FEED_BYTES)
        raw_frame(&b, 77, 0, 0, NULL, 0);
    add_call(&b, "/t.T/Ask", 0, 0);
    send_all(greedy, &b);
    buf_done(&b);
    turns.step = (mono_ns) NET_SLICE_US * 1000;
    turn();
    assert_in_range(turns.w.loop->carried_bytes, 1, 3 * NET_FEED_BYTES + 200);
    ask_modest(modest, 0);
    turn();
    assert_int_equal(begun(MODEST), 1);
    assert_int_equal(begun(0), 0);
    turn_until_begun(0, 1);
    close(greedy);
    close(modest);
}

/* Requests of HTTP/1 that were sent without waiting for the answers. */
static void pipelined_requests(void **state)
{
    int greedy = raw_connect(&turns.w), modest = connect_modest();
    size_t before;

    (void) state;
    for (int i = 0; i < GREEDY_REQUESTS; i++)
        assert_true(raw_say(greedy, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    for (int i = 0; i < 10 && begun(0) == 0; i++)
        turn();
    assert_true(begun(0) > 0);
    before = t.n;
    ask_modest(modest, 0);
    turn_until_begun(MODEST, 1);
    assert_true(t.n - before <= SLICE_REQUESTS + 2);
    turn_until_begun(0, GREEDY_REQUESTS);
    close(greedy);
    close(modest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cut_behind_the_last_byte, begin, end),
        cmocka_unit_test_setup_teardown(what_is_carried_is_bounded, begin, end),
        cmocka_unit_test_setup_teardown(gone_while_it_carries, begin, end),
        cmocka_unit_test_setup_teardown(the_end_takes_turns, begin, end),
        cmocka_unit_test_setup_teardown(messages_of_a_stream, begin, end),
        cmocka_unit_test_setup_teardown(frames_that_ask_for_nothing, begin, end),
        cmocka_unit_test_setup_teardown(pipelined_requests, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
