/* bolt.h -- a B+tree of named buckets in one file, in the file format of bbolt (version 2).
 * docs/formats/bolt.md has the bytes.
 *
 * What is committed survives a power cut; what is not committed never happened.  Pages are copied
 * when they change, so a read transaction sees one state of the file for as long as it lives and
 * neither waits for the writer nor makes it wait: it only keeps the pages that it can see from
 * being used again (`pending_pages` in the statistics).
 *
 *     struct bolt_tx *tx;
 *     struct bolt_bucket b;
 *     struct bolt_cursor c;
 *     struct bytes k, v;
 *
 *     rc = bolt_begin_read(db, &tx, e);
 *     rc = bolt_bucket_get(tx, BYTES_LIT("key"), &b, e);
 *     bolt_cursor_init(&c, &b);
 *     for (rc = bolt_cursor_first(&c, &k, &v, e); rc == 0; rc = bolt_cursor_next(&c, &k, &v, e))
 *         ...
 *     if (rc != ERR_NOT_FOUND)                       -- damaged file; *e says where
 *     bolt_rollback(tx);
 *
 * Threads: a struct bolt_db from any thread.  At most one write transaction is open at a time and
 * one thread at a time uses it.  A read transaction is immutable: any number of threads may use it
 * at once, each with buckets and cursors of its own, and any thread may end it when no other uses
 * it.
 *
 * Memory: keys and values that come out point into the mapped file or at what was put in, and stay
 * valid until their transaction ends.  Keys and values that go in are borrowed until the
 * transaction ends: nothing is copied before the commit.  Bucket names are copied.  Nodes that a
 * write transaction changes live in an arena that is freed with it; the size of a transaction is
 * bounded by what the caller puts in.
 *
 * Damage: a database opened for writing is proved whole at open (every reachable page is visited,
 * which is needed anyway to find the free pages); one opened read-only checks each page whenever a
 * transaction visits it.  Either way a damaged file gives ERR_CORRUPT and a message with page and
 * file offset.
 *
 * Errors, unless a function says otherwise: 0, or
 *   ERR_NOMEM      nothing changed; a write transaction can then only be rolled back
 *   ERR_CORRUPT    the file is damaged
 *   ERR_IO, ...    the codes of sys/disk.h
 */
#ifndef KETCH_ENGINE_BOLT_BOLT_H
#define KETCH_ENGINE_BOLT_BOLT_H

#include "base/base.h"
#include "base/err.h"
#include "engine/bolt/bolt_limits.h"

struct clock;
struct disk;
struct bolt_db;
struct bolt_tx;
struct bolt_node;
struct bolt_wbucket;

/* ---- the database ---- */

enum bolt_lock {
    BOLT_LOCK_DEFAULT, /* flock: exclusive, or shared when read_only */
    BOLT_LOCK_NONE,    /* no lock: only to look at a file that another process may be writing */
};

struct bolt_options {
    bool read_only; /* the file must exist; write transactions are refused */
    enum bolt_lock lock;
    unsigned mode;       /* permission bits of a new file; 0: 0600 */
    uint32_t page_bytes; /* of a new file: a power of two, 1024 to 65536; 0: 4096 */

    /* The size of the mapping that bbolt would have asked for, which decides how a file grows (see
     * bolt_grown_bytes).  0: 10 GiB, as etcd does; BOLT_MAP_SMALL: as large as the file. */
    uint64_t initial_map_bytes;

    /* Address space to reserve.  0: as initial_map_bytes.  When the file outgrows it a second,
     * larger mapping is made; open transactions keep the old one and nobody notices. */
    uint64_t reserve_bytes;

    /* Commits write and do not sync: for a copy that nobody counts on before it is whole.  It
     * becomes durable, and a database like any other, with bolt_sync. */
    bool unsynced;

    /* The file's part of the mapping is locked in memory (mlock), also as it grows. */
    bool lock_memory;

    struct clock *clock; /* to time the parts of a commit; NULL: they are not timed */
};

#define BOLT_MAP_SMALL 1

/* Opens or creates the file and locks it; does not wait for the lock.  `opt` may be NULL.
 *
 *   ERR_LOCKED     another process has it: the caller waits a little and tries again
 *   ERR_NOT_FOUND  read_only and no such file
 *   ERR_INVALID    bad options
 *   ERR_CORRUPT    not a database, or a damaged one; nothing on disk was changed
 */
NODISCARD int bolt_open(struct disk *d, const char *path, const struct bolt_options *opt,
                        struct bolt_db **ret, struct err *e);

/* All transactions have ended.  NULL is accepted. */
void bolt_close(struct bolt_db *db);
/* The same, but the file stays open, with its lock, and is returned, owned. */
struct file *bolt_close_but_file(struct bolt_db *db);

/* Asks for the room that the next commits need without committing anything.  ERR_NO_SPACE: refused;
 * ERR_IO as for bolt_commit; else as for bolt_begin_write, which it is to others while it lasts. */
NODISCARD int bolt_ask_room(struct bolt_db *db, struct err *e);

/* Ends `unsynced`: everything committed so far is durable on return (the file's name is not). After
 * an error nobody knows what the disk holds, and the file is of no use. */
NODISCARD int bolt_sync(struct bolt_db *db, struct err *e);

struct bolt_stats {
    uint32_t page_bytes;
    uint64_t txid;          /* of the last commit */
    uint64_t size_bytes;    /* pages ever used x page size: what etcd calls dbSize */
    uint64_t in_use_bytes;  /* the same without free pages: dbSizeInUse */
    uint64_t file_bytes;    /* length of the file */
    bool low_on_space;      /* the last commit lived on the room held in reserve: see bolt_commit */
    uint64_t free_pages;    /* can be used by the next write transaction */
    uint64_t pending_pages; /* freed, but maybe still seen by a reader */
    uint64_t readers;       /* open read transactions */
    uint64_t oldest_reader; /* its txid; 0 when there is none */
    struct bolt_commit_times {
        int64_t rebalance_ns;
        int64_t spill_ns;
        int64_t write_ns; /* with the syncs */
    } last_commit;
};

/* Any thread.  Free and pending pages are those of the last commit (0 in a read-only database). */
void bolt_get_stats(struct bolt_db *db, struct bolt_stats *ret);

/* ---- transactions ---- */

/* A view of the last committed state.  Costs one short lock and, in the steady state, no
 * allocation.  ERR_LIMIT: BOLT_READERS_MAX are open. */
NODISCARD int bolt_begin_read(struct bolt_db *db, struct bolt_tx **ret, struct err *e);

/* The write transaction.
 *
 *   ERR_AGAIN        one is open already; nothing waits
 *   ERR_PERMISSION   the database is read-only
 *   ERR_CLOSED       a commit failed in a write or sync before: nobody knows what the disk holds,
 *                    and the process is to stop
 */
NODISCARD int bolt_begin_write(struct bolt_db *db, struct bolt_tx **ret, struct err *e);

/* Makes the changes durable, then visible.  The transaction has ended when this returns, whatever
 * it returns.
 *
 *   ERR_IO         a write or sync failed, whatever the disk called that (a full one may be found
 *                  this late, too): all later writes are refused (ERR_CLOSED above), while reads of
 *                  the last state go on
 *   ERR_NO_SPACE   the file was not extended; after this and all others, ERR_NOMEM, ERR_CORRUPT,
 *                  nothing has changed and the database stays usable
 *
 * Room on the disk is asked for BOLT_SPACE_RESERVE_BYTES before it is needed.  While it is refused
 * commits live on what there is, and `low_on_space` in the statistics says so: time to stop taking
 * new data and to give pages back. */
NODISCARD int bolt_commit(struct bolt_tx *tx, struct err *e);

/* Ends a transaction, a read transaction too.  NULL is accepted. */
void bolt_rollback(struct bolt_tx *tx);

/* The file's pages that were touched no longer count as memory of this process until they are
 * touched again.  For who has walked over much of it.  Any thread, on a read transaction. */
void bolt_release_pages(const struct bolt_tx *tx);

/* What a reader sees is the commit of this number; a writer will commit this number. */
uint64_t bolt_txid(const struct bolt_tx *tx);
bool bolt_is_writable(const struct bolt_tx *tx);
/* Pages ever used x page size, as of this transaction (changed by commit only). */
uint64_t bolt_tx_size_bytes(const struct bolt_tx *tx);

/* ---- buckets ---- */

/* A handle, owned by the caller and valid until the transaction ends or the bucket is deleted.
 * Copies are equal to the original.  The fields are private. */
struct bolt_bucket {
    struct bolt_tx *tx;
    struct bolt_wbucket *w; /* state in a write transaction; NULL for a bucket that is only read */
    uint64_t root;          /* page of the root; 0: inline */
    struct bytes image;     /* the page image of an inline bucket */
};

/* ERR_NOT_FOUND; ERR_INVALID when `name` is a plain key.  Neither sets words. */
NODISCARD int bolt_bucket_get(struct bolt_tx *tx, struct bytes name, struct bolt_bucket *ret,
                              struct err *e);
/* Creates a top-level bucket.  ERR_EXISTS; ERR_INVALID for a name that is empty or too long. */
NODISCARD int bolt_bucket_create(struct bolt_tx *tx, struct bytes name, struct bolt_bucket *ret,
                                 struct err *e);
/* The one that is there, or a new one. */
NODISCARD int bolt_bucket_ensure(struct bolt_tx *tx, struct bytes name, struct bolt_bucket *ret,
                                 struct err *e);
/* Deletes a top-level bucket with all that is in it.  ERR_NOT_FOUND. */
NODISCARD int bolt_bucket_delete(struct bolt_tx *tx, struct bytes name, struct err *e);

/* The bucket of buckets: a cursor over it gives the names in byte order (with empty values).  It
 * takes no bolt_put and no bolt_delete. */
void bolt_bucket_root(struct bolt_tx *tx, struct bolt_bucket *ret);

/* A bucket inside a bucket (etcd has none): it can be read, not changed. */
NODISCARD int bolt_bucket_nested(const struct bolt_bucket *b, struct bytes name,
                                 struct bolt_bucket *ret, struct err *e);

/* How full pages are left when this transaction splits them, 10 to 100 per cent; 50 when not set.
 * etcd uses 90 for keys that arrive in ascending order. */
void bolt_bucket_set_fill(struct bolt_bucket *b, unsigned percent);

/* ---- records ---- */

/* ERR_NOT_FOUND when absent or a nested bucket (no words are set).  An empty value has n == 0 and a
 * p that is not NULL. */
NODISCARD int bolt_get(const struct bolt_bucket *b, struct bytes key, struct bytes *ret_value,
                       struct err *e);

/* Adds or replaces.  Borrows key and value until the transaction ends.  Keys that arrive in
 * ascending order behind the last one, or near the one before, cost no search of the tree.
 * Ends the validity of cursors over this bucket in this transaction.
 *
 *   ERR_INVALID   key empty or over BOLT_KEY_BYTES_MAX, value over BOLT_VALUE_BYTES_MAX, or the key
 *                 is a nested bucket
 */
NODISCARD int bolt_put(struct bolt_bucket *b, struct bytes key, struct bytes value, struct err *e);

/* ERR_NOT_FOUND when absent (nothing changed, no words); ERR_INVALID when a nested bucket.  Ends
 * the validity of cursors over this bucket in this transaction. */
NODISCARD int bolt_delete(struct bolt_bucket *b, struct bytes key, struct err *e);

/* ---- cursors ---- */

/* A place in a bucket, on the caller's stack; nothing to free.  The fields are private. */
struct bolt_cursor {
    struct bolt_bucket bucket;
    unsigned depth; /* used places of the stack; 0: nowhere yet */
    struct bolt_place {
        const uint8_t *page;    /* a page of the file or an inline image, or */
        struct bolt_node *node; /* a node that the write transaction has changed */
        uint32_t index;
    } stack[BOLT_DEPTH_MAX];
};

void bolt_cursor_init(struct bolt_cursor *c, const struct bolt_bucket *b);

/* Each moves the cursor and returns the record there, or ERR_NOT_FOUND (without words) when there
 * is none that way; the cursor must then be placed anew by first, last or seek. */
NODISCARD int bolt_cursor_first(struct bolt_cursor *c, struct bytes *ret_key,
                                struct bytes *ret_value, struct err *e);
NODISCARD int bolt_cursor_last(struct bolt_cursor *c, struct bytes *ret_key,
                               struct bytes *ret_value, struct err *e);
NODISCARD int bolt_cursor_next(struct bolt_cursor *c, struct bytes *ret_key,
                               struct bytes *ret_value, struct err *e);
NODISCARD int bolt_cursor_prev(struct bolt_cursor *c, struct bytes *ret_key,
                               struct bytes *ret_value, struct err *e);
/* To the first record whose key is >= key. */
NODISCARD int bolt_cursor_seek(struct bolt_cursor *c, struct bytes key, struct bytes *ret_key,
                               struct bytes *ret_value, struct err *e);
/* Whether the record there is a bucket (its value is then given as empty). */
bool bolt_cursor_at_bucket(const struct bolt_cursor *c);

/* ---- looking after the file ---- */

/* Verifies what `bbolt check` verifies over the state that `tx` sees; `found` (may be NULL) is
 * called for each finding with a line of text.  In a write transaction in which nothing was changed
 * yet it verifies the lists of free pages in memory as well. Returns 0 when the file is whole,
 * ERR_CORRUPT when there was a finding (*e has the first), ERR_NOMEM. */
NODISCARD int bolt_check(struct bolt_tx *tx, void (*found)(void *arg, const char *text), void *arg,
                         struct err *e);

/* A consistent copy of what a read transaction sees: exactly bolt_tx_size_bytes bytes that are a
 * database file.  The caller pulls it in pieces of any size, at its own pace; the transaction must
 * live until the last piece. */
struct bolt_copy {
    struct bolt_tx *tx;
    uint64_t offset;      /* bytes given so far */
    uint64_t total_bytes; /* of the whole copy */
};

void bolt_copy_init(struct bolt_copy *c, struct bolt_tx *tx);
/* Fills p with the next bytes, up to n; *ret_n is 0 only at the end. */
NODISCARD int bolt_copy_next(struct bolt_copy *c, uint8_t *p, size_t n, size_t *ret_n,
                             struct err *e);

/* ---- pages as they lie in the file ---- */

/* Walks over the pages of a file in the order of their numbers, from 2 to the high-water mark of
 * meta page 0, whether a bucket still leads to them or not: older states of a database can be found
 * this way.  Takes no lock.  Each page is checked by itself before it is shown. */
struct bolt_scan;

struct bolt_scan_page {
    uint64_t id;
    bool leaf;
    uint32_t count; /* items of a leaf */
    const uint8_t *p;
};

/* ERR_NOT_FOUND; ERR_CORRUPT when meta page 0 is not valid. */
NODISCARD int bolt_scan_open(struct disk *d, const char *path, struct bolt_scan **ret,
                             struct err *e);
/* 0; ERR_NOT_FOUND at the end; any other error concerns page ret->id alone: the walk can go on. */
NODISCARD int bolt_scan_next(struct bolt_scan *s, struct bolt_scan_page *ret, struct err *e);
/* Item i of a leaf; valid until the next page. */
void bolt_scan_item(const struct bolt_scan_page *p, uint32_t i, struct bytes *ret_key,
                    struct bytes *ret_value);
void bolt_scan_close(struct bolt_scan *s); /* NULL is accepted */

/* The length that a file is given when `needed_bytes` no longer fit: the size of the mapping while
 * that is small (`map_bytes` <= 16 MiB), else 16 MiB more than needed. */
uint64_t bolt_grown_bytes(uint64_t needed_bytes, uint64_t map_bytes);

#endif
