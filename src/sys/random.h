/* random.h -- the only source of chance.
 *
 * Threads: any, for the real one; a seeded one from one at a time.   Memory: a seeded one is the
 * caller's.
 */
#ifndef KETCH_SYS_RANDOM_H
#define KETCH_SYS_RANDOM_H

#include "base/base.h"

struct random {
    uint64_t (*next)(struct random *r);
};

static inline uint64_t random_u64(struct random *r)
{
    return r->next(r);
}

/* Uniform in [0, bound), bound > 0, by the upper half of a product: the bias is below bound / 2^64.
 * Source: Lemire, "Fast Random Integer Generation in an Interval", 2019. */
static inline uint64_t random_below(struct random *r, uint64_t bound)
{
    __extension__ typedef unsigned __int128 u128;

    return (uint64_t) ((u128) r->next(r) * bound >> 64);
}

/* The kernel's (getrandom), fit for secrets; nobody frees it.  Stops the process when it fails. */
struct random *random_posix(void);

/* A seeded generator (splitmix64), for simulations and tests.  Source: Steele, Lea, Flood, "Fast
 * splittable pseudorandom number generators", 2014. */
struct random_seeded {
    struct random random;
    uint64_t state;
};

struct random *random_seeded_init(struct random_seeded *r, uint64_t seed); /* returns &r->random */

#endif
