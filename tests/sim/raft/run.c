#include "sim/raft/sim.h"

#include <signal.h>

#include "engine/raft/raft_int.h"

/* ---- trace ---- */

void sim_hash(struct sim *s, uint64_t x)
{
    s->result.hash = (s->result.hash ^ x) * UINT64_C(0x9e3779b97f4a7c15);
    s->result.hash ^= s->result.hash >> 29;
}

void sim_trace(struct sim *s, const struct sim_member *m, const char *fmt, ...)
{
    char *line;
    va_list ap;
    int n;

    /* The state that the line would tell of, without formatting it. */
    sim_hash(s, s->now);
    sim_hash(s, m == NULL ? 0 : sim_id(m));
    if (m != NULL && m->up && m->raft != NULL) {
        sim_hash(s, m->raft->term << 32 ^ m->raft->log.committed);
        sim_hash(s, raft_get_last_index(m->raft) << 8 ^ m->raft->lead);
    }
    if (!s->options.trace)
        return;
    line = s->lines[s->lines_n++ % SIM_TRACE_LINES];
    n = snprintf(line, SIM_TRACE_BYTES, "%4" PRIu64 ".%06" PRIu64 " ", s->now / SIM_S,
                 s->now % SIM_S);
    if (m != NULL)
        n += snprintf(line + n, SIM_TRACE_BYTES - (size_t) n, "%" PRIu64 ": ", sim_id(m));
    va_start(ap, fmt);
    (void) vsnprintf(line + n, SIM_TRACE_BYTES - (size_t) n, fmt, ap);
    va_end(ap);
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void) vsnprintf(s->result.why, sizeof s->result.why, fmt, ap);
    va_end(ap);
    s->result.failed = true;
    s->result.kind = fmt;
    s->result.at = s->now;
    siglongjmp(s->escape, 1);
}

/* An assertion of the core is a failure like any other; its text is on stderr. */
static struct sim *running;

static void on_abort(int sig)
{
    (void) sig;
    if (running == NULL)
        return;
    running->result.failed = true;
    running->result.kind = "assertion";
    running->result.at = running->now;
    (void) snprintf(running->result.why, sizeof running->result.why, "an assertion failed");
    siglongjmp(running->escape, 1);
}

/* ---- events ---- */

struct sim_event *sim_at(struct sim *s, sim_us delay, enum sim_event_kind kind, uint32_t member)
{
    struct sim_event *e = xmem_calloc(1, sizeof *e);

    heap_item_init(&e->item);
    e->kind = kind;
    e->member = member;
    if (kind == SIM_TICK || kind == SIM_STORED || kind == SIM_APPLIED || kind == SIM_READ_BACK)
        e->life = s->members[member].life;
    if (!heap_push(&s->queue, &e->item, (int64_t) (s->now + delay)))
        abort();
    return e;
}

static void tick(struct sim *s, struct sim_member *m)
{
    (void) sim_at(s, m->tick_us, SIM_TICK, m->index);
    if (m->paused)
        return;
    raft_tick(m->raft);
    sim_member_pump(s, m);
}

/* ---- clients ---- */

static struct sim_member *some_member(struct sim *s)
{
    uint32_t i = (uint32_t) sim_chance(&s->client_random, SIM_MEMBERS);

    for (uint32_t k = 0; k < SIM_MEMBERS; k++) {
        struct sim_member *m = &s->members[(i + k) % SIM_MEMBERS];

        if (m->up && !m->paused)
            return m;
    }
    return NULL;
}

static void client_write(struct sim *s, struct sim_member *m)
{
    uint8_t data[3][64] = {{0}};
    struct raft_entry v[3] = {{0}};
    size_t n = 1 + sim_chance(&s->client_random, 3);
    int rc;

    for (size_t i = 0; i < n; i++) {
        memcpy(data[i], &s->next_proposal, sizeof s->next_proposal);
        s->next_proposal++;
        v[i].data = bytes_of(data[i], 8 + sim_chance(&s->client_random, sizeof data[i] - 8));
    }
    rc = raft_propose(m->raft, v, n);
    if (rc != 0)
        sim_hash(s, (uint64_t) -rc);
    sim_member_pump(s, m);
}

static void client_read(struct sim *s, struct sim_member *m)
{
    uint64_t number = s->next_read++;

    if (number >= s->read_floor_cap) {
        s->read_floor_cap = s->read_floor_cap == 0 ? 1024 : s->read_floor_cap * 2;
        s->read_floor = xmem_realloc(s->read_floor, s->read_floor_cap * sizeof s->read_floor[0]);
    }
    s->read_floor[number] = s->checks.commit_max;
    if (raft_read_index(m->raft, bytes_of(&number, sizeof number)) == 0)
        sim_member_pump(s, m);
}

static void client(struct sim *s)
{
    struct sim_member *m = some_member(s);

    (void) sim_at(s, s->setup.client_us / 2 + sim_chance(&s->client_random, s->setup.client_us),
                  SIM_CLIENT, 0);
    if (m == NULL)
        return;
    if (sim_chance(&s->client_random, 3) == 0)
        client_read(s, m);
    else
        client_write(s, m);
}

/* ---- after the faults ---- */

static struct sim_member *most_advanced(struct sim *s)
{
    struct sim_member *best = NULL;

    for (uint32_t i = 0; i < SIM_MEMBERS; i++) {
        struct sim_member *m = &s->members[i];

        if (m->up && (best == NULL || m->applied > best->applied))
            best = m;
    }
    return best;
}

/* An operator's work: whoever belongs to the group runs, nobody else does, and nothing stays joint.
 */
static void watch(struct sim *s)
{
    struct sim_member *best;
    struct raft_conf_change_v2 leave = {0};

    if (!s->healing) {
        s->healing = true;
        s->commit_at_heal = s->checks.commit_max;
        for (uint32_t i = 0; i < SIM_MEMBERS; i++)
            s->members[i].paused = false;
        for (uint32_t i = 0; i < SIM_MEMBERS; i++)
            if (!s->members[i].up)
                sim_member_start(s, &s->members[i]);
    }
    /* What this sets going must be over at the end, elections included. */
    if (s->now + SIM_QUIET_S * SIM_S >= s->options.seconds * SIM_S)
        return;
    (void) sim_at(s, SIM_S, SIM_WATCH, 0);
    best = most_advanced(s);
    for (uint32_t i = 0; best != NULL && best->raft->tracker.n > 0 && i < SIM_MEMBERS; i++) {
        struct sim_member *m = &s->members[i];
        bool member = raft__tracker_get(&best->raft->tracker, i + 1) != NULL;

        if (member && !m->up)
            sim_member_start(s, m);
        if (!member && m->up && m != best) {
            sim_member_crash(s, m);
            m->retired = true;
        }
    }
    for (uint32_t i = 0; i < SIM_MEMBERS; i++) {
        struct sim_member *m = &s->members[i];

        if (m->up && m->raft->state == RAFT_LEADER && raft__tracker_is_joint(&m->raft->tracker)) {
            int rc = raft_propose_conf_change_v2(m->raft, &leave);

            if (rc != 0)
                sim_hash(s, (uint64_t) -rc);
            sim_member_pump(s, m);
        }
    }
}

static void stop_removed(struct sim *s, struct sim_member *m)
{
    if (raft__self(m->raft) != NULL)
        return; /* back again */
    sim_member_crash(s, m);
    m->retired = true;
}

static void restart(struct sim *s, struct sim_member *m)
{
    if (!m->up)
        sim_member_start(s, m);
}

static void handle(struct sim *s, struct sim_event *e)
{
    struct sim_member *m = &s->members[e->member];

    if (e->life != 0 && (e->life != m->life || !m->up))
        return;
    switch (e->kind) {
    case SIM_TICK:
        tick(s, m);
        break;
    case SIM_DELIVER:
        sim_deliver(s, e);
        break;
    case SIM_STORED:
    case SIM_APPLIED:
        if (m->paused)
            (void) sim_at(s, 100 * SIM_MS, e->kind, e->member);
        else if (e->kind == SIM_STORED)
            sim_member_stored(s, m);
        else
            sim_member_applied(s, m);
        break;
    case SIM_READ_BACK:
        if (m->paused)
            break;
        raft_entries_arrived(m->raft);
        sim_member_pump(s, m);
        break;
    case SIM_FAULT_BEGIN:
        sim_fault_begin(s, &s->faults[e->extra]);
        break;
    case SIM_FAULT_END:
        sim_fault_end(s, &s->faults[e->extra]);
        break;
    case SIM_CLIENT:
        client(s);
        break;
    case SIM_REPORT:
        sim_report(s, e);
        break;
    case SIM_RESTART:
        restart(s, m);
        break;
    case SIM_STOP:
        stop_removed(s, m);
        break;
    case SIM_WATCH:
        watch(s);
        break;
    case SIM_STRIKE:
        sim_strike(s, e);
        break;
    case SIM_CUT_END:
        sim_strike_end(s, e->member);
        break;
    }
}

/* ---- a run ---- */

void sim_setup_choose(struct sim *s)
{
    static const uint8_t sizes[] = {3, 3, 3, 3, 5, 5, 5, 1, 2, 4};
    static const uint32_t msg_sizes[] = {1 << 20, 1 << 20, 1024, 200, 1}; /* 1: one entry each */
    struct random_seeded *r = &s->setup_random;

    s->setup = (struct sim_setup){
        .members = sizes[sim_chance(r, sizeof sizes)],
        .async = sim_chance(r, 4) != 0,
        .pre_vote = sim_chance(r, 4) != 0,
        .check_quorum = sim_chance(r, 4) != 0,
        .step_down_on_removal = sim_chance(r, 2) == 0,
        .msg_bytes_max = msg_sizes[sim_chance(r, ARRAY_LEN(msg_sizes))],
        .inflight_max = sim_chance(r, 2) == 0 ? 256 : 1 + (uint32_t) sim_chance(r, 8),
        .loss_ppm = sim_chance(r, 2) == 0 ? 0 : (uint32_t) sim_chance(r, 50000),
        .double_ppm = sim_chance(r, 2) == 0 ? 0 : (uint32_t) sim_chance(r, 50000),
        .delay_us = sim_chance(r, 2) == 0 ? 2 * SIM_MS : 2 * SIM_MS + sim_chance(r, 60 * SIM_MS),
        .disk_us = 200 + sim_chance(r, 20 * SIM_MS),
        .apply_us = SIM_MS + sim_chance(r, sim_chance(r, 3) == 0 ? SIM_S : 20 * SIM_MS),
        .tick_us = sim_chance(r, 3) == 0 ? 20 * SIM_MS : 100 * SIM_MS,
        .keep_entries = 1 + (uint32_t) sim_chance(r, 200),
        .client_us = 40 * SIM_MS + sim_chance(r, 100 * SIM_MS),
        .stormy = sim_chance(r, 3) == 0,
    };
    s->setup.memory_late = s->setup.async && sim_chance(r, 2) == 0;
}

static void begin(struct sim *s)
{
    struct random_seeded *all[] = {&s->setup_random, &s->plan_random,    &s->network_random,
                                   &s->disk_random,  &s->timeout_random, &s->client_random};

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        (void) random_seeded_init(all[i], s->options.seed * 16 + i + 1);
    heap_init(&s->queue);
    arena_init(&s->arena, 1 << 26);
    sim_check_init(&s->checks);
    sim_setup_choose(s);
    for (uint32_t i = 0; i < SIM_MEMBERS; i++)
        sim_member_init(s, i);
}

/* Without pre-votes a member whose log is too short to win begins elections all the same, and each
 * makes the one who could win begin to wait anew.  Who is first is chance: it may take long, and is
 * no fault of anybody's. */
static bool gets_more_time(struct sim *s, sim_us end)
{
    sim_us last = (s->options.seconds + SIM_EXTENSIONS * SIM_HEAL_S) * SIM_S;

    return !s->setup.pre_vote && end < last && !sim_has_leader(s);
}

static void handle_until(struct sim *s, sim_us end)
{
    while (s->queue.count > 0 && (sim_us) heap_min(&s->queue)->key <= end) {
        struct sim_event *e = CONTAINER_OF(heap_min(&s->queue), struct sim_event, item);

        s->now = (sim_us) e->item.key;
        heap_remove(&s->queue, &e->item);
        s->result.counts.events++;
        handle(s, e);
        payload_unref(e->bytes);
        mem_free(e);
    }
}

static void play(struct sim *s)
{
    sim_us end = s->options.seconds * SIM_S;

    sim_plan(s);
    for (uint32_t i = 0; i < SIM_MEMBERS; i++)
        sim_member_start(s, &s->members[i]);
    (void) sim_at(s, SIM_S, SIM_CLIENT, 0);
    (void) sim_at(s, end - SIM_HEAL_S * SIM_S, SIM_WATCH, 0);
    handle_until(s, end);
    while (gets_more_time(s, end)) {
        end += SIM_HEAL_S * SIM_S;
        handle_until(s, end);
    }
    sim_check_end(s);
}

static void finish(struct sim *s)
{
    while (s->queue.count > 0) {
        struct sim_event *e = CONTAINER_OF(heap_min(&s->queue), struct sim_event, item);

        heap_remove(&s->queue, &e->item);
        payload_unref(e->bytes);
        mem_free(e);
    }
    heap_done(&s->queue);
    for (uint32_t i = 0; i < SIM_MEMBERS; i++)
        sim_member_done(&s->members[i]);
    sim_check_done(&s->checks);
    arena_done(&s->arena);
    mem_free(s->read_floor);
}

/* `s` holds the trace afterwards; what a failed run had allocated is left behind. */
void sim_run(const struct sim_options *o, struct sim_result *ret, struct sim *s)
{
    void *lines = s->lines;

    *s = (struct sim){.options = *o, .lines = lines};
    s->result.hash = UINT64_C(0xcbf29ce484222325);
    running = s;
    (void) signal(SIGABRT, on_abort);
    if (sigsetjmp(s->escape, 1) == 0) {
        begin(s);
        play(s);
        finish(s);
    }
    running = NULL;
    (void) signal(SIGABRT, SIG_DFL);
    *ret = s->result;
}
