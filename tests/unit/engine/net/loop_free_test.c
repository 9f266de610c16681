/* The end of a loop on which a connection still has last words. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/net/turn.h"
#include "unit/engine/net/rig.h"

#define ENDS_S 60 /* a loop that never ends is ended by SIGALRM */

/* A server that accepts and says nothing. */
static int listener_new(uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *) &a, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &len), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

/* A modest connection was served in the last turn, for which one that is new would wait, but no
 * other turn comes. */
static void behind_a_modest_one(void **state)
{
    struct channel_options co = {.host = "127.0.0.1"};
    int listener = listener_new(&co.port), fd;
    struct err e = ERR_INIT;
    struct outcome o;
    struct rig g = {.stopped = false};

    (void) state;
    loop_timer_init(&g.watchdog, rig_late);
    assert_int_equal(loop_new("test", &g.loop, &e), 0);
    assert_int_equal(channel_new(g.loop, &co, &g.ch, &e), 0);
    start_unary(&g, &o, "/t.T/Echo", BYTES_LIT("x"), 0);
    rig_turn(&g, 20);
    fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    g.loop->modest_ns = g.loop->later_ns = g.loop->now;
    g.loop->modest_turn = g.loop->turn;
    channel_free(g.ch);
    assert_true(o.done);
    assert_false(list_empty(&g.loop->owing));
    alarm(ENDS_S);
    loop_free(g.loop);
    alarm(0);
    close(fd);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behind_a_modest_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
