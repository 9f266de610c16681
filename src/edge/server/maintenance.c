/* The Maintenance service; its Snapshot is in maintenance_snapshot.c, its Downgrade in downgrade.c.
 */
#include "edge/server/maintenance.h"
#include "edge/server/permit.h"

#define STATUS_ALARMS_MAX 64

/* ---- alarm ---- */

static void alarm(struct call *c, struct bytes message)
{
    Etcdserverpb__AlarmRequest *q;

    count_received(c, METHOD_ALARM);
    if (REQUEST_DECODE(c, etcdserverpb__alarm_request, message, &q) &&
        permitted(c, q->action == ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__GET ? permit_known(c)
                                                                                 : permit_admin(c)))
        req_propose(c, NODE_OP_ALARM, message, req_message_done);
}

/* ---- status ---- */

char *version_text(struct arena *a, uint32_t v, const char *suffix)
{
    return v == 0 ? NULL : arena_printf(a, "%u.%u%s", v >> 16, v & 0xffff, suffix);
}

/* One text for a missing leader and one for each alarm; the member's release decides the blanks. */
static size_t status_errors(struct server *s, const struct node_status *st, struct arena *a,
                            char *ret[STATUS_ALARMS_MAX + 1])
{
    static const char *const kinds[] = {"NONE", "NOSPACE", "CORRUPT"};
    struct node_alarm alarms[STATUS_ALARMS_MAX];
    size_t n = 0, alarms_n = MIN(node_alarms(s->node, alarms, STATUS_ALARMS_MAX),
                                 (size_t) STATUS_ALARMS_MAX);
    bool trailing = strcmp(s->config->emulated_version, "3.7") != 0;

    if (st->leader == 0)
        ret[n++] = arena_printf(a, "%s", api_error_text(API_NO_LEADER));
    for (size_t i = 0; i < alarms_n; i++) {
        int kind = alarms[i].kind;
        const char *name = kind >= 0 && kind <= 2 ? kinds[kind] : "UNKNOWN";
        const char *end = trailing ? " " : "";

        /* The text form of a message leaves out what is zero. */
        ret[n++] = alarms[i].member_id == 0 ? arena_printf(a, "alarm:%s%s", name, end)
                                            : arena_printf(a, "memberID:%" PRIu64 " alarm:%s%s",
                                                           alarms[i].member_id, name, end);
    }
    for (size_t i = 0; i < n; i++) {
        if (ret[i] == NULL)
            return 0; /* no memory: the status is worth more than its texts */
    }
    return n;
}

static void status(struct call *c, struct bytes message)
{
    struct server *s = call_server(c);
    Etcdserverpb__StatusRequest *q;
    Etcdserverpb__StatusResponse res;
    Etcdserverpb__DowngradeInfo job;
    char *errors[STATUS_ALARMS_MAX + 1], *storage;
    const struct node_result none = {0};
    struct node_status st;
    struct mvcc_header h;

    count_received(c, METHOD_STATUS);
    if (!REQUEST_DECODE(c, etcdserverpb__status_request, message, &q) ||
        !permitted(c, permit_known(c)))
        return;
    node_status(s->node, &st);
    etcdserverpb__status_response__init(&res);
    etcdserverpb__downgrade_info__init(&job);
    res.version = (char *) (uintptr_t) s->version;
    res.dbsize = (int64_t) st.db_bytes;
    res.dbsizeinuse = (int64_t) st.db_in_use_bytes;
    res.leader = st.leader;
    res.raftindex = st.commit;
    res.raftterm = st.term;
    res.raftappliedindex = st.applied;
    res.islearner = st.is_learner;
    res.errors = errors;
    res.n_errors = status_errors(s, &st, call_arena(c), errors);
    if (strcmp(s->config->emulated_version, "3.5") != 0) {
        storage = version_text(call_arena(c), st.storage_version, ".0");
        if (storage != NULL)
            res.storageversion = storage;
        res.dbsizequota = st.quota_bytes;
        res.downgradeinfo = &job;
        job.enabled = st.downgrade_enabled;
        if (st.downgrade_enabled)
            storage = version_text(call_arena(c), st.downgrade_target, ".0");
        if (st.downgrade_enabled && storage != NULL)
            job.targetversion = storage;
    }
    h = header_current(call_io(c), &none);
    h.raft_term = st.term;
    reply_message(c, &h, &res.base);
}

static mono_ns took(const struct req *r)
{
    return loop_now_ns(r->io->loop) - call_started_ns(r->call);
}

/* ---- hashes and defragmentation ---- */

static void hash_done(struct req *r)
{
    const struct node_result *res = &r->node.result;
    Etcdserverpb__HashResponse m = ETCDSERVERPB__HASH_RESPONSE__INIT;
    struct mvcc_header h;

    histogram_observe(r->io->server->m.hash_seconds, took(r));
    if (reply_failed(r->call, res))
        return;
    h = header_current(r->io, res);
    m.hash = (uint32_t) res->number;
    reply_message(r->call, &h, &m.base);
}

static void hash(struct call *c, struct bytes message)
{
    Etcdserverpb__HashRequest *q;
    struct req *r;

    count_received(c, METHOD_HASH);
    if (!REQUEST_DECODE(c, etcdserverpb__hash_request, message, &q) ||
        !permitted(c, permit_admin(c)))
        return;
    r = req_new(c, NODE_REQ_HASH, hash_done);
    if (r != NULL)
        req_submit(r);
}

static void hash_kv_done(struct req *r)
{
    histogram_observe(r->io->server->m.hash_rev_seconds, took(r));
    req_message_done(r);
}

static void hash_kv(struct call *c, struct bytes message)
{
    Etcdserverpb__HashKVRequest *q;
    struct req *r;

    count_received(c, METHOD_HASH_KV);
    if (!REQUEST_DECODE(c, etcdserverpb__hash_kvrequest, message, &q) ||
        !permitted(c, permit_admin(c)))
        return;
    r = req_new(c, NODE_REQ_HASH_KV, hash_kv_done);
    if (r == NULL)
        return;
    r->node.revision = q->revision;
    req_submit(r);
}

/* The answer has no header: an empty message. */
static void defragment_done(struct req *r)
{
    metric_add(r->io->server->m.defrag_inflight, -1);
    histogram_observe(r->io->server->m.defrag_seconds, took(r));
    if (!reply_failed(r->call, &r->node.result))
        call_reply(r->call, NULL, 0);
}

static void defragment(struct call *c, struct bytes message)
{
    Etcdserverpb__DefragmentRequest *q;
    struct req *r;

    count_received(c, METHOD_DEFRAGMENT);
    if (!REQUEST_DECODE(c, etcdserverpb__defragment_request, message, &q) ||
        !permitted(c, permit_admin(c)))
        return;
    r = req_new(c, NODE_REQ_DEFRAGMENT, defragment_done);
    if (r == NULL)
        return;
    metric_inc(r->io->server->m.defrag_inflight);
    req_submit(r);
}

/* ---- leadership ---- */

static void moved(struct req *r)
{
    if (!reply_failed(r->call, &r->node.result))
        call_reply(r->call, NULL, 0);
}

static void move_leader(struct call *c, struct bytes message)
{
    Etcdserverpb__MoveLeaderRequest *q;
    struct req *r;

    count_received(c, METHOD_MOVE_LEADER);
    if (!REQUEST_DECODE(c, etcdserverpb__move_leader_request, message, &q) ||
        !permitted(c, permit_admin(c)))
        return;
    if (node_leader(call_server(c)->node) != call_server(c)->member_id) {
        reply_error(c, API_NOT_LEADER);
        return;
    }
    if (q->targetid == 0) {
        reply_error(c, API_BAD_LEADER_TRANSFEREE);
        return;
    }
    r = req_new(c, NODE_REQ_MOVE_LEADER, moved);
    if (r == NULL)
        return;
    r->node.target = q->targetid;
    req_submit(r);
}

const struct net_method maintenance_methods[] = {
    METHOD_UNARY(ALARM, alarm),
    METHOD_UNARY(STATUS, status),
    METHOD_UNARY(DEFRAGMENT, defragment),
    METHOD_UNARY(HASH, hash),
    METHOD_UNARY(HASH_KV, hash_kv),
    METHOD_SERVER_STREAM(SNAPSHOT, maintenance_snapshot),
    METHOD_UNARY(MOVE_LEADER, move_leader),
    METHOD_UNARY(DOWNGRADE, maintenance_downgrade),
};
const size_t maintenance_methods_n = ARRAY_LEN(maintenance_methods);
