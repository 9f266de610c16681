/* range_list.c -- ranges with filters or an order of their own: a list of references.
 *
 * The walk over the index puts those that pass the filters into the list, with what they are sorted
 * by.  With a limit the list does not grow with the number of keys: whenever it has become long it
 * is sorted, and what the limit leaves out is forgotten. */
#include "base/alloc.h"
#include "state/mvcc/range_int.h"
#include "wire/wire.h"

/* A list is cut when it is so many times as long as the limit, and has so many references: then
 * sorting what stays once more costs little. */
#define FOLD_LIMITS 8
#define FOLD_REFS_MIN 4096

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

bool range_wants_list(const range_request *r)
{
    return sorts(r) || has_filters(r);
}

/* ---- references ---- */

bool range_refs_room(struct range_refs *l, struct arena *a, uint64_t most)
{
    size_t n = RANGE_BLOCK_REFS;

    ASSERT(l->n <= l->cap);
    if (l->n < l->cap)
        return true;
    if (l->blocks_n == l->blocks_cap) {
        size_t cap = MAX((size_t) 4, 2 * l->blocks_cap);
        struct range_ref **v = arena_alloc(a, cap * sizeof *v);

        if (v == NULL)
            return false;
        if (l->blocks_n > 0)
            memcpy(v, l->blocks, l->blocks_n * sizeof *v);
        l->blocks = v;
        l->blocks_cap = cap;
    }
    if (l->blocks_n == 0)
        n = (size_t) MIN((uint64_t) n, most);
    l->blocks[l->blocks_n] = arena_alloc(a, n * sizeof **l->blocks);
    if (l->blocks[l->blocks_n] == NULL)
        return false;
    l->blocks_n++;
    l->cap += n;
    return true;
}

/* ---- orders ---- */

static int cmp_number(const struct range_ref *a, const struct range_ref *b)
{
    return a->number < b->number ? -1 : a->number > b->number;
}

static int cmp_value(const struct range_ref *a, const struct range_ref *b)
{
    return bytes_cmp(bytes_of(a->record + a->value_at, a->value_n),
                     bytes_of(b->record + b->value_at, b->value_n));
}

static int cmp_number_down(const struct range_ref *a, const struct range_ref *b)
{
    return cmp_number(b, a);
}

static int cmp_value_down(const struct range_ref *a, const struct range_ref *b)
{
    return cmp_value(b, a);
}

static bool by_value(const range_request *r)
{
    return r->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
}

static range_ref_cmp order_of(const range_request *r)
{
    bool down = r->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;

    if (by_value(r))
        return down ? cmp_value_down : cmp_value;
    return down ? cmp_number_down : cmp_number;
}

/* Creation and version, from the index or the record. */
static void life_of(const struct mvcc_range *g, const struct range_ref *ref, uint64_t *units,
                    struct kv_fields *ret)
{
    if (!range_ref_is_newest(ref))
        range_spend(units, RANGE_RECORD_UNITS);
    range_ref_fields(g, ref, ret);
}

static void take_value(const struct mvcc_range *g, struct range_ref *ref)
{
    struct bytes record = range_ref_record(g, ref);
    struct kv_fields f;

    kv_decode_stored(record, &f);
    ref->record = record.p;
    ref->value_at = f.value.n == 0 ? 0 : (uint32_t) (f.value.p - record.p);
    ref->value_n = (uint32_t) f.value.n;
}

/* What to sort by goes into the reference, so that comparing needs no search. */
static void take_order(const struct mvcc_range *g, struct range_ref *ref, uint64_t *units)
{
    struct kv_fields f;

    switch (g->request->sort_target) {
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE:
        range_spend(units, RANGE_RECORD_UNITS);
        take_value(g, ref);
        break;
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION:
        life_of(g, ref, units, &f);
        ref->number = f.version;
        break;
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE:
        life_of(g, ref, units, &f);
        ref->number = f.create_main;
        break;
    default:
        ref->number = ref->rev.main;
        break;
    }
}

/* ---- collecting ---- */

static bool passes(const struct mvcc_range *g, const struct range_ref *ref, uint64_t *units)
{
    const range_request *r = g->request;
    struct kv_fields f;

    if ((r->max_mod_revision != 0 && ref->rev.main > r->max_mod_revision) ||
        (r->min_mod_revision != 0 && ref->rev.main < r->min_mod_revision))
        return false;
    if (r->max_create_revision == 0 && r->min_create_revision == 0)
        return true;
    life_of(g, ref, units, &f);
    return (r->max_create_revision == 0 || f.create_main <= r->max_create_revision) &&
           (r->min_create_revision == 0 || f.create_main >= r->min_create_revision);
}

bool range_passes(const struct mvcc_range *g, const struct range_ref *ref)
{
    uint64_t unlimited = UINT64_MAX;

    return passes(g, ref, &unlimited);
}

/* An answer shows whether there is more than the limit, hence one more. */
static void take_limit(struct range_list *l, const range_request *r)
{
    uint64_t limit = (uint64_t) r->limit;

    l->most = l->fold_at = UINT64_MAX;
    l->sort.keep = SIZE_MAX;
    if (r->limit <= 0)
        return;
    if (!wants_order(r) && (!sorts(r) || !has_filters(r)))
        l->most = limit + 1;
    l->sort.keep = (size_t) limit;
    if (sorts(r) && !l->down)
        l->fold_at = MAX((uint64_t) FOLD_REFS_MIN,
                         MIN(limit, UINT64_MAX / FOLD_LIMITS) * FOLD_LIMITS);
}

void range_list_plan(const range_request *r, struct range_list *l)
{
    l->down = r->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY && sorts(r);
    take_limit(l, r);
    l->sort.by_value = by_value(r);
    l->sort.cmp = sorts(r) && !l->down ? order_of(r) : NULL;
}

int range_list_begin(struct mvcc_range *g)
{
    struct range_list *l = g->list = arena_calloc(g->arena, 1, sizeof *l);

    if (l == NULL)
        return ERR_NOMEM;
    range_list_plan(g->request, l);
    l->sort.refs = &l->refs;
    g->phase = RANGE_COLLECTS;
    range_walk_begin(g);
    return l->sort.by_value ? range_records_begin(g) : 0;
}

/* False: no memory. */
static bool take(struct mvcc_range *g, struct range_ref *ref, uint64_t *units)
{
    struct range_list *l = g->list;

    if (!range_refs_room(&l->refs, g->arena,
                         MIN(l->most, range_newest(g) ? (uint64_t) g->info.count : UINT64_MAX)))
        return false;
    if (l->sort.cmp != NULL)
        take_order(g, ref, units);
    l->passed++;
    l->refs.n++;
    *range_refs_at(&l->refs, l->refs.n - 1) = *ref;
    return true;
}

/* Nothing more to be found: of the newest revision the number of all keys is known. */
static bool has_all(const struct mvcc_range *g)
{
    return g->list->passed == g->list->most && range_newest(g);
}

static int collected(struct mvcc_range *g)
{
    struct range_list *l = g->list;

    if (l->walked)
        trace_step(g->trace, range_index_step(g));
    g->phase = RANGE_SORTS;
    if (l->sort.cmp == NULL || l->refs.n < 2)
        l->sort.doing = SORT_NOTHING;
    else if (!range_sort_begin(&l->sort, g->arena))
        return ERR_NOMEM;
    return 0;
}

int range_list_collect(struct mvcc_range *g, uint64_t *units)
{
    struct range_list *l = g->list;
    struct range_ref ref;

    memset(&ref, 0, sizeof ref);
    while (l->refs.n < l->fold_at) {
        enum range_walked w = has_all(g) ? RANGE_WALK_END : range_walk_next(g, units, &ref);

        if (w == RANGE_WALK_PAUSE)
            return 0;
        l->walked = w == RANGE_WALK_END;
        if (l->walked)
            break;
        if (!range_newest(g))
            g->info.count++;
        if (l->passed < l->most && passes(g, &ref, units) && !take(g, &ref, units))
            return ERR_NOMEM;
    }
    return collected(g);
}

void range_list_sort(struct mvcc_range *g, uint64_t *units)
{
    struct range_list *l = g->list;

    if (!range_sort_step(&l->sort, units))
        return;
    if (!l->down)
        l->refs.n = MIN(l->refs.n, l->sort.keep);
    g->phase = RANGE_COLLECTS;
    if (!l->walked)
        return;
    trace_step(g->trace, TRACE_SORT);
    range_cut(g, l->passed);
    ASSERT(g->info.kvs_n <= l->refs.n);
    g->source = RANGE_REFS;
    g->phase = RANGE_MEASURES;
}

uint64_t range_list_bytes(const struct mvcc_range *g, uint64_t keys)
{
    uint64_t n = MIN(keys, MIN(g->list->most, g->list->fold_at));

    return n * sizeof(struct range_ref) * (g->list->sort.cmp != NULL ? 3 : 2) / 2;
}

uint64_t range_list_units(const struct mvcc_range *g, uint64_t keys)
{
    const struct range_sort *s = &g->list->sort;
    uint64_t each = 2 + (s->by_value ? RANGE_RECORD_UNITS : 0); /* looked at, measured */

    if (s->cmp != NULL)
        each += 64 - (uint64_t) __builtin_clzll(keys | 1); /* comparisons: log2 */
    return keys * each;
}

void range_list_ahead(const range_request *r, uint64_t keys, struct mvcc_range_ahead *ret)
{
    struct range_list plan = {.most = 0};
    struct mvcc_range g = {.list = &plan};

    range_list_plan(r, &plan);
    ret->bytes += range_list_bytes(&g, keys);
    ret->units += range_list_units(&g, keys);
}
