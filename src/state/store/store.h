/* store.h -- one member's data file (snap/db) behind batched transactions.
 *
 * The apply thread appends changes to the *open batch* in memory.  When the batch is due it is
 * *sealed*, and the store thread replays sealed batches, applied index included, into one bolt
 * transaction while apply goes on in the next batch.  So the file always holds the state at some
 * applied index, exactly, and after a crash the log is applied again from there.
 *
 *      apply thread                     store thread                     any thread
 *      store_put, store_key_append      store_commit                     through a store_view:
 *      store_seal           ------->      (bolt transaction, fsync)        store_view_get
 *      store_view_take      <-------      new snapshot of the file         store_cursor_*
 *
 * A store_view is a snapshot of the file plus the batches that are not in it, up to the record that
 * was last when the view was taken.  Whoever took it keeps it alive; any number of threads may read
 * through it meanwhile, without locks.  A snapshot that is held only keeps the pages it can see
 * from being used again; nobody waits for it.
 *
 * Records of bucket `key` are named by revision and appended in ascending order.  The other buckets
 * are loaded once by their modules (store_scan) and from then on only written.
 *
 * Threads: each function says which.  "apply" and "store" are one thread each; before the threads
 * start and after they have ended everything may be called from one thread.
 * Memory: keys and values given are copied.  On the apply side, without memory the process stops.
 */
#ifndef KETCH_STATE_STORE_STORE_H
#define KETCH_STATE_STORE_STORE_H

#include "base/base.h"
#include "base/err.h"
#include "state/store/buckets.h"
#include "sys/clock.h"
#include "sys/disk.h"

#define STORE_BATCH_OPS_DEFAULT 10000       /* --backend-batch-limit */
#define STORE_BATCH_INTERVAL_MS_DEFAULT 100 /* --backend-batch-interval */
/* A batch of so many bytes is due: a quarter of the room that the data file has asked for ahead, so
 * that on a full disk what is under way still fits. */
#define STORE_BATCH_BYTES_MAX ((uint64_t) 2 << 20)
#define STORE_PENDING_BYTES_MAX ((uint64_t) 256 << 20) /* written but not committed: then pause */
#define STORE_MAP_BYTES_LARGE ((uint64_t) 1 << 30)
#define STORE_COMPACT_RECORDS_DEFAULT                                                  \
    1000                         /* --compaction-batch-limit: scanned per small commit \
                                  */
#define STORE_REMOVALS_MAX 10000 /* records that a compaction removes in one transaction */
#define STORE_REMOVALS_KEPT_BYTES_MAX (16 << 20) /* ... beside so much that stays */
#define STORE_DEFRAG_STEP_BYTES (1 << 20)
#define STORE_REV_KEY_BYTES 17 /* of a put; a tombstone has one more */
#define STORE_BATCHES_MAX 8    /* batches that one view can need */

#define STORE_ERR_MAP(X)                                                           \
    X(BAD_REVISION_KEY, -500, "a record of bucket key has no revision as its key") \
    X(NO_BUCKET, -501, "the data file lacks a bucket")

enum store_err {
#define X(name, code, text) ERR_STORE_##name = code,
    STORE_ERR_MAP(X)
#undef X
};

struct store;

struct store_config {
    struct disk *disk;
    struct clock *clock;       /* for the numbers only; NULL: nothing is timed */
    const char *path;          /* DATA/member/snap/db */
    uint64_t batch_ops_max;    /* 0: the default */
    int64_t batch_interval_ms; /* 0: the default */
    uint64_t map_bytes;        /* address space kept for the file; 0: the default.  Below
                                  STORE_MAP_BYTES_LARGE the file also grows in small steps */
    bool lock_memory;          /* --memory-mlock: the mapped file stays in memory */
    bool read_only;            /* for tools: shared lock, nothing written, no apply calls */
};

/* ---- life ---- */

/* Opens or creates the file with all ten buckets; removes db.tmp* that a broken-off defragmentation
 * left in its directory.  Errors are those of the disk and of bolt (ERR_LOCKED: another process has
 * it), ERR_STORE_BAD_REVISION_KEY, and, read-only, ERR_STORE_NO_BUCKET. */
NODISCARD int store_open(const struct store_config *cfg, struct store **ret, struct err *e);

/* No views, no threads any more.  What is not sealed and committed is dropped: call store_seal and
 * store_commit first.  NULL is accepted. */
void store_close(struct store *s);

/* ---- writing: apply thread ---- */

#define STORE_PUT_KEY_BYTES_MAX 32768 /* what the file takes as a key */

/* Into the open batch.  Not for STORE_KEY; a key of 1 to STORE_PUT_KEY_BYTES_MAX bytes. */
void store_put(struct store *s, enum store_bucket b, struct bytes key, struct bytes value);
void store_delete(struct store *s, enum store_bucket b, struct bytes key);

/* A record of bucket `key`: returns where its `value_bytes` bytes go; they are to be written before
 * the next store_view_take.  (main, sub) is greater than that of every record before it. */
NODISCARD uint8_t *store_key_append(struct store *s, int64_t main, int64_t sub, bool tombstone,
                                    size_t value_bytes);

/* The entry whose effects are now all in the open batch: part of the same transaction.  Neither may
 * go back. */
void store_set_applied(struct store *s, uint64_t index, uint64_t term);

/* What a small bucket or `meta` holds now, open batch included.  The bytes stay valid until the
 * next call that writes, seals or takes a view.  O(operations not yet committed): for the rare
 * case. */
bool store_get(struct store *s, enum store_bucket b, struct bytes key, struct bytes *ret);

/* The last ones of store_set_applied; at start those of the file (0 when absent). */
uint64_t store_applied_index(const struct store *s);
uint64_t store_applied_term(const struct store *s);

/* True when the open batch should be sealed: it has reached its number of operations or
 * STORE_BATCH_BYTES_MAX, or it has any and `open_ms` milliseconds have passed since the last seal.
 * False while too many sealed batches wait (the open one then goes on growing). */
bool store_batch_due(const struct store *s, int64_t open_ms);

/* Closes the open batch, even when only the applied index has changed, and gives it to the store
 * thread.  False: there was nothing to give.  While STORE_BATCHES_MAX - 2 sealed batches wait
 * nothing is sealed and false is returned: seal again later. */
bool store_seal(struct store *s);

/* True when the store thread has been given all that was written. */
bool store_all_sealed(const struct store *s);

/* True while what is written but not committed passes STORE_PENDING_BYTES_MAX: apply no more
 * entries until it is false again. */
bool store_must_pause(const struct store *s);

/* ---- views ---- */

struct store_snapshot; /* a read transaction of the file, counted */
struct store_batch;

struct store_view {
    struct store_snapshot *snapshot;
    struct store_batch *batches[STORE_BATCHES_MAX]; /* oldest first */
    uint32_t batches_n;
    uint32_t last_records; /* how many records of the newest batch belong to the view */
};

struct store_record {
    int64_t main;
    int64_t sub;
    bool tombstone;
    struct bytes value; /* an encoded KeyValue; valid as long as the view */
};

/* Apply thread: all that has been written so far.  Also takes over the newest snapshot of the file,
 * so it should be called after every commit, even when nothing was applied: until then pages freed
 * by the commit cannot be used again. */
void store_view_take(struct store *s, struct store_view *ret);
/* The same for a read right now: nothing is taken over or counted.  Valid until the next
 * store_view_take, store_view_release or store_seal. */
void store_view_peek(struct store *s, struct store_view *ret);
/* Apply thread: another store_view_take would give the same. */
bool store_view_is_newest(struct store *s, const struct store_view *v);
void store_view_release(struct store *s, struct store_view *v); /* apply thread */

/* Any thread, on a view that somebody keeps. */
bool store_view_get(const struct store_view *v, int64_t main, int64_t sub, struct bytes *ret);

/* Walks records in ascending order of revision, tombstones too. */
struct store_cursor;
size_t store_cursor_bytes(void);
/* In memory of store_cursor_bytes() that the caller gives and frees; nothing else to free.  Place
 * it with store_cursor_seek, or use store_cursor_get alone. */
struct store_cursor *store_cursor_init(void *mem, const struct store_view *v);
void store_cursor_seek(struct store_cursor *c, int64_t main, int64_t sub); /* first one >= this */
bool store_cursor_next(struct store_cursor *c, struct store_record *ret);  /* false: at the end */
/* The record (main, sub) itself; faster than store_view_get when near the last one asked for. */
bool store_cursor_get(struct store_cursor *c, int64_t main, int64_t sub, struct bytes *ret);

/* A long walk in order touches much of a large file, and what is touched is mapped.  Cursors give
 * those pages back (to the system's cache) after each STORE_WALK_MAPPED_BYTES_MAX. */
#define STORE_WALK_MAPPED_BYTES_MAX (UINT64_C(40) << 20)
#define STORE_SMALL_FILE_BYTES (UINT64_C(64) << 20) /* all of it may stay mapped */

/* ---- reading what is committed ---- */

/* Calls fn for each pair of the bucket in order until it returns non-zero, which is returned.
 * At start, before anything is written; right after store_take_over, on the apply thread; or on the
 * store thread (then: what is committed).  Key and value are borrowed for the call of fn.  A bucket
 * that an old file does not have is empty.  Errors besides are those of bolt. */
typedef int (*store_scan_fn)(void *ctx, struct bytes key, struct bytes value);
NODISCARD int store_scan(struct store *s, enum store_bucket b, store_scan_fn fn, void *ctx,
                         struct err *e);

/* The same of one snapshot, which somebody keeps: any thread. */
NODISCARD int store_snapshot_scan(const struct store_snapshot *sn, enum store_bucket b,
                                  store_scan_fn fn, void *ctx, struct err *e);
bool store_snapshot_get(const struct store_snapshot *sn, enum store_bucket b, struct bytes key,
                        struct bytes *ret);
void store_snapshot_applied(const struct store_snapshot *sn, uint64_t *ret_index,
                            uint64_t *ret_term); /* 0: absent */
/* A key of `meta`, as in the view's snapshot: what its batches say of it is not looked at. */
bool store_view_meta(const struct store_view *v, struct bytes key, struct bytes *ret);

/* ---- the file: store thread ---- */

/* Commits all sealed batches, and with them what a compaction has decided to remove, in one
 * transaction; durable on return.  No batch: 0.
 *
 *   ERR_NO_SPACE   the disk is full: the file is as it was, the batches wait in memory; call again
 *                  later
 *
 * After any other error nobody knows what the disk holds: the process stops.  ERR_IO also when the
 * disk is found full by a write or sync, after room had been asked for. */
NODISCARD int store_commit(struct store *s, struct err *e);

/* For while store_low_on_space says true and nothing is committed: asks the disk again.
 * ERR_NO_SPACE: still full.  After any other error the process stops, as for store_commit. */
NODISCARD int store_ask_room(struct store *s, struct err *e);

/* Physical compaction.  Looks at up to `records` records of bucket `key` from where the step before
 * ended, none above `main_max`, and asks `decide` about each in order of revision.  Those it names
 * leave with the next store_commit, or in a transaction of their own once there are
 * STORE_REMOVALS_MAX (or less, among large records that stay): a sync of the data file keeps the
 * log's waiting, so there should be few.  At the end writes finishedCompactRev = main_max in the
 * same transaction as the last removals and sets *ret_done.  While a defragmentation is under way a
 * step does nothing.
 *
 *   ERR_NO_SPACE                 as for store_commit: step again later
 *   ERR_STORE_BAD_REVISION_KEY   and any other: the process stops, as for store_commit */
enum store_keep {
    STORE_KEEP,
    STORE_REMOVE,
    STORE_STOP, /* not decided yet: the next step asks about the record again */
};

struct store_compact {
    int64_t main_max;
    size_t records;
    enum store_keep (*decide)(void *ctx, const struct store_record *r);
    void *ctx;
    int64_t pos_main; /* where to go on; 0, 0 at first */
    int64_t pos_sub;
    bool at_end; /* all records were looked at */
    uint64_t scanned;
    uint64_t removed;
};
NODISCARD int store_compact_step(struct store *s, struct store_compact *c, bool *ret_done,
                                 struct err *e);

/* Defragmentation: copies the file in steps while commits go on between them, then switches.  One
 * at a time: ERR_AGAIN.  An error (of the disk, of bolt) leaves the old file in use.
 * store_defrag_step copies up to `records` records, or STORE_DEFRAG_STEP_BYTES; the step that sets
 * *ret_done has also synced, renamed and switched. */
struct store_defrag;
NODISCARD int store_defrag_begin(struct store *s, struct store_defrag **ret, struct err *e);
NODISCARD int store_defrag_step(struct store_defrag *d, size_t records, bool *ret_done,
                                struct err *e);
void store_defrag_end(
    struct store_defrag *d); /* frees; before done: gives up and removes the copy */

/* Gives the disk back up to `bytes` of files that others have taken the place of; true: there is
 * more.  Store thread. */
bool store_shed(struct store *s, uint64_t bytes);

/* A consistent copy of the committed file, pulled in pieces.  begin on the store thread (after
 * store_commit); the rest on one thread at a time, any.  Errors are those of bolt: ERR_LIMIT when
 * too many read it, ERR_CORRUPT, ... */
struct store_copy;
NODISCARD int store_copy_begin(struct store *s, struct store_copy **ret, struct err *e);
uint64_t store_copy_bytes(const struct store_copy *c);                        /* in all */
const struct store_snapshot *store_copy_snapshot(const struct store_copy *c); /* what it copies */
NODISCARD int store_copy_read(struct store_copy *c, void *p, size_t n, size_t *ret_n,
                              struct err *e); /* *ret_n 0: at the end */
void store_copy_end(struct store_copy *c);

/* ---- another file in the place of this one ----
 *
 *      store thread                                  apply thread
 *                                                    writes and seals nothing any more
 *      (no compaction, no defragmentation is under way; the new file has been renamed over `path`)
 *      store_replace
 *      store_replacement_view, to read it
 *                                                    store_take_over
 *
 * What was written and not committed is dropped: the new file is ahead of it.  Views, copies and
 * hashes of the old file stay what they are; it is closed with the last of them. */

/* Opens `path` as the new file.  Errors are those of the disk and of bolt: the old one has no name
 * any more, and the process stops. */
NODISCARD int store_replace(struct store *s, struct err *e);
/* Between the two calls, on the store thread. */
void store_replacement_view(const struct store *s, struct store_view *ret);
NODISCARD int store_take_over(struct store *s, struct err *e);

/* What a file that is nobody's yet says it holds: opens it for a moment, any thread.
 * ERR_CORRUPT ...: it is no data file. */
NODISCARD int store_peek_applied(struct disk *d, const char *path, uint64_t *ret_index,
                                 uint64_t *ret_term, struct err *e);

/* Maintenance.Hash over what is committed: CRC-32C of the names of the buckets and of all pairs,
 * but for what of `meta` differs between members.  begin on the store thread, steps anywhere, one
 * thread at a time.  Errors as of a copy. */
struct store_hash;
NODISCARD int store_hash_begin(struct store *s, struct store_hash **ret, struct err *e);
NODISCARD int store_hash_step(struct store_hash *h, size_t records, bool *ret_done, struct err *e);
uint32_t store_hash_result(const struct store_hash *h);
void store_hash_end(struct store_hash *h);

/* ---- numbers: any thread ---- */

uint64_t store_db_size(const struct store *s); /* pages ever used: dbSize, and for the quota */
uint64_t store_db_size_in_use(const struct store *s); /* without the free pages */
uint64_t store_pending_bytes(const struct store *s);  /* written and not committed */
uint64_t store_commits(const struct store *s);
/* True while the disk refuses the data file the room it will need next, and while batches wait for
 * room: no new data should be taken. */
bool store_low_on_space(const struct store *s);
uint32_t store_snapshots_open(const struct store *s); /* held by views, copies and hashes */
/* Since when a snapshot that is not the newest is open: what it shows cannot be used again. 0:
 * there is none.  On the clock of store_config. */
int64_t store_held_since_ns(const struct store *s);
uint64_t store_held_bytes(const struct store *s); /* pages that wait for such snapshots */
/* Store thread: the parts of the last commit. */
struct store_commit_times {
    int64_t rebalance_ns;
    int64_t spill_ns;
    int64_t write_ns;
};
void store_last_commit(struct store *s, struct store_commit_times *ret);

/* ---- revision keys ---- */

#define STORE_REV_KEY_BYTES_MAX 18

size_t store_rev_key_put(uint8_t p[STORE_REV_KEY_BYTES_MAX], int64_t main, int64_t sub,
                         bool tombstone); /* its length */
/* False: not a revision key (then the file is damaged). */
bool store_rev_key_get(struct bytes key, int64_t *ret_main, int64_t *ret_sub, bool *ret_tombstone);

#endif
