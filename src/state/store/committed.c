/* committed.c -- snapshots of what is in the file, which views share: made after each commit, ended
 * when nobody reads them any more.  Store thread, store__snapshot_drop apart. */
#include "state/store/store_int.h"

static void note_oldest(struct store *s)
{
    int64_t since = 0;

    if (!list_empty(&s->snapshots))
        since = CONTAINER_OF(s->snapshots.next, struct store_snapshot, link)->superseded_ns;
    atomic_store_explicit(&s->held_since_ns, since, memory_order_relaxed);
}

/* A snapshot of the same commit is as new as the one before. */
static void supersede(struct store *s, struct store_snapshot *sn)
{
    int64_t now = s->cfg.clock == NULL ? 1 : MAX(clock_mono_ns(s->cfg.clock), 1);

    for (struct list *it = s->snapshots.prev; it != &s->snapshots; it = it->prev) {
        struct store_snapshot *old = CONTAINER_OF(it, struct store_snapshot, link);

        if (old->superseded_ns != 0 || bolt_txid(old->tx) == bolt_txid(sn->tx))
            break;
        old->superseded_ns = now;
    }
    list_push(&s->snapshots, &sn->link);
    note_oldest(s);
}

int store__snapshot_new(struct store *s, struct store_snapshot **ret, struct err *e)
{
    struct store_snapshot *sn = xmem_calloc(1, sizeof *sn);
    int rc = bolt_begin_read(s->file->db, &sn->tx, e);

    if (rc == 0)
        rc = bolt_bucket_get(sn->tx, store_bucket_name(STORE_KEY), &sn->key_bucket, e);
    if (rc == ERR_NOT_FOUND)
        rc = err_set(e, ERR_STORE_NO_BUCKET, "the data file has no bucket key");
    if (rc != 0) {
        bolt_rollback(sn->tx);
        mem_free(sn);
        return rc;
    }
    ASSERT(s->file != NULL);
    sn->store = s;
    sn->file = s->file;
    atomic_fetch_add_explicit(&s->file->refs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->snapshots_open, 1, memory_order_relaxed);
    sn->batch_seq = s->committed_seq;
    supersede(s, sn);
    *ret = sn;
    return 0;
}

void store__snapshot_end(struct store_snapshot *sn)
{
    struct store *s = sn->store;

    ASSERT(atomic_load_explicit(&s->snapshots_open, memory_order_relaxed) > 0);
    list_remove(&sn->link);
    note_oldest(s);
    bolt_rollback(sn->tx);
    store__file_unref(s, sn->file);
    mem_free(sn);
    atomic_fetch_sub_explicit(&s->snapshots_open, 1, memory_order_relaxed);
}

void store__snapshot_drop(struct store_snapshot *sn)
{
    mpsc_push(&sn->store->dead, &sn->dead_link);
}

void store__reap(struct store *s)
{
    struct mpsc_node *n = mpsc_take(&s->dead);

    while (n != NULL) {
        struct mpsc_node *next = n->next;

        store__snapshot_end(CONTAINER_OF(n, struct store_snapshot, dead_link));
        n = next;
    }
}

void store__note_sizes(struct store *s)
{
    struct bolt_stats st;

    bolt_get_stats(s->file->db, &st);
    atomic_store_explicit(&s->db_size, st.size_bytes, memory_order_relaxed);
    atomic_store_explicit(&s->db_size_in_use, st.in_use_bytes, memory_order_relaxed);
    atomic_store_explicit(&s->low_on_space, st.low_on_space, memory_order_relaxed);
    atomic_store_explicit(&s->held_bytes, st.pending_pages * st.page_bytes, memory_order_relaxed);
}

int store__committed(struct store *s, struct err *e)
{
    struct store_snapshot *sn, *unseen;
    int rc = store__snapshot_new(s, &sn, e);

    if (rc != 0)
        return rc;
    store__note_sizes(s);
    unseen = atomic_exchange_explicit(&s->fresh, sn, memory_order_acq_rel);
    ASSERT(unseen == NULL || unseen->batch_seq <= sn->batch_seq); /* S2 */
    if (unseen != NULL) /* apply did not come by since the last commit */
        store__snapshot_end(unseen);
    return 0;
}
