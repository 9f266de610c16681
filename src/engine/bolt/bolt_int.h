/* bolt_int.h -- what the files of this folder share.
 *
 * Who owns what:
 *   the write transaction   freelist, writer, file_bytes, map_rule_bytes, poisoned; it alone writes
 *   db->lock                meta, map (which mapping is current, counts), readers, pool, stats
 *   nobody, immutable       options, page_bytes, the struct meta and map of an open transaction
 *
 * db->lock is a leaf: nothing else is locked, read, written or mapped under it.
 */
#ifndef KETCH_ENGINE_BOLT_BOLT_INT_H
#define KETCH_ENGINE_BOLT_BOLT_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/list.h"
#include "engine/bolt/bolt.h"
#include "engine/bolt/freelist.h"
#include "engine/bolt/meta.h"
#include "engine/bolt/node.h"
#include "engine/bolt/page.h"
#include "sys/disk.h"

/* A mapping of the file with a handle of its own, so that it can end on its own. */
struct bolt_map {
    struct file *file;
    const uint8_t *base;
    uint64_t bytes; /* address space reserved */
    uint64_t users; /* open transactions, and one for being the current mapping; under db->lock */
};

struct bolt_tx {
    struct bolt_db *db;
    struct bolt_map *map;
    struct bolt_writer *writer; /* NULL in a read transaction */
    struct meta meta;           /* a writer's: what it will commit, page_bytes and txid included */
    struct list link;           /* in db->readers, ascending txid, or db->pool */
};

/* A bucket that the write transaction has looked at. */
struct bolt_wbucket {
    struct list link; /* in writer->buckets */
    struct bolt_writer *writer;
    struct bytes name; /* empty: the root bucket */
    uint64_t root;     /* as found */
    uint64_t sequence;
    struct bytes image;
    struct bolt_node *root_node;  /* NULL: nothing changed */
    struct bolt_node *unbalanced; /* list of nodes to rebalance */
    unsigned fill;                /* per cent */
    bool deleted;                 /* by bolt_bucket_delete: its handles are dead */

    /* The leaf used last and the keys that belong to it, [hint_min, hint_max); an empty bound is
     * open.  NULL: none. */
    struct bolt_node *hint;
    struct bytes hint_min;
    struct bytes hint_max;
};

/* A page to be written at commit. */
struct bolt_dirty {
    uint64_t id;
    uint64_t pages;
    uint8_t *p;
};

struct bolt_writer {
    struct bolt_tx tx;
    struct arena arena;
    struct list buckets; /* of struct bolt_wbucket, without the root */
    struct bolt_wbucket root;
    uint64_t old_high_water;
    struct bolt_dirty *dirty; /* the array is kept from one transaction to the next */
    size_t dirty_count;
    size_t dirty_cap;
    uint8_t *meta_page;
    uint64_t *reader_ids; /* scratch of begin_write, kept too */
    size_t reader_ids_cap;
    int failed; /* an error after which the transaction can only be rolled back */
    struct bolt_commit_times times;
};

struct bolt_db {
    struct disk *disk;
    struct file *file; /* for the lock, reads at open and all writes */
    char *path;
    struct bolt_options opt;
    uint32_t page_bytes;
    bool trusted; /* the tree was proved whole at open: pages need no check when visited */

    /* Owned by the write transaction. */
    struct freelist freelist;
    struct bolt_writer writer;
    atomic_bool writing; /* a write transaction is open */
    bool poisoned;       /* a write or sync of a commit failed */
    uint64_t file_bytes;
    uint64_t roomy_bytes;    /* up to here the disk has given room: no write can find it full */
    bool low_on_space;       /* it has refused more */
    uint64_t map_rule_bytes; /* the size that bbolt's mapping would have */

    /* A read transaction takes this lock twice for a dozen instructions; a commit takes it once to
     * publish.  An atomic would do for the meta but not for "copy the meta and be listed as its
     * reader" as one step, which the reuse of pages depends on. */
    pthread_mutex_t lock;
    struct meta meta; /* of the last commit */
    struct bolt_map *map;
    struct list readers;
    uint64_t reader_count;
    struct list pool; /* ended read transactions, to be used again */
    struct bolt_stats stats;
};

/* ---- map.c ---- */

/* Files whose mapping (by bbolt's rule) is larger grow by this much, smaller ones with the mapping.
 */
#define BOLT_LARGE_MAP_BYTES (UINT64_C(16) << 20)

/* The size that bbolt gives its mapping for this many bytes. */
uint64_t bolt__map_rule(uint64_t bytes, uint32_t page_bytes);

/* A mapping with at least `bytes` of address space, with one user.  */
NODISCARD int bolt__map_open(struct bolt_db *db, uint64_t bytes, struct bolt_map **ret,
                             struct err *e);
void bolt__map_close(struct bolt_map *m); /* NULL is accepted */

/* One user less; returns the map when it was the last, for bolt__map_close after the lock. */
NODISCARD struct bolt_map *bolt__map_unuse(struct bolt_map *m);

/* ---- tx.c ---- */

/* A branch or leaf of the state that tx sees.  ERR_CORRUPT. */
NODISCARD int bolt__page(const struct bolt_tx *tx, uint64_t id, const uint8_t **ret, struct err *e);

/* Ends the write transaction and forgets what it did. */
void bolt__writer_rollback(struct bolt_writer *w);
/* Frees what the write transaction held; another can begin. */
void bolt__writer_end(struct bolt_writer *w);

/* Records an error that leaves the tree half changed; returns rc. */
int bolt__writer_fail(struct bolt_writer *w, int rc, struct err *e);

/* Frees page `id` and its overflow at the commit of this transaction. */
NODISCARD int bolt__page_free(struct bolt_writer *w, uint64_t id, struct err *e);

/* New pages for `bytes` bytes, zeroed from the end of `bytes` on and listed as dirty. */
NODISCARD int bolt__page_alloc(struct bolt_writer *w, uint64_t bytes, struct bolt_dirty *ret,
                               struct err *e);

/* ---- commit.c ---- */

/* 0 where nothing is timed. */
int64_t bolt__now(const struct bolt_db *db);

/* ---- bucket.c ---- */

/* The state of a bucket in a write transaction; made when it is looked at first. */
NODISCARD int bolt__bucket_open(struct bolt_writer *w, struct bytes name, struct bolt_wbucket **ret,
                                struct err *e);

/* ---- change.c ---- */

/* The leaf to which `key` belongs, as a node. */
NODISCARD int bolt__leaf_for(struct bolt_wbucket *w, struct bytes key, struct bolt_node **ret,
                             struct err *e);
/* Adds or replaces, flags included. */
NODISCARD int bolt__put(struct bolt_wbucket *w, struct bytes key, struct bytes value,
                        uint16_t flags, struct err *e);
/* Removes a key that is there. */
NODISCARD int bolt__remove(struct bolt_wbucket *w, struct bytes key, struct err *e);

/* ---- cursor.c ---- */

/* Where a key is in a leaf, and what is there. */
struct bolt_found {
    struct bytes key;
    struct bytes value;
    uint32_t flags;
};

/* ERR_NOT_FOUND without words. */
NODISCARD int bolt__find(const struct bolt_bucket *b, struct bytes key, struct bolt_found *ret,
                         struct err *e);

/* ---- rebalance.c, spill.c ---- */

NODISCARD int bolt__rebalance(struct bolt_wbucket *w, struct err *e);

/* Turns all changes of the transaction into dirty pages; sets meta.root. */
NODISCARD int bolt__spill(struct bolt_writer *w, struct err *e);

/* ---- check.c ---- */

/* Proves the whole tree of `tx` and adds every page that it does not use to db->freelist. */
NODISCARD int bolt__prove(struct bolt_tx *tx, struct err *e);

#endif
