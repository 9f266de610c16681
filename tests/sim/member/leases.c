/* leases.c -- clients that hold leases: they are granted, have keys put on them, are kept alive
 * for a while, and then revoked or left to end.
 *
 * What is judged: a lease whose keep-alive was answered lasts its whole time from when that was
 * sent; one that nobody keeps alive ends, and its keys go with it.
 */
#include "sim/member/sim.h"

#define OP_LEASE_GRANT 8
#define DRIFT_PPM_MAX 12000 /* of two clocks against the world's, and rounding */

/* ---- the table ---- */

static struct sim_lease *lease_new(struct sim *s)
{
    struct sim_leases *t = &s->leases;
    struct sim_lease *l = xmem_calloc(1, sizeof *l);

    if (t->n == t->cap) {
        t->cap = t->cap == 0 ? 64 : t->cap * 2;
        t->v = xmem_realloc(t->v, t->cap * sizeof t->v[0]);
    }
    l->id = (int64_t) (t->n + 1) * 1000;
    t->v[t->n++] = l;
    return l;
}

struct sim_lease *sim_lease_of(struct sim *s, int64_t id)
{
    for (size_t i = 0; i < s->leases.n; i++)
        if (s->leases.v[i]->id == id)
            return s->leases.v[i];
    return NULL;
}

int64_t sim_lease_some(struct sim *s, struct random_seeded *r)
{
    struct sim_lease *l;

    if (s->leases.n == 0)
        return 0;
    l = s->leases.v[s->leases.n - 1 - sim_chance(r, MIN(s->leases.n, (size_t) SIM_HOLDERS))];
    return l->revoked || l->kept.n == 0 ? 0 : l->id;
}

static sim_ns lasts(const struct sim_lease *l, sim_ns from)
{
    return from + l->ttl_s * (SIM_S - SIM_S / 1000000 * DRIFT_PPM_MAX);
}

/* `at`: when it was seen to have ended, by whom. */
static void check_not_early(struct sim *s, const struct sim_lease *l, sim_ns at, const char *by)
{
    if (l->revoked)
        return;
    for (size_t i = 0; i < l->kept.n; i++) {
        sim_ns from = (sim_ns) l->kept.v[i];

        if (from < at && at < lasts(l, from))
            sim_fail(s,
                     "%s: lease %" PRId64 " of %" PRId64 " s ended at %" PRId64 ".%03" PRId64
                     ", but a keep-alive of %" PRId64 ".%03" PRId64 " was answered",
                     by, l->id, l->ttl_s, at / SIM_S, at % SIM_S / SIM_MS, from / SIM_S,
                     from % SIM_S / SIM_MS);
    }
}

void sim_lease_ended(struct sim *s, struct sim_lease *l, int64_t revision, sim_ns at)
{
    (void) revision;
    s->result.counts.leases_ended++;
    check_not_early(s, l, at, "its keys are gone");
}

/* With all faults over, what nobody keeps alive is gone. */
void sim_leases_end(struct sim *s, const struct model_state *last)
{
    sim_ns healed = (sim_ns) (s->options.seconds - SIM_HEAL_S) * SIM_S;

    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        const struct model_kv *kv = &last->keys[k];
        const struct sim_lease *l = kv->lease == 0 ? NULL : sim_lease_of(s, kv->lease);

        if (kv->create == 0 || kv->lease == 0)
            continue;
        if (l == NULL)
            sim_fail(s, "k%02u is on a lease that nobody asked for", k);
        if (l->asked_last < healed && s->leader_since + (l->ttl_s + 3) * SIM_S < s->now)
            sim_fail(s,
                     "lease %" PRId64 " of %" PRId64 " s was last kept alive at %" PRId64
                     ".%03" PRId64 ", but k%02u is still there at the end",
                     l->id, l->ttl_s, l->asked_last / SIM_S, l->asked_last % SIM_S / SIM_MS, k);
    }
}

/* ---- the holder ---- */

/* One question under way; void when the holder has gone on. */
struct asked {
    struct sim_holder *h;
    struct sim_lease *l;
    uint64_t round;
    sim_ns at;
};

static void again(struct sim_holder *h, sim_ns delay)
{
    sim_cancel(h->s, &h->again);
    sim_post(h->s, &h->again, delay);
}

static struct sim_call *call_new(struct sim_holder *h, struct sim_member *m,
                                 enum node_request_kind kind, void (*done)(struct sim_call *c))
{
    struct asked *a = xmem_calloc(1, sizeof *a);

    *a = (struct asked){h, h->lease, ++h->round, h->s->now};
    again(h, SIM_S + sim_delay(&h->s->client_random, 3 * SIM_S)); /* if nobody answers */
    return sim_call_new(m, kind, done, a);
}

static void kept(struct sim_lease *l, sim_ns from)
{
    words_add(&l->kept, (uint64_t) from);
}

static void on_granted(struct sim_call *c)
{
    struct asked *a = c->owner;
    struct sim_holder *h = a->h;

    if (sim_call_ok(c)) {
        a->l->ttl_s = ((Etcdserverpb__LeaseGrantResponse *) c->r.result.msg)->ttl;
        kept(a->l, a->at);
        sim_detail(h->s, c->m, "lease %" PRId64 " is granted for %" PRId64 " s", a->l->id,
                   a->l->ttl_s);
        if (a->round == h->round) {
            h->step = 1;
            again(h, SIM_MS);
        }
    }
    mem_free(a);
    sim_call_free(c);
}

static void on_kept(struct sim_call *c)
{
    struct asked *a = c->owner;
    struct sim_holder *h = a->h;
    struct sim *s = h->s;
    int64_t ttl;

    if (sim_call_ok(c)) {
        ttl = ((Etcdserverpb__LeaseKeepAliveResponse *) c->r.result.msg)->ttl;
        sim_detail(s, c->m, "lease %" PRId64 " is kept alive: %" PRId64, a->l->id, ttl);
        /* A former leader that has not noticed yet may not know a new lease and say 0, as etcd's
         * does: what counts is when the keys go. */
        if (ttl > 0)
            kept(a->l, a->at);
        if (a->round == h->round) {
            h->step = ttl > 0 ? 2 : 0;
            again(h, sim_delay(&s->client_random, a->l->ttl_s * SIM_S / 3));
        }
    }
    mem_free(a);
    sim_call_free(c);
}

static void grant(struct sim_holder *h, struct sim_member *m)
{
    struct sim *s = h->s;
    Etcdserverpb__LeaseGrantRequest r = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    struct sim_call *c;

    h->lease = lease_new(s);
    h->lease->ttl_s = r.ttl = 2 + (int64_t) sim_chance(&s->client_random, 3);
    h->lease->asked_last = s->now;
    h->give_up = s->now + sim_delay(&s->client_random, 8 * SIM_S);
    r.id = h->lease->id;
    s->result.counts.leases++;
    c = call_new(h, m, NODE_REQ_PROPOSE, on_granted);
    sim_call_body(c, OP_LEASE_GRANT, &r.base);
    sim_call_submit(c);
}

static void keep_alive(struct sim_holder *h, struct sim_member *m)
{
    struct sim_call *c = call_new(h, m, NODE_REQ_LEASE_KEEPALIVE, on_kept);

    c->r.lease_id = h->lease->id;
    h->lease->asked_last = h->s->now;
    sim_call_submit(c);
}

/* ---- its operations on keys: part of the history ---- */

static void answered(struct sim *s, struct sim_op *op, bool sure)
{
    struct sim_holder *h = &s->holders[op->client - SIM_CLIENTS];

    op->ret = s->now;
    op->status = !sure ? SIM_UNKNOWN : op->err != API_OK ? SIM_REFUSED : SIM_OK;
    if (h->op != op)
        return;
    h->op = NULL;
    again(h, SIM_MS);
}

static void operate(struct sim_holder *h, const struct model_op *what)
{
    struct sim *s = h->s;

    h->op = sim_op_new(s, SIM_CLIENTS + h->index);
    h->op->op = *what;
    again(h, 2 * SIM_S);
    sim_serve(s, h->op, h->member, answered);
}

static void put_own_key(struct sim_holder *h)
{
    struct model_op op = {.then_n = 1};
    unsigned key = MODEL_KEYS - 1 - h->index;

    op.then[0] = (struct model_step){.kind = MODEL_PUT,
                                     .lo = key,
                                     .hi = key + 1,
                                     .value = h->s->next_value++,
                                     .lease = h->lease->id};
    h->step = 2;
    operate(h, &op);
}

static void revoke(struct sim_holder *h)
{
    struct model_op op = {.form = MODEL_REVOKE, .lease = h->lease->id};

    h->lease->revoked = true;
    h->step = 0;
    operate(h, &op);
}

static void step(struct sim *s, void *arg)
{
    struct sim_holder *h = arg;
    struct sim_member *m;

    if (h->op != NULL && h->op->status == SIM_PENDING) {
        h->op->status = SIM_UNKNOWN;
        h->op->ret = s->now;
    }
    h->op = NULL;
    h->round++;
    if (s->healing)
        return; /* what is there ends by itself */
    h->member = sim_some_member(s, &s->client_random);
    m = &s->members[h->member];
    if (!sim_member_serves(m)) {
        again(h, 100 * SIM_MS);
        return;
    }
    if (h->step == 0 || h->lease == NULL) {
        h->step = 0;
        grant(h, m);
    } else if (h->step == 1) {
        put_own_key(h);
    } else if (s->now < h->give_up) {
        keep_alive(h, m);
    } else if (sim_chance(&s->client_random, 3) == 0) {
        revoke(h);
    } else {
        h->step = 0;
        again(h, sim_delay(&s->client_random, 3 * SIM_S));
    }
}

void sim_holders_begin(struct sim *s)
{
    for (uint32_t i = 0; s->setup.leases && i < SIM_HOLDERS; i++) {
        struct sim_holder *h = &s->holders[i];

        *h = (struct sim_holder){.s = s, .index = i};
        heap_item_init(&h->again.item);
        h->again.run = step;
        h->again.arg = h;
        again(h, SIM_S + sim_delay(&s->client_random, SIM_S));
    }
}
