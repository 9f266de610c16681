/* send.c -- from the node's hands to a member's stream. */
#include "base/alloc.h"
#include "edge/peer/peer_int.h"

/* ---- the raft thread ---- */

static struct peer_outgoing *outgoing_new(const struct raft_message *m)
{
    struct peer_outgoing *o = mem_alloc(sizeof *o + m->entries_n * sizeof *m->entries +
                                        m->context.n);
    uint8_t *context;

    if (o == NULL)
        return NULL;
    o->m = *m;
    o->m.entries = o->entries;
    o->m.responses = NULL;
    o->m.responses_n = 0;
    for (size_t i = 0; i < m->entries_n; i++) {
        o->entries[i] = m->entries[i];
        ASSERT(m->entries[i].owner != NULL || m->entries[i].data.n == 0);
        payload_ref(o->entries[i].owner);
    }
    context = (uint8_t *) (o->entries + m->entries_n);
    if (m->context.n > 0)
        memcpy(context, m->context.p, m->context.n);
    o->m.context = bytes_of(context, m->context.n);
    return o;
}

static void outgoing_free(struct peer_outgoing *o)
{
    for (size_t i = 0; i < o->m.entries_n; i++)
        payload_unref(o->entries[i].owner);
    mem_free(o);
}

/* What does not fit is lost: raft sends again what matters. */
static void on_send(void *ctx, const struct raft_message *m, size_t n)
{
    struct peer_server *ps = ctx;
    bool any = false;

    for (size_t i = 0; i < n; i++) {
        struct peer_outgoing *o;

        ASSERT(m[i].type != RAFT_MSG_SNAP && m[i].to != ps->id);
        o = atomic_load(&ps->outgoing_n) >= PEER_OUTGOING_MAX ? NULL : outgoing_new(&m[i]);
        if (o == NULL) {
            node_report_unreachable(ps->node, m[i].to);
            continue;
        }
        atomic_fetch_add(&ps->outgoing_n, 1);
        mpsc_push(&ps->outgoing, &o->link);
        any = true;
    }
    if (any && !atomic_exchange(&ps->take_posted, true))
        loop_post(ps->loop, &ps->take);
}

static mono_ns on_active_since(void *ctx, raft_id id)
{
    struct peer_server *ps = ctx;

    for (size_t i = 0; i < PEERS_MAX; i++) {
        if (atomic_load(&ps->activity[i].id) == id)
            return atomic_load(&ps->activity[i].since);
    }
    return 0;
}

/* ---- the apply thread ---- */

struct peer_view {
    struct mpsc_node link;
    const struct cluster_view *v;
};

static void on_members(void *ctx, const struct cluster_view *v)
{
    struct peer_server *ps = ctx;
    struct peer_view *x = xmem_calloc(1, sizeof *x);

    x->v = cluster_view_ref(v);
    mpsc_push(&ps->views, &x->link);
    if (!atomic_exchange(&ps->views_posted, true))
        loop_post(ps->loop, &ps->take_views);
}

/* ---- the loop ---- */

static void send_failed(struct peer *p, const struct raft_message *m)
{
    metric_inc(p->metrics.sent_failures);
    if (m->type == RAFT_MSG_APP || m->type == RAFT_MSG_HEARTBEAT)
        node_report_unreachable(p->ps->node, p->id);
}

/* Appends go over their own stream, so that a large one does not hold up a heartbeat. */
static struct peer_writer *writer_for(struct peer *p, const struct raft_message *m)
{
    if (m->type == RAFT_MSG_APP && p->writers[PEER_STREAM_MSGAPP].req != NULL)
        return &p->writers[PEER_STREAM_MSGAPP];
    return p->writers[PEER_STREAM_MESSAGE].req != NULL ? &p->writers[PEER_STREAM_MESSAGE] : NULL;
}

static void route(struct peer_server *ps, const struct raft_message *m)
{
    struct peer *p = peer__find(ps, m->to);
    struct peer_writer *w;
    bool sent;

    if (p == NULL) {
        LOG_DEBUG(ps->o.log, "ignored message send request; unknown remote peer target",
                  F_U64("type", m->type), F_HEX("unknown-target-peer-id", m->to));
        return;
    }
    w = writer_for(p, m);
    sent = w != NULL ? peer__writer_send(w, m) : peer__post(p, m);
    if (!sent)
        send_failed(p, m);
}

static void on_take(struct loop_task *t)
{
    struct peer_server *ps = CONTAINER_OF(t, struct peer_server, take);

    atomic_store(&ps->take_posted, false);
    for (struct mpsc_node *x = mpsc_take(&ps->outgoing), *next; x != NULL; x = next) {
        struct peer_outgoing *o = CONTAINER_OF(x, struct peer_outgoing, link);

        next = x->next;
        atomic_fetch_sub(&ps->outgoing_n, 1);
        if (!ps->stopping)
            route(ps, &o->m);
        outgoing_free(o);
    }
}

/* Only the newest of the memberships that gathered matters: each is whole. */
static void on_take_views(struct loop_task *t)
{
    struct peer_server *ps = CONTAINER_OF(t, struct peer_server, take_views);
    const struct cluster_view *newest = NULL;

    atomic_store(&ps->views_posted, false);
    for (struct mpsc_node *x = mpsc_take(&ps->views), *next; x != NULL; x = next) {
        struct peer_view *pv = CONTAINER_OF(x, struct peer_view, link);

        next = x->next;
        cluster_view_unref(newest);
        newest = pv->v;
        mem_free(pv);
    }
    if (newest != NULL && !ps->stopping)
        peer__take_view(ps, newest);
    else
        cluster_view_unref(newest);
}

void peer__transport_open(struct peer_server *ps)
{
    mpsc_init(&ps->outgoing);
    mpsc_init(&ps->views);
    ps->transport = (struct node_transport){
        .send = on_send, .members = on_members, .active_since = on_active_since, .ctx = ps};
    ps->take.run = on_take;
    ps->take_views.run = on_take_views;
}

void peer__transport_close(struct peer_server *ps)
{
    on_take(&ps->take);
    on_take_views(&ps->take_views);
}
