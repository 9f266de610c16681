/* send.c -- every message leaves through here. */
#include "engine/raft/raft_int.h"

static bool is_vote_kind(enum raft_message_type t)
{
    return t == RAFT_MSG_VOTE || t == RAFT_MSG_VOTE_RESP || t == RAFT_MSG_PRE_VOTE ||
           t == RAFT_MSG_PRE_VOTE_RESP;
}

/* Promises about what this member has stored: its term, its vote, its log. */
static bool is_promise(enum raft_message_type t)
{
    if (PLANTED(VOTE_UNSTORED))
        return t == RAFT_MSG_APP_RESP;
    if (PLANTED(APPEND_UNSTORED))
        return t != RAFT_MSG_APP_RESP && is_vote_kind(t) && t != RAFT_MSG_VOTE &&
               t != RAFT_MSG_PRE_VOTE;
    return t == RAFT_MSG_APP_RESP || t == RAFT_MSG_VOTE_RESP || t == RAFT_MSG_PRE_VOTE_RESP;
}

/* Who asks for a vote says what its term and its log are. */
static bool is_vote_request_to_store(const struct raft *r, enum raft_message_type t)
{
    return t == RAFT_MSG_VOTE && r->config.vote_requests_after_store &&
           !PLANTED(VOTE_REQUEST_UNSTORED);
}

static bool waits_for_store(const struct raft *r, const struct raft_message *m)
{
    return is_promise(m->type) || m->to == r->config.id || is_vote_request_to_store(r, m->type);
}

void raft__send_pooled(struct raft *r, struct raft_message m, size_t entries_at)
{
    struct raft_outbox *o = raft__out(r);

    if (m.from == RAFT_NONE)
        m.from = r->config.id;
    if (is_vote_kind(m.type)) {
        /* These carry the term they are about, which is not always one's own. */
        ASSERT(m.term != 0);
    } else {
        ASSERT(m.term == 0);
        /* A forwarded request belongs to no term. */
        if (m.type != RAFT_MSG_PROP && m.type != RAFT_MSG_READ_INDEX)
            m.term = r->term;
    }
    if (waits_for_store(r, &m)) {
        raft__outbox_add(o, &o->after_store, &m, entries_at);
        return;
    }
    raft__outbox_add(o, &o->now, &m, entries_at);
}

void raft__send(struct raft *r, struct raft_message m)
{
    struct raft_outbox *o = raft__out(r);
    size_t at = o->pool.n;

    for (size_t i = 0; i < m.entries_n; i++)
        raft_entry_list_add(&o->pool, &m.entries[i]);
    raft__send_pooled(r, m, at);
}
