/* sending.c -- a snapshot on its way to a member that the log no longer reaches.
 *
 *   raft     asks for one: MsgSnap                    node__sending_ask
 *   apply    seals what is applied, so that the copy is new
 *   store    pins a copy; the message is made from what the copy itself says of index, term,
 *            configuration and membership, so that they cannot disagree
 *   (transport carries it)                            node_sent
 *   raft     is told; the log is kept for a while, so that the member can go on from there
 *
 * The file is at an index above the one that raft had in mind: the answer of the member says where
 * it is, and that counts.
 */
#include "base/alloc.h"
#include "node/measure.h"

struct sending {
    struct node_sending pub;
    struct arena arena; /* what the message points to */
    struct raft_snapshot snapshot;
    bool ok;
    struct mpsc_node done_link; /* in raft.sent */
};

static struct sending *of(struct node_sending *s)
{
    return CONTAINER_OF(s, struct sending, pub);
}

/* ---- raft asks ---- */

void node__sending_ask(struct node *n, const struct raft_message *m)
{
    const struct node_transport *t = n->env.transport;
    struct store_job *j;
    struct sending *s;

    if (t == NULL || t->send_snapshot == NULL || n->raft.sending_n >= NODE_SENDING_MAX) {
        raft_report_snapshot(n->raft.raft, m->to, false);
        return;
    }
    s = xmem_calloc(1, sizeof *s);
    s->pub.m = (struct raft_message){
        .type = RAFT_MSG_SNAP, .to = m->to, .from = m->from, .term = m->term};
    arena_init(&s->arena, SNAP_V2_BYTES_MAX * 3);
    j = node__store_job_new(STORE_WORK_SEND);
    j->sending = &s->pub;
    n->raft.sending_n++;
    atomic_store(&n->log_kept, true);
    mpsc_push(&n->apply.sendings, &j->link);
    node__wake(n, NODE_APPLY);
}

/* ---- apply passes it on ---- */

void node__sendings_take(struct node *n)
{
    if (atomic_load(&n->restoring))
        return;
    for (struct mpsc_node *x = mpsc_take(&n->apply.sendings), *next; x != NULL; x = next) {
        next = x->next;
        node__apply_to_store(n, CONTAINER_OF(x, struct store_job, link));
    }
}

void node__sending_give_up(struct node *n, struct store_job *j)
{
    node_sent(n, j->sending, false);
    node__store_job_free(j);
}

/* ---- store makes the copy and the message ---- */

static int describe(struct node *n, struct sending *s, const struct store_snapshot *sn,
                    struct err *e)
{
    const struct cluster_view *v;
    int rc = cluster_view_read(n->cluster_id, n->member_id, sn, &v, e);

    if (rc != 0)
        return rc;
    store_snapshot_applied(sn, &s->snapshot.meta.index, &s->snapshot.meta.term);
    rc = node__snapshot_describe(v, &s->arena, &s->snapshot);
    cluster_view_unref(v);
    if (rc == 0 && (s->snapshot.meta.index == 0 || s->snapshot.meta.term == 0))
        rc = err_set(e, ERR_INVALID, "the data file does not say what was applied");
    return rc;
}

bool node__sending_begin(struct node *n, struct store_job *j)
{
    struct sending *s = of(j->sending);
    struct store_copy *copy = NULL;
    struct err e = ERR_INIT;
    int rc = store_copy_begin(n->apply.store, &copy, &e);

    if (rc == 0)
        rc = describe(n, s, store_copy_snapshot(copy), &e);
    if (rc == 0)
        rc = node__snapshot_of(copy, &s->pub.copy);
    if (rc != 0) {
        LOG_WARN(n->env.log, "failed to make a snapshot for another member",
                 F_HEX("to", s->pub.m.to), F_ERR(&e));
        store_copy_end(copy);
        node__sending_give_up(n, j);
        return true;
    }
    s->pub.m.snapshot = &s->snapshot;
    LOG_INFO(n->env.log, "sending merged snapshot", F_HEX("from", n->member_id),
             F_HEX("to", s->pub.m.to), F_U64("bytes", node_snapshot_bytes(s->pub.copy)));
    n->env.transport->send_snapshot(n->env.transport->ctx, &s->pub);
    node__store_job_free(j);
    return true;
}

/* ---- how it ended ---- */

void node_sent(struct node *n, struct node_sending *s, bool ok)
{
    of(s)->ok = ok;
    if (mpsc_push(&n->raft.sent, &of(s)->done_link))
        node__wake(n, NODE_RAFT);
}

static void sending_free(struct sending *s)
{
    node_snapshot_free(s->pub.copy);
    arena_done(&s->arena);
    mem_free(s);
}

void node__sendings_done(struct node *n, mono_ns now)
{
    struct raft_actor *ra = &n->raft;

    for (struct mpsc_node *x = mpsc_take(&ra->sent), *next; x != NULL; x = next) {
        struct sending *s = CONTAINER_OF(x, struct sending, done_link);

        next = x->next;
        ASSERT(ra->sending_n > 0);
        ra->sending_n--;
        if (s->pub.m.term == raft_get_term(ra->raft)) { /* else another may be under way since */
            raft_report_snapshot(ra->raft, s->pub.m.to, s->ok);
            if (!s->ok)
                raft_report_unreachable(ra->raft, s->pub.m.to);
        }
        if (s->ok)
            ra->keep_log_until = now + NODE_SENT_KEEP_LOG_NS;
        sending_free(s);
    }
    if (ra->sending_n == 0 && now >= ra->keep_log_until)
        atomic_store_explicit(&n->log_kept, false, memory_order_relaxed);
}

void node__sendings_drop(struct node *n)
{
    for (struct mpsc_node *x = mpsc_take(&n->apply.sendings), *next; x != NULL; x = next) {
        next = x->next;
        node__sending_give_up(n, CONTAINER_OF(x, struct store_job, link));
    }
    for (struct mpsc_node *x = mpsc_take(&n->raft.sent), *next; x != NULL; x = next) {
        next = x->next;
        sending_free(CONTAINER_OF(x, struct sending, done_link));
    }
}
