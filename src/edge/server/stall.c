/* Clients that take nothing of an answer: the timer of one is not moved with each part that it
 * takes; it looks, when it fires, how long ago the last one was. */
#include "edge/server/server_int.h"

static void arm(struct stall *x, int64_t ms)
{
    /* Without memory for the timer the answer has all the time it wants. */
    (void) !loop_timer_start(call_loop(x->call), &x->timer, ms);
}

static void fired(struct loop_timer *t)
{
    struct stall *x = CONTAINER_OF(t, struct stall, timer);
    struct server *s = call_server(x->call);
    int64_t quiet_ms = (loop_now_ns(call_loop(x->call)) - x->moved) / 1000000;

    if (quiet_ms < s->stall_ms) {
        arm(x, s->stall_ms - quiet_ms);
        return;
    }
    LOG_WARN(s->log, "giving up an answer whose client takes nothing",
             F_STR("remote-addr", call_peer(x->call)));
    call_give_up(x->call);
}

void stall_begin(struct stall *x, struct call *c)
{
    loop_timer_init(&x->timer, fired);
    x->call = c;
    x->moved = loop_now_ns(call_loop(c));
    arm(x, call_server(c)->stall_ms);
}

void stall_end(struct stall *x)
{
    if (x->call == NULL)
        return;
    loop_timer_stop(call_loop(x->call), &x->timer);
    x->call = NULL;
}
