/* member.c -- one member: its actors take turns, it crashes, it comes back. */
#include "sim/member/sim.h"

#include "lib/node/node_defaults.h"

/* ---- its clock ---- */

mono_ns sim_member_now(const struct sim_member *m)
{
    sim_ns t = m->sim->now;

    return m->clock_base + t + t / 1000000 * m->ppm;
}

static mono_ns clock_mono(struct clock *c)
{
    return sim_member_now(CONTAINER_OF(c, struct sim_member, clock));
}

static wall_ms clock_wall(struct clock *c)
{
    const struct sim_member *m = CONTAINER_OF(c, struct sim_member, clock);

    return INT64_C(1700000000000) + m->sim->now / SIM_MS + m->wall_offset;
}

/* ---- turns ---- */

static sim_ns turn_delay(const struct sim_actor *a)
{
    struct sim *s = a->m->sim;
    sim_ns d = sim_delay(&s->turn_random, s->setup.turn_ns);

    if (a->which == NODE_WAL || a->which == NODE_STORE) {
        d = 20 * SIM_US + sim_delay(&s->disk_random, s->setup.disk_ns);
        if (a->m->slow_disk > 0)
            d *= 30;
    }
    if (sim_chance(&s->turn_random, 64) == 0)
        d += sim_delay(&s->turn_random, 50 * s->setup.turn_ns); /* others ran first */
    return d;
}

/* The transport, the disk or another actor; any thread. */
static void wake(void *ctx, enum node_actor which)
{
    struct sim_member *m = ctx;
    struct sim_actor *a = &m->actors[which];

    if (m->dying || (a->turn.item.at != HEAP_NOWHERE &&
                     a->turn.item.key <= m->sim->now + m->sim->setup.turn_ns))
        return;
    sim_post(m->sim, &a->turn, turn_delay(a));
}

static bool is_held(const struct sim_actor *a)
{
    return a->m->paused > 0 ||
           (a->m->hung_disk > 0 && (a->which == NODE_WAL || a->which == NODE_STORE));
}

/* False: the member died. */
static bool one_turn(struct sim_actor *a, int64_t *ret_again)
{
    struct sim_member *m = a->m;

    m->sim->turning = m;
    if (setjmp(m->death) == 0) {
        *ret_again = node_run(m->node, a->which, sim_member_now(m), clock_wall(&m->clock));
        m->sim->turning = NULL;
        return true;
    }
    m->sim->turning = NULL;
    return false;
}

static void died(struct sim_member *m)
{
    struct sim *s = m->sim;

    if (!m->expects_io)
        sim_fail(s, "member %u stops: %s", m->index + 1, m->died);
    sim_trace(s, m, "stops: %.150s", m->died);
    sim_member_crash(m, SIM_CRASH_TEAR);
    sim_member_start_later(m, sim_delay(&s->operator_random, SIM_S));
}

static void turn(struct sim *s, void *arg)
{
    struct sim_actor *a = arg;
    int64_t again = -1;

    if (!a->m->up || is_held(a))
        return; /* resumed by a wake of all */
    if (!one_turn(a, &again)) {
        died(a->m);
        return;
    }
    if (again == 0)
        sim_post(s, &a->turn, turn_delay(a));
    else if (again > 0)
        sim_post(s, &a->turn, again - again / 1000000 * a->m->ppm + SIM_US);
}

void sim_member_resume(struct sim_member *m)
{
    for (int i = 0; m->up && i < NODE_ACTORS; i++)
        sim_post(m->sim, &m->actors[i].turn, turn_delay(&m->actors[i]));
}

/* ---- calls ---- */

struct delivery {
    struct sim_member *m;
    uint32_t life;
    struct node_request *first;
};

static void answers_arrive(struct sim *s, void *arg)
{
    struct delivery *d = arg;

    if (d->m->up && d->m->life == d->life && d->m->paused > 0) {
        sim_at(s, 10 * SIM_MS, answers_arrive, d);
        return;
    }
    for (struct node_request *r = d->first, *next; r != NULL; r = next) {
        struct sim_call *c = CONTAINER_OF(r, struct sim_call, r);

        next = r->next;
        if (d->m->up && d->m->life == d->life)
            c->done(c);
    }
    mem_free(d);
}

static void deliver(struct node_sink *sink, struct node_request *first)
{
    struct sim_member *m = CONTAINER_OF(sink, struct sim_member, sink);
    struct delivery *d = xmem_calloc(1, sizeof *d);

    *d = (struct delivery){m, m->life, first};
    sim_at(m->sim, sim_delay(&m->sim->turn_random, m->sim->setup.turn_ns), answers_arrive, d);
}

struct sim_call *sim_call_new(struct sim_member *m, enum node_request_kind kind,
                              void (*done)(struct sim_call *c), void *owner)
{
    struct sim_call *c = xmem_calloc(1, sizeof *c);

    c->m = m;
    c->life = m->life;
    c->done = done;
    c->owner = owner;
    c->r.kind = kind;
    c->r.sink = &m->sink;
    c->r.arena = arena_new((size_t) 16 << 20);
    return c;
}

void sim_call_body(struct sim_call *c, uint32_t op, const ProtobufCMessage *body)
{
    size_t n = wire_size(body);
    uint8_t *p = arena_alloc(c->r.arena, n + 1);

    ASSERT(p != NULL);
    c->r.op = op;
    c->r.body = bytes_of(p, protobuf_c_message_pack(body, p));
}

void sim_call_submit(struct sim_call *c)
{
    node_submit(c->m->node, &c->r);
}

bool sim_call_ok(const struct sim_call *c)
{
    return c->r.result.err == API_OK && c->r.result.code == GRPC_OK;
}

void sim_call_free(struct sim_call *c)
{
    arena_free(c->r.arena);
    mem_free(c);
}

/* ---- life ---- */

void sim_member_init(struct sim *s, uint32_t index)
{
    struct sim_member *m = &s->members[index];

    *m = (struct sim_member){.sim = s, .index = index};
    m->clock = (struct clock){clock_mono, clock_wall};
    for (int i = 0; i < NODE_ACTORS; i++) {
        m->actors[i] = (struct sim_actor){.m = m, .which = (enum node_actor) i};
        heap_item_init(&m->actors[i].turn.item);
        m->actors[i].turn.run = turn;
        m->actors[i].turn.arg = &m->actors[i];
    }
}

/* Names and URLs are never used twice. */
static void name_it(struct sim_member *m, uint32_t number)
{
    (void) snprintf(m->name, sizeof m->name, "m%u", number);
    (void) snprintf(m->peer_url, sizeof m->peer_url, "http://10.0.0.%u:2380", number);
    (void) snprintf(m->client_url, sizeof m->client_url, "http://10.0.0.%u:2379", number);
}

void sim_member_prepare(struct sim_member *m, uint64_t joined_id)
{
    struct sim *s = m->sim;

    ASSERT(!m->up);
    m->disk = simdisk_new(random_u64(&s->disk_random.random));
    (void) random_seeded_init(&m->chance, random_u64(&s->setup_random.random));
    m->ppm = s->setup.drift_ppm == 0
                 ? 0
                 : (int64_t) sim_chance(&s->setup_random, (uint64_t) (2 * s->setup.drift_ppm + 1)) -
                       s->setup.drift_ppm;
    m->clock_base = sim_delay(&s->setup_random, 1000 * SIM_S);
    m->joined_id = m->id = joined_id;
    m->removed = false;
    m->wanted = true;
    if (joined_id == 0)
        name_it(m, m->index + 1);
}

void sim_member_reserve(struct sim_member *m)
{
    m->reserved = true;
    name_it(m, (uint32_t) (10 + m->sim->joiners));
}

static void configure(const struct sim_member *m, struct node_config *c, const char *const *names,
                      const char *const *urls, const char *const *own)
{
    const struct sim *s = m->sim;

    *c = node_defaults();
    c->name = m->name;
    c->data_dir = "/data";
    c->cluster_token = "sim";
    c->initial_names = names;
    c->initial_urls = urls;
    c->initial_n = s->setup.members;
    c->initial_existing = m->joined_id != 0;
    c->joined_member_id = m->joined_id;
    c->joined_cluster_id = s->cluster_id;
    c->peer_urls = own;
    c->peer_urls_n = 1;
    c->client_urls = own + 1;
    c->client_urls_n = 1;
    c->tick_ms = s->setup.tick_ms;
    c->pre_vote = s->setup.pre_vote;
    c->snapshot_count = s->setup.snapshot_count;
    c->catchup_entries = s->setup.catchup_entries;
    c->batch_interval_ms = s->setup.batch_interval_ms;
    c->compaction_batch = 50;
    c->strict_reconfig = s->setup.strict;
    c->corrupt_check_ns = s->setup.corrupt_check_ns;
    c->compact_check_ns = s->setup.corrupt_check_ns;
    c->wal_segment_bytes = s->setup.segment_bytes;
}

NORETURN static void fatal(void *ctx, const char *why)
{
    struct sim_member *m = ctx;

    (void) snprintf(m->died, sizeof m->died, "%s", why);
    longjmp(m->death, 1);
}

void sim_member_aborts(struct sim_member *m)
{
    fatal(m, "the process aborted");
}

static void on_removed(void *ctx)
{
    struct sim_member *m = ctx;

    if (!m->removed)
        sim_trace(m->sim, m, "learns that it was removed");
    m->removed = true;
}

/* With a trace the members' own lines are printed, too. */
static struct log *log_of(struct sim_member *m)
{
    static const char *const outputs[] = {"stdout"};
    struct log_options o = {.format = LOG_FORMAT_CONSOLE,
                            .outputs = outputs,
                            .outputs_n = ARRAY_LEN(outputs),
                            .clock = &m->clock};
    struct log *l;
    struct err e = ERR_INIT;

    if (!m->sim->options.trace || log_open(&o, &l, &e) != 0)
        return NULL;
    return log_named(l, m->name);
}

static int open_node(struct sim_member *m, struct err *e)
{
    const char *names[SIM_MEMBERS], *urls[SIM_MEMBERS], *own[] = {m->peer_url, m->client_url};
    static char initial[SIM_MEMBERS][2][40]; /* as they were at first */
    struct node_config c;
    volatile int rc;
    struct node_env env = {.disk = simdisk_disk(m->disk),
                           .random = &m->chance.random,
                           .clock = &m->clock,
                           .log = log_of(m),
                           .wake = wake,
                           .wake_ctx = m,
                           .transport = sim_transport(m),
                           .fatal = fatal,
                           .removed = on_removed,
                           .ctx = m};

    for (unsigned i = 0; i < SIM_MEMBERS; i++) {
        (void) snprintf(initial[i][0], sizeof initial[i][0], "m%u", i + 1);
        (void) snprintf(initial[i][1], sizeof initial[i][1], "http://10.0.0.%u:2380", i + 1);
        names[i] = initial[i][0];
        urls[i] = initial[i][1];
    }
    configure(m, &c, names, urls, own);
    m->sim->turning = m;
    if (setjmp(m->death) == 0)
        rc = node_open(&c, &env, sim_member_now(m), clock_wall(&m->clock), &m->node, e);
    else
        rc = err_set(e, ERR_IO, "%s", m->died);
    m->sim->turning = NULL;
    return rc;
}

/* The apply actor runs first, so that it sees the recorder before any entry. */
static bool first_turn(struct sim_member *m)
{
    struct node_status st;
    int64_t again;

    m->sink.deliver = deliver;
    node_sink_add(m->node, &m->sink);
    m->reader = mvcc_reader_new(node_mvcc(m->node));
    node_status(m->node, &st);
    m->id = st.member_id;
    m->sim->cluster_id = st.cluster_id;
    sim_record_begin(m);
    return one_turn(&m->actors[NODE_APPLY], &again);
}

static void start_failed(struct sim_member *m, const struct err *e)
{
    if (!m->expects_io)
        sim_fail(m->sim, "member %u cannot start: %s", m->index + 1, e->msg);
    sim_trace(m->sim, m, "cannot start: %.150s", e->msg);
    sim_member_crash(m, SIM_CRASH_TEAR);
    sim_member_start_later(m, sim_delay(&m->sim->operator_random, SIM_S));
}

static void start_if_down(struct sim *s, void *arg)
{
    struct sim_member *m = arg;

    (void) s;
    if (!m->up && m->wanted && m->disk != NULL)
        sim_member_start(m);
}

void sim_member_start_later(struct sim_member *m, sim_ns delay)
{
    sim_at(m->sim, delay, start_if_down, m);
}

/* The power goes again while it recovers. */
static void may_fail_again(struct sim_member *m)
{
    struct sim *s = m->sim;

    if (s->healing || m->life <= 1 || sim_chance(&s->disk_random, 6) != 0)
        return;
    m->expects_io = true;
    simdisk_cut_after(m->disk, 1 + sim_chance(&s->disk_random, 40));
}

void sim_member_start(struct sim_member *m)
{
    struct err e = ERR_INIT;
    int rc;

    ASSERT(!m->up);
    m->life++;
    m->node = NULL;
    m->reader = NULL;
    m->recorder = NULL;
    m->view = NULL;
    m->stopping = m->dying = false;
    m->revision_seen = 0;
    m->streams = m->carryings = 0;
    m->up = true;
    may_fail_again(m);
    rc = open_node(m, &e);
    if (rc != 0 || !first_turn(m)) {
        start_failed(m, &e);
        return;
    }
    sim_trace(m->sim, m, "starts");
    sim_member_resume(m);
}

/* Everything in memory is left where it is. */
static void forget(struct sim_member *m)
{
    m->up = false;
    for (int i = 0; i < NODE_ACTORS; i++)
        sim_cancel(m->sim, &m->actors[i].turn);
    sim_network_crashed(m);
    sim_clients_crashed(m);
    sim_watchers_crashed(m);
    m->node = NULL;
    m->dying = false;
}

void sim_member_crash(struct sim_member *m, enum simdisk_crash_mode mode)
{
    static const char *const how[] = {"", " and loses what it had not synced",
                                      " and half of what it wrote is there"};

    if (!m->up)
        return;
    m->dying = true;
    m->sim->result.counts.crashes++;
    sim_trace(m->sim, m, "crashes%s", how[mode]);
    simdisk_crash(m->disk, mode);
    m->expects_io = false;
    forget(m);
}

/* ---- a stop in order ---- */

static bool finish_stop(struct sim_member *m)
{
    volatile bool ok = false;

    m->sim->turning = m;
    if (setjmp(m->death) == 0) {
        mvcc_reader_free(m->reader);
        node_close(m->node);
        ok = true;
    }
    m->sim->turning = NULL;
    return ok;
}

static void poll_stop(struct sim *s, void *arg)
{
    struct sim_member *m = arg;

    if (!m->up || !m->stopping)
        return;
    if (!node_stopped(m->node)) {
        sim_at(s, SIM_MS, poll_stop, m);
        return;
    }
    if (!finish_stop(m)) {
        died(m);
        return;
    }
    sim_trace(s, m, "has stopped");
    forget(m);
}

static void poll_closed(struct sim *s, void *arg)
{
    struct sim_member *m = arg;

    if (!m->up || !m->stopping)
        return;
    if (m->streams > 0 || m->carryings > 0) {
        sim_at(s, SIM_MS, poll_closed, m);
        return;
    }
    node_stop(m->node);
    sim_at(s, SIM_MS, poll_stop, m);
}

void sim_member_stop(struct sim_member *m)
{
    if (!m->up || m->stopping)
        return;
    sim_trace(m->sim, m, "is asked to stop");
    m->stopping = true;
    sim_clients_crashed(m); /* their connections end */
    sim_watchers_stop(m);
    sim_record_end(m);
    sim_at(m->sim, 10 * SIM_MS, poll_closed, m);
}

bool sim_member_serves(const struct sim_member *m)
{
    struct node_status st;

    if (!m->up || m->stopping || m->dying)
        return false;
    node_status(m->node, &st);
    return st.ready;
}

struct sim_member *sim_member_of(struct sim *s, uint64_t id)
{
    for (uint32_t i = 0; i < SIM_MEMBERS; i++)
        if (s->members[i].disk != NULL && s->members[i].id == id && id != 0)
            return &s->members[i];
    return NULL;
}

struct sim_member *sim_leader(struct sim *s)
{
    struct sim_member *best = NULL;
    raft_term term = 0;

    for (uint32_t i = 0; i < SIM_MEMBERS; i++) {
        struct node_status st;

        if (!s->members[i].up)
            continue;
        node_status(s->members[i].node, &st);
        if (st.is_leader && st.term >= term) {
            best = &s->members[i];
            term = st.term;
        }
    }
    return best;
}
