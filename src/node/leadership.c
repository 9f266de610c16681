/* leadership.c -- does this member still lead?  (etcd's ensureLeadership; etcd issue 15247)
 *
 * A process that stood still (stopped, swapped out, moved to another machine) for some ticks may
 * have been replaced meanwhile, and what it is asked first it would answer as the leader it was:
 * keep a lease alive that the new leader lets end, or end one that is kept alive there.  So it
 * proves by a read index that a quorum follows it before it says anything about leases.
 *
 *     raft    ticks come late  -->  doubtful; a read index is asked for
 *             it has come, or another leads  -->  sure
 *     apply   doubtful, or the last tick is long ago, for raft has not run yet  -->  leases wait
 */
#include "node/node_int.h"

#define LATE_TICKS 3 /* etcd's number */

static bool is_late(const struct node *n, mono_ns now, mono_ns ticked_at)
{
    return ticked_at != 0 && now - ticked_at >= LATE_TICKS * (mono_ns) n->cfg.tick_ms * 1000000;
}

static void proved(struct node *n, struct node_request *own)
{
    bool ok = own->result.err == API_OK && own->result.code == GRPC_OK;

    /* Who leads no more is demoted with the next turn of apply. */
    if (ok || !atomic_load(&n->pub.is_leader) || atomic_load(&n->stopping))
        atomic_store(&n->pub.doubtful, false);
    else
        node__submit_own(n, NODE_REQ_READ_INDEX, proved);
    node__wake(n, NODE_APPLY);
}

void node__leadership_tick(struct node *n, mono_ns now)
{
    if (!atomic_load(&n->stopping) && n->raft.is_leader &&
        is_late(n, now, atomic_load(&n->pub.ticked_at)) && !atomic_exchange(&n->pub.doubtful, true))
        node__submit_own(n, NODE_REQ_READ_INDEX, proved);
    atomic_store(&n->pub.ticked_at, now);
}

bool node__leadership_doubtful(struct node *n)
{
    return atomic_load(&n->pub.doubtful) ||
           is_late(n, n->apply.now, atomic_load(&n->pub.ticked_at));
}
