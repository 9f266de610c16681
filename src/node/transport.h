/* transport.h -- between a node and what carries messages to the other members (edge/peer; the
 * simulator).
 *
 * The node hands out messages and learns what became of them; it does not know how they travel.
 * Messages may be lost, delayed, doubled and overtaken: raft lives with that.  Each call says on
 * which thread it runs; none may block.
 */
#ifndef KETCH_NODE_TRANSPORT_H
#define KETCH_NODE_TRANSPORT_H

#include "base/arena.h"
#include "base/mpsc.h"
#include "state/cluster/cluster.h"
#include "sys/clock.h"
#include "wire/raftpb.h"

struct node;

enum node_question_method {
    NODE_QUESTION_POST, /* the body is protobuf, or empty */
    NODE_QUESTION_GET,  /* it is JSON */
};

/* A question that another member's peer port answers; kept by the asker until `done`. */
struct node_question {
    raft_id to;
    enum node_question_method method;
    const char *path;
    struct bytes body;
    int64_t timeout_ms;
    /* Once, on a thread of the transport's.  status 0: there is no answer.  `answer` is valid
     * during the call. */
    void (*done)(struct node_question *q, int status, struct bytes answer);
    struct mpsc_node link; /* the transport's own */
};

/* What the transport does for the node. */
struct node_transport {
    /* The raft thread.  The messages of one turn, none of them a MsgSnap; borrowed for the call.
     * Data of entries may be kept by reference to their owners. */
    void (*send)(void *ctx, const struct raft_message *m, size_t n);
    /* The apply thread, or node_open.  Who the members are now: at start, and after each change.
     * `v` is borrowed; cluster_view_ref keeps it. */
    void (*members)(void *ctx, const struct cluster_view *v);
    /* Any thread.  Since when messages from and to this member flow; 0: they do not. */
    mono_ns (*active_since)(void *ctx, raft_id id);
    /* Any thread. */
    void (*ask)(void *ctx, struct node_question *q);
    void *ctx;
};

/* A message that has come: its arrays lie in the arena, its bytes in the block, which entries that
 * are kept refer to. */
struct node_message {
    struct mpsc_node link;
    struct arena arena;
    struct payload *block;
    struct raft_message m;
    /* Called once by the node, on the raft thread, when it has done with the message. */
    void (*release)(struct node_message *x);
    void *owner; /* the transport's own */
    size_t bytes;
};

/* What the transport tells the node; any thread. */

/* Messages linked by link.next, oldest first; the node takes them.  Those that only a member may
 * raise itself, or that are not addressed to this one, are ignored. */
void node_receive(struct node *n, struct node_message *first);
/* The last messages to this member were lost. */
void node_report_unreachable(struct node *n, raft_id id);
/* What release another member runs, as it said just now. */
void node_report_version(struct node *n, raft_id id, cluster_version v);
/* Another member says that this one was removed from the cluster: it stops. */
void node_report_removed(struct node *n);

#endif
