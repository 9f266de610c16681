/* transport.h -- between a node and what carries messages to the other members (edge/peer; the
 * simulator).
 *
 * The node hands out messages and learns what became of them; it does not know how they travel.
 * Messages may be lost, delayed, doubled and overtaken: raft lives with that.
 *
 * Threads: each call says on which one it runs; none may block.   Memory: what is not taken is
 * borrowed for the call.  The transport lives as long as the node's actors run.
 */
#ifndef KETCH_NODE_TRANSPORT_H
#define KETCH_NODE_TRANSPORT_H

#include "base/arena.h"
#include "base/mpsc.h"
#include "base/payload.h"
#include "state/cluster/cluster.h"
#include "sys/clock.h"
#include "wire/raftpb.h"

struct node;

enum node_question_method {
    NODE_QUESTION_POST, /* the body is protobuf, or empty */
    NODE_QUESTION_GET,  /* it is JSON */
};

/* A question that another member's peer port answers; kept by the asker, all that it points to
 * included, until `done`. */
struct node_question {
    raft_id to;
    enum node_question_method method;
    const char *path;
    const char *authorization; /* whoever asks the asker has shown this; NULL: nothing */
    struct bytes body;
    int64_t timeout_ms;
    /* Once, on a thread of the transport's, perhaps from within `ask`.  status: of HTTP; 0: there
     * is no answer.  `answer` is valid during the call. */
    void (*done)(struct node_question *q, int status, struct bytes answer);
    struct mpsc_node link; /* the transport's own */
};

/* A MsgSnap for another member, and the copy of the data file that it speaks of: index, term,
 * configuration and membership in the message are those of the copy.  See "snapshots" below. */
struct node_sending {
    struct raft_message m;
    struct node_snapshot *copy;
    struct mpsc_node link; /* the transport's own, like the next */
    void *owner;
};

/* What the transport does for the node. */
struct node_transport {
    /* The raft thread.  The messages of one turn, none of them a MsgSnap; borrowed for the call.
     * Data of entries may be kept by reference to their owners. */
    void (*send)(void *ctx, const struct raft_message *m, size_t n);
    /* The apply thread, or node_open.  Who the members are now: at start, and after each change.
     * `v` is borrowed; cluster_view_ref keeps it. */
    void (*members)(void *ctx, const struct cluster_view *v);
    /* Any thread.  Since when messages from and to this member flow, on the clock of node_run; 0:
     * they do not. */
    mono_ns (*active_since)(void *ctx, raft_id id);
    /* Any thread.  `q` is the transport's until it calls q->done, as it does in any case. */
    void (*ask)(void *ctx, struct node_question *q);
    /* The store thread.  The snapshot is the transport's until it calls node_sent.  NULL: snapshots
     * do not travel, and who needs one stays behind. */
    void (*send_snapshot)(void *ctx, struct node_sending *s);
    void *ctx;
};

/* A message that has come: its arrays lie in the arena, its bytes in the block, which entries that
 * are kept refer to. */
struct node_message {
    struct mpsc_node link;
    struct arena arena;
    struct payload *block;
    struct raft_message m;
    /* Called once by the node, when it has done with the message: on the raft thread, or within
     * node_close. */
    void (*release)(struct node_message *x);
    void *owner; /* the transport's own */
    size_t bytes;
    bool has_db; /* the node's own: of a MsgSnap, its database is on disk here */
};

/* What the transport tells the node; any thread. */

/* Messages linked by link.next, oldest first; the node takes them.  Those that only a member may
 * raise itself, or that are not addressed to this one, are ignored. */
void node_receive(struct node *n, struct node_message *first);
/* The last messages to this member were lost. */
void node_report_unreachable(struct node *n, raft_id id);
/* What release another member runs, as it said just now; 0: it cannot be reached any more, and what
 * it said before is worth nothing. */
void node_report_version(struct node *n, raft_id id, cluster_version v);
/* Another member says that this one was removed from the cluster: it stops. */
void node_report_removed(struct node *n);

/* ---- snapshots ----
 *
 * A snapshot is a MsgSnap and the data file behind it, megabytes or gigabytes.  It travels beside
 * the other messages, in pieces, and neither side ever holds more of it than a few pieces.
 *
 *      sender                                      receiver
 *      send_snapshot(ctx, s)                       v = node_receiving_new(index)
 *        NODE_REQ_SNAPSHOT_PIECE s->copy    -->      NODE_REQ_RECEIVE_PIECE  v, piece
 *        ... until a piece is empty         -->      ... as often as there are pieces
 *                                           -->      NODE_REQ_RECEIVE_END    v, the MsgSnap
 *      node_sent(n, s, ok)                  <--      its result: good, or code and text
 *                                                    node_receiving_free(v)
 *
 * All of these are requests of node.h: submitted by whoever carries the snapshot, done by the work
 * actor in order, and each comes back once, through the sink that it names.  How many are under way
 * at once is how much of the snapshot is in memory.
 *
 * A simulated transport does the same with the sinks of its members: it pulls one piece from the
 * sender, hands that payload to the receiver, waits for both to come back, and goes on; where the
 * simulated network loses something, or either member dies, it submits NODE_REQ_RECEIVE_ABORT at
 * the receiver (if that one lives) and calls node_sent(.., false) at the sender (likewise).  It may
 * also read the copy with node_snapshot_read, when all actors of the sender are on its own thread.
 *
 * The MsgSnap that is handed over with RECEIVE_END is a copy of s->m made by whatever means the
 * transport has for other messages (encode and decode). */

/* Any thread, once for each send_snapshot: it has arrived whole and was taken over (ok), or not.
 * Frees s and ends the copy; no request about it may be under way. */
void node_sent(struct node *n, struct node_sending *s, bool ok);

/* A snapshot that begins to come.  Touches no file yet; any thread.
 *
 *   NODE_REQ_RECEIVE_PIECE   receiving, piece (borrowed until the request is back)
 *   NODE_REQ_RECEIVE_END     receiving, message: all pieces have been handed in.  On success the
 *                            file is durable and the node has taken the message; else the message
 *                            is the caller's still
 *   NODE_REQ_RECEIVE_ABORT   receiving: forgets it, and removes what has come so far
 *
 * A failed PIECE or END has removed everything, and says why (the text lives as long as
 * `receiving`); later ones fail, too.  Behind an END, an ABORT, or a failure the caller frees it.
 * From node_stop on PIECE and END fail, and so do the pieces that are asked for at the sender. */
struct node_receiving;
struct node_receiving *node_receiving_new(raft_index index);   /* > 0; stops without memory */
uint64_t node_receiving_bytes(const struct node_receiving *v); /* taken so far; any thread */
/* No request about it is under way.  NULL is accepted. */
void node_receiving_free(struct node_receiving *v);

#endif
