/* reply_int.h -- private to state/mvcc: what a reply consists of. */
#ifndef KETCH_STATE_MVCC_REPLY_INT_H
#define KETCH_STATE_MVCC_REPLY_INT_H

#include "state/mvcc/mvcc_int.h"
#include "state/mvcc/mvcc_reply.h"
#include "wire/pb.h"

#define RANGE_KVS 2 /* field of a RangeResponse */

struct reply_segment {
    struct reply_segment *next;
    struct bytes bytes;       /* literal, or */
    struct mvcc_range *range; /* its kvs fields */
};

struct mvcc_reply {
    struct arena *arena;
    struct reply_segment *first;
    struct reply_segment *last;
    uint64_t total;
    uint64_t kvs;
    bool no_memory;

    /* Reading. */
    struct reply_segment *at;
    size_t offset; /* in the literal, or in the current KeyValue with its head */
    uint8_t head[1 + PB_VARINT_BYTES_MAX];
    size_t head_n;
    struct bytes kv;
    bool have_kv;
};

#endif
