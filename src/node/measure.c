/* measure.c -- how long an entry took, and a line about one that took too long.
 *
 * The end of one entry is the beginning of the next in the same turn, so that each costs one look
 * at the clock. */
#include "node/measure.h"

#include "wire/pb.h"
#include "wire/request_text.h"

#define REQUEST_TEXT_BYTES_MAX 16384
#define REPLY_BYTES_MAX ((size_t) 64 << 20) /* scratch to find out how long an answer is */

/* ---- which request ---- */

static const struct {
    size_t at; /* of the pointer */
    const char *name;
} ops[] = {
#define OP(field, name)                                          \
    {                                                            \
        offsetof(Etcdserverpb__InternalRaftRequest, field), name \
    }
    OP(put, "Put"),
    OP(txn, "Txn"),
    OP(delete_range, "DeleteRange"),
    OP(range, "Range"),
    OP(compaction, "Compaction"),
    OP(lease_grant, "LeaseGrant"),
    OP(lease_revoke, "LeaseRevoke"),
    OP(lease_checkpoint, "LeaseCheckpoint"),
    OP(alarm, "Alarm"),
    OP(authenticate, "Authenticate"),
    OP(auth_enable, "AuthEnable"),
    OP(auth_disable, "AuthDisable"),
    OP(auth_user_add, "AuthUserAdd"),
    OP(auth_user_delete, "AuthUserDelete"),
    OP(auth_user_get, "AuthUserGet"),
    OP(auth_user_change_password, "AuthUserChangePassword"),
    OP(auth_user_grant_role, "AuthUserGrantRole"),
    OP(auth_user_revoke_role, "AuthUserRevokeRole"),
    OP(auth_user_list, "AuthUserList"),
    OP(auth_role_list, "AuthRoleList"),
    OP(auth_role_add, "AuthRoleAdd"),
    OP(auth_role_delete, "AuthRoleDelete"),
    OP(auth_role_get, "AuthRoleGet"),
    OP(auth_role_grant_permission, "AuthRoleGrantPermission"),
    OP(auth_role_revoke_permission, "AuthRoleRevokePermission"),
    OP(cluster_version_set, "ClusterVersionSet"),
    OP(cluster_member_attr_set, "ClusterMemberAttrSet"),
    OP(downgrade_info_set, "DowngradeInfoSet"),
    OP(downgrade_version_test, "DowngradeVersionTest"),
#undef OP
};

_Static_assert(ARRAY_LEN(ops) < MEASURE_OPS_MAX, "one is left for what has no name");

static size_t op_of(const Etcdserverpb__InternalRaftRequest *r)
{
    size_t i = 0;

    while (i < ARRAY_LEN(ops) &&
           *(void *const *) (const void *) ((const uint8_t *) r + ops[i].at) == NULL)
        i++;
    return i;
}

static struct histogram *series_of(struct node_metrics *m, size_t op, bool ok)
{
    if (UNLIKELY(m->apply_op[op][ok] == NULL))
        m->apply_op[op][ok] = histogram_with(
            m->apply, METRIC_LABELS("v3", op < ARRAY_LEN(ops) ? ops[op].name : "unknown",
                                    ok ? "true" : "false"));
    return m->apply_op[op][ok];
}

/* ---- an entry that took long, or came to nothing ---- */

/* The words that etcd has for an error before it reaches its API. */
static const char *inner_text(enum api_error e)
{
    switch (e) {
    case API_LEASE_NOT_FOUND:
        return "lease not found";
    case API_LEASE_EXIST:
        return "lease already exists";
    case API_LEASE_TTL_TOO_LARGE:
        return "too large lease TTL";
    case API_COMPACTED:
        return "mvcc: required revision has been compacted";
    case API_FUTURE_REV:
        return "mvcc: required revision is a future revision";
    case API_NO_SPACE:
        return "etcdserver: no space";
    default:
        return api_error_text(e);
    }
}

/* A message whose header is still to come: what etcd's has at this point. */
static uint64_t message_bytes(struct node *n, const Etcdserverpb__InternalRaftRequest *r,
                              const struct node_result *res)
{
    uint64_t bytes = wire_size(res->msg);

    if (r->lease_grant != NULL || r->lease_revoke != NULL)
        bytes += pb_bytes_size(1, pb_u64_size(1, n->cluster_id) + pb_u64_size(2, n->member_id) +
                                      pb_u64_size(3, (uint64_t) res->revision) +
                                      pb_u64_size(4, n->apply.term));
    else if (r->compaction != NULL)
        bytes += pb_bytes_size(1, pb_u64_size(3, (uint64_t) res->revision));
    return bytes;
}

/* As long as it is before the member adds to its header: with the revision alone. */
static uint64_t reply_bytes(struct node *n, const Etcdserverpb__InternalRaftRequest *r,
                            const struct node_result *res)
{
    struct mvcc_header h = {.revision = res->revision};
    struct mvcc_reply *reply = NULL;
    struct arena a;
    uint64_t bytes;

    if (res->answer == NODE_ANSWER_MSG)
        return message_bytes(n, r, res);
    arena_init(&a, REPLY_BYTES_MAX);
    if (res->answer == NODE_ANSWER_PUT)
        reply = mvcc_reply_put(&res->put, &h, &a);
    else if (res->answer == NODE_ANSWER_DELETE)
        reply = mvcc_reply_delete(&res->del, &h, &a);
    else if (res->answer == NODE_ANSWER_TXN)
        reply = mvcc_reply_txn(&res->txn, &h, &a);
    bytes = reply == NULL ? 0 : mvcc_reply_bytes(reply);
    arena_done(&a);
    return bytes;
}

static void say(struct node *n, const char *what, mono_ns took,
                const Etcdserverpb__InternalRaftRequest *r, const struct node_request *waiter,
                bool slow)
{
    enum api_error refused = n->metrics->entry_refused;
    char response[48] = "";
    struct buf request;
    struct log_field f[7] = {{0}};
    size_t k = 0;

    buf_init(&request, REQUEST_TEXT_BYTES_MAX);
    raft_request_text(&request, r);
    if (refused == API_OK && waiter != NULL && waiter->result.answer != NODE_ANSWER_NONE)
        snprintf(response, sizeof response, "size:%" PRIu64, reply_bytes(n, r, &waiter->result));
    f[k++] = F_NS("took", took);
    if (slow) {
        f[k++] = F_NS("expected-duration", n->cfg.warning_apply_ns);
        f[k++] = F_STR("prefix", "");
    }
    f[k++] = F_BYTES("request", buf_bytes(&request));
    f[k++] = F_STR("response", response);
    if (refused != API_OK)
        f[k++] = F_STR("error", inner_text(refused));
    ASSERT(k < ARRAY_LEN(f)); /* the last one has no key */
    log_write(n->env.log, LOG_LEVEL_WARN, LOG_SITE_, what, f);
    buf_done(&request);
}

mono_ns node__measure_now(struct node *n)
{
    return n->metrics == NULL ? 0 : clock_mono_ns(n->env.clock);
}

void node__measure_begin(struct node *n)
{
    struct node_metrics *m = n->metrics;

    if (m == NULL)
        return;
    m->entry_refused = API_OK;
    if (m->entry_turn != n->apply.now) {
        m->entry_turn = n->apply.now;
        m->entry_began = clock_mono_ns(n->env.clock);
    }
    trace_steps_begin(&m->entry_steps, n->env.clock, m->entry_began);
}

void node__measure_refused(struct node *n, enum api_error why)
{
    if (n->metrics != NULL)
        n->metrics->entry_refused = why;
}

/* For the trace of the request, should it turn out to be slow.  What of a put is not noted step by
 * step ends now. */
static void hand_on_steps(struct node *n, const Etcdserverpb__InternalRaftRequest *r,
                          struct node_request *waiter, mono_ns now)
{
    struct trace_steps *t = &n->metrics->entry_steps;
    struct trace_steps *slow = NULL;

    if (r->put != NULL)
        trace_step_at(t, TRACE_STORE, now);
    if (UNLIKELY(t->kept_n > 0) && waiter->arena != NULL)
        slow = arena_alloc(waiter->arena, sizeof *slow);
    if (slow != NULL)
        *slow = *t;
    waiter->steps = (struct node_steps){n->metrics->entry_began, t->count, slow};
}

void node__measure_end(struct node *n, const Etcdserverpb__InternalRaftRequest *r,
                       struct node_request *waiter)
{
    struct node_metrics *m = n->metrics;
    mono_ns now, took;
    bool ok;

    if (m == NULL)
        return;
    now = clock_mono_ns(n->env.clock);
    took = now - m->entry_began;
    if (waiter != NULL && m->entry_refused == API_OK)
        hand_on_steps(n, r, waiter, now);
    m->entry_began = now;
    ok = m->entry_refused == API_OK || m->entry_refused == API_COMPACTED;
    histogram_observe(series_of(m, op_of(r), ok), took);
    if (UNLIKELY(took > n->cfg.warning_apply_ns) && n->cfg.warning_apply_ns > 0) {
        metric_inc(m->slow_apply);
        say(n, "apply request took too long", took, r, waiter, true);
    }
    if (UNLIKELY(!ok))
        say(n, "failed to apply request", took, r, waiter, false);
}

/* ---- a round of reads that took long ---- */

void node__measure_round(struct node *n, const struct node_request *first)
{
    mono_ns now = n->metrics == NULL ? 0 : clock_mono_ns(n->env.clock);
    struct trace_steps t;
    struct buf detail;

    if (now - first->round.began <= TRACE_SLOW_NS)
        return;
    trace_steps_begin(&t, NULL, first->round.began);
    trace__keep(&t, TRACE_READ_INDEX, first->round.received - first->round.began);
    trace__keep(&t, TRACE_APPLIED, now - first->round.received);
    t.count = 2;
    buf_init(&detail, TRACE_TEXT_BYTES_MAX);
    buf_add_char(&detail, '{');
    trace_field_number(&detail, "readStateIndex", first->index);
    trace_field_number(&detail, "appliedIndex", first->round.applied);
    buf_add_char(&detail, '}');
    trace_write(n->env.log, &(struct trace_line){.operation = "linearizableReadLoop",
                                                 .detail = buf_bytes(&detail),
                                                 .took = now - first->round.began,
                                                 .end = clock_wall_ms(n->env.clock),
                                                 .steps = &t,
                                                 .all = true});
    buf_done(&detail);
}
