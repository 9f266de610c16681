/* transcript_work.h -- moving an interaction transcript's world: updates, storage threads,
 * deliveries. */
#ifndef KETCH_TESTS_UNIT_ENGINE_RAFT_TRANSCRIPT_WORK_H
#define KETCH_TESTS_UNIT_ENGINE_RAFT_TRANSCRIPT_WORK_H

#include "unit/engine/raft/transcript_env.h"

#define TE_MESSAGES_MAX 4096

/* ---- the text of an update ---- */

/* The messages of an update as etcd-io/raft lists them, storage work included. */
struct te_messages {
    struct raft_message v[TE_MESSAGES_MAX];
    size_t n;
    struct raft_message responses[TE_MESSAGES_MAX];
    struct raft_snapshot stored_snapshot;
    struct raft_message applied;
};

static void te_add_append_message(struct te_messages *ms, raft_id self, const struct raft_update *u)
{
    struct raft_message *m = &ms->v[ms->n];
    size_t n = 0;

    if (!raft_update_stores(u))
        return;
    for (; n < u->after_store_n; n++)
        ms->responses[n] = u->after_store[n];
    if (u->stored.index != 0 || u->stored.snapshot_index != 0) {
        ms->responses[n] = (struct raft_message){.type = RAFT_MSG_STORAGE_APPEND_RESP,
                                                 .to = self,
                                                 .from = RAFT_LOCAL_APPEND_THREAD,
                                                 .term = u->stored.term,
                                                 .index = u->stored.index,
                                                 .log_term = u->stored.log_term};
        if (u->snapshot != NULL) {
            ms->stored_snapshot = *u->snapshot;
            ms->responses[n].snapshot = &ms->stored_snapshot;
        }
        n++;
    }
    *m = (struct raft_message){.type = RAFT_MSG_STORAGE_APPEND,
                               .to = RAFT_LOCAL_APPEND_THREAD,
                               .from = self,
                               .entries = (struct raft_entry *) (uintptr_t) u->entries,
                               .entries_n = u->entries_n,
                               .responses = ms->responses,
                               .responses_n = n};
    if (u->hard_changed) {
        m->term = u->hard.term;
        m->vote = u->hard.vote;
        m->commit = u->hard.commit;
    }
    if (u->snapshot != NULL) {
        ms->stored_snapshot = *u->snapshot;
        m->snapshot = &ms->stored_snapshot;
    }
    ms->n++;
}

static void te_add_apply_message(struct te_messages *ms, raft_id self, const struct raft_update *u)
{
    struct raft_message *m = &ms->v[ms->n];

    if (u->committed_n == 0)
        return;
    *m = (struct raft_message){.type = RAFT_MSG_STORAGE_APPLY,
                               .to = RAFT_LOCAL_APPLY_THREAD,
                               .from = self,
                               .entries = (struct raft_entry *) (uintptr_t) u->committed,
                               .entries_n = u->committed_n,
                               .responses = &ms->applied,
                               .responses_n = 1};
    ms->applied = (struct raft_message){.type = RAFT_MSG_STORAGE_APPLY_RESP,
                                        .to = self,
                                        .from = RAFT_LOCAL_APPLY_THREAD,
                                        .entries = m->entries,
                                        .entries_n = m->entries_n};
    ms->n++;
}

static void te_collect(struct te_messages *ms, const struct te_node *n, const struct raft_update *u)
{
    ms->n = 0;
    for (size_t i = 0; i < u->messages_n; i++)
        ms->v[ms->n++] = u->messages[i];
    if (n->config.async_storage_writes) {
        te_add_append_message(ms, n->config.id, u);
        te_add_apply_message(ms, n->config.id, u);
        return;
    }
    for (size_t i = 0; i < u->after_store_n; i++)
        if (u->after_store[i].to != n->config.id)
            ms->v[ms->n++] = u->after_store[i];
}

static void te_print_read_states(struct te *t, const struct raft_update *u)
{
    te_print(t, "ReadStates [");
    for (size_t i = 0; i < u->read_states_n; i++) {
        te_print(t, "%s{%" PRIu64 " [", i == 0 ? "" : " ", u->read_states[i].index);
        for (size_t j = 0; j < u->read_states[i].context.n; j++)
            te_print(t, "%s%u", j == 0 ? "" : " ", u->read_states[i].context.p[j]);
        te_print(t, "]}");
    }
    te_print(t, "]\n");
}

static void te_print_parts(struct te *t, const struct raft_update *u, const struct te_messages *ms)
{
    if (u->soft_changed)
        te_print(t, "Lead:%" PRIu64 " State:%s\n", u->soft.lead, raft_state_name(u->soft.state));
    if (u->hard_changed) {
        te_print(t, "HardState Term:%" PRIu64, u->hard.term);
        if (u->hard.vote != 0)
            te_print(t, " Vote:%" PRIu64, u->hard.vote);
        te_print(t, " Commit:%" PRIu64 "\n", u->hard.commit);
    }
    if (u->read_states_n > 0)
        te_print_read_states(t, u);
    if (u->entries_n > 0) {
        te_print(t, "Entries:\n");
        raft_describe_entries(&t->out, u->entries, u->entries_n);
    }
    if (u->snapshot != NULL) {
        te_print(t, "Snapshot ");
        raft_describe_snapshot(&t->out, u->snapshot);
        te_print(t, "\n");
    }
    if (u->committed_n > 0) {
        te_print(t, "CommittedEntries:\n");
        raft_describe_entries(&t->out, u->committed, u->committed_n);
    }
    if (ms->n > 0)
        te_print(t, "Messages:\n");
    for (size_t i = 0; i < ms->n; i++)
        te_print_message(t, &ms->v[i]);
}

static void te_print_update(struct te *t, const struct raft_update *u, const struct te_messages *ms)
{
    size_t header, from = t->out.len;

    te_print(t, "Ready MustSync=%s:\n", u->must_sync ? "true" : "false");
    header = t->out.len;
    te_print_parts(t, u, ms);
    if (t->out.len == header) {
        t->out.len = from;
        te_print(t, "<empty Ready>");
    }
}

/* ---- updates and storage threads ---- */

static void te_process_ready(struct te *t, struct te_node *n)
{
    static struct te_messages ms;
    struct raft_update u;
    struct raft_hard_state none = {0};

    raft_take_update(n->raft, &u);
    te_collect(&ms, n, &u);
    te_print_update(t, &u, &ms);
    if (!n->config.async_storage_writes) {
        te_store(n, u.hard_changed ? &u.hard : &none, u.snapshot, u.entries, u.entries_n);
        te_apply(n, u.committed, u.committed_n);
    }
    for (size_t i = 0; i < ms.n; i++) {
        if (ms.v[i].to == RAFT_LOCAL_APPEND_THREAD)
            te_push(&n->append_work, &ms.v[i]);
        else if (ms.v[i].to == RAFT_LOCAL_APPLY_THREAD)
            te_push(&n->apply_work, &ms.v[i]);
        else
            te_push(&t->flight, &ms.v[i]);
    }
    if (!n->config.async_storage_writes)
        raft_advance(n->raft);
}

static void te_process_work(struct te *t, struct te_node *n, struct te_queue *q, const char *name)
{
    struct te_msg *x;
    struct raft_message plain;
    struct raft_hard_state hs;

    if (q->n == 0) {
        te_print(t, "no %s work to perform", name);
        return;
    }
    x = te_take(q, 0);
    plain = x->m;
    plain.responses_n = 0;
    te_print(t, "Processing:\n");
    te_print_message(t, &plain);
    hs = (struct raft_hard_state){x->m.term, x->m.vote, x->m.commit};
    if (x->m.to == RAFT_LOCAL_APPEND_THREAD)
        te_store(n, &hs, x->m.snapshot, x->m.entries, x->m.entries_n);
    else
        te_apply(n, x->m.entries, x->m.entries_n);
    te_print(t, "Responses:\n");
    for (size_t i = 0; i < x->m.responses_n; i++) {
        te_print_message(t, &x->m.responses[i]);
        te_push(&t->flight, &x->m.responses[i]);
    }
    te_msg_free(x);
}

/* ---- deliveries ---- */

static bool te_is_local(const struct raft_message *m)
{
    return m->from == m->to || m->from >= RAFT_LOCAL_APPLY_THREAD ||
           m->to >= RAFT_LOCAL_APPLY_THREAD;
}

/* type RAFT_MSG_END: any. */
static bool te_is_for(const struct raft_message *m, raft_id to, enum raft_message_type type,
                      bool drop)
{
    return m->to == to && !(drop && te_is_local(m)) && (type == RAFT_MSG_END || m->type == type);
}

static bool te_has_for(const struct te *t, raft_id to)
{
    for (size_t i = 0; i < t->flight.n; i++)
        if (te_is_for(&t->flight.v[i]->m, to, RAFT_MSG_END, false))
            return true;
    return false;
}

/* What is in flight now; answers that this causes are not delivered. */
static size_t te_deliver(struct te *t, raft_id to, enum raft_message_type type, bool drop)
{
    static struct te_queue batch;

    for (size_t i = 0; i < t->flight.n;) {
        if (te_is_for(&t->flight.v[i]->m, to, type, drop))
            batch.v[batch.n++] = te_take(&t->flight, i);
        else
            i++;
    }
    for (size_t i = 0; i < batch.n; i++) {
        int rc = 0;

        if (drop)
            te_print(t, "dropped: ");
        te_print_message(t, &batch.v[i]->m);
        if (!drop)
            rc = raft_step(te_node_of(t, to)->raft, &batch.v[i]->m);
        if (rc != 0)
            te_print(t, "%s\n", raft_err_text(rc));
        te_msg_free(batch.v[i]);
    }
    to = batch.n;
    batch.n = 0;
    return to;
}

/* ---- until nothing happens ---- */

static bool te_work_all(struct te *t, struct te_node *n, struct te_queue *q, const char *name)
{
    size_t from;

    if (q->n == 0)
        return false;
    te_print(t, "> %" PRIu64 " processing %s thread\n", n->config.id, name);
    from = t->out.len;
    while (q->n > 0) {
        te_process_work(t, n, q, name);
    }
    te_indent(t, from);
    return true;
}

static bool te_ready_round(struct te *t, struct te_node *n)
{
    size_t from;

    if (!raft_has_update(n->raft))
        return false;
    te_print(t, "> %" PRIu64 " handling Ready\n", n->config.id);
    from = t->out.len;
    te_process_ready(t, n);
    te_indent(t, from);
    return true;
}

static bool te_deliver_round(struct te *t, struct te_node *n)
{
    size_t from;

    if (!te_has_for(t, n->config.id))
        return false;
    te_print(t, "> %" PRIu64 " receiving messages\n", n->config.id);
    from = t->out.len;
    (void) te_deliver(t, n->config.id, RAFT_MSG_END, false);
    te_indent(t, from);
    return true;
}

static void te_stabilize(struct te *t, const raft_id *ids, size_t n)
{
    bool more;

    do {
        more = false;
        for (size_t i = 0; i < n; i++)
            more = te_ready_round(t, te_node_of(t, ids[i])) || more;
        for (size_t i = 0; i < n; i++)
            more = te_deliver_round(t, te_node_of(t, ids[i])) || more;
        for (size_t i = 0; i < n; i++)
            more = te_work_all(t, te_node_of(t, ids[i]), &te_node_of(t, ids[i])->append_work,
                               "append") ||
                   more;
        for (size_t i = 0; i < n; i++)
            more = te_work_all(t, te_node_of(t, ids[i]), &te_node_of(t, ids[i])->apply_work,
                               "apply") ||
                   more;
    } while (more);
}

#endif
