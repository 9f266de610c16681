#include "engine/raft/read_only.h"

#include "base/alloc.h"

#define READS_FIRST_CAP 64

static void grow(struct raft_read_queue *q)
{
    size_t cap = q->cap == 0 ? READS_FIRST_CAP : q->cap * 2;
    struct raft_read_request *ring = xmem_alloc(cap * sizeof *ring);

    ASSERT(q->n == q->cap);
    for (size_t i = 0; i < q->n; i++)
        ring[i] = q->ring[(q->start + i) & (q->cap - 1)];
    mem_free(q->ring);
    q->ring = ring;
    q->cap = cap;
    q->start = 0;
}

bool raft__reads_push(struct raft_read_queue *q, raft_id from, raft_index index,
                      struct bytes context)
{
    struct raft_read_request *x;

    ASSERT(context.n <= RAFT_READ_CONTEXT_BYTES_MAX);
    if (q->n == RAFT_READS_PENDING_MAX)
        return false;
    if (q->n == q->cap)
        grow(q);
    x = &q->ring[(q->start + q->n) & (q->cap - 1)];
    x->from = from;
    x->index = index;
    x->context_n = (uint8_t) context.n;
    if (context.n > 0)
        memcpy(x->context, context.p, context.n);
    q->n++;
    return true;
}

const struct raft_read_request *raft__reads_pop(struct raft_read_queue *q)
{
    const struct raft_read_request *x = &q->ring[q->start];

    ASSERT(q->n > 0);
    q->start = (q->start + 1) & (q->cap - 1);
    q->n--;
    q->confirmed++;
    return x;
}

void raft__reads_reset(struct raft_read_queue *q)
{
    q->start = 0;
    q->n = 0;
    q->confirmed = 0;
}

void raft__reads_done(struct raft_read_queue *q)
{
    mem_free(q->ring);
    *q = (struct raft_read_queue){0};
}
