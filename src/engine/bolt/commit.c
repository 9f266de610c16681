/* commit.c -- the order of a commit (bolt.md section 7).
 *
 *     rebalance and spill       memory only; every failure up to here is undone
 *     room on the disk, fsync   a refused extension is undone too
 *     data pages, fdatasync
 *     meta page, fdatasync
 *     publish                   readers that begin from now on see it
 *
 * A power cut between any two steps leaves the state before, because until the last step nothing
 * that the old meta reaches has been touched (B1).
 */
#include "base/plant.h"
#include "engine/bolt/bolt_int.h"
#include "sys/clock.h"

/* Pieces given to one file_write. */
#define WRITE_PIECES_MAX 256

int64_t bolt__now(const struct bolt_db *db)
{
    return db->opt.clock == NULL ? 0 : clock_mono_ns(db->opt.clock);
}

/* Memory only: all that can still be undone. */
static int commit_prepare(struct bolt_writer *w, struct err *e)
{
    struct meta *m = &w->tx.meta;
    int64_t began;
    int rc = w->failed;

    if (rc != 0)
        return err_set(e, rc, "the transaction failed before");
    ASSERT(w->dirty_count == 0);
    w->times = (struct bolt_commit_times){0};
    began = bolt__now(w->tx.db);
    rc = bolt__spill(w, e);
    w->times.spill_ns = bolt__now(w->tx.db) - began - w->times.rebalance_ns;
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
    ASSERT(rc != 0 || m->high_water >= w->old_high_water);
    return rc;
}

static int commit_sync(struct bolt_db *db, enum file_sync_kind kind, struct err *e)
{
    return file_sync(db->file, db->opt.unsynced ? FILE_WRITE_BACK : kind, e);
}

/* Gives [roomy_bytes, bytes) of the file room on the disk: what bbolt left there is a hole, and a
 * write into it could find the disk full when there is no way back. */
static int make_room(struct bolt_db *db, uint64_t bytes, struct err *e)
{
    int rc = file_allocate(db->file, db->roomy_bytes, bytes - db->roomy_bytes, e);

    ASSERT(bytes > db->roomy_bytes);
    if (rc == ERR_UNSUPPORTED)
        rc = bytes > db->file_bytes ? file_truncate(db->file, bytes, e) : 0;
    return rc;
}

/* What a larger mapping brings it locks itself. */
static int lock_grown(struct bolt_db *db, uint64_t before, struct err *e)
{
    uint64_t end = MIN(db->file_bytes, db->map->bytes);

    if (!db->opt.lock_memory || end <= before)
        return 0;
    return file_map_lock(db->map->file, before, end - before, e);
}

/* Extends the file as bbolt would, a little ahead of need where the disk may become full
 * (BOLT_SPACE_RESERVE_BYTES).  *ret_doubt: a sync failed. */
static int commit_grow(struct bolt_writer *w, bool *ret_doubt, struct err *e)
{
    struct bolt_db *db = w->tx.db;
    uint64_t needed = (w->tx.meta.high_water + 1) * db->page_bytes, bytes;
    uint64_t before = db->file_bytes;
    bool large;
    int rc;

    *ret_doubt = false;
    if (w->tx.meta.high_water == w->old_high_water && !db->low_on_space)
        return 0;
    if (needed >= db->map_rule_bytes)
        db->map_rule_bytes = bolt__map_rule(MAX(needed, db->file_bytes), db->page_bytes);
    large = db->map_rule_bytes > BOLT_LARGE_MAP_BYTES;
    if (needed + (large ? BOLT_SPACE_RESERVE_BYTES : 0) <= db->roomy_bytes) {
        db->low_on_space = false;
        return 0;
    }
    bytes = MAX(bolt_grown_bytes(needed, db->map_rule_bytes), db->file_bytes);
    ASSERT(bytes >= needed);
    rc = make_room(db, bytes, e);
    db->low_on_space = rc == ERR_NO_SPACE;
    if (db->low_on_space && needed <= db->roomy_bytes)
        return 0;
    if (db->low_on_space) { /* perhaps not all that, but what there must be */
        bytes = needed;
        rc = make_room(db, bytes, e);
    }
    if (rc != 0)
        return rc;
    db->roomy_bytes = bytes;
    db->file_bytes = MAX(before, bytes);
    rc = commit_sync(db, FILE_SYNC_ALL, e);
    *ret_doubt = rc != 0;
    return rc == 0 ? lock_grown(db, before, e) : rc;
}

static int dirty_by_id(const void *a, const void *b)
{
    const struct bolt_dirty *x = a, *y = b;

    ASSERT(x == y || x->id != y->id);
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

    ASSERT(w->tx.meta.high_water * db->page_bytes <= db->file_bytes);
    if (w->dirty_count > 0)
        qsort(w->dirty, w->dirty_count, sizeof *w->dirty, dirty_by_id);
    for (size_t i = 0; i < w->dirty_count && rc == 0;) {
        size_t taken = run_take(w, i, v, &vn);

        ASSERT(w->dirty[i].id >= PAGE_FIRST_FREE); /* B1: no meta */
        rc = file_write(db->file, v, vn, w->dirty[i].id * db->page_bytes, e);
        i += taken;
    }
    if (PLANTED(BOLT_META_FIRST))
        return rc;
    return rc == 0 ? commit_sync(db, FILE_SYNC_DATA, e) : rc;
}

static int commit_meta(struct bolt_writer *w, struct err *e)
{
    struct bolt_db *db = w->tx.db;
    uint64_t slot = w->tx.meta.txid % 2;
    int rc;

    ASSERT(slot != db->meta.txid % 2); /* B1: not where the present one is */
    rc = file_write_one(db->file, w->meta_page, db->page_bytes, slot * db->page_bytes, e);
    return rc == 0 && !db->opt.unsynced ? commit_sync(db, FILE_SYNC_DATA, e) : rc;
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
    ASSERT(bytes > w->tx.map->bytes);
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
    db->stats.low_on_space = db->low_on_space;
    db->stats.last_commit = w->times;
    pthread_mutex_unlock(&db->lock);
    bolt__map_close(unused);
}

/* The part that touches the disk.  The mapping comes before the meta: once that is written there is
 * no way back, and without a mapping there would be none forward.
 * *ret_doubt: a write or sync failed, and nobody knows what the disk holds. */
static int commit_disk(struct bolt_writer *w, bool *ret_doubt, struct err *e)
{
    struct bolt_map *map = NULL;
    int64_t began;
    int rc = commit_grow(w, ret_doubt, e);

    if (rc == 0)
        rc = commit_map(w, &map, e);
    if (rc != 0)
        return rc;
    began = bolt__now(w->tx.db);
    rc = commit_write(w, e);
    if (rc == 0)
        rc = commit_meta(w, e);
    w->times.write_ns = bolt__now(w->tx.db) - began;
    *ret_doubt = rc != 0;
    if (rc == 0)
        commit_publish(w, map);
    else
        bolt__map_close(map);
    return rc;
}

/* A write or sync failed.  What the disk called it is in the message only: a code like ERR_NO_SPACE
 * or ERR_NOMEM would tell the caller that nothing has changed and that it may try again. */
static int poison(struct bolt_db *db, struct err *e)
{
    db->poisoned = true;
    if (e != NULL)
        e->code = ERR_IO;
    return ERR_IO;
}

int bolt_ask_room(struct bolt_db *db, struct err *e)
{
    struct bolt_tx *tx;
    bool doubt = false;
    int rc = bolt_begin_write(db, &tx, e);

    if (rc != 0)
        return rc;
    db->low_on_space = true; /* or commit_grow would not ask */
    rc = commit_grow(tx->writer, &doubt, e);
    if (doubt)
        rc = poison(db, e);
    if (rc == 0 && db->low_on_space)
        rc = err_set(e, ERR_NO_SPACE, "no room beyond %" PRIu64 " bytes", db->roomy_bytes);
    bolt_rollback(tx);
    return err_wrap(e, rc, "extend %s", db->path);
}

int bolt_sync(struct bolt_db *db, struct err *e)
{
    int rc;

    ASSERT(db->opt.unsynced);
    ASSERT(!atomic_load(&db->writing));
    rc = file_sync(db->file, FILE_SYNC_ALL, e);
    db->poisoned |= rc != 0;
    db->opt.unsynced = false;
    return err_wrap(e, rc, "sync");
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
        if (doubt)
            rc = poison(tx->db, e);
        bolt__writer_rollback(w);
        return err_wrap(e, rc, "commit");
    }
    bolt__writer_end(w);
    return 0;
}
