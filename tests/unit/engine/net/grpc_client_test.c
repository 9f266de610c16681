/* The client against servers that are not there, not ready, not HTTP/2, or that go away. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/engine/net/rig.h"

static void echo(struct call *c, struct bytes m)
{
    struct net_piece p = net_piece_kept(m.p, m.n);

    call_reply(c, &p, 1);
}

static const struct net_method methods[] = {
    {.path = "/t.T/Echo", .kind = NET_UNARY, .request = echo},
};

/* A listener that the kernel answers for and nobody accepts from, unless the test does. */
static int silent_listener(uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *) &a, sizeof a), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &len), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static void client_only(struct rig *g, struct channel_options *co)
{
    struct err e = ERR_INIT;

    memset(g, 0, sizeof *g);
    loop_timer_init(&g->watchdog, rig_late);
    assert_int_equal(loop_new("test", &g->loop, &e), 0);
    assert_int_equal(channel_new(g->loop, co, &g->ch, &e), 0);
}

static void client_done(struct rig *g)
{
    channel_free(g->ch);
    loop_free(g->loop);
}

/* A server that accepts and never says a word is given up after the connect timeout. */
static void silent_server(void **state)
{
    struct channel_options co = {.host = "127.0.0.1", .connect_timeout_ms = 100};
    struct outcome o;
    struct rig g;
    int fd = silent_listener(&co.port);

    (void) state;
    client_only(&g, &co);
    unary(&g, &o, "/t.T/Echo", BYTES_LIT("x"));
    assert_int_equal(o.code, 14);
    assert_string_equal(o.text, "connection error: desc = \"error reading server preface: context "
                                "deadline exceeded\"");
    assert_int_equal(channel_state(g.ch), CHANNEL_IDLE);
    client_done(&g);
    close(fd);
}

/* Speaks for the server: accepts one connection and says `words`, then closes or not. */
static int answer_with(struct rig *g, int listener, const void *words, size_t n)
{
    int fd;

    rig_turn(g, 20);
    fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, words, n, MSG_NOSIGNAL), (ssize_t) n);
    return fd;
}

/* A server that answers HTTP/1, or closes at once, makes calls Unavailable. */
static void not_http2(void **state)
{
    static const char page[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nno such luck";
    struct channel_options co = {.host = "127.0.0.1"};
    struct outcome o;
    struct rig g;
    int listener = silent_listener(&co.port);
    int fd;

    (void) state;
    client_only(&g, &co);
    start_unary(&g, &o, "/t.T/Echo", BYTES_LIT("x"), 0);
    fd = answer_with(&g, listener, page, sizeof page - 1);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 14);
    close(fd);
    start_unary(&g, &o, "/t.T/Echo", BYTES_LIT("x"), 0);
    fd = answer_with(&g, listener, "", 0);
    close(fd);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 14);
    client_done(&g);
    close(listener);
}

/* A connection that waits for the other end to close, too, ends with its channel: the loop can be
 * freed at once. */
static void freed_while_lingering(void **state)
{
    static const char page[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nno such luck";
    struct channel_options co = {.host = "127.0.0.1"};
    struct outcome o;
    struct rig g;
    int listener = silent_listener(&co.port);
    int fd;

    (void) state;
    client_only(&g, &co);
    start_unary(&g, &o, "/t.T/Echo", BYTES_LIT("x"), 0);
    fd = answer_with(&g, listener, page, sizeof page - 1);
    rig_turn(&g, 50);
    assert_false(o.done);
    alarm(20); /* it would wait for ever */
    client_done(&g);
    alarm(0);
    assert_true(o.done);
    close(fd);
    close(listener);
}

static const uint8_t empty_settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};

/* A connection that breaks in the middle ends its calls Unavailable. */
static void lost_in_the_middle(void **state)
{
    struct channel_options co = {.host = "127.0.0.1"};
    struct outcome o;
    struct rig g;
    int listener = silent_listener(&co.port);
    int fd;

    (void) state;
    client_only(&g, &co);
    start_unary(&g, &o, "/t.T/Echo", BYTES_LIT("x"), 0);
    fd = answer_with(&g, listener, empty_settings, sizeof empty_settings);
    rig_turn(&g, 20);
    assert_int_equal(channel_state(g.ch), CHANNEL_READY);
    close(fd);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 14);
    assert_memory_equal(o.text, "error reading from server: ", 27);
    client_done(&g);
    close(listener);
}

/* A server that stops answering pings is found out, when keepalive is asked for. */
static void keepalive(void **state)
{
    struct channel_options co = {
        .host = "127.0.0.1", .keepalive_time_ms = 50, .keepalive_timeout_ms = 50};
    struct outcome o;
    struct rig g;
    int listener = silent_listener(&co.port);
    int fd;

    (void) state;
    client_only(&g, &co);
    start_unary(&g, &o, "/t.T/Echo", BYTES_LIT("x"), 0);
    fd = answer_with(&g, listener, empty_settings, sizeof empty_settings);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 14);
    assert_string_equal(o.text, "keepalive ping failed to receive ACK within timeout");
    client_done(&g);
    close(fd);
    close(listener);
}

/* A call that waits for the server goes through when it comes up; one that does not has failed long
 * before. */
static void waits_for_the_server(void **state)
{
    struct rpc_options ro = {.path = "/t.T/Echo", .wait_for_ready = true};
    struct net_server_options so = {0};
    struct net_listen where = {.host = "127.0.0.1"};
    struct channel_options co = {.host = "127.0.0.1"};
    struct outcome waiting = {0}, hasty;
    struct err e = ERR_INIT;
    struct rig g;

    (void) state;
    close(silent_listener(&co.port)); /* a port that is free now */
    client_only(&g, &co);
    ro.user = &waiting;
    assert_non_null(rpc_unary(g.ch, &ro, BYTES_LIT("patient"), on_unary_end));
    unary(&g, &hasty, "/t.T/Echo", BYTES_LIT("x"));
    assert_int_equal(hasty.code, 14);
    rig_turn(&g, 100);
    assert_false(waiting.done);
    net_limits_default(&so.limits);
    so.loops = &g.loop;
    so.loops_n = 1;
    where.port = co.port;
    assert_int_equal(net_server_new(&so, &g.server, &e), 0);
    assert_int_equal(net_server_add(g.server, methods, 1, NULL, &e), 0);
    assert_int_equal(net_server_listen(g.server, &where, NULL, &e), 0);
    net_server_start(g.server);
    rig_wait(&g, &waiting.done);
    assert_int_equal(waiting.code, 0);
    assert_int_equal(waiting.response_n, 7);
    outcome_done(&waiting);
    rig_done(&g);
}

/* After a graceful stop of its server the channel connects to the next one by itself. */
static void reconnects(void **state)
{
    struct net_server_options so = {0};
    struct net_listen where = {.host = "127.0.0.1"};
    struct err e = ERR_INIT;
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
        net_limits_default(&so.limits);
        so.loops = &g.loop;
        so.loops_n = 1;
        where.port = g.port;
        assert_int_equal(net_server_new(&so, &g.server, &e), 0);
        assert_int_equal(net_server_add(g.server, methods, 1, NULL, &e), 0);
        assert_int_equal(net_server_listen(g.server, &where, NULL, &e), 0);
        net_server_start(g.server);
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
    struct err e = ERR_INIT;
    struct outcome o;
    struct rig g;

    (void) state;
    rig_server(&g, methods, 1, NULL, NULL);
    co.port = g.port;
    assert_int_equal(channel_new(g.loop, &co, &g.ch, &e), 0);
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
    assert_int_equal(channel_new(g.loop, &co, &g.ch, &e), 0);
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
