/* decode.h -- the two requests that are most of all traffic, decoded by hand: no allocation, bytes
 * stay where they are.
 *
 * They read what well-behaved clients send.  Anything unusual (unknown fields, a known field with
 * another wire type) makes them return false, and the caller lets the generated decoder decide;
 * what they accept, the generated decoder reads the same.
 *
 * Threads: any.   Memory: the results borrow `in`.
 */
#ifndef KETCH_EDGE_SERVER_DECODE_H
#define KETCH_EDGE_SERVER_DECODE_H

#include "base/base.h"
#include "rpc.pb-c.h"

bool decode_put(struct bytes in, Etcdserverpb__PutRequest *ret);
bool decode_range(struct bytes in, Etcdserverpb__RangeRequest *ret);

#endif
