#include "engine/raft/entry_queue.h"

#define ENTRY_LIST_FIRST_CAP 64

void raft_entry_list_add(struct raft_entry_list *l, const struct raft_entry *e)
{
    struct raft_entry *x;

    ASSERT(l->n <= l->cap);
    if (l->n == l->cap) {
        l->cap = l->cap == 0 ? ENTRY_LIST_FIRST_CAP : l->cap * 2;
        l->v = xmem_realloc(l->v, l->cap * sizeof l->v[0]);
    }
    x = &l->v[l->n];
    *x = *e;
    raft__entry_hold(x, l->n == 0 ? NULL : x - 1);
    l->n++;
}

void raft_entry_list_empty(struct raft_entry_list *l, size_t i)
{
    ASSERT(i < l->n);
    /* The owner stays in place: it marks which run's reference this entry shares. */
    l->v[i].type = RAFT_ENTRY_NORMAL;
    l->v[i].data = BYTES_EMPTY;
}

void raft_entry_list_clear(struct raft_entry_list *l)
{
    struct payload *held = NULL;

    ASSERT(l->n <= l->cap);
    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i].owner == held && i > 0)
            continue;
        held = l->v[i].owner;
        payload_unref(held);
    }
    l->n = 0;
}

void raft_entry_list_done(struct raft_entry_list *l)
{
    raft_entry_list_clear(l);
    mem_free(l->v);
    *l = (struct raft_entry_list){0};
}
