/* seeds.h -- the program around a simulator: which seeds are run, in how many processes, and what
 * is said of them.
 *
 *     --seed N, --seeds A-B            which ones
 *     --jobs N                         shared out to so many processes
 *     --quiet                          only those that fail are told
 *     --keep-going                     not only up to the first failure of each process
 *     --no-shrink                      whoever failed first is not looked at more closely
 *     --plant NAME                     with a mistake: base/plant.h
 *
 * Whatever is wrong with an option ends the program with its usage and status 2.
 */
#ifndef KETCH_TESTS_SIM_SEEDS_H
#define KETCH_TESTS_SIM_SEEDS_H

#include "base/base.h"

#define SEEDS_JOBS_MAX 64
#define SEEDS_COUNTS_MAX 16

struct seeds {
    const char *usage;
    uint64_t first, last;
    unsigned jobs;
    bool quiet, keep_going, shrink;
};

/* What one seed came to.  What `why` and `counts` point to is the simulator's, until its next. */
struct seeds_result {
    bool failed;
    const char *why;
    uint64_t at_us; /* when, in simulated time */
    uint64_t hash;  /* of its trace */
    const void *counts;
};

/* What many came to. */
struct seeds_tally {
    uint64_t seeds, failed, first_failed, hash; /* first_failed 0: none */
    uint64_t counts[SEEDS_COUNTS_MAX];          /* summed up */
};

struct seeds_simulator {
    void (*run)(void *ctx, uint64_t seed, struct seeds_result *ret);
    void *ctx;
    size_t counts_bytes; /* of a struct of uint64_t only */
};

NORETURN void seeds_usage(const struct seeds *s);

/* The value behind argv[*i]; moves *i there. */
const char *seeds_value(const struct seeds *s, int argc, char **argv, int *i);

/* Takes argv[*i], and its value, where it is one of the options above.  False: it is not. */
bool seeds_option(struct seeds *s, int argc, char **argv, int *i);

/* Runs them all, and prints a line for each. */
void seeds_run(const struct seeds *s, const struct seeds_simulator *sim, struct seeds_tally *ret);

/* Prints how many passed; the program's status. */
int seeds_verdict(const struct seeds_tally *t);

#endif
