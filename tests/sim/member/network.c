/* network.c -- between members: messages as bytes on a wire, lost, delayed, doubled, overtaken, cut
 * off; and the questions that a member's peer port answers.
 *
 * One thing the real transport never does is not done here either: a proposal on its way to the
 * leader is not doubled, for nothing in raft would notice (etcd relies on it as well).
 */
#include "sim/member/sim.h"

#include "lease.pb-c.h"

#define HEARD_NS (2 * SIM_S) /* silence that ends an active connection */

static bool is_cut(const struct sim *s, uint32_t from, uint32_t to)
{
    return s->cut[from][to] > 0;
}

static sim_ns delay(struct sim *s)
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
    return from != to && !is_cut(s, from, to) && !sim_happens(&s->network_random, loss_ppm(s) / 4);
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

static void heard(struct sim_member *m, uint32_t from)
{
    sim_ns now = m->sim->now;

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
    if (!m->up || m->id != p->to_id || is_cut(s, p->from->index, m->index)) {
        if (sim_chance(&s->network_random, 8) == 0)
            report(s, p->from, p->from_life, p->to_id, false);
    } else if (m->view != NULL && cluster_view_is_removed(m->view, p->from->id)) {
        report(s, p->from, p->from_life, p->to_id, true);
    } else {
        heard(m, p->from->index);
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
    sim_at(s, delay(s), arrive, p);
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
    if (is_cut(s, from->index, to->index) || sim_happens(&s->network_random, loss_ppm(s))) {
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

/* ---- questions ---- */

struct question {
    struct sim *s;
    struct node_question *q; /* NULL: the asker has its answer, or waits no more */
    struct sim_member *from, *to;
    uint32_t from_life, to_life;
    bool internal; /* which page */
    int64_t lease_id;
    bool keys;
    int status;
    struct bytes answer;
    unsigned refs; /* events and calls that know it */
};

static void question_unref(struct question *x)
{
    if (--x->refs > 0)
        return;
    mem_free((void *) (uintptr_t) x->answer.p);
    mem_free(x);
}

static void question_end(struct question *x, int status, struct bytes answer)
{
    struct node_question *q = x->q;

    x->q = NULL;
    if (q != NULL && x->from->up && x->from->life == x->from_life)
        q->done(q, status, answer);
}

static void on_late(struct sim *s, void *arg)
{
    (void) s;
    question_end(arg, 0, BYTES_EMPTY);
    question_unref(arg);
}

static void on_reply(struct sim *s, void *arg)
{
    struct question *x = arg;

    if (!is_cut(s, x->to->index, x->from->index))
        question_end(x, x->status, x->answer);
    question_unref(x);
}

static void reply(struct question *x, int status, const ProtobufCMessage *m)
{
    size_t n = m == NULL ? 0 : wire_size(m);
    uint8_t *p = xmem_alloc(n + 1);

    if (m != NULL)
        protobuf_c_message_pack(m, p);
    x->status = status;
    x->answer = bytes_of(p, n);
    x->refs++;
    sim_at(x->s, delay(x->s), on_reply, x);
}

/* As edge/peer answers: asks.c there. */
static void reply_ttl(struct question *x, Etcdserverpb__LeaseTimeToLiveResponse *m)
{
    Leasepb__LeaseInternalResponse res = LEASEPB__LEASE_INTERNAL_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;

    m->header = &header;
    res.leasetimetoliveresponse = m;
    if (m->ttl < 0 && m->grantedttl == 0)
        reply(x, 404, NULL);
    else
        reply(x, 200, &res.base);
}

static void on_answer(struct sim_call *c)
{
    struct question *x = c->owner;

    if (!sim_call_ok(c))
        reply(x, 400, NULL);
    else if (x->internal)
        reply_ttl(x, (Etcdserverpb__LeaseTimeToLiveResponse *) c->r.result.msg);
    else if (((Etcdserverpb__LeaseKeepAliveResponse *) c->r.result.msg)->ttl <= 0)
        reply(x, 404, NULL);
    else
        reply(x, 200, c->r.result.msg);
    question_unref(x);
    sim_call_free(c);
}

static void on_question(struct sim *s, void *arg)
{
    struct question *x = arg;
    struct sim_call *c;

    if (!x->to->up || x->to->stopping || is_cut(s, x->from->index, x->to->index)) {
        question_unref(x);
        return;
    }
    c = sim_call_new(x->to, x->internal ? NODE_REQ_LEASE_TTL : NODE_REQ_LEASE_KEEPALIVE, on_answer,
                     x);
    c->r.lease_id = x->lease_id;
    c->r.keys = x->keys;
    c->r.of_member = true;
    sim_call_submit(c);
}

static void read_body(struct sim *s, struct question *x, struct bytes body)
{
    Etcdserverpb__LeaseKeepAliveRequest *k;
    Leasepb__LeaseInternalRequest *t;
    struct err e = ERR_INIT;

    arena_reset(&s->arena);
    if (x->internal) {
        if (WIRE_DECODE(leasepb__lease_internal_request, body, &s->arena, &t, &e) != 0 ||
            t->leasetimetoliverequest == NULL)
            sim_fail(s, "a question cannot be read: %s", e.msg);
        x->lease_id = t->leasetimetoliverequest->id;
        x->keys = t->leasetimetoliverequest->keys;
    } else {
        if (WIRE_DECODE(etcdserverpb__lease_keep_alive_request, body, &s->arena, &k, &e) != 0)
            sim_fail(s, "a question cannot be read: %s", e.msg);
        x->lease_id = k->id;
    }
}

static void ask(void *ctx, struct node_question *q)
{
    struct sim_member *m = ctx;
    struct sim *s = m->sim;
    struct question *x = xmem_calloc(1, sizeof *x);

    *x = (struct question){.s = s, .q = q, .from = m, .from_life = m->life, .refs = 1};
    x->internal = strcmp(q->path, "/leases/internal") == 0;
    read_body(s, x, q->body);
    x->to = sim_member_of(s, q->to);
    sim_at(s, q->timeout_ms * SIM_MS, on_late, x);
    if (x->to == NULL || is_cut(s, m->index, x->to->index))
        return;
    x->refs++;
    sim_at(s, delay(s), on_question, x);
}

const struct node_transport *sim_transport(struct sim_member *m)
{
    m->transport = (struct node_transport){.send = send,
                                           .members = members,
                                           .active_since = active_since,
                                           .ask = ask,
                                           .send_snapshot = sim_send_snapshot,
                                           .ctx = m};
    return &m->transport;
}
