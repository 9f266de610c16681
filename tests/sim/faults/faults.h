/* faults.h -- what the plans of faults of the simulators have in common: how often each kind
 * occurs, and who is cut off from whom.
 */
#ifndef KETCH_TESTS_SIM_FAULTS_H
#define KETCH_TESTS_SIM_FAULTS_H

#include "base/base.h"

/* ---- how often ---- */

/* Kind k has v[k] parts of this. */
uint64_t fault_weights_sum(const uint8_t *v, size_t n);
/* Whose part holds `x`; n: it lies behind all of them. */
size_t fault_weights_at(const uint8_t *v, size_t n, uint64_t x);

/* ---- who reaches whom ---- */

#define CUT_PLACES 8 /* for members; a simulator may fill fewer */

/* How many faults cut the way from the first to the second. */
struct cuts {
    uint8_t n[CUT_PLACES][CUT_PLACES];
};

static inline bool cuts_between(const struct cuts *c, uint32_t from, uint32_t to)
{
    return c->n[from][to] > 0;
}

/* In all of them `by` is 1 where a fault begins and -1 where it ends; nobody is cut off from
 * himself.  Bit i of `halves` says on which side i is. */
void cuts_half(struct cuts *c, uint64_t halves, int by);
void cuts_one(struct cuts *c, uint32_t a, int by);
/* `a` hears nobody, or nobody hears it. */
void cuts_one_way(struct cuts *c, uint32_t a, bool unheard, int by);
/* Two halves that only `bridge` connects. */
void cuts_bridge(struct cuts *c, uint32_t bridge, uint64_t halves, int by);

#endif
