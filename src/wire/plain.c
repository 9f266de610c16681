/* Messages as Go's protobuf reads them, which passes over more than protobuf-c does.  Nearly all
 * need nothing but a look; the others are written anew. */
#include "wire/pb.h"
#include "wire/wire.h"

#define HEAD_VARINT_BYTES_MAX 5

static enum pb_wire_type wire_type_of(const ProtobufCFieldDescriptor *fd)
{
    switch (fd->type) {
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return PB_FIXED32;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return PB_FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PB_LEN;
    default:
        return PB_VARINT;
    }
}

/* Repeated numbers may come packed. */
static bool fits(const ProtobufCFieldDescriptor *fd, const struct pb_field *f)
{
    return f->type == wire_type_of(fd) ||
           (f->type == PB_LEN && fd->label == PROTOBUF_C_LABEL_REPEATED);
}

/* protobuf-c reads no longer tags and lengths than they need at most.  `at`: the field's `taken`
 * bytes. */
static bool head_is_short(const struct pb_field *f, const uint8_t *at, size_t taken)
{
    size_t tag = 1;

    while (at[tag - 1] >= 0x80)
        tag++;
    ASSERT(tag < taken);
    return tag <= HEAD_VARINT_BYTES_MAX &&
           (f->type != PB_LEN || taken - tag - f->bytes.n <= HEAD_VARINT_BYTES_MAX);
}

/* Refuses what is malformed or nested deeper than `depth` more levels; sets *odd where protobuf-c
 * reads something else than Go's protobuf. */
static int check(const ProtobufCMessageDescriptor *d, struct bytes in, unsigned depth, bool *odd,
                 struct err *e)
{
    struct pb_reader r = pb_reader_of(in);
    struct pb_field f;

    if (depth == 0)
        return err_set(e, ERR_LIMIT, "message nested too deep");
    for (const uint8_t *at = r.p; pb_next(&r, &f); at = r.p) {
        const ProtobufCFieldDescriptor *fd = protobuf_c_message_descriptor_get_field(d, f.number);
        int rc;

        if (f.type == PB_GROUP || (fd != NULL && !fits(fd, &f))) {
            *odd = true;
            continue;
        }
        if (!head_is_short(&f, at, (size_t) (r.p - at)))
            *odd = true;
        if (fd == NULL || f.type != PB_LEN)
            continue;
        if (fd->type == PROTOBUF_C_TYPE_STRING && !utf8_valid(f.bytes))
            return err_set(e, ERR_CORRUPT, WIRE_TEXT_UTF8);
        if (fd->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        rc = check(fd->descriptor, f.bytes, depth - 1, odd, e);
        if (rc != 0)
            return rc;
    }
    return r.bad ? err_set(e, ERR_CORRUPT, "malformed protobuf message") : 0;
}

/* The known fields of a message that was checked, with short tags and lengths; never longer than it
 * is. */
static uint8_t *put_plain(uint8_t *to, const ProtobufCMessageDescriptor *d, struct bytes in)
{
    struct pb_reader r = pb_reader_of(in);
    struct pb_field f;

    while (pb_next(&r, &f)) {
        const ProtobufCFieldDescriptor *fd = protobuf_c_message_descriptor_get_field(d, f.number);

        if (fd == NULL || !fits(fd, &f))
            continue;
        if (f.type == PB_VARINT) {
            to = pb_put_varint(pb_put_tag(to, f.number, PB_VARINT), f.value);
        } else if (f.type != PB_LEN) {
            to = pb_put_raw(pb_put_tag(to, f.number, f.type), f.bytes.p, f.bytes.n);
        } else if (fd->type != PROTOBUF_C_TYPE_MESSAGE) {
            to = pb_put_raw(pb_put_head(to, f.number, f.bytes.n), f.bytes.p, f.bytes.n);
        } else {
            /* Written where it fits however long its head is, then moved up to that. */
            uint8_t *body = to + pb_head_size(f.number, f.bytes.n);
            size_t n = (size_t) (put_plain(body, fd->descriptor, f.bytes) - body);

            ASSERT(n <= f.bytes.n);
            to = pb_put_head(to, f.number, n);
            memmove(to, body, n);
            to += n;
        }
    }
    ASSERT(!r.bad);
    return to;
}

int wire_plain(const ProtobufCMessageDescriptor *d, struct bytes in, unsigned depth,
               struct arena *a, struct bytes *ret, struct err *e)
{
    bool odd = false;
    int rc = check(d, in, depth, &odd, e);
    uint8_t *copy;

    if (rc != 0)
        return rc;
    *ret = in;
    if (!odd)
        return 0;
    copy = arena_alloc(a, in.n);
    if (copy == NULL)
        return err_set(e, ERR_LIMIT, "message needs more than %zu bytes of memory", a->bytes_max);
    *ret = bytes_of(copy, (size_t) (put_plain(copy, d, in) - copy));
    ASSERT(ret->n <= in.n);
    return 0;
}
