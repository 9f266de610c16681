/* plan.c -- the faults of a seed: when, what, whom. */
#include "sim/member/sim.h"

_Static_assert(SIM_MEMBERS <= CUT_PLACES, "a place for each member");

const char *sim_fault_name(enum sim_fault_kind k)
{
    static const char *const names[] = {
        "crash",
        "power cut",
        "crash all",
        "stop",
        "cut in halves",
        "cut off one",
        "cut one way",
        "cut but for a bridge",
        "flapping link",
        "lossy",
        "slow network",
        "slow disk",
        "hanging disk",
        "sync error",
        "full disk",
        "pause",
        "wall clock jumps",
        "move leader",
        "change of members",
        "defragment",
    };

    _Static_assert(ARRAY_LEN(names) == SIM_FAULT_KINDS, "a name for each kind");
    ASSERT(k < SIM_FAULT_KINDS);
    return names[k];
}

/* How often each kind occurs, in parts of their sum. */
static const uint8_t weights[SIM_FAULT_KINDS] = {
    [SIM_CRASH] = 14,    [SIM_POWER_CUT] = 16, [SIM_CRASH_ALL] = 3,    [SIM_STOP] = 6,
    [SIM_CUT_HALF] = 8,  [SIM_CUT_ONE] = 10,   [SIM_CUT_ONE_WAY] = 8,  [SIM_CUT_BRIDGE] = 4,
    [SIM_FLAP] = 4,      [SIM_LOSSY] = 6,      [SIM_SLOW_NETWORK] = 5, [SIM_SLOW_DISK] = 5,
    [SIM_HANG_DISK] = 4, [SIM_SYNC_ERROR] = 4, [SIM_FULL_DISK] = 4,    [SIM_PAUSE] = 8,
    [SIM_WALL_JUMP] = 3, [SIM_TRANSFER] = 8,   [SIM_MEMBERSHIP] = 0,   [SIM_DEFRAGMENT] = 3,
};

#define MEMBERSHIP_WEIGHT 24

static enum sim_fault_kind choose_kind(const struct sim *s, struct random_seeded *r)
{
    uint64_t sum = fault_weights_sum(weights, SIM_FAULT_KINDS) +
                   (s->setup.reconfigures ? MEMBERSHIP_WEIGHT : 0);
    size_t k = fault_weights_at(weights, SIM_FAULT_KINDS, sim_chance(r, sum));

    return k < SIM_FAULT_KINDS ? (enum sim_fault_kind) k : SIM_MEMBERSHIP;
}

/* ---- one that comes and goes ---- */

static void flap(struct sim *s, void *arg)
{
    struct sim_fault *f = arg;

    if (!s->healing && s->now < f->at + f->lasts) {
        f->on = !f->on;
        cuts_one(&s->cuts, f->a, f->on ? 1 : -1);
        sim_at(s, sim_delay(&s->operator_random, 600 * SIM_MS), flap, f);
    } else if (f->on) {
        f->on = false;
        cuts_one(&s->cuts, f->a, -1);
    }
}

/* ---- blows ---- */

/* The machine stops at its nth write from now, or in half a second. */
static void power_fails(struct sim *s, void *arg)
{
    struct sim_fault *f = arg;
    struct sim_member *m = &s->members[f->a];

    if (m->up && m->life == f->life)
        sim_member_crash(m, SIM_CRASH_TEAR);
}

static void power_cut(struct sim *s, struct sim_fault *f)
{
    struct sim_member *m = &s->members[f->a];

    f->life = m->life;
    m->expects_io = true;
    simdisk_cut_after(m->disk, 1 + f->arg % 12);
    sim_at(s, 500 * SIM_MS, power_fails, f);
    sim_member_start_later(m, 500 * SIM_MS + f->lasts);
}

static void crash_all(struct sim *s, const struct sim_fault *f)
{
    enum simdisk_crash_mode mode = (enum simdisk_crash_mode)(f->arg % 3);

    for (uint32_t i = 0; i < SIM_MEMBERS; i++) {
        if (!s->members[i].up)
            continue;
        sim_member_crash(&s->members[i], mode);
        sim_member_start_later(&s->members[i], f->lasts / 2 + i * 10 * SIM_MS);
    }
}

static void on_defragmented(struct sim_call *c)
{
    sim_call_free(c);
}

/* What happens to a member that runs. */
static void strike(struct sim *s, struct sim_fault *f)
{
    struct sim_member *m = &s->members[f->a];

    if (!m->up || m->stopping)
        return;
    switch (f->kind) {
    case SIM_CRASH:
        sim_member_crash(m, (enum simdisk_crash_mode)(f->arg % 3));
        sim_member_start_later(m, f->lasts);
        break;
    case SIM_POWER_CUT:
        power_cut(s, f);
        break;
    case SIM_STOP:
        sim_member_stop(m);
        sim_member_start_later(m, SIM_S + f->lasts);
        break;
    case SIM_SYNC_ERROR:
        m->expects_io = true;
        simdisk_fail(m->disk, SIM_SYNC | SIM_WRITE | SIM_SYNC_DIR, 1 + f->arg % 8, ERR_IO, false);
        sim_member_start_later(m, f->lasts);
        break;
    case SIM_DEFRAGMENT:
        sim_call_submit(sim_call_new(m, NODE_REQ_DEFRAGMENT, on_defragmented, NULL));
        break;
    default:
        UNREACHABLE();
    }
}

/* ---- what lasts ---- */

static void last(struct sim *s, const struct sim_fault *f, int by)
{
    struct sim_member *m = &s->members[f->a];

    switch (f->kind) {
    case SIM_CUT_HALF:
        cuts_half(&s->cuts, f->arg, by);
        break;
    case SIM_CUT_ONE:
        cuts_one(&s->cuts, f->a, by);
        break;
    case SIM_CUT_ONE_WAY:
        cuts_one_way(&s->cuts, f->a, (f->arg & 1) != 0, by);
        break;
    case SIM_CUT_BRIDGE:
        cuts_bridge(&s->cuts, f->a, f->arg, by);
        break;
    case SIM_LOSSY:
        s->lossy += (unsigned) by;
        break;
    case SIM_SLOW_NETWORK:
        s->slow_network += (unsigned) by;
        break;
    case SIM_SLOW_DISK:
        m->slow_disk += (unsigned) by;
        break;
    case SIM_HANG_DISK:
        m->hung_disk += (unsigned) by;
        break;
    case SIM_PAUSE:
        m->paused += (unsigned) by;
        break;
    default:
        UNREACHABLE();
    }
    if (by < 0 && (f->kind == SIM_HANG_DISK || f->kind == SIM_PAUSE))
        sim_member_resume(m);
}

static bool lasts(enum sim_fault_kind k)
{
    return k == SIM_CUT_HALF || k == SIM_CUT_ONE || k == SIM_CUT_ONE_WAY || k == SIM_CUT_BRIDGE ||
           k == SIM_LOSSY || k == SIM_SLOW_NETWORK || k == SIM_SLOW_DISK || k == SIM_HANG_DISK ||
           k == SIM_PAUSE;
}

static void end_fault(struct sim *s, void *arg)
{
    struct sim_fault *f = arg;
    struct sim_member *m = &s->members[f->a];

    sim_trace(s, NULL, "over: %s %u", sim_fault_name(f->kind), f->a + 1);
    if (f->kind == SIM_FULL_DISK) {
        if (m->disk != NULL)
            simdisk_set_capacity(m->disk, 0);
    } else {
        last(s, f, -1);
    }
}

static void begin_fault(struct sim *s, void *arg)
{
    struct sim_fault *f = arg;
    struct sim_member *m = &s->members[f->a];
    sim_ns until = (sim_ns) (s->options.seconds - SIM_HEAL_S) * SIM_S;

    sim_trace(s, NULL, "fault: %s %u for %" PRId64 " ms", sim_fault_name(f->kind), f->a + 1,
              f->lasts / SIM_MS);
    if (lasts(f->kind)) {
        last(s, f, 1);
        sim_at(s, MIN(f->lasts, until - s->now), end_fault, f);
    } else if (f->kind == SIM_FLAP) {
        flap(s, f);
    } else if (f->kind == SIM_CRASH_ALL) {
        crash_all(s, f);
    } else if (f->kind == SIM_WALL_JUMP) {
        m->wall_offset += (int64_t) (f->arg % 7200000) - 3600000;
    } else if (f->kind == SIM_TRANSFER) {
        sim_move_leader(s, f->a);
    } else if (f->kind == SIM_MEMBERSHIP) {
        sim_change_members(s, f->a, f->arg);
    } else if (f->kind == SIM_FULL_DISK) {
        if (m->disk != NULL)
            simdisk_set_capacity(m->disk, simdisk_used(m->disk) + f->arg % 200000);
        sim_at(s, MIN(f->lasts, until - s->now), end_fault, f);
    } else {
        strike(s, f);
    }
}

void sim_plan(struct sim *s)
{
    struct random_seeded *r = &s->plan_random;
    sim_ns end = (sim_ns) (s->options.seconds - SIM_HEAL_S) * SIM_S;

    s->faults_n = 3 + (uint32_t) sim_chance(r, SIM_FAULTS_MAX - 2);
    for (uint32_t i = 0; i < s->faults_n; i++) {
        struct sim_fault *f = &s->faults[i];

        *f = (struct sim_fault){
            .kind = choose_kind(s, r),
            .at = SIM_S + sim_delay(r, end - SIM_S - SIM_MS),
            .lasts = 100 * SIM_MS + sim_delay(r, sim_chance(r, 3) == 0 ? 6 * SIM_S : 1500 * SIM_MS),
            .a = (uint32_t) sim_chance(r, s->setup.reconfigures ? SIM_MEMBERS : s->setup.members),
            .arg = random_u64(&r->random),
        };
        if ((s->options.fault_mask >> i & 1) != 0)
            sim_at(s, f->at, begin_fault, f);
    }
}
