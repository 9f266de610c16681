/* shrink.c -- a failure with as few faults as it takes (delta debugging: halves first, then one at
 * a time, until none can go). */
#include "sim/member/sim.h"

/* By the same check. */
static bool still_fails(struct sim_options o, const char *kind)
{
    struct sim_result r;

    o.trace = false;
    sim_run_apart(&o, &r);
    return r.failed && strcmp(r.kind, kind) == 0;
}

static bool drop(struct sim_options *o, uint64_t which, const char *kind)
{
    struct sim_options less = *o;

    less.fault_mask &= ~which;
    if (less.fault_mask == o->fault_mask || !still_fails(less, kind))
        return false;
    *o = less;
    return true;
}

static void drop_faults(struct sim_options *o, uint32_t n, const char *kind)
{
    bool dropped = true;

    for (uint32_t size = n / 2; size > 1; size /= 2)
        for (uint32_t i = 0; i < n; i += size)
            (void) drop(o, ((UINT64_C(1) << size) - 1) << i, kind);
    while (dropped) {
        dropped = false;
        for (uint32_t i = 0; i < n; i++)
            dropped |= drop(o, UINT64_C(1) << i, kind);
    }
}

void sim_shrink_and_print(const struct sim_options *full)
{
    struct sim_options o = *full, quiet;
    struct sim_result r;
    char kind[sizeof r.kind];

    o.trace = false;
    sim_run_apart(&o, &r);
    if (!r.failed)
        return;
    (void) snprintf(kind, sizeof kind, "%s", r.kind);
    drop_faults(&o, r.faults_n, kind);
    quiet = o;
    quiet.quiet_network = true;
    if (still_fails(quiet, kind))
        o = quiet;
    o.trace_end = true;
    printf("the end of the trace:\n");
    sim_run_apart(&o, &r);
    printf("seed %" PRIu64 ": %s, at %" PRId64 ".%06" PRId64 " s; what is left of its faults:\n",
           o.seed, r.why, r.at / SIM_S, r.at % SIM_S / SIM_US);
    for (uint32_t i = 0; i < r.faults_n; i++)
        if ((o.fault_mask >> i & 1) != 0)
            printf("  %" PRId64 " ms: %s %u for %" PRId64 " ms\n", r.faults[i].at / SIM_MS,
                   sim_fault_name(r.faults[i].kind), r.faults[i].a + 1, r.faults[i].lasts / SIM_MS);
    printf("again: --seed %" PRIu64 " --faults 0x%" PRIx64 "%s --trace\n", o.seed, o.fault_mask,
           o.quiet_network ? " --quiet-network" : "");
}
