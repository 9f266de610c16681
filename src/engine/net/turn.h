/* turn.h -- how the connections of a loop share its one thread.
 *
 * What one connection asks for is time in which all others wait, so each has a part of a turn:
 *
 *   slice   its requests are begun for NET_SLICE_US.  Between two of them a session looks whether
 *           that is over (turn__slice_over); then it gives the rest of its input back (conn__carry)
 *           and the connection waits among `carried`, its socket unread: the client's kernel holds
 *           what comes next.
 *   round   it writes NET_OUT_HIGH_BYTES and a frame.  If there is more, or the socket takes more
 *           after a pause, it waits among `owing`.
 *
 *        sockets ----> each that is readable: read, slice, round
 *        later   ----> first of `carried`: slice, round; first of `owing`: round;
 *                      again, NET_LATER_US long
 *        tasks, hooks, writes
 *
 * So a connection that asks for little is served in the turn in which its request is read, and a
 * turn is NET_LATER_US longer for all greedy connections together, but for the one request that was
 * being served when the time was over: no service is interrupted.
 *
 * Threads: the loop's.
 */
#ifndef KETCH_ENGINE_NET_TURN_H
#define KETCH_ENGINE_NET_TURN_H

#include "engine/net/conn.h"

static inline void turn__slice_begin(struct loop *l)
{
    l->slice_end = clock_mono_ns(l->clock) + (mono_ns) NET_SLICE_US * 1000;
}

static inline bool turn__slice_over(const struct loop *l)
{
    return clock_mono_ns(l->clock) >= l->slice_end;
}

/* A round begins. */
static inline void turn__writes(struct conn *c)
{
    if (c->wrote_turn == c->loop->turn)
        return;
    c->wrote_turn = c->loop->turn;
    c->wrote_bytes = 0;
}

/* Whether it has had its round of this turn. */
static inline bool turn__has_written(const struct conn *c)
{
    return c->wrote_turn == c->loop->turn && c->wrote_bytes >= NET_OUT_HIGH_BYTES;
}

/* A part of what waits in `carried` and `owing`: at least one of each. */
void turn__run_later(struct loop *l);

/* The loop may not sleep while anything waits there, or a timer is set for the next turn. */
void turn__stay_awake(struct loop *l);

#endif
