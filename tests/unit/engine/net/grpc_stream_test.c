/* Calls with streams of messages through the whole of it: our client, loopback, our server. */
#define _GNU_SOURCE
#include "unit/engine/net/call_services.h"

/* A server stream's messages arrive before its status, the shared block behind each private head.
 */
static void server_stream(void **state)
{
    struct outcome o;
    RIG(g, s);

    start_stream(&g, &o, "/t.T/Count", 0);
    send_text(&o, "9");
    rpc_half_close(o.r);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 0);
    assert_int_equal(o.messages, 9);
    assert_int_equal(o.bytes, 9 * 10001);
    start_stream(&g, &o, "/t.T/Count", 0);
    send_text(&o, "0");
    rpc_half_close(o.r);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 0);
    assert_int_equal(o.messages, 0);
    rig_done(&g);
}

/* A bidi stream: headers at once, each message answered, a clean end by half-closing. */
static void bidi_stream(void **state)
{
    struct outcome o;
    RIG(g, s);

    start_stream(&g, &o, "/t.T/Chat", 0);
    rig_wait(&g, &o.opened);
    for (int i = 0; i < 10; i++)
        send_text(&o, "hello");
    rig_turn(&g, 30);
    assert_int_equal(o.messages, 10);
    assert_int_equal(o.bytes, 50);
    rpc_half_close(o.r);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 0);
    assert_true(s.half_closed);
    assert_int_equal(s.canceled, 0);
    rig_done(&g);
}

/* A service that ends a bidi stream by itself ends it for a client that has not half-closed. */
static void service_ends_bidi(void **state)
{
    struct outcome o;
    RIG(g, s);

    start_stream(&g, &o, "/t.T/Chat", 0);
    rig_wait(&g, &o.opened);
    call_finish(s.open, 1, "etcdserver: watch canceled");
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 1);
    assert_string_equal(o.text, "etcdserver: watch canceled");
    assert_int_equal(s.canceled, 0);
    rig_done(&g);
}

/* A paused call gets no message until it is resumed, and then all of them, and the end of the
 * stream. */
static void pause_holds_messages(void **state)
{
    struct outcome o;
    RIG(g, s);

    start_stream(&g, &o, "/t.T/Chat", 0);
    rig_wait(&g, &o.opened);
    send_text(&o, "pause");
    for (int i = 0; i < 100; i++)
        send_text(&o, "more");
    rpc_half_close(o.r);
    rig_turn(&g, 50);
    assert_int_equal(s.messages, 1);
    assert_false(s.half_closed);
    call_resume(s.open);
    rig_wait(&g, &o.done);
    assert_int_equal(s.messages, 101);
    assert_true(s.half_closed);
    rig_done(&g);
}

/* A client that pauses stops a flooding service at its mark; resumed, it gets everything, its
 * status last. */
static void slow_client_holds_back_the_service(void **state)
{
    struct outcome o;
    size_t at_pause;
    RIG(g, s);

    start_stream(&g, &o, "/t.T/Flood", 0);
    send_text(&o, "go");
    rpc_half_close(o.r);
    rig_turn(&g, 1);
    rpc_pause(o.r);
    rig_turn(&g, 200);
    at_pause = (size_t) s.stream_sent;
    assert_true(at_pause < FLOOD_MESSAGES);
    assert_true(s.queued_max <= FLOOD_MARK + FLOOD_BYTES + 5);
    rig_turn(&g, 50);
    assert_int_equal(s.stream_sent, at_pause);
    rpc_resume(o.r);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 0);
    assert_int_equal(o.messages, FLOOD_MESSAGES);
    assert_int_equal(o.bytes, (size_t) FLOOD_MESSAGES * FLOOD_BYTES);
    assert_true(s.writable_runs > 1);
    rig_done(&g);
}

static struct outcome quiet[3];

/* Whoever is told first that all has left ends the others. */
static void end_the_others(struct rpc *r, void *user)
{
    (void) user;
    for (size_t i = 0; i < ARRAY_LEN(quiet); i++) {
        if (quiet[i].r != r)
            rpc_cancel(quiet[i].r);
    }
    quiet[0].writable = true;
}

/* A call that is told that all has left may end others that are to be told the same. */
static void writable_ends_others(void **state)
{
    static const struct rpc_stream_callbacks cb = {on_stream_open, on_stream_message,
                                                   end_the_others, on_unary_end};
    int canceled_n = 0;
    RIG(g, s);

    for (size_t i = 0; i < ARRAY_LEN(quiet); i++) {
        struct rpc_options ro = {.path = "/t.T/Quiet", .user = &quiet[i]};

        quiet[i] = (struct outcome){0};
        quiet[i].r = rpc_open(g.ch, &ro, &cb);
        send_text(&quiet[i], "x");
    }
    rig_wait(&g, &quiet[0].writable);
    rig_turn(&g, 5);
    for (size_t i = 0; i < ARRAY_LEN(quiet); i++)
        canceled_n += quiet[i].done && quiet[i].code == 1;
    assert_int_equal(canceled_n, 2);
    rig_done(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_stream),
        cmocka_unit_test(bidi_stream),
        cmocka_unit_test(service_ends_bidi),
        cmocka_unit_test(writable_ends_others),
        cmocka_unit_test(pause_holds_messages),
        cmocka_unit_test(slow_client_holds_back_the_service),
    };

    return cmocka_run_group_tests(tests, NULL, NULL) +
           cmocka_run_group_tests_name("over TLS", tests, rig_tls_on, rig_tls_off);
}
