#include "sim/member/sim.h"

#include <signal.h>

/* ---- trace ---- */

static void hash_text(struct sim *s, const char *text)
{
    uint64_t h = s->result.hash ^ (uint64_t) s->now;

    for (; *text != '\0'; text++)
        h = (h ^ (uint8_t) *text) * UINT64_C(0x100000001b3);
    s->result.hash = h ^ h >> 29;
}

void sim_trace(struct sim *s, const struct sim_member *m, const char *fmt, ...)
{
    char own[SIM_TRACE_BYTES];
    char *line = s->lines == NULL ? own : s->lines[s->lines_n++ % SIM_TRACE_LINES];
    va_list ap;
    int n = snprintf(line, SIM_TRACE_BYTES, "%3" PRId64 ".%06" PRId64 " ", s->now / SIM_S,
                     s->now % SIM_S / SIM_US);

    if (m != NULL)
        n += snprintf(line + n, SIM_TRACE_BYTES - (size_t) n, "%u: ", m->index + 1);
    va_start(ap, fmt);
    (void) vsnprintf(line + n, SIM_TRACE_BYTES - (size_t) n, fmt, ap);
    va_end(ap);
    hash_text(s, line);
    if (s->options.trace)
        printf("  %s\n", line);
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void) vsnprintf(s->result.why, sizeof s->result.why, fmt, ap);
    va_end(ap);
    (void) snprintf(s->result.kind, sizeof s->result.kind, "%s", fmt);
    s->result.failed = true;
    s->result.at = s->now;
    siglongjmp(s->escape, 1);
}

/* An assertion is a failure like any other; its text is on stderr. */
static struct sim *running;

static void on_signal(int sig)
{
    struct sim *s = running;

    if (s == NULL)
        _Exit(2);
    /* The store stops the process by itself when the disk fails in the middle of something. */
    if (sig == SIGABRT && s->turning != NULL && s->turning->expects_io)
        sim_member_aborts(s->turning);
    running = NULL;
    s->result.failed = true;
    (void) snprintf(s->result.kind, sizeof s->result.kind, "signal %d", sig);
    (void) snprintf(s->result.why, sizeof s->result.why, "%s",
                    sig == SIGABRT ? "an assertion failed"
                                   : "memory that is not its own was touched");
    s->result.at = s->now;
    siglongjmp(s->escape, 1);
}

/* Left by a jump, so the signal must not stay blocked. */
static void catch (int sig)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};

    (void) sigaction(sig, &a, NULL);
}

/* ---- events ---- */

void sim_post(struct sim *s, struct sim_event *e, sim_ns delay)
{
    sim_ns at = s->now + delay;

    if (e->item.at == HEAP_NOWHERE) {
        if (!heap_push(&s->queue, &e->item, at))
            abort();
    } else if (at < e->item.key) {
        heap_move(&s->queue, &e->item, at);
    }
}

void sim_cancel(struct sim *s, struct sim_event *e)
{
    if (e->item.at != HEAP_NOWHERE)
        heap_remove(&s->queue, &e->item);
}

void sim_at(struct sim *s, sim_ns delay, void (*run)(struct sim *s, void *arg), void *arg)
{
    struct sim_event *e = xmem_calloc(1, sizeof *e);

    heap_item_init(&e->item);
    e->run = run;
    e->arg = arg;
    e->owned = true;
    sim_post(s, e, delay);
}

/* ---- a run ---- */

static void choose_setup(struct sim *s)
{
    static const uint8_t sizes[] = {3, 3, 3, 3, 4, 5, 5};
    struct random_seeded *r = &s->setup_random;

    s->setup = (struct sim_setup){
        .members = sizes[sim_chance(r, sizeof sizes)],
        .pre_vote = sim_chance(r, 4) != 0,
        .tick_ms = sim_chance(r, 3) == 0 ? 20 : 100,
        .snapshot_count = sim_chance(r, 2) == 0 ? 10000 : 20 + sim_chance(r, 200),
        .catchup_entries = sim_chance(r, 3) == 0 ? 5000 : 10 + sim_chance(r, 100),
        .segment_bytes = 32768 << sim_chance(r, 3),
        .delay_ns = sim_chance(r, 2) == 0 ? SIM_MS : SIM_MS + sim_delay(r, 30 * SIM_MS),
        .disk_ns = 100 * SIM_US + sim_delay(r, 5 * SIM_MS),
        .turn_ns = sim_chance(r, 2) == 0 ? 30 * SIM_US : 30 * SIM_US + sim_delay(r, 3 * SIM_MS),
        .think_ns = SIM_MS + sim_delay(r, 40 * SIM_MS),
        .loss_ppm = sim_chance(r, 2) == 0 ? 0 : (uint32_t) sim_chance(r, 30000),
        .double_ppm = sim_chance(r, 2) == 0 ? 0 : (uint32_t) sim_chance(r, 30000),
        .drift_ppm = sim_chance(r, 2) == 0 ? 0 : (int64_t) sim_chance(r, 5000),
        .compacts = sim_chance(r, 2) == 0,
        .leases = sim_chance(r, 3) != 0,
        .watches = sim_chance(r, 3) != 0,
        .reconfigures = sim_chance(r, 2) == 0,
        .strict = sim_chance(r, 2) == 0,
        .batch_interval_ms = sim_chance(r, 2) == 0 ? 100 : 5 + (int64_t) sim_chance(r, 500),
        .corrupt_check_ns = sim_chance(r, 2) == 0 ? 0 : SIM_S + sim_delay(r, 3 * SIM_S),
    };
}

static void begin(struct sim *s)
{
    struct random_seeded *all[] = {&s->setup_random,   &s->plan_random, &s->network_random,
                                   &s->disk_random,    &s->turn_random, &s->client_random,
                                   &s->operator_random};

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        (void) random_seeded_init(all[i], s->options.seed * 16 + i + 1);
    heap_init(&s->queue);
    map64_init(&s->hashes);
    arena_init(&s->arena, (size_t) 1 << 26);
    s->next_value = 1;
    choose_setup(s);
    sim_truth_init(s);
    for (uint32_t i = 0; i < SIM_MEMBERS; i++)
        sim_member_init(s, i);
}

static void heal(struct sim *s, void *arg)
{
    (void) arg;
    sim_trace(s, NULL, "the world heals");
    s->healing = true;
    sim_operator_heal(s);
}

static void be_quiet(struct sim *s, void *arg)
{
    (void) arg;
    s->quiet = true;
}

static void play(struct sim *s)
{
    sim_ns end = (sim_ns) s->options.seconds * SIM_S;

    sim_plan(s);
    sim_operator_begin(s);
    sim_clients_begin(s);
    sim_watchers_begin(s);
    sim_holders_begin(s);
    sim_at(s, end - SIM_HEAL_S * SIM_S, heal, NULL);
    sim_at(s, end - SIM_QUIET_S * SIM_S, be_quiet, NULL);
    while (s->queue.count > 0 && heap_min(&s->queue)->key <= end) {
        struct sim_event *e = CONTAINER_OF(heap_min(&s->queue), struct sim_event, item);

        s->now = e->item.key;
        heap_remove(&s->queue, &e->item);
        if (++s->result.counts.events > SIM_EVENTS_MAX)
            sim_fail(s, "more than %" PRIu64 " events: something spins", SIM_EVENTS_MAX);
        e->run(s, e->arg);
        if (e->owned)
            mem_free(e);
    }
    s->over = true;
    sim_judge(s);
}

void sim_run(const struct sim_options *o, struct sim_result *ret, struct sim *s)
{
    void *lines = s->lines;

    *s = (struct sim){.options = *o, .lines = lines};
    s->result.hash = UINT64_C(0xcbf29ce484222325);
    running = s;
    catch (SIGABRT);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    catch (SIGSEGV); /* a sanitizer has more to say about that */
#endif
    if (sigsetjmp(s->escape, 1) == 0) {
        begin(s);
        play(s);
    }
    running = NULL;
    s->result.faults_n = s->faults_n;
    memcpy(s->result.faults, s->faults, sizeof s->faults);
    s->result.counts.revisions = (uint64_t) s->revision;
    *ret = s->result;
}
