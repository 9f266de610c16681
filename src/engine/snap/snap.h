/* snap.h -- the snapshot directory: TERM-INDEX.snap files, and databases received from a leader.
 *
 * A .snap file holds one raftpb.Snapshot behind a checksum; its payload is the membership in the
 * JSON of etcd's v2 store, which members of 3.5 and 3.6 need (snap_v2_write makes it).  The
 * database itself is not in it: a leader's database arrives as a stream, becomes INDEX.snap.db, and
 * is renamed over `db` when its raft snapshot is applied.  docs/formats/snap.md has the bytes.
 *
 * Promises.  A file that snap_save or snap_db_commit has finished is whole, synced, and named
 * durably.  A .snap file counts only when the write-ahead log has a marker for it, so the order is:
 * snap_save, then the marker.  A damaged .snap file is set aside as NAME.broken, never deleted.
 *
 * Threads: any, one at a time per directory.  Nothing here reads a clock.
 * Memory: everything passed in is borrowed for the call; a struct snap_db is the caller's until it
 * is committed or aborted.
 *
 * Errors, unless a function says otherwise: those of sys/disk.h, ERR_NOMEM, and ERR_LIMIT for a
 * path beyond SNAP_PATH_BYTES.
 */
#ifndef KETCH_ENGINE_SNAP_SNAP_H
#define KETCH_ENGINE_SNAP_SNAP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "sys/disk.h"
#include "wire/raftpb.h"

/* Of a .snap file; real ones are a few KB.  But etcd, and so Ketch, takes from its clients members
 * with URLs of megabytes, and a byte of a URL may be seven of the payload. */
#define SNAP_FILE_BYTES_MAX ((size_t) 1 << 30)
#define SNAP_PATH_BYTES 4096
/* Received between two calls to write back: little enough that a sync of the log, which waits for
 * what is ahead of it, hardly notices. */
#define SNAP_DB_WRITE_BACK_BYTES ((uint64_t) 512 << 10)
/* Of the membership payload: all of a file but its frame and its ids of members. */
#define SNAP_V2_BYTES_MAX (SNAP_FILE_BYTES_MAX - ((size_t) 1 << 20))

/* ---- .snap files ---- */

struct snap_position {
    raft_index index;
    raft_term term;
};

/* Writes TERM-INDEX.snap and syncs file and directory.  meta.index > 0, data not empty.
 *   ERR_NO_SPACE, ERR_NOMEM, ERR_AGAIN (no descriptor)   nothing is left of it, and it may be tried
 *                                                        again */
NODISCARD int snap_save(struct disk *d, const char *dir, const struct raft_snapshot *s,
                        struct err *e);

/* One file.  Data and lists are in the arena.
 *   ERR_CORRUPT   empty, malformed, or another checksum
 *   ERR_LIMIT     longer than SNAP_FILE_BYTES_MAX, or more members than wire/raftpb.h allows
 *   ERR_NOT_FOUND, ERR_NOMEM (the arena too), ERR_IO */
NODISCARD int snap_read(struct disk *d, const char *path, struct arena *a,
                        struct raft_snapshot *ret, struct err *e);

/* The newest readable .snap file that is one of the valid positions (those of the log's markers).
 * Damaged files that were met on the way are renamed to NAME.broken; *ret_broken counts them.
 *   ERR_NOT_FOUND   there is none */
NODISCARD int snap_load_newest(struct disk *d, const char *dir, const struct snap_position *valid,
                               size_t valid_n, struct arena *a, struct raft_snapshot *ret,
                               size_t *ret_broken, struct err *e);

/* Keeps the newest `keep` files that end in "snap".  Received databases go by snap_db_release
 * alone: how many there are says nothing of which is still to be installed. */
NODISCARD int snap_purge(struct disk *d, const char *dir, size_t keep, size_t *ret_removed,
                         struct err *e);

/* At start: removes what unfinished receiving (tmp*) and defragmenting (db.tmp*) left behind. */
NODISCARD int snap_clean(struct disk *d, const char *dir, struct err *e);

/* ---- databases received from a leader ---- */

struct snap_db;

/* `unique` makes the temporary name: two receptions at once need different ones, ERR_EXISTS. */
NODISCARD int snap_db_begin(struct disk *d, const char *dir, uint64_t unique, struct snap_db **ret,
                            struct err *e);
/* Appends n bytes.  The disk is kept at work all the time, so that the sync at the end finds little
 * to do.  After an error the reception is to be aborted; likewise below. */
NODISCARD int snap_db_write(struct snap_db *s, const void *p, size_t n, struct err *e);
uint64_t snap_db_bytes(const struct snap_db *s); /* written so far */
/* Where it lies until it is committed, for who wants to look at it first; borrowed from s. */
const char *snap_db_path(const struct snap_db *s);
NODISCARD int snap_db_sync(struct snap_db *s, struct err *e);

/* Syncs and names it INDEX.snap.db.  Frees s in any case; on failure the file is removed. */
NODISCARD int snap_db_commit(struct snap_db *s, raft_index index, struct err *e);
void snap_db_abort(struct snap_db *s); /* frees s and removes the file; NULL is accepted */

bool snap_db_exists(struct disk *d, const char *dir, raft_index index);

/* Renames INDEX.snap.db over DIR/db, durably.  ERR_NOT_FOUND when it is not there. */
NODISCARD int snap_db_install(struct disk *d, const char *dir, raft_index index, struct err *e);

/* Removes INDEX.snap.db files older than `index`: after each snapshot on disk, and at start. */
NODISCARD int snap_db_release(struct disk *d, const char *dir, raft_index index, struct err *e);

/* ---- the payload: membership as etcd's v2 store ---- */

struct snap_v2_member {
    uint64_t id;
    const char *const *peer_urls;
    size_t peer_urls_n;
    bool is_learner;
    const char *name; /* with no name and no client URLs the member has not published itself */
    const char *const *client_urls;
    size_t client_urls_n;
};

struct snap_v2_membership {
    const struct snap_v2_member *members;
    size_t members_n;
    const uint64_t *removed;
    size_t removed_n;
    const char *cluster_version; /* "3.6.0"; NULL: undecided */
    raft_index index;
};

/* Appends the JSON.  Strings must be UTF-8; what Go's encoder escapes is escaped.  False when the
 * buffer refuses. */
bool snap_v2_write(const struct snap_v2_membership *m, struct buf *out);

#endif
