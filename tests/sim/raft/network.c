#include "sim/raft/sim.h"

struct payload *sim_encode(const struct raft_message *m)
{
    size_t n = raft_message_size(m);
    struct payload *p = payload_new(n);

    ASSERT(p != NULL);
    ASSERT(raft_message_put(m, p->data) == p->data + n);
    return p;
}

static sim_us delay(struct sim *s)
{
    struct random_seeded *r = &s->network_random;
    sim_us d = 100 + sim_chance(r, s->setup.delay_us);

    if (s->healing)
        return SIM_MS; /* and so in order */
    if (sim_chance(r, 100) == 0)
        d += sim_chance(r, 200 * SIM_MS);
    if (s->slow_network > 0)
        d += sim_chance(r, 1500 * SIM_MS);
    return d;
}

static void post(struct sim *s, struct sim_member *from, uint32_t to, struct payload *bytes)
{
    struct sim_event *e = sim_at(s, delay(s), SIM_DELIVER, to);

    e->other = from->index;
    e->life = 0; /* whoever lives there then */
    e->bytes = payload_ref(bytes);
}

/* Kinds of report. */
enum { REPORT_UNREACHABLE, REPORT_SNAPSHOT_LOST, REPORT_SNAPSHOT_ARRIVED };

static void report(struct sim *s, uint32_t sender, uint32_t about, uint32_t kind)
{
    struct sim_event *e = sim_at(s, 1 + sim_chance(&s->network_random, 50 * SIM_MS), SIM_REPORT,
                                 sender);

    e->other = about;
    e->extra = kind;
    e->life = 0;
}

static void lost(struct sim *s, uint32_t from, uint32_t to, enum raft_message_type type)
{
    if (type == RAFT_MSG_SNAP)
        report(s, from, to, REPORT_SNAPSHOT_LOST);
    else if (sim_chance(&s->network_random, 8) == 0)
        report(s, from, to, REPORT_UNREACHABLE);
}

/* Takes the bytes. */
void sim_send(struct sim *s, struct sim_member *from, struct payload *bytes, raft_id to,
              enum raft_message_type type)
{
    uint32_t ppm = s->options.quiet_network || s->healing ? 0 : s->setup.loss_ppm;
    uint32_t index = (uint32_t) to - 1;

    ASSERT(to >= 1);
    ASSERT(to <= SIM_MEMBERS);
    if (s->lossy > 0 && !s->healing)
        ppm += 300000;
    if (cuts_between(&s->cuts, from->index, index) || sim_happens(&s->network_random, ppm)) {
        lost(s, from->index, index, type);
    } else {
        post(s, from, index, bytes);
        if (!s->options.quiet_network && sim_happens(&s->network_random, s->setup.double_ppm))
            post(s, from, index, bytes);
    }
    payload_unref(bytes);
}

void sim_deliver(struct sim *s, struct sim_event *e)
{
    struct sim_member *m = &s->members[e->member];
    struct raft_message x;
    struct err err = ERR_INIT;

    arena_reset(&s->arena);
    if (raft_message_get(bytes_of(e->bytes->data, e->bytes->bytes), &s->arena, &x, &err) != 0)
        sim_fail(s, "a message cannot be decoded: %s", err.msg);
    if (!m->up || m->paused || cuts_between(&s->cuts, e->other, e->member)) {
        lost(s, e->other, e->member, x.type);
        return;
    }
    for (size_t i = 0; i < x.entries_n; i++)
        x.entries[i].owner = e->bytes;
    sim_trace(s, m,
              "<- %u %d term %" PRIu64 " log %" PRIu64 "/%" PRIu64 " n %zu commit %" PRIu64 "%s",
              e->other + 1, (int) x.type, x.term, x.log_term, x.index, x.entries_n, x.commit,
              x.reject ? " reject" : "");
    if (x.type == RAFT_MSG_SNAP)
        report(s, e->other, e->member, REPORT_SNAPSHOT_ARRIVED);
    int rc = raft_step(m->raft, &x);

    if (rc == ERR_RAFT_LOG_LOST)
        sim_fail(s, "member %" PRIu64 " has lost what it acknowledged", sim_id(m));
    if (rc != 0)
        sim_hash(s, (uint64_t) -rc);
    sim_member_pump(s, m);
}

void sim_report(struct sim *s, struct sim_event *e)
{
    struct sim_member *m = &s->members[e->member];

    if (!m->up)
        return; /* the process that wanted to know is gone */
    if (m->paused) {
        report(s, e->member, e->other, e->extra);
        return;
    }
    if (e->extra == REPORT_UNREACHABLE)
        raft_report_unreachable(m->raft, e->other + 1);
    else
        raft_report_snapshot(m->raft, e->other + 1, e->extra == REPORT_SNAPSHOT_ARRIVED);
    sim_member_pump(s, m);
}
