/* range.c -- which keys a range answers with, and how many there are.
 *
 * In the usual order the result is only the place where the walk over the index begins: memory does
 * not grow with the number of keys.  With filters or an order of its own there is a list of
 * references (range_list.c).  Counts come from the subtree counts of the index as long as the
 * newest revision is read.
 *
 *      begin --> COUNTS (older revisions) -------------> MEASURES --> READY
 *        `-----> COLLECTS <--> SORTS ---------------------^
 *
 * Each of these goes over keys, so each can stop after any of them: range_step. */
#include "state/mvcc/range_int.h"
#include "wire/pb.h"
#include "wire/wire.h"

typedef Etcdserverpb__RangeRequest range_request;

static enum range_form form_of(const range_request *r)
{
    if (!r->keys_only)
        return RANGE_RECORDS;
    return r->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE ? RANGE_STRIPPED
                                                                             : RANGE_KEYS;
}

bool range_newest(const struct mvcc_range *g)
{
    return g->at_revision >= g->state.revision;
}

/* [key, end) with an end that is not behind the key. */
static bool is_empty(const struct key_range *keys)
{
    return !keys->to_the_end && bytes_cmp(keys->end, keys->key) <= 0;
}

uint64_t range_live_keys(const struct kv_state *st, const struct key_range *keys)
{
    uint64_t begin, end;

    ASSERT(!keys->single);
    if (is_empty(keys))
        return 0;
    begin = index_rank(st->root, keys->key);
    end = keys->to_the_end ? st->root->live : index_rank(st->root, keys->end);
    ASSERT(end >= begin);
    return end - begin;
}

/* ---- the steps ---- */

enum trace_step range_index_step(const struct mvcc_range *g)
{
    return g->request->count_only ? TRACE_COUNT : g->form == RANGE_KEYS ? TRACE_KEYS : TRACE_INDEX;
}

/* etcd's steps: index, records (where there are any to read), filter and sort, assemble. */
static uint32_t steps_of(const struct mvcc_range *g)
{
    return range_index_step(g) != TRACE_INDEX || g->info.count == 0 ? 3 : 4;
}

void range_cut(struct mvcc_range *g, uint64_t n)
{
    const range_request *r = g->request;

    g->info.more = r->limit > 0 && n > (uint64_t) r->limit;
    g->info.kvs_n = g->info.more ? (uint64_t) r->limit : n;
    ASSERT(n <= (uint64_t) g->info.count);
}

int range_records_begin(struct mvcc_range *g)
{
    void *mem = arena_alloc(g->arena, store_cursor_bytes());

    if (mem == NULL)
        return ERR_NOMEM;
    g->records = store_cursor_init(mem, g->state.store);
    return 0;
}

/* ---- the size of the answer ---- */

uint64_t range_kv_field_bytes(uint64_t n)
{
    return 1 + pb_varint_size(n) + n;
}

static void measure_one(struct mvcc_range *g, const struct range_ref *ref)
{
    size_t n = range_ref_bytes(g, ref);

    g->info.kvs_bytes += range_kv_field_bytes(n);
    g->longest = MAX(g->longest, n);
}

/* What a KeyValue costs to be measured. */
static uint64_t measure_units(const struct mvcc_range *g)
{
    bool from_record = g->form == RANGE_STRIPPED || (g->form == RANGE_KEYS && !range_newest(g));

    return from_record ? RANGE_RECORD_UNITS : 1;
}

static void measure_refs(struct mvcc_range *g, uint64_t *units)
{
    uint64_t each = measure_units(g);

    for (; *units > 0 && g->measured < g->info.kvs_n; g->measured++) {
        range_spend(units, each);
        measure_one(g, range_list_at(g, g->measured));
    }
}

static void measure_walk(struct mvcc_range *g, uint64_t *units)
{
    uint64_t each = measure_units(g) - 1, n = g->measured;
    struct range_ref ref;

    memset(&ref, 0, sizeof ref);
    for (; n < g->info.kvs_n && range_walk_next(g, units, &ref) == RANGE_WALK_KEY; n++) {
        range_spend(units, each);
        measure_one(g, &ref);
    }
    ASSERT(n == g->info.kvs_n || *units == 0);
    g->measured = n;
}

/* The walk stands behind the last one that was measured.  False: it goes on later. */
static bool find_behind(struct mvcc_range *g, uint64_t *units)
{
    struct range_ref ref;

    if (!g->info.more)
        return true;
    ASSERT(g->source == RANGE_WALK);
    if (range_walk_next(g, units, &ref) != RANGE_WALK_KEY) {
        ASSERT(*units == 0);
        return false;
    }
    g->behind = ref.entry;
    return true;
}

/* The cursor over the records. */
static int measure_begin(struct mvcc_range *g)
{
    ASSERT(g->source != RANGE_NONE || g->info.kvs_n == 0);
    g->phase = RANGE_MEASURES;
    if (g->source == RANGE_WALK)
        range_walk_begin(g);
    if (g->info.kvs_n <= 1 || g->form == RANGE_KEYS || g->records != NULL)
        return 0;
    return range_records_begin(g);
}

/* It is measured.  Room for a KeyValue that is made. */
static int get_ready(struct mvcc_range *g)
{
    if (g->form != RANGE_RECORDS) {
        g->made = arena_alloc(g->arena, g->longest);
        if (g->made == NULL)
            return ERR_NOMEM;
    }
    mvcc_range_rewind(g);
    g->phase = RANGE_READY;
    return 0;
}

static int measure(struct mvcc_range *g, uint64_t *units)
{
    if (g->source == RANGE_WALK)
        measure_walk(g, units);
    else
        measure_refs(g, units);
    if (g->measured < g->info.kvs_n || (g->finds_behind && !find_behind(g, units)))
        return 0;
    trace_step(g->trace, g->source == RANGE_REFS ? TRACE_RECORDS : range_index_step(g));
    return get_ready(g);
}

/* ---- which keys ---- */

/* Single keys are found too quickly to be timed. */
static int run_one(struct mvcc_range *g)
{
    const struct key_entry *e = index_get(g->state.root, g->keys.key);
    struct range_ref *ref;

    ASSERT(g->keys.single);
    g->one = ref = arena_calloc(g->arena, 1, sizeof *ref);
    if (ref == NULL)
        return ERR_NOMEM;
    if (e != NULL && entry_at(e, g->at_revision, &ref->rev)) {
        ref->entry = e;
        g->info.count = 1;
        if (!g->request->count_only && range_passes(g, ref)) {
            g->source = RANGE_ONE;
            g->info.kvs_n = 1;
            measure_one(g, ref);
        }
    }
    return get_ready(g);
}

/* The keys are counted: in the usual order nothing else is to be known about them. */
static int counted(struct mvcc_range *g)
{
    if (!g->request->count_only && g->info.count > 0) {
        range_cut(g, (uint64_t) g->info.count);
        g->source = RANGE_WALK;
    }
    return measure_begin(g);
}

static bool counted_enough(const struct mvcc_range *g)
{
    return g->count_most != 0 && (uint64_t) g->info.count == g->count_most;
}

static int count(struct mvcc_range *g, uint64_t *units)
{
    enum range_walked w = RANGE_WALK_KEY;
    struct range_ref ref;

    while (!counted_enough(g) && (w = range_walk_next(g, units, &ref)) == RANGE_WALK_KEY)
        g->info.count++;
    return w == RANGE_WALK_PAUSE ? 0 : counted(g);
}

static int sort_list(struct mvcc_range *g, uint64_t *units)
{
    range_list_sort(g, units);
    return g->phase == RANGE_MEASURES ? measure_begin(g) : 0;
}

/* What a range of many keys does first: it counts, collects, or measures what was counted here. */
static enum range_phase first_phase(struct mvcc_range *g)
{
    bool counts = !range_newest(g) && !is_empty(&g->keys);

    if (range_newest(g))
        g->info.count = (int64_t) range_live_keys(&g->state, &g->keys);
    if (!g->request->count_only && (counts || g->info.count > 0) && range_wants_list(g->request))
        return RANGE_COLLECTS;
    return counts ? RANGE_COUNTS : RANGE_MEASURES;
}

static int begin_many(struct mvcc_range *g)
{
    g->phase = first_phase(g);
    if (g->phase == RANGE_COLLECTS)
        return range_list_begin(g);
    if (g->phase == RANGE_MEASURES)
        return counted(g);
    range_walk_begin(g);
    return 0;
}

/* Which keys, at which revision, in a zeroed range. */
static int describe(const struct kv_state *st, const range_request *r, struct mvcc_range *g)
{
    g->state = *st;
    g->request = r;
    g->keys = key_range_of(wire_bytes(r->key), wire_bytes(r->range_end));
    g->form = form_of(r);
    g->info.revision = st->revision;
    return state_revision(st, r->revision, &g->at_revision);
}

int range_begin(const struct kv_state *st, const range_request *r, struct arena *a,
                struct trace_steps *t, struct mvcc_range *g)
{
    int rc;

    ASSERT(g->source == RANGE_NONE);
    ASSERT(r->key.len > 0);
    g->arena = a;
    g->trace = t;
    rc = describe(st, r, g);
    if (rc != 0)
        return rc;
    rc = g->keys.single ? run_one(g) : begin_many(g);
    if (rc != 0 || g->phase == RANGE_READY)
        trace_count(t, steps_of(g));
    return rc;
}

static int one_phase(struct mvcc_range *g, uint64_t *units)
{
    switch (g->phase) {
    case RANGE_COUNTS:
        return count(g, units);
    case RANGE_COLLECTS:
        return range_list_collect(g, units);
    case RANGE_SORTS:
        return sort_list(g, units);
    case RANGE_MEASURES:
        return measure(g, units);
    case RANGE_READY:
        break;
    }
    UNREACHABLE();
}

int range_step(struct mvcc_range *g, uint64_t *units)
{
    int rc = 0;

    if (g->phase == RANGE_READY)
        return 0;
    while (rc == 0 && g->phase != RANGE_READY && *units > 0)
        rc = one_phase(g, units);
    if (rc != 0 || g->phase == RANGE_READY)
        trace_count(g->trace, steps_of(g));
    return rc;
}

int range_run(const struct kv_state *st, const range_request *r, struct arena *a,
              struct trace_steps *t, struct mvcc_range *g)
{
    uint64_t unlimited = UINT64_MAX;
    int rc = range_begin(st, r, a, t, g);

    return rc == 0 ? range_step(g, &unlimited) : rc;
}

/* ---- on a view ---- */

int mvcc_range_begin(const struct mvcc_view *v, const range_request *r, struct arena *a,
                     struct trace_steps *t, struct mvcc_range **ret)
{
    struct mvcc_range *g = arena_calloc(a, 1, sizeof *g);
    int rc;

    if (g == NULL)
        return ERR_NOMEM;
    rc = range_begin(&v->state, r, a, t, g);
    if (rc == 0)
        *ret = g;
    return rc;
}

int mvcc_range_step(struct mvcc_range *g, uint64_t units, bool *ret_ready)
{
    int rc = range_step(g, &units);

    if (rc == 0)
        *ret_ready = g->phase == RANGE_READY;
    return rc;
}

void mvcc_range_ahead(const struct mvcc_range *g, struct mvcc_range_ahead *ret)
{
    *ret = (struct mvcc_range_ahead){0};
    if (g->phase == RANGE_READY)
        return;
    if (g->phase == RANGE_MEASURES) {
        ret->keys = ret->units = g->info.kvs_n;
        return;
    }
    ret->guessed = !range_newest(g);
    ret->keys = ret->guessed ? range_live_keys(&g->state, &g->keys) : (uint64_t) g->info.count;
    if (g->count_most != 0)
        ret->keys = MIN(ret->keys, g->count_most);
    ret->units = 2 * ret->keys;
    if (g->list != NULL) {
        ret->bytes = range_list_bytes(g, MAX(ret->keys, (uint64_t) 1));
        ret->units = range_list_units(g, ret->keys);
    }
}

void range_ahead(const struct kv_state *st, const range_request *r, struct mvcc_range_ahead *ret)
{
    struct range_list plan = {.most = 0};
    struct mvcc_range g = {.list = NULL};

    *ret = (struct mvcc_range_ahead){0};
    if (describe(st, r, &g) != 0 || g.keys.single)
        return;
    g.phase = first_phase(&g);
    if (g.phase == RANGE_COLLECTS) {
        range_list_plan(r, &plan);
        g.list = &plan;
    } else if (!r->count_only) {
        range_cut(&g, (uint64_t) g.info.count);
    }
    mvcc_range_ahead(&g, ret);
}

int mvcc_range_traced(const struct mvcc_view *v, const range_request *r, struct arena *a,
                      struct trace_steps *t, struct mvcc_range **ret)
{
    uint64_t unlimited = UINT64_MAX;
    struct mvcc_range *g;
    int rc = mvcc_range_begin(v, r, a, t, &g);

    if (rc == 0)
        rc = range_step(g, &unlimited);
    if (rc == 0)
        *ret = g;
    return rc;
}

int mvcc_range(const struct mvcc_view *v, const range_request *r, struct arena *a,
               struct mvcc_range **ret)
{
    return mvcc_range_traced(v, r, a, NULL, ret);
}
