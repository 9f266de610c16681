/* replace.c -- another file in the place of this one, under the eyes of readers.
 *
 * The store thread opens it, the apply thread takes it over; `replacement` lies between them, and
 * not in `fresh`, for apply adopts what is fresh whenever it takes a view.
 *
 * The old file lives with its last snapshot, here and after a defragmentation.  Its room goes back
 * to the disk in pieces then, for it may be gigabytes. */
#include "state/store/store_int.h"

/* ---- files without a name ---- */

struct gone {
    struct list link;
    struct file *file;
};

void store__file_retire(struct store *s, struct store_file *f)
{
    ASSERT(!f->replaced);
    f->replaced = true;
    store__file_unref(s, f); /* closed with the last snapshot of it */
}

void store__gone_add(struct store *s, struct file *f)
{
    struct gone *g = xmem_calloc(1, sizeof *g);

    g->file = f;
    list_push(&s->gone, &g->link);
}

static void gone_close(struct gone *g)
{
    list_remove(&g->link);
    file_close(g->file);
    mem_free(g);
}

void store__gone_close(struct store *s)
{
    LIST_EACH_SAFE (it, &s->gone)
        gone_close(CONTAINER_OF(it, struct gone, link));
}

bool store_shed(struct store *s, uint64_t bytes)
{
    struct gone *g;

    if (list_empty(&s->gone))
        return false;
    g = CONTAINER_OF(s->gone.next, struct gone, link);
    if (!file_shed(g->file, bytes))
        gone_close(g);
    return !list_empty(&s->gone);
}

/* ---- another file ---- */

/* Batches that are sealed and not committed: apply still has them in its list. */
static void forget_sealed(struct store *s)
{
    struct mpsc_node *n = mpsc_take(&s->sealed);

    for (; n != NULL; n = n->next)
        s->committed_seq = CONTAINER_OF(n, struct store_batch, sealed_link)->seq;
    if (s->waiting_last != NULL)
        s->committed_seq = MAX(s->committed_seq,
                               CONTAINER_OF(s->waiting_last, struct store_batch, sealed_link)->seq);
    s->waiting = s->waiting_last = NULL;
    s->removals.n = 0;
    s->removals.kept_bytes = 0;
}

int store_replace(struct store *s, struct err *e)
{
    struct store_file *old = s->file, *f;
    struct store_snapshot *unseen;
    int rc;

    ASSERT(s->defrag == NULL);
    ASSERT(s->replacement == NULL);
    rc = store__file_open(s, s->path, false, &f, e);
    if (rc != 0)
        return err_wrap(e, rc, "open data file %s", s->path);
    store__reap(s);
    forget_sealed(s);
    unseen = atomic_exchange_explicit(&s->fresh, NULL, memory_order_acq_rel);
    if (unseen != NULL)
        store__snapshot_end(unseen);
    s->file = f;
    store__file_retire(s, old);
    rc = store__ensure_buckets(s, e);
    if (rc == 0)
        rc = store__snapshot_new(s, &s->replacement, e);
    if (rc == 0)
        store__note_sizes(s);
    return err_wrap(e, rc, "open data file %s", s->path);
}

void store_replacement_view(const struct store *s, struct store_view *ret)
{
    ASSERT(s->replacement != NULL);
    *ret = (struct store_view){.snapshot = s->replacement};
}

static void drop_batches(struct store *s)
{
    struct list *l;

    while ((l = list_pop(&s->batches)) != NULL)
        batch_unref(CONTAINER_OF(l, struct store_batch, link));
    s->batches_n = 0;
    batch_unref(s->open);
    s->open = batch_new();
    atomic_store(&s->written_bytes, atomic_load(&s->committed_bytes));
}

int store_take_over(struct store *s, struct err *e)
{
    struct store_snapshot *sn = s->replacement;

    ASSERT(sn != NULL);
    ASSERT(sn->refs == 0);
    s->replacement = NULL;
    sn->refs = 1;
    if (--s->snapshot->refs == 0)
        store__snapshot_drop(s->snapshot);
    s->snapshot = sn;
    drop_batches(s);
    s->last_main = -1;
    s->last_sub = 0;
    return err_wrap(e, store__load_ends(s, e), "open data file %s", s->path);
}

int store_peek_applied(struct disk *d, const char *path, uint64_t *ret_index, uint64_t *ret_term,
                       struct err *e)
{
    struct store_config cfg = {.disk = d, .path = path, .read_only = true};
    struct store *s;
    int rc = store_open(&cfg, &s, e);

    if (rc != 0)
        return rc;
    *ret_index = store_applied_index(s);
    *ret_term = store_applied_term(s);
    store_close(s);
    return 0;
}
