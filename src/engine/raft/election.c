/* election.c -- asking for votes, counting them, giving them. */
#include "engine/raft/raft_int.h"

bool raft__promotable(const struct raft *r)
{
    const struct raft_progress *self = raft__self(r);

    return self != NULL && !self->learner && r->log.unstable.snapshot == NULL;
}

/* A committed configuration change that is not applied: this member does not know who the voters
 * are. */
static bool has_unapplied_conf_change(struct raft *r)
{
    raft_index lo = r->log.applied + 1, hi = r->log.committed + 1;
    bool found = false;

    while (lo < hi && !found) {
        int rc = raft__log_slice(&r->log, lo, hi, r->config.committed_bytes_max, &r->scratch);

        if (rc != 0)
            found = true; /* cannot be known now: the next timeout looks again */
        for (size_t i = 0; i < r->scratch.n; i++)
            found = found || r->scratch.v[i].type != RAFT_ENTRY_NORMAL;
        lo += r->scratch.n;
        raft_entry_list_clear(&r->scratch);
    }
    return found;
}

void raft__hup(struct raft *r, enum raft_campaign_kind kind)
{
    if (r->state == RAFT_LEADER) {
        TRACE_DEBUG(r->trace, "%" PRIx64 " ignoring MsgHup because already leader", r->config.id);
        return;
    }
    if (!raft__promotable(r)) {
        TRACE_WARN(r->trace, "%" PRIx64 " is unpromotable and can not campaign", r->config.id);
        return;
    }
    if (has_unapplied_conf_change(r) && !PLANTED(CAMPAIGN_UNAPPLIED)) {
        TRACE_WARN(r->trace,
                   "%" PRIx64 " cannot campaign at term %" PRIu64
                   " since there are still pending configuration changes to apply",
                   r->config.id, r->term);
        return;
    }
    TRACE_INFO(r->trace, "%" PRIx64 " is starting a new election at term %" PRIu64, r->config.id,
               r->term);
    raft__campaign(r, kind);
}

static void ask_for_vote(struct raft *r, raft_id to, enum raft_message_type type, raft_term term,
                         enum raft_campaign_kind kind)
{
    struct raft_entry_id last = raft__log_last(&r->log);

    ASSERT(to != r->config.id);
    TRACE_INFO(r->trace,
               "%" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64 "] sent %s request to %" PRIx64
               " at term %" PRIu64,
               r->config.id, last.term, last.index, raft_message_type_name(type), to, r->term);
    raft__send(r, (struct raft_message){
                      .type = type,
                      .to = to,
                      .term = term,
                      .index = last.index,
                      .log_term = last.term,
                      .context = kind == RAFT_CAMPAIGN_TRANSFER
                                     ? BYTES_LIT(RAFT_CAMPAIGN_TRANSFER_CONTEXT)
                                     : BYTES_EMPTY,
                  });
}

static enum raft_message_type vote_response(enum raft_message_type request)
{
    ASSERT(request == RAFT_MSG_VOTE || request == RAFT_MSG_PRE_VOTE);
    return request == RAFT_MSG_VOTE ? RAFT_MSG_VOTE_RESP : RAFT_MSG_PRE_VOTE_RESP;
}

void raft__campaign(struct raft *r, enum raft_campaign_kind kind)
{
    const struct raft_members *m = &r->tracker.members;
    enum raft_message_type type = RAFT_MSG_VOTE;
    raft_id voters[2 * RAFT_MEMBERS_MAX];
    raft_term term;
    size_t n;

    ASSERT(r->state != RAFT_LEADER);
    if (kind == RAFT_CAMPAIGN_PRE_ELECTION) {
        raft__become_pre_candidate(r);
        type = RAFT_MSG_PRE_VOTE;
        term = r->term + 1; /* the one it would have */
    } else {
        raft__become_candidate(r);
        term = r->term;
    }
    n = raft__ids_union(&m->incoming, &m->outgoing, voters);
    for (size_t i = 0; i < n; i++) {
        if (voters[i] != r->config.id)
            ask_for_vote(r, voters[i], type, term, kind);
        else
            /* One's own vote comes back like any other, once it is stored. */
            raft__send(r, (struct raft_message){
                              .type = vote_response(type), .to = r->config.id, .term = term});
    }
}

enum raft__vote_result raft__poll(struct raft *r, raft_id id, enum raft_message_type t,
                                  bool granted, uint32_t *ret_granted, uint32_t *ret_rejected)
{
    ASSERT(r->state == RAFT_CANDIDATE || r->state == RAFT_PRE_CANDIDATE);
    TRACE_INFO(r->trace, "%" PRIx64 " received %s%s from %" PRIx64 " at term %" PRIu64,
               r->config.id, raft_message_type_name(t), granted ? "" : " rejection", id, r->term);
    raft__tracker_record_vote(&r->tracker, id, granted);
    return raft__tracker_tally(&r->tracker, ret_granted, ret_rejected);
}

/* Learners vote, too: whether this member still is one, it may be the last to know. */
void raft__handle_vote_request(struct raft *r, const struct raft_message *m)
{
    bool grant = r->vote == m->from || (r->vote == RAFT_NONE && r->lead == RAFT_NONE) ||
                 (m->type == RAFT_MSG_PRE_VOTE && m->term > r->term) || PLANTED(VOTE_TWICE);
    struct raft_entry_id last = raft__log_last(&r->log);

    ASSERT(m->term >= r->term);
    grant = grant && raft__log_up_to_date(&r->log, (struct raft_entry_id){m->log_term, m->index});
    TRACE_INFO(r->trace,
               "%" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64 ", vote: %" PRIx64
               "] %s %s %s %" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64 "] at term %" PRIu64,
               r->config.id, last.term, last.index, r->vote, grant ? "cast" : "rejected",
               raft_message_type_name(m->type), grant ? "for" : "from", m->from, m->log_term,
               m->index, r->term);
    /* A granted pre-vote is answered with the term that was asked for: one's own may be lower. */
    raft__send(r, (struct raft_message){.type = vote_response(m->type),
                                        .to = m->from,
                                        .term = grant ? m->term : r->term,
                                        .reject = !grant});
    if (grant && m->type == RAFT_MSG_VOTE) {
        r->election_elapsed = 0;
        r->vote = m->from;
    }
}
