/* request.c -- the operations of InternalRaftRequest on the state machine.
 *
 * The order of checks is etcd's: CORRUPT alarm, NOSPACE alarm, permissions, then execution; the
 * quota of this member only decides what the client is told, never what is done, so that members
 * cannot differ.
 */
#include "base/alloc.h"
#include "base/plant.h"
#include "node/measure.h"

/* ---- answers ---- */

void node__apply_answer(struct node *n, struct node_request *w)
{
    struct apply_actor *a = &n->apply;

    if (w == NULL)
        return;
    if (w->result.revision == 0)
        w->result.revision = mvcc_revision(a->mvcc);
    w->result.raft_term = a->term;
    node__finish(n, &a->out, w);
}

void node__apply_refuse(struct node *n, struct node_request *w, enum api_error err)
{
    node__measure_refused(n, err);
    if (w != NULL)
        node__fail(n, &n->apply.out, w, err);
}

void *node__apply_reply(struct node_request *w, const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *m = w == NULL ? NULL : wire_new(d, w->arena);

    if (m != NULL) {
        w->result.answer = NODE_ANSWER_MSG;
        w->result.msg = m;
    } else if (w != NULL) {
        node__no_memory(w);
    }
    return m;
}

/* ---- keys ---- */

static void apply_put(struct node *n, const Etcdserverpb__PutRequest *r, struct node_request *w)
{
    struct mvcc_put_result res;
    bool too_large = false;
    int rc = mvcc_put(n->apply.mvcc, r, w == NULL ? NULL : w->arena, &res, &too_large);

    if (rc != 0) {
        node__apply_refuse(n, w, mvcc_api_error(rc));
        return;
    }
    if (w != NULL)
        w->result = (struct node_result){
            .answer = NODE_ANSWER_PUT, .put = res, .too_large = too_large};
    node__apply_answer(n, w);
}

static void apply_delete(struct node *n, const Etcdserverpb__DeleteRangeRequest *r,
                         struct node_request *w)
{
    struct mvcc_delete_result res;
    bool too_large = false;

    mvcc_delete_range(n->apply.mvcc, r, w == NULL ? NULL : w->arena, &res, &too_large);
    if (w != NULL)
        w->result = (struct node_result){
            .answer = NODE_ANSWER_DELETE, .del = res, .too_large = too_large};
    node__apply_answer(n, w);
}

static void apply_txn(struct node *n, const Etcdserverpb__TxnRequest *r, struct node_request *w)
{
    struct mvcc_txn_result res;
    bool too_large = false;
    int rc = mvcc_txn(n->apply.mvcc, r, w == NULL ? NULL : w->arena, &res, &too_large);

    if (rc != 0) {
        node__apply_refuse(n, w, mvcc_api_error(rc));
        return;
    }
    if (w != NULL)
        w->result = (struct node_result){
            .answer = NODE_ANSWER_TXN, .txn = res, .too_large = too_large};
    node__apply_answer(n, w);
}

/* physical: the answer waits until the file is rid of what went, also when the compaction itself is
 * refused because an earlier one is still at work. */
static void apply_compaction(struct node *n, const Etcdserverpb__CompactionRequest *r,
                             struct node_request *w)
{
    struct apply_actor *a = &n->apply;
    int rc = mvcc_compact(a->mvcc, r->revision);

    if (rc != 0)
        node__measure_refused(n, mvcc_api_error(rc));

    if (rc == 0) {
        watch_compacted(a->hub, r->revision);
        a->compactions_queued++;
    }
    if (w == NULL)
        return;
    node__apply_reply(w, &etcdserverpb__compaction_response__descriptor);
    w->result.revision = mvcc_revision(a->mvcc);
    w->result.raft_term = a->term;
    if (rc != 0)
        w->result = (struct node_result){.err = mvcc_api_error(rc)};
    if (r->physical && a->compactions_queued > 0 && (rc == 0 || rc == ERR_MVCC_COMPACTED)) {
        w->index = a->compactions_done + a->compactions_queued;
        list_push(&a->physical, &w->age);
        return;
    }
    node__finish(n, &a->out, w);
}

/* ---- leases ---- */

static enum api_error lease_api_error(int rc)
{
    switch (rc) {
    case ERR_LEASE_EXISTS:
        return API_LEASE_EXIST;
    case ERR_LEASE_TTL_TOO_LARGE:
        return API_LEASE_TTL_TOO_LARGE;
    default:
        ASSERT(rc == ERR_LEASE_NOT_FOUND);
        return API_LEASE_NOT_FOUND;
    }
}

static void apply_lease_grant(struct node *n, const Etcdserverpb__LeaseGrantRequest *r,
                              struct node_request *w)
{
    struct apply_actor *a = &n->apply;
    Etcdserverpb__LeaseGrantResponse *res;
    int64_t ttl = 0;
    int rc = lease_grant(a->lessor, r->id, r->ttl, a->now / 1000000, &ttl);

    if (rc != 0) {
        node__apply_refuse(n, w, lease_api_error(rc));
        return;
    }
    node__count_lease(n, NODE_LEASE_GRANTED);
    node__measure_lease(n, ttl);
    res = node__apply_reply(w, &etcdserverpb__lease_grant_response__descriptor);
    if (res != NULL) {
        res->id = r->id;
        res->ttl = ttl;
    }
    node__apply_answer(n, w);
}

static void apply_lease_revoke(struct node *n, const Etcdserverpb__LeaseRevokeRequest *r,
                               struct node_request *w)
{
    struct apply_actor *a = &n->apply;
    struct lease_keys keys;
    int rc = lease_revoke(a->lessor, r->id, &keys);

    if (rc != 0) {
        node__apply_refuse(n, w, lease_api_error(rc));
        return;
    }
    node__count_lease(n, NODE_LEASE_REVOKED);
    mvcc_delete_keys(a->mvcc, keys.keys, keys.n);
    lease_keys_free(&keys);
    node__apply_reply(w, &etcdserverpb__lease_revoke_response__descriptor);
    node__apply_answer(n, w);
}

static void apply_lease_checkpoint(struct node *n, const Etcdserverpb__LeaseCheckpointRequest *r,
                                   struct node_request *w)
{
    bool persist = n->cfg.lease_checkpoint_persist ||
                   cluster_view(n->apply.cluster)->version >= CLUSTER_VERSION(3, 6);

    for (size_t i = 0; i < r->n_checkpoints; i++)
        lease_checkpoint(n->apply.lessor, r->checkpoints[i]->id, r->checkpoints[i]->remaining_ttl,
                         persist);
    node__apply_answer(n, w);
}

/* ---- the cluster ---- */

static void apply_cluster_version(struct node *n, const Membershippb__ClusterVersionSetRequest *r,
                                  struct node_request *w)
{
    cluster_version v;

    if (!cluster_version_parse(bytes_str(r->ver), &v))
        node__die(n, "a cluster version in the log cannot be read", NULL);
    node__version_apply(n, v);
    node__apply_answer(n, w);
}

static void apply_member_attributes(struct node *n,
                                    const Membershippb__ClusterMemberAttrSetRequest *r,
                                    struct node_request *w)
{
    const Membershippb__Attributes *at = r->member_attributes;
    struct cluster_strings urls = {NULL, 0};

    if (at != NULL)
        urls = (struct cluster_strings){(const char *const *) at->client_urls, at->n_client_urls};
    n->apply.cluster_changed |= cluster_apply_attributes(n->apply.cluster, r->member_id,
                                                         at == NULL ? "" : at->name, &urls);
    node__apply_answer(n, w);
}

static void apply_downgrade(struct node *n, const Membershippb__DowngradeInfoSetRequest *r,
                            struct node_request *w)
{
    struct apply_actor *a = &n->apply;

    cluster_apply_downgrade(a->cluster, r->enabled, r->enabled ? r->ver : "");
    a->cluster_changed = true;
    a->monitor_again = a->now;
    node__apply_answer(n, w);
}

/* ---- dispatch ---- */

static bool writes_keys_or_leases(const Etcdserverpb__InternalRaftRequest *r)
{
    return r->put != NULL || r->delete_range != NULL || r->txn != NULL || r->compaction != NULL ||
           r->lease_grant != NULL || r->lease_revoke != NULL || r->range != NULL;
}

static uint64_t cost_of(const Etcdserverpb__InternalRaftRequest *r)
{
    if (r->put != NULL)
        return mvcc_put_cost(r->put);
    if (r->txn != NULL)
        return mvcc_txn_cost(r->txn);
    return r->lease_grant != NULL ? 64 : 0;
}

static enum api_error refused_by_alarm(struct node *n, const Etcdserverpb__InternalRaftRequest *r,
                                       uint64_t cost)
{
    const struct cluster_view *v = cluster_view(n->apply.cluster);

    if (v->alarms_n == 0)
        return API_OK;
    if (cluster_view_has_alarm(v, ETCDSERVERPB__ALARM_TYPE__CORRUPT) && writes_keys_or_leases(r))
        return API_CORRUPT;
    if (cluster_view_has_alarm(v, ETCDSERVERPB__ALARM_TYPE__NOSPACE) && cost > 0)
        return API_NO_SPACE;
    return API_OK;
}

static void execute(struct node *n, const Etcdserverpb__InternalRaftRequest *r,
                    struct node_request *w)
{
    if (r->put != NULL)
        apply_put(n, r->put, w);
    else if (r->delete_range != NULL)
        apply_delete(n, r->delete_range, w);
    else if (r->txn != NULL)
        apply_txn(n, r->txn, w);
    else if (r->compaction != NULL)
        apply_compaction(n, r->compaction, w);
    else if (r->lease_grant != NULL)
        apply_lease_grant(n, r->lease_grant, w);
    else if (r->lease_revoke != NULL)
        apply_lease_revoke(n, r->lease_revoke, w);
    else if (r->lease_checkpoint != NULL)
        apply_lease_checkpoint(n, r->lease_checkpoint, w);
    else if (r->alarm != NULL)
        node__apply_alarm(n, r->alarm, w);
    else if (r->cluster_version_set != NULL)
        apply_cluster_version(n, r->cluster_version_set, w);
    else if (r->cluster_member_attr_set != NULL)
        apply_member_attributes(n, r->cluster_member_attr_set, w);
    else if (r->downgrade_info_set != NULL)
        apply_downgrade(n, r->downgrade_info_set, w);
    else if (r->range != NULL || r->downgrade_version_test != NULL)
        node__apply_answer(n, w); /* they change nothing, and nobody waits here */
    else if (!node__apply_auth(n, r, w))
        node__die(n,
                  "the log holds a request that this version cannot execute (something newer than "
                  "etcd 3.7)",
                  NULL);
}

static void apply_request(struct node *n, const Etcdserverpb__InternalRaftRequest *r,
                          struct node_request *w)
{
    uint64_t cost = cost_of(r);
    enum api_error refused = refused_by_alarm(n, r, cost);

    if (refused == API_OK)
        refused = node__auth_refuses(n, r);
    if (PLANTED(APPLY_ASKS_DISK) && cost > 0 && node_disk_full(n))
        refused = API_NO_SPACE;
    if (w != NULL)
        w->result = (struct node_result){0};
    if (refused != API_OK) {
        node__apply_refuse(n, w, refused);
        return;
    }
    if (cost > 0 && !node__quota_fits(n, cost)) {
        /* Done all the same, for the other members do it; but the client is told, after the alarm
         * is on. */
        struct node_request *told = w;

        execute(n, r, NULL);
        node__measure_refused(n, API_NO_SPACE);
        node__raise_nospace(n, told);
        return;
    }
    execute(n, r, w);
}

void node__apply_request(struct node *n, const Etcdserverpb__InternalRaftRequest *r,
                         struct node_request *w)
{
    node__measure_begin(n);
    apply_request(n, r, w);
    node__measure_end(n, r, w);
}
