/* compact.c -- forgetting old revisions: at once for readers, then in the index, then in the file.
 *
 *   accept (apply)     compact_revision = R; scheduledCompactRev = R in the open batch
 *   index (apply)      entries are trimmed key by key, a few at a time, from the first key on
 *   file (store)       after the batch with scheduledCompactRev is committed: records at or below R
 * that no key keeps are removed in small transactions; finishedCompactRev = R with the last
 *
 * What a job keeps comes from the index of a view that it pins when it is taken; until then the
 * index is not trimmed for a later one, which may keep less: several may have been accepted in a
 * row, as when a log is replayed, and what each removes and hashes must be the same on all members.
 * Readers of older views hold older snapshots of the file and go on seeing everything. */
#include "state/mvcc/hash_int.h"

#define COLLECT_KEYS_PER_RECORD 64 /* a key looked at costs that much less than a record */

struct mvcc_compaction {
    struct list link; /* in mvcc.compactions until it is taken */
    struct mvcc *kv;
    struct mvcc_view *view; /* of the index only: no page of the file is kept for it */
    int64_t revision;
    bool hash_wanted; /* the compaction before had finished */
    struct store_compact step;
    struct keep_set keep;
    struct kv_hash hash;
};

/* From the first key on, also when an older compaction was on its way. */
static void trim_index_to(struct mvcc *kv, int64_t revision)
{
    kv->index_compacting = true;
    kv->index_compact_to = revision;
    kv->cursor_key_n = 0;
}

void mvcc__compact_accept(struct mvcc *kv, int64_t revision)
{
    struct mvcc_compaction *c = xmem_calloc(1, sizeof *c);
    uint8_t key[STORE_REV_KEY_BYTES_MAX];

    ASSERT(revision > kv->compact_revision);
    ASSERT(revision <= kv->revision);
    c->kv = kv;
    c->revision = revision;
    c->hash_wanted = kv->scheduled_compact == kv->finished_compact;
    kv_hash_init(&c->hash, revision, kv->compact_revision);
    list_push(&kv->compactions, &c->link);
    kv->compact_revision = kv->scheduled_compact = revision;
    store_put(kv->store, STORE_META, BYTES_LIT(STORE_META_SCHEDULED_COMPACT),
              bytes_of(key, store_rev_key_put(key, revision, 0, false)));
    if (kv->compactions.next == &c->link)
        trim_index_to(kv, revision);
    kv->dirty = true;
}

int mvcc_compact(struct mvcc *kv, int64_t revision)
{
    ASSERT(!kv->txn.active);
    ASSERT(kv->scheduled_compact <= kv->compact_revision || kv->compact_revision < 0);
    if (revision <= kv->compact_revision)
        return ERR_MVCC_COMPACTED;
    if (revision > kv->revision)
        return ERR_MVCC_FUTURE_REV;
    mvcc__compact_accept(kv, revision);
    return 0;
}

/* ---- the index ---- */

bool mvcc_compact_index_pending(const struct mvcc *kv)
{
    return kv->index_compacting;
}

/* A copy of the entry without its first `from` revisions. */
static struct key_entry *trimmed(struct mvcc *kv, const struct key_entry *e, uint32_t from)
{
    const struct key_past *was = entry_past_const(e);
    uint32_t left = e->history_n - from;
    bool past = left > 0 || was->create_main != e->mod_main || was->version != 1;
    struct key_entry *n = entry_new(kv->index, entry_key(e), past);

    ASSERT(from > 0);
    ASSERT(from <= e->history_n);
    n->mod_main = e->mod_main;
    n->mod_sub_tombstone = e->mod_sub_tombstone;
    n->value_bytes = e->value_bytes;
    entry_set_leased(n, entry_has_lease(e));
    n->history_n = left;
    if (past)
        *entry_past(n) = (struct key_past){.create_main = was->create_main,
                                           .version = was->version};
    if (left > 0) {
        struct key_history *h = history_new(kv->index, left);

        memcpy(h->v, was->history->v + from, left * sizeof h->v[0]);
        entry_past(n)->history = h;
    }
    return n;
}

/* Entries that are to change are collected first: the tree changes under the cursor. */
static void compact_entry(struct mvcc *kv, struct key_entry *e)
{
    uint32_t from = entry_compact_from(e, kv->index_compact_to);
    struct index_path path;
    const struct key_entry *found = index_find(kv->index, entry_key(e), &path);

    ASSERT(from > 0);
    ASSERT(found == e);
    if (from > e->history_n)
        index_remove(kv->index, &path);
    else
        index_set(kv->index, &path, trimmed(kv, e, from));
    if (entry_history(e) != NULL)
        garbage_add(&kv->index->garbage, entry_history(e), GARBAGE_HISTORY);
    garbage_add(&kv->index->garbage, e, GARBAGE_ENTRY);
}

static void remember_key(struct mvcc *kv, struct bytes key)
{
    kv->cursor_key = xmem_realloc(kv->cursor_key, key.n + 1);
    kv->cursor_key_n = key.n;
    if (key.n != 0)
        memcpy(kv->cursor_key, key.p, key.n);
}

static void scratch_room(struct mvcc *kv, size_t n)
{
    if (kv->scratch_cap >= n)
        return;
    kv->scratch_cap = n;
    kv->scratch = xmem_realloc(kv->scratch, n * sizeof *kv->scratch);
}

bool mvcc_compact_index_step(struct mvcc *kv, size_t max_keys)
{
    struct index_cursor c;
    size_t changes = 0, revisions = 0;

    if (!kv->index_compacting)
        return false;
    ASSERT(!kv->txn.active);
    scratch_room(kv, max_keys);
    index_seek(&c, kv->index->root, bytes_of(kv->cursor_key, kv->cursor_key_n), false);
    for (size_t i = 0; i < max_keys && revisions < MVCC_INDEX_STEP_REVISIONS; i++) {
        struct key_entry *e = index_cursor_entry(&c);
        uint32_t from;

        if (e == NULL)
            break;
        from = entry_compact_from(e, kv->index_compact_to);
        if (from > 0) {
            revisions += e->history_n - MIN(from, e->history_n);
            kv->scratch[changes++] = e;
        }
        index_cursor_next(&c);
    }
    kv->index_compacting = index_cursor_entry(&c) != NULL;
    if (kv->index_compacting)
        remember_key(kv, entry_key(index_cursor_entry(&c)));
    for (size_t i = 0; i < changes; i++)
        compact_entry(kv, kv->scratch[i]);
    return kv->index_compacting;
}

/* ---- the file ---- */

static enum store_keep decide(void *ctx, const struct store_record *r)
{
    struct mvcc_compaction *c = ctx;
    struct revision at = {r->main, r->sub};
    bool kept;

    ASSERT(r->main <= c->revision);
    if (!keep_set_covers(&c->keep, at)) {
        keep_set_restart(&c->keep, at);
        return STORE_STOP;
    }
    kept = keep_set_has(&c->keep, at);
    /* An empty keep set means to etcd's hash that there is none. */
    if (c->hash_wanted)
        kv_hash_record(&c->hash, r, kept || !c->keep.any);
    return kept ? STORE_KEEP : STORE_REMOVE;
}

struct mvcc_compaction *mvcc_compaction_take(struct mvcc *kv)
{
    struct list *l = list_pop(&kv->compactions);
    struct mvcc_compaction *c;

    if (l == NULL)
        return NULL;
    c = CONTAINER_OF(l, struct mvcc_compaction, link);
    ASSERT(c->view == NULL);
    ASSERT(c->revision <= kv->compact_revision);
    c->view = mvcc__index_view_new(kv);
    if (!list_empty(&kv->compactions))
        trim_index_to(kv,
                      CONTAINER_OF(kv->compactions.next, struct mvcc_compaction, link)->revision);
    c->step = (struct store_compact){.main_max = c->revision, .decide = decide, .ctx = c};
    keep_set_init(&c->keep, c->view->state.root, c->revision, KEEP_COMPACT);
    return c;
}

int mvcc_compaction_step(struct mvcc_compaction *c, size_t records, bool *ret_done, struct err *e)
{
    bool no_memory = false;

    ASSERT(records > 0);
    ASSERT(c->view != NULL); /* taken */
    *ret_done = false;
    if (c->keep.walking) {
        keep_set_collect(&c->keep, records * COLLECT_KEYS_PER_RECORD, &no_memory);
        return no_memory ? err_set(e, ERR_NOMEM, "compact at revision %" PRId64 ": out of memory",
                                   c->revision)
                         : 0;
    }
    c->step.records = records;
    return store_compact_step(c->kv->store, &c->step, ret_done, e);
}

static void keep_hash(struct mvcc *kv, const struct mvcc_compaction *c)
{
    struct compact_hashes *h = &kv->hashes;

    if (h->n == MVCC_COMPACT_HASHES) {
        memmove(h->v, h->v + 1, (h->n - 1) * sizeof h->v[0]);
        h->n--;
    }
    ASSERT(h->n < MVCC_COMPACT_HASHES);
    ASSERT(h->n == 0 || h->v[h->n - 1].hash_revision < c->revision);
    h->v[h->n++] = (struct mvcc_hash_result){
        .hash = c->hash.crc, .compact_revision = c->hash.compact, .hash_revision = c->revision};
}

void mvcc_compaction_end(struct mvcc *kv, struct mvcc_compaction *c, bool done)
{
    if (c == NULL)
        return;
    if (done) {
        ASSERT(c->revision > kv->finished_compact);
        kv->finished_compact = c->revision;
        if (c->hash_wanted)
            keep_hash(kv, c);
        kv->dirty = true;
    }
    keep_set_done(&c->keep);
    mvcc_view_unpin(c->view);
    mem_free(c);
}

void mvcc__compactions_done(struct mvcc *kv)
{
    struct list *l;

    while ((l = list_pop(&kv->compactions)) != NULL)
        mem_free(CONTAINER_OF(l, struct mvcc_compaction, link));
}

void mvcc_compaction_info(const struct mvcc_compaction *c, struct mvcc_compaction_info *ret)
{
    *ret = (struct mvcc_compaction_info){.revision = c->revision,
                                         .records_scanned = c->step.scanned,
                                         .records_removed = c->step.removed,
                                         .hash = c->hash.crc};
}
