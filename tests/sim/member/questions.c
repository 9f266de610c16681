/* questions.c -- what a member's peer port answers another, in the words of edge/peer: leases,
 * which the leader alone knows, promotions, and hashes of the keys. */
#include "sim/member/sim.h"

#include "lease.pb-c.h"
#include "wire/hash_json.h"

enum page { PAGE_KEEPALIVE, PAGE_TTL, PAGE_PROMOTE, PAGE_HASH };

struct question {
    struct sim *s;
    struct node_question *q; /* NULL: the asker has its answer, or waits no more */
    struct sim_member *from, *to;
    uint32_t from_life;
    enum page page;
    int64_t number; /* lease, member or revision */
    bool keys;
    int status;
    struct buf answer;
    unsigned refs; /* events and calls that know it */
};

static void question_unref(struct question *x)
{
    if (--x->refs > 0)
        return;
    buf_done(&x->answer);
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

/* ---- the way back ---- */

static void on_reply(struct sim *s, void *arg)
{
    struct question *x = arg;

    if (!cuts_between(&s->cuts, x->to->index, x->from->index))
        question_end(x, x->status, buf_bytes(&x->answer));
    question_unref(x);
}

/* The answer's bytes are there already. */
static void reply(struct question *x, int status)
{
    x->status = status;
    x->refs++;
    sim_at(x->s, sim_network_delay(x->s), on_reply, x);
}

static void reply_text(struct question *x, int status, const char *text)
{
    buf_add_str(&x->answer, text);
    buf_add_char(&x->answer, '\n');
    reply(x, status);
}

static void reply_message(struct question *x, const ProtobufCMessage *m)
{
    if (!wire_encode(m, &x->answer))
        abort();
    reply(x, 200);
}

static void reply_ttl(struct question *x, Etcdserverpb__LeaseTimeToLiveResponse *m)
{
    Leasepb__LeaseInternalResponse res = LEASEPB__LEASE_INTERNAL_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;

    m->header = &header;
    res.leasetimetoliveresponse = m;
    if (m->ttl < 0 && m->grantedttl == 0)
        reply_text(x, 404, "requested lease not found");
    else
        reply_message(x, &res.base);
}

static void reply_hash(struct question *x, const struct node_result *r)
{
    const Etcdserverpb__HashKVResponse *m = (const Etcdserverpb__HashKVResponse *) r->msg;
    struct hash_answer a = {r->revision, m->hash, m->compact_revision, m->hash_revision};

    hash_answer_put(&a, &x->answer);
    reply(x, 200);
}

static void reply_failure(struct question *x, const struct node_result *r)
{
    const char *text = r->err != API_OK ? api_error_text(r->err) : r->text;

    if (x->page != PAGE_PROMOTE)
        reply_text(x, 400, text);
    else if (r->err == API_MEMBER_NOT_FOUND)
        reply_text(x, 404, "membership: ID not found");
    else if (r->err == API_MEMBER_NOT_LEARNER)
        reply_text(x, 412, "membership: can only promote a learner member");
    else if (r->err == API_LEARNER_NOT_READY)
        reply_text(x, 412, text);
    else
        reply_text(x, 500, "{\"message\":\"Internal Server Error\"}");
}

static void on_answer(struct sim_call *c)
{
    struct question *x = c->owner;

    if (!sim_call_ok(c)) {
        reply_failure(x, &c->r.result);
    } else if (x->page == PAGE_TTL) {
        reply_ttl(x, (Etcdserverpb__LeaseTimeToLiveResponse *) c->r.result.msg);
    } else if (x->page == PAGE_HASH) {
        reply_hash(x, &c->r.result);
    } else if (x->page == PAGE_PROMOTE) {
        cluster_members_json(x->to->view, &x->answer);
        reply(x, 200);
    } else if (((Etcdserverpb__LeaseKeepAliveResponse *) c->r.result.msg)->ttl <= 0) {
        reply_text(x, 404, "requested lease not found");
    } else {
        reply_message(x, c->r.result.msg);
    }
    question_unref(x);
    sim_call_free(c);
}

/* ---- the way there ---- */

static void on_question(struct sim *s, void *arg)
{
    static const enum node_request_kind kinds[] = {NODE_REQ_LEASE_KEEPALIVE, NODE_REQ_LEASE_TTL,
                                                   NODE_REQ_MEMBER_CHANGE, NODE_REQ_HASH_KV};
    struct question *x = arg;
    struct sim_call *c;

    if (!x->to->up || x->to->stopping || cuts_between(&s->cuts, x->from->index, x->to->index)) {
        question_unref(x);
        return;
    }
    c = sim_call_new(x->to, kinds[x->page], on_answer, x);
    c->r.lease_id = c->r.revision = x->number;
    c->r.keys = x->keys;
    c->r.of_member = true;
    if (x->page == PAGE_PROMOTE) {
        c->r.change = arena_calloc(c->r.arena, 1, sizeof *c->r.change);
        ASSERT(c->r.change != NULL);
        c->r.change->type = RAFT_CONF_ADD_NODE;
        c->r.change->promote = true;
        c->r.change->member = (struct cluster_member){.id = (uint64_t) x->number, .name = ""};
    }
    sim_call_submit(c);
}

static bool read_ttl(struct sim *s, struct question *x, struct bytes body)
{
    Leasepb__LeaseInternalRequest *t;

    if (WIRE_DECODE(leasepb__lease_internal_request, body, &s->arena, &t, NULL) != 0 ||
        t->leasetimetoliverequest == NULL)
        return false;
    x->page = PAGE_TTL;
    x->number = t->leasetimetoliverequest->id;
    x->keys = t->leasetimetoliverequest->keys;
    return true;
}

static bool read_keepalive(struct sim *s, struct question *x, struct bytes body)
{
    Etcdserverpb__LeaseKeepAliveRequest *k;

    if (WIRE_DECODE(etcdserverpb__lease_keep_alive_request, body, &s->arena, &k, NULL) != 0)
        return false;
    x->page = PAGE_KEEPALIVE;
    x->number = k->id;
    return true;
}

static bool read_question(struct sim *s, struct question *x, const struct node_question *q)
{
    static const char promote[] = "/members/promote/";

    arena_reset(&s->arena);
    if (strcmp(q->path, "/leases") == 0)
        return read_keepalive(s, x, q->body);
    if (strcmp(q->path, "/leases/internal") == 0)
        return read_ttl(s, x, q->body);
    if (strcmp(q->path, "/members/hashkv") == 0) {
        x->page = PAGE_HASH;
        return hash_question_parse(q->body, &x->number);
    }
    x->page = PAGE_PROMOTE;
    x->number = (int64_t) strtoull(q->path + sizeof promote - 1, NULL, 10);
    return strncmp(q->path, promote, sizeof promote - 1) == 0;
}

void sim_ask(void *ctx, struct node_question *q)
{
    struct sim_member *m = ctx;
    struct sim *s = m->sim;
    struct question *x = xmem_calloc(1, sizeof *x);

    *x = (struct question){.s = s, .q = q, .from = m, .from_life = m->life, .refs = 1};
    buf_init(&x->answer, (size_t) 1 << 20);
    if (!read_question(s, x, q))
        sim_fail(s, "a question cannot be read: %s", q->path);
    x->to = sim_member_of(s, q->to);
    sim_at(s, q->timeout_ms * SIM_MS, on_late, x);
    if (x->to == NULL || cuts_between(&s->cuts, m->index, x->to->index))
        return;
    x->refs++;
    sim_at(s, sim_network_delay(s), on_question, x);
}
