/* snapshots.h -- the state as a whole: read by clients, sent to members that the log no longer
 * reaches, and taken over from a leader.
 *
 * The actor that calls is named beside each function; README.md draws the way of a snapshot.
 * Private to node.
 */
#ifndef KETCH_NODE_SNAPSHOTS_H
#define KETCH_NODE_SNAPSHOTS_H

#include "node/jobs.h"
#include "state/cluster/cluster.h"

/* ---- for clients, and what a snapshot says of itself (snapshot.c) ---- */

void node__snapshot_begin(struct node *n, struct node_request *r); /* store */
void node__snapshot_piece(struct node *n, struct node_request *r); /* work */
/* Takes the copy on success only: ERR_NOMEM. */
NODISCARD int node__snapshot_of(struct store_copy *c, struct node_snapshot **ret);
/* Configuration and payload of a snapshot with the membership `v` and the index it has. */
NODISCARD int node__snapshot_describe(const struct cluster_view *v, struct arena *a,
                                      struct raft_snapshot *ret);

/* ---- to another member (sending.c) ---- */

void node__sending_ask(struct node *n, const struct raft_message *m); /* raft */
void node__sendings_done(struct node *n, mono_ns now);                /* raft */
void node__sendings_take(struct node *n);                             /* apply */
bool node__sending_begin(struct node *n, struct store_job *j);        /* store */
void node__sending_give_up(struct node *n, struct store_job *j);      /* any */
void node__sendings_drop(struct node *n);                             /* at the end */

/* ---- from another member (receiving.c, restore.c) ---- */

void node__receive(struct node *n, struct node_request *r); /* work: a piece, the end, an abort */

/* In this order; until the end apply writes nothing (N7). */
void node__restore_save(struct node *n, struct wal_job *j,
                        const struct raft_snapshot *s);                                   /* raft */
NODISCARD int node__restore_keep(struct node *n, const struct wal_job *j, struct err *e); /* wal */
void node__restore_stored(struct node *n, struct wal_job *j);                             /* raft */
void node__restore_begin(struct node *n, struct apply_job *j);  /* apply */
void node__restore_file(struct node *n, struct store_job *j);   /* store */
void node__restore_finish(struct node *n, struct store_job *j); /* apply */

void node__forget_received(struct node *n, raft_index index); /* store, work, and at start */
void node__received_free(struct received *r);                 /* NULL is accepted */

#endif
