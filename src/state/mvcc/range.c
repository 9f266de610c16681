/* range.c -- which keys a range answers with, in which order, and how many there are.
 *
 * In the usual order the result is only the place where the walk over the index begins: memory does
 * not grow with the number of keys.  With filters or an order of its own there is a list of
 * references. Counts come from the subtree counts of the index as long as the newest revision is
 * read. */
#include "state/mvcc/mvcc_int.h"
#include "wire/pb.h"
#include "wire/wire.h"

#define REFS_CAP_MIN 64

typedef Etcdserverpb__RangeRequest range_request;

static bool has_filters(const range_request *r)
{
    return r->min_mod_revision != 0 || r->max_mod_revision != 0 || r->min_create_revision != 0 ||
           r->max_create_revision != 0;
}

/* A sort_order of NONE counts as the order of the index whatever the target: it is fetched with the
 * limit in key order, and sorted only then. */
static bool wants_order(const range_request *r)
{
    if (r->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE)
        return false;
    return r->sort_order != ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND ||
           r->sort_target != ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY;
}

static bool sorts(const range_request *r)
{
    return wants_order(r) || r->sort_target != ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY;
}

static enum range_form form_of(const range_request *r)
{
    if (!r->keys_only)
        return RANGE_RECORDS;
    return r->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE ? RANGE_STRIPPED
                                                                             : RANGE_KEYS;
}

/* ---- walking ---- */

static void walk_begin(struct mvcc_range *g)
{
    ASSERT(!g->keys.single);
    index_seek(&g->cursor, g->state.root, g->keys.key, g->at_revision >= g->state.revision);
}

/* The next key that exists at the revision. */
static bool walk_next(struct mvcc_range *g, struct range_ref *ret)
{
    struct key_entry *e;

    while ((e = index_cursor_entry(&g->cursor)) != NULL) {
        if (key_range_passed(&g->keys, entry_key(e)))
            return false;
        index_cursor_next(&g->cursor);
        if (entry_at(e, g->at_revision, &ret->rev)) {
            ASSERT(bytes_cmp(entry_key(e), g->keys.key) >= 0);
            ASSERT(ret->rev.main <= g->at_revision);
            ret->entry = e;
            return true;
        }
    }
    return false;
}

static int64_t count_all(struct mvcc_range *g)
{
    struct range_ref ref;
    int64_t n = 0;

    if (!g->keys.to_the_end && bytes_cmp(g->keys.end, g->keys.key) <= 0)
        return 0;
    if (g->at_revision >= g->state.revision) {
        uint64_t end = g->keys.to_the_end ? g->state.root->live
                                          : index_rank(g->state.root, g->keys.end);

        ASSERT(end >= index_rank(g->state.root, g->keys.key));
        return (int64_t) (end - index_rank(g->state.root, g->keys.key));
    }
    for (walk_begin(g); walk_next(g, &ref);)
        n++;
    return n;
}

/* ---- lists ---- */

static bool refs_add(struct mvcc_range *g, size_t *n, size_t *cap, const struct range_ref *ref)
{
    if (*n == *cap) {
        size_t more = MAX((size_t) REFS_CAP_MIN, *cap * 2);
        struct range_ref *v = arena_alloc(g->arena, more * sizeof *v);

        if (v == NULL)
            return false;
        if (*n > 0)
            memcpy(v, g->refs, *n * sizeof *v);
        g->refs = v;
        *cap = more;
    }
    ASSERT(*n < *cap);
    g->refs[(*n)++] = *ref;
    return true;
}

static bool passes(struct mvcc_range *g, const range_request *r, const struct range_ref *ref)
{
    struct kv_fields f;

    if ((r->max_mod_revision != 0 && ref->rev.main > r->max_mod_revision) ||
        (r->min_mod_revision != 0 && ref->rev.main < r->min_mod_revision))
        return false;
    if (r->max_create_revision == 0 && r->min_create_revision == 0)
        return true;
    range_ref_fields(g, ref, &f);
    return (r->max_create_revision == 0 || f.create_main <= r->max_create_revision) &&
           (r->min_create_revision == 0 || f.create_main >= r->min_create_revision);
}

/* The first `max` keys that pass the filters; -1: no memory. */
static int64_t collect(struct mvcc_range *g, const range_request *r, uint64_t max)
{
    struct range_ref ref;
    size_t n = 0, cap = 0;

    memset(&ref, 0, sizeof ref);
    /* Without filters all of them stay: no array is outgrown. */
    if (!has_filters(r)) {
        cap = (size_t) MIN(max, (uint64_t) g->info.count);
        g->refs = arena_alloc(g->arena, cap * sizeof *g->refs);
        if (g->refs == NULL)
            return -1;
    }
    for (walk_begin(g); n < max && walk_next(g, &ref);)
        if (passes(g, r, &ref) && !refs_add(g, &n, &cap, &ref))
            return -1;
    return (int64_t) n;
}

static int cmp_key(const struct range_ref *a, const struct range_ref *b)
{
    return bytes_cmp(entry_key(a->entry), entry_key(b->entry));
}

static int cmp_number(const struct range_ref *a, const struct range_ref *b)
{
    return a->number < b->number ? -1 : a->number > b->number;
}

static int cmp_value(const struct range_ref *a, const struct range_ref *b)
{
    struct kv_fields x, y;

    kv_decode_stored(bytes_of(a->kv, a->rev.value_bytes), &x);
    kv_decode_stored(bytes_of(b->kv, b->rev.value_bytes), &y);
    return bytes_cmp(x.value, y.value);
}

static int cmp_key_down(const struct range_ref *a, const struct range_ref *b)
{
    return cmp_key(b, a);
}

static int cmp_number_down(const struct range_ref *a, const struct range_ref *b)
{
    return cmp_number(b, a);
}

static int cmp_value_down(const struct range_ref *a, const struct range_ref *b)
{
    return cmp_value(b, a);
}

/* What to sort by goes into the references, so that comparing needs no search. */
static range_ref_cmp prepare_order(struct mvcc_range *g, const range_request *r, size_t n)
{
    bool down = r->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    bool by_value = r->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    bool by_version = r->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION;
    bool by_create = r->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;

    if (r->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY)
        return down ? cmp_key_down : cmp_key;
    for (size_t i = 0; i < n; i++) {
        struct range_ref *ref = &g->refs[i];

        if (by_value) {
            ref->kv = state_value(&g->state, ref->rev.main, key_revision_sub(ref->rev)).p;
        } else if (by_version || by_create) {
            struct kv_fields f;

            range_ref_fields(g, ref, &f);
            ref->number = by_version ? f.version : f.create_main;
        } else {
            ref->number = ref->rev.main;
        }
    }
    if (by_value)
        return down ? cmp_value_down : cmp_value;
    return down ? cmp_number_down : cmp_number;
}

static bool sort_refs(struct mvcc_range *g, const range_request *r, size_t n)
{
    struct range_ref *tmp = arena_alloc(g->arena, (n / 2 + 1) * sizeof *tmp);

    if (tmp == NULL)
        return false;
    ASSERT(n > 1);
    range_refs_sort(g->refs, tmp, n, prepare_order(g, r, n));
    return true;
}

static enum trace_step index_step(const struct mvcc_range *g, const range_request *r)
{
    return r->count_only ? TRACE_COUNT : g->form == RANGE_KEYS ? TRACE_KEYS : TRACE_INDEX;
}

/* etcd's steps: index, records (where there are any to read), filter and sort, assemble. */
static uint32_t steps_of(const struct mvcc_range *g, const range_request *r)
{
    return index_step(g, r) != TRACE_INDEX || g->info.count == 0 ? 3 : 4;
}

/* Cuts `n` found keys to the limit. */
static void cut(struct mvcc_range *g, const range_request *r, int64_t n)
{
    g->info.more = r->limit > 0 && n > r->limit;
    g->info.kvs_n = (uint64_t) (g->info.more ? r->limit : n);
    ASSERT((int64_t) g->info.kvs_n <= g->info.count);
}

static int run_list(struct mvcc_range *g, const range_request *r, struct trace_steps *t)
{
    uint64_t max = UINT64_MAX;
    int64_t n;

    if (r->limit > 0 && !wants_order(r) && !has_filters(r))
        max = (uint64_t) r->limit + 1;
    n = collect(g, r, max);
    trace_step(t, index_step(g, r));
    if (n < 0 || (sorts(r) && n > 1 && !sort_refs(g, r, (size_t) n)))
        return ERR_NOMEM;
    trace_step(t, TRACE_SORT);
    cut(g, r, n);
    ASSERT(n <= g->info.count);
    g->source = RANGE_REFS;
    return 0;
}

static int run_one(struct mvcc_range *g, const range_request *r)
{
    const struct key_entry *e = index_get(g->state.root, g->keys.key);
    struct range_ref *ref;

    ASSERT(g->keys.single);
    g->refs = ref = arena_calloc(g->arena, 1, sizeof *ref);
    if (ref == NULL)
        return ERR_NOMEM;
    if (e == NULL || !entry_at(e, g->at_revision, &ref->rev))
        return 0;
    ref->entry = e;
    g->info.count = 1;
    if (r->count_only || !passes(g, r, ref))
        return 0;
    g->source = RANGE_ONE;
    g->info.kvs_n = 1;
    return 0;
}

/* ---- the size of the answer ---- */

uint64_t range_kv_field_bytes(uint64_t n)
{
    return 1 + pb_varint_size(n) + n;
}

/* Returns the longest KeyValue. */
static size_t measure(struct mvcc_range *g)
{
    struct range_ref ref;
    size_t longest = 0;

    memset(&ref, 0, sizeof ref);
    if (g->source == RANGE_WALK)
        walk_begin(g);
    for (uint64_t i = 0; i < g->info.kvs_n; i++) {
        size_t n;

        if (g->source != RANGE_WALK) {
            ref = g->refs[i];
        } else {
            bool found = walk_next(g, &ref);

            ASSERT(found);
        }
        n = range_ref_bytes(g, &ref);
        g->info.kvs_bytes += range_kv_field_bytes(n);
        longest = MAX(longest, n);
    }
    return longest;
}

/* The cursor over the records, and room for a KeyValue that is made. */
static int prepare(struct mvcc_range *g)
{
    size_t longest;

    ASSERT(g->source != RANGE_NONE || g->info.kvs_n == 0);
    if (g->info.kvs_n > 1 && g->form != RANGE_KEYS) {
        void *mem = arena_alloc(g->arena, store_cursor_bytes());

        if (mem == NULL)
            return ERR_NOMEM;
        g->records = store_cursor_init(mem, g->state.store);
    }
    longest = measure(g);
    if (g->form != RANGE_RECORDS) {
        g->made = arena_alloc(g->arena, longest);
        if (g->made == NULL)
            return ERR_NOMEM;
    }
    mvcc_range_rewind(g);
    return 0;
}

/* What it takes to know which keys there are; single keys are found too quickly to be timed. */
static int run(struct mvcc_range *g, const range_request *r, struct trace_steps *t)
{
    int rc = 0;

    if (g->keys.single) {
        rc = run_one(g, r);
        return rc == 0 ? prepare(g) : rc;
    }
    g->info.count = count_all(g);
    if (!r->count_only && g->info.count != 0) {
        if (sorts(r) || has_filters(r)) {
            rc = run_list(g, r, t);
        } else {
            cut(g, r, g->info.count);
            g->source = RANGE_WALK;
        }
        if (rc == 0)
            rc = prepare(g);
    }
    trace_step(t, g->source == RANGE_REFS ? TRACE_RECORDS : index_step(g, r));
    return rc;
}

int range_run(const struct kv_state *st, const range_request *r, struct arena *a,
              struct trace_steps *t, struct mvcc_range *g)
{
    int rc;

    ASSERT(g->source == RANGE_NONE);
    ASSERT(r->key.len > 0);
    g->state = *st;
    g->arena = a;
    g->keys = key_range_of(wire_bytes(r->key), wire_bytes(r->range_end));
    g->form = form_of(r);
    g->info.revision = st->revision;
    rc = state_revision(st, r->revision, &g->at_revision);
    if (rc != 0)
        return rc;
    rc = run(g, r, t);
    trace_count(t, steps_of(g, r));
    return rc;
}

int mvcc_range_traced(const struct mvcc_view *v, const range_request *r, struct arena *a,
                      struct trace_steps *t, struct mvcc_range **ret)
{
    struct mvcc_range *g = arena_calloc(a, 1, sizeof *g);
    int rc;

    if (g == NULL)
        return ERR_NOMEM;
    rc = range_run(&v->state, r, a, t, g);
    if (rc == 0)
        *ret = g;
    return rc;
}

int mvcc_range(const struct mvcc_view *v, const range_request *r, struct arena *a,
               struct mvcc_range **ret)
{
    return mvcc_range_traced(v, r, a, NULL, ret);
}
