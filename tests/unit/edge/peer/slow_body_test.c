#include <poll.h>

#include "edge/peer/peer.h"
#include "lib/cm.h"
#include "unit/engine/net/raw.h"

#define REQUEST_MS 400

static struct peer_server *server;
static struct raw w;
static int fd;

/* A listener without a node, which only a whole message would need; and a connection to it. */
static int begin(void **state)
{
    static const struct net_listen where = {.host = "127.0.0.1"};
    const struct peer_options o = {.listen = &where,
                                   .listen_n = 1,
                                   .version = "3.7.1",
                                   .clock = clock_posix(),
                                   .request_ms = REQUEST_MS};
    struct err e = ERR_INIT;

    (void) state;
    assert_int_equal(peer_new(&o, &server, &e), 0);
    assert_int_equal(peer_start(server, &e), 0);
    w.port = peer_port(server);
    fd = raw_connect(&w);
    return 0;
}

static int end(void **state)
{
    (void) state;
    close(fd);
    peer_stop(server);
    peer_free(server);
    return 0;
}

/* All of the header, and half of the body. */
static void post_head(const char *path)
{
    char text[256];

    snprintf(text, sizeof text,
             "POST %s HTTP/1.1\r\nHost: a\r\nX-Server-Version: 3.7.1\r\n"
             "X-Min-Cluster-Version: 3.0.0\r\nX-Etcd-Cluster-ID: \r\nContent-Length: 6\r\n\r\nabc",
             path);
    assert_true(raw_say(fd, text));
}

/* A snapshot takes as long as it likes: it may be gigabytes over a thin line. */
static void a_snapshot_may_be_slow(void **state)
{
    struct buf got;

    (void) state;
    buf_init(&got, 1 << 20);
    post_head("/raft/snapshot");
    poll(NULL, 0, 2 * REQUEST_MS);
    assert_true(raw_say(fd, "def"));
    raw_read(fd, &got, "(unexpected EOF)\n");
    assert_int_equal(strncmp(buf_cstr(&got), "HTTP/1.1 400 ", 13), 0);
    assert_non_null(strstr(buf_cstr(&got), "failed to decode raft message (unexpected EOF)\n"));
    buf_done(&got);
}

/* Any other request does not. */
static void a_message_may_not(void **state)
{
    struct buf got;

    (void) state;
    buf_init(&got, 1 << 20);
    post_head("/raft");
    raw_read(fd, &got, NULL);
    assert_int_equal(got.len, 0);
    buf_done(&got);
}

/* One whose sender goes in the middle of it leaves nothing behind (which the leak checker looks
 * at), and nothing that the listener's stop would wait for. */
static void a_message_may_be_cut(void **state)
{
    (void) state;
    post_head("/raft");
    poll(NULL, 0, REQUEST_MS / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_snapshot_may_be_slow, begin, end),
        cmocka_unit_test_setup_teardown(a_message_may_not, begin, end),
        cmocka_unit_test_setup_teardown(a_message_may_be_cut, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
