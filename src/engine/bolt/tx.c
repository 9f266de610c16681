/* tx.c -- beginning and ending transactions; the pages that a writer takes and gives back. */
#include "base/alloc.h"
#include "engine/bolt/bolt_int.h"

/* ---- pages ---- */

int bolt__page(const struct bolt_tx *tx, uint64_t id, const uint8_t **ret, struct err *e)
{
    uint64_t at = id * tx->meta.page_bytes;
    uint64_t end = (tx->writer == NULL ? tx->meta.high_water : tx->writer->old_high_water) *
                   tx->meta.page_bytes;

    if (id < PAGE_FIRST_FREE || at / tx->meta.page_bytes != id || at >= end)
        return err_set(e, ERR_CORRUPT, "page %" PRIu64 " is outside the database", id);
    ASSERT(end <= tx->map->bytes);
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
    ASSERT(w->dirty_count < w->dirty_cap);
    return true;
}

int bolt__page_alloc(struct bolt_writer *w, uint64_t bytes, struct bolt_dirty *ret, struct err *e)
{
    uint32_t page_bytes = w->tx.meta.page_bytes;
    struct bolt_dirty d = {.pages = (bytes + page_bytes - 1) / page_bytes};
    struct freelist *f = &w->tx.db->freelist;

    ASSERT(d.pages > 0);
    ASSERT(d.pages - 1 <= UINT32_MAX);
    ASSERT(w->failed == 0);
    d.p = arena_alloc(&w->arena, d.pages * page_bytes);
    if (d.p == NULL || !dirty_reserve(w))
        return bolt__writer_fail(w, ERR_NOMEM, e);
    memset(d.p + bytes, 0, d.pages * page_bytes - bytes);
    d.id = freelist_alloc(f, d.pages);
    if (d.id == 0) {
        d.id = w->tx.meta.high_water;
        w->tx.meta.high_water += d.pages;
    }
    ASSERT(d.id >= PAGE_FIRST_FREE); /* never a meta */
    ASSERT(d.id + d.pages <= w->tx.meta.high_water);
    freelist_note(f, d.id, w->tx.meta.txid);
    w->dirty[w->dirty_count++] = d;
    *ret = d;
    return 0;
}

/* ---- reading ---- */

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
        ASSERT(tx->map == NULL);
        ASSERT(tx->writer == NULL);
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

/* ---- writing ---- */

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
    ASSERT(w->tx.map != NULL);
    ASSERT(w->tx.meta.high_water <= db->file_bytes / db->page_bytes);
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
    ASSERT(atomic_load(&db->writing));
    atomic_store(&db->writing, false);
}

void bolt__writer_rollback(struct bolt_writer *w)
{
    struct freelist *f = &w->tx.db->freelist;

    ASSERT(w->tx.meta.txid == w->tx.db->meta.txid + 1);
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

/* ---- what a transaction says of itself ---- */

uint64_t bolt_txid(const struct bolt_tx *tx)
{
    ASSERT(tx->map != NULL); /* not ended */
    return tx->meta.txid;
}

bool bolt_is_writable(const struct bolt_tx *tx)
{
    return tx->writer != NULL;
}

uint64_t bolt_tx_size_bytes(const struct bolt_tx *tx)
{
    ASSERT(tx->map != NULL);
    return (tx->writer == NULL ? tx->meta.high_water : tx->writer->old_high_water) *
           tx->meta.page_bytes;
}
