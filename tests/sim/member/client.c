/* client.c -- clients of the key space.  Each has one operation under way, at some member, and
 * remembers when it asked, what it was told and when; after a while it gives up and no longer knows
 * what became of it. */
#include "sim/member/sim.h"

#define OP_COMPACTION 7

struct sim_op *sim_op_new(struct sim *s, uint32_t client)
{
    struct sim_history *h = &s->history;
    struct sim_op *op = xmem_calloc(1, sizeof *op);

    if (h->n == h->cap) {
        h->cap = h->cap == 0 ? 1024 : h->cap * 2;
        h->v = xmem_realloc(h->v, h->cap * sizeof h->v[0]);
    }
    op->number = h->n;
    op->client = client;
    op->call = s->now;
    h->v[h->n++] = op;
    s->result.counts.ops++;
    return op;
}

uint32_t sim_some_member(struct sim *s, struct random_seeded *r)
{
    uint32_t i = (uint32_t) sim_chance(r, SIM_MEMBERS);

    for (uint32_t k = 0; k < SIM_MEMBERS; k++) {
        uint32_t at = (i + k) % SIM_MEMBERS;

        if (s->members[at].disk != NULL && s->members[at].wanted)
            return at;
    }
    return 0;
}

/* ---- what to ask ---- */

static unsigned some_key(struct sim *s)
{
    /* A few keys are wanted by all. */
    return (unsigned) sim_chance(&s->client_random,
                                 sim_chance(&s->client_random, 2) == 0 ? 3 : MODEL_KEYS);
}

static void some_range(struct sim *s, struct model_step *x)
{
    x->lo = some_key(s);
    x->hi = x->lo + 1;
    if (sim_chance(&s->client_random, 3) == 0)
        x->hi = x->lo + 1 + (unsigned) sim_chance(&s->client_random, MODEL_KEYS - x->lo);
}

static void get(struct sim *s, struct model_step *x)
{
    *x = (struct model_step){.kind = MODEL_RANGE};
    some_range(s, x);
    if (sim_chance(&s->client_random, 4) == 0)
        x->limit = 1 + (int64_t) sim_chance(&s->client_random, 4);
    x->keys_only = sim_chance(&s->client_random, 8) == 0;
}

static void put(struct sim *s, struct model_step *x, unsigned key)
{
    *x = (struct model_step){.kind = MODEL_PUT,
                             .lo = key,
                             .hi = key + 1,
                             .value = s->next_value++,
                             .prev_kv = sim_chance(&s->client_random, 3) == 0};
    if (sim_chance(&s->client_random, 4) == 0)
        x->lease = sim_lease_some(s, &s->client_random);
}

static void delete (struct sim *s, struct model_step *x)
{
    *x = (struct model_step){.kind = MODEL_DELETE,
                             .prev_kv = sim_chance(&s->client_random, 3) == 0};
    some_range(s, x);
}

static void compare(struct sim_client *c, struct model_compare *x)
{
    struct sim *s = c->s;

    *x = (struct model_compare){.key = some_key(s)};
    if (sim_chance(&s->client_random, 3) != 0) {
        x->target = MODEL_MOD;
        x->operand = c->mod_seen[x->key];
        return;
    }
    x->target = (enum model_target) sim_chance(&s->client_random, 4);
    x->relation = (enum model_relation) sim_chance(&s->client_random, 4);
    x->operand = (int64_t) sim_chance(&s->client_random,
                                      x->target == MODEL_VERSION ? 5 : (uint64_t) s->revision + 10);
}

static void txn_branch(struct sim *s, struct model_step *v, size_t *ret_n, bool writes)
{
    unsigned key = some_key(s);

    *ret_n = 1 + sim_chance(&s->client_random, MODEL_STEPS_MAX);
    for (size_t i = 0; i < *ret_n; i++) {
        uint64_t what = writes ? sim_chance(&s->client_random, 4) : 0;

        /* No key is written twice: that is refused before it gets anywhere. */
        if (what <= 1) {
            get(s, &v[i]);
            continue;
        }
        if (what == 2) {
            put(s, &v[i], key);
        } else {
            delete (s, &v[i]);
            v[i].lo = key;
            v[i].hi = key + 1;
        }
        key = (key + 1) % MODEL_KEYS;
    }
}

static void txn(struct sim_client *c, struct model_op *op)
{
    struct sim *s = c->s;
    bool writes = sim_chance(&s->client_random, 4) != 0;

    op->form = MODEL_TXN;
    op->compares_n = sim_chance(&s->client_random, MODEL_COMPARES_MAX + 1);
    for (size_t i = 0; i < op->compares_n; i++)
        compare(c, &op->compares[i]);
    txn_branch(s, op->then, &op->then_n, writes);
    txn_branch(s, op->other, &op->other_n, writes);
}

static void choose(struct sim_client *c, struct sim_op *op)
{
    struct sim *s = c->s;
    uint64_t what = sim_chance(&s->client_random, 100);

    op->op.then_n = 1;
    if (what < 35) {
        put(s, &op->op.then[0], some_key(s));
    } else if (what < 43) {
        delete (s, &op->op.then[0]);
    } else if (what < 63) {
        txn(c, &op->op);
    } else {
        get(s, &op->op.then[0]);
        op->serializable = what >= 85;
        if (what % 8 == 0)
            op->at_revision = 1 +
                              (int64_t) sim_chance(&s->client_random, (uint64_t) s->revision + 3);
    }
    if (!model_writes(&op->op) && op->op.form == MODEL_TXN)
        op->serializable = sim_chance(&s->client_random, 3) == 0;
}

/* ---- the life of a client ---- */

static void next(struct sim *s, void *arg);

static void think(struct sim_client *c)
{
    sim_at(c->s, sim_delay(&c->s->client_random, c->s->setup.think_ns), next, c);
}

static void finish(struct sim *s, struct sim_op *op, enum sim_status status)
{
    struct sim_client *c = &s->clients[op->client];
    char text[160];

    op->status = status;
    op->ret = s->now;
    s->result.counts.answered += status == SIM_OK;
    s->result.counts.unknown += status == SIM_UNKNOWN;
    if (s->options.trace || s->options.trace_end) {
        model_text(&op->op, text, sizeof text);
        sim_detail(s, NULL, "client %u:%s -> member %u: %s, revision %" PRIu64, op->client + 1,
                   text, op->member + 1,
                   status == SIM_OK        ? "done"
                   : status == SIM_REFUSED ? api_error_text(op->err)
                                           : "who knows",
                   op->answer.n > 0 ? op->answer.v[0] : 0);
    }
    if (c->op != op)
        return;
    c->op = NULL;
    sim_cancel(s, &c->timeout);
    if (status != SIM_OK || sim_chance(&s->client_random, 8) == 0)
        c->member = sim_some_member(s, &s->client_random);
    think(c);
}

/* Pairs seen by a plain range: for later compares. */
static void learn(struct sim_client *c, const struct sim_op *op)
{
    if (op->op.form != MODEL_PLAIN || op->op.then[0].kind != MODEL_RANGE)
        return;
    for (size_t i = 4; i + 5 < op->answer.n; i += 6)
        c->mod_seen[op->answer.v[i] % MODEL_KEYS] = (int64_t) op->answer.v[i + 2];
}

static void answered(struct sim *s, struct sim_op *op, bool sure)
{
    if (!sure) {
        finish(s, op, SIM_UNKNOWN);
    } else if (op->err != API_OK) {
        finish(s, op, SIM_REFUSED);
    } else {
        learn(&s->clients[op->client], op);
        finish(s, op, SIM_OK);
    }
}

static void on_timeout(struct sim *s, void *arg)
{
    struct sim_client *c = arg;

    if (c->op != NULL)
        finish(s, c->op, SIM_UNKNOWN);
}

/* ---- compactions and hashes ---- */

static void on_compacted(struct sim_call *c)
{
    sim_call_free(c);
}

static void compact(struct sim *s, struct sim_member *m)
{
    struct sim_call *c = sim_call_new(m, NODE_REQ_PROPOSE, on_compacted, NULL);
    Etcdserverpb__CompactionRequest r = ETCDSERVERPB__COMPACTION_REQUEST__INIT;

    r.revision = s->revision - (int64_t) sim_chance(&s->client_random, 60);
    r.revision = MAX(1, r.revision);
    r.physical = sim_chance(&s->client_random, 2) == 0;
    s->compact_asked = MAX(s->compact_asked, r.revision);
    sim_detail(s, m, "is asked to compact at %" PRId64, r.revision);
    sim_call_body(c, OP_COMPACTION, &r.base);
    sim_call_submit(c);
}

static void on_hash(struct sim_call *c)
{
    struct sim *s = c->m->sim;
    Etcdserverpb__HashKVResponse *h = (Etcdserverpb__HashKVResponse *) c->r.result.msg;
    uint64_t key, value;
    void *first;

    if (sim_call_ok(c)) {
        key = (uint64_t) h->hash_revision << 32 | (uint32_t) h->compact_revision;
        value = (uint64_t) h->hash + 1;
        first = map64_get(&s->hashes, key);
        if (first == NULL && !map64_put(&s->hashes, key, (void *) (uintptr_t) value))
            abort();
        if (first != NULL && (uint64_t) (uintptr_t) first != value)
            sim_fail(s, "member %u has another HashKV at revision %" PRId64 " than others have",
                     c->m->index + 1, h->hash_revision);
    }
    sim_call_free(c);
}

static void hash(struct sim *s, struct sim_member *m)
{
    struct sim_call *c = sim_call_new(m, NODE_REQ_HASH_KV, on_hash, NULL);

    c->r.revision = s->revision > 2 ? s->revision - (int64_t) sim_chance(&s->client_random, 3) : 0;
    sim_call_submit(c);
}

static void now_and_then(struct sim *s)
{
    struct sim_member *m = &s->members[sim_some_member(s, &s->client_random)];

    if (!sim_member_serves(m))
        return;
    if (s->setup.compacts && sim_chance(&s->client_random, 60) == 0)
        compact(s, m);
    if (sim_chance(&s->client_random, 20) == 0)
        hash(s, m);
}

static void next(struct sim *s, void *arg)
{
    struct sim_client *c = arg;

    if (s->quiet)
        return;
    now_and_then(s);
    c->op = sim_op_new(s, c->index);
    choose(c, c->op);
    sim_post(s, &c->timeout,
             (s->healing ? SIM_S : 200 * SIM_MS) + sim_delay(&s->client_random, 8 * SIM_S));
    sim_serve(s, c->op, c->member, answered);
}

void sim_clients_begin(struct sim *s)
{
    for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
        struct sim_client *c = &s->clients[i];

        *c = (struct sim_client){.s = s, .index = i};
        heap_item_init(&c->timeout.item);
        c->timeout.run = on_timeout;
        c->timeout.arg = c;
        c->member = (uint32_t) sim_chance(&s->client_random, s->setup.members);
        sim_at(s, SIM_S + sim_delay(&s->client_random, SIM_S), next, c);
    }
}

/* Who had asked a member that is gone hears of it soon. */
void sim_clients_crashed(struct sim_member *m)
{
    struct sim *s = m->sim;

    for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
        struct sim_client *c = &s->clients[i];

        if (c->op != NULL && c->op->member == m->index)
            sim_post(s, &c->timeout, sim_delay(&s->client_random, 50 * SIM_MS));
    }
}
