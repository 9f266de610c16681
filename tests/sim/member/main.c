/* sim_member -- runs seeds of the simulator of whole members.
 *
 *     sim_member --seed 7 [--trace]        one seed; prints its trace hash
 *     sim_member --seeds 1-100 [--jobs 2]  many; stops at the first failure, unless --keep-going
 *     options: --seconds N (20), --faults MASK, --quiet-network, those of sim/seeds/seeds.h
 */
#include "sim/member/sim.h"
#include "sim/seeds/seeds.h"

#include <sys/wait.h>
#include <unistd.h>

struct arguments {
    struct seeds seeds;
    struct sim_options options;
};

static void parse(int argc, char **argv, struct arguments *a)
{
    *a = (struct arguments){
        .seeds = {.usage = "sim_member [--seed N | --seeds A-B] [--seconds N] [--jobs N] [--quiet] "
                           "[--trace] [--keep-going] [--no-shrink] [--faults MASK] "
                           "[--quiet-network] [--plant NAME]",
                  .first = 1,
                  .last = 100,
                  .jobs = 1,
                  .shrink = true},
        .options = {.seconds = 20, .fault_mask = UINT64_MAX},
    };
    for (int i = 1; i < argc; i++) {
        if (seeds_option(&a->seeds, argc, argv, &i))
            continue;
        if (strcmp(argv[i], "--seconds") == 0)
            a->options.seconds = strtoull(seeds_value(&a->seeds, argc, argv, &i), NULL, 10);
        else if (strcmp(argv[i], "--faults") == 0)
            a->options.fault_mask = strtoull(seeds_value(&a->seeds, argc, argv, &i), NULL, 0);
        else if (strcmp(argv[i], "--trace") == 0)
            a->options.trace = true;
        else if (strcmp(argv[i], "--quiet-network") == 0)
            a->options.quiet_network = true;
        else
            seeds_usage(&a->seeds);
    }
    if (a->options.seconds <= SIM_HEAL_S + 3)
        seeds_usage(&a->seeds);
}

/* ---- one seed ---- */

static void print_trace(const struct sim *s)
{
    size_t n = MIN(s->lines_n, SIM_TRACE_LINES);

    for (size_t i = s->lines_n - n; i < s->lines_n; i++)
        printf("  %s\n", s->lines[i % SIM_TRACE_LINES]);
}

NORETURN static void child(const struct sim_options *o, int fd)
{
    struct sim *s = xmem_calloc(1, sizeof *s);
    struct sim_result r;

    if (o->trace_end)
        s->lines = xmem_calloc(SIM_TRACE_LINES, sizeof s->lines[0]);
    if (o->trace)
        setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* members write there, too */
    sim_run(o, &r, s);
    if (o->trace_end)
        print_trace(s);
    (void) fflush(stdout);
    _exit(write(fd, &r, sizeof r) == sizeof r ? 0 : 2);
}

void sim_run_apart(const struct sim_options *o, struct sim_result *ret)
{
    int p[2], status = 0;
    pid_t pid;

    (void) fflush(stdout);
    if (pipe(p) != 0 || (pid = fork()) < 0)
        exit(2);
    if (pid == 0)
        child(o, p[1]);
    (void) close(p[1]);
    if (read(p[0], ret, sizeof *ret) != sizeof *ret) {
        *ret = (struct sim_result){.failed = true, .kind = "died"};
        (void) snprintf(ret->why, sizeof ret->why, "the simulator itself died");
    }
    (void) close(p[0]);
    (void) waitpid(pid, &status, 0);
}

/* ---- many ---- */

struct one {
    struct sim_options options;
    struct sim_result result;
};

static void run_one(void *ctx, uint64_t seed, struct seeds_result *ret)
{
    struct one *o = ctx;

    o->options.seed = seed;
    sim_run_apart(&o->options, &o->result);
    *ret = (struct seeds_result){.failed = o->result.failed,
                                 .why = o->result.why,
                                 .at_us = (uint64_t) (o->result.at / SIM_US),
                                 .hash = o->result.hash,
                                 .counts = &o->result.counts};
}

static void print_sum(const struct arguments *a, const struct seeds_tally *t)
{
    const struct sim_counts *n = (const void *) t->counts;

    printf("%" PRIu64 " seeds of %" PRIu64 " s: %" PRIu64 " events, %" PRIu64
           " operations (%" PRIu64 " answered, %" PRIu64 " in doubt), %" PRIu64
           " revisions, %" PRIu64 " events watched, %" PRIu64 " leases (%" PRIu64
           " ended by themselves), %" PRIu64 " crashes, %" PRIu64 " members came or went, %" PRIu64
           " snapshots; hash %016" PRIx64 "\n",
           t->seeds, a->options.seconds, n->events, n->ops, n->answered, n->unknown, n->revisions,
           n->watched, n->leases, n->leases_ended, n->crashes, n->members_changed, n->snapshots,
           t->hash);
}

int main(int argc, char **argv)
{
    struct arguments a;
    struct one o;
    struct seeds_simulator simulator = {
        .run = run_one, .ctx = &o, .counts_bytes = sizeof o.result.counts};
    struct seeds_tally t;

    parse(argc, argv, &a);
    o.options = a.options;
    seeds_run(&a.seeds, &simulator, &t);
    print_sum(&a, &t);
    if (t.first_failed != 0 && a.seeds.shrink) {
        a.options.seed = t.first_failed;
        sim_shrink_and_print(&a.options);
    }
    return seeds_verdict(&t);
}
