#include "wire/wire.h"

size_t utf8_next(struct bytes s, uint32_t *ret)
{
    uint8_t c = s.p[0];
    size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : 3;
    uint32_t v = more == 0 ? c : c & (0x3fu >> more);

    ASSERT(s.n > 0);
    if ((c >= 0x80 && (c < 0xc2 || c > 0xf4)) || more > s.n - 1)
        return 0;
    for (size_t k = 1; k <= more; k++) {
        if ((s.p[k] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (s.p[k] & 0x3f);
    }
    if ((more == 2 && v < 0x800) || (more == 3 && (v < 0x10000 || v > 0x10ffff)) ||
        (v >= 0xd800 && v < 0xe000))
        return 0;
    *ret = v;
    return more + 1;
}

bool utf8_valid(struct bytes s)
{
    uint32_t v;

    for (size_t n; s.n > 0; s = bytes_of(s.p + n, s.n - n)) {
        n = utf8_next(s, &v);
        if (n == 0)
            return false;
    }
    return true;
}

static void *unpack_alloc(void *a, size_t n)
{
    return arena_alloc(a, n);
}

static void unpack_free(void *a, void *p)
{
    (void) a;
    (void) p;
}

int wire_decode(const ProtobufCMessageDescriptor *d, struct bytes in, struct arena *a,
                ProtobufCMessage **ret, struct err *e)
{
    return wire_decode_deep(d, in, WIRE_DEPTH_MAX, a, ret, e);
}

int wire_decode_deep(const ProtobufCMessageDescriptor *d, struct bytes in, unsigned depth,
                     struct arena *a, ProtobufCMessage **ret, struct err *e)
{
    int rc = wire_plain(d, in, depth, a, &in, e);

    return rc != 0 ? rc : wire_unpack(d, in, a, ret, e);
}

int wire_unpack(const ProtobufCMessageDescriptor *d, struct bytes in, struct arena *a,
                ProtobufCMessage **ret, struct err *e)
{
    ProtobufCAllocator alloc = {unpack_alloc, unpack_free, a};

    *ret = protobuf_c_message_unpack(d, &alloc, in.n, in.p);
    if (*ret != NULL)
        return 0;
    /* What is well formed fails for want of room, or where packed numbers are cut off. */
    if (a->used_bytes + ARENA_CHUNK_BYTES > a->bytes_max)
        return err_set(e, ERR_LIMIT, "message needs more than %zu bytes of memory", a->bytes_max);
    return err_set(e, ERR_CORRUPT, "malformed protobuf message");
}

ProtobufCMessage *wire_new(const ProtobufCMessageDescriptor *d, struct arena *a)
{
    ProtobufCMessage *m = arena_alloc(a, d->sizeof_message);

    if (m != NULL)
        protobuf_c_message_init(d, m);
    return m;
}

size_t wire_size(const ProtobufCMessage *m)
{
    return protobuf_c_message_get_packed_size(m);
}

bool wire_encode(const ProtobufCMessage *m, struct buf *out)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    uint8_t *to;

    if (n == 0)
        return true;
    to = buf_reserve(out, n);
    if (to == NULL)
        return false;
    if (protobuf_c_message_pack(m, to) != n)
        UNREACHABLE();
    buf_commit(out, n);
    return true;
}
