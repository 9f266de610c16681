/* turn.h -- how the connections of a loop share its one thread.
 *
 * What one connection asks for is time in which all others wait, so each has a part of a turn:
 *
 *   slice   its requests are begun for NET_SLICE_US.  Between two of them a session looks whether
 *           that is over (turn__slice_over); then it gives the rest of its input back
 *           (conn__carry), and the connection waits among `carried`, its socket unread: the
 *           client's kernel holds what comes next.
 *   round   it writes NET_OUT_HIGH_BYTES and a frame.  If there is more, or the socket takes more
 *           after a pause, it waits among `owing`.
 *
 *        sockets ----> each that is readable: read, slice, round
 *        later   ----> the first of `carried`: slice, round; of `owing`: round; of `ending`: a
 *                      slice for ending its calls; of `works`: a slice; again, for NET_LATER_US
 *        then tasks, hooks, writes
 *
 * Whoever asks for much again and again is greedy (NET_CUTS_GREEDY), and so is who has just come.
 * While others ask for little (turn__modest_near), a greedy one yields: it reads and writes only
 * as one of `carried` and `owing`, reads, slices and rounds are short, and a turn has one of them,
 * each kind after the other, and none if a modest connection was served in it: whoever has his
 * answer may ask again at once.  Only after NET_LATER_WAIT_US that is no reason any more.  So a
 * modest connection is served in the turn in which its request is read, and all others together
 * make now and then a turn longer by one short slice or round, but for the one request that was
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

static inline bool turn__modest_near(const struct loop *l)
{
    return l->now < l->modest_ns + (mono_ns) NET_MODEST_US * 1000;
}

/* It reads and writes only as one of those in `carried` and `owing`. */
static inline bool turn__yields(const struct conn *c)
{
    return turn__is_greedy(c) && turn__modest_near(c->loop);
}

static inline void turn__slice_begin(struct conn *c)
{
    struct loop *l = c->loop;
    mono_ns us = NET_SLICE_US;

    if (turn__modest_near(l))
        us = turn__is_greedy(c) ? NET_SLICE_GREEDY_US : NET_SLICE_MODEST_US;
    l->slice_end = clock_mono_ns(l->clock) + us * 1000;
}

/* What a round of output may gather. */
static inline size_t turn__round_bytes(const struct conn *c)
{
    if (turn__yields(c))
        return NET_OUT_GREEDY_BYTES;
    return c->slow ? NET_OUT_SLOW_BYTES : NET_OUT_HIGH_BYTES;
}

/* All that was read was handled within one slice. */
static inline void turn__was_modest(struct conn *c)
{
    if (c->cuts <= NET_CUTS_NEW) {
        c->loop->modest_ns = c->loop->now;
        c->loop->modest_turn = c->loop->turn;
    }
    if (c->cuts > 0)
        c->cuts--;
}

/* A slice was cut short, or a round left some output. */
static inline void turn__was_cut(struct conn *c)
{
    c->cuts = MIN(c->cuts + NET_CUT, (unsigned) NET_CUTS_MAX);
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
