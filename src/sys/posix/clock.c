#define _POSIX_C_SOURCE 200809L
#include "sys/clock.h"

#include <time.h>

static mono_ns mono(struct clock *c)
{
    struct timespec t;

    (void) c;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (mono_ns) t.tv_sec * 1000000000 + t.tv_nsec;
}

static wall_ms wall(struct clock *c)
{
    struct timespec t;

    (void) c;
    clock_gettime(CLOCK_REALTIME, &t);
    return (wall_ms) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct clock *clock_posix(void)
{
    static struct clock c = {mono, wall};

    return &c;
}
