/* restore.c -- the index from a file: at start, and when a snapshot takes the file's place.
 *
 * Records come in order of revision, so a hash table finds the entry of each key; in the end the
 * entries are sorted and the tree is built from them (restore_sort.c).
 *
 *     slots   [ hash, number ]   open addressing; a table of a million keys takes 16 MB
 *     items   [ entry, lease ]   in the order in which keys first came
 *
 * A look into the table misses the cache, so records are taken a few at a time and their places
 * in the table are asked for before the first is looked at. */
#include "state/mvcc/restore_int.h"

#include "base/crc32c.h"

#define SLOTS_MIN 1024
#define ITEMS_MIN 512
#define AHEAD 16 /* records whose places are asked for at once */

struct slot {
    uint32_t hash;
    uint32_t number; /* of the item, from 1; 0: empty */
};

struct ahead {
    struct store_record record;
    struct kv_fields fields;
    uint32_t hash;
};

struct restore {
    struct index *index;
    const struct store_view *view;
    struct slot *slots;
    size_t cap; /* a power of two */
    struct restore_item *items;
    size_t items_cap;
    size_t count;
    int64_t last_main;
    struct ahead ahead[AHEAD];
    size_t ahead_n;
};

static uint32_t hash_of(struct bytes key)
{
    /* Distribution only: the result never depends on it. */
    return crc32c(0, key.p, key.n) * UINT32_C(2654435761);
}

static struct slot *slot_of(struct restore *t, struct bytes key, uint32_t hash)
{
    size_t i = hash & (t->cap - 1);

    ASSERT(t->count < t->cap);
    while (t->slots[i].number != 0 &&
           (t->slots[i].hash != hash ||
            !bytes_eq(entry_key(t->items[t->slots[i].number - 1].entry), key)))
        i = (i + 1) & (t->cap - 1);
    return &t->slots[i];
}

static void slots_grow(struct restore *t)
{
    struct slot *old = t->slots;
    size_t n = t->cap;

    t->cap = n == 0 ? SLOTS_MIN : n * 2;
    t->slots = xmem_calloc(t->cap, sizeof *t->slots);
    for (size_t i = 0; i < n; i++) {
        size_t at = old[i].hash & (t->cap - 1);

        if (old[i].number == 0)
            continue;
        while (t->slots[at].number != 0)
            at = (at + 1) & (t->cap - 1);
        t->slots[at] = old[i];
    }
    mem_free(old);
}

static struct restore_item *item_of(struct restore *t, struct bytes key, uint32_t hash)
{
    struct slot *s = slot_of(t, key, hash);

    if (s->number != 0)
        return &t->items[s->number - 1];
    if (t->count == t->items_cap) {
        t->items_cap = MAX((size_t) ITEMS_MIN, t->items_cap * 2);
        t->items = xmem_realloc(t->items, t->items_cap * sizeof *t->items);
    }
    ASSERT(t->count < UINT32_MAX);
    t->items[t->count] = (struct restore_item){entry_new(t->index, key, false), 0};
    *s = (struct slot){hash, (uint32_t) ++t->count};
    return &t->items[t->count - 1];
}

/* The newest revision of an entry that nobody sees yet becomes the last of its history. */
static void push_history(struct index *ix, struct key_entry *e)
{
    struct key_history *h = entry_history(e), *before = h;

    if (h == NULL || e->history_n == h->cap) {
        h = history_new(ix, h == NULL ? 2 : h->cap * 2);
        if (before != NULL) {
            memcpy(h->v, before->v, e->history_n * sizeof h->v[0]);
            index_free_piece(ix, (uintptr_t) before | GARBAGE_HISTORY);
        }
        entry_past(e)->history = h;
    }
    ASSERT(e->history_n < h->cap);
    h->v[e->history_n] = entry_revision(e, e->history_n);
    e->history_n++;
}

/* The entry with room for a past: another one when it had none. */
static struct key_entry *with_past(struct index *ix, struct key_entry *e)
{
    struct key_entry *n;

    if (entry_has_past(e))
        return e;
    n = entry_new(ix, entry_key(e), true);
    n->mod_main = e->mod_main;
    n->mod_sub_tombstone = e->mod_sub_tombstone;
    n->value_bytes = e->value_bytes;
    index__entry_free(ix, e);
    return n;
}

/* One more revision of a key, newer than all before. */
static void take_revision(struct restore *t, struct restore_item *s, const struct store_record *r,
                          const struct kv_fields *f)
{
    struct key_entry *e = s->entry;
    bool first = e->mod_main == 0;

    ASSERT(r->main > e->mod_main || (r->main == e->mod_main && r->sub > entry_mod(e).sub)); /* I8 */
    if (!first && r->tombstone && !entry_is_live(e))
        return; /* deletes what is not there: etcd passes over it, too */
    if (!first || r->tombstone || f->create_main != r->main || f->version != 1)
        s->entry = e = with_past(t->index, e); /* I9 */
    if (!first)
        push_history(t->index, e);
    if (entry_has_past(e)) {
        entry_past(e)->create_main = r->tombstone ? 0 : f->create_main;
        entry_past(e)->version = r->tombstone ? 0 : f->version;
    }
    e->mod_main = r->main;
    e->mod_sub_tombstone = (uint32_t) r->sub << 1 | (uint32_t) r->tombstone;
    e->value_bytes = r->tombstone ? 0 : (uint32_t) r->value.n;
    s->lease = r->tombstone ? 0 : f->lease;
    entry_set_leased(e, s->lease != 0);
}

static int decode_record(struct restore *t, const struct store_record *r, struct err *e)
{
    struct ahead *a = &t->ahead[t->ahead_n];

    ASSERT(t->ahead_n < AHEAD);
    if (!kv_decode(r->value, &a->fields))
        return err_set(e, ERR_CORRUPT, "record %" PRId64 "_%" PRId64 " is not a KeyValue", r->main,
                       r->sub);
    if (r->main <= 0 || r->sub >= SUB_MAX || a->fields.key.n > KEY_BYTES_MAX)
        return err_set(e, ERR_CORRUPT, "record %" PRId64 "_%" PRId64 " cannot be", r->main, r->sub);
    ASSERT(r->main >= t->last_main);
    t->last_main = r->main;
    a->record = *r;
    a->hash = hash_of(a->fields.key);
    t->ahead_n++;
    return 0;
}

static void take_ahead(struct restore *t)
{
    while ((t->count + t->ahead_n) * 3 >= t->cap * 2)
        slots_grow(t);
    for (size_t i = 0; i < t->ahead_n; i++)
        __builtin_prefetch(&t->slots[t->ahead[i].hash & (t->cap - 1)]);
    for (size_t i = 0; i < t->ahead_n; i++) {
        const struct ahead *a = &t->ahead[i];

        take_revision(t, item_of(t, a->fields.key, a->hash), &a->record, &a->fields);
    }
    t->ahead_n = 0;
}

static int read_records(struct restore *t, struct err *e)
{
    void *mem = xmem_alloc(store_cursor_bytes());
    struct store_cursor *c = store_cursor_init(mem, t->view);
    struct store_record r;
    int rc = 0;

    store_cursor_seek(c, 0, 0);
    while (rc == 0 && store_cursor_next(c, &r)) {
        rc = decode_record(t, &r, e);
        if (t->ahead_n == AHEAD)
            take_ahead(t);
    }
    if (rc == 0)
        take_ahead(t);
    mem_free(mem);
    return rc;
}

/* ---- the whole ---- */

static int meta_revision(const struct store_view *view, const char *key, int64_t *ret,
                         struct err *e)
{
    struct bytes v;
    int64_t sub;
    bool tombstone;

    *ret = NEVER_COMPACTED;
    if (!store_view_meta(view, bytes_str(key), &v))
        return 0;
    if (!store_rev_key_get(v, ret, &sub, &tombstone))
        return err_set(e, ERR_CORRUPT, "meta/%s is not a revision", key);
    return 0;
}

static void forget(struct restore *t)
{
    for (size_t i = 0; i < t->count; i++)
        index__entry_free(t->index, t->items[i].entry);
}

int mvcc_load(const struct store_view *view, struct mvcc_loaded **ret, struct err *e)
{
    struct mvcc_loaded *l = xmem_calloc(1, sizeof *l);
    struct restore t = {.view = view};
    int rc = meta_revision(view, STORE_META_SCHEDULED_COMPACT, &l->scheduled, e);

    l->index = t.index = index_new();
    if (rc == 0)
        rc = meta_revision(view, STORE_META_FINISHED_COMPACT, &l->finished, e);
    if (rc == 0) {
        slots_grow(&t);
        rc = read_records(&t, e);
    }
    if (rc == 0) {
        restore__build(l, t.items, t.count);
        l->last_main = t.last_main;
    } else {
        forget(&t);
    }
    mem_free(t.slots);
    mem_free(t.items);
    if (rc != 0) {
        mvcc_loaded_free(l);
        return rc;
    }
    *ret = l;
    return 0;
}

void mvcc_loaded_free(struct mvcc_loaded *l)
{
    if (l == NULL)
        return;
    index_free(l->index);
    mem_free(l->leased);
    mem_free(l);
}

/* The key space is what was loaded; its index was free to be replaced. */
static void take_loaded(struct mvcc *kv, struct mvcc_loaded *l)
{
    const struct mvcc_hooks *h = &kv->hooks;

    kv->index = l->index;
    l->index = NULL;
    for (size_t i = 0; i < l->leased_n && h->lease_attach != NULL; i++)
        h->lease_attach(h->ctx, l->leased[i].lease, entry_key(l->leased[i].entry));
    kv->revision = MAX(kv->revision, MAX(l->last_main, MAX(l->finished, l->scheduled)));
    ASSERT(kv->revision >= l->last_main); /* K1 */
    kv->scheduled_compact = l->scheduled;
    kv->finished_compact = kv->compact_revision = l->finished;
    /* Broken off: resumed.  (Without `scheduled` in the sum above, revisions could go back: etcd
     * issue 17780.) */
    if (l->scheduled > l->finished)
        mvcc__compact_accept(kv, l->scheduled);
    mvcc_loaded_free(l);
}

int mvcc__restore(struct mvcc *kv, struct err *e)
{
    struct mvcc_loaded *l;
    struct store_view view;
    int rc;

    store_view_take(kv->store, &view);
    rc = mvcc_load(&view, &l, e);
    store_view_release(kv->store, &view);
    if (rc == 0)
        take_loaded(kv, l);
    return rc;
}

void mvcc_replace(struct mvcc *kv, struct mvcc_loaded *l)
{
    ASSERT(!kv->txn.active);
    mvcc__compactions_done(kv);
    kv->index_compacting = false;
    kv->hashes.n = 0; /* of compactions of the file that is no more */
    mvcc__index_retire(kv);
    kv->revision = FIRST_REVISION;
    take_loaded(kv, l);
    ASSERT(kv->revision >= kv->published_revision); /* K1 */
    kv->dirty = true;
}
