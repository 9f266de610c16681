/* The client against servers that are not there, not ready, not HTTP/2, or that go away. */
#define _GNU_SOURCE
#include "unit/engine/net/by_hand.h"
#include "unit/engine/net/rig.h"

static void echo(struct call *c, struct bytes m)
{
    struct net_piece p = net_piece_kept(m.p, m.n);

    call_reply(c, &p, 1);
}

static const struct net_method methods[] = {
    {.path = "/t.T/Echo", .kind = NET_UNARY, .request = echo},
};

/* A channel whose server the test speaks for, and its one call. */
struct hand {
    struct rig g;
    struct outcome o;
    int listener;
    int fd; /* what was accepted */
};

static void hand_open(struct hand *h, struct channel_options co)
{
    co.host = "127.0.0.1";
    h->listener = listen_by_hand(&co.port);
    rig_client(&h->g, &co);
}

static void hand_close(struct hand *h)
{
    rig_free(&h->g);
    close(h->listener);
}

/* The call makes the channel connect, and the server says these words. */
static void hand_answer(struct hand *h, const void *words, size_t n)
{
    start_unary(&h->g, &h->o, "/t.T/Echo", BYTES_LIT("x"), 0);
    rig_turn(&h->g, 20);
    h->fd = accept(h->listener, NULL, NULL);
    assert_true(h->fd >= 0);
    assert_int_equal(send(h->fd, words, n, MSG_NOSIGNAL), (ssize_t) n);
}

static void hand_wait_unavailable(struct hand *h)
{
    rig_wait(&h->g, &h->o.done);
    assert_int_equal(h->o.code, 14);
}

static const char http1_page[] =
    "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nno such luck";
static const uint8_t empty_settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};

/* A server that accepts and never says a word is given up after the connect timeout. */
static void silent_server(void **state)
{
    struct hand h;

    (void) state;
    hand_open(&h, (struct channel_options){.connect_timeout_ms = 100});
    unary(&h.g, &h.o, "/t.T/Echo", BYTES_LIT("x"));
    assert_int_equal(h.o.code, 14);
    assert_string_equal(h.o.text,
                        "connection error: desc = \"error reading server preface: context "
                        "deadline exceeded\"");
    assert_int_equal(channel_state(h.g.ch), CHANNEL_IDLE);
    hand_close(&h);
}

/* A server that answers HTTP/1, or closes at once, makes calls Unavailable. */
static void not_http2(void **state)
{
    struct hand h;

    (void) state;
    hand_open(&h, (struct channel_options){0});
    hand_answer(&h, http1_page, sizeof http1_page - 1);
    hand_wait_unavailable(&h);
    close(h.fd);
    hand_answer(&h, "", 0);
    close(h.fd);
    hand_wait_unavailable(&h);
    hand_close(&h);
}

/* A connection that waits for the other end to close, too, ends with its channel: the loop can be
 * freed at once. */
static void freed_while_lingering(void **state)
{
    struct hand h;

    (void) state;
    hand_open(&h, (struct channel_options){0});
    hand_answer(&h, http1_page, sizeof http1_page - 1);
    rig_turn(&h.g, 50);
    assert_false(h.o.done);
    alarm(20); /* it would wait for ever */
    hand_close(&h);
    alarm(0);
    assert_true(h.o.done);
    close(h.fd);
}

/* A connection that breaks in the middle ends its calls Unavailable. */
static void lost_in_the_middle(void **state)
{
    struct hand h;

    (void) state;
    hand_open(&h, (struct channel_options){0});
    hand_answer(&h, empty_settings, sizeof empty_settings);
    rig_turn(&h.g, 20);
    assert_int_equal(channel_state(h.g.ch), CHANNEL_READY);
    close(h.fd);
    hand_wait_unavailable(&h);
    assert_memory_equal(h.o.text, "error reading from server: ", 27);
    hand_close(&h);
}

/* A server that stops answering pings is found out, when keepalive is asked for. */
static void keepalive(void **state)
{
    struct hand h;

    (void) state;
    hand_open(&h, (struct channel_options){.keepalive_time_ms = 50, .keepalive_timeout_ms = 50});
    hand_answer(&h, empty_settings, sizeof empty_settings);
    hand_wait_unavailable(&h);
    assert_string_equal(h.o.text, "keepalive ping failed to receive ACK within timeout");
    hand_close(&h);
    close(h.fd);
}

/* Our server, on a port that a channel knows already. */
static void serve_on(struct rig *g, uint16_t port)
{
    struct net_server_options so = {.loops = &g->loop, .loops_n = 1};
    struct net_listen where = {.host = "127.0.0.1", .port = port};
    struct err e = ERR_INIT;

    net_limits_default(&so.limits);
    assert_int_equal(net_server_new(&so, &g->server, &e), 0);
    assert_int_equal(net_server_add(g->server, methods, 1, NULL, &e), 0);
    assert_int_equal(net_server_listen(g->server, &where, NULL, &e), 0);
    net_server_start(g->server);
}

/* A call that waits for the server goes through when it comes up; one that does not has failed long
 * before. */
static void waits_for_the_server(void **state)
{
    struct rpc_options ro = {.path = "/t.T/Echo", .wait_for_ready = true};
    struct channel_options co = {.host = "127.0.0.1"};
    struct outcome waiting = {0}, hasty;
    struct rig g;

    (void) state;
    close(listen_by_hand(&co.port)); /* a port that is free now */
    rig_client(&g, &co);
    ro.user = &waiting;
    assert_non_null(rpc_unary(g.ch, &ro, BYTES_LIT("patient"), on_unary_end));
    unary(&g, &hasty, "/t.T/Echo", BYTES_LIT("x"));
    assert_int_equal(hasty.code, 14);
    rig_turn(&g, 100);
    assert_false(waiting.done);
    serve_on(&g, co.port);
    rig_wait(&g, &waiting.done);
    assert_int_equal(waiting.code, 0);
    assert_int_equal(waiting.response_n, 7);
    outcome_done(&waiting);
    rig_done(&g);
}

/* After a graceful stop of its server the channel connects to the next one by itself. */
static void reconnects(void **state)
{
    struct outcome o;
    struct rig g;

    (void) state;
    rig_init(&g, methods, 1, NULL, NULL);
    for (int i = 0; i < 3; i++) {
        unary(&g, &o, "/t.T/Echo", BYTES_LIT("again"));
        assert_int_equal(o.code, 0);
        outcome_done(&o);
        g.stopped = false;
        net_server_stop(g.server, 1000, rig_stopped, &g);
        rig_wait(&g, &g.stopped);
        net_server_free(g.server);
        serve_on(&g, g.port);
    }
    g.stopped = false;
    rig_done(&g);
}

/* Calls canceled before they left, in the same turn, end Canceled and disturb no other. */
static void canceled_before_it_left(void **state)
{
    struct outcome o[20], last;
    struct rig g;

    (void) state;
    rig_init(&g, methods, 1, NULL, NULL);
    unary(&g, &last, "/t.T/Echo", BYTES_LIT("connect"));
    outcome_done(&last);
    for (size_t i = 0; i < ARRAY_LEN(o); i++) {
        start_unary(&g, &o[i], "/t.T/Echo", BYTES_LIT("x"), i % 2 ? 1 : 0);
        if (i % 3 != 2)
            rpc_cancel(o[i].r);
    }
    unary(&g, &last, "/t.T/Echo", BYTES_LIT("fine"));
    assert_int_equal(last.code, 0);
    for (size_t i = 0; i < ARRAY_LEN(o); i++) {
        rig_wait(&g, &o[i].done);
        if (i % 3 != 2)
            assert_int_equal(o[i].code, 1);
        outcome_done(&o[i]);
    }
    outcome_done(&last);
    rig_done(&g);
}

/* A message larger than the client takes is refused at its end, and the channel lives on. */
static void response_limit(void **state)
{
    struct channel_options co = {.host = "127.0.0.1", .recv_message_bytes_max = 1000};
    uint8_t big[1001] = {0};
    struct outcome o;
    struct rig g;

    (void) state;
    rig_server(&g, methods, 1, NULL, NULL);
    co.port = g.port;
    rig_channel_to(&g, &co);
    unary(&g, &o, "/t.T/Echo", bytes_of(big, 1001));
    assert_int_equal(o.code, 8);
    assert_string_equal(o.text, "grpc: received message larger than max (1001 vs. 1000)");
    unary(&g, &o, "/t.T/Echo", bytes_of(big, 1000));
    assert_int_equal(o.code, 0);
    outcome_done(&o);
    rig_done(&g);
}

/* A name is looked up; a channel without an address is refused. */
static void addresses(void **state)
{
    struct channel_options co = {.host = "localhost"};
    struct channel_options none = {.host = ""};
    struct err e = ERR_INIT;
    struct outcome o;
    struct rig g;

    (void) state;
    rig_server(&g, methods, 1, NULL, NULL);
    assert_int_equal(channel_new(g.loop, &none, &g.ch, &e), ERR_INVALID);
    co.port = g.port;
    rig_channel_to(&g, &co);
    unary(&g, &o, "/t.T/Echo", BYTES_LIT("by name"));
    assert_int_equal(o.code, 0);
    outcome_done(&o);
    rig_done(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_server),
        cmocka_unit_test(not_http2),
        cmocka_unit_test(freed_while_lingering),
        cmocka_unit_test(lost_in_the_middle),
        cmocka_unit_test(keepalive),
        cmocka_unit_test(waits_for_the_server),
        cmocka_unit_test(reconnects),
        cmocka_unit_test(canceled_before_it_left),
        cmocka_unit_test(response_limit),
        cmocka_unit_test(addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
