#include "base/alloc.h"
#include "engine/bolt/bolt_int.h"

#define DEFAULT_PAGE_BYTES 4096u
#define DEFAULT_MODE 0600u
/* etcd asks bbolt for this much from the start, so that its readers are never remapped. */
#define DEFAULT_MAP_BYTES (UINT64_C(10) << 30)

/* What is read ahead at open: beyond this a cold file would push itself out of memory again. */
#define WARM_BYTES_MAX (UINT64_C(4) << 30)
#define WARM_PIECE_BYTES (UINT64_C(1) << 20)

/* A new file: two metas, an empty freelist, an empty root. */
#define NEW_PAGES 4u
#define SECTOR_BYTES 512u

static int options_check(const struct bolt_options *o, struct err *e)
{
    if (o->page_bytes < BOLT_PAGE_BYTES_MIN || o->page_bytes > BOLT_NEW_PAGE_BYTES_MAX ||
        (o->page_bytes & (o->page_bytes - 1)) != 0)
        return err_set(e, ERR_INVALID, "page size %u is not a power of two from %u to %u",
                       o->page_bytes, BOLT_PAGE_BYTES_MIN, BOLT_NEW_PAGE_BYTES_MAX);
    if (!o->read_only && o->lock == BOLT_LOCK_NONE)
        return err_set(e, ERR_INVALID, "a database that is written to must be locked");
    return 0;
}

static struct bolt_options options_filled(const struct bolt_options *opt)
{
    struct bolt_options o = opt == NULL ? (struct bolt_options){0} : *opt;

    if (o.page_bytes == 0)
        o.page_bytes = DEFAULT_PAGE_BYTES;
    if (o.mode == 0)
        o.mode = DEFAULT_MODE;
    if (o.initial_map_bytes == 0)
        o.initial_map_bytes = DEFAULT_MAP_BYTES;
    if (o.reserve_bytes == 0)
        o.reserve_bytes = o.initial_map_bytes;
    ASSERT(o.reserve_bytes > 0);
    return o;
}

static struct bolt_db *db_new(struct disk *d, const char *path, const struct bolt_options *o)
{
    struct bolt_db *db = mem_calloc(1, sizeof *db);
    size_t n = strlen(path) + 1;

    if (db != NULL)
        db->path = mem_alloc(n);
    if (db == NULL || db->path == NULL) {
        mem_free(db);
        return NULL;
    }
    memcpy(db->path, path, n);
    db->disk = d;
    db->opt = *o;
    freelist_init(&db->freelist);
    list_init(&db->readers);
    list_init(&db->pool);
    pthread_mutex_init(&db->lock, NULL);
    return db;
}

void bolt_close(struct bolt_db *db)
{
    if (db != NULL)
        file_close(bolt_close_but_file(db)); /* ends the lock */
}

struct file *bolt_close_but_file(struct bolt_db *db)
{
    struct file *f = db->file;
    struct list *it;

    ASSERT(!atomic_load(&db->writing));
    ASSERT(list_empty(&db->readers));
    while ((it = list_pop(&db->pool)) != NULL)
        mem_free(CONTAINER_OF(it, struct bolt_tx, link));
    bolt__map_close(db->map);
    freelist_done(&db->freelist);
    mem_free(db->writer.dirty);
    mem_free(db->writer.reader_ids);
    pthread_mutex_destroy(&db->lock);
    mem_free(db->path);
    mem_free(db);
    return f;
}

/* ---- a new file ---- */

/* What a new file holds: NEW_PAGES pages.  NULL without memory. */
static uint8_t *new_image(uint32_t page_bytes)
{
    uint8_t *p = mem_calloc(NEW_PAGES, page_bytes);
    struct meta m = {.page_bytes = page_bytes, .root = 3, .freelist = 2, .high_water = NEW_PAGES};

    if (p == NULL)
        return NULL;
    for (m.txid = 0; m.txid <= 1; m.txid++)
        meta_encode(&m, m.txid, p + m.txid * page_bytes);
    page_header_put(p + 2 * (size_t) page_bytes,
                    (struct page_header){.id = 2, .flags = PAGE_FREELIST});
    page_header_put(p + 3 * (size_t) page_bytes, (struct page_header){.id = 3, .flags = PAGE_LEAF});
    return p;
}

static int sync_parent_dir(struct bolt_db *db, struct err *e)
{
    const char *slash = strrchr(db->path, '/');
    size_t n = slash == NULL ? 0 : (size_t) (slash - db->path);
    char *dir;
    int rc;

    ASSERT(!db->opt.read_only);
    if (slash == NULL)
        return disk_sync_dir(db->disk, ".", e);
    if (n == 0)
        return disk_sync_dir(db->disk, "/", e);
    dir = mem_alloc(n + 1);
    if (dir == NULL)
        return err_set(e, ERR_NOMEM, "out of memory for a path");
    memcpy(dir, db->path, n);
    dir[n] = '\0';
    rc = disk_sync_dir(db->disk, dir, e);
    mem_free(dir);
    return rc;
}

static int file_create(struct bolt_db *db, struct err *e)
{
    size_t n = NEW_PAGES * (size_t) db->opt.page_bytes;
    uint8_t *image = new_image(db->opt.page_bytes);
    int rc;

    ASSERT(!db->opt.read_only);
    if (image == NULL)
        return err_set(e, ERR_NOMEM, "out of memory for a new file");
    rc = file_write_one(db->file, image, n, 0, e);
    if (rc == 0 && !db->opt.unsynced)
        rc = file_sync(db->file, FILE_SYNC_DATA, e);
    if (rc == 0 && !db->opt.unsynced)
        rc = sync_parent_dir(db, e);
    mem_free(image);
    if (rc == 0)
        db->file_bytes = n;
    return err_wrap(e, rc, "create %s", db->path);
}

/* Whether the file is what a power cut can leave of file_create: each sector is either that of a
 * new file or zero.  Such a file has never held anything (the first commit makes it longer). */
static bool creation_was_cut(struct bolt_db *db)
{
    size_t n = NEW_PAGES * (size_t) db->opt.page_bytes, got = 0;
    static const uint8_t zero[SECTOR_BYTES];
    uint8_t *image, *found;
    bool same = false;

    ASSERT(!db->trusted);
    if (db->file_bytes > n)
        return false;
    image = new_image(db->opt.page_bytes);
    found = mem_alloc(n);
    if (image != NULL && found != NULL && file_read(db->file, found, n, 0, &got, NULL) == 0) {
        same = true;
        for (size_t at = 0; at < got && same; at += SECTOR_BYTES) {
            size_t k = MIN(got - at, (size_t) SECTOR_BYTES);

            same = memcmp(found + at, image + at, k) == 0 || memcmp(found + at, zero, k) == 0;
        }
    }
    mem_free(image);
    mem_free(found);
    return same;
}

/* ---- opening ---- */

static int file_open(struct bolt_db *db, struct err *e)
{
    unsigned flags = db->opt.read_only ? DISK_READ : DISK_READ | DISK_WRITE | DISK_CREATE;
    int rc = disk_open(db->disk, db->path, flags, db->opt.mode, &db->file, e);

    if (rc == 0 && db->opt.lock != BOLT_LOCK_NONE)
        rc = file_lock(db->file,
                       db->opt.read_only ? FILE_LOCK_FLOCK_SHARED : FILE_LOCK_FLOCK_EXCLUSIVE, e);
    if (rc == 0)
        rc = file_size(db->file, &db->file_bytes, e);
    return rc;
}

/* The meta of the newest state. */
static int meta_load(struct bolt_db *db, struct err *e)
{
    int rc;

    if (db->file_bytes == 0)
        return err_set(e, ERR_CORRUPT, "invalid database");
    rc = meta_find(db->file, db->file_bytes, db->opt.page_bytes, &db->meta, e);
    if (rc != 0)
        return rc;
    db->page_bytes = db->meta.page_bytes;
    db->roomy_bytes = db->meta.high_water * db->page_bytes; /* each of these was written once */
    ASSERT(db->file_bytes >= 2 * (uint64_t) db->page_bytes);
    if (db->meta.high_water > db->file_bytes / db->page_bytes)
        return err_set(e, ERR_CORRUPT,
                       "the file has %" PRIu64 " bytes, the database %" PRIu64 " pages of %u",
                       db->file_bytes, db->meta.high_water, db->page_bytes);
    return 0;
}

static int map_load(struct bolt_db *db, struct err *e)
{
    uint64_t asked = MAX(db->file_bytes, db->opt.initial_map_bytes);
    uint64_t reserve = db->opt.read_only ? db->file_bytes : db->opt.reserve_bytes;

    ASSERT(db->map == NULL);
    db->map_rule_bytes = bolt__map_rule(asked, db->page_bytes);
    return bolt__map_open(db, reserve, &db->map, e);
}

/* Brings the file into the page cache in order: the proof visits pages in the order of keys, which
 * on a cold disk would be one random read each. */
static void file_warm(struct bolt_db *db)
{
    uint64_t end = MIN(db->meta.high_water * db->page_bytes, WARM_BYTES_MAX);

    for (uint64_t at = 0; at < end; at += WARM_PIECE_BYTES)
        file_will_need(db->file, at, MIN(end - at, WARM_PIECE_BYTES));
}

/* A database to be written: what the process before this one wrote may be in the page cache only,
 * and pages that its last commit freed are about to be overwritten. */
static int prepare_writing(struct bolt_db *db, struct err *e)
{
    struct bolt_tx tx = {.db = db, .map = db->map, .meta = db->meta};
    int rc = db->opt.unsynced ? 0 : file_sync(db->file, FILE_SYNC_DATA, e);

    file_warm(db);
    if (rc == 0 && freelist_reserve(&db->freelist, db->meta.high_water) != 0)
        rc = err_set(e, ERR_NOMEM, "out of memory for the free pages");
    if (rc == 0)
        rc = bolt__prove(&tx, e);
    ASSERT(!db->trusted);
    db->trusted = rc == 0;
    return rc;
}

static int db_load(struct bolt_db *db, struct err *e)
{
    int rc = meta_load(db, e);

    if (rc == 0)
        rc = map_load(db, e);
    if (rc == 0 && !db->opt.read_only)
        rc = prepare_writing(db, e);
    return rc;
}

/* Loads the file; makes it first where it is empty or not yet whole. */
static int db_load_or_create(struct bolt_db *db, struct err *e)
{
    int rc = db_load(db, e);

    if (rc != ERR_CORRUPT || db->opt.read_only || !creation_was_cut(db))
        return rc;
    bolt__map_close(db->map);
    db->map = NULL;
    rc = file_create(db, e);
    return rc == 0 ? db_load(db, e) : rc;
}

static void stats_load(struct bolt_db *db)
{
    db->stats = (struct bolt_stats){
        .page_bytes = db->page_bytes,
        .free_pages = db->freelist.free_count,
        .file_bytes = db->file_bytes,
    };
}

int bolt_open(struct disk *d, const char *path, const struct bolt_options *opt,
              struct bolt_db **ret, struct err *e)
{
    struct bolt_options o = options_filled(opt);
    struct bolt_db *db;
    int rc = options_check(&o, e);

    if (rc != 0)
        return rc;
    db = db_new(d, path, &o);
    if (db == NULL)
        return err_set(e, ERR_NOMEM, "out of memory to open %s", path);
    rc = file_open(db, e);
    if (rc == 0)
        rc = db_load_or_create(db, e);
    if (rc != 0) {
        bolt_close(db);
        return rc;
    }
    stats_load(db);
    *ret = db;
    return 0;
}

void bolt_get_stats(struct bolt_db *db, struct bolt_stats *ret)
{
    pthread_mutex_lock(&db->lock);
    *ret = db->stats;
    ret->txid = db->meta.txid;
    ret->size_bytes = db->meta.high_water * db->page_bytes;
    ret->readers = db->reader_count;
    if (!list_empty(&db->readers))
        ret->oldest_reader = CONTAINER_OF(db->readers.next, struct bolt_tx, link)->meta.txid;
    pthread_mutex_unlock(&db->lock);
    ASSERT(ret->free_pages * ret->page_bytes <= ret->size_bytes);
    ret->in_use_bytes = ret->size_bytes - ret->free_pages * ret->page_bytes;
}
