/* turn.h -- how the connections of a loop share its one thread.
 *
 * What one connection asks for is time in which all others wait, so each has a part of a turn:
 *
 *   slice   its requests are begun for NET_SLICE_US (NET_SLICE_GREEDY_US, when it has asked for
 *           much for a while and others ask for little).  Between two of them a session looks
 * whether that is over (turn__slice_over); then it gives the rest of its input back (conn__carry)
 *           and the connection waits among `carried`, its socket unread: the client's kernel holds
 *           what comes next.
 *   round   it writes NET_OUT_HIGH_BYTES and a frame.  If there is more, or the socket takes more
 *           after a pause, it waits among `owing`.
 *
 *        sockets ----> each that is readable: read, slice, round
 *        later   ----> first of `carried`: slice, round; first of `owing`: round; first of
 * `ending`: a slice for ending its calls; again, NET_LATER_US long tasks, hooks, writes
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

static inline bool turn__is_greedy(const struct conn *c)
{
    return c->cuts >= NET_CUTS_GREEDY;
}

static inline void turn__slice_begin(struct conn *c)
{
    struct loop *l = c->loop;
    bool shorter = turn__is_greedy(c) && l->now < l->modest_ns + (mono_ns) NET_MODEST_US * 1000;

    l->slice_end = clock_mono_ns(l->clock) +
                   (mono_ns) (shorter ? NET_SLICE_GREEDY_US : NET_SLICE_US) * 1000;
}

/* All that was read was handled within one slice. */
static inline void turn__was_modest(struct conn *c)
{
    if (c->cuts == 0)
        c->loop->modest_ns = c->loop->now;
    else
        c->cuts--;
}

/* What was carried was cut short once more. */
static inline void turn__was_cut(struct conn *c)
{
    if (c->cuts < NET_CUTS_MAX)
        c->cuts++;
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
