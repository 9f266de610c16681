#include "engine/raft/term_runs.h"

#include "base/alloc.h"

#define TERM_RUNS_FIRST_CAP 16

static void push(struct raft_term_runs *t, raft_index from, raft_term term)
{
    ASSERT(t->n == 0 || t->v[t->n - 1].from < from);
    if (t->n == t->cap) {
        t->cap = t->cap == 0 ? TERM_RUNS_FIRST_CAP : t->cap * 2;
        t->v = xmem_realloc(t->v, t->cap * sizeof t->v[0]);
    }
    t->v[t->n++] = (struct raft_term_run){from, term};
}

void raft__term_runs_reset(struct raft_term_runs *t, raft_index from, raft_term term)
{
    t->n = 0;
    push(t, from, term);
}

void raft__term_runs_done(struct raft_term_runs *t)
{
    mem_free(t->v);
    *t = (struct raft_term_runs){0};
}

/* The run that `i` is in. */
static size_t find(const struct raft_term_runs *t, raft_index i)
{
    size_t lo = 0, hi = t->n;

    ASSERT(t->n > 0);
    ASSERT(t->v[0].from <= i);
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;

        if (t->v[mid].from <= i)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

raft_term raft__term_runs_get(const struct raft_term_runs *t, raft_index i)
{
    return t->v[find(t, i)].term;
}

void raft__term_runs_append(struct raft_term_runs *t, raft_index i, raft_term term)
{
    while (t->n > 1 && t->v[t->n - 1].from >= i)
        t->n--;
    ASSERT(t->v[t->n - 1].from < i);
    ASSERT(t->v[t->n - 1].term <= term);
    if (t->v[t->n - 1].term != term)
        push(t, i, term);
}

void raft__term_runs_forget_before(struct raft_term_runs *t, raft_index i)
{
    size_t k = find(t, i);

    ASSERT(t->n > 0);
    t->n -= k;
    memmove(t->v, t->v + k, t->n * sizeof t->v[0]);
    t->v[0].from = i;
}
