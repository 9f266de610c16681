#include "sim/raft/sim.h"

#include "engine/raft/raft_int.h"

_Static_assert(SIM_MEMBERS <= CUT_PLACES, "a place for each member");

const char *sim_fault_name(enum sim_fault_kind k)
{
    static const char *const names[] = {
        "crash",       "crash all",     "cut in halves",
        "cut off one", "cut one way",   "cut but for a bridge",
        "lossy",       "slow network",  "slow disk",
        "pause",       "transfer",      "conf change",
        "campaign",    "forget leader", "compact",
        "storm",
    };

    _Static_assert(ARRAY_LEN(names) == SIM_FAULT_KINDS, "a name for each kind");
    ASSERT(k < SIM_FAULT_KINDS);
    return names[k];
}

/* How often each kind occurs, in parts of their sum. */
static const uint8_t weights[SIM_FAULT_KINDS] = {
    [SIM_CRASH] = 20,      [SIM_CRASH_ALL] = 3,  [SIM_CUT_HALF] = 8, [SIM_CUT_ONE] = 12,
    [SIM_CUT_ONE_WAY] = 8, [SIM_CUT_BRIDGE] = 4, [SIM_LOSSY] = 6,    [SIM_SLOW_NETWORK] = 6,
    [SIM_SLOW_DISK] = 6,   [SIM_PAUSE] = 8,      [SIM_TRANSFER] = 8, [SIM_CONF_CHANGE] = 24,
    [SIM_CAMPAIGN] = 4,    [SIM_FORGET] = 2,     [SIM_COMPACT] = 6,  [SIM_STORM] = 4,
};

static enum sim_fault_kind choose_kind(const struct sim *s, struct random_seeded *r)
{
    uint64_t sum = fault_weights_sum(weights, SIM_FAULT_KINDS);

    if (s->setup.stormy && sim_chance(r, 3) == 0)
        return SIM_STORM;
    return (enum sim_fault_kind) fault_weights_at(weights, SIM_FAULT_KINDS, sim_chance(r, sum));
}

void sim_plan(struct sim *s)
{
    struct random_seeded *r = &s->plan_random;
    sim_us end = (s->options.seconds - SIM_HEAL_S) * SIM_S;

    s->faults_n = 10 + (uint32_t) sim_chance(r, SIM_FAULTS_MAX - 9);
    for (uint32_t i = 0; i < s->faults_n; i++) {
        struct sim_fault *f = &s->faults[i];
        struct sim_event *e;

        *f = (struct sim_fault){
            .kind = choose_kind(s, r),
            .at = SIM_S + sim_chance(r, end - SIM_S),
            .lasts = 100 * SIM_MS + sim_chance(r, sim_chance(r, 3) == 0 ? 10 * SIM_S : 2 * SIM_S),
            .a = (uint32_t) sim_chance(r, SIM_MEMBERS),
            .b = (uint32_t) sim_chance(r, SIM_MEMBERS),
            .arg = r->random.next(&r->random),
        };
        if ((s->options.fault_mask >> i & 1) == 0)
            continue;
        e = sim_at(s, f->at, SIM_FAULT_BEGIN, 0);
        e->extra = i;
        e = sim_at(s, MIN(f->at + f->lasts, end), SIM_FAULT_END, 0);
        e->extra = i;
    }
}

/* ---- membership ---- */

static struct sim_member *leader_of(struct sim *s)
{
    for (uint32_t i = 0; i < SIM_MEMBERS; i++)
        if (s->members[i].up && !s->members[i].paused && s->members[i].raft->state == RAFT_LEADER)
            return &s->members[i];
    return NULL;
}

/* A change that leaves at least two voters, which also a later leader can apply. */
static size_t choose_changes(const struct sim_member *leader, uint64_t arg,
                             struct raft_conf_change_single *v)
{
    struct raft_id_set voters = leader->raft->tracker.members.incoming;
    size_t want = arg % 4 == 0 ? 1 + arg / 4 % 3 : 1, n = 0;

    arg /= 16;
    for (; n < want; n++, arg /= 64) {
        raft_id id = 1 + arg % SIM_MEMBERS;
        enum raft_conf_change_type type = (enum raft_conf_change_type)(arg / 8 % 4);

        if (type == RAFT_CONF_ADD_NODE)
            (void) raft__ids_add(&voters, id);
        else if (type != RAFT_CONF_UPDATE_NODE)
            raft__ids_del(&voters, id);
        if (voters.n < 2) {
            type = RAFT_CONF_ADD_NODE;
            (void) raft__ids_add(&voters, id);
        }
        v[n] = (struct raft_conf_change_single){type, id};
    }
    return n;
}

static void change_members(struct sim *s, const struct sim_fault *f)
{
    struct sim_member *m = leader_of(s);
    struct raft_conf_change_single v[4];
    struct raft_conf_change_v2 c = {.changes = v};
    struct raft_conf_change v1 = {0};
    int rc;

    if (m == NULL)
        return;
    if (!raft__tracker_is_joint(&m->raft->tracker) || f->arg >> 60 == 0)
        c.changes_n = choose_changes(m, f->arg, v);
    if (c.changes_n > 0)
        c.transition = (enum raft_conf_transition)(f->arg >> 40) % 3;
    if (c.changes_n == 1 && (f->arg >> 50 & 1) == 0) {
        v1.type = v[0].type;
        v1.node_id = v[0].node_id;
        rc = raft_propose_conf_change(m->raft, &v1);
    } else {
        rc = raft_propose_conf_change_v2(m->raft, &c);
    }
    sim_trace(s, m, "proposes %zu changes of members: %d", c.changes_n, rc);
    sim_member_pump(s, m);
}

/* ---- blows ---- */

static void crash(struct sim *s, uint32_t i, sim_us lasts)
{
    if (!s->members[i].up)
        return;
    sim_member_crash(s, &s->members[i]);
    (void) sim_at(s, lasts, SIM_RESTART, i);
}

/* The leader, a candidate, or someone in the middle of a write. */
static struct sim_member *choose_victim(struct sim *s)
{
    uint32_t first = (uint32_t) sim_chance(&s->network_random, SIM_MEMBERS);
    bool writing = sim_chance(&s->network_random, 2) == 0;

    for (uint32_t k = 0; k < SIM_MEMBERS; k++) {
        struct sim_member *m = &s->members[(first + k) % SIM_MEMBERS];

        if (m->up && (writing ? m->store_first != NULL && m->store_first->hard_changed
                              : m->raft->state != RAFT_FOLLOWER))
            return m;
    }
    return NULL;
}

void sim_strike_end(struct sim *s, uint32_t member)
{
    cuts_one(&s->cuts, member, -1);
}

/* Crashes or cuts off a victim for a moment, and comes again. */
void sim_strike(struct sim *s, struct sim_event *e)
{
    const struct sim_fault *f = &s->faults[e->extra];
    sim_us lasts = s->setup.tick_us * (1 + sim_chance(&s->network_random, 15));
    struct sim_member *m = choose_victim(s);
    struct sim_event *next;

    if (s->healing || s->now > f->at + f->lasts)
        return;
    next = sim_at(s, s->setup.tick_us / 4 + sim_chance(&s->network_random, s->setup.tick_us * 8),
                  SIM_STRIKE, 0);
    next->extra = e->extra;
    if (m == NULL)
        return;
    if (sim_chance(&s->network_random, 2) == 0) {
        crash(s, m->index, lasts);
        return;
    }
    cuts_one(&s->cuts, m->index, 1);
    (void) sim_at(s, lasts, SIM_CUT_END, m->index);
}

static void prod(struct sim *s, const struct sim_fault *f)
{
    struct sim_member *m = &s->members[f->a];

    if (!m->up || m->paused)
        return;
    if (f->kind == SIM_TRANSFER)
        raft_transfer_leader(m->raft, f->b + 1);
    else if (f->kind == SIM_CAMPAIGN)
        raft_campaign(m->raft);
    else if (f->kind == SIM_FORGET)
        raft_forget_leader(m->raft);
    else
        sim_member_snapshot(s, m);
    sim_member_pump(s, m);
}

static void cut_by(struct sim *s, const struct sim_fault *f, int by)
{
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
    default:
        cuts_bridge(&s->cuts, f->a, f->arg, by);
        break;
    }
}

void sim_fault_begin(struct sim *s, const struct sim_fault *f)
{
    sim_trace(s, NULL, "fault: %s %u %u for %" PRIu64 " ms", sim_fault_name(f->kind), f->a + 1,
              f->b + 1, f->lasts / SIM_MS);
    switch (f->kind) {
    case SIM_CRASH:
        crash(s, f->a, f->lasts);
        break;
    case SIM_CRASH_ALL:
        for (uint32_t i = 0; i < SIM_MEMBERS; i++)
            crash(s, i, f->lasts / 2 + i * 10 * SIM_MS);
        break;
    case SIM_CUT_HALF:
    case SIM_CUT_ONE:
    case SIM_CUT_ONE_WAY:
    case SIM_CUT_BRIDGE:
        cut_by(s, f, 1);
        break;
    case SIM_LOSSY:
        s->lossy++;
        break;
    case SIM_SLOW_NETWORK:
        s->slow_network++;
        break;
    case SIM_SLOW_DISK:
        s->members[f->a].disk.slow = true;
        break;
    case SIM_PAUSE:
        s->members[f->a].paused = s->members[f->a].up;
        break;
    case SIM_CONF_CHANGE:
        change_members(s, f);
        break;
    case SIM_STORM:
        sim_at(s, 1, SIM_STRIKE, 0)->extra = (uint32_t) (f - s->faults);
        break;
    default:
        prod(s, f);
        break;
    }
}

void sim_fault_end(struct sim *s, const struct sim_fault *f)
{
    switch (f->kind) {
    case SIM_CUT_HALF:
    case SIM_CUT_ONE:
    case SIM_CUT_ONE_WAY:
    case SIM_CUT_BRIDGE:
        cut_by(s, f, -1);
        break;
    case SIM_LOSSY:
        s->lossy--;
        break;
    case SIM_SLOW_NETWORK:
        s->slow_network--;
        break;
    case SIM_SLOW_DISK:
        s->members[f->a].disk.slow = false;
        break;
    case SIM_PAUSE:
        s->members[f->a].paused = false;
        break;
    default:
        return; /* nothing that lasts */
    }
    sim_trace(s, NULL, "over: %s %u", sim_fault_name(f->kind), f->a + 1);
}
