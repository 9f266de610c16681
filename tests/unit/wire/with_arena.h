/* with_arena.h -- an arena for each test, gone with it. */
#ifndef KETCH_TESTS_WIRE_WITH_ARENA_H
#define KETCH_TESTS_WIRE_WITH_ARENA_H

#include "base/arena.h"
#include "lib/cm.h"

static struct arena arena;

static int setup(void **state)
{
    (void) state;
    arena_init(&arena, 16u << 20);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    arena_done(&arena);
    return 0;
}

#endif
