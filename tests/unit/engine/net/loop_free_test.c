/* The end of a loop on which a connection still has last words. */
#define _GNU_SOURCE
#include <unistd.h>

#include "engine/net/turn.h"
#include "unit/engine/net/by_hand.h"
#include "unit/engine/net/rig.h"

#define ENDS_S 60 /* a loop that never ends is ended by SIGALRM */

/* A modest connection was served in the last turn, for which one that is new would wait, but no
 * other turn comes. */
static void behind_a_modest_one(void **state)
{
    struct channel_options co = {.host = "127.0.0.1"};
    int listener = listen_by_hand(&co.port), fd;
    struct outcome o;
    struct rig g;

    (void) state;
    rig_client(&g, &co);
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
