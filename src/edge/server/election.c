/* The Election service (v3electionpb); Observe is in observe.c. */
#include "edge/server/election.h"
#include "edge/server/contend.h"
#include "edge/server/kv_read.h"
#include "v3election.pb-c.h"

/* ---- campaign ---- */

/* The header is that of the answer which put the key, however long ago. */
static void won(struct contender *c)
{
    V3electionpb__LeaderKey leader = V3ELECTIONPB__LEADER_KEY__INIT;
    V3electionpb__CampaignResponse m = V3ELECTIONPB__CAMPAIGN_RESPONSE__INIT;

    leader.name = wire_binary(c->name);
    leader.key = wire_binary(c->key);
    leader.rev = c->rev;
    leader.lease = c->lease;
    m.leader = &leader;
    reply_message(c->call, &c->header, &m.base);
}

static void value_changed(struct req *r)
{
    struct contender *c = r->user;
    const char *text;
    int code = self_code(&r->node.result, &text);

    if (contend_canceled(c))
        return;
    if (code != GRPC_OK)
        contend_give_up(c, code, text);
    else if (!r->node.result.txn.succeeded)
        call_finish(c->call, GRPC_UNKNOWN, ELECTION_NOT_LEADER);
    else
        contend_wait(c);
}

static void entered(struct contender *c, const struct contest_kv *found)
{
    if (found == NULL || bytes_eq(found->value, c->value))
        contend_wait(c);
    else
        contest_put_held(c->call, c->key, c->rev, c->value, c->lease, c, value_changed);
}

static const struct contender_hooks campaign_hooks = {.entered = entered, .won = won};

static void campaign(struct call *call, struct bytes message)
{
    struct contender *c = arena_calloc(call_arena(call), 1, sizeof *c);
    V3electionpb__CampaignRequest *q;

    count_received(call, METHOD_CAMPAIGN);
    if (c == NULL) {
        reply_no_memory(call);
        return;
    }
    if (!REQUEST_DECODE(call, v3electionpb__campaign_request, message, &q))
        return;
    c->call = call;
    c->hooks = &campaign_hooks;
    c->name = wire_bytes(q->name);
    c->value = wire_bytes(q->value);
    c->lease = q->lease;
    contend(c);
}

/* ---- proclaim and resign ---- */

struct tenure {
    struct call *call;
    const V3electionpb__LeaderKey *leader;
    struct bytes value;
    int64_t lease;
    void (*act)(struct tenure *t);
};

static void session_made(struct req *r)
{
    struct tenure *t = r->user;

    if (self_failed(t->call, &r->node.result))
        return;
    t->lease = self_granted(r);
    t->act(t);
}

/* A leader key without a lease gets one, whatever becomes of it, as etcd does. */
static void tenure_begin(struct call *c, const V3electionpb__LeaderKey *leader, struct bytes value,
                         void (*act)(struct tenure *t))
{
    struct tenure *t;

    if (leader == NULL) {
        call_finish(c, GRPC_UNKNOWN, "\"leader\" field must be provided");
        return;
    }
    t = arena_alloc(call_arena(c), sizeof *t);
    if (t == NULL) {
        reply_no_memory(c);
        return;
    }
    *t = (struct tenure){
        .call = c, .leader = leader, .value = value, .lease = leader->lease, .act = act};
    if (t->lease == 0)
        self_grant(c, SESSION_TTL_S, t, session_made);
    else
        act(t);
}

static void proclaimed(struct req *r)
{
    struct mvcc_header h;

    if (self_failed(r->call, &r->node.result))
        return;
    if (!r->node.result.txn.succeeded) {
        call_finish(r->call, GRPC_UNKNOWN, ELECTION_NOT_LEADER);
        return;
    }
    h = self_header(r);
    reply_header(r->call, &h);
}

static void proclaim_act(struct tenure *t)
{
    contest_put_held(t->call, wire_bytes(t->leader->key), t->leader->rev, t->value, t->lease, t,
                     proclaimed);
}

static void proclaim(struct call *c, struct bytes message)
{
    V3electionpb__ProclaimRequest *q;

    count_received(c, METHOD_PROCLAIM);
    if (REQUEST_DECODE(c, v3electionpb__proclaim_request, message, &q))
        tenure_begin(c, q->leader, wire_bytes(q->value), proclaim_act);
}

/* Who does not lead any more has nothing to give up: that is no error. */
static void resigned(struct req *r)
{
    struct mvcc_header h;

    if (self_failed(r->call, &r->node.result))
        return;
    h = self_header(r);
    reply_header(r->call, &h);
}

static void resign_act(struct tenure *t)
{
    contest_delete_held(t->call, wire_bytes(t->leader->key), t->leader->rev, t, resigned);
}

static void resign(struct call *c, struct bytes message)
{
    V3electionpb__ResignRequest *q;

    count_received(c, METHOD_RESIGN);
    if (REQUEST_DECODE(c, v3electionpb__resign_request, message, &q))
        tenure_begin(c, q->leader, BYTES_EMPTY, resign_act);
}

/* ---- leader ---- */

size_t election_pieces(const struct mvcc_header *h, struct bytes kv,
                       uint8_t head[ELECTION_HEAD_BYTES_MAX], struct net_piece ret[2])
{
    size_t n = header_field_put(h, head);

    n = (size_t) (pb_put_head(head + n, 2, kv.n) - head);
    ASSERT(n <= ELECTION_HEAD_BYTES_MAX);
    ret[0] = net_piece_copied(head, n);
    ret[1] = net_piece_copied(kv.p, kv.n);
    return 2;
}

/* There may be very many keys under the name: all are looked at, in slices. */
struct leader_look {
    struct kv_read read;
    struct contest contest;
    Etcdserverpb__RangeRequest request;
    struct mvcc_range *range;
};

static struct leader_look *leader_look_of(struct long_read *r)
{
    return CONTAINER_OF(kv_read_of(r), struct leader_look, read);
}

static int leader_step(struct long_read *r, uint64_t units, bool *ret_ready)
{
    return mvcc_range_step(leader_look_of(r)->range, units, ret_ready);
}

static void leader_tell(struct call *c, struct leader_look *x, const struct mvcc_header *h)
{
    uint8_t head[ELECTION_HEAD_BYTES_MAX];
    struct net_piece pieces[2];
    struct contest_kv kv;

    if (contest_picked(x->range, &kv) == 0)
        call_reply(c, pieces, election_pieces(h, kv.raw, head, pieces));
    else
        call_finish(c, GRPC_UNKNOWN, "election: no leader");
}

static void leader_end(struct long_read *r, int rc)
{
    struct leader_look *x = leader_look_of(r);
    const struct mvcc_view *v = x->read.view;
    struct node_result res = {.err = permit_after(r->io, &x->read.who)};
    struct mvcc_header h = header_make(r->io->server, mvcc_view_revision(v), 0);

    if (rc == ERR_CANCELED)
        reply_canceled(r->call);
    else if (rc != 0)
        reply_no_memory(r->call);
    else if (!self_failed(r->call, &res)) /* who may see it may have changed meanwhile */
        leader_tell(r->call, x, &h);
    mvcc_view_unpin(v);
}

static void leader_run(struct req *r)
{
    struct leader_look *x = r->user;
    struct mvcc_range_ahead ahead;
    int rc;

    if (r->node.result.err == API_OK)
        r->node.result.err = permit_read(r->call, x->contest.prefix, x->contest.end, &x->read.who);
    if (self_failed(r->call, &r->node.result))
        return;
    x->read.slices.step = leader_step;
    x->read.slices.end = leader_end;
    x->request = contest_holder_range(&x->contest);
    kv_read_begin(&x->read, r);
    rc = mvcc_range_begin(x->read.view, &x->request, call_arena(r->call), NULL, &x->range);
    if (rc != 0) {
        leader_end(&x->read.slices, rc);
        return;
    }
    mvcc_range_ahead(x->range, &ahead);
    long_read_go_on(&x->read.slices, &ahead);
}

static void leader(struct call *c, struct bytes message)
{
    struct leader_look *x = arena_alloc(call_arena(c), sizeof *x);
    V3electionpb__LeaderRequest *q;

    count_received(c, METHOD_LEADER);
    if (!REQUEST_DECODE(c, v3electionpb__leader_request, message, &q))
        return;
    if (x == NULL || !contest_of(wire_bytes(q->name), call_arena(c), &x->contest))
        reply_no_memory(c);
    else
        read_when(c, false, x, leader_run);
}

const struct net_method election_methods[] = {
    METHOD_UNARY(CAMPAIGN, campaign), METHOD_UNARY(PROCLAIM, proclaim),
    METHOD_UNARY(LEADER, leader),     METHOD_SERVER_STREAM(OBSERVE, election_observe),
    METHOD_UNARY(RESIGN, resign),
};
const size_t election_methods_n = ARRAY_LEN(election_methods);
