/* store_int.h -- private to state/store. */
#ifndef KETCH_STATE_STORE_INT_H
#define KETCH_STATE_STORE_INT_H

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/list.h"
#include "base/mpsc.h"
#include "engine/bolt/bolt.h"
#include "state/store/store.h"

/* ---- a batch: what was written between two seals ---- */

/* A record of bucket `key`.  Its revision key and its value lie side by side in the batch's arena,
 * so that bolt can borrow both. */
struct batch_record {
    int64_t main;
    uint32_t sub;
    uint32_t value_bytes;
    const uint8_t *raw_key; /* raw_key_bytes of it, then the value */
    uint32_t raw_key_bytes;
};

/* A change of a small bucket. */
struct batch_op {
    enum store_bucket bucket;
    bool deletes;
    struct bytes key;
    struct bytes value;
};

#define BATCH_SEGMENT_0 256u /* records in the first segment; each next one has twice as many */
#define BATCH_SEGMENTS 22

/* Invariants:
 *   B1  records are in ascending order of (main, sub), also across batches;
 *   B2  records below the count that a view carries never change or move: segments are only added;
 *   B3  after store_seal nothing changes but `refs` and the queue's link. */
struct store_batch {
    struct mpsc_node sealed_link; /* in store.sealed */
    struct list link;             /* in store.batches: not yet in the adopted snapshot */
    uint32_t refs;                /* apply thread only: store.batches, and each view */
    uint64_t seq;                 /* 1, 2, ... in order of sealing */
    struct arena arena;           /* keys and values */
    struct batch_record *segments[BATCH_SEGMENTS];
    uint32_t records;
    struct batch_op *ops;
    size_t ops_n;
    size_t ops_cap;
    uint64_t bytes; /* for the limit on what is pending */
    uint64_t applied_index;
    uint64_t applied_term;
};

struct store_batch *batch_new(void);
void batch_unref(struct store_batch *b);
struct batch_record *batch_add_record(struct store_batch *b);
void batch_add_op(struct store_batch *b, enum store_bucket bucket, struct bytes key,
                  const struct bytes *value);
uint8_t *batch_alloc(struct store_batch *b, size_t n);

static inline const struct batch_record *batch_record_at(const struct store_batch *b, uint32_t i)
{
    uint32_t k = (uint32_t) (31 - __builtin_clz(i / BATCH_SEGMENT_0 + 1));

    return &b->segments[k][i - BATCH_SEGMENT_0 * ((1u << k) - 1)];
}

static inline struct bytes batch_record_value(const struct batch_record *r)
{
    return bytes_of(r->raw_key + r->raw_key_bytes, r->value_bytes);
}

/* The first of the n records that is >= (main, sub); n when there is none. */
uint32_t batch_lower_bound(const struct store_batch *b, uint32_t n, int64_t main, int64_t sub);

/* ---- the file and its snapshots ---- */

/* One opened file; defragmentation replaces it by another.  Closed with the last reference. */
struct store_file {
    struct bolt_db *db;
    _Atomic uint32_t refs; /* the store, snapshots, copies, hashes */
    bool replaced;         /* another file has its name, durably */
};

/* A read transaction that views share.  `refs` belongs to the apply thread; at zero the snapshot
 * goes to store.dead, and the store thread ends the transaction. */
struct store_snapshot {
    struct mpsc_node dead_link;
    struct list link;      /* in store.snapshots */
    int64_t superseded_ns; /* when the next one was made; 0: it is the newest */
    struct store *store;
    struct store_file *file;
    struct bolt_tx *tx;
    struct bolt_bucket key_bucket;
    uint64_t batch_seq; /* batches up to this one are in it */
    uint32_t refs;
};

/* Keys of records that a compaction has decided to remove: they go with the next commit (S4). */
struct removals {
    struct removal {
        uint8_t key[STORE_REV_KEY_BYTES_MAX];
        uint8_t n;
    } * v;
    size_t n;
    size_t cap;
    uint64_t kept_bytes; /* of records beside them, which the commit copies */
};

struct store {
    struct store_config cfg;
    char *path;
    char *dir;

    /* Apply thread. */
    struct store_batch *open;
    struct list batches; /* sealed, oldest first, not in `snapshot` */
    uint32_t batches_n;
    struct store_snapshot *snapshot; /* adopted; one reference */
    uint64_t next_seq;
    int64_t last_main; /* newest record written: B1 */
    int64_t last_sub;
    uint64_t applied_index;
    uint64_t applied_term;
    uint64_t sealed_index; /* applied index of the newest sealed batch */

    /* Between the threads. */
    struct mpsc sealed;                     /* apply -> store */
    struct mpsc dead;                       /* any -> store: snapshots to end */
    _Atomic(struct store_snapshot *) fresh; /* store -> apply: newest, not adopted yet */
    struct store_snapshot *replacement;     /* of the file that takes this one's place: store ->
                                               apply, who do not look at once (replace.c) */
    _Atomic uint64_t written_bytes;
    _Atomic uint64_t committed_bytes;
    _Atomic uint64_t db_size;
    _Atomic uint64_t db_size_in_use;
    _Atomic uint64_t commits;
    _Atomic bool low_on_space; /* of the data file: see store_low_on_space */
    _Atomic uint32_t snapshots_open;
    _Atomic int64_t held_since_ns;
    _Atomic uint64_t held_bytes;

    /* Store thread. */
    struct store_file *file;
    struct mpsc_node *waiting; /* batches taken from `sealed` and not in the file, oldest first */
    struct mpsc_node *waiting_last;
    struct removals removals;
    struct list snapshots; /* open, oldest first */
    uint64_t committed_seq;
    struct store_defrag *defrag; /* under way */
    struct list gone;            /* replaced files that nobody reads any more: store_shed */
};

int store__file_open(struct store *s, const char *path, bool unsynced, struct store_file **ret,
                     struct err *e);
void store__file_unref(struct store *s, struct store_file *f);
/* Of a file that another one has taken the place of. */
void store__file_retire(struct store *s, struct store_file *f);
/* Keeps a replaced file's room, for store_shed; and closes all that is kept so. */
void store__gone_add(struct store *s, struct file *f);
void store__gone_close(struct store *s);

/* Store thread: a snapshot of what is committed now, not counted by anybody yet. */
int store__snapshot_new(struct store *s, struct store_snapshot **ret, struct err *e);
void store__snapshot_end(struct store_snapshot *sn);  /* store thread: ends and frees it */
void store__snapshot_drop(struct store_snapshot *sn); /* any thread: to store.dead */
void store__reap(struct store *s);                    /* store thread: ends what is in store.dead */

/* Store thread, after a commit of any kind: new sizes, and a fresh snapshot for apply to adopt. */
int store__committed(struct store *s, struct err *e);

/* At start, and when another file has taken this one's place: buckets that are missing; where
 * records go on, and the entry applied last (apply thread). */
int store__ensure_buckets(struct store *s, struct err *e);
int store__load_ends(struct store *s, struct err *e);

/* Store thread: publishes the sizes of the file as it is. */
void store__note_sizes(struct store *s);

/* Store thread: what a compaction that was given up has left. */
int store__commit_removals(struct store *s, struct err *e);

/* Apply thread: takes the fresh snapshot, lets go of the batches that are in it. */
void store__adopt(struct store *s);

/* The machine has broken a promise (damage in a file that was proved whole, a name that cannot be
 * made durable): nobody knows what is on the disk.  Says why and stops the process. */
NORETURN void store__stop(const struct err *e);

#endif
