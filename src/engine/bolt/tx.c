/* tx.c -- beginning, committing and ending transactions.
 *
 * The order of a commit (bolt.md section 7); a power cut between any two steps leaves the state
 * before, because until the last step nothing that the old meta reaches has been touched:
 *
 *     rebalance and spill       memory only; every failure up to here is undone
 *     extend the file, fsync    a refused extension is undone too
 *     data pages, fdatasync
 *     meta page, fdatasync
 *     publish                   readers that begin from now on see it
 */
#include "base/alloc.h"
#include "engine/bolt/bolt_int.h"

/* Pieces given to one file_write. */
#define WRITE_PIECES_MAX 256

/* ---- pages ---------------------------------------------------------------------------------- */

int bolt__page(const struct bolt_tx *tx, uint64_t id, const uint8_t **ret, struct err *e)
{
    uint64_t at = id * tx->meta.page_bytes;
    uint64_t end = (tx->writer == NULL ? tx->meta.high_water : tx->writer->old_high_water) *
                   tx->meta.page_bytes;

    if (id < PAGE_FIRST_FREE || at / tx->meta.page_bytes != id || at >= end)
        return err_set(e, ERR_CORRUPT, "page %" PRIu64 " is outside the database", id);
    *ret = tx->map->base + at;
    if (tx->db->trusted)
        return 0;
    return page_validate(*ret, end - at, id, tx->meta.page_bytes, e);
}

int bolt__page_free(struct bolt_writer *w, uint64_t id, struct err *e)
{
    uint64_t pages = (uint64_t) page_overflow(w->tx.map->base + id * w->tx.meta.page_bytes) + 1;

    ASSERT(id >= PAGE_FIRST_FREE);
    ASSERT(id + pages <= w->old_high_water);
    if (freelist_free(&w->tx.db->freelist, w->tx.meta.txid, id, pages) != 0)
        return bolt__writer_fail(w, ERR_NOMEM, e);
    return 0;
}

static bool dirty_reserve(struct bolt_writer *w)
{
    size_t cap = w->dirty_cap == 0 ? 64 : w->dirty_cap * 2;
    struct bolt_dirty *more;

    if (w->dirty_count < w->dirty_cap)
        return true;
    more = mem_realloc(w->dirty, cap * sizeof *more);
    if (more == NULL)
        return false;
    w->dirty = more;
    w->dirty_cap = cap;
    return true;
}

int bolt__page_alloc(struct bolt_writer *w, uint64_t bytes, struct bolt_dirty *ret, struct err *e)
{
    uint32_t page_bytes = w->tx.meta.page_bytes;
    struct bolt_dirty d = {.pages = (bytes + page_bytes - 1) / page_bytes};
    struct freelist *f = &w->tx.db->freelist;

    ASSERT(d.pages > 0);
    ASSERT(d.pages - 1 <= UINT32_MAX);
    d.p = arena_alloc(&w->arena, d.pages * page_bytes);
    if (d.p == NULL || !dirty_reserve(w))
        return bolt__writer_fail(w, ERR_NOMEM, e);
    memset(d.p + bytes, 0, d.pages * page_bytes - bytes);
    d.id = freelist_alloc(f, d.pages);
    if (d.id == 0) {
        d.id = w->tx.meta.high_water;
        w->tx.meta.high_water += d.pages;
    }
    freelist_note(f, d.id, w->tx.meta.txid);
    w->dirty[w->dirty_count++] = d;
    *ret = d;
    return 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* A struct bolt_tx more; under the lock, which is rare: they are used again. */
static struct bolt_tx *reader_make(struct bolt_db *db)
{
    struct bolt_tx *tx = mem_calloc(1, sizeof *tx);

    if (tx != NULL)
        tx->db = db;
    return tx;
}

int bolt_begin_read(struct bolt_db *db, struct bolt_tx **ret, struct err *e)
{
    struct bolt_tx *tx = NULL;
    struct list *it;
    bool full;

    pthread_mutex_lock(&db->lock);
    full = db->reader_count == BOLT_READERS_MAX;
    it = full ? NULL : list_pop(&db->pool);
    if (it != NULL)
        tx = CONTAINER_OF(it, struct bolt_tx, link);
    else if (!full)
        tx = reader_make(db);
    if (tx != NULL) {
        tx->meta = db->meta;
        tx->map = db->map;
        tx->map->users++;
        list_push(&db->readers, &tx->link);
        db->reader_count++;
    }
    pthread_mutex_unlock(&db->lock);
    if (full)
        return err_set(e, ERR_LIMIT, "%u read transactions are open", BOLT_READERS_MAX);
    if (tx == NULL)
        return err_set(e, ERR_NOMEM, "out of memory for a transaction");
    *ret = tx;
    return 0;
}

static void reader_end(struct bolt_tx *tx)
{
    struct bolt_db *db = tx->db;
    struct bolt_map *unused;

    pthread_mutex_lock(&db->lock);
    ASSERT(db->reader_count > 0);
    unused = bolt__map_unuse(tx->map);
    tx->map = NULL;
    list_remove(&tx->link);
    list_push_front(&db->pool, &tx->link);
    db->reader_count--;
    pthread_mutex_unlock(&db->lock);
    bolt__map_close(unused);
}

/* ---- writing -------------------------------------------------------------------------------- */

/* Joins the last commit and lists the ids of the open readers, ascending, each once, into
 * w->reader_ids.  Returns how many there are; when there is no room for them it does nothing else.
 */
static size_t writer_join(struct bolt_writer *w, struct bolt_db *db)
{
    uint64_t last = 0;
    size_t n = 0;

    pthread_mutex_lock(&db->lock);
    LIST_EACH (it, &db->readers) {
        uint64_t id = CONTAINER_OF(it, struct bolt_tx, link)->meta.txid;

        ASSERT(last <= id);
        if (n > 0 && last == id)
            continue;
        if (n < w->reader_ids_cap)
            w->reader_ids[n] = id;
        last = id;
        n++;
    }
    if (n <= w->reader_ids_cap) {
        w->tx.meta = db->meta;
        w->tx.map = db->map;
        w->tx.map->users++;
    }
    pthread_mutex_unlock(&db->lock);
    return n;
}

/* writer_join with as much room as it takes.  ERR_NOMEM. */
static int writer_join_readers(struct bolt_writer *w, struct bolt_db *db, size_t *ret_n)
{
    size_t n;

    while ((n = writer_join(w, db)) > w->reader_ids_cap) {
        size_t cap = n * 2;
        uint64_t *ids = mem_realloc(w->reader_ids, cap * sizeof *ids);

        if (ids == NULL)
            return ERR_NOMEM;
        w->reader_ids = ids;
        w->reader_ids_cap = cap;
    }
    *ret_n = n;
    return 0;
}

static void writer_init(struct bolt_writer *w, struct bolt_db *db)
{
    w->tx.db = db;
    w->tx.writer = w;
    w->tx.meta.txid++;
    w->old_high_water = w->tx.meta.high_water;
    w->dirty_count = 0;
    w->failed = 0;
    arena_init(&w->arena, SIZE_MAX / 2);
    list_init(&w->buckets);
    w->root = (struct bolt_wbucket){
        .writer = w,
        .root = w->tx.meta.root,
        .sequence = w->tx.meta.sequence,
        .fill = 50,
    };
}

int bolt_begin_write(struct bolt_db *db, struct bolt_tx **ret, struct err *e)
{
    struct bolt_writer *w = &db->writer;
    size_t n = 0;
    int rc = 0;

    if (db->opt.read_only)
        return err_set(e, ERR_PERMISSION, "the database is open for reading only");
    if (atomic_exchange(&db->writing, true))
        return err_set(e, ERR_AGAIN, "a write transaction is open");
    if (db->poisoned)
        rc = err_set(e, ERR_CLOSED, "a commit failed before");
    else if (writer_join_readers(w, db, &n) != 0)
        rc = err_set(e, ERR_NOMEM, "out of memory for a write transaction");
    if (rc != 0) {
        atomic_store(&db->writing, false);
        return rc;
    }
    /* A reader that begins from now on sees the last commit, none of whose pages is pending. */
    freelist_release(&db->freelist, w->reader_ids, n);
    writer_init(w, db);
    *ret = &w->tx;
    return 0;
}

int bolt__writer_fail(struct bolt_writer *w, int rc, struct err *e)
{
    ASSERT(rc != 0);
    if (w->failed == 0)
        w->failed = rc;
    if (rc == ERR_NOMEM)
        return err_set(e, rc, "out of memory in a write transaction");
    return rc;
}

void bolt__writer_end(struct bolt_writer *w)
{
    struct bolt_db *db = w->tx.db;
    struct bolt_map *unused;

    pthread_mutex_lock(&db->lock);
    unused = bolt__map_unuse(w->tx.map);
    pthread_mutex_unlock(&db->lock);
    bolt__map_close(unused);
    arena_done(&w->arena);
    w->tx.map = NULL;
    atomic_store(&db->writing, false);
}

void bolt__writer_rollback(struct bolt_writer *w)
{
    struct freelist *f = &w->tx.db->freelist;

    for (size_t i = 0; i < w->dirty_count; i++) {
        if (w->dirty[i].id < w->old_high_water)
            freelist_give_back(f, w->dirty[i].id, w->dirty[i].pages);
    }
    freelist_rollback(f, w->tx.meta.txid);
    bolt__writer_end(w);
}

void bolt_rollback(struct bolt_tx *tx)
{
    if (tx == NULL)
        return;
    ASSERT(tx->map != NULL); /* not ended before */
    if (tx->writer != NULL)
        bolt__writer_rollback(tx->writer);
    else
        reader_end(tx);
}

/* ---- commit --------------------------------------------------------------------------------- */

/* Memory only: all that can still be undone. */
static int commit_prepare(struct bolt_writer *w, struct err *e)
{
    struct meta *m = &w->tx.meta;
    int rc = w->failed;

    if (rc != 0)
        return err_set(e, rc, "the transaction failed before");
    rc = bolt__spill(w, e);
    if (rc == 0 && m->freelist != META_NO_FREELIST) {
        rc = bolt__page_free(w, m->freelist, e);
        m->freelist = META_NO_FREELIST;
    }
    if (rc == 0 && freelist_reserve(&w->tx.db->freelist, m->high_water) != 0)
        rc = bolt__writer_fail(w, ERR_NOMEM, e);
    if (rc == 0 && (w->meta_page = arena_alloc(&w->arena, m->page_bytes)) == NULL)
        rc = bolt__writer_fail(w, ERR_NOMEM, e);
    if (rc == 0)
        meta_encode(m, m->txid % 2, w->meta_page);
    return rc;
}

/* Extends the file as bbolt would.  *ret_doubt: a sync failed. */
static int commit_grow(struct bolt_writer *w, bool *ret_doubt, struct err *e)
{
    struct bolt_db *db = w->tx.db;
    uint64_t needed = (w->tx.meta.high_water + 1) * db->page_bytes, bytes;
    int rc;

    *ret_doubt = false;
    if (w->tx.meta.high_water == w->old_high_water)
        return 0;
    if (needed >= db->map_rule_bytes)
        db->map_rule_bytes = bolt__map_rule(MAX(needed, db->file_bytes), db->page_bytes);
    if (needed <= db->file_bytes)
        return 0;
    bytes = bolt_grown_bytes(needed, db->map_rule_bytes);
    ASSERT(bytes >= needed);
    rc = file_truncate(db->file, bytes, e);
    if (rc != 0)
        return rc;
    db->file_bytes = bytes;
    rc = file_sync(db->file, FILE_SYNC_ALL, e);
    *ret_doubt = rc != 0;
    return rc;
}

static int dirty_by_id(const void *a, const void *b)
{
    const struct bolt_dirty *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

/* Takes pages from dirty[i] on that follow one another in the file into as few pieces as possible;
 * returns how many pages (entries) were taken. */
static size_t run_take(const struct bolt_writer *w, size_t i, struct bytes *v, size_t *ret_vn)
{
    uint32_t page_bytes = w->tx.meta.page_bytes;
    uint64_t next = w->dirty[i].id;
    size_t taken = 0, vn = 0;

    for (; i + taken < w->dirty_count; taken++) {
        const struct bolt_dirty *d = &w->dirty[i + taken];
        size_t n = d->pages * page_bytes;

        if (d->id != next)
            break;
        if (vn > 0 && v[vn - 1].p + v[vn - 1].n == d->p)
            v[vn - 1].n += n;
        else if (vn == WRITE_PIECES_MAX)
            break;
        else
            v[vn++] = bytes_of(d->p, n);
        next += d->pages;
    }
    ASSERT(taken > 0);
    *ret_vn = vn;
    return taken;
}

static int commit_write(struct bolt_writer *w, struct err *e)
{
    struct bolt_db *db = w->tx.db;
    struct bytes v[WRITE_PIECES_MAX];
    size_t vn;
    int rc = 0;

    if (w->dirty_count > 0)
        qsort(w->dirty, w->dirty_count, sizeof *w->dirty, dirty_by_id);
    for (size_t i = 0; i < w->dirty_count && rc == 0;) {
        size_t taken = run_take(w, i, v, &vn);

        rc = file_write(db->file, v, vn, w->dirty[i].id * db->page_bytes, e);
        i += taken;
    }
    return rc == 0 ? file_sync(db->file, FILE_SYNC_DATA, e) : rc;
}

static int commit_meta(struct bolt_writer *w, struct err *e)
{
    struct bolt_db *db = w->tx.db;
    uint64_t slot = w->tx.meta.txid % 2;
    int rc = file_write_one(db->file, w->meta_page, db->page_bytes, slot * db->page_bytes, e);

    return rc == 0 ? file_sync(db->file, FILE_SYNC_DATA, e) : rc;
}

/* A larger mapping when the file has outgrown the present one, else NULL. */
static int commit_map(struct bolt_writer *w, struct bolt_map **ret, struct err *e)
{
    struct bolt_db *db = w->tx.db;
    uint64_t bytes = w->tx.map->bytes;

    *ret = NULL;
    if (w->tx.meta.high_water * db->page_bytes <= bytes)
        return 0;
    while (bytes < db->file_bytes)
        bytes *= 2;
    return bolt__map_open(db, bytes, ret, e);
}

/* Readers that begin from now on see the new state.  Takes `map` when it is not NULL. */
static void commit_publish(struct bolt_writer *w, struct bolt_map *map)
{
    struct bolt_db *db = w->tx.db;
    struct bolt_map *unused = NULL;

    pthread_mutex_lock(&db->lock);
    ASSERT(db->meta.txid + 1 == w->tx.meta.txid);
    db->meta = w->tx.meta;
    if (map != NULL) {
        unused = bolt__map_unuse(db->map);
        db->map = map;
    }
    db->stats.free_pages = db->freelist.free_count;
    db->stats.pending_pages = db->freelist.pending_count;
    db->stats.file_bytes = db->file_bytes;
    pthread_mutex_unlock(&db->lock);
    bolt__map_close(unused);
}

/* The part that touches the disk.  The mapping comes before the meta: once that is written there is
 * no way back, and without a mapping there would be none forward.
 * *ret_doubt: a write or sync failed, and nobody knows what the disk holds. */
static int commit_disk(struct bolt_writer *w, bool *ret_doubt, struct err *e)
{
    struct bolt_map *map = NULL;
    int rc = commit_grow(w, ret_doubt, e);

    if (rc == 0)
        rc = commit_map(w, &map, e);
    if (rc != 0)
        return rc;
    rc = commit_write(w, e);
    if (rc == 0)
        rc = commit_meta(w, e);
    *ret_doubt = rc != 0;
    if (rc == 0)
        commit_publish(w, map);
    else
        bolt__map_close(map);
    return rc;
}

int bolt_commit(struct bolt_tx *tx, struct err *e)
{
    struct bolt_writer *w = tx->writer;
    bool doubt = false;
    int rc;

    ASSERT(w != NULL);
    ASSERT(atomic_load(&tx->db->writing));
    rc = commit_prepare(w, e);
    if (rc == 0)
        rc = commit_disk(w, &doubt, e);
    if (rc != 0) {
        tx->db->poisoned = doubt;
        bolt__writer_rollback(w);
        return err_wrap(e, rc, "commit");
    }
    bolt__writer_end(w);
    return 0;
}

/* ---- what a transaction says of itself ------------------------------------------------------ */

uint64_t bolt_txid(const struct bolt_tx *tx)
{
    return tx->meta.txid;
}

bool bolt_is_writable(const struct bolt_tx *tx)
{
    return tx->writer != NULL;
}

uint64_t bolt_tx_size_bytes(const struct bolt_tx *tx)
{
    return (tx->writer == NULL ? tx->meta.high_water : tx->writer->old_high_water) *
           tx->meta.page_bytes;
}
