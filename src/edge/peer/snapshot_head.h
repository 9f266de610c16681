/* snapshot_head.h -- the first part of a POST /raft/snapshot: eight bytes of length, then a
 * MsgSnap; the data file follows to the end of the body.  Pure.
 */
#ifndef KETCH_EDGE_PEER_SNAPSHOT_HEAD_H
#define KETCH_EDGE_PEER_SNAPSHOT_HEAD_H

#include "base/buf.h"
#include "base/err.h"
#include "node/transport.h"

#define SNAPSHOT_LENGTH_BYTES 8

struct snapshot_head {
    uint8_t length[SNAPSHOT_LENGTH_BYTES];
    size_t length_n;
    struct buf message; /* born with PEER_SNAPSHOT_HEAD_BYTES_MAX; grows as it comes */
    uint64_t message_bytes;
    bool done;
};

void snapshot_head_init(struct snapshot_head *h);
void snapshot_head_done(struct snapshot_head *h);

/* Takes from the beginning of *part what belongs to the head, up to its end.
 * ERR_LIMIT, ERR_NOMEM: in etcd's words. */
NODISCARD int snapshot_head_take(struct snapshot_head *h, struct bytes *part, struct err *e);

/* What is wrong with a body that ends here; the head is not done. */
const char *snapshot_head_cut(const struct snapshot_head *h);

/* Of a head that is done: a message to be freed with peer_message_free. */
NODISCARD int snapshot_head_message(const struct snapshot_head *h, struct node_message **ret,
                                    struct err *e);

/* The same bytes, for sending: length and message.  NULL: no memory. */
NODISCARD struct payload *snapshot_head_encode(const struct raft_message *m);

#endif
