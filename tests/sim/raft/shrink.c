/* shrink.c -- a failure with as few faults as it takes (delta debugging, one at a time, until none
 * can go). */
#include "sim/raft/sim.h"

#define SHRINK_PRINT_LINES 80

/* By the same check. */
static bool still_fails(struct sim *s, struct sim_options o, const char *kind)
{
    struct sim_result r;

    sim_run(&o, &r, s);
    return r.failed && strcmp(r.kind, kind) == 0;
}

static void drop_faults(struct sim *s, struct sim_options *o, const char *kind)
{
    bool dropped = true;

    while (dropped) {
        dropped = false;
        for (uint32_t i = 0; i < SIM_FAULTS_MAX; i++) {
            struct sim_options less = *o;

            less.fault_mask &= ~(UINT64_C(1) << i);
            if (less.fault_mask != o->fault_mask && still_fails(s, less, kind)) {
                *o = less;
                dropped = true;
            }
        }
    }
}

static void print_trace(const struct sim *s)
{
    size_t n = MIN(s->lines_n, SIM_TRACE_LINES), show = MIN(n, SHRINK_PRINT_LINES);

    for (size_t i = s->lines_n - show; i < s->lines_n; i++)
        printf("  %s\n", s->lines[i % SIM_TRACE_LINES]);
}

void sim_shrink_and_print(const struct sim_options *full)
{
    struct sim *s = xmem_calloc(1, sizeof *s);
    struct sim_options o = *full, quiet;
    struct sim_result r;

    s->lines = xmem_calloc(SIM_TRACE_LINES, sizeof s->lines[0]);
    o.fault_mask = UINT64_MAX;
    sim_run(&o, &r, s);
    if (!r.failed)
        return;
    drop_faults(s, &o, r.kind);
    quiet = o;
    quiet.quiet_network = true;
    if (still_fails(s, quiet, r.kind))
        o = quiet;
    o.trace = true;
    sim_run(&o, &r, s);
    printf("seed %" PRIu64 ": %s, at %" PRIu64 ".%06" PRIu64 " s; what is left of its faults:\n",
           o.seed, r.why, r.at / SIM_S, r.at % SIM_S);
    for (uint32_t i = 0; i < s->faults_n; i++)
        if ((o.fault_mask >> i & 1) != 0)
            printf("  %" PRIu64 " ms: %s %u %u for %" PRIu64 " ms\n", s->faults[i].at / SIM_MS,
                   sim_fault_name(s->faults[i].kind), s->faults[i].a + 1, s->faults[i].b + 1,
                   s->faults[i].lasts / SIM_MS);
    printf("the end of the trace:\n");
    print_trace(s);
    mem_free(s->lines);
    mem_free(s);
}
