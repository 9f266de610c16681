/* Where a server listens: ports that are taken or deserted, and unix sockets. */
#define _GNU_SOURCE
#include <unistd.h>

#include "unit/engine/net/call_services.h"

/* Nobody listening: Unavailable, with Go's words and the address. */
static void connection_refused(void **state)
{
    struct outcome o;
    char want[200];
    RIG(g, s);

    net_server_stop(g.server, 0, rig_stopped, &g);
    rig_wait(&g, &g.stopped);
    unary(&g, &o, "/t.T/Echo", BYTES_LIT("x"));
    assert_int_equal(o.code, 14);
    snprintf(want, sizeof want,
             "connection error: desc = \"transport: Error while dialing: dial tcp 127.0.0.1:%u: "
             "connect: connection refused\"",
             g.port);
    assert_string_equal(o.text, want);
    rig_free(&g);
}

/* Two servers on one port: the second says which address is taken. */
static void port_in_use(void **state)
{
    struct err e = ERR_INIT;
    struct net_listen where = {.host = "127.0.0.1"};
    char want[100];
    RIG(g, s);

    where.port = g.port;
    assert_int_equal(net_server_listen(g.server, &where, NULL, &e), ERR_NET_ADDR_IN_USE);
    snprintf(want, sizeof want, "listen tcp 127.0.0.1:%u: bind: address already in use", g.port);
    assert_string_equal(e.msg, want);
    rig_done(&g);
}

/* A unix socket serves as a port does, takes the place of one that was left behind, and is removed
 * at the end. */
static void unix_socket(void **state)
{
    char path[] = "/tmp/ketch-net-test-XXXXXX";
    struct channel_options co = {.unix_path = path, .tls = rig_tls.client};
    struct net_listen where = {.unix_path = path, .tls = rig_tls.server};
    struct err e = ERR_INIT;
    struct outcome o;
    RIG(g, s);
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    assert_int_equal(net_server_listen(g.server, &where, NULL, &e), 0);
    net_server_start(g.server);
    channel_free(g.ch);
    assert_int_equal(channel_new(g.loop, &co, &g.ch, &e), 0);
    start_unary(&g, &o, "/t.T/Hang", BYTES_LIT("q"), 0);
    rig_wait(&g, &s.request_seen);
    assert_string_equal(s.peer, "@");
    call_finish(s.open, 7, "no");
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 7);
    rig_done(&g);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_refused),
        cmocka_unit_test(port_in_use),
        cmocka_unit_test(unix_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL) +
           cmocka_run_group_tests_name("over TLS", tests, rig_tls_on, rig_tls_off);
}
