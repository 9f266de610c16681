/* network.c -- between members: messages as bytes on a wire, lost, delayed, doubled, overtaken, cut
 * off.
 *
 * One thing the real transport never does is not done here either: a proposal on its way to the
 * leader is not doubled, for nothing in raft would notice (etcd relies on it as well).
 */
#include "sim/member/sim.h"

#define HEARD_NS (2 * SIM_S) /* silence that ends an active connection */
#define VERSION_NS (4 * SIM_S)

sim_ns sim_network_delay(struct sim *s)
{
    struct random_seeded *r = &s->network_random;
    sim_ns d = 50 * SIM_US + sim_delay(r, s->setup.delay_ns);

    if (s->healing)
        return SIM_MS; /* and so in order */
    if (sim_chance(r, 100) == 0)
        d += sim_delay(r, 200 * SIM_MS);
    if (s->slow_network > 0)
        d += sim_delay(r, 1500 * SIM_MS);
    return d;
}

static uint32_t loss_ppm(const struct sim *s)
{
    if (s->options.quiet_network || s->healing)
        return 0;
    return s->setup.loss_ppm + (s->lossy > 0 ? 300000 : 0);
}

bool sim_reaches(struct sim *s, uint32_t from, uint32_t to)
{
    return from != to && !cuts_between(&s->cuts, from, to) &&
           !sim_happens(&s->network_random, loss_ppm(s) / 4);
}

sim_ns sim_client_delay(struct sim *s)
{
    return 50 * SIM_US + sim_delay(&s->client_random, SIM_MS);
}

bool sim_client_loses(struct sim *s)
{
    return sim_happens(&s->client_random, loss_ppm(s) / 8);
}

/* ---- messages ---- */

struct packet {
    struct sim_member *from, *to;
    uint32_t from_life;
    uint64_t to_id; /* whoever lives there then must be the one */
    struct payload *bytes;
};

struct report {
    struct sim_member *m;
    uint32_t life;
    uint64_t about;
    bool removed;
};

static void on_report(struct sim *s, void *arg)
{
    struct report *r = arg;

    (void) s;
    if (r->m->up && r->m->life == r->life) {
        if (r->removed)
            node_report_removed(r->m->node);
        else
            node_report_unreachable(r->m->node, r->about);
    }
    mem_free(r);
}

static void report(struct sim *s, struct sim_member *m, uint32_t life, uint64_t about, bool removed)
{
    struct report *r = xmem_calloc(1, sizeof *r);

    *r = (struct report){m, life, about, removed};
    sim_at(s, sim_delay(&s->network_random, 50 * SIM_MS), on_report, r);
}

static void release(struct node_message *x)
{
    arena_done(&x->arena);
    payload_unref(x->block);
    mem_free(x);
}

static void hand_in(struct sim *s, struct sim_member *m, struct payload *bytes)
{
    struct node_message *x = xmem_calloc(1, sizeof *x);
    struct err e = ERR_INIT;

    arena_init(&x->arena, (size_t) 64 << 20);
    x->block = payload_ref(bytes);
    x->release = release;
    x->bytes = bytes->bytes;
    if (raft_message_get(bytes_of(bytes->data, bytes->bytes), &x->arena, &x->m, &e) != 0)
        sim_fail(s, "a message cannot be decoded: %s", e.msg);
    for (size_t i = 0; i < x->m.entries_n; i++)
        x->m.entries[i].owner = x->block;
    sim_detail(s, m,
               "<- %u type %d term %" PRIu64 " log %" PRIu64 "/%" PRIu64 " n %zu commit %" PRIu64
               "%s",
               sim_member_of(s, x->m.from) == NULL ? 0 : sim_member_of(s, x->m.from)->index + 1,
               (int) x->m.type, x->m.term, x->m.log_term, x->m.index, x->m.entries_n, x->m.commit,
               x->m.reject ? " reject" : "");
    node_receive(m->node, x);
}

static void heard(struct sim_member *m, const struct sim_member *other)
{
    sim_ns now = m->sim->now;
    uint32_t from = other->index;

    /* Streams tell the release when they are opened; a transport asks for it now and then. */
    if (m->heard_last[from] == 0 || now - m->told_version[from] > VERSION_NS) {
        m->told_version[from] = now;
        node_report_version(m->node, other->id, CLUSTER_VERSION(3, 7));
    }

    if (m->heard_last[from] == 0 || now - m->heard_last[from] > HEARD_NS)
        m->heard_since[from] = now;
    m->heard_last[from] = now;
}

static void arrive(struct sim *s, void *arg)
{
    struct packet *p = arg;
    struct sim_member *m = p->to;

    if (m->up && m->id == p->to_id && m->paused > 0 && sim_chance(&s->network_random, 2) == 0) {
        sim_at(s, 200 * SIM_MS, arrive, p); /* in a buffer of its kernel */
        return;
    }
    if (!m->up || m->id != p->to_id || cuts_between(&s->cuts, p->from->index, m->index)) {
        if (sim_chance(&s->network_random, 8) == 0)
            report(s, p->from, p->from_life, p->to_id, false);
    } else if (m->view != NULL && cluster_view_is_removed(m->view, p->from->id)) {
        report(s, p->from, p->from_life, p->to_id, true);
    } else {
        heard(m, p->from);
        hand_in(s, m, p->bytes);
    }
    payload_unref(p->bytes);
    mem_free(p);
}

static void post(struct sim *s, struct sim_member *from, struct sim_member *to,
                 struct payload *bytes)
{
    struct packet *p = xmem_calloc(1, sizeof *p);

    *p = (struct packet){from, to, from->life, to->id, payload_ref(bytes)};
    sim_at(s, sim_network_delay(s), arrive, p);
}

/* A transport knows the members, and, while it knows none, who has written to it. */
static bool is_known(const struct sim_member *from, const struct sim_member *to)
{
    if (from->view == NULL || cluster_view_is_removed(from->view, to->id))
        return false;
    return cluster_view_member(from->view, to->id) != NULL || from->heard_last[to->index] != 0;
}

static void send_one(struct sim *s, struct sim_member *from, const struct raft_message *x)
{
    struct sim_member *to = sim_member_of(s, x->to);
    struct payload *bytes;

    if (to == NULL || !is_known(from, to))
        return;
    if (cuts_between(&s->cuts, from->index, to->index) ||
        sim_happens(&s->network_random, loss_ppm(s))) {
        if (sim_chance(&s->network_random, 8) == 0)
            report(s, from, from->life, x->to, false);
        return;
    }
    bytes = payload_new(raft_message_size(x));
    ASSERT(bytes != NULL);
    raft_message_put(x, bytes->data);
    post(s, from, to, bytes);
    if (x->type != RAFT_MSG_PROP && !s->options.quiet_network && !s->healing &&
        sim_happens(&s->network_random, s->setup.double_ppm))
        post(s, from, to, bytes);
    payload_unref(bytes);
}

static void send(void *ctx, const struct raft_message *v, size_t n)
{
    struct sim_member *m = ctx;

    for (size_t i = 0; i < n; i++)
        send_one(m->sim, m, &v[i]);
}

static void members(void *ctx, const struct cluster_view *v)
{
    struct sim_member *m = ctx;

    cluster_view_unref(m->view);
    m->view = cluster_view_ref(v);
}

static mono_ns active_since(void *ctx, raft_id id)
{
    struct sim_member *m = ctx;
    const struct sim_member *other = sim_member_of(m->sim, id);
    sim_ns now = m->sim->now;

    if (other == NULL || m->heard_last[other->index] == 0 ||
        now - m->heard_last[other->index] > HEARD_NS)
        return 0;
    return sim_member_now(m) - (now - m->heard_since[other->index]);
}

void sim_network_crashed(struct sim_member *m)
{
    memset(m->heard_last, 0, sizeof m->heard_last);
    m->view = NULL;
}

const struct node_transport *sim_transport(struct sim_member *m)
{
    m->transport = (struct node_transport){.send = send,
                                           .members = members,
                                           .active_since = active_since,
                                           .ask = sim_ask,
                                           .send_snapshot = sim_send_snapshot,
                                           .ctx = m};
    return &m->transport;
}
