/* lone.h -- a member on a simulated disk that hears of no others: how tests of one begin and end.
 */
#ifndef KETCH_TESTS_NODE_LONE_H
#define KETCH_TESTS_NODE_LONE_H

#include "lib/cm.h"
#include "lib/node/member.h"
#include "lib/simdisk.h"

/* Not open yet: its configuration may be changed. */
static inline struct member *lone_new(struct simdisk *disk, uint64_t seed)
{
    struct member *m = test_malloc(sizeof *m);

    member_init(m, simdisk_disk(disk), seed);
    return m;
}

/* Opens it, for the first time or again: it leads, has published itself and decided its version. */
static inline void lone_open(struct member *m)
{
    struct err e = ERR_INIT;

    if (member_open(m, &e) != 0)
        fail_msg("does not start: %s%s", e.msg, m->died);
    assert_true(member_run(m, 3000, NULL));
}

/* As etcd's defaults have it, and open. */
static inline struct member *lone_fresh(struct simdisk *disk, uint64_t seed)
{
    struct member *m = lone_new(disk, seed);

    lone_open(m);
    return m;
}

/* Opens it as one of three: it hears of no leader and cannot be one. */
static inline void lone_open_as_one_of_three(struct member *m)
{
    static const char *const names[] = {"m", "other", "third"};
    static const char *const urls[] = {"http://localhost:2380", "http://other:1", "http://third:1"};
    struct err e = ERR_INIT;

    m->cfg.initial_names = names;
    m->cfg.initial_urls = urls;
    m->cfg.initial_n = ARRAY_LEN(names);
    assert_int_equal(member_open(m, &e), 0);
    assert_true(member_run(m, 200, NULL));
}

/* Turns all actors but the store's, whose disk hangs, for `ms` milliseconds. */
static inline void lone_run_without_store(struct member *m, int ms)
{
    for (int i = 0; i < ms; i++, m->now += 1000000) {
        for (int k = 0; k < NODE_ACTORS; k++)
            if (k != NODE_STORE)
                node_run(m->node, (enum node_actor) k, m->now, 0);
    }
}

/* Closes it; it and its disk are gone. */
static inline void lone_end(struct member *m, struct simdisk *disk)
{
    member_close(m);
    test_free(m);
    simdisk_free(disk);
}

#endif
