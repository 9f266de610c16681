/* wal.h -- the write-ahead log: what raft must find again after a crash, in etcd's segment files.
 *
 * A log is a directory of segments, SEQ-INDEX.wal, each a row of checksummed records: metadata,
 * entries, hard states, snapshot markers. The checksum runs through all segments. What is written
 * is what etcd 3.7 writes; what is read is all that 3.5 to 3.7 write. docs/formats/wal.md has the
 * bytes.
 *
 * Promises.  When wal_append_batch has returned 0, everything in it up to wal_durable_index is on
 * disk. A record is never changed afterwards. A tail torn by a crash is cut off at the next open,
 * with a copy kept; any other damage makes opening fail, naming file and offset.
 *
 * Failure.  After a failed write or sync nobody knows what the disk holds: the log is poisoned,
 * every later append fails with ERR_WAL_POISONED, and the process should stop.
 *
 * Threads.  A struct wal belongs to one thread (the WAL thread), but for two calls: wal_prepare,
 * which one helper thread may run at the same time, and wal_wants_prepare, which any thread may.
 * The functions without a struct wal may be called from anywhere.
 * Memory.  Everything passed in is borrowed for the call.  Entries that are handed out own their
 * data (raft_entry.owner); see struct wal_entries.
 */
#ifndef KETCH_ENGINE_WAL_WAL_H
#define KETCH_ENGINE_WAL_WAL_H

#include "base/arena.h"
#include "base/err.h"
#include "sys/disk.h"
#include "wire/raftpb.h"

#define WAL_ERR_MAP(X)                                                                   \
    X(WAL_POISONED, -200, "the log failed before and takes no more")                     \
    X(WAL_TORN, -201, "torn record at the end of the log")                               \
    X(WAL_NO_SEGMENT, -202, "no segment holds the wanted index")                         \
    X(WAL_SNAPSHOT_MISMATCH, -203, "a snapshot record has another term than was wanted") \
    X(WAL_SNAPSHOT_NOT_FOUND, -204, "the log has no record of the wanted snapshot")      \
    X(WAL_METADATA_MISMATCH, -205, "the segments carry different metadata")

enum wal_err {
#define X(name, code, text) ERR_##name = code,
    WAL_ERR_MAP(X)
#undef X
};

#define WAL_SEGMENT_BYTES 64000000 /* a segment that has reached this is cut; etcd's number */
#define WAL_RECORD_BYTES_MAX (UINT64_C(1) << 30) /* no record is longer, whatever a file says */
#define WAL_STAMP_BYTES 22                       /* of "YYYYMMDD.HHMMSS.ffffff", without the NUL */

/* Who the log belongs to. */
struct wal_metadata {
    uint64_t node_id;
    uint64_t cluster_id;
};

/* A marker: a snapshot up to `index` exists.  conf_state is written when index > 0. */
struct wal_snapshot {
    raft_index index;
    raft_term term;
    struct raft_conf_state conf_state;
    bool has_conf_state; /* when read: files older than 3.5 have none */
};

/* Entries in order of index, owned: each holds a reference on the block with its data. */
struct wal_entries {
    struct raft_entry *v;
    size_t n;
    size_t cap;
    size_t bytes; /* of data */
};

void wal_entries_done(struct wal_entries *x); /* drops the references; x is empty afterwards */

/* What a log holds behind a snapshot. */
struct wal_contents {
    struct wal_metadata metadata;
    struct raft_hard_state hard_state; /* the last one; zero when there is none */
    struct wal_entries entries;        /* index wanted+1, wanted+2, ... */
    bool snapshot_found;               /* the wanted snapshot has its record */
    bool repaired;                     /* a torn tail was cut off; the file was copied before */
    char broken_name[64];              /* repaired: the copy's name inside the log's directory */
};

void wal_contents_done(struct wal_contents *c);

/* A place between two records.  The records of all entries above `last` that count, those that no
 * later record replaces, lie behind it. */
struct wal_position {
    uint64_t seq; /* of the segment; 0 is a number, too */
    uint64_t off; /* in it, of the next frame; 0: no position */
    uint32_t crc; /* the running checksum up to there */
    raft_index last;
};

/* Called before and after each fdatasync on the log's path, so that the owner can time it. */
struct wal_observer {
    void (*sync_begin)(void *arg);
    void (*sync_end)(void *arg);
    void *arg;
};

struct wal_options {
    struct disk *disk;
    const char *dir;              /* DATA/member/wal */
    uint64_t segment_bytes;       /* 0: WAL_SEGMENT_BYTES */
    struct wal_observer observer; /* may be all NULL */
};

struct wal_stats {
    uint64_t batches;
    uint64_t bytes_written; /* frames, without the zeros written ahead */
    uint64_t syncs;
    uint64_t cuts;
    uint64_t cuts_unprepared; /* cuts that had to make their segment themselves */
};

struct wal;

/* ---- making and opening ---- */

/* True when the directory exists and has at least one segment. */
bool wal_exists(struct disk *d, const char *dir);

/* A new log that holds metadata and the marker of the empty snapshot, durable when this returns.
 * It is made as DIR.tmp and renamed; what is left of an earlier try is removed.  `stamp` (see
 * WAL_STAMP_BYTES; the log reads no clock) names the directory, DIR.broken.STAMP, to which a log
 * is moved when the last steps fail.
 *   ERR_EXISTS   the directory is there already
 *   ERR_LIMIT    its path is too long
 *   ERR_NOMEM, ERR_NO_SPACE, and what sys/disk.h has */
NODISCARD int wal_create(const struct wal_options *o, const struct wal_metadata *m,
                         const char *stamp, struct wal **ret, struct err *e);

/* Opens for appending, behind the snapshot (index, term); index 0 is the beginning.  Locks the
 * segments it needs, reads them to the end, cuts off a torn tail, and then writes the last segment
 * anew and syncs it: what was read may have been in the page cache only.
 *   ERR_NOT_FOUND, ERR_WAL_NO_SEGMENT   no directory; no segment for that index
 *   ERR_LOCKED                          another process has it open
 *   ERR_CORRUPT                         damage that is not a torn tail; the message has file and
 *                                       offset; nothing was changed
 *   ERR_WAL_SNAPSHOT_MISMATCH, ERR_WAL_METADATA_MISMATCH, ERR_IO, ERR_NOMEM, ERR_LIMIT
 * A missing record of the snapshot is not an error here: see wal_contents.snapshot_found. */
NODISCARD int wal_open(const struct wal_options *o, raft_index index, raft_term term,
                       struct wal_contents *ret_contents, struct wal **ret, struct err *e);

/* Reads without locking or changing anything, also beside a running member: a torn tail counts as
 * the end.  As wal_open, but ERR_WAL_SNAPSHOT_NOT_FOUND when the snapshot has no record.  What
 * comes out, here and there, ends with wal_contents_done. */
NODISCARD int wal_read(struct disk *d, const char *dir, raft_index index, raft_term term,
                       struct wal_contents *ret, struct err *e);

/* The snapshots at which the log may be opened: those with a record, and an index not above the
 * commit index of the last hard state.  Oldest first; memory from the arena.  Errors as of
 * wal_read: ERR_NOT_FOUND, ERR_CORRUPT, ERR_NOMEM (the arena too), ... */
NODISCARD int wal_valid_snapshots(struct disk *d, const char *dir, struct arena *a,
                                  struct wal_snapshot **ret, size_t *ret_n, struct err *e);

/* The newest of them, or a zero one.  Reads no more of the log, from its end, than it takes to find
 * it; damage before that is not seen.  Errors likewise. */
NODISCARD int wal_newest_snapshot(struct disk *d, const char *dir, struct arena *a,
                                  struct wal_snapshot *ret, struct err *e);

/* Closes and unlocks.  wal_prepare must not be running.  NULL is accepted. */
void wal_close(struct wal *w);

/* ---- appending ---- */

/* What one step of raft has to be kept: first the marker, then the entries, then the state. */
struct wal_save {
    const struct wal_snapshot *snapshot; /* NULL: none */
    const struct raft_entry *entries;
    size_t entries_n;
    const struct raft_hard_state *hard_state; /* NULL: unchanged */
};

/* Writes all saves, in order, and syncs once at the end if any of them needs it: one that has
 * entries, a marker, or another term or vote than was saved last.  (A rise of the commit index
 * alone is written but not synced; it may be lost, which raft allows.)  Of several hard states in
 * one batch only the last is written.  Cuts the segment when it is full.
 *
 * Indices of entries are > 0 and, within a save, consecutive; terms do not fall.  No allocation,
 * but for a marker's record and for a cut; large entry data is written from where it lies.
 *   ERR_NO_SPACE                the disk has no room for the batch: nothing was written, nothing
 *                               has changed, and it may be tried again
 *   ERR_WAL_POISONED, ERR_IO    the log is poisoned; how much was kept is unknown
 *   ERR_LIMIT, ERR_NOMEM        likewise: an entry of more than half of WAL_RECORD_BYTES_MAX; no
 *                               memory for a marker or a cut */
NODISCARD int wal_append_batch(struct wal *w, const struct wal_save *saves, size_t n,
                               struct err *e);

/* Syncs what was written without a sync (before a clean stop; wal_close does not).  After an error,
 * ERR_WAL_POISONED or one of the disk's, the log is poisoned. */
NODISCARD int wal_sync(struct wal *w, struct err *e);

/* The last entry (or marker) that is known to be on disk. */
raft_index wal_durable_index(const struct wal *w);

/* Where the log ends after an append: for readers.  WAL thread. */
struct wal_position wal_position(struct wal *w);

void wal_stats(const struct wal *w, struct wal_stats *ret);

/* ---- segments ---- */

/* True when no next segment is ready.  Any thread. */
bool wal_wants_prepare(const struct wal *w);

/* Makes the next segment: allocated, written with zeros and synced, so that later fdatasyncs have
 * no metadata to write.  For a helper thread; takes as long as writing a segment does.  Does
 * nothing when one is ready.  An error (ERR_NO_SPACE ...) harms nothing: a cut that finds no
 * segment ready makes one itself. */
NODISCARD int wal_prepare(struct wal *w, struct err *e);

/* What can still be written to the present segment in the room that it has.  WAL thread. */
uint64_t wal_room_bytes(const struct wal *w);

/* Entries up to `index` are in a snapshot on disk: unlocks the segments that are no longer needed
 * to start from there, so that wal_purge (or etcd's) may remove them. */
void wal_release_to(struct wal *w, raft_index index);

/* Removes the oldest segment, durably, if more than `keep` (> 0) are there and its lock can be had.
 * *ret: its file, owned by the caller: large, so file_shed may go before file_close; or NULL, none
 * was removed.  Errors are the disk's: nothing was removed, or nobody knows whether durably. */
NODISCARD int wal_purge(struct disk *d, const char *dir, size_t keep, struct file **ret,
                        struct err *e);

/* ---- reading back ---- */

/* Reads entries for followers that are further behind than memory reaches, while the log is being
 * written.  Remembers where it stopped, so that reading on is cheap.  One thread at a time. */
struct wal_reader;

/* Reads nothing yet.  `dir` is copied.  ERR_NOMEM. */
NODISCARD int wal_reader_open(struct disk *d, const char *dir, struct wal_reader **ret,
                              struct err *e);
void wal_reader_close(struct wal_reader *r); /* NULL is accepted */

/* A reading that cannot go on where the last one stopped begins at `at` (with off 0, and when its
 * segment is gone: at the segment that has the first entry, which may be 64 MB further back).  `at`
 * is a position of this log that counts for what is read then: at.last < lo. */
void wal_reader_near(struct wal_reader *r, const struct wal_position *at);

/* Entries [lo, hi), 0 < lo < hi, or fewer: it stops once their data exceeds bytes_max, but gives at
 * least one.  Only entries that the log itself shows to be committed are given, since others may
 * yet be replaced.  They end with wal_entries_done.
 *   ERR_NOT_FOUND   lo is older than the oldest segment, or not (yet) known to be committed
 *   ERR_CORRUPT     damage
 *   ERR_NOMEM, ERR_IO, ... */
NODISCARD int wal_reader_entries(struct wal_reader *r, raft_index lo, raft_index hi,
                                 size_t bytes_max, struct wal_entries *ret, struct err *e);

/* ---- records one by one, for tools ---- */

enum wal_record_type {
    WAL_RECORD_METADATA = 1,
    WAL_RECORD_ENTRY = 2,
    WAL_RECORD_STATE = 3,
    WAL_RECORD_CRC = 4,
    WAL_RECORD_SNAPSHOT = 5,
};

struct wal_record {
    enum wal_record_type type;
    uint32_t crc;
    struct bytes data;   /* valid during the call */
    const char *segment; /* file name */
    uint64_t offset;     /* of the frame in it */
    bool crc_differs;    /* wal_visit_raw: the running checksum is another one */
};

/* Calls fn for every record from the segment that holds `index` on (0: from the oldest one),
 * checksums verified, until it returns other than 0 (which is then returned).  Read-only; *ret_torn
 * tells whether the log ended in a torn record.  Errors of its own are those of wal_open. */
NODISCARD int wal_visit(struct disk *d, const char *dir, raft_index index,
                        int (*fn)(void *arg, const struct wal_record *rec, struct err *e),
                        void *arg, bool *ret_torn, struct err *e);

/* As wal_visit, over all segments that are there, whether their numbers are consecutive or not, and
 * past records whose checksum is wrong (crc_differs tells): to see what a damaged log still holds.
 */
NODISCARD int wal_visit_raw(struct disk *d, const char *dir,
                            int (*fn)(void *arg, const struct wal_record *rec, struct err *e),
                            void *arg, bool *ret_torn, struct err *e);

/* The parts of a record's data; lists are in the arena.  ERR_CORRUPT: malformed; ERR_LIMIT and
 * ERR_NOMEM as of wire/raftpb.h. */
NODISCARD int wal_metadata_get(struct bytes in, struct wal_metadata *ret, struct err *e);
NODISCARD int wal_snapshot_get(struct bytes in, struct arena *a, struct wal_snapshot *ret,
                               struct err *e);

#endif
