/* rate.h -- how often something may happen per second: a counter that starts again each second. */
#ifndef KETCH_ENGINE_NET_RATE_H
#define KETCH_ENGINE_NET_RATE_H

#include "sys/clock.h"

struct rate {
    mono_ns since;
    uint32_t n;
};

/* Counts one; false: it was one too many. */
static inline bool rate_ok(struct rate *r, mono_ns now, uint32_t per_second_max)
{
    if (now - r->since >= 1000000000) {
        r->since = now;
        r->n = 0;
    }
    return ++r->n <= per_second_max;
}

#endif
