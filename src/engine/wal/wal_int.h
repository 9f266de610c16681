/* wal_int.h -- what the files of this folder share.  The numbered invariants are in README.md. */
#ifndef KETCH_ENGINE_WAL_WAL_INT_H
#define KETCH_ENGINE_WAL_WAL_INT_H

#include <stdatomic.h>

#include "engine/wal/wal.h"

#define WAL__PATH_BYTES 4096
#define WAL__NAME_BYTES 64 /* of a file name in the log's directory, NUL included */
#define WAL__FRAME_ALIGN 8
#define WAL__SECTOR_BYTES 512     /* what a disk writes whole or not at all */
#define WAL__BLOCK_BYTES 4096     /* what is written past the page cache is a multiple of this */
#define WAL__ZEROS_BYTES 262144   /* written at once ahead of the log's end */
#define WAL__ZEROS_BATCH_MAX 8192 /* a longer batch pays for metadata sooner than for zeros */
#define WAL__ZEROS_AFTER 8u       /* batches not longer than that in a row */
#define WAL__BUF_BYTES 1048576    /* frames gathered before one write */
#define WAL__COPY_BYTES_MAX 4096  /* longer entry data is written from where it lies */
#define WAL__PIECES 128           /* of one write */
#define WAL__FILE_MODE 0600
#define WAL__DIR_MODE 0700
#define WAL__PREPARED_NAME "0.tmp"   /* made ahead by wal_prepare */
#define WAL__UNPREPARED_NAME "1.tmp" /* made by a cut that found none ready */

#define WAL__END 1 /* not an error: no more records here */

_Static_assert(WAL__BUF_BYTES % WAL__BLOCK_BYTES == 0, "a full buffer is whole blocks");
_Static_assert(WAL__ZEROS_BYTES % WAL__BLOCK_BYTES == 0, "so are the zeros");
_Static_assert(WAL__COPY_BYTES_MAX * 16 <= WAL__BUF_BYTES, "the buffer takes many small records");
_Static_assert(WAL__NAME_BYTES >= 16 + 1 + 16 + 4 + 7 + 1, "a name and its .broken fit");

/* Never written: a source of zeros. */
extern uint8_t wal__zeros[WAL__ZEROS_BYTES];

/* ---- segment.c: names and files ---- */

struct wal__name {
    uint64_t seq;
    raft_index index; /* that the first entry in it will have */
};

struct wal__names {
    struct wal__name *v; /* by sequence */
    size_t n;
};

bool wal__name_parse(const char *s, struct wal__name *ret);
void wal__name_format(struct wal__name x, char ret[WAL__NAME_BYTES]);
NODISCARD int wal__path(const char *dir, const char *name, char ret[WAL__PATH_BYTES],
                        struct err *e);

/* All segments; whatever else lies there is passed over.  ERR_NOT_FOUND when there is none. */
NODISCARD int wal__names_list(struct disk *d, const char *dir, struct wal__names *ret,
                              struct err *e);
void wal__names_done(struct wal__names *x);

/* Where to begin so that every entry behind `index` is met.  From there on sequence numbers must
 * be consecutive. */
NODISCARD int wal__names_from(const struct wal__names *x, raft_index index, size_t *ret_first,
                              struct err *e);

/* An empty, locked segment with room for all of it, under a temporary name. */
NODISCARD int wal__segment_make(struct disk *d, const char *dir, const char *name,
                                uint64_t segment_bytes, struct file **ret, struct err *e);

/* Room up to `end` without changing what is there. */
NODISCARD int wal__allocate(struct file *f, uint64_t end, struct err *e);

/* ---- encoder.c: records into frames ---- */

/* Gathers frames and writes them to one file.
 *
 * With `direct` set, buf begins where a block of the file does: its first `kept` bytes are the
 * block's that are written already, and a write is buf up to the next block's end, zeros included.
 * Without, frames are written from where they lie, entry data as pieces of their own.
 *
 * Invariant W1: crc covers exactly the data of all records encoded so far. */
struct wal__encoder {
    struct file *file;
    struct file *direct; /* the same file, past the page cache; NULL where that cannot be */
    uint64_t off;        /* where the next write goes */
    uint64_t synced_end; /* everything before is durable */
    uint64_t zeroed_end; /* the file is written, not only allocated, up to here */
    unsigned small_run;  /* batches of at most WAL__ZEROS_BATCH_MAX since the last longer one */
    uint64_t zero_limit; /* no zeros are written ahead behind this */
    uint32_t crc;
    uint8_t *mem; /* buf lies in it, at a block's boundary */
    uint8_t *buf; /* WAL__BUF_BYTES */
    size_t buf_n;
    size_t kept;
    size_t run; /* where in buf the piece that is being filled begins */
    struct bytes pieces[WAL__PIECES];
    size_t pieces_n;
    uint64_t bytes_written;
};

NODISCARD bool wal__encoder_init(struct wal__encoder *x); /* false: no memory */
void wal__encoder_done(struct wal__encoder *x);

NODISCARD int wal__encode_crc(struct wal__encoder *x, struct err *e);
NODISCARD int wal__encode_data(struct wal__encoder *x, enum wal_record_type type, struct bytes data,
                               struct err *e);
NODISCARD int wal__encode_entry(struct wal__encoder *x, const struct raft_entry *en, struct err *e);
NODISCARD int wal__encode_state(struct wal__encoder *x, const struct raft_hard_state *s,
                                struct err *e);
NODISCARD int wal__encode_snapshot(struct wal__encoder *x, const struct wal_snapshot *s,
                                   struct err *e);
/* Writes all that is gathered; off is then the end of the last frame. */
NODISCARD int wal__encoder_flush(struct wal__encoder *x, struct err *e);
/* True when one write can make durable whatever is not yet. */
bool wal__encoder_can_flush_durable(const struct wal__encoder *x);
NODISCARD int wal__encoder_flush_durable(struct wal__encoder *x, struct err *e);

/* direct.c: from here on past the page cache if the file system can; up to `off` all is durable. */
NODISCARD int wal__direct_begin(struct wal__encoder *x, struct disk *d, const char *path,
                                struct err *e);
void wal__direct_end(struct wal__encoder *x);

size_t wal__metadata_put(const struct wal_metadata *m, uint8_t ret[32]);

/* ---- decoder.c: frames into records ---- */

struct wal__decoder {
    struct file *file;
    const char *name; /* of the segment, for messages; borrowed */
    uint64_t file_bytes;
    uint64_t off; /* of the next frame: all before it is good */
    uint32_t crc;
    bool last;    /* of the log's segments: only there a torn record is possible */
    bool lenient; /* a wrong checksum is marked in the record and passed over */
    uint8_t *buf;
    size_t cap;
    uint64_t window_off; /* buf holds [window_off, window_off + window_n) of the file */
    size_t window_n;
};

void wal__decoder_init(struct wal__decoder *x);
void wal__decoder_done(struct wal__decoder *x);

/* Goes on at the start of a file, with the running checksum. */
NODISCARD int wal__decoder_begin(struct wal__decoder *x, struct file *f, const char *name,
                                 bool last, struct err *e);
/* Forgets what was read ahead and looks at the file's length again: it may have grown. */
NODISCARD int wal__decoder_refresh(struct wal__decoder *x, struct err *e);

/* 0 and a record, whose data is valid until the next call; WAL__END; ERR_WAL_TORN; ERR_CORRUPT. */
NODISCARD int wal__decoder_next(struct wal__decoder *x, struct wal_record *ret, struct err *e);

/* ---- scan.c: records across segments ---- */

struct wal__scan {
    struct disk *disk;
    const char *dir;
    struct wal__names names;
    size_t at;         /* index of the open segment in names */
    struct file *file; /* NULL: none open */
    char name[WAL__NAME_BYTES];
    struct wal__decoder decoder;
};

void wal__scan_init(struct wal__scan *s, struct disk *d, const char *dir);
void wal__scan_done(struct wal__scan *s);
/* Before the first record of the segment to begin with for `index`. */
NODISCARD int wal__scan_begin(struct wal__scan *s, raft_index index, struct err *e);
NODISCARD int wal__scan_begin_oldest(struct wal__scan *s, struct err *e);
/* There.  ERR_WAL_NO_SEGMENT: its segment is gone. */
NODISCARD int wal__scan_begin_at(struct wal__scan *s, const struct wal_position *at, struct err *e);
/* The same, past wrong checksums and missing segments. */
NODISCARD int wal__scan_begin_raw(struct wal__scan *s, struct err *e);
/* As wal__decoder_next, over all segments. */
NODISCARD int wal__scan_next(struct wal__scan *s, struct wal_record *ret, struct err *e);

/* ---- contents.c: records into what raft needs ---- */

/* Entries are copied into shared blocks, so that thousands of them cost few allocations. */
struct wal__block {
    struct payload *p;
    size_t used;
};

NODISCARD int wal__entries_add(struct wal_entries *x, struct wal__block *b,
                               const struct raft_entry *en, struct err *e);
void wal__entries_cut(struct wal_entries *x, size_t n); /* keeps the first n */

struct wal__collector {
    raft_index start_index;
    raft_term start_term;
    struct wal_contents c;
    struct wal__block block;
    uint8_t metadata[64]; /* as it was read: written again at the head of each segment */
    size_t metadata_n;
    raft_index last_index;
};

void wal__collector_init(struct wal__collector *x, raft_index index, raft_term term);
void wal__collector_done(struct wal__collector *x);
NODISCARD int wal__collect(struct wal__collector *x, const struct wal_record *rec, struct err *e);
NODISCARD int wal__collector_end(struct wal__collector *x, struct err *e);

/* ---- wal.c ---- */

struct wal__segment {
    struct wal__name name;
    struct file *file; /* locked */
};

enum wal__prepared { WAL__NONE_PREPARED, WAL__PREPARING, WAL__PREPARED };

/* Invariants W2 to W5 of README.md. */
struct wal {
    struct disk *disk;
    char *dir;
    uint64_t segment_bytes;
    uint64_t room_end; /* of the last segment: up to here the disk has given room */
    struct wal_observer observer;
    uint8_t metadata[64];
    size_t metadata_n;
    struct wal__segment *segments; /* oldest first; the last one is written to */
    size_t segments_n;
    struct wal__encoder enc;
    struct raft_hard_state state; /* last written */
    raft_index last_index;        /* of the last entry or newer marker written */
    raft_index durable_index;
    bool unsynced;
    int poison; /* the code of the failure, 0 while there was none */
    struct wal_stats stats;
    /* Between the WAL thread and wal_prepare: the file belongs to the helper while PREPARING, to
     * the WAL thread while PREPARED. */
    _Atomic int prepared;
    struct file *prepared_file;
};

NODISCARD int wal__new(const struct wal_options *o, struct wal **ret, struct err *e);
void wal__check(const struct wal *w);
NODISCARD int wal__segments_add(struct wal *w, struct wal__name name, struct file *f,
                                struct err *e);
NODISCARD int wal__write_head(struct wal *w, struct err *e);
NODISCARD int wal__sync(struct wal *w, enum file_sync_kind kind, struct err *e);
/* The last segment is written past the page cache from now on. */
NODISCARD int wal__go_direct(struct wal *w, struct err *e);

static inline struct wal__segment *wal__tail(struct wal *w)
{
    ASSERT(w->segments_n > 0);
    return &w->segments[w->segments_n - 1];
}

static inline bool wal__state_empty(const struct raft_hard_state *s)
{
    return s->term == 0 && s->vote == 0 && s->commit == 0;
}

/* Ends the current segment and begins the next; between batches. */
NODISCARD int wal__cut(struct wal *w, struct err *e);

/* ---- room.c ---- */

/* Room on the disk for the batch.  ERR_NO_SPACE: refused, nothing has changed. */
NODISCARD int wal__make_room(struct wal *w, const struct wal_save *saves, size_t n, struct err *e);

/* ---- repair.c ---- */

/* Copies the file to NAME.broken, synced. */
NODISCARD int wal__keep_broken(struct disk *d, const char *dir, const char *name, struct file *f,
                               char ret_broken[WAL__NAME_BYTES], struct err *e);

/* Writes [0, end) of the segment anew, drops what is behind, allocates up to `room`, and syncs. */
NODISCARD int wal__rewrite(struct file *f, uint64_t end, uint64_t room, struct err *e);

#endif
