/* Endpoints that die and come back: the proxy on a loop of the test, servers that are plain
 * sockets. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/tcpproxy/tcp_proxy.h"
#include "engine/net/loop.h"
#include "lib/cm.h"
#include "obs/log.h"
#include "sys/random.h"

#define RETRY_NS ((mono_ns) 20 * 1000000)

struct rig {
    struct loop *loop;
    struct log *log;
    char path[64];
    char text[1 << 16];
    struct tcp_proxy *proxy;
    uint16_t port;
    struct tcp_endpoint endpoints[2];
    int servers[2]; /* -1: nobody listens */
};

static struct rig rig;

static int socket_at(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *) &a, sizeof a), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;

    assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &len), 0);
    return ntohs(a.sin_port);
}

static int setup(void **state)
{
    const char *outputs[1];
    struct log_options lo = {.clock = clock_posix(), .outputs = outputs, .outputs_n = 1};
    struct tcp_proxy_options o = {.random = random_posix(),
                                  .endpoints = rig.endpoints,
                                  .endpoints_n = 2,
                                  .retry_ns = RETRY_NS,
                                  .connections_max = 8};
    struct err e = ERR_INIT;

    (void) state;
    snprintf(rig.path, sizeof rig.path, "/tmp/tcp_proxy_test.%d", (int) getpid());
    outputs[0] = rig.path;
    assert_int_equal(log_open(&lo, &rig.log, &e), 0);
    assert_int_equal(loop_new("tcp_proxy_test", &rig.loop, &e), 0);
    for (int i = 0; i < 2; i++) {
        rig.servers[i] = socket_at(0);
        rig.endpoints[i] = (struct tcp_endpoint){.host = "127.0.0.1",
                                                 .port = port_of(rig.servers[i])};
    }
    o.loop = rig.loop;
    o.log = rig.log;
    assert_int_equal(tcp_proxy_new(&o, &rig.proxy, &e), 0);
    assert_int_equal(tcp_proxy_listen(rig.proxy, "127.0.0.1", 0, &rig.port, &e), 0);
    tcp_proxy_start(rig.proxy);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    tcp_proxy_close(rig.proxy);
    loop_free(rig.loop);
    log_close(rig.log);
    unlink(rig.path);
    for (int i = 0; i < 2; i++)
        close(rig.servers[i]);
    return 0;
}

/* What the log has said. */
static const char *said(void)
{
    int fd = open(rig.path, O_RDONLY);
    ssize_t n = read(fd, rig.text, sizeof rig.text - 1);

    close(fd);
    rig.text[MAX(n, 0)] = 0;
    return rig.text;
}

static size_t times(const char *what)
{
    size_t n = 0;

    for (const char *p = said(); (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

/* Lets the loop turn until the condition holds; 10 s at most. */
struct until {
    struct loop_timer timer;
    bool (*holds)(const void *user);
    const void *user;
    int left_ms;
    bool done;
};

static void on_look(struct loop_timer *t)
{
    struct until *u = CONTAINER_OF(t, struct until, timer);

    u->done = u->holds(u->user) || u->left_ms-- == 0;
    if (!u->done)
        assert_int_equal(loop_timer_start(rig.loop, t, 1), 0);
}

static void run_until(bool (*holds)(const void *user), const void *user)
{
    struct until u = {.holds = holds, .user = user, .left_ms = 10000};

    loop_timer_init(&u.timer, on_look);
    assert_int_equal(loop_timer_start(rig.loop, &u.timer, 0), 0);
    loop_run_until(rig.loop, &u.done);
    assert_true(u.left_ms >= 0);
}

static bool has_said(const void *what)
{
    return strstr(said(), what) != NULL;
}

static int client(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(rig.port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *) &a, sizeof a), 0);
    return fd;
}

static bool has_ended(const void *fd)
{
    char byte;

    return recv(*(const int *) fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static bool has_come(const void *server)
{
    int fd = accept4(*(const int *) server, NULL, NULL, SOCK_NONBLOCK);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void must_reach(int server)
{
    int fd = client();

    assert_int_equal(fcntl(rig.servers[server], F_SETFL, O_NONBLOCK), 0);
    run_until(has_come, &rig.servers[server]);
    close(fd);
}

static void kill_server(int i)
{
    close(rig.servers[i]);
    rig.servers[i] = -1;
}

/* Shows the line that says that connections are taken, and that the endpoints take turns. */
static void test_ready(void **state)
{
    char list[128];

    (void) state;
    snprintf(list, sizeof list,
             "\"msg\":\"ready to proxy client requests\",\"endpoints\":[\"127.0.0.1:%u\","
             "\"127.0.0.1:%u\"]}",
             rig.endpoints[0].port, rig.endpoints[1].port);
    assert_non_null(strstr(said(), list));
    must_reach(0);
    must_reach(1);
    must_reach(0);
}

/* Shows that a dead endpoint is named once, is passed over without a client noticing, and gets
 * connections again after it was seen to take one. */
static void test_dead_and_back(void **state)
{
    char line[160];

    (void) state;
    kill_server(0);
    must_reach(1);
    snprintf(line, sizeof line,
             "\"msg\":\"deactivated endpoint\",\"address\":\"127.0.0.1:%u\",\"interval\":\"20ms\","
             "\"error\":\"dial tcp 127.0.0.1:%u: connect: connection refused\"}",
             rig.endpoints[0].port, rig.endpoints[0].port);
    assert_non_null(strstr(said(), line));
    must_reach(1);
    assert_int_equal(times("deactivated endpoint"), 1);
    run_until(has_said, "failed to activate endpoint (stay inactive for another interval)");
    rig.servers[0] = socket_at(rig.endpoints[0].port);
    run_until(has_said, "\"msg\":\"activated\"");
    snprintf(line, sizeof line, "\"msg\":\"activated\",\"address\":\"127.0.0.1:%u\"}",
             rig.endpoints[0].port);
    assert_non_null(strstr(said(), line));
    must_reach(0);
}

/* Shows that a connection is closed when no endpoint is left, and that the proxy is there again
 * with the first that comes back. */
static void test_none_left(void **state)
{
    int fd;

    (void) state;
    kill_server(0);
    kill_server(1);
    fd = client();
    run_until(has_ended, &fd);
    close(fd);
    assert_int_equal(times("deactivated endpoint"), 2);
    rig.servers[1] = socket_at(rig.endpoints[1].port);
    run_until(has_said, "\"msg\":\"activated\"");
    must_reach(1);
}

/* Shows that more than connections_max clients are not served at once, and that the log says so. */
static void test_too_many(void **state)
{
    int fds[9];

    (void) state;
    for (int i = 0; i < 9; i++)
        fds[i] = client();
    run_until(has_ended, &fds[8]);
    assert_true(has_said("\"msg\":\"closed a connection: too many are open\","
                         "\"connections-max\":8}"));
    for (int i = 0; i < 9; i++)
        close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ready, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dead_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_none_left, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
