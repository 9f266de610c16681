/* held.c -- proposals of other members that come at the wrong moment: while this leader hands over,
 * or while this member knows of no leader.  Raft would drop them, and their clients would wait for
 * nothing until their time is over.  Held for a moment, they go to the leader there is then.
 *
 * None of them has been in a log, so none can be there twice. */
#include "base/alloc.h"
#include "node/node_int.h"

#define HELD_MAX 1024 /* messages; more are lost */

static mono_ns patience_ns(const struct node *n)
{
    return 2 * (mono_ns) n->cfg.election_ticks * n->cfg.tick_ms * 1000000;
}

/* What is forwarded to a leader that was removed is lost: it waits for the next one instead. */
bool node__is_leaderless(const struct node *n)
{
    const struct raft_actor *ra = &n->raft;

    /* Raft's own word: a message of this turn may have changed it. */
    return raft_get_lead(ra->raft) == RAFT_NONE || (ra->lead_removed && !ra->is_leader) ||
           raft_get_lead_transferee(ra->raft) != RAFT_NONE;
}

bool node__hold(struct node *n, struct node_message *x)
{
    struct raft_actor *ra = &n->raft;

    if (x->m.type != RAFT_MSG_PROP || ra->held_n == HELD_MAX || !node__is_leaderless(n))
        return false;
    if (ra->held == NULL)
        ra->held = xmem_calloc(HELD_MAX, sizeof(struct node_message *));
    ra->held[ra->held_n++] = x;
    return true;
}

/* In their order. */
void node__held_step(struct node *n, mono_ns now)
{
    struct raft_actor *ra = &n->raft;
    bool late;

    if (ra->held_n == 0) {
        ra->held_since = now;
        return;
    }
    late = now - ra->held_since >= patience_ns(n);
    if (node__is_leaderless(n) && !late)
        return;
    for (size_t i = 0; i < ra->held_n; i++) {
        /* Refused all the same, it is lost: its client's time will be over. */
        int rc = late ? ERR_RAFT_PROPOSAL_DROPPED : raft_step(ra->raft, &ra->held[i]->m);

        if (rc != 0)
            LOG_DEBUG(n->env.log, "a proposal of another member was not taken",
                      F_HEX("from", ra->held[i]->m.from), F_STR("error", raft_err_text(rc)));
        ra->held[i]->release(ra->held[i]);
    }
    ra->held_n = 0;
}

void node__held_drop(struct node *n)
{
    for (size_t i = 0; i < n->raft.held_n; i++)
        n->raft.held[i]->release(n->raft.held[i]);
    n->raft.held_n = 0;
    mem_free(n->raft.held);
    n->raft.held = NULL;
}
