/* sorted.h -- looking into sorted arrays.
 *
 * Threads: any.
 */
#ifndef KETCH_BASE_SORTED_H
#define KETCH_BASE_SORTED_H

#include "base/base.h"

/* The place of `x` among numbers that ascend, or where it would have to be inserted. */
static inline size_t sorted_u64_place(const uint64_t *v, size_t n, uint64_t x)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (v[mid] < x)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

#endif
