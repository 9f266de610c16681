/* linear.h -- is a history of concurrent operations linearizable?
 *
 * Porcupine's algorithm: Wing and Gong's search with Lowe's memory of what was tried before
 * (G. Lowe, "Testing for linearizability", 2017; A. Athalye, "Porcupine", 2017).  It looks for an
 * order of all operations that the model accepts and in which none stands before one that had
 * returned before it was called.
 *
 * The search goes depth first: whatever may come next by the clock is tried in the model; a pair of
 * (set of operations done, state) that was there before is not tried again.
 *
 * Threads: one at a time.   Memory: all its own, freed at return.
 */
#ifndef KETCH_TESTS_SIM_LINEAR_H
#define KETCH_TESTS_SIM_LINEAR_H

#include "base/base.h"

#define LINEAR_NEVER \
    INT64_MAX /* of `ret`: the caller has not heard; it is in the order all the same */
#define LINEAR_STEPS_MAX UINT64_C(20000000) /* of the model, before the search gives up */

struct linear_op {
    int64_t call;
    int64_t ret;      /* call <= ret */
    const void *data; /* the model's: what was asked and answered */
};

/* States are plain memory without pointers: they are copied and compared as bytes. */
struct linear_model {
    size_t state_bytes;
    /* Whether an operation with this answer is possible in *state, which it changes. */
    bool (*step)(void *state, const void *data);
};

enum linear_verdict { LINEAR_YES, LINEAR_NO, LINEAR_GAVE_UP };

struct linear_result {
    enum linear_verdict verdict;
    /* NO: the most that could be put in order, and the operation (its index) that had to come next
     * by the clock and fits nowhere. */
    size_t ordered;
    size_t stuck;
    uint64_t steps;
};

/* `start` is the state before everything. */
void linear_check(const struct linear_op *ops, size_t n, const struct linear_model *m,
                  const void *start, struct linear_result *ret);

#endif
