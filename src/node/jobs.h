/* jobs.h -- what travels between the actors of a node, and back to whoever asked.
 *
 * A job is allocated once, filled by its sender, pushed to the receiver's queue, and comes back
 * over a queue of the sender's own, to be used again.  So nothing is shared and nothing is freed in
 * steady state.  A job belongs to the actor that holds it; what its sender keeps for itself in it
 * is marked so.
 *
 *   wal_job     raft -> wal -> raft       entries and promises that wait for them
 *   apply_job   raft -> apply -> raft     committed entries, or a snapshot
 *   store_job   apply -> store -> apply   work on the data file
 *
 * Private to node.
 */
#ifndef KETCH_NODE_JOBS_H
#define KETCH_NODE_JOBS_H

#include "base/list.h"
#include "engine/raft/raft.h"
#include "engine/wal/wal.h"
#include "node/node.h"
#include "state/store/store.h"

struct received; /* a snapshot of the leader's: restore.c */

/* raft -> wal and back.  `after`, `mark` and `behind` stay raft's own. */
struct wal_job {
    struct mpsc_node link;
    struct wal_job *behind; /* nothing to write, but promises that wait for this job, too */
    struct raft_entry_list entries;
    bool has_hard;
    struct raft_hard_state hard;
    bool has_marker; /* a snapshot marker: comes from the apply side */
    struct wal_snapshot marker;
    struct raft_store_mark mark;
    struct raft_message *after; /* to oneself or, later, to peers */
    size_t after_n;
    size_t after_cap;
    bool has_mark;
    struct wal_position written;  /* behind it; off 0: not told, others were written with it */
    struct store_job *marker_job; /* goes back to apply when the marker is durable */
    struct received *received;    /* the marker is that of a snapshot that has come */
};

/* A configuration change on its way back to raft: what to apply there, and who waits. */
struct conf_result {
    raft_index index;
    struct raft_conf_change change; /* node_id 0 when it was refused */
    struct node_request *request;
};

/* raft -> apply and back. */
struct apply_job {
    struct mpsc_node link;
    struct raft_entry_list entries;
    struct node_request **waiters; /* one for each entry, or NULL */
    size_t waiters_cap;
    struct raft_apply_mark mark;
    raft_term term;
    bool is_leader;
    raft_index snapshot_index; /* not 0: a snapshot takes the state's place; no entries */
    raft_term snapshot_term;
    struct conf_result *confs; /* filled by apply */
    size_t confs_n;
    size_t confs_cap;
    struct apply_job *done_next;
};

/* Finished requests of one turn, sorted by sink. */
struct outbox {
    struct node_request *first[NODE_SINKS_MAX];
    struct node_request *last[NODE_SINKS_MAX];
    bool any;
};

/* apply -> store: one kind of work, and how it went. */
enum store_work {
    STORE_WORK_COMPACTION,    /* step `compaction` until done, then give it back */
    STORE_WORK_REQUEST,       /* hash, defragment, snapshot: `request` */
    STORE_WORK_DISK_SNAPSHOT, /* write .snap for `snap` once the store has committed it */
    STORE_WORK_SEND,          /* pin a copy for another member: `sending` */
    STORE_WORK_RESTORE,       /* the received file of `snap` takes the place of this one */
};

struct disk_snapshot {
    raft_index index;
    raft_term term;
    struct raft_conf_state conf_state; /* ids in the job's arena */
    struct bytes payload;
};

struct mvcc_loaded;

struct store_job {
    struct mpsc_node link;
    struct list queue; /* in apply's to_store, then in the store actor's list of work */
    enum store_work work;
    struct arena arena;
    struct mvcc_compaction *compaction;
    bool done;
    struct node_request *request;
    struct store_defrag *defrag;
    struct disk_snapshot snap;
    struct node_sending *sending;
    struct mvcc_loaded *loaded; /* RESTORE, on its way back */
    mono_ns not_before;
};

/* ---- life (jobs.c) ---- */

/* Without memory the process ends.  wal_job and apply_job: the raft actor calls; store_job: any. */
struct wal_job *node__wal_job_new(struct node *n);
void node__wal_job_free(struct node *n, struct wal_job *j);
struct apply_job *node__apply_job_new(struct node *n, size_t entries);
void node__apply_job_free(struct node *n, struct apply_job *j);
struct store_job *node__store_job_new(enum store_work work);
void node__store_job_free(struct store_job *j);
void node__jobs_done(struct node *n); /* at the end: frees all that are idle */

/* Adds k messages that leave when the job is durable (N5); they are copied. */
void node__wal_job_after(struct wal_job *j, const struct raft_message *m, size_t k);

/* ---- answers (sink.c) ---- */

/* The request is over: it leaves with the next flush.  `o` belongs to the actor that calls; the
 * text is not copied. */
void node__finish(struct node *n, struct outbox *o, struct node_request *r);
void node__fail(struct node *n, struct outbox *o, struct node_request *r, enum api_error err);
void node__fail_text(struct node *n, struct outbox *o, struct node_request *r, enum grpc_code code,
                     const char *text);
void node__outbox_flush(struct node *n, struct outbox *o);

/* ---- requests of the node's own (sink.c) ---- */

/* A proposal, submitted at once.  `done` (may be NULL) runs on the actor that finished it (apply,
 * or raft when it failed) and may look at the result; the request is freed behind it. */
void node__propose_own(struct node *n, enum node_op op, const ProtobufCMessage *m,
                       void (*done)(struct node *n, struct node_request *r), void *arg);
void *node__own_arg(struct node_request *r); /* what was given to node__propose_own */

/* A request that is no proposal. */
void node__submit_own(struct node *n, enum node_request_kind kind,
                      void (*done)(struct node *n, struct node_request *r));

void node__own_sink_init(struct node *n); /* before either */

#endif
