/* server.c -- what an I/O thread of a member does for a client of the key space: requests in, and
 * the words of their answers out (sim/linear/store_model.h), as edge/server would send them. */
#include "sim/member/sim.h"

#define OP_PUT 4
#define OP_DELETE 5
#define OP_TXN 6
#define OP_LEASE_REVOKE 9

/* ---- requests ---- */

static ProtobufCBinaryData key_bytes(struct arena *a, unsigned key)
{
    char *p = arena_alloc(a, 4);

    ASSERT(p != NULL);
    sim_key_text(key, p);
    return wire_binary(bytes_of(p, 3));
}

/* The end of a range of one key is left out. */
static ProtobufCBinaryData end_bytes(struct arena *a, const struct model_step *x)
{
    return x->hi == x->lo + 1 ? wire_binary(BYTES_EMPTY) : key_bytes(a, x->hi);
}

static ProtobufCBinaryData value_bytes(struct arena *a, uint64_t value)
{
    char *p = arena_printf(a, "%012" PRIu64, value);

    ASSERT(p != NULL);
    return wire_binary(bytes_str(p));
}

static Etcdserverpb__RangeRequest *range_of(struct arena *a, const struct model_step *x)
{
    Etcdserverpb__RangeRequest *r = arena_alloc(a, sizeof *r);

    ASSERT(r != NULL);
    etcdserverpb__range_request__init(r);
    r->key = key_bytes(a, x->lo);
    r->range_end = end_bytes(a, x);
    r->limit = x->limit;
    r->keys_only = x->keys_only;
    return r;
}

static Etcdserverpb__PutRequest *put_of(struct arena *a, const struct model_step *x)
{
    Etcdserverpb__PutRequest *r = arena_alloc(a, sizeof *r);

    ASSERT(r != NULL);
    etcdserverpb__put_request__init(r);
    r->key = key_bytes(a, x->lo);
    r->value = value_bytes(a, x->value);
    r->lease = x->lease;
    r->prev_kv = x->prev_kv;
    return r;
}

static Etcdserverpb__DeleteRangeRequest *delete_of(struct arena *a, const struct model_step *x)
{
    Etcdserverpb__DeleteRangeRequest *r = arena_alloc(a, sizeof *r);

    ASSERT(r != NULL);
    etcdserverpb__delete_range_request__init(r);
    r->key = key_bytes(a, x->lo);
    r->range_end = end_bytes(a, x);
    r->prev_kv = x->prev_kv;
    return r;
}

static Etcdserverpb__RequestOp *request_op_of(struct arena *a, const struct model_step *x)
{
    Etcdserverpb__RequestOp *r = arena_alloc(a, sizeof *r);

    ASSERT(r != NULL);
    etcdserverpb__request_op__init(r);
    switch (x->kind) {
    case MODEL_RANGE:
        r->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
        r->request_range = range_of(a, x);
        break;
    case MODEL_PUT:
        r->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        r->request_put = put_of(a, x);
        break;
    case MODEL_DELETE:
        r->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        r->request_delete_range = delete_of(a, x);
        break;
    }
    return r;
}

static Etcdserverpb__Compare *compare_of(struct arena *a, const struct model_compare *x)
{
    Etcdserverpb__Compare *c = arena_alloc(a, sizeof *c);

    ASSERT(c != NULL);
    etcdserverpb__compare__init(c);
    c->key = key_bytes(a, x->key);
    c->result = (Etcdserverpb__Compare__CompareResult) x->relation;
    c->target = (Etcdserverpb__Compare__CompareTarget) x->target;
    switch (x->target) {
    case MODEL_VERSION:
        c->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION;
        c->version = x->operand;
        break;
    case MODEL_CREATE:
        c->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
        c->create_revision = x->operand;
        break;
    case MODEL_MOD:
        c->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
        c->mod_revision = x->operand;
        break;
    case MODEL_VALUE:
        c->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
        c->value = value_bytes(a, (uint64_t) x->operand);
        break;
    case MODEL_LEASE:
        c->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE;
        c->lease = x->operand;
        break;
    }
    return c;
}

static Etcdserverpb__TxnRequest *txn_of(struct arena *a, const struct model_op *op)
{
    Etcdserverpb__TxnRequest *r = arena_alloc(a, sizeof *r);

    ASSERT(r != NULL);
    etcdserverpb__txn_request__init(r);
    r->compare = arena_calloc(a, MODEL_COMPARES_MAX, sizeof(Etcdserverpb__Compare *));
    r->success = arena_calloc(a, MODEL_STEPS_MAX, sizeof(Etcdserverpb__RequestOp *));
    r->failure = arena_calloc(a, MODEL_STEPS_MAX, sizeof(Etcdserverpb__RequestOp *));
    for (size_t i = 0; i < op->compares_n; i++)
        r->compare[r->n_compare++] = compare_of(a, &op->compares[i]);
    for (size_t i = 0; i < op->then_n; i++)
        r->success[r->n_success++] = request_op_of(a, &op->then[i]);
    for (size_t i = 0; i < op->other_n; i++)
        r->failure[r->n_failure++] = request_op_of(a, &op->other[i]);
    return r;
}

/* ---- answers ---- */

static void kv_words(struct sim *s, struct words *w, struct bytes encoded)
{
    struct model_kv kv;
    unsigned key;

    if (!sim_kv_of(encoded, &key, &kv))
        sim_fail(s, "a pair in an answer cannot be read");
    model_kv_words(w, key, &kv, false);
}

static void range_words(struct sim *s, struct words *w, struct mvcc_range *g)
{
    const struct mvcc_range_info *info = mvcc_range_info(g);
    struct bytes kv;

    words_add(w, (uint64_t) info->count);
    words_add(w, info->more);
    words_add(w, info->kvs_n);
    while (mvcc_range_next(g, &kv))
        kv_words(s, w, kv);
}

static void put_words(struct sim *s, struct words *w, const struct mvcc_put_result *r)
{
    words_add(w, r->has_prev);
    if (r->has_prev)
        kv_words(s, w, r->prev_kv);
}

static void delete_words(struct sim *s, struct words *w, const struct mvcc_delete_result *r)
{
    words_add(w, (uint64_t) r->deleted);
    words_add(w, r->prev_kvs.n);
    for (size_t i = 0; i < r->prev_kvs.n; i++)
        kv_words(s, w, r->prev_kvs.v[i]);
}

static void txn_words(struct sim *s, struct words *w, const struct mvcc_txn_result *r)
{
    words_add(w, (uint64_t) r->revision);
    words_add(w, r->succeeded);
    for (size_t i = 0; i < r->responses_n; i++) {
        const struct mvcc_op_result *o = &r->responses[i];

        switch (o->op) {
        case MVCC_OP_RANGE:
            words_add(w, MODEL_RANGE);
            range_words(s, w, o->range);
            break;
        case MVCC_OP_PUT:
            words_add(w, MODEL_PUT);
            put_words(s, w, &o->put);
            break;
        case MVCC_OP_DELETE:
            words_add(w, MODEL_DELETE);
            delete_words(s, w, &o->del);
            break;
        case MVCC_OP_TXN:
            UNREACHABLE();
        }
    }
}

static void written_words(struct sim *s, struct words *w, const struct node_result *r)
{
    switch (r->answer) {
    case NODE_ANSWER_PUT:
        words_add(w, (uint64_t) r->put.revision);
        put_words(s, w, &r->put);
        break;
    case NODE_ANSWER_DELETE:
        words_add(w, (uint64_t) r->del.revision);
        delete_words(s, w, &r->del);
        break;
    case NODE_ANSWER_TXN:
        txn_words(s, w, &r->txn);
        break;
    default:
        words_add(w, (uint64_t) r->revision); /* a revoked lease */
        break;
    }
}

/* ---- the way back ---- */

struct reply {
    struct sim_attempt attempt;
    bool sure; /* false: whether it happened is not known */
};

static void on_reply(struct sim *s, void *arg)
{
    struct reply *r = arg;

    if (r->attempt.op->status == SIM_PENDING)
        r->attempt.answered(s, r->attempt.op, r->sure);
    mem_free(r);
}

/* The words of the answer are in op->answer already: nobody looks before the reply is there. */
static void reply(struct sim_attempt *a, enum api_error err, bool sure)
{
    struct sim *s = a->s;
    struct reply *r = xmem_calloc(1, sizeof *r);

    *r = (struct reply){*a, sure};
    if (a->op->status == SIM_PENDING)
        a->op->err = err;
    if (!sim_client_loses(s))
        sim_at(s, sim_client_delay(s), on_reply, r);
    mem_free(a);
}

/* What the state machine itself has refused, or what was refused before it was proposed. */
static bool is_refusal(const struct node_result *r)
{
    switch (r->err) {
    case API_OK:
    case API_TIMEOUT:
    case API_TIMEOUT_DUE_TO_LEADER_FAIL:
    case API_TIMEOUT_DUE_TO_CONNECTION_LOST:
    case API_STOPPED:
    case API_LEADER_CHANGED:
        return false;
    default:
        return true;
    }
}

static void read_now(struct sim_attempt *a)
{
    struct sim_op *op = a->op;
    const struct mvcc_view *v = mvcc_view_pin(a->m->reader);
    struct arena *arena = arena_new((size_t) 1 << 20);
    int64_t revision = mvcc_view_revision(v);
    int rc;

    if (revision < a->m->revision_seen)
        sim_fail(a->s, "member %u shows revision %" PRId64 " after %" PRId64, a->m->index + 1,
                 revision, a->m->revision_seen);
    a->m->revision_seen = revision;
    op->answer.n = 0;
    if (op->op.form == MODEL_TXN) {
        struct mvcc_txn_result res;

        rc = mvcc_txn_read(v, txn_of(arena, &op->op), arena, &res);
        if (rc == 0)
            txn_words(a->s, &op->answer, &res);
    } else {
        Etcdserverpb__RangeRequest *r = range_of(arena, &op->op.then[0]);
        struct mvcc_range *g;

        r->revision = op->at_revision;
        rc = mvcc_range(v, r, arena, &g);
        if (rc == 0) {
            words_add(&op->answer, (uint64_t) mvcc_range_info(g)->revision);
            range_words(a->s, &op->answer, g);
        }
    }
    mvcc_view_unpin(v);
    arena_free(arena);
    reply(a, mvcc_api_error(rc), true);
}

static void on_read_index(struct sim_call *c)
{
    struct sim_attempt *a = c->owner;

    if (sim_call_ok(c))
        read_now(a);
    else
        reply(a, c->r.result.err, false);
    sim_call_free(c);
}

static void on_written(struct sim_call *c)
{
    struct sim_attempt *a = c->owner;
    bool ok = sim_call_ok(c);

    if (ok && a->op->status == SIM_PENDING)
        written_words(a->s, &a->op->answer, &c->r.result);
    reply(a, c->r.result.err, ok || is_refusal(&c->r.result));
    sim_call_free(c);
}

/* ---- the way there ---- */

static void begin_read(struct sim_attempt *a)
{
    if (a->op->serializable || node_read_now(a->m->node))
        read_now(a);
    else
        sim_call_submit(sim_call_new(a->m, NODE_REQ_READ_INDEX, on_read_index, a));
}

static void begin_write(struct sim_attempt *a)
{
    const struct model_op *op = &a->op->op;
    struct sim_call *c = sim_call_new(a->m, NODE_REQ_PROPOSE, on_written, a);
    Etcdserverpb__LeaseRevokeRequest revoke = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;

    if (op->form == MODEL_REVOKE) {
        revoke.id = op->lease;
        sim_call_body(c, OP_LEASE_REVOKE, &revoke.base);
    } else if (op->form == MODEL_TXN) {
        sim_call_body(c, OP_TXN, &txn_of(c->r.arena, op)->base);
    } else if (op->then[0].kind == MODEL_PUT) {
        sim_call_body(c, OP_PUT, &put_of(c->r.arena, &op->then[0])->base);
    } else {
        sim_call_body(c, OP_DELETE, &delete_of(c->r.arena, &op->then[0])->base);
    }
    sim_call_submit(c);
}

static bool adds_data(const struct model_op *op)
{
    bool puts = false;

    for (size_t i = 0; i < op->then_n; i++)
        puts |= op->then[i].kind == MODEL_PUT;
    for (size_t i = 0; i < op->other_n; i++)
        puts |= op->other[i].kind == MODEL_PUT;
    return puts;
}

/* A learner serves its own state only. */
static bool learner_refuses(const struct sim_attempt *a)
{
    struct node_status st;

    node_status(a->m->node, &st);
    return st.is_learner && !a->op->serializable;
}

static void arrive(struct sim *s, void *arg)
{
    struct sim_attempt *a = arg;

    if (a->op->status != SIM_PENDING || !sim_member_serves(a->m)) {
        reply(a, API_STOPPED, true); /* connection refused: it never got there */
        return;
    }
    if (a->m->paused > 0) {
        sim_at(s, 50 * SIM_MS, arrive, a);
        return;
    }
    a->life = a->m->life;
    if (learner_refuses(a))
        reply(a, API_NOT_SUPPORTED_FOR_LEARNER, true);
    else if (!model_writes(&a->op->op))
        begin_read(a);
    else if (adds_data(&a->op->op) && !node_quota_fits(a->m->node, 1))
        reply(a, API_NO_SPACE, true);
    else
        begin_write(a);
}

void sim_serve(struct sim *s, struct sim_op *op, uint32_t member,
               void (*answered)(struct sim *s, struct sim_op *op, bool sure))
{
    struct sim_attempt *a;

    op->member = member;
    if (sim_client_loses(s))
        return;
    a = xmem_calloc(1, sizeof *a);
    *a = (struct sim_attempt){.s = s, .op = op, .m = &s->members[member], .answered = answered};
    sim_at(s, sim_client_delay(s), arrive, a);
}
