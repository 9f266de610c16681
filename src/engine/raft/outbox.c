#include "engine/raft/outbox.h"

#include "engine/raft/snapshot_copy.h"

#define OUTBOX_FIRST_CAP 32
#define CONTEXT_STAYS SIZE_MAX /* in a place: it does not lie in the pool */
#define OUTBOX_CONTEXT_BYTES_MAX ((size_t) RAFT_MESSAGES_MAX * RAFT_CONTEXT_BYTES_MAX)

void raft__outbox_init(struct raft_outbox *o)
{
    *o = (struct raft_outbox){0};
    buf_init(&o->contexts, OUTBOX_CONTEXT_BYTES_MAX);
}

void raft__outbox_clear(struct raft_outbox *o)
{
    raft_entry_list_clear(&o->pool);
    raft_entry_list_clear(&o->entries);
    raft_entry_list_clear(&o->committed);
    buf_clear(&o->contexts);
    for (size_t i = 0; i < o->snapshots_n; i++)
        mem_free(o->snapshots[i]);
    o->snapshots_n = 0;
    o->reads_n = 0;
    o->now.n = 0;
    o->after_store.n = 0;
}

void raft__outbox_done(struct raft_outbox *o)
{
    raft__outbox_clear(o);
    raft_entry_list_done(&o->pool);
    raft_entry_list_done(&o->entries);
    raft_entry_list_done(&o->committed);
    buf_done(&o->contexts);
    mem_free(o->snapshots);
    mem_free(o->reads);
    mem_free(o->reads_at);
    mem_free(o->now.v);
    mem_free(o->now.places);
    mem_free(o->after_store.v);
    mem_free(o->after_store.places);
}

static size_t grown(size_t cap)
{
    return cap == 0 ? OUTBOX_FIRST_CAP : cap * 2;
}

static void list_reserve(struct raft_out_list *l)
{
    ASSERT(l->n <= l->cap);
    if (l->n < l->cap)
        return;
    l->cap = grown(l->cap);
    l->v = xmem_realloc(l->v, l->cap * sizeof l->v[0]);
    l->places = xmem_realloc(l->places, l->cap * sizeof l->places[0]);
}

struct raft_snapshot *raft__outbox_keep_snapshot(struct raft_outbox *o,
                                                 const struct raft_snapshot *s)
{
    ASSERT(s->meta.index > 0);
    if (o->snapshots_n == o->snapshots_cap) {
        o->snapshots_cap = grown(o->snapshots_cap);
        o->snapshots = xmem_realloc(o->snapshots, o->snapshots_cap * sizeof o->snapshots[0]);
    }
    o->snapshots[o->snapshots_n] = raft__snapshot_copy(s);
    return o->snapshots[o->snapshots_n++];
}

static size_t keep_context(struct raft_outbox *o, struct bytes context)
{
    size_t at = o->contexts.len;
    bool kept = buf_add_bytes(&o->contexts, context);

    ASSERT(
        kept); /* within its maximum by the limits of messages and contexts; else out of memory */
    return at;
}

void raft__outbox_add(struct raft_outbox *o, struct raft_out_list *to, const struct raft_message *m,
                      size_t entries_at)
{
    struct raft_message *x;

    ASSERT(m->context.n <= RAFT_CONTEXT_BYTES_MAX);
    ASSERT(entries_at + m->entries_n <= o->pool.n);
    if (to->n == RAFT_MESSAGES_MAX)
        return;
    list_reserve(to);
    x = &to->v[to->n];
    *x = *m;
    /* The context of a request for votes is a constant; the request may outlive the box. */
    to->places[to->n] = (struct raft_out_place){
        entries_at, m->type == RAFT_MSG_VOTE ? CONTEXT_STAYS : keep_context(o, m->context)};
    if (m->snapshot != NULL)
        x->snapshot = raft__outbox_keep_snapshot(o, m->snapshot);
    to->n++;
}

void raft__outbox_add_read(struct raft_outbox *o, raft_index index, struct bytes context)
{
    ASSERT(context.n <= RAFT_READ_CONTEXT_BYTES_MAX);
    if (o->reads_n == o->reads_cap) {
        o->reads_cap = grown(o->reads_cap);
        o->reads = xmem_realloc(o->reads, o->reads_cap * sizeof o->reads[0]);
        o->reads_at = xmem_realloc(o->reads_at, o->reads_cap * sizeof o->reads_at[0]);
    }
    o->reads[o->reads_n] = (struct raft_read_state){index, context};
    o->reads_at[o->reads_n] = keep_context(o, context);
    o->reads_n++;
}

bool raft__outbox_empty(const struct raft_outbox *o)
{
    return o->now.n == 0 && o->after_store.n == 0 && o->reads_n == 0;
}

static void list_close(struct raft_outbox *o, struct raft_out_list *l)
{
    ASSERT(l->n <= RAFT_MESSAGES_MAX);
    for (size_t i = 0; i < l->n; i++) {
        struct raft_message *m = &l->v[i];

        m->entries = m->entries_n == 0 ? NULL : &o->pool.v[l->places[i].entries_at];
        if (l->places[i].context_at != CONTEXT_STAYS)
            m->context.p = m->context.n == 0 ? NULL : o->contexts.p + l->places[i].context_at;
    }
}

void raft__outbox_close(struct raft_outbox *o)
{
    list_close(o, &o->now);
    list_close(o, &o->after_store);
    for (size_t i = 0; i < o->reads_n; i++)
        o->reads[i].context.p = o->reads[i].context.n == 0 ? NULL : o->contexts.p + o->reads_at[i];
}
