/* peers.c -- the raft actor and the other members: what comes from them, and what goes to them.
 *
 * Messages that are promises wait for their wal job (storage_done sends them); all others leave in
 * the turn that made them.
 */
#include "base/alloc.h"
#include "node/node_int.h"

/* ---- any thread ---- */

enum report_kind { REPORT_UNREACHABLE, REPORT_REMOVED };

struct peer_report {
    struct mpsc_node link;
    enum report_kind kind;
    raft_id id;
};

void node_receive(struct node *n, struct node_message *first)
{
    struct mpsc_node *x = &first->link;
    bool wake = false;

    while (x != NULL) {
        struct mpsc_node *next = x->next;

        wake |= mpsc_push(&n->raft.messages, x);
        x = next;
    }
    if (wake)
        node__wake(n, NODE_RAFT);
}

static void report(struct node *n, enum report_kind kind, raft_id id)
{
    struct peer_report *r = xmem_calloc(1, sizeof *r);

    r->kind = kind;
    r->id = id;
    if (mpsc_push(&n->raft.reports, &r->link))
        node__wake(n, NODE_RAFT);
}

void node_report_unreachable(struct node *n, raft_id id)
{
    report(n, REPORT_UNREACHABLE, id);
}

void node_report_removed(struct node *n)
{
    report(n, REPORT_REMOVED, n->member_id);
}

bool node__raft_peer(struct node *n, raft_id id, struct raft_peer_status *ret)
{
    struct raft_status st;

    raft_get_status(n->raft.raft, &st);
    for (size_t i = 0; i < st.peers_n; i++) {
        raft_get_peer(n->raft.raft, i, ret);
        if (ret->id == id)
            return true;
    }
    return false;
}

/* ---- what comes ---- */

/* Types that a member raises for itself alone never travel. */
static bool may_travel(enum raft_message_type t)
{
    switch (t) {
    case RAFT_MSG_PROP:
    case RAFT_MSG_APP:
    case RAFT_MSG_APP_RESP:
    case RAFT_MSG_VOTE:
    case RAFT_MSG_VOTE_RESP:
    case RAFT_MSG_SNAP:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_HEARTBEAT_RESP:
    case RAFT_MSG_TRANSFER_LEADER:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_READ_INDEX:
    case RAFT_MSG_READ_INDEX_RESP:
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_PRE_VOTE_RESP:
        return true;
    default:
        return false;
    }
}

/* A member whose directory was lost, and who was started again under its old name: what it has
 * promised is gone, so it may not go on. */
NORETURN static void log_lost(struct node *n, const struct raft_message *m)
{
    char words[RAFT_LOG_LOST_BYTES];

    raft_log_lost_text(n->raft.raft, m, words);
    if (n->env.log_lost != NULL)
        n->env.log_lost(n->env.ctx, words);
    n->env.fatal(n->env.ctx, words);
}

static void take_message(struct node *n, struct node_message *x)
{
    if (node__hold(n, x))
        return;
    /* A proposal of this member may come back to it: from a leader that has handed over to it. */
    if (may_travel(x->m.type) && x->m.to == n->member_id &&
        (x->m.from != n->member_id || x->m.type == RAFT_MSG_PROP)) {
        /* Without its data file a snapshot is of no use: it came on a way that it should not. */
        int rc = x->m.type == RAFT_MSG_SNAP && !x->has_db ? ERR_INVALID
                                                          : raft_step(n->raft.raft, &x->m);

        if (rc == ERR_RAFT_LOG_LOST)
            log_lost(n, &x->m);
        /* A proposal that cannot be taken now is lost, and its proposer asks again. */
        if (rc != 0)
            LOG_DEBUG(n->env.log, "a message of another member was not taken",
                      F_HEX("from", x->m.from), F_STR("error", raft_err_text(rc)));
    }
    x->release(x);
}

static void take_report(struct node *n, struct peer_report *r)
{
    switch (r->kind) {
    case REPORT_UNREACHABLE:
        raft_report_unreachable(n->raft.raft, r->id);
        break;
    case REPORT_REMOVED:
        if (n->env.removed != NULL)
            n->env.removed(n->env.ctx);
        break;
    }
    mem_free(r);
}

void node__peers_take(struct node *n)
{
    struct raft_actor *ra = &n->raft;

    for (struct mpsc_node *x = mpsc_take(&ra->messages), *next; x != NULL; x = next) {
        next = x->next;
        take_message(n, CONTAINER_OF(x, struct node_message, link));
    }
    for (struct mpsc_node *x = mpsc_take(&ra->reports), *next; x != NULL; x = next) {
        next = x->next;
        take_report(n, CONTAINER_OF(x, struct peer_report, link));
    }
}

void node__peers_drop(struct node *n)
{
    struct mpsc_node *next;

    node__held_drop(n);
    for (struct mpsc_node *x = mpsc_take(&n->raft.messages); x != NULL; x = next) {
        struct node_message *m = CONTAINER_OF(x, struct node_message, link);

        next = x->next;
        m->release(m);
    }
    for (struct mpsc_node *x = mpsc_take(&n->raft.reports); x != NULL; x = next) {
        next = x->next;
        mem_free(CONTAINER_OF(x, struct peer_report, link));
    }
}

/* ---- what goes ---- */

static void add(struct raft_actor *ra, const struct raft_message *m)
{
    if (ra->outgoing_n == ra->outgoing_cap) {
        ra->outgoing_cap = MAX(2 * ra->outgoing_cap, (size_t) 16);
        ra->outgoing = xmem_realloc(ra->outgoing, ra->outgoing_cap * sizeof *ra->outgoing);
    }
    ra->outgoing[ra->outgoing_n++] = *m;
}

void node__peers_send(struct node *n, const struct raft_message *m, size_t k)
{
    for (size_t i = 0; i < k; i++) {
        if (m[i].type == RAFT_MSG_SNAP)
            node__sending_ask(n, &m[i]);
        else
            add(&n->raft, &m[i]);
    }
}

/* Of several acknowledgements to one member the last says all; so does an append behind one that
 * only told a commit index. */
static bool outdoes(const struct raft_message *later, const struct raft_message *m)
{
    if (later->type != m->type || later->to != m->to)
        return false;
    if (m->type == RAFT_MSG_APP_RESP)
        return !m->reject;
    return m->type == RAFT_MSG_APP && m->entries_n == 0 && later->term == m->term &&
           later->index == m->index && later->log_term == m->log_term && later->commit >= m->commit;
}

static bool is_outdone(const struct raft_actor *ra, size_t i)
{
    for (size_t k = i + 1; k < ra->outgoing_n; k++) {
        if (outdoes(&ra->outgoing[k], &ra->outgoing[i]))
            return true;
    }
    return false;
}

void node__peers_flush(struct node *n)
{
    struct raft_actor *ra = &n->raft;
    size_t k = 0;

    if (ra->outgoing_n == 0)
        return;
    for (size_t i = 0; i < ra->outgoing_n; i++) {
        if (!is_outdone(ra, i))
            ra->outgoing[k++] = ra->outgoing[i];
    }
    ra->outgoing_n = 0;
    if (n->env.transport != NULL)
        n->env.transport->send(n->env.transport->ctx, ra->outgoing, k);
}
