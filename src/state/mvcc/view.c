/* view.c -- publishing views, pinning them, and freeing what nobody can see any more.
 *
 * To pin, a reader names the view in its slot, looks whether it still is the newest, counts it and
 * clears the slot.  The apply thread first makes another view the newest, then looks at the slots,
 * then at the counts.  All four accesses are sequentially consistent, so either the reader sees
 * that its view is no longer the newest and tries again, or apply sees the slot, or apply sees the
 * count. */
#include "state/mvcc/mvcc_int.h"

_Static_assert(sizeof(struct mvcc_reader) == 64, "one reader's slot per cache line");

static void view_free(struct mvcc *kv, struct mvcc_view *v)
{
    struct index *ix = v->index;

    ASSERT(atomic_load_explicit(&v->refs, memory_order_relaxed) == 0); /* V1 */
    ASSERT(v->garbage.n == 0);
    ASSERT(v->state.store == NULL);
    ASSERT(ix->views > 0);
    if (--ix->views == 0 && ix != kv->index) /* V3 */
        list_push(&kv->ending, &ix->link);
    mem_free(v->garbage.v);
    list_remove(&v->link);
    mem_free(v);
}

/* A view that nobody can see any more goes: its part of the file at once, its garbage as far as
 * *budget reaches; what `older`, the next living view of the same index, can still see is handed
 * down to it.  NULL: there is none. */
static void view_end(struct mvcc *kv, struct mvcc_view *v, struct mvcc_view *older, size_t *budget)
{
    v->ending = true;
    if (v->state.store != NULL)
        store_view_release(kv->store, &v->store);
    v->state.store = NULL;
    for (; v->garbage.n > 0 && *budget > 0; --*budget) {
        uintptr_t piece = v->garbage.v[--v->garbage.n];

        if (older != NULL && garbage_visible(piece, older->epoch, older->state.revision))
            garbage_add(&older->garbage, (void *) (piece & ~(uintptr_t) 3),
                        (enum garbage_kind)(piece & 3));
        else
            index_free_piece(v->index, piece);
    }
    if (v->garbage.n == 0)
        view_free(kv, v);
}

/* Indexes that another one has taken the place of, and that no view shows any more. */
static void indexes_end(struct mvcc *kv, size_t *budget)
{
    LIST_EACH_SAFE (it, &kv->ending) {
        struct index *ix = CONTAINER_OF(it, struct index, link);

        ASSERT(ix->views == 0);
        if (!index_done_step(ix, budget))
            return;
        list_remove(it);
        mem_free(ix);
    }
}

static void view_publish(struct mvcc *kv)
{
    struct mvcc_view *v = xmem_calloc(1, sizeof *v);

    ASSERT(kv->revision >= kv->published_revision);
    v->index = kv->index;
    v->index->views++;
    v->epoch = kv->index->epoch;
    store_view_take(kv->store, &v->store);
    v->state = (struct kv_state){kv->index->root, &v->store, kv->revision, kv->compact_revision};
    v->hashes = kv->hashes;
    list_push(&kv->views, &v->link);
    atomic_store_explicit(&kv->newest, v, memory_order_seq_cst);
    kv->index->epoch++; /* I2: nothing made so far may change any more */
    kv->published_revision = kv->revision;
    kv->dirty = false;
}

static bool slot_names(struct mvcc *kv, const struct mvcc_view *v)
{
    uint32_t n = atomic_load_explicit(&kv->readers_n, memory_order_seq_cst);

    for (uint32_t i = 0; i < n; i++)
        if (atomic_load_explicit(&kv->readers[i].slot, memory_order_seq_cst) == v)
            return true;
    return false;
}

/* One that was found dead once stays it: no reader's slot that names it can be confirmed. */
static bool view_is_dead(struct mvcc *kv, struct mvcc_view *v)
{
    if (v->ending)
        return true;
    if (v == atomic_load_explicit(&kv->newest, memory_order_relaxed) || slot_names(kv, v))
        return false;
    return atomic_load_explicit(&v->refs, memory_order_seq_cst) == 0;
}

/* Frees up to `budget` pieces, so that what a long reader or a compaction has kept, or a whole
 * index, does not hold up the writes of a turn. */
static void views_reclaim(struct mvcc *kv, size_t budget)
{
    struct mvcc_view *older = NULL, *oldest = NULL;
    uint64_t views = 0;

    LIST_EACH_SAFE (it, &kv->views) {
        struct mvcc_view *v = CONTAINER_OF(it, struct mvcc_view, link);

        if (view_is_dead(kv, v)) {
            /* V2, V3 */
            ASSERT(older == NULL || older->epoch <= v->epoch || older->index != v->index);
            view_end(kv, v, older != NULL && older->index == v->index ? older : NULL, &budget);
            continue;
        }
        older = v;
        oldest = oldest == NULL ? v : oldest;
        views++;
    }
    ASSERT(views > 0);
    indexes_end(kv, &budget);
    kv->reclaiming = budget == 0;
    atomic_store_explicit(&kv->stat_views, views, memory_order_relaxed);
    atomic_store_explicit(&kv->stat_oldest, oldest->state.revision, memory_order_relaxed);
    atomic_store_explicit(&kv->stat_index_bytes, kv->index->bytes, memory_order_relaxed);
}

static bool newest_is_current(struct mvcc *kv, const struct mvcc_view *v)
{
    return !kv->dirty && v->state.root == kv->index->root && v->state.revision == kv->revision &&
           kv->index->garbage.n == 0 && store_view_is_newest(kv->store, &v->store);
}

void mvcc_publish(struct mvcc *kv)
{
    struct mvcc_view *before = atomic_load_explicit(&kv->newest, memory_order_relaxed);
    size_t added = kv->index->garbage.n;

    ASSERT(!kv->txn.active);
    if (!newest_is_current(kv, before)) {
        ASSERT(before->garbage.n == 0); /* V2: it was the newest */
        if (before->index == kv->index) {
            mem_free(before->garbage.v);
            before->garbage = kv->index->garbage;
            kv->index->garbage = (struct garbage){0};
        }
        ASSERT(kv->index->garbage.n == 0);
        view_publish(kv);
    }
    arena_reset(&kv->event_arena);
    views_reclaim(kv, MVCC_RECLAIM_STEP + 2 * added); /* more than comes to it */
}

bool mvcc_reclaiming(const struct mvcc *kv)
{
    return kv->reclaiming;
}

/* What was taken out of it since the last publish goes with it. */
void mvcc__index_retire(struct mvcc *kv)
{
    struct mvcc_view *newest = atomic_load_explicit(&kv->newest, memory_order_relaxed);

    ASSERT(newest->index == kv->index);
    ASSERT(newest->index->views > 0);
    kv->index = NULL;
}

/* Stands in the list right before the newest, whose index it shares: older than what changes next.
 */
struct mvcc_view *mvcc__index_view_new(struct mvcc *kv)
{
    struct mvcc_view *v = xmem_calloc(1, sizeof *v);
    struct mvcc_view *newest;

    mvcc_publish(kv);
    newest = atomic_load_explicit(&kv->newest, memory_order_relaxed);
    ASSERT(newest->garbage.n == 0); /* V2 */
    v->index = newest->index;
    v->index->views++;
    v->epoch = newest->epoch;
    v->state = newest->state;
    v->state.store = NULL;
    atomic_init(&v->refs, 1);
    list_insert_before(&newest->link, &v->link);
    return v;
}

void mvcc__views_init(struct mvcc *kv)
{
    ASSERT(list_empty(&kv->views));
    view_publish(kv);
    views_reclaim(kv, MVCC_RECLAIM_STEP);
}

void mvcc__views_done(struct mvcc *kv)
{
    size_t all = SIZE_MAX;

    while (!list_empty(&kv->views)) {
        struct mvcc_view *v = CONTAINER_OF(kv->views.next, struct mvcc_view, link);

        ASSERT(atomic_load(&v->refs) == 0);
        view_end(kv, v, NULL, &all);
    }
    indexes_end(kv, &all);
    ASSERT(list_empty(&kv->ending));
}

bool mvcc_idle(struct mvcc *kv)
{
    LIST_EACH (it, &kv->views) {
        struct mvcc_view *v = CONTAINER_OF(it, struct mvcc_view, link);

        if (slot_names(kv, v) || atomic_load_explicit(&v->refs, memory_order_seq_cst) != 0)
            return false;
    }
    return true;
}

struct mvcc_reader *mvcc_reader_new(struct mvcc *kv)
{
    for (uint32_t i = 0; i < MVCC_READERS_MAX; i++) {
        struct mvcc_reader *r = &kv->readers[i];
        uint32_t n = atomic_load(&kv->readers_n);
        bool unused = false;

        if (!atomic_compare_exchange_strong(&r->used, &unused, true))
            continue;
        r->kv = kv;
        while (n < i + 1 && !atomic_compare_exchange_weak(&kv->readers_n, &n, i + 1))
            ;
        return r;
    }
    return NULL;
}

void mvcc_reader_free(struct mvcc_reader *r)
{
    if (r == NULL)
        return;
    ASSERT(atomic_load(&r->slot) == NULL);
    atomic_store(&r->used, false);
}

const struct mvcc_view *mvcc_view_pin(struct mvcc_reader *r)
{
    struct mvcc_view *v = atomic_load_explicit(&r->kv->newest, memory_order_acquire);

    ASSERT(atomic_load_explicit(&r->used, memory_order_relaxed));
    for (;;) {
        struct mvcc_view *now;

        atomic_store_explicit(&r->slot, v, memory_order_seq_cst);
        now = atomic_load_explicit(&r->kv->newest, memory_order_seq_cst);
        if (now == v)
            break;
        v = now;
    }
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_seq_cst);
    atomic_store_explicit(&r->slot, NULL, memory_order_release);
    return v;
}

/* The count is not part of what a view shows. */
static struct mvcc_view *counted(const struct mvcc_view *v)
{
    return (struct mvcc_view *) (uintptr_t) v;
}

const struct mvcc_view *mvcc_view_ref(const struct mvcc_view *v)
{
    uint32_t before = atomic_fetch_add_explicit(&counted(v)->refs, 1, memory_order_relaxed);

    ASSERT(before > 0);
    return v;
}

void mvcc_view_unpin(const struct mvcc_view *v)
{
    uint32_t before;

    if (v == NULL)
        return;
    before = atomic_fetch_sub_explicit(&counted(v)->refs, 1, memory_order_release);
    ASSERT(before > 0);
}

int64_t mvcc_view_revision(const struct mvcc_view *v)
{
    return v->state.revision;
}

int64_t mvcc_view_compact_revision(const struct mvcc_view *v)
{
    return v->state.compact_revision;
}

const struct store_view *mvcc_view_store(const struct mvcc_view *v)
{
    return &v->store;
}

uint64_t mvcc_view_keys(const struct mvcc_view *v)
{
    return v->state.root->live;
}

size_t mvcc_view_compact_hashes(const struct mvcc_view *v,
                                struct mvcc_hash_result ret[MVCC_COMPACT_HASHES])
{
    memcpy(ret, v->hashes.v, v->hashes.n * sizeof ret[0]);
    return v->hashes.n;
}

void mvcc_stats(const struct mvcc *kv, struct mvcc_stats *ret)
{
    ret->views = atomic_load_explicit(&kv->stat_views, memory_order_relaxed);
    ret->oldest_revision = atomic_load_explicit(&kv->stat_oldest, memory_order_relaxed);
    ret->index_bytes = atomic_load_explicit(&kv->stat_index_bytes, memory_order_relaxed);
}

bool mvcc_view_get(const struct mvcc_view *v, struct bytes key, int64_t revision,
                   struct bytes *ret_kv)
{
    const struct key_entry *e = index_get(v->state.root, key);
    struct key_revision r;

    ASSERT(revision <= v->state.revision);
    ASSERT(revision >= v->state.compact_revision);
    if (e == NULL || !entry_at(e, revision, &r))
        return false;
    *ret_kv = state_value(&v->state, r.main, key_revision_sub(r));
    return true;
}
