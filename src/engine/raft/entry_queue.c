#include "engine/raft/entry_queue.h"

#define QUEUE_FIRST_CAP 256

void raft__entry_hold(struct raft_entry *e, const struct raft_entry *before)
{
    if (e->owner == NULL && e->data.n > 0) {
        struct payload *p = payload_new(e->data.n);

        ASSERT(p != NULL); /* out of memory: this member stops, see raft.h */
        memcpy(p->data, e->data.p, e->data.n);
        e->owner = p;
        e->data.p = p->data;
    } else if (before == NULL || before->owner != e->owner) {
        payload_ref(e->owner);
    }
}

static void make_room(struct raft_entry_queue *q)
{
    ASSERT(q->start + q->n == q->cap);
    if (q->start > 0 && q->start >= q->n) {
        memcpy(q->array, q->array + q->start, q->n * sizeof q->array[0]);
        q->start = 0;
        return;
    }
    q->cap = q->cap == 0 ? QUEUE_FIRST_CAP : q->cap * 2;
    q->array = xmem_realloc(q->array, q->cap * sizeof q->array[0]);
}

void raft__queue_shrink(struct raft_entry_queue *q)
{
    size_t cap = q->cap;

    while (cap > QUEUE_FIRST_CAP && q->n < cap / 8)
        cap /= 2;
    if (cap == q->cap)
        return;
    memmove(q->array, q->array + q->start, q->n * sizeof q->array[0]);
    q->start = 0;
    q->cap = cap;
    q->array = xmem_realloc(q->array, cap * sizeof q->array[0]);
}

void raft__queue_push(struct raft_entry_queue *q, const struct raft_entry *e)
{
    struct raft_entry *x;

    if (q->start + q->n == q->cap)
        make_room(q);
    x = &q->array[q->start + q->n];
    *x = *e;
    if (q->n > 0)
        ASSERT(x[-1].index + 1 == x->index);
    raft__entry_hold(x, q->n > 0 ? x - 1 : NULL);
    q->n++;
    q->data_bytes += x->data.n;
}

void raft__queue_drop_front(struct raft_entry_queue *q, size_t count)
{
    struct raft_entry *v;

    ASSERT(count <= q->n);
    if (count == 0)
        return; /* there may be no array yet, and NULL + 0 is not defined */
    v = q->array + q->start;
    for (size_t i = 0; i < count; i++) {
        ASSERT(q->data_bytes >= v[i].data.n);
        q->data_bytes -= v[i].data.n;
        /* The run's reference goes with its last entry. */
        if (i + 1 == q->n || v[i + 1].owner != v[i].owner)
            payload_unref(v[i].owner);
    }
    q->n -= count;
    q->start = q->n == 0 ? 0 : q->start + count;
}

void raft__queue_drop_back(struct raft_entry_queue *q, size_t count)
{
    ASSERT(count <= q->n);
    for (size_t i = 0; i < count; i++) {
        struct raft_entry *x = raft__queue_at(q, q->n - 1);

        q->data_bytes -= x->data.n;
        /* ... and here with its first. */
        if (q->n == 1 || x[-1].owner != x->owner)
            payload_unref(x->owner);
        q->n--;
    }
    if (q->n == 0)
        q->start = 0;
}

void raft__queue_clear(struct raft_entry_queue *q)
{
    raft__queue_drop_front(q, q->n);
    ASSERT(q->data_bytes == 0);
}

void raft__queue_done(struct raft_entry_queue *q)
{
    raft__queue_clear(q);
    mem_free(q->array);
    *q = (struct raft_entry_queue){0};
}
