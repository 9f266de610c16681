/* disk_actors.h -- the actors that touch the disk: wal writes the log, store the data file, work
 * does what nobody may wait for (hashes, further segments, old files).
 *
 * Private to node.
 */
#ifndef KETCH_NODE_DISK_ACTORS_H
#define KETCH_NODE_DISK_ACTORS_H

#include "node/jobs.h"

struct wal_actor {
    struct mpsc jobs;
    struct wal *wal;
    struct wal_job *pending; /* taken, not yet written */
    mono_ns again;           /* not before: there was no room */
};

struct store_actor {
    struct mpsc jobs;  /* store_job */
    struct list held;  /* taken, but a commit that should come before them found no room */
    struct list work;  /* compactions and the like, one step a turn */
    bool waiting;      /* batches do */
    bool asked;        /* whether the disk has room, once */
    mono_ns ask_again; /* not before: a full disk */
    bool idle;         /* nothing sealed, no job */
    unsigned replaced; /* files so far; until apply has taken over the last, nothing is done */
    bool shedding;     /* files that were replaced go, a piece at shed_again */
    mono_ns shed_again;
    struct outbox out;
};

struct work_actor {
    struct mpsc requests; /* HASH_KV, HASH and SNAPSHOT_PIECE */
    struct list queue;    /* of hashes, the one under way first (age) */
    struct list pieces;   /* of snapshots (age) */
    struct mvcc_hash *hash_kv;
    struct mvcc_reader *reader;
    mono_ns next_purge;
    struct file *purged; /* a segment of the log that goes, a piece at shed_again */
    mono_ns shed_again;
    mono_ns prepare_again; /* not before */
    struct outbox out;
};

/* One turn: when to run again, in ns; negative: when woken. */
int64_t node__run_wal(struct node *n, mono_ns now);
int64_t node__run_store(struct node *n, mono_ns now);
int64_t node__run_work(struct node *n, mono_ns now);

void node__work_hash_begin(struct node *n, struct node_request *r); /* store actor */
bool node__compaction_unfinished(struct store *s);                  /* open_state.c */

/* ---- a full disk (space.c, which says what each bit means) ---- */

#define NODE_FULL_DATA 1u
#define NODE_FULL_LOG 2u
#define NODE_LOG_ENDS 4u
void node__disk_full(struct node *n, unsigned bit, bool full); /* any actor, its own bit */
void node__log_room(struct node *n); /* wal actor: says whether the log ends */

#endif
