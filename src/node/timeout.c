/* timeout.c -- why a proposal may have had no answer in time: etcd tells its clients (v3_server.go,
 * parseProposeCtxErr). */
#include "node/node_int.h"

/* Messages have been flowing since before `since`. */
static bool is_connected(struct node *n, raft_id id, mono_ns since)
{
    const struct node_transport *t = n->env.transport;
    mono_ns at = t == NULL ? 0 : t->active_since(t->ctx, id);

    return at != 0 && at < since;
}

static bool has_quorum(struct node *n, mono_ns since)
{
    struct raft_status st;
    struct raft_peer_status p;
    size_t voters = 0, connected = 0;

    raft_get_status(n->raft.raft, &st);
    for (size_t i = 0; i < st.peers_n; i++) {
        raft_get_peer(n->raft.raft, i, &p);
        if (p.learner)
            continue;
        voters++;
        connected += p.id == n->member_id || is_connected(n, p.id, since);
    }
    return connected >= voters / 2 + 1;
}

/* It began while the leader before this member was lost, or shortly before. */
static bool fell_into_election(const struct node *n, mono_ns since)
{
    mono_ns elected = n->raft.elected_at;
    mono_ns lost = elected - 2 * (mono_ns) n->cfg.election_ticks * n->cfg.tick_ms * 1000000;

    return elected != 0 && since > lost && since < elected;
}

enum api_error node__timeout_error(struct node *n, mono_ns since)
{
    raft_id lead = n->raft.lead;

    if (fell_into_election(n, since))
        return API_TIMEOUT_DUE_TO_LEADER_FAIL;
    if (lead == n->member_id ? !has_quorum(n, since)
                             : lead != RAFT_NONE && !is_connected(n, lead, since))
        return API_TIMEOUT_DUE_TO_CONNECTION_LOST;
    return API_TIMEOUT;
}
