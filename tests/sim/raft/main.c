/* sim_raft -- runs seeds of the simulator.
 *
 *     sim_raft --seed 7 [--trace]        one seed; prints its trace hash
 *     sim_raft --seeds 1-300 [--jobs 2]  many; stops at the first failure, unless --keep-going
 *     options: --seconds N (60), those of sim/seeds/seeds.h
 */
#include "sim/raft/sim.h"
#include "sim/seeds/seeds.h"

struct arguments {
    struct seeds seeds;
    struct sim_options options;
};

static void parse(int argc, char **argv, struct arguments *a)
{
    *a = (struct arguments){
        .seeds = {.usage = "sim_raft [--seed N | --seeds A-B] [--seconds N] [--jobs N] [--quiet] "
                           "[--trace] [--keep-going] [--no-shrink] [--plant NAME]",
                  .first = 1,
                  .last = 300,
                  .jobs = 1,
                  .shrink = true},
        .options = {.seconds = 60, .fault_mask = UINT64_MAX},
    };
    for (int i = 1; i < argc; i++) {
        if (seeds_option(&a->seeds, argc, argv, &i))
            continue;
        if (strcmp(argv[i], "--seconds") == 0)
            a->options.seconds = strtoull(seeds_value(&a->seeds, argc, argv, &i), NULL, 10);
        else if (strcmp(argv[i], "--trace") == 0)
            a->options.trace = true;
        else
            seeds_usage(&a->seeds);
    }
    if (a->options.seconds <= SIM_HEAL_S + 2)
        seeds_usage(&a->seeds);
}

static void print_trace(const struct sim *s)
{
    size_t first = s->lines_n > SIM_TRACE_LINES ? s->lines_n - SIM_TRACE_LINES : 0;

    for (size_t i = first; i < s->lines_n; i++)
        printf("%s\n", s->lines[i % SIM_TRACE_LINES]);
}

/* What one seed needs, from the first to the last. */
struct one {
    struct sim_options options;
    struct sim_result result;
    struct sim *sim;
};

static void run_one(void *ctx, uint64_t seed, struct seeds_result *ret)
{
    struct one *o = ctx;

    o->options.seed = seed;
    sim_run(&o->options, &o->result, o->sim);
    if (o->options.trace)
        print_trace(o->sim);
    *ret = (struct seeds_result){.failed = o->result.failed,
                                 .why = o->result.why,
                                 .at_us = o->result.at,
                                 .hash = o->result.hash,
                                 .counts = &o->result.counts};
}

static void run(const struct arguments *a, struct seeds_tally *ret)
{
    struct one o = {.options = a->options, .sim = xmem_calloc(1, sizeof *o.sim)};
    struct seeds_simulator simulator = {
        .run = run_one, .ctx = &o, .counts_bytes = sizeof o.result.counts};

    if (a->options.trace)
        o.sim->lines = xmem_calloc(SIM_TRACE_LINES, sizeof o.sim->lines[0]);
    seeds_run(&a->seeds, &simulator, ret);
    mem_free(o.sim->lines);
    mem_free(o.sim);
}

static void print_sum(const struct arguments *a, const struct seeds_tally *t)
{
    const struct sim_counts *n = (const void *) t->counts;

    printf("%" PRIu64 " seeds of %" PRIu64 " s: %" PRIu64 " events, %" PRIu64 " commits, %" PRIu64
           " elections, %" PRIu64 " snapshots, %" PRIu64 " changes of members, %" PRIu64
           " crashes, %" PRIu64 " reads; hash %016" PRIx64 "\n",
           t->seeds, a->options.seconds, n->events, n->commits, n->elections, n->snapshots,
           n->conf_changes, n->crashes, n->reads, t->hash);
}

int main(int argc, char **argv)
{
    struct arguments a;
    struct seeds_tally t;

    parse(argc, argv, &a);
    run(&a, &t);
    print_sum(&a, &t);
    if (t.first_failed != 0 && a.seeds.shrink) {
        a.options.seed = t.first_failed;
        sim_shrink_and_print(&a.options);
    }
    return seeds_verdict(&t);
}
