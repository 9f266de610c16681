/* membership.c -- a committed configuration change comes into force. */
#include "engine/raft/raft_int.h"

struct raft_conf_change_v2 raft_conf_change_as_v2(const struct raft_conf_change *c,
                                                  struct raft_conf_change_single *single)
{
    *single = (struct raft_conf_change_single){c->type, c->node_id};
    return (struct raft_conf_change_v2){.changes = single, .changes_n = 1, .context = c->context};
}

/* The leader looks at its followers with the new configuration's eyes. */
static void leader_switched(struct raft *r)
{
    ASSERT(r->state == RAFT_LEADER);
    /* A smaller quorum may have had entries for long. */
    if (raft__maybe_commit(r)) {
        raft__bcast_append(r);
    } else {
        for (size_t i = 0; i < r->tracker.n; i++)
            if (r->tracker.progress[i].id != r->config.id)
                (void) raft__maybe_send_append(r, r->tracker.progress[i].id, false);
    }
    if (r->lead_transferee != RAFT_NONE && !raft__tracker_is_voter(&r->tracker, r->lead_transferee))
        raft__abort_transfer(r);
}

void raft__switched_config(struct raft *r)
{
    const struct raft_progress *self = raft__self(r);

    ASSERT(r->tracker.n <= RAFT_MEMBERS_MAX);
    TRACE_INFO(r->trace, "%" PRIx64 " switched to configuration %s", r->config.id,
               MEMBERS_TEXT(&r->tracker.members));
    r->learner = self != NULL && self->learner;
    if (r->state != RAFT_LEADER)
        return;
    if (self == NULL || r->learner) {
        /* Without stepping down it leads on without a vote of its own, until it is stopped. */
        if (r->config.step_down_on_removal)
            raft__become_follower(r, r->term, RAFT_NONE);
        return;
    }
    leader_switched(r);
}

int raft_apply_conf_change(struct raft *r, const struct raft_conf_change_v2 *c,
                           struct raft_conf_state *ret, struct err *e)
{
    int rc = raft__conf_apply(&r->tracker, raft__log_last_index(&r->log), c, e);

    ASSERT(r->magic == RAFT_MAGIC);
    if (rc != 0)
        return rc;
    raft__switched_config(r);
    if (ret != NULL)
        *ret = raft__tracker_conf_state(&r->tracker);
    return 0;
}
