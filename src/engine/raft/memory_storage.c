/* memory_storage.c -- see raft_storage.h.
 *
 *     compacted                    first in memory              last
 *        |  only in the reader's log      |  also in memory       |
 *
 * Invariants: compacted < first in memory <= last + 1; the queue holds exactly [first in memory,
 * last].
 */
#include "engine/raft/entry_queue.h"
#include "engine/raft/raft.h"
#include "engine/raft/snapshot_copy.h"
#include "engine/raft/term_runs.h"

#define MEMORY_MAGIC 0x6d656d6fu

struct raft_memory_storage {
    uint32_t magic;
    struct raft_storage base;
    struct raft_memory_options options;
    struct raft_hard_state hard;
    struct raft_snapshot *snapshot; /* owned; NULL: none yet */
    raft_index compacted;           /* its term is still known */
    raft_index last;
    raft_index readable; /* with a reader: it has everything up to here */
    struct raft_entry_queue queue;
    struct raft_term_runs terms;
};

static struct raft_memory_storage *of_base(struct raft_storage *s)
{
    struct raft_memory_storage *m = CONTAINER_OF(s, struct raft_memory_storage, base);

    ASSERT(m->magic == MEMORY_MAGIC);
    return m;
}

static raft_index first_in_memory(const struct raft_memory_storage *m)
{
    return m->last + 1 - m->queue.n;
}

static void check(const struct raft_memory_storage *m)
{
    ASSERT(m->compacted <= m->last);
    ASSERT(first_in_memory(m) > m->compacted);
    if (m->queue.n > 0)
        ASSERT(raft__queue_at(&m->queue, 0)->index == first_in_memory(m));
}

/* ---- the interface ---- */

static void initial_state(struct raft_storage *s, struct raft_hard_state *ret_hard,
                          struct raft_conf_state *ret_conf)
{
    struct raft_memory_storage *m = of_base(s);

    *ret_hard = m->hard;
    *ret_conf = m->snapshot == NULL ? (struct raft_conf_state){0} : m->snapshot->meta.conf_state;
}

static int entries(struct raft_storage *s, raft_index lo, raft_index hi, uint64_t bytes_max,
                   struct raft_entry_list *ret)
{
    struct raft_memory_storage *m = of_base(s);
    raft_index first = first_in_memory(m);
    uint64_t bytes = 0;

    ASSERT(lo < hi);
    if (lo <= m->compacted)
        return ERR_RAFT_COMPACTED;
    if (hi > m->last + 1)
        return ERR_RAFT_UNAVAILABLE;
    if (lo < first)
        return m->options.reader.entries(m->options.reader.arg, lo, MIN(hi, first), bytes_max, ret);
    for (raft_index i = lo; i < hi; i++) {
        const struct raft_entry *e = raft__queue_at(&m->queue, i - first);

        bytes += raft_entry_size(e);
        if (i > lo && bytes > bytes_max)
            break;
        raft_entry_list_add(ret, e);
    }
    return 0;
}

static int term(struct raft_storage *s, raft_index i, raft_term *ret)
{
    struct raft_memory_storage *m = of_base(s);

    if (i < m->compacted)
        return ERR_RAFT_COMPACTED;
    if (i > m->last)
        return ERR_RAFT_UNAVAILABLE;
    *ret = raft__term_runs_get(&m->terms, i);
    return 0;
}

static raft_index first_index(struct raft_storage *s)
{
    return of_base(s)->compacted + 1;
}

static raft_index last_index(struct raft_storage *s)
{
    return of_base(s)->last;
}

static int snapshot(struct raft_storage *s, struct raft_snapshot *ret)
{
    struct raft_memory_storage *m = of_base(s);

    *ret = m->snapshot == NULL ? (struct raft_snapshot){0} : *m->snapshot;
    return 0;
}

static const struct raft_storage_ops memory_ops = {
    .initial_state = initial_state,
    .entries = entries,
    .term = term,
    .first_index = first_index,
    .last_index = last_index,
    .snapshot = snapshot,
};

/* ---- life ---- */

static void options_set(struct raft_memory_storage *m, const struct raft_memory_options *o)
{
    m->options = *o;
    if (m->options.entries_max == 0)
        m->options.entries_max = RAFT_MEMORY_ENTRIES_MAX;
    if (m->options.bytes_max == 0)
        m->options.bytes_max = RAFT_MEMORY_BYTES_MAX;
}

struct raft_memory_storage *raft_memory_storage_new(const struct raft_memory_options *o)
{
    struct raft_memory_storage *m = xmem_calloc(1, sizeof *m);

    m->magic = MEMORY_MAGIC;
    m->base.ops = &memory_ops;
    options_set(m, o);
    m->readable = UINT64_MAX;
    raft__term_runs_reset(&m->terms, 0, 0);
    check(m);
    return m;
}

void raft_memory_storage_free(struct raft_memory_storage *m)
{
    if (m == NULL)
        return;
    raft__queue_done(&m->queue);
    raft__term_runs_done(&m->terms);
    mem_free(m->snapshot);
    m->magic = 0;
    mem_free(m);
}

struct raft_storage *raft_memory_storage_base(struct raft_memory_storage *m)
{
    ASSERT(m->magic == MEMORY_MAGIC);
    return &m->base;
}

void raft_memory_storage_set_hard_state(struct raft_memory_storage *m,
                                        const struct raft_hard_state *hs)
{
    ASSERT(m->magic == MEMORY_MAGIC);
    m->hard = *hs;
}

void raft_memory_storage_set_conf_state(struct raft_memory_storage *m,
                                        const struct raft_conf_state *cs)
{
    struct raft_snapshot s = m->snapshot == NULL ? (struct raft_snapshot){0} : *m->snapshot;
    struct raft_snapshot *copy;

    s.meta.conf_state = *cs;
    copy = raft__snapshot_copy(&s);
    mem_free(m->snapshot);
    m->snapshot = copy;
}

struct raft_memory_usage raft_memory_storage_usage(const struct raft_memory_storage *m)
{
    ASSERT(m->magic == MEMORY_MAGIC);
    return (struct raft_memory_usage){first_in_memory(m), m->queue.n, m->queue.data_bytes};
}

/* ---- the log grows, and is cut at both ends ---- */

/* What the reader can bring back need not stay. */
static void evict(struct raft_memory_storage *m)
{
    ASSERT(m->options.entries_max > 0);
    if (m->options.reader.entries == NULL)
        return;
    while (m->queue.n > 0 && first_in_memory(m) <= m->readable &&
           (m->queue.n > m->options.entries_max || m->queue.data_bytes > m->options.bytes_max))
        raft__queue_drop_front(&m->queue, 1);
}

void raft_memory_storage_offload(struct raft_memory_storage *m, const struct raft_memory_options *o,
                                 raft_index readable)
{
    ASSERT(m->magic == MEMORY_MAGIC);
    ASSERT(o->reader.entries != NULL);
    options_set(m, o);
    m->readable = readable;
    evict(m);
    raft__queue_shrink(&m->queue);
    check(m);
}

static void truncate_from(struct raft_memory_storage *m, raft_index from)
{
    raft_index first = first_in_memory(m);

    ASSERT(from > m->compacted);
    if (from <= m->last)
        raft__queue_drop_back(&m->queue, from <= first ? m->queue.n : m->last + 1 - from);
    m->last = from - 1;
}

void raft_memory_storage_append(struct raft_memory_storage *m, const struct raft_entry *v, size_t n)
{
    ASSERT(m->magic == MEMORY_MAGIC);
    while (n > 0 && v[0].index <= m->compacted) {
        v++;
        n--;
    }
    if (n == 0)
        return;
    ASSERT(v[0].index <= m->last + 1); /* no gap */
    truncate_from(m, v[0].index);
    for (size_t i = 0; i < n; i++) {
        raft__queue_push(&m->queue, &v[i]);
        raft__term_runs_append(&m->terms, v[i].index, v[i].term);
        m->last = v[i].index;
    }
    evict(m);
    check(m);
}

static void replace_snapshot(struct raft_memory_storage *m, const struct raft_snapshot *s)
{
    struct raft_snapshot *copy = raft__snapshot_copy(s);

    mem_free(m->snapshot);
    m->snapshot = copy;
}

static raft_index snapshot_index(const struct raft_memory_storage *m)
{
    return m->snapshot == NULL ? 0 : m->snapshot->meta.index;
}

int raft_memory_storage_apply_snapshot(struct raft_memory_storage *m, const struct raft_snapshot *s)
{
    ASSERT(m->magic == MEMORY_MAGIC);
    if (s->meta.index <= snapshot_index(m))
        return ERR_RAFT_SNAPSHOT_OUT_OF_DATE;
    replace_snapshot(m, s);
    raft__queue_clear(&m->queue);
    m->compacted = m->last = s->meta.index;
    raft__term_runs_reset(&m->terms, s->meta.index, s->meta.term);
    check(m);
    return 0;
}

int raft_memory_storage_create_snapshot(struct raft_memory_storage *m, raft_index i,
                                        const struct raft_conf_state *conf_state, struct bytes data)
{
    struct raft_snapshot s = {.data = data, .meta = {.index = i}};

    ASSERT(m->magic == MEMORY_MAGIC);
    if (i <= snapshot_index(m))
        return ERR_RAFT_SNAPSHOT_OUT_OF_DATE;
    ASSERT(i >= m->compacted);
    ASSERT(i <= m->last);
    s.meta.term = raft__term_runs_get(&m->terms, i);
    if (conf_state != NULL)
        s.meta.conf_state = *conf_state;
    else if (m->snapshot != NULL)
        s.meta.conf_state = m->snapshot->meta.conf_state;
    replace_snapshot(m, &s);
    return 0;
}

int raft_memory_storage_compact(struct raft_memory_storage *m, raft_index i)
{
    raft_index first = first_in_memory(m);

    ASSERT(m->magic == MEMORY_MAGIC);
    if (i <= m->compacted)
        return ERR_RAFT_COMPACTED;
    if (i > m->last)
        return ERR_RAFT_UNAVAILABLE;
    if (i >= first)
        raft__queue_drop_front(&m->queue, i + 1 - first);
    m->compacted = i;
    raft__term_runs_forget_before(&m->terms, i);
    check(m);
    return 0;
}
