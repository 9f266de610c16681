/* A proxy that stops while something of it is under way, in front of a member that says nothing. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cm.h"

#include "edge/proxy/proxy_int.h"
#include "engine/net/http_client.h"
#include "engine/net/loop.h"

#define LATE_MS 20000

struct world {
    struct loop *loop;
    struct metrics *metrics;
    struct proxy *proxy;
    struct http_client *client;
    struct loop_timer watchdog;
    int member; /* a listener from which nobody accepts */
    char endpoint[64];
    const char *endpoints[1];
    bool stopped;
    bool answered;
    int status;
};

/* Takes a port of the system's choice. */
static int silent_listener(uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *) &a, n), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &n), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static void on_late(struct loop_timer *t)
{
    (void) t;
    fail_msg("nothing happened for too long");
}

static void wait_for(struct world *w, const bool *flag)
{
    assert_int_equal(loop_timer_start(w->loop, &w->watchdog, LATE_MS), 0);
    loop_run_until(w->loop, flag);
    loop_timer_stop(w->loop, &w->watchdog);
}

struct pause {
    struct loop_timer timer;
    bool over;
};

static void on_pause_over(struct loop_timer *t)
{
    CONTAINER_OF(t, struct pause, timer)->over = true;
}

static void turn(struct world *w, int64_t ms)
{
    struct pause p = {.over = false};

    loop_timer_init(&p.timer, on_pause_over);
    assert_int_equal(loop_timer_start(w->loop, &p.timer, ms), 0);
    wait_for(w, &p.over);
}

static void world_open(struct world *w)
{
    struct proxy_options o = {.advertise_url = "", .resolver_prefix = "", .name_space = ""};
    struct http_client_options co = {.host = "127.0.0.1"};
    struct net_listen where = {.host = "127.0.0.1", .serves = NET_SERVES_HTTP};
    struct err e = ERR_INIT;
    uint16_t port;

    *w = (struct world){.metrics = metrics_new()};
    w->member = silent_listener(&port);
    snprintf(w->endpoint, sizeof w->endpoint, "127.0.0.1:%u", port);
    w->endpoints[0] = w->endpoint;
    loop_timer_init(&w->watchdog, on_late);
    assert_int_equal(loop_new("proxy", &w->loop, &e), 0);
    o.loop = w->loop;
    o.metrics = w->metrics;
    o.endpoints = w->endpoints;
    o.endpoints_n = 1;
    net_limits_default(&o.limits);
    assert_int_equal(proxy_new(&o, &w->proxy, &e), 0);
    assert_int_equal(net_server_listen(w->proxy->server, &where, &co.port, &e), 0);
    proxy_start(w->proxy);
    w->client = http_client_new(w->loop, &co);
}

static void on_end(struct http_out *x, const char *why)
{
    struct world *w = http_out_user(x);

    if (why != NULL)
        print_message("the request failed: %s\n", why);
    w->status = http_out_status(x);
    w->answered = true;
}

static void ask(struct world *w, const char *path)
{
    struct http_out_options o = {.method = "GET", .path = path, .end = on_end, .user = w};
    struct http_out *x;

    assert_int_equal(http_client_request(w->client, &o, &x, NULL), 0);
    while (list_empty(&w->proxy->pages) && list_empty(&w->proxy->probes))
        turn(w, 1);
    turn(w, 5);
    assert_false(w->answered);
}

static void on_stopped(void *user)
{
    ((struct world *) user)->stopped = true;
}

/* Stops the proxy, and sees that what was under way is answered. */
static void world_close(struct world *w)
{
    proxy_stop(w->proxy, 1000, on_stopped, w);
    wait_for(w, &w->answered);
    turn(w, 20);
    http_client_free(w->client);
    wait_for(w, &w->stopped);
    proxy_free(w->proxy);
    loop_free(w->loop);
    metrics_free(w->metrics);
    close(w->member);
}

/* The page of a member's metrics has been asked for: who asked is told of an error. */
static void page_under_way(void **state)
{
    struct world w;

    (void) state;
    world_open(&w);
    ask(&w, "/metrics");
    world_close(&w);
    assert_int_equal(w.status, 500);
}

/* The member's health is being looked at: who asked hears that it is not there. */
static void health_under_way(void **state)
{
    struct world w;

    (void) state;
    world_open(&w);
    ask(&w, "/health");
    world_close(&w);
    assert_int_equal(w.status, 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_under_way),
        cmocka_unit_test(health_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
