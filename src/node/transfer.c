/* transfer.c -- leadership handed over: on request, and by a leader that is about to stop. */
#include "node/node_int.h"

static const char late[] = "etcdserver: request timed out, leader transfer took too long";

static bool is_voter(struct node *n, raft_id id)
{
    struct raft_peer_status p;

    return node__raft_peer(n, id, &p) && !p.learner;
}

raft_id node__longest_connected(struct node *n)
{
    const struct node_transport *t = n->env.transport;
    struct raft_status st;
    struct raft_peer_status p;
    raft_id best = RAFT_NONE;
    mono_ns best_since = INT64_MAX;

    raft_get_status(n->raft.raft, &st);
    for (size_t i = 0; t != NULL && i < st.peers_n; i++) {
        mono_ns since;

        raft_get_peer(n->raft.raft, i, &p);
        since = p.learner || p.id == n->member_id ? 0 : t->active_since(t->ctx, p.id);
        if (since != 0 && since < best_since) {
            best = p.id;
            best_since = since;
        }
    }
    return best;
}

void node__transfer_begin(struct node *n, struct node_request *r)
{
    struct raft_actor *ra = &n->raft;

    if (!ra->is_leader) {
        node__fail(n, &ra->out, r, API_NOT_LEADER);
        return;
    }
    if (r->target == RAFT_NONE)
        r->target = node__longest_connected(n);
    if (r->target == RAFT_NONE || !is_voter(n, r->target)) {
        node__fail(n, &ra->out, r, API_BAD_LEADER_TRANSFEREE);
        return;
    }
    LOG_INFO(n->env.log, "leadership transfer starting", F_HEX("local-member-id", n->member_id),
             F_HEX("current-leader-member-id", n->member_id),
             F_HEX("transferee-member-id", r->target));
    if (r->target != n->member_id)
        raft_transfer_leader(ra->raft, r->target);
    list_push(&ra->transfers, &r->age);
}

/* A leader that stops waits for nobody who has gone meanwhile, as when all members stop at once. */
static bool is_hopeless(struct node *n, const struct node_request *r)
{
    const struct node_transport *t = n->env.transport;

    return r->sink == &n->internal && t->active_since(t->ctx, r->target) == 0;
}

void node__transfers_step(struct node *n, mono_ns now)
{
    LIST_EACH_SAFE (x, &n->raft.transfers) {
        struct node_request *r = CONTAINER_OF(x, struct node_request, age);

        if (n->raft.lead == r->target) {
            list_remove(x);
            LOG_INFO(n->env.log, "leadership transfer finished",
                     F_HEX("local-member-id", n->member_id),
                     F_HEX("old-leader-member-id", n->member_id),
                     F_HEX("new-leader-member-id", r->target));
            node__finish(n, &n->raft.out, r);
        } else if (now >= r->deadline || is_hopeless(n, r) ||
                   (n->raft.lead != RAFT_NONE && n->raft.lead != n->member_id)) {
            list_remove(x);
            node__fail_text(n, &n->raft.out, r, GRPC_UNKNOWN, late);
        }
    }
}

/* ---- before a stop ---- */

static void handed_over(struct node *n, struct node_request *own)
{
    (void) own;
    atomic_store(&n->handed_over, true);
}

void node_hand_over(struct node *n)
{
    if (atomic_load(&n->pub.alone) || !atomic_load(&n->pub.is_leader)) {
        LOG_INFO(n->env.log,
                 atomic_load(&n->pub.alone)
                     ? "skipped leadership transfer for single voting member cluster"
                     : "skipped leadership transfer; local server is not leader",
                 F_HEX("local-member-id", n->member_id),
                 F_HEX("current-leader-member-id", atomic_load(&n->pub.lead)));
        atomic_store(&n->handed_over, true);
        return;
    }
    node__submit_own(n, NODE_REQ_MOVE_LEADER, handed_over);
}

bool node_handed_over(struct node *n)
{
    return atomic_load(&n->handed_over);
}
