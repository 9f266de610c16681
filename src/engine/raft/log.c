#include "engine/raft/log.h"

#include "base/plant.h"

void raft__log_init(struct raft_log *l, struct raft_storage *s, uint64_t applying_bytes_max,
                    const struct raft_trace *t)
{
    raft_index first = s->ops->first_index(s);
    raft_index last = s->ops->last_index(s);

    ASSERT(first > 0);
    ASSERT(last + 1 >= first);
    *l = (struct raft_log){
        .storage = s,
        .unstable = {.offset = last + 1, .offset_in_progress = last + 1, .trace = t},
        .committed = first - 1,
        .applying = first - 1,
        .applied = first - 1,
        .applying_bytes_max = applying_bytes_max,
        .trace = t,
    };
}

void raft__log_done(struct raft_log *l)
{
    raft__unstable_done(&l->unstable);
}

void raft__log_check(const struct raft_log *l)
{
    ASSERT(l->applied <= l->applying);
    ASSERT(l->applying <= l->committed);
    ASSERT(l->committed <= raft__log_last_index(l));
    raft__unstable_check(&l->unstable);
}

raft_index raft__log_first_index(const struct raft_log *l)
{
    ASSERT(l->storage != NULL);
    if (l->unstable.snapshot != NULL)
        return l->unstable.snapshot->meta.index + 1;
    return l->storage->ops->first_index(l->storage);
}

raft_index raft__log_last_index(const struct raft_log *l)
{
    raft_index i;

    if (raft__unstable_last_index(&l->unstable, &i))
        return i;
    /* All that was handed out is acknowledged.  Storage may hold more, of an overwritten past. */
    return l->unstable.offset - 1;
}

struct raft_entry_id raft__log_last(const struct raft_log *l)
{
    struct raft_entry_id id = {.index = raft__log_last_index(l)};
    int rc = raft__log_term(l, id.index, &id.term);

    ASSERT(rc == 0);
    return id;
}

int raft__log_term(const struct raft_log *l, raft_index i, raft_term *ret)
{
    if (raft__unstable_term(&l->unstable, i, ret))
        return 0;
    if (i + 1 < raft__log_first_index(l))
        return ERR_RAFT_COMPACTED;
    if (i >= l->unstable.offset)
        return ERR_RAFT_UNAVAILABLE;
    return l->storage->ops->term(l->storage, i, ret);
}

raft_term raft__log_term_or_zero(const struct raft_log *l, raft_index i)
{
    raft_term t;

    return raft__log_term(l, i, &t) == 0 ? t : 0;
}

bool raft__log_matches(const struct raft_log *l, struct raft_entry_id id)
{
    raft_term t;

    return raft__log_term(l, id.index, &t) == 0 && t == id.term;
}

bool raft__log_up_to_date(const struct raft_log *l, struct raft_entry_id candidate)
{
    struct raft_entry_id own = raft__log_last(l);

    if (PLANTED(VOTE_FOR_STALE_LOG))
        return true;
    return candidate.term > own.term ||
           (candidate.term == own.term && candidate.index >= own.index);
}

/* ---- reading ---- */

static uint64_t add_limited(const struct raft_entry *v, size_t n, uint64_t bytes,
                            uint64_t bytes_max, struct raft_entry_list *ret, bool *first)
{
    ASSERT(n > 0);
    for (size_t i = 0; i < n; i++) {
        uint64_t size = raft_entry_size(&v[i]);

        if (!*first && (size > bytes_max || bytes > bytes_max - size))
            break;
        *first = false;
        bytes += size;
        raft_entry_list_add(ret, &v[i]);
    }
    return bytes;
}

int raft__log_slice(const struct raft_log *l, raft_index lo, raft_index hi, uint64_t bytes_max,
                    struct raft_entry_list *ret)
{
    const struct raft_unstable *u = &l->unstable;
    size_t before = ret->n;
    uint64_t bytes = 0;
    bool first = true;

    ASSERT(lo < hi);
    ASSERT(hi <= raft__log_last_index(l) + 1);
    if (lo < raft__log_first_index(l))
        return ERR_RAFT_COMPACTED;
    if (lo < u->offset) {
        raft_index cut = MIN(hi, u->offset);
        int rc = l->storage->ops->entries(l->storage, lo, cut, bytes_max, ret);

        if (rc != 0)
            return rc;
        ASSERT(ret->n > before);
        if (ret->n - before < cut - lo || cut == hi)
            return 0;
        for (size_t i = before; i < ret->n; i++)
            bytes += raft_entry_size(&ret->v[i]);
        first = false;
        lo = cut;
    }
    (void) add_limited(raft__queue_at(&u->entries, lo - u->offset), hi - lo, bytes, bytes_max, ret,
                       &first);
    return 0;
}

/* ---- appending ---- */

void raft__log_append(struct raft_log *l, const struct raft_entry *v, size_t n)
{
    if (n == 0)
        return;
    ASSERT(v[0].index > l->committed); /* what is committed is never overwritten */
    raft__unstable_truncate_and_append(&l->unstable, v, n);
}

/* The first of the entries that is new, or differs from what is here; n: all are here already. */
static size_t find_conflict(const struct raft_log *l, const struct raft_entry *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (raft__log_matches(l, (struct raft_entry_id){v[i].term, v[i].index}))
            continue;
        if (v[i].index <= raft__log_last_index(l))
            TRACE_INFO(l->trace,
                       "found conflict at index %" PRIu64 " [existing term: %" PRIu64
                       ", conflicting term: %" PRIu64 "]",
                       v[i].index, raft__log_term_or_zero(l, v[i].index), v[i].term);
        return i;
    }
    return n;
}

bool raft__log_maybe_append(struct raft_log *l, struct raft_entry_id prev,
                            const struct raft_entry *v, size_t n, raft_index leader_commit,
                            raft_index *ret_last)
{
    raft_index last = prev.index + n;
    size_t from;

    ASSERT(prev.index >= l->committed);
    if (!raft__log_matches(l, prev))
        return false;
    from = PLANTED(TRUNCATE_ON_STALE_APPEND) ? 0 : find_conflict(l, v, n);
    if (PLANTED(TRUNCATE_ON_STALE_APPEND))
        while (from < n && v[from].index <= l->committed)
            from++;
    if (from < n)
        raft__log_append(l, v + from, n - from);
    /* Only what this message vouches for: beyond it the log may still be another leader's. */
    if (PLANTED(COMMIT_BEYOND_APPEND))
        last = MAX(last, raft__log_last_index(l));
    raft__log_commit_to(l, MIN(leader_commit, last));
    *ret_last = prev.index + n;
    return true;
}

struct raft_entry_id raft__log_find_conflict_by_term(const struct raft_log *l, raft_index i,
                                                     raft_term term)
{
    for (; i > 0; i--) {
        raft_term t;

        if (raft__log_term(l, i, &t) != 0)
            return (struct raft_entry_id){.index = i};
        if (t <= term)
            return (struct raft_entry_id){.index = i, .term = t};
    }
    return (struct raft_entry_id){0};
}

void raft__log_commit_to(struct raft_log *l, raft_index i)
{
    if (i <= l->committed)
        return; /* never moves back */
    ASSERT(i <= raft__log_last_index(l));
    l->committed = i;
}

void raft__log_restore(struct raft_log *l, const struct raft_snapshot *s)
{
    ASSERT(s->meta.index > l->committed);
    TRACE_INFO(l->trace,
               "log [committed=%" PRIu64 ", applied=%" PRIu64 ", applying=%" PRIu64
               ", unstable.offset=%" PRIu64 ", unstable.offsetInProgress=%" PRIu64
               ", len(unstable.Entries)=%zu] starts to restore snapshot [index: %" PRIu64
               ", term: %" PRIu64 "]",
               l->committed, l->applied, l->applying, l->unstable.offset,
               l->unstable.offset_in_progress, l->unstable.entries.n, s->meta.index, s->meta.term);
    l->committed = s->meta.index;
    raft__unstable_restore(&l->unstable, s);
}

/* ---- handing out what is committed ---- */

static raft_index max_appliable(const struct raft_log *l, bool allow_unstable)
{
    ASSERT(l->unstable.offset > 0);
    return allow_unstable ? l->committed : MIN(l->committed, l->unstable.offset - 1);
}

bool raft__log_has_next_committed(const struct raft_log *l, bool allow_unstable)
{
    if (l->applying_paused || l->read_back_pending)
        return false;
    /* A snapshot comes first: it replaces the state that entries would change. */
    if (l->unstable.snapshot != NULL)
        return false;
    return l->applying < max_appliable(l, allow_unstable);
}

void raft__log_next_committed(struct raft_log *l, bool allow_unstable, struct raft_entry_list *ret)
{
    int rc;

    if (!raft__log_has_next_committed(l, allow_unstable))
        return;
    ASSERT(l->applying_bytes < l->applying_bytes_max);
    rc = raft__log_slice(l, l->applying + 1, max_appliable(l, allow_unstable) + 1,
                         l->applying_bytes_max - l->applying_bytes, ret);
    if (rc == ERR_AGAIN) {
        l->read_back_pending = true;
        return;
    }
    ASSERT(rc == 0); /* a committed entry that cannot be read: nothing is left to do but stop */
}

void raft__log_accept_applying(struct raft_log *l, raft_index i, uint64_t bytes,
                               bool allow_unstable)
{
    ASSERT(i <= l->committed);
    ASSERT(i > l->applying);
    l->applying = i;
    l->applying_bytes += bytes;
    /* Cut short means that the next entry would have passed the limit. */
    l->applying_paused = l->applying_bytes >= l->applying_bytes_max ||
                         i < max_appliable(l, allow_unstable);
}

void raft__log_applied_to(struct raft_log *l, raft_index i, uint64_t bytes)
{
    ASSERT(i <= l->committed);
    ASSERT(i >= l->applied);
    l->applied = i;
    l->applying = MAX(l->applying, i);
    l->applying_bytes -= MIN(l->applying_bytes, bytes);
    l->applying_paused = l->applying_bytes >= l->applying_bytes_max;
}
