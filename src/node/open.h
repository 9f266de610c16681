/* open.h -- the steps of node_open that its files share. */
#ifndef KETCH_NODE_OPEN_H
#define KETCH_NODE_OPEN_H

#include "node/node_int.h"

/* open.c */
NODISCARD int node__make_dirs(struct node *n, struct err *e);
/* ERR_INVALID: these are more learners than this member may start with. */
NODISCARD int node__check_learners(const struct node *n, const struct cluster_view *v,
                                   struct err *e);

/* open_state.c */
NODISCARD int node__open_store(struct node *n, struct err *e);
NODISCARD int node__open_state(struct node *n, struct err *e);
NODISCARD int node__open_cluster(struct node *n, struct err *e);
NODISCARD int node__open_auth(struct node *n, struct err *e); /* apply/auth.c */
NODISCARD int node__open_leases(struct node *n, struct err *e);
NODISCARD int node__open_log_memory(struct node *n, struct err *e);
NODISCARD int node__open_raft(struct node *n, raft_index applied, struct err *e);
void node__wal_stamp(wall_ms wall, char ret[WAL_STAMP_BYTES + 1]);

/* reload.c: the same, when the store has taken over another file.  Takes keys. */
NODISCARD int node__reload_state(struct node *n, struct mvcc_loaded *keys, struct err *e);

/* bootstrap.c */
NODISCARD int node__open_new(struct node *n, wall_ms wall, struct err *e);
/* The log was made and nothing was saved in it: as a new member, with the ids it has. */
NODISCARD int node__begin_again(struct node *n, struct err *e);

/* force.c: between the opening of state and log, and of raft */
NODISCARD int node__force_new_cluster(struct node *n, struct wal_contents *c, struct err *e);

/* defrag_first.c */
NODISCARD int node__defrag_first(struct node *n, struct err *e);

/* reopen.c */
NODISCARD int node__open_again(struct node *n, struct err *e);

#endif
