#include "sim/seeds/seeds.h"

#include "base/plant.h"

#include <sys/wait.h>
#include <unistd.h>

/* ---- options ---- */

NORETURN void seeds_usage(const struct seeds *s)
{
    printf("usage: %s\n", s->usage);
    exit(2);
}

const char *seeds_value(const struct seeds *s, int argc, char **argv, int *i)
{
    if (*i + 1 >= argc)
        seeds_usage(s);
    return argv[++*i];
}

static void parse_range(struct seeds *s, const char *text)
{
    char *end;

    s->first = s->last = strtoull(text, &end, 10);
    if (*end == '-')
        s->last = strtoull(end + 1, &end, 10);
    if (*end != '\0' || s->last < s->first)
        seeds_usage(s);
}

static void parse_jobs(struct seeds *s, const char *text)
{
    s->jobs = (unsigned) strtoul(text, NULL, 10);
    if (s->jobs == 0 || s->jobs > SEEDS_JOBS_MAX)
        seeds_usage(s);
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

bool seeds_option(struct seeds *s, int argc, char **argv, int *i)
{
    const char *name = argv[*i];

    if (strcmp(name, "--seed") == 0 || strcmp(name, "--seeds") == 0)
        parse_range(s, seeds_value(s, argc, argv, i));
    else if (strcmp(name, "--jobs") == 0)
        parse_jobs(s, seeds_value(s, argc, argv, i));
    else if (strcmp(name, "--plant") == 0)
        plant(seeds_value(s, argc, argv, i));
    else if (strcmp(name, "--quiet") == 0)
        s->quiet = true;
    else if (strcmp(name, "--keep-going") == 0)
        s->keep_going = true;
    else if (strcmp(name, "--no-shrink") == 0)
        s->shrink = false;
    else
        return false;
    return true;
}

/* ---- runs ---- */

static void print_result(uint64_t seed, const struct seeds_result *r)
{
    if (r->failed)
        printf("seed %" PRIu64 " FAILED at %" PRIu64 ".%06" PRIu64 " s: %s\n", seed,
               r->at_us / 1000000, r->at_us % 1000000, r->why);
    else
        printf("seed %" PRIu64 " ok, trace hash %016" PRIx64 "\n", seed, r->hash);
}

static void add_counts(struct seeds_tally *t, const uint64_t *counts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        t->counts[i] += counts[i];
}

/* Every jobs-th seed, beginning with the job-th. */
static void run_share(const struct seeds *s, const struct seeds_simulator *sim, unsigned job,
                      struct seeds_tally *t)
{
    *t = (struct seeds_tally){0};
    for (uint64_t seed = s->first + job; seed <= s->last; seed += s->jobs) {
        struct seeds_result r;

        sim->run(sim->ctx, seed, &r);
        if (!s->quiet || r.failed)
            print_result(seed, &r);
        (void) fflush(stdout);
        t->seeds++;
        t->hash ^= r.hash * (2 * seed + 1);
        add_counts(t, r.counts, sim->counts_bytes / sizeof(uint64_t));
        if (!r.failed)
            continue;
        t->failed++;
        if (t->first_failed == 0)
            t->first_failed = seed;
        if (!s->keep_going)
            break;
    }
}

static void add_share(struct seeds_tally *all, const struct seeds_tally *t)
{
    all->seeds += t->seeds;
    all->failed += t->failed;
    all->hash ^= t->hash;
    if (t->first_failed != 0 && (all->first_failed == 0 || t->first_failed < all->first_failed))
        all->first_failed = t->first_failed;
    add_counts(all, t->counts, SEEDS_COUNTS_MAX);
}

static void run_jobs(const struct seeds *s, const struct seeds_simulator *sim,
                     struct seeds_tally *all)
{
    int pipes[SEEDS_JOBS_MAX][2];
    struct seeds_tally t;

    *all = (struct seeds_tally){0};
    for (unsigned j = 0; j < s->jobs; j++) {
        if (pipe(pipes[j]) != 0)
            exit(2);
        (void) fflush(stdout);
        if (fork() != 0) {
            (void) close(pipes[j][1]);
            continue;
        }
        run_share(s, sim, j, &t);
        _exit(write(pipes[j][1], &t, sizeof t) == sizeof t ? 0 : 2);
    }
    for (unsigned j = 0; j < s->jobs; j++) {
        if (read(pipes[j][0], &t, sizeof t) != sizeof t) {
            printf("a process of the simulator died\n");
            exit(2);
        }
        add_share(all, &t);
        (void) close(pipes[j][0]);
        (void) wait(NULL);
    }
}

void seeds_run(const struct seeds *s, const struct seeds_simulator *sim, struct seeds_tally *ret)
{
    ASSERT(sim->counts_bytes <= sizeof ret->counts);
    if (s->jobs > 1)
        run_jobs(s, sim, ret);
    else
        run_share(s, sim, 0, ret);
}

int seeds_verdict(const struct seeds_tally *t)
{
    printf("%" PRIu64 " of %" PRIu64 " seeds passed\n", t->seeds - t->failed, t->seeds);
    return t->failed == 0 ? 0 : 1;
}
