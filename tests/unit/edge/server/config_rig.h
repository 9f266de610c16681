/* config_rig.h -- a configuration, as tests of it begin and end, and a command line for it. */
#ifndef KETCH_TESTS_UNIT_EDGE_SERVER_CONFIG_RIG_H
#define KETCH_TESTS_UNIT_EDGE_SERVER_CONFIG_RIG_H

#include "edge/server/config.h"
#include "lib/cm.h"

static struct config cfg;

static inline int setup(void **state)
{
    (void) state;
    config_init(&cfg);
    return 0;
}

static inline int teardown(void **state)
{
    (void) state;
    config_done(&cfg);
    return 0;
}

/* Parses one command line, given as words. */
#define PARSE(rest, e, ...)                                                                   \
    config_parse_flags(&cfg, (char *const[]){(char *) (uintptr_t) "etcd", __VA_ARGS__, NULL}, \
                       rest, e)
#define ARG(s) ((char *) (uintptr_t) (s))

#endif
