/* snapshot_coming.h -- a snapshot that another member sends, from the request to the node.
 *
 *     head --> pieces ... --> the body ends --> answered when the node has taken it over, or not
 *
 * While PEER_SNAPSHOT_PIECES_MAX pieces wait to be written the socket is not read.  It is freed
 * when it is answered, or dropped, and nothing of it is with the node any more: what ends it below
 * may free it at once.
 *
 * Threads: the peer loop.
 */
#ifndef KETCH_EDGE_PEER_SNAPSHOT_COMING_H
#define KETCH_EDGE_PEER_SNAPSHOT_COMING_H

#include "edge/peer/peer_int.h"
#include "edge/peer/snapshot_head.h"

struct snapshot_in {
    struct list link; /* peer_snapshots.coming */
    struct peer_server *ps;
    struct http_req *req; /* NULL: answered */
    struct snapshot_head head;
    struct node_message *message; /* NULL: its head is not complete, or the node has it */
    struct node_receiving *receiving;
    struct payload *piece; /* being filled */
    struct list pieces;    /* in_piece.link: with the node */
    size_t pieces_n;
    struct node_request last; /* END or ABORT */
    bool closing;             /* `last` is with the node */
    struct loop_timer silence;
    bool paused;
    char from[PEER_ID_TEXT_BYTES];
    raft_id sender;
    raft_index index;
    mono_ns began;
};

struct snapshot_in *peer__coming_new(struct peer_server *ps, struct http_req *r);

/* The sender has PEER_SNAPSHOT_STALL_MS for the next byte. */
void peer__coming_expect_more(struct snapshot_in *x);

/* The data file: x->receiving is there. */
void peer__coming_data(struct snapshot_in *x, struct bytes part);
void peer__coming_data_end(struct snapshot_in *x);

/* It will not arrive.  The request has been answered, or is to be dropped now. */
void peer__coming_give_up(struct snapshot_in *x);

/* Answered with `what (why)`, and given up. */
void peer__coming_fail(struct snapshot_in *x, int status, const char *what, const char *why);

/* The data file is refused, here or by the node: said in the log, too. */
void peer__coming_not_saved(struct snapshot_in *x, const char *why);

/* Its sender is gone, or as good as. */
void peer__coming_lost(struct snapshot_in *x, const char *why);

#endif
