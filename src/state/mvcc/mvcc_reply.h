/* mvcc_reply.h -- results as wire bytes, without decoding a value.
 *
 * A reply knows its length before any of it is made, and is then read in pieces of the caller's
 * choosing, straight into the connection's buffer.  What a range refers to must stay pinned until
 * the last piece.
 *
 * Threads: one at a time per reply.   Memory: the reply lives in the arena it was made in.
 */
#ifndef KETCH_STATE_MVCC_REPLY_H
#define KETCH_STATE_MVCC_REPLY_H

#include "state/mvcc/mvcc.h"

struct mvcc_reply;

struct mvcc_header {
    uint64_t cluster_id;
    uint64_t member_id;
    int64_t revision; /* 0: the result's own */
    uint64_t raft_term;
};

/* All return NULL without memory.  `h` NULL leaves the header out (chunks of a RangeStream). */
NODISCARD struct mvcc_reply *mvcc_reply_range(struct mvcc_range *g, const struct mvcc_header *h,
                                              struct arena *a);
NODISCARD struct mvcc_reply *mvcc_reply_put(const struct mvcc_put_result *r,
                                            const struct mvcc_header *h, struct arena *a);
NODISCARD struct mvcc_reply *mvcc_reply_delete(const struct mvcc_delete_result *r,
                                               const struct mvcc_header *h, struct arena *a);
NODISCARD struct mvcc_reply *mvcc_reply_txn(const struct mvcc_txn_result *r,
                                            const struct mvcc_header *h, struct arena *a);

/* A RangeStreamResponse around a chunk; header, more and count only when `last`. */
NODISCARD struct mvcc_reply *mvcc_reply_range_chunk(struct mvcc_range *g, bool last,
                                                    const struct mvcc_header *h, struct arena *a);

uint64_t mvcc_reply_bytes(const struct mvcc_reply *r); /* in all */
/* The next bytes, min(n, what is left); returns how many. */
size_t mvcc_reply_read(struct mvcc_reply *r, uint8_t *p, size_t n);

/* The number of KeyValues in it: for logs. */
uint64_t mvcc_reply_kvs(const struct mvcc_reply *r);

#endif
