/* clock.h -- time as an input.
 *
 * The core never asks for the time: it is told.  Those that drive the core read it here; the
 * simulator gives a clock of its own.
 *
 * Threads: any.
 */
#ifndef KETCH_SYS_CLOCK_H
#define KETCH_SYS_CLOCK_H

#include "base/base.h"

typedef int64_t
    mono_ns; /* nanoseconds since some moment before the process began; never goes back */
typedef int64_t mono_ms; /* the same moment in milliseconds, cut */
typedef int64_t wall_ms; /* milliseconds since 1970-01-01 UTC; may jump */

struct clock {
    mono_ns (*mono)(struct clock *c);
    wall_ms (*wall)(struct clock *c);
};

static inline mono_ns clock_mono_ns(struct clock *c)
{
    return c->mono(c);
}

static inline mono_ms clock_mono_ms(struct clock *c)
{
    return c->mono(c) / 1000000;
}

static inline wall_ms clock_wall_ms(struct clock *c)
{
    return c->wall(c);
}

/* The machine's (CLOCK_MONOTONIC and CLOCK_REALTIME); nobody frees it. */
struct clock *clock_posix(void);

#endif
