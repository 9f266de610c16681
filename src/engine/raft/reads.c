/* reads.c -- read index (Raft thesis 6.4): what a leader must know before it answers a read. */
#include "engine/raft/raft_int.h"

#include "base/endian.h"

int raft_read_index(struct raft *r, struct bytes context)
{
    struct raft_entry e = {.data = context};
    struct raft_message m = {.type = RAFT_MSG_READ_INDEX, .entries = &e, .entries_n = 1};

    ASSERT(r->magic == RAFT_MAGIC);
    if (context.n > RAFT_READ_CONTEXT_BYTES_MAX || r->lead == RAFT_NONE)
        return ERR_RAFT_READ_REFUSED;
    if (r->reads.n == RAFT_READS_PENDING_MAX || r->postponed.n == RAFT_READS_PENDING_MAX)
        return ERR_RAFT_READ_REFUSED;
    return raft__step(r, &m);
}

static void answer(struct raft *r, raft_id from, raft_index i, struct bytes context)
{
    struct raft_entry e = {.data = context};

    ASSERT(context.n <= RAFT_READ_CONTEXT_BYTES_MAX);
    if (from == RAFT_NONE || from == r->config.id) {
        raft__outbox_add_read(raft__out(r), i, context);
        return;
    }
    raft__send(r, (struct raft_message){.type = RAFT_MSG_READ_INDEX_RESP,
                                        .to = from,
                                        .index = i,
                                        .entries = &e,
                                        .entries_n = 1});
}

/* Answers whatever a quorum has confirmed by now. */
static void answer_confirmed(struct raft *r)
{
    uint64_t confirmed = raft__tracker_reads_confirmed(&r->tracker);

    ASSERT(r->state == RAFT_LEADER);
    while (r->reads.n > 0 && r->reads.confirmed < confirmed) {
        const struct raft_read_request *q = raft__reads_pop(&r->reads);

        answer(r, q->from, q->index, bytes_of(q->context, q->context_n));
    }
}

/* Proof of leadership, as the configuration asks for it; nobody else can lead where there is no
 * other voter. */
static void prove(struct raft *r, raft_id from, struct bytes context)
{
    struct raft_progress *self = raft__self(r);

    ASSERT(r->state == RAFT_LEADER);
    if (raft__tracker_is_single_voter(&r->tracker) ||
        r->config.read_only == RAFT_READ_ONLY_LEASE_BASED || PLANTED(READ_NO_QUORUM)) {
        answer(r, from, r->log.committed, context);
        return;
    }
    if (!raft__reads_push(&r->reads, from, r->log.committed, context))
        return;
    if (self != NULL)
        self->read_acked = raft__reads_newest(&r->reads);
    raft__bcast_heartbeat(r);
}

void raft__leader_read_index(struct raft *r, const struct raft_message *m)
{
    struct bytes context;

    ASSERT(r->state == RAFT_LEADER);
    if (m->entries_n != 1 || m->entries[0].data.n > RAFT_READ_CONTEXT_BYTES_MAX)
        return;
    context = m->entries[0].data;
    /* Until an entry of this term is committed, the leader does not know how far its predecessors
     * committed.  etcd-io/raft lets a single voter answer nevertheless; but its own commit index
     * may have been lost in a power cut, and the read would miss what was acknowledged before. */
    if (!raft__committed_in_current_term(r) && !PLANTED(READ_BEFORE_COMMIT)) {
        (void) raft__reads_push(&r->postponed, m->from, 0, context);
        return;
    }
    prove(r, m->from, context);
}

void raft__leader_read_ack(struct raft *r, struct raft_progress *p, struct bytes context)
{
    uint64_t position;

    ASSERT(r->state == RAFT_LEADER);
    if (r->config.read_only != RAFT_READ_ONLY_SAFE || context.n < sizeof position)
        return;
    position = le64_get(context.p);
    if (position > raft__reads_newest(&r->reads))
        return; /* not an echo of ours */
    p->read_acked = MAX(p->read_acked, position);
    answer_confirmed(r);
}

/* In order; the queue outlives a leadership, as etcd's does, and is then answered by the next one.
 */
void raft__release_postponed_reads(struct raft *r)
{
    ASSERT(r->state == RAFT_LEADER);
    if (!raft__committed_in_current_term(r))
        return;
    while (r->postponed.n > 0) {
        const struct raft_read_request *q = raft__reads_pop(&r->postponed);

        prove(r, q->from, bytes_of(q->context, q->context_n));
    }
}
