#include "engine/raft/inflights.h"

#define INFLIGHTS_FIRST_CAP 16

bool raft__inflights_full(const struct raft_inflights *f)
{
    ASSERT(f->n <= f->max);
    return f->n == f->max || (f->bytes_max != 0 && f->bytes >= f->bytes_max);
}

static void grow(struct raft_inflights *f)
{
    uint32_t cap = f->cap == 0 ? INFLIGHTS_FIRST_CAP : f->cap * 2;
    struct raft_inflight *ring;

    ASSERT(cap > f->cap);
    ring = xmem_alloc(cap * sizeof *ring);
    for (uint32_t i = 0; i < f->n; i++)
        ring[i] = f->ring[(f->start + i) % f->cap];
    mem_free(f->ring);
    f->ring = ring;
    f->cap = cap;
    f->start = 0;
}

void raft__inflights_add(struct raft_inflights *f, raft_index last, uint64_t bytes)
{
    ASSERT(!raft__inflights_full(f));
    if (f->n == f->cap)
        grow(f);
    f->ring[(f->start + f->n) % f->cap] = (struct raft_inflight){last, bytes};
    f->n++;
    f->bytes += bytes;
}

void raft__inflights_free_to(struct raft_inflights *f, raft_index to)
{
    while (f->n > 0 && f->ring[f->start].index <= to) {
        ASSERT(f->bytes >= f->ring[f->start].bytes);
        f->bytes -= f->ring[f->start].bytes;
        f->start = (f->start + 1) % f->cap;
        f->n--;
    }
}

void raft__inflights_reset(struct raft_inflights *f)
{
    f->start = 0;
    f->n = 0;
    f->bytes = 0;
}

void raft__inflights_done(struct raft_inflights *f)
{
    mem_free(f->ring);
    f->ring = NULL;
    f->cap = 0;
    raft__inflights_reset(f);
}
