/* A server that stops while calls are under way, as its clients see it. */
#define _GNU_SOURCE
#include "unit/engine/net/call_services.h"

/* A graceful stop lets a call finish, refuses new connections meanwhile, and then reports that it
 * is done. */
static void graceful_stop(void **state)
{
    struct outcome o, refused;
    RIG(g, s);

    start_unary(&g, &o, "/t.T/Hang", BYTES_LIT("q"), 0);
    rig_wait(&g, &s.request_seen);
    net_server_stop(g.server, 10000, rig_stopped, &g);
    rig_turn(&g, 30);
    assert_false(g.stopped);
    assert_false(s.cancel_seen);
    unary(&g, &refused, "/t.T/Echo", BYTES_LIT("x"));
    assert_int_equal(refused.code, 14);
    call_reply(s.open, &(struct net_piece){.kind = NET_PIECE_COPIED, .bytes = BYTES_LIT("bye")}, 1);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 0);
    assert_int_equal(o.response_n, 3);
    outcome_done(&o);
    rig_wait(&g, &g.stopped);
    rig_free(&g);
}

static void end_it(struct call *c, enum call_cancel_reason why)
{
    on_cancel(c, why);
    call_finish(c, 1, "etcdserver: watch canceled");
}

/* When the grace is over, calls are told so; whatever they say, clients hear that the server went,
 * which makes them try again. */
static void grace_ends(void **state)
{
    struct outcome o;
    RIG(g, s);

    start_unary(&g, &o, "/t.T/Hang", BYTES_LIT("q"), 0);
    rig_wait(&g, &s.request_seen);
    call_on_cancel(s.open, end_it);
    net_server_stop(g.server, 20, rig_stopped, &g);
    rig_wait(&g, &o.done);
    assert_int_equal(s.why, CALL_SERVER_STOPPING);
    assert_int_equal(o.code, 14);
    assert_string_equal(o.text, "transport is closing");
    rig_wait(&g, &g.stopped);
    rig_free(&g);
}

/* A second, shorter stop that comes when the first is over already leaves nothing behind. */
static void stop_again_after_the_end(void **state)
{
    RIG(g, s);

    net_server_stop(g.server, 1000, rig_stopped, &g);
    rig_wait(&g, &g.stopped);
    net_server_stop(g.server, 500, rig_stopped, &g);
    rig_turn(&g, 1);
    rig_free(&g); /* which looks for timers */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graceful_stop),
        cmocka_unit_test(grace_ends),
        cmocka_unit_test(stop_again_after_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL) +
           cmocka_run_group_tests_name("over TLS", tests, rig_tls_on, rig_tls_off);
}
