/* wire.h -- generated protobuf messages, decoded into arenas under limits.
 *
 * protobuf-c by itself trusts its input: it recurses as deep as the bytes say and allocates per
 * element. wire_decode walks the bytes first, with the descriptor in hand, and refuses what passes
 * WIRE_DEPTH_MAX or is malformed (strings must be UTF-8, as in proto3); the arena's maximum bounds
 * the rest.  What Go's protobuf reads and protobuf-c does not (groups, a known field of another
 * wire type, tags in more bytes than they need) is written anew first, without what no reader
 * wants.
 *
 * Source: protobuf.dev, "Encoding"; what Go's protobuf makes of odd input is that of its own code.
 *
 * Threads: any.   Memory: a decoded message lies in the arena, strings and bytes in it are copies.
 * Encoding appends to a struct buf.
 */
#ifndef KETCH_WIRE_WIRE_H
#define KETCH_WIRE_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* Nested messages: a transaction of the default --max-txn-ops may hold 127 others in one another,
 * two levels each; a deeper one is told that it has too many operations, up to about twice that. */
#define WIRE_DEPTH_MAX 512

/* 0 and the message, or ERR_CORRUPT (malformed), ERR_LIMIT (too deep, or past the arena's maximum).
 */
NODISCARD int wire_decode(const ProtobufCMessageDescriptor *d, struct bytes in, struct arena *a,
                          ProtobufCMessage **ret, struct err *e);

/* The error text, apart from which all that is malformed has one. */
#define WIRE_TEXT_UTF8 "string field contains invalid UTF-8"

/* The first half of wire_decode: 0 and what the message says, in plain bytes: `in` itself nearly
 * always, else a copy in the arena.  `depth`: levels of messages, the outermost included.  Errors
 * as of wire_decode. */
NODISCARD int wire_plain(const ProtobufCMessageDescriptor *d, struct bytes in, unsigned depth,
                         struct arena *a, struct bytes *ret, struct err *e);

/* The second half of wire_decode: `in` is what wire_plain has returned. */
NODISCARD int wire_unpack(const ProtobufCMessageDescriptor *d, struct bytes in, struct arena *a,
                          ProtobufCMessage **ret, struct err *e);

/* wire_decode with another limit on nesting, for what was accepted by somebody else's. */
NODISCARD int wire_decode_deep(const ProtobufCMessageDescriptor *d, struct bytes in, unsigned depth,
                               struct arena *a, ProtobufCMessage **ret, struct err *e);

/* The same with the type's name: WIRE_DECODE(etcdserverpb__put_request, Etcdserverpb__PutRequest,
 * ...) */
#define WIRE_DECODE(lower, in, a, ret, e) \
    wire_decode(&lower##__descriptor, (in), (a), (ProtobufCMessage **) (ret), (e))

/* An empty message of the type in the arena, as the generated __init would make it.  NULL: no
 * memory. */
NODISCARD ProtobufCMessage *wire_new(const ProtobufCMessageDescriptor *d, struct arena *a);

/* Appends the encoded message; false when the buffer refuses. */
bool wire_encode(const ProtobufCMessage *m, struct buf *out);
size_t wire_size(const ProtobufCMessage *m); /* bytes that wire_encode appends */

static inline struct bytes wire_bytes(ProtobufCBinaryData b)
{
    return bytes_of(b.data, b.len);
}

static inline ProtobufCBinaryData wire_binary(struct bytes b)
{
    return (ProtobufCBinaryData){b.n, (uint8_t *) (uintptr_t) b.p};
}

/* UTF-8 as RFC 3629 has it: no surrogates, nothing longer than it need be. */
bool utf8_valid(struct bytes s);
/* The code point at the front of s (s.n > 0): its length, 1 to 4, or 0 when there is none. */
size_t utf8_next(struct bytes s, uint32_t *ret_code_point);

#endif
