#include "engine/raft/unstable.h"

#include "engine/raft/snapshot_copy.h"

void raft__unstable_check(const struct raft_unstable *u)
{
    ASSERT(u->offset <= u->offset_in_progress);
    ASSERT(u->offset_in_progress <= u->offset + u->entries.n);
    if (u->entries.n > 0)
        ASSERT(raft__queue_at(&u->entries, 0)->index == u->offset);
    if (u->snapshot != NULL)
        ASSERT(u->snapshot->meta.index < u->offset);
}

void raft__unstable_done(struct raft_unstable *u)
{
    raft__queue_done(&u->entries);
    mem_free(u->snapshot);
    u->snapshot = NULL;
}

bool raft__unstable_last_index(const struct raft_unstable *u, raft_index *ret)
{
    if (u->entries.n > 0)
        *ret = u->offset + u->entries.n - 1;
    else if (u->snapshot != NULL)
        *ret = u->snapshot->meta.index;
    else
        return false;
    return true;
}

bool raft__unstable_term(const struct raft_unstable *u, raft_index i, raft_term *ret)
{
    if (i < u->offset) {
        if (u->snapshot == NULL || u->snapshot->meta.index != i)
            return false;
        *ret = u->snapshot->meta.term;
        return true;
    }
    if (i - u->offset >= u->entries.n)
        return false;
    *ret = raft__queue_at(&u->entries, i - u->offset)->term;
    return true;
}

const struct raft_entry *raft__unstable_next(const struct raft_unstable *u, size_t *ret_n)
{
    size_t in_progress = u->offset_in_progress - u->offset;

    raft__unstable_check(u);
    *ret_n = u->entries.n - in_progress;
    return *ret_n == 0 ? NULL : raft__queue_at(&u->entries, in_progress);
}

const struct raft_snapshot *raft__unstable_next_snapshot(const struct raft_unstable *u)
{
    return u->snapshot_in_progress ? NULL : u->snapshot;
}

void raft__unstable_accept_in_progress(struct raft_unstable *u)
{
    ASSERT(u->offset_in_progress <= u->offset + u->entries.n);
    u->offset_in_progress = u->offset + u->entries.n;
    u->snapshot_in_progress = u->snapshot != NULL;
    raft__unstable_check(u);
}

void raft__unstable_stable_to(struct raft_unstable *u, raft_index i, raft_term term)
{
    raft_term here;

    ASSERT(i > 0);
    if (!raft__unstable_term(u, i, &here)) {
        TRACE_INFO(u->trace, "entry at index %" PRIu64 " missing from unstable log; ignoring", i);
        return;
    }
    if (i < u->offset) {
        TRACE_INFO(u->trace, "entry at index %" PRIu64 " matched unstable snapshot; ignoring", i);
        return;
    }
    if (here != term) {
        TRACE_INFO(u->trace,
                   "entry at (index,term)=(%" PRIu64 ",%" PRIu64
                   ") mismatched with entry at (%" PRIu64 ",%" PRIu64 ") in unstable log; ignoring",
                   i, term, i, here);
        return;
    }
    raft__queue_drop_front(&u->entries, i + 1 - u->offset);
    u->offset = i + 1;
    u->offset_in_progress = MAX(u->offset_in_progress, u->offset);
    raft__unstable_check(u);
}

void raft__unstable_stable_snapshot_to(struct raft_unstable *u, raft_index i)
{
    if (u->snapshot == NULL || u->snapshot->meta.index != i)
        return;
    mem_free(u->snapshot);
    u->snapshot = NULL;
    u->snapshot_in_progress = false;
}

void raft__unstable_restore(struct raft_unstable *u, const struct raft_snapshot *s)
{
    ASSERT(s->meta.index > 0);
    raft__queue_clear(&u->entries);
    mem_free(u->snapshot);
    u->snapshot = raft__snapshot_copy(s);
    u->snapshot_in_progress = false;
    u->offset = s->meta.index + 1;
    u->offset_in_progress = u->offset;
    raft__unstable_check(u);
}

void raft__unstable_truncate_and_append(struct raft_unstable *u, const struct raft_entry *v,
                                        size_t n)
{
    raft_index from = v[0].index;

    ASSERT(n > 0);
    ASSERT(from <= u->offset + u->entries.n);
    if (from == u->offset + u->entries.n) {
        /* The common case: nothing to replace. */
    } else if (from <= u->offset) {
        TRACE_INFO(u->trace, "replace the unstable entries from index %" PRIu64, from);
        raft__queue_clear(&u->entries);
        u->offset = from;
        u->offset_in_progress = from;
    } else {
        TRACE_INFO(u->trace, "truncate the unstable entries before index %" PRIu64, from);
        raft__queue_drop_back(&u->entries, u->offset + u->entries.n - from);
        u->offset_in_progress = MIN(u->offset_in_progress, from);
    }
    for (size_t i = 0; i < n; i++)
        raft__queue_push(&u->entries, &v[i]);
    raft__unstable_check(u);
}
