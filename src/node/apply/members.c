/* members.c -- changes of membership by clients: what is checked before they are proposed, and what
 * their callers are told once they are in force (etcd's server.go, AddMember and its kin).
 */
#include "node/node_int.h"

#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)
#define TOO_MANY_TEXT \
    "etcdserver: too many members in cluster: there may be " TEXT_OF(RAFT_MEMBERS_MAX)
#define HEALTHY_NS INT64_C(5000000000) /* connected for so long: a member counts as healthy */

/* ---- the strict checks ---- */

/* Voters that have been connected since `since`, this member included. */
static size_t connected_voters(struct node *n, mono_ns since)
{
    const struct node_transport *t = n->env.transport;
    const struct cluster_view *v = cluster_view(n->apply.cluster);
    size_t k = 0;

    for (size_t i = 0; i < v->members_n; i++) {
        const struct cluster_member *m = &v->members[i];
        mono_ns at = m->is_learner || t == NULL ? 0 : t->active_since(t->ctx, m->id);

        k += !m->is_learner && (m->id == n->member_id || (at != 0 && at <= since));
    }
    return k;
}

static enum api_error may_add(struct node *n, const struct cluster_change *ch)
{
    const struct cluster_view *v = cluster_view(n->apply.cluster);
    size_t voters = cluster_view_voters(v);

    if (ch->type == RAFT_CONF_ADD_NODE && !cluster_ready_to_add_voter(v))
        return API_MEMBER_NOT_ENOUGH_STARTED;
    if (voters > 1 && connected_voters(n, n->apply.now - HEALTHY_NS) < (voters + 1) / 2 + 1)
        return API_UNHEALTHY;
    return API_OK;
}

static enum api_error may_remove(struct node *n, uint64_t id)
{
    const struct node_transport *t = n->env.transport;
    const struct cluster_view *v = cluster_view(n->apply.cluster);
    const struct cluster_member *m = cluster_view_member(v, id);
    size_t voters = cluster_view_voters(v);

    if (m == NULL || m->is_learner)
        return API_OK;
    if (!cluster_ready_to_remove_voter(v, id))
        return API_MEMBER_NOT_ENOUGH_STARTED;
    /* One that is down is no part of the majority that is. */
    if (id != n->member_id && (t == NULL || t->active_since(t->ctx, id) == 0))
        return API_OK;
    if (connected_voters(n, n->apply.now - HEALTHY_NS) - 1 < 1 + (voters - 1) / 2)
        return API_UNHEALTHY;
    return API_OK;
}

/* Without any voter there is no cluster: not even who asked for no strictness gets that. */
static bool is_last_voter(struct node *n, const struct cluster_change *ch)
{
    const struct cluster_view *v = cluster_view(n->apply.cluster);
    const struct cluster_member *m = cluster_view_member(v, ch->member.id);

    return ch->type == RAFT_CONF_REMOVE_NODE && m != NULL && !m->is_learner &&
           cluster_view_voters(v) == 1;
}

/* No core of this version knows more, and an entry that it cannot apply would stop every member. */
static bool is_full(struct node *n, const struct cluster_change *ch)
{
    bool adds = ch->type == RAFT_CONF_ADD_NODE || ch->type == RAFT_CONF_ADD_LEARNER_NODE;

    return adds && !ch->promote && cluster_view(n->apply.cluster)->members_n >= RAFT_MEMBERS_MAX;
}

static enum api_error may_change(struct node *n, const struct cluster_change *ch)
{
    if (is_last_voter(n, ch))
        return API_MEMBER_NOT_ENOUGH_STARTED;
    if (!n->cfg.strict_reconfig)
        return API_OK;
    switch (ch->type) {
    case RAFT_CONF_ADD_NODE:
    case RAFT_CONF_ADD_LEARNER_NODE:
        if (ch->promote)
            return cluster_ready_to_promote(cluster_view(n->apply.cluster))
                       ? API_OK
                       : API_MEMBER_NOT_ENOUGH_STARTED;
        return may_add(n, ch);
    case RAFT_CONF_REMOVE_NODE:
        return may_remove(n, ch->member.id);
    case RAFT_CONF_UPDATE_NODE:
        return API_OK;
    }
    UNREACHABLE();
}

/* ---- on the way to the log ---- */

/* Only the leader knows how far a learner is, and it asks first whether there is one.  True: the
 * request was taken care of. */
static bool promote_elsewhere(struct node *n, struct node_request *r)
{
    const struct cluster_view *v = cluster_view(n->apply.cluster);

    if (!atomic_load(&n->pub.is_leader) && node__forward(n, r))
        return true;
    if (cluster_view_member(v, r->change->member.id) != NULL)
        return false;
    if (!node__wait_applied(n, r))
        node__fail(n, &n->apply.out, r, API_MEMBER_NOT_FOUND);
    return true;
}

/* What the log would refuse whatever comes before it costs nothing when it is refused here. Nothing
 * else is refused: this member may be behind, and where it knows of no such member, or of one that
 * has these URLs, the entry that adds the one or removes the other may be on its way. */
static enum api_error is_hopeless(struct node *n, const struct cluster_change *ch)
{
    const struct cluster_view *v = cluster_view(n->apply.cluster);

    if (cluster_view_is_removed(v, ch->member.id))
        return API_MEMBER_NOT_FOUND;
    /* The leader has been asked, and a voter never becomes a learner again. */
    return ch->promote ? cluster_check_change(v, ch, n->cfg.learners_max) : API_OK;
}

void node__member_change_check(struct node *n, struct node_request *r)
{
    struct cluster_change *ch = r->change;
    enum api_error err;

    if (ch->promote && promote_elsewhere(n, r))
        return;
    if (ch->type != RAFT_CONF_REMOVE_NODE && ch->member.id == 0)
        ch->member.id = cluster_member_id(&ch->member.peer_urls, "", n->apply.wall / 1000);
    err = may_change(n, ch);
    if (err == API_OK)
        err = is_hopeless(n, ch);
    if (err != API_OK) {
        node__fail(n, &n->apply.out, r, err);
        return;
    }
    if (is_full(n, ch)) {
        node__fail_text(n, &n->apply.out, r, GRPC_FAILED_PRECONDITION, TOO_MANY_TEXT);
        return;
    }
    if (node__actor_stopped(n, NODE_RAFT)) /* as in node__propose_own */
        node__fail(n, &n->apply.out, r, API_STOPPED);
    else if (mpsc_push(&n->raft.requests, &r->link))
        node__wake(n, NODE_RAFT);
}

/* ---- the answer ---- */

static const ProtobufCMessageDescriptor *answer_of(const struct cluster_change *ch)
{
    switch (ch->type) {
    case RAFT_CONF_ADD_NODE:
    case RAFT_CONF_ADD_LEARNER_NODE:
        return ch->promote ? &etcdserverpb__member_promote_response__descriptor
                           : &etcdserverpb__member_add_response__descriptor;
    case RAFT_CONF_REMOVE_NODE:
        return &etcdserverpb__member_remove_response__descriptor;
    case RAFT_CONF_UPDATE_NODE:
        return &etcdserverpb__member_update_response__descriptor;
    }
    UNREACHABLE();
}

static Etcdserverpb__Member *find(Etcdserverpb__Member **v, size_t k, uint64_t id)
{
    for (size_t i = 0; i < k; i++) {
        if (v[i]->id == id)
            return v[i];
    }
    return NULL;
}

void node__member_change_answer(struct node *n, struct node_request *r)
{
    ProtobufCMessage *m = node__reply_new(r, answer_of(r->change));
    size_t k;
    Etcdserverpb__Member **v = node__members_copy(cluster_view(n->apply.cluster), r->arena, &k);

    r->result.raft_term = n->apply.term;
    if (m == NULL || v == NULL) {
        node__no_memory(r);
        return;
    }
    if (m->descriptor == &etcdserverpb__member_add_response__descriptor) {
        Etcdserverpb__MemberAddResponse *a = (Etcdserverpb__MemberAddResponse *) m;

        a->member = find(v, k, r->change->member.id);
        a->members = v;
        a->n_members = k;
    } else if (m->descriptor == &etcdserverpb__member_remove_response__descriptor) {
        ((Etcdserverpb__MemberRemoveResponse *) m)->members = v;
        ((Etcdserverpb__MemberRemoveResponse *) m)->n_members = k;
    } else if (m->descriptor == &etcdserverpb__member_update_response__descriptor) {
        ((Etcdserverpb__MemberUpdateResponse *) m)->members = v;
        ((Etcdserverpb__MemberUpdateResponse *) m)->n_members = k;
    } else {
        ((Etcdserverpb__MemberPromoteResponse *) m)->members = v;
        ((Etcdserverpb__MemberPromoteResponse *) m)->n_members = k;
    }
}
