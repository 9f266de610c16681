/* codec.h -- the two streams between members, as bytes: "message" and "msgapp" (msgappv2).
 *
 *   message   items of  u64 length, raftpb.Message;  a heartbeat of the link is a MsgHeartbeat from
 *             0 to 0
 *   msgapp    0                                                    a heartbeat of the link
 *             2, u64 length, raftpb.Message (a MsgApp)             sets the stream's term and index
 *             1, u64 n, n x (u64 length, raftpb.Entry), u64 commit a MsgApp that follows on
 *
 * Numbers are big endian.  A kind-1 item says neither term nor index: both ends know them, from the
 * last kind 2 and the entries since (docs: etcd's rafthttp; its stream.go and msgappv2_codec.go are
 * the origin of the format).
 *
 * Threads: one at a time per codec.   Pure: no socket, no clock.
 */
#ifndef KETCH_EDGE_PEER_CODEC_H
#define KETCH_EDGE_PEER_CODEC_H

#include "base/buf.h"
#include "base/payload.h"
#include "node/transport.h"

enum peer_stream {
    PEER_STREAM_MESSAGE,
    PEER_STREAM_MSGAPP,
    PEER_STREAMS,
};

/* etcd's own limit of a message on a stream.  Memory grows with what has really come. */
#define PEER_MESSAGE_BYTES_MAX ((uint64_t) 512 << 20)
/* Arrays of one decoded message: entries, above all. */
#define PEER_MESSAGE_ARENA_BYTES_MAX ((size_t) 128 << 20)

/* What both ends of a msgapp stream know of it; zero on a new connection. */
struct peer_stream_state {
    raft_term term;
    raft_index index;
};

/* One item as a block with one reference, to be given away; NULL without memory.  `st` is used and
 * moved by msgapp only. */
NODISCARD struct payload *peer_encode(enum peer_stream kind, struct peer_stream_state *st,
                                      const struct raft_message *m);

/* The heartbeat of the link. */
struct bytes peer_link_heartbeat(enum peer_stream kind);
bool peer_is_link_heartbeat(const struct raft_message *m);

/* ---- reading ---- */

struct peer_decoder {
    enum peer_stream kind;
    raft_id from; /* of kind-1 items: who sends, */
    raft_id to;   /* and who reads */
    struct peer_stream_state st;
    struct buf in;
    size_t scanned;        /* kind 1: entries up to here are complete */
    uint64_t entries_left; /* of the item that is being scanned */
    bool in_entries;
    /* Called for each message in order; takes it.  Its release is not set yet. */
    void (*deliver)(void *arg, struct node_message *x);
    void *arg;
};

void peer_decoder_init(struct peer_decoder *d, enum peer_stream kind, raft_id from, raft_id to);
void peer_decoder_done(struct peer_decoder *d);

/* Bytes of the stream, in any portions.  0, or what ends the stream: ERR_CORRUPT, ERR_LIMIT,
 * ERR_NOMEM. */
NODISCARD int peer_decode(struct peer_decoder *d, struct bytes in, struct err *e);

/* One message in a block of its own: what a POST holds.  Errors as above. */
NODISCARD int peer_message_new(struct bytes in, struct node_message **ret, struct err *e);
/* Frees it with its arena and its reference to the block. */
void peer_message_free(struct node_message *x);

#endif
