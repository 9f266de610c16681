/* slow_disk.c -- a log that does not come to an end: a leader that has finished no write for an
 * election timeout hands over, for nothing is applied here that is not on this disk, and every
 * client of this leader would wait.  Ticks and heartbeats go on meanwhile, so nobody else would
 * notice. */
#include "node/node_int.h"

static mono_ns election_ns(const struct node *n)
{
    return (mono_ns) n->cfg.election_ticks * n->cfg.tick_ms * 1000000;
}

/* wal actor */
void node__log_write_begins(struct node *n, mono_ns now)
{
    atomic_store(&n->pub.log_busy_since, now);
}

void node__log_write_ends(struct node *n)
{
    atomic_store(&n->pub.log_busy_since, 0);
}

/* Once for each election timeout, after which raft gives up a transfer that did not succeed. */
static void hand_over(struct node *n, mono_ns now)
{
    struct raft_actor *ra = &n->raft;
    raft_id to = node__longest_connected(n);

    ra->hand_over_again = now + election_ns(n);
    if (to == RAFT_NONE)
        return;
    LOG_WARN(n->env.log, "the leader's disk hangs: handing over",
             F_HEX("local-member-id", n->member_id), F_HEX("transferee-member-id", to));
    raft_transfer_leader(ra->raft, to);
}

void node__slow_disk_step(struct node *n, mono_ns now)
{
    mono_ns since = atomic_load(&n->pub.log_busy_since);
    bool hangs = since != 0 && now - since >= election_ns(n);

    if (hangs != atomic_load_explicit(&n->pub.log_hangs, memory_order_relaxed)) {
        atomic_store(&n->pub.log_hangs, hangs);
        if (hangs)
            LOG_WARN(n->env.log, "no write to the log has finished for an election timeout",
                     F_HEX("local-member-id", n->member_id), F_NS("took", now - since));
        else
            LOG_INFO(n->env.log, "writes to the log finish again",
                     F_HEX("local-member-id", n->member_id));
    }
    if (hangs && n->raft.is_leader && now >= n->raft.hand_over_again)
        hand_over(n, now);
}
