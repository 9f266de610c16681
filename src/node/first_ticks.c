/* first_ticks.c -- a member of a cluster that starts does not wait for a whole election timeout:
 * once it is connected, all but two ticks of it are taken at once (etcd's server.go, adjustTicks).
 * The two are for the leader that may be there. */
#include "node/node_int.h"

#define CONNECT_NS INT64_C(5000000000) /* after that, nobody is there */
#define LEFT_TICKS 2

static size_t active_others(struct node *n)
{
    const struct node_transport *t = n->env.transport;
    struct raft_status st;
    struct raft_peer_status p;
    size_t k = 0;

    raft_get_status(n->raft.raft, &st);
    for (size_t i = 0; t != NULL && i < st.peers_n; i++) {
        raft_get_peer(n->raft.raft, i, &p);
        k += p.id != n->member_id && t->active_since(t->ctx, p.id) != 0;
    }
    return k;
}

static void say(const struct node *n, unsigned ticks, size_t others)
{
    mono_ns tick_ns = (mono_ns) n->cfg.tick_ms * 1000000;

    LOG_INFO(n->env.log, "initialized peer connections; fast-forwarding election ticks",
             F_HEX("local-member-id", n->member_id), F_U64("forward-ticks", ticks),
             F_NS("forward-duration", ticks * tick_ns),
             F_U64("election-ticks", n->cfg.election_ticks),
             F_NS("election-timeout", n->cfg.election_ticks * tick_ns),
             F_U64("active-remote-members", others));
}

void node__first_ticks(struct node *n, mono_ns now)
{
    struct raft_actor *ra = &n->raft;
    unsigned ticks = n->cfg.election_ticks - MIN(n->cfg.election_ticks, LEFT_TICKS);
    size_t others;

    if (ra->first_ticks_over)
        return;
    if (ra->first_ticks_until == 0)
        ra->first_ticks_until = now + CONNECT_NS;
    /* Who hears of a leader needs no election. */
    if (!n->cfg.advance_first_ticks || now >= ra->first_ticks_until || ra->lead != RAFT_NONE) {
        ra->first_ticks_over = true;
        return;
    }
    others = active_others(n);
    if (others < 2)
        return;
    ra->first_ticks_over = true;
    say(n, ticks, others);
    for (unsigned i = 0; i < ticks; i++)
        raft_tick(ra->raft);
}
