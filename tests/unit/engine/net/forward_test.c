/* Connections handed on: the forwarder on a thread of its own, plain sockets at both of its ends.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <time.h>

#include "by_hand.h"
#include "engine/net/forward.h"
#include "raw.h"

#define TARGETS_MAX 4

struct rig {
    struct loop *loop;
    struct net_forward *forward;
    uint16_t port;
    int server; /* where its connections go */
    uint16_t targets[TARGETS_MAX];
    size_t targets_n;
    size_t turn; /* of the next target; the loop's */
    char why[128];
    _Atomic unsigned failures;
    _Atomic unsigned refused;
};

static struct rig rig;

static bool choose(void *user, struct net_target *ret)
{
    struct rig *r = user;

    if (r->turn == r->targets_n)
        return false;
    *ret = (struct net_target){"127.0.0.1", r->targets[r->turn], r->turn};
    return true;
}

static void failed(void *user, size_t id, const char *why)
{
    struct rig *r = user;

    assert_int_equal(id, r->turn);
    r->turn++;
    snprintf(r->why, sizeof r->why, "%s", why);
    atomic_fetch_add(&r->failures, 1);
}

static void full(void *user)
{
    atomic_fetch_add(&((struct rig *) user)->refused, 1);
}

/* A listening socket of the test; small buffers, so that it soon takes no more. */
static int listen_on_loopback(int backlog, uint16_t *ret_port)
{
    return listen_by_hand_small(backlog, 4096, ret_port);
}

static int setup(void **state)
{
    struct err e = ERR_INIT;

    (void) state;
    memset(&rig, 0, sizeof rig);
    rig.server = listen_on_loopback(64, &rig.targets[0]);
    rig.targets_n = 1;
    return loop_new("forward_test", &rig.loop, &e);
}

static void start(size_t connections_max)
{
    struct net_forward_options o = {.loop = rig.loop,
                                    .connections_max = connections_max,
                                    .choose = choose,
                                    .failed = failed,
                                    .full = full,
                                    .user = &rig};
    struct err e = ERR_INIT;

    assert_int_equal(net_forward_new(&o, &rig.forward, &e), 0);
    assert_int_equal(net_forward_listen(rig.forward, "127.0.0.1", 0, &rig.port, &e), 0);
    net_forward_start(rig.forward);
    assert_int_equal(loop_start(rig.loop, &e), 0);
}

/* The loop ends, and then the forwarder, with whatever it still has. */
static struct net_forward_counters stop(void)
{
    struct net_forward_counters c;

    loop_stop(rig.loop);
    loop_join(rig.loop);
    net_forward_counters(rig.forward, &c);
    net_forward_close(rig.forward);
    rig.forward = NULL;
    return c;
}

static int teardown(void **state)
{
    (void) state;
    loop_free(rig.loop);
    close(rig.server);
    return 0;
}

static int connect_to_forward(void)
{
    struct raw w = {.port = rig.port};

    return raw_connect(&w);
}

static int take_connection(void)
{
    struct timeval tv = {.tv_sec = 20};
    int fd = accept(rig.server, NULL, NULL);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv), 0);
    return fd;
}

static void must_get(int fd, const char *text)
{
    char got[64] = "";

    assert_int_equal(recv(fd, got, strlen(text), MSG_WAITALL), strlen(text));
    assert_string_equal(got, text);
}

static void must_end(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static void wait_for(_Atomic unsigned *n, unsigned wanted)
{
    static const struct timespec moment = {0, 1000000};

    for (int i = 0; i < 20000 && atomic_load(n) < wanted; i++)
        nanosleep(&moment, NULL);
    assert_int_equal(atomic_load(n), wanted);
}

/* Shows that bytes go both ways, and that an end on one side becomes one on the other. */
static void test_both_ways(void **state)
{
    int client, server;

    (void) state;
    start(10);
    client = connect_to_forward();
    server = take_connection();
    assert_true(raw_send(client, "hello", 5));
    must_get(server, "hello");
    assert_true(raw_send(server, "and back", 8));
    must_get(client, "and back");
    close(server);
    must_end(client);
    close(client);
    assert_int_equal(stop().total, 1);
}

/* Shows that who has said its last still gets an answer, however late. */
static void test_half_close(void **state)
{
    struct net_forward_counters c;
    int client, server;

    (void) state;
    start(10);
    client = connect_to_forward();
    server = take_connection();
    assert_true(raw_send(client, "question", 8));
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    must_get(server, "question");
    must_end(server);
    assert_true(raw_send(server, "answer", 6));
    must_get(client, "answer");
    assert_true(raw_send(server, "more", 4));
    assert_int_equal(shutdown(server, SHUT_WR), 0);
    must_get(client, "more");
    must_end(client);
    close(client);
    close(server);
    c = stop();
    assert_int_equal(c.open, 0);
    assert_int_equal(c.cut, 0);
}

/* Byte i of what a test sends. */
static uint8_t pattern(size_t i)
{
    return (uint8_t) (i * 7 + i / 251);
}

static size_t send_until_full(int fd)
{
    static uint8_t piece[1 << 16];
    struct timeval quiet = {.tv_usec = 300000};
    size_t sent = 0;
    ssize_t n = 1;

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &quiet, sizeof quiet), 0);
    while (n > 0 && sent < ((size_t) 256 << 20)) {
        for (size_t i = 0; i < sizeof piece; i++)
            piece[i] = pattern(sent + i);
        n = send(fd, piece, sizeof piece, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t) n;
    }
    return sent;
}

/* Shows that a receiver that does not read stops its sender after what the system keeps and one
 * piece more, and that it loses nothing when it reads on, the end included. */
static void test_slow_receiver(void **state)
{
    static uint8_t got[1 << 16];
    size_t sent, seen = 0;
    int client, server;
    ssize_t n;

    (void) state;
    start(10);
    client = connect_to_forward();
    server = take_connection();
    sent = send_until_full(client);
    assert_true(sent > 0);
    assert_true(sent < ((size_t) 32 << 20));
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    while ((n = recv(server, got, sizeof got, 0)) > 0) {
        for (size_t i = 0; i < (size_t) n; i++)
            if (got[i] != pattern(seen + i))
                fail_msg("byte %zu is wrong", seen + i);
        seen += (size_t) n;
    }
    assert_int_equal(n, 0);
    assert_int_equal(seen, sent);
    close(client);
    close(server);
    stop();
}

/* Shows that a target that refuses is named with Go's words, and the next one gets the connection.
 */
static void test_next_target(void **state)
{
    uint16_t good = rig.targets[0];
    char why[128];
    int client, server;

    (void) state;
    close(listen_on_loopback(1, &rig.targets[0])); /* nobody listens there any more */
    rig.targets[1] = good;
    rig.targets_n = 2;
    start(10);
    client = connect_to_forward();
    server = take_connection();
    assert_true(raw_send(server, "second", 6));
    must_get(client, "second");
    wait_for(&rig.failures, 1);
    snprintf(why, sizeof why, "dial tcp 127.0.0.1:%u: connect: connection refused", rig.targets[0]);
    assert_string_equal(rig.why, why);
    close(client);
    close(server);
    stop();
}

/* Shows that a connection for which there is no target is closed. */
static void test_no_target(void **state)
{
    int client;

    (void) state;
    rig.targets_n = 0;
    start(10);
    client = connect_to_forward();
    must_end(client);
    close(client);
    assert_int_equal(stop().open, 0);
}

/* Shows that a connection too many is closed, and that one that ends makes room. */
static void test_limit(void **state)
{
    int clients[2], servers[2], more;

    (void) state;
    start(2);
    for (int i = 0; i < 2; i++) {
        clients[i] = connect_to_forward();
        servers[i] = take_connection();
    }
    more = connect_to_forward();
    must_end(more);
    close(more);
    wait_for(&rig.refused, 1);
    assert_int_equal(shutdown(clients[0], SHUT_WR), 0);
    must_end(servers[0]);
    close(servers[0]);
    must_end(clients[0]); /* the pair is closed, because both have said their last */
    close(clients[0]);
    more = connect_to_forward();
    servers[0] = take_connection();
    assert_true(raw_send(more, "in", 2));
    must_get(servers[0], "in");
    close(more);
    close(servers[0]);
    close(clients[1]);
    close(servers[1]);
    assert_int_equal(stop().total, 3);
    assert_int_equal(atomic_load(&rig.refused), 1);
}

/* Shows that both ends are closed when one breaks, also while the other's bytes wait. */
static void test_reset(void **state)
{
    struct linger now = {.l_onoff = 1};
    struct net_forward_counters c;
    char byte;
    int client, server;

    (void) state;
    start(10);
    client = connect_to_forward();
    server = take_connection();
    send_until_full(client);
    assert_int_equal(setsockopt(server, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(server);
    assert_true(recv(client, &byte, 1, 0) <= 0);
    close(client);
    c = stop();
    assert_int_equal(c.open, 0);
    assert_int_equal(c.total, 1);
}

/* Shows that a forwarder can be closed with pairs open and connections on their way. */
static void test_close_with_open_pairs(void **state)
{
    int client, server, waiting;

    (void) state;
    start(10);
    client = connect_to_forward();
    server = take_connection();
    send_until_full(client);
    waiting = connect_to_forward(); /* accepted by the kernel, perhaps not yet by the loop */
    assert_int_equal(stop().cut, 0);
    close(waiting);
    close(client);
    close(server);
}

static char probed[128];
static bool probe_ended;

static void on_probed(void *user, size_t id, const char *why)
{
    (void) user;
    assert_int_equal(id, 5);
    snprintf(probed, sizeof probed, "%s", why == NULL ? "" : why);
    probe_ended = true;
}

static void probe(uint16_t port, int64_t time_ms)
{
    struct net_target t = {.host = "127.0.0.1", .port = port, .id = 5};

    probe_ended = false;
    assert_non_null(net_probe(rig.loop, &t, time_ms, on_probed, NULL));
    loop_run_until(rig.loop, &probe_ended);
}

/* Shows what is said of a server that takes connections, of one that refuses, and of one that does
 * not answer. */
static void test_probe(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    struct net_target t = {.host = "127.0.0.1"};
    char why[128];
    uint16_t port;
    int fds[3], deaf;

    (void) state;
    probe(rig.targets[0], 10000);
    assert_string_equal(probed, "");
    close(listen_on_loopback(1, &port));
    probe(port, 10000);
    snprintf(why, sizeof why, "dial tcp 127.0.0.1:%u: connect: connection refused", port);
    assert_string_equal(probed, why);

    deaf = listen_on_loopback(0, &port); /* whose queue is soon full */
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 3; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void) connect(fds[i], (struct sockaddr *) &a, sizeof a);
    }
    probe(port, 50);
    snprintf(why, sizeof why, "dial tcp 127.0.0.1:%u: i/o timeout", port);
    assert_string_equal(probed, why);
    t.port = port;
    net_probe_cancel(net_probe(rig.loop, &t, 10000, on_probed, NULL)); /* nothing is left behind */
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    close(deaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_close, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_receiver, setup, teardown),
        cmocka_unit_test_setup_teardown(test_next_target, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_target, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_with_open_pairs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
