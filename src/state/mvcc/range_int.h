/* range_int.h -- private to state/mvcc: ranges on their way, and their lists of references.
 *
 * Whatever grows with the number of keys is done in steps: each takes what it costs from *units and
 * stops when there are none left.  Then nothing is lost, and the same call goes on.
 */
#ifndef KETCH_STATE_MVCC_RANGE_INT_H
#define KETCH_STATE_MVCC_RANGE_INT_H

#include "state/mvcc/mvcc_int.h"

/* ---- units: MVCC_RANGE_STEP ---- */

#define RANGE_SEEK_UNITS 8        /* to find a place in the index */
#define RANGE_RECORD_UNITS 16     /* to find a record */
#define RANGE_LEAF_UNITS 4        /* for each reference in a leaf that is sorted */
#define RANGE_MOVES_PER_UNIT 8    /* references moved */
#define RANGE_COMPARED_BYTES 4096 /* of a value, for one more unit */

static inline void range_spend(uint64_t *units, uint64_t n)
{
    *units -= MIN(*units, n);
}

/* ---- lists ---- */

#define RANGE_BLOCK_REFS 512 /* 16 KiB: a list grows by so much, and nothing moves */

struct range_refs {
    struct range_ref **blocks;
    size_t blocks_n;
    size_t blocks_cap;
    size_t cap; /* references that the blocks have room for */
    size_t n;
};

static inline struct range_ref *range_refs_at(const struct range_refs *l, size_t i)
{
    DEBUG_ASSERT(i < l->n);
    return &l->blocks[i / RANGE_BLOCK_REFS][i % RANGE_BLOCK_REFS];
}

/* For one more; `most` is how many there can be in all.  False: no memory. */
bool range_refs_room(struct range_refs *l, struct arena *a, uint64_t most);

/* ---- sort.c ---- */

typedef int (*range_ref_cmp)(const struct range_ref *a, const struct range_ref *b);

enum sort_doing { SORT_LEAF, SORT_PAIR, SORT_COPY, SORT_MERGE, SORT_REST, SORT_NOTHING };

/* A sort under way.  See sort.c. */
struct range_sort {
    struct range_refs *refs;
    range_ref_cmp cmp;
    bool by_value; /* comparing costs what the values are long */
    size_t keep;   /* only so many are wanted */
    size_t n;
    struct range_ref *tmp; /* room for the left one of two runs */
    size_t tmp_cap;

    enum sort_doing doing;
    unsigned depth; /* 2^depth leaves */
    unsigned level; /* the next two runs have 2^level leaves each */
    size_t leaf;    /* leaves that are sorted */
    size_t low;     /* where the left run begins */
    size_t mid;     /* where the right one begins */
    size_t left_n;
    size_t right_n;
    size_t left; /* so many of each have found their place; while copying: are copied */
    size_t right;
};

/* Begins to sort what is in `refs`, of which the first `keep` are wanted.  The fields above n are
 * set by the caller, once.  False: no memory. */
NODISCARD bool range_sort_begin(struct range_sort *s, struct arena *a);
/* True: the first min(n, keep) are in order; what the others are is undefined. */
bool range_sort_step(struct range_sort *s, uint64_t *units);

/* ---- range_list.c ---- */

struct range_list {
    struct range_refs refs;
    struct range_sort sort;
    uint64_t most;    /* so many that pass are looked for */
    uint64_t fold_at; /* with so many the list is sorted, and cut to sort.keep, before it goes on */
    uint64_t passed;  /* the filters, so far */
    bool walked;      /* all keys have been looked at */
    bool down;        /* in key order, the last one first: nothing is compared */
};

/* It has filters or an order of its own. */
bool range_wants_list(const Etcdserverpb__RangeRequest *r);
/* What the request alone decides about its list, in a zeroed one. */
void range_list_plan(const Etcdserverpb__RangeRequest *r, struct range_list *l);
int range_list_begin(struct mvcc_range *g);
/* One or more steps of RANGE_COLLECTS and RANGE_SORTS; leaves g in RANGE_MEASURES at their end. */
int range_list_collect(struct mvcc_range *g, uint64_t *units);
void range_list_sort(struct mvcc_range *g, uint64_t *units);
/* Whether a single key passes the filters. */
bool range_passes(const struct mvcc_range *g, const struct range_ref *ref);
/* What it may hold at the most when `keys` keys are looked at, in bytes. */
uint64_t range_list_bytes(const struct mvcc_range *g, uint64_t keys);
/* What it costs, about. */
uint64_t range_list_units(const struct mvcc_range *g, uint64_t keys);
/* A list of `keys` keys comes to what is ahead. */
void range_list_ahead(const Etcdserverpb__RangeRequest *r, uint64_t keys,
                      struct mvcc_range_ahead *ret);

static inline const struct range_ref *range_list_at(const struct mvcc_range *g, uint64_t i)
{
    const struct range_list *l = g->list;

    return range_refs_at(&l->refs, (size_t) (l->down ? l->refs.n - 1 - i : i));
}

/* ---- range.c ---- */

enum range_walked { RANGE_WALK_KEY, RANGE_WALK_END, RANGE_WALK_PAUSE };

static inline void range_walk_begin(struct mvcc_range *g)
{
    ASSERT(!g->keys.single);
    index_seek(&g->cursor, g->state.root, g->keys.key, g->at_revision >= g->state.revision);
}

/* The next key that exists at the revision: a unit for each key that is looked at. */
static inline enum range_walked range_walk_next(struct mvcc_range *g, uint64_t *units,
                                                struct range_ref *ret)
{
    struct key_entry *e;

    while ((e = index_cursor_entry(&g->cursor)) != NULL) {
        if (key_range_passed(&g->keys, entry_key(e)))
            return RANGE_WALK_END;
        if (*units == 0)
            return RANGE_WALK_PAUSE;
        --*units;
        index_cursor_next(&g->cursor);
        if (entry_at(e, g->at_revision, &ret->rev)) {
            ASSERT(bytes_cmp(entry_key(e), g->keys.key) >= 0);
            ASSERT(ret->rev.main <= g->at_revision);
            ret->entry = e;
            return RANGE_WALK_KEY;
        }
    }
    return RANGE_WALK_END;
}

/* Which of etcd's steps the walk over the index is. */
enum trace_step range_index_step(const struct mvcc_range *g);
/* Cuts `n` found keys to the limit. */
void range_cut(struct mvcc_range *g, uint64_t n);
/* The newest revision is read. */
bool range_newest(const struct mvcc_range *g);
/* The cursor over the records. */
int range_records_begin(struct mvcc_range *g);

/* The keys of a range (no single one) that live in the newest revision. */
uint64_t range_live_keys(const struct kv_state *st, const struct key_range *keys);
/* mvcc_range_ahead of a range that has not begun. */
void range_ahead(const struct kv_state *st, const Etcdserverpb__RangeRequest *r,
                 struct mvcc_range_ahead *ret);

#endif
