/* pb.h -- protobuf's primitives, for the few messages that are hot enough to be encoded by hand.
 *
 * Writers append to memory that the caller has measured with the *_size functions; they return the
 * address behind what they wrote.  The reader walks the fields of one message and never reads past
 * its end.
 *
 * Source: protobuf.dev, "Encoding".   Threads: any.   Memory: none; what is read points into the
 * input.
 */
#ifndef KETCH_WIRE_PB_H
#define KETCH_WIRE_PB_H

#include "base/base.h"
#include "base/endian.h"

/* Groups (PB_GROUP) are in none of our messages; a reader passes over those of others. */
enum pb_wire_type {
    PB_VARINT = 0,
    PB_FIXED64 = 1,
    PB_LEN = 2,
    PB_GROUP = 3,
    PB_GROUP_END = 4,
    PB_FIXED32 = 5,
};

#define PB_VARINT_BYTES_MAX 10
#define PB_GROUP_DEPTH_MAX 100 /* groups in one another */

static inline size_t pb_varint_size(uint64_t v)
{
    /* 1 + floor(log2(v) / 7), for v = 0 as for v = 1. */
    return (size_t) (63 - __builtin_clzll(v | 1)) / 7 + 1;
}

static inline uint8_t *pb_put_varint(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t) (v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t) v;
    return p;
}

static inline uint8_t *pb_put_tag(uint8_t *p, uint32_t field, enum pb_wire_type t)
{
    return pb_put_varint(p, (uint64_t) field << 3 | (uint64_t) t);
}

static inline size_t pb_tag_size(uint32_t field)
{
    return pb_varint_size((uint64_t) field << 3);
}

/* A varint field; proto3 leaves zero out, proto2 with presence may write it. */
static inline size_t pb_u64_size(uint32_t field, uint64_t v)
{
    return v == 0 ? 0 : pb_tag_size(field) + pb_varint_size(v);
}

static inline uint8_t *pb_put_u64(uint8_t *p, uint32_t field, uint64_t v)
{
    return v == 0 ? p : pb_put_varint(pb_put_tag(p, field, PB_VARINT), v);
}

/* A length-delimited field, left out when empty. */
static inline size_t pb_bytes_size(uint32_t field, size_t n)
{
    return n == 0 ? 0 : pb_tag_size(field) + pb_varint_size(n) + n;
}

static inline uint8_t *pb_put_raw(uint8_t *p, const void *from, size_t n)
{
    if (n != 0)
        memcpy(p, from, n);
    return p + n;
}

static inline uint8_t *pb_put_bytes(uint8_t *p, uint32_t field, struct bytes b)
{
    if (b.n == 0)
        return p;
    return pb_put_raw(pb_put_varint(pb_put_tag(p, field, PB_LEN), b.n), b.p, b.n);
}

/* The head of a sub-message of n bytes that the caller writes next; also when n is 0. */
static inline uint8_t *pb_put_head(uint8_t *p, uint32_t field, size_t n)
{
    return pb_put_varint(pb_put_tag(p, field, PB_LEN), n);
}

static inline size_t pb_head_size(uint32_t field, size_t n)
{
    return pb_tag_size(field) + pb_varint_size(n);
}

struct pb_reader {
    const uint8_t *p;
    const uint8_t *end;
    bool bad; /* malformed: set once, stays */
};

struct pb_field {
    uint32_t number;
    enum pb_wire_type type;
    uint64_t value;     /* PB_VARINT, PB_FIXED64, PB_FIXED32; of PB_LEN the length */
    struct bytes bytes; /* PB_LEN; points into the input.  PB_GROUP: empty */
};

static inline struct pb_reader pb_reader_of(struct bytes b)
{
    return (struct pb_reader){b.p, b.n == 0 ? b.p : b.p + b.n, false}; /* p may be NULL */
}

/* False at the end and on malformed input (then r->bad). */
bool pb_next(struct pb_reader *r, struct pb_field *ret);

/* A varint at r->p; false and r->bad when there is none, or one of more than 64 bits. */
bool pb_get_varint(struct pb_reader *r, uint64_t *ret);

#endif
