/* raft_storage.h -- where raft reads its stable log back, and a bounded one in memory.
 *
 * The core never writes its storage: it hands out what is to be kept (struct raft_update), the
 * caller keeps it, and tells raft_stored.  From then on the core reads it here.
 *
 * Threads: called by the thread that owns the core, from within its calls.
 */
#ifndef KETCH_ENGINE_RAFT_RAFT_STORAGE_H
#define KETCH_ENGINE_RAFT_RAFT_STORAGE_H

#include "engine/raft/raft_limits.h"
#include "wire/raftpb.h"

/* Entries with their blocks kept alive.  The list holds one reference per run of neighbours that
 * share an owner, so a batch of proposals out of one block costs one reference, not one each.
 *
 * Zero-initialised is empty.  Memory: keeps its array over _clear; _done frees. */
struct raft_entry_list {
    struct raft_entry *v;
    size_t n;
    size_t cap;
};

/* References the owner of `e`; data without an owner is copied into a block of its own. */
void raft_entry_list_add(struct raft_entry_list *l, const struct raft_entry *e);
/* Turns the i-th into an empty entry of type normal; its block stays until the list is cleared. */
void raft_entry_list_empty(struct raft_entry_list *l, size_t i);
void raft_entry_list_clear(struct raft_entry_list *l);
void raft_entry_list_done(struct raft_entry_list *l);

struct raft_storage;

struct raft_storage_ops {
    /* As of start-up.  The lists of *ret_conf are borrowed until the storage changes. */
    void (*initial_state)(struct raft_storage *s, struct raft_hard_state *ret_hard,
                          struct raft_conf_state *ret_conf);

    /* Appends entries from `lo` on, below `hi`, to `ret`: as many as stay within bytes_max of
     * encoded size, and at least one; it may stop earlier where reading on would be costly. 0,
     * ERR_RAFT_COMPACTED (lo < first_index), ERR_RAFT_UNAVAILABLE (beyond the last), ERR_AGAIN (a
     * read-back is under way: the core asks again after a heartbeat or raft_entries_arrived), or a
     * failure, which makes the core send a snapshot instead. */
    int (*entries)(struct raft_storage *s, raft_index lo, raft_index hi, uint64_t bytes_max,
                   struct raft_entry_list *ret);

    /* 0, ERR_RAFT_COMPACTED or ERR_RAFT_UNAVAILABLE.  Index first_index - 1 still has a term. */
    int (*term)(struct raft_storage *s, raft_index i, raft_term *ret);

    raft_index (*first_index)(struct raft_storage *s);
    raft_index (*last_index)(struct raft_storage *s);

    /* The newest snapshot to send to a follower, borrowed until the storage changes; index 0: none.
     * It must know every configuration change that is applied: a member added later than the
     * snapshot refuses it, being none of its members.
     * 0 or ERR_RAFT_SNAPSHOT_UNAVAILABLE (being made: asked again later). */
    int (*snapshot)(struct raft_storage *s, struct raft_snapshot *ret);
};

struct raft_storage {
    const struct raft_storage_ops *ops;
};

/* ---- the log in memory ----
 *
 * Keeps the log from its compaction point on.  Of the entries themselves it keeps the newest that
 * fit the limits; older ones are read through `reader` when a slow follower needs them.  Without a
 * reader everything since the compaction point is kept, and whoever compacts bounds it.  The term
 * of every retained index is known without reading, from a table with one line per election.
 *
 * Memory: references the blocks of entries; copies snapshots and configurations.  Without memory
 * the process stops.
 */
struct raft_memory_storage;

struct raft_log_reader {
    /* As raft_storage_ops.entries; the range is stable and was once appended here. */
    int (*entries)(void *arg, raft_index lo, raft_index hi, uint64_t bytes_max,
                   struct raft_entry_list *ret);
    void *arg;
};

struct raft_memory_options {
    size_t entries_max;            /* 0: RAFT_MEMORY_ENTRIES_MAX */
    uint64_t bytes_max;            /* of data; 0: RAFT_MEMORY_BYTES_MAX */
    struct raft_log_reader reader; /* entries NULL: none */
};

struct raft_memory_storage *raft_memory_storage_new(const struct raft_memory_options *o);
void raft_memory_storage_free(struct raft_memory_storage *m); /* NULL is accepted */

/* The interface of `m`, valid as long as it is. */
struct raft_storage *raft_memory_storage_base(struct raft_memory_storage *m);

void raft_memory_storage_set_hard_state(struct raft_memory_storage *m,
                                        const struct raft_hard_state *hs);

/* The configuration to start with, for an owner who keeps it elsewhere and newer than the snapshot.
 */
void raft_memory_storage_set_conf_state(struct raft_memory_storage *m,
                                        const struct raft_conf_state *cs);

/* Neighbouring indices in ascending order.  What overlaps the log replaces its tail; what lies at
 * or below the compaction point is skipped; a gap is a programmer's error. */
void raft_memory_storage_append(struct raft_memory_storage *m, const struct raft_entry *v,
                                size_t n);

/* Replaces everything by a snapshot.  0 or ERR_RAFT_SNAPSHOT_OUT_OF_DATE (not newer than the
 * present one). */
NODISCARD int raft_memory_storage_apply_snapshot(struct raft_memory_storage *m,
                                                 const struct raft_snapshot *s);

/* Remembers a snapshot of the state as of `i`, which must be in the log; conf_state NULL: as in the
 * snapshot before.  The log stays.  0 or ERR_RAFT_SNAPSHOT_OUT_OF_DATE. */
NODISCARD int raft_memory_storage_create_snapshot(struct raft_memory_storage *m, raft_index i,
                                                  const struct raft_conf_state *conf_state,
                                                  struct bytes data);

/* Forgets entries up to `i` inclusive; its term stays known.  0, ERR_RAFT_COMPACTED (already
 * forgotten), or ERR_RAFT_UNAVAILABLE (i beyond the last). */
NODISCARD int raft_memory_storage_compact(struct raft_memory_storage *m, raft_index i);

/* From now on: entries up to `readable` are where the reader of `o` finds them, and leave memory
 * once the limits of `o` are passed. */
void raft_memory_storage_offload(struct raft_memory_storage *m, const struct raft_memory_options *o,
                                 raft_index readable);

/* What is held at this moment. */
struct raft_memory_usage {
    raft_index first_in_memory; /* entries from here on are held */
    size_t entries;
    uint64_t bytes;
};

struct raft_memory_usage raft_memory_storage_usage(const struct raft_memory_storage *m);

#endif
