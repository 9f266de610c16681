/* sim_member -- runs seeds of the simulator of whole members.
 *
 *     sim_member --seed 7 [--trace]        one seed; prints its trace hash
 *     sim_member --seeds 1-100 [--jobs 2]  many; stops at the first failure, unless --keep-going
 *     options: --seconds N (20), --quiet, --no-shrink, --faults MASK, --quiet-network, --plant NAME
 */
#include "sim/member/sim.h"

#include "base/plant.h"

#include <sys/wait.h>
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
    printf(
        "usage: sim_member [--seed N | --seeds A-B] [--seconds N] [--jobs N] [--quiet] [--trace] "
        "[--keep-going] [--no-shrink] [--faults MASK] [--quiet-network] [--plant NAME]\n");
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

static bool parse_switch(const char *s, struct arguments *a)
{
    if (strcmp(s, "--quiet") == 0)
        a->quiet = true;
    else if (strcmp(s, "--trace") == 0)
        a->options.trace = true;
    else if (strcmp(s, "--keep-going") == 0)
        a->keep_going = true;
    else if (strcmp(s, "--no-shrink") == 0)
        a->shrink = false;
    else if (strcmp(s, "--quiet-network") == 0)
        a->options.quiet_network = true;
    else
        return false;
    return true;
}

/* In a build with KETCH_PLANT=ANY. */
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
    *a = (struct arguments){.options = {.seconds = 20, .fault_mask = UINT64_MAX},
                            .first = 1,
                            .last = 100,
                            .jobs = 1,
                            .shrink = true};
    for (int i = 1; i < argc; i++) {
        if (parse_switch(argv[i], a))
            continue;
        if (strcmp(argv[i], "--seed") == 0 || strcmp(argv[i], "--seeds") == 0)
            parse_range(value(argc, argv, &i), a);
        else if (strcmp(argv[i], "--seconds") == 0)
            a->options.seconds = strtoull(value(argc, argv, &i), NULL, 10);
        else if (strcmp(argv[i], "--jobs") == 0)
            a->jobs = (unsigned) strtoul(value(argc, argv, &i), NULL, 10);
        else if (strcmp(argv[i], "--faults") == 0)
            a->options.fault_mask = strtoull(value(argc, argv, &i), NULL, 0);
        else if (strcmp(argv[i], "--plant") == 0)
            plant(value(argc, argv, &i));
        else
            usage();
    }
    if (a->jobs == 0 || a->jobs > JOBS_MAX || a->options.seconds <= SIM_HEAL_S + 3)
        usage();
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

static void add(struct sim_result *sum, const struct sim_result *r)
{
    sum->events += r->events;
    sum->ops += r->ops;
    sum->answered += r->answered;
    sum->unknown += r->unknown;
    sum->revisions += r->revisions;
    sum->crashes += r->crashes;
    sum->members_changed += r->members_changed;
    sum->watched += r->watched;
    sum->leases += r->leases;
    sum->leases_ended += r->leases_ended;
    sum->snapshots += r->snapshots;
}

static void print_result(uint64_t seed, const struct sim_result *r)
{
    if (r->failed)
        printf("seed %" PRIu64 " FAILED at %" PRId64 ".%06" PRId64 " s: %s\n", seed, r->at / SIM_S,
               r->at % SIM_S / SIM_US, r->why);
    else
        printf("seed %" PRIu64 " ok, trace hash %016" PRIx64 "\n", seed, r->hash);
}

/* Every jobs-th seed, beginning with the job-th. */
static void run_share(const struct arguments *a, unsigned job, struct tally *t)
{
    *t = (struct tally){0};
    for (uint64_t seed = a->first + job; seed <= a->last; seed += a->jobs) {
        struct sim_options o = a->options;
        struct sim_result r;

        o.seed = seed;
        sim_run_apart(&o, &r);
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

static void print_sum(const struct arguments *a, const struct tally *t)
{
    const struct sim_result *r = &t->sum;

    printf("%" PRIu64 " seeds of %" PRIu64 " s: %" PRIu64 " events, %" PRIu64
           " operations (%" PRIu64 " answered, %" PRIu64 " in doubt), %" PRIu64
           " revisions, %" PRIu64 " events watched, %" PRIu64 " leases (%" PRIu64
           " ended by themselves), %" PRIu64 " crashes, %" PRIu64 " members came or went, %" PRIu64
           " snapshots; hash %016" PRIx64 "\n",
           t->seeds, a->options.seconds, r->events, r->ops, r->answered, r->unknown, r->revisions,
           r->watched, r->leases, r->leases_ended, r->crashes, r->members_changed, r->snapshots,
           t->hash);
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
    print_sum(&a, &t);
    if (t.first_failed != 0 && a.shrink) {
        struct sim_options o = a.options;

        o.seed = t.first_failed;
        sim_shrink_and_print(&o);
    }
    printf("%" PRIu64 " of %" PRIu64 " seeds passed\n", t.seeds - t.failed, t.seeds);
    return t.failed == 0 ? 0 : 1;
}
