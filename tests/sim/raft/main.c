/* sim_raft -- runs seeds of the simulator.
 *
 *     sim_raft --seed 7 [--trace]        one seed; prints its trace hash
 *     sim_raft --seeds 1-300 [--jobs 2]  many; stops at the first failure, unless --keep-going
 *     options: --seconds N (60), --quiet, --no-shrink, --plant NAME
 */
#include "sim/raft/sim.h"

#include "base/plant.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64

struct arguments {
    struct sim_options options;
    uint64_t first, last;
    unsigned jobs;
    bool quiet, keep_going, shrink;
};

/* What one process found. */
struct tally {
    uint64_t seeds, failed, first_failed, hash;
    struct sim_result sum;
};

static void usage(void)
{
    printf("usage: sim_raft [--seed N | --seeds A-B] [--seconds N] [--jobs N] [--quiet] [--trace] "
           "[--keep-going] [--no-shrink] [--plant NAME]\n");
    exit(2);
}

static const char *value(int argc, char **argv, int *i)
{
    if (*i + 1 >= argc)
        usage();
    return argv[++*i];
}

static void parse_range(const char *s, struct arguments *a)
{
    char *end;

    a->first = a->last = strtoull(s, &end, 10);
    if (*end == '-')
        a->last = strtoull(end + 1, &end, 10);
    if (*end != '\0' || a->last < a->first)
        usage();
}

static void plant(const char *name)
{
#ifdef KETCH_PLANT_ANY
    plant_chosen = name;
#else
    printf("this build plants nothing: %s\n", name);
    exit(2);
#endif
}

static void parse(int argc, char **argv, struct arguments *a)
{
    *a = (struct arguments){.options = {.seconds = 60, .fault_mask = UINT64_MAX},
                            .first = 1,
                            .last = 300,
                            .jobs = 1,
                            .shrink = true};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0 || strcmp(argv[i], "--seeds") == 0)
            parse_range(value(argc, argv, &i), a);
        else if (strcmp(argv[i], "--seconds") == 0)
            a->options.seconds = strtoull(value(argc, argv, &i), NULL, 10);
        else if (strcmp(argv[i], "--jobs") == 0)
            a->jobs = (unsigned) strtoul(value(argc, argv, &i), NULL, 10);
        else if (strcmp(argv[i], "--trace") == 0)
            a->options.trace = true;
        else if (strcmp(argv[i], "--quiet") == 0)
            a->quiet = true;
        else if (strcmp(argv[i], "--keep-going") == 0)
            a->keep_going = true;
        else if (strcmp(argv[i], "--no-shrink") == 0)
            a->shrink = false;
        else if (strcmp(argv[i], "--plant") == 0)
            plant(value(argc, argv, &i));
        else
            usage();
    }
    if (a->jobs == 0 || a->jobs > JOBS_MAX || a->options.seconds <= SIM_HEAL_S + 2)
        usage();
}

static void print_trace(const struct sim *s)
{
    size_t first = s->lines_n > SIM_TRACE_LINES ? s->lines_n - SIM_TRACE_LINES : 0;

    for (size_t i = first; i < s->lines_n; i++)
        printf("%s\n", s->lines[i % SIM_TRACE_LINES]);
}

static void add(struct sim_result *sum, const struct sim_result *r)
{
    sum->events += r->events;
    sum->commits += r->commits;
    sum->elections += r->elections;
    sum->snapshots += r->snapshots;
    sum->conf_changes += r->conf_changes;
    sum->crashes += r->crashes;
    sum->reads += r->reads;
}

static void print_result(uint64_t seed, const struct sim_result *r)
{
    if (r->failed)
        printf("seed %" PRIu64 " FAILED at %" PRIu64 ".%06" PRIu64 " s: %s\n", seed, r->at / SIM_S,
               r->at % SIM_S, r->why);
    else
        printf("seed %" PRIu64 " ok, trace hash %016" PRIx64 "\n", seed, r->hash);
}

/* Every jobs-th seed, beginning with the job-th. */
static void run_share(const struct arguments *a, unsigned job, struct tally *t)
{
    struct sim *s = xmem_calloc(1, sizeof *s);

    *t = (struct tally){0};
    if (a->options.trace)
        s->lines = xmem_calloc(SIM_TRACE_LINES, sizeof s->lines[0]);
    for (uint64_t seed = a->first + job; seed <= a->last; seed += a->jobs) {
        struct sim_options o = a->options;
        struct sim_result r;

        o.seed = seed;
        sim_run(&o, &r, s);
        if (o.trace)
            print_trace(s);
        if (!a->quiet || r.failed)
            print_result(seed, &r);
        (void) fflush(stdout);
        t->seeds++;
        t->hash ^= r.hash * (2 * seed + 1);
        add(&t->sum, &r);
        if (!r.failed)
            continue;
        t->failed++;
        if (t->first_failed == 0)
            t->first_failed = seed;
        if (!a->keep_going)
            break;
    }
    mem_free(s->lines);
    mem_free(s);
}

static void run_jobs(const struct arguments *a, struct tally *all)
{
    int pipes[JOBS_MAX][2];

    for (unsigned j = 0; j < a->jobs; j++) {
        struct tally t;

        if (pipe(pipes[j]) != 0)
            exit(2);
        (void) fflush(stdout);
        if (fork() != 0) {
            (void) close(pipes[j][1]);
            continue;
        }
        run_share(a, j, &t);
        _exit(write(pipes[j][1], &t, sizeof t) == sizeof t ? 0 : 2);
    }
    for (unsigned j = 0; j < a->jobs; j++) {
        struct tally t;

        if (read(pipes[j][0], &t, sizeof t) != sizeof t) {
            printf("a process of the simulator died\n");
            exit(2);
        }
        all->seeds += t.seeds;
        all->failed += t.failed;
        all->hash ^= t.hash;
        if (t.first_failed != 0 && (all->first_failed == 0 || t.first_failed < all->first_failed))
            all->first_failed = t.first_failed;
        add(&all->sum, &t.sum);
        (void) close(pipes[j][0]);
        (void) wait(NULL);
    }
}

int main(int argc, char **argv)
{
    struct arguments a;
    struct tally t = {0};

    parse(argc, argv, &a);
    if (a.jobs > 1)
        run_jobs(&a, &t);
    else
        run_share(&a, 0, &t);
    printf("%" PRIu64 " seeds of %" PRIu64 " s: %" PRIu64 " events, %" PRIu64 " commits, %" PRIu64
           " elections, %" PRIu64 " snapshots, %" PRIu64 " changes of members, %" PRIu64
           " crashes, %" PRIu64 " reads; hash %016" PRIx64 "\n",
           t.seeds, a.options.seconds, t.sum.events, t.sum.commits, t.sum.elections,
           t.sum.snapshots, t.sum.conf_changes, t.sum.crashes, t.sum.reads, t.hash);
    if (t.first_failed != 0 && a.shrink) {
        struct sim_options o = a.options;

        o.seed = t.first_failed;
        sim_shrink_and_print(&o);
    }
    printf("%" PRIu64 " of %" PRIu64 " seeds passed\n", t.seeds - t.failed, t.seeds);
    return t.failed == 0 ? 0 : 1;
}
