/* Messages as Go's protobuf reads them, which passes over more than protobuf-c does.  Nearly all
 * need nothing but a look; the others are written anew. */
#include "wire/pb.h"
#include "wire/wire.h"

#define HEAD_VARINT_BYTES_MAX 5
#define ONEOF_SPARE_BYTES (2 * PB_VARINT_BYTES_MAX) /* more than the longest head */

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

/* A message of a oneof that comes again is merged into the one before; protobuf-c replaces it. */
static bool merges(const ProtobufCFieldDescriptor *fd, uint32_t *before)
{
    bool again = fd->id == *before && fd->type == PROTOBUF_C_TYPE_MESSAGE;

    if ((fd->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0)
        return false;
    *before = fd->id;
    return again;
}

/* Refuses what is malformed or nested deeper than `depth` more levels; sets *odd where protobuf-c
 * reads something else than Go's protobuf. */
static int check(const ProtobufCMessageDescriptor *d, struct bytes in, unsigned depth, bool *odd,
                 struct err *e)
{
    struct pb_reader r = pb_reader_of(in);
    struct pb_field f;
    uint32_t oneof = 0; /* the member that was seen last */

    if (depth == 0)
        return err_set(e, ERR_LIMIT, "message nested too deep");
    for (const uint8_t *at = r.p; pb_next(&r, &f); at = r.p) {
        const ProtobufCFieldDescriptor *fd = protobuf_c_message_descriptor_get_field(d, f.number);
        int rc;

        if (f.type == PB_GROUP || (fd != NULL && !fits(fd, &f))) {
            *odd = true;
            continue;
        }
        if (!head_is_short(&f, at, (size_t) (r.p - at)) || (fd != NULL && merges(fd, &oneof)))
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

static uint8_t *put_plain(uint8_t *to, const ProtobufCMessageDescriptor *d, struct bytes in);

/* One field that is no message of a oneof. */
static uint8_t *put_field(uint8_t *to, const ProtobufCFieldDescriptor *fd, const struct pb_field *f)
{
    uint8_t *body;
    size_t n;

    if (f->type == PB_VARINT)
        return pb_put_varint(pb_put_tag(to, f->number, PB_VARINT), f->value);
    if (f->type != PB_LEN)
        return pb_put_raw(pb_put_tag(to, f->number, f->type), f->bytes.p, f->bytes.n);
    if (fd->type != PROTOBUF_C_TYPE_MESSAGE)
        return pb_put_raw(pb_put_head(to, f->number, f->bytes.n), f->bytes.p, f->bytes.n);
    /* Written where it fits however long its head is, then moved up to that. */
    body = to + pb_head_size(f->number, f->bytes.n);
    n = (size_t) (put_plain(body, fd->descriptor, f->bytes) - body);
    ASSERT(n <= f->bytes.n);
    to = pb_put_head(to, f->number, n);
    memmove(to, body, n);
    return to + n;
}

/* The oneof of a message (ours have at most one): the last member, merged with those of the same
 * number right before it, which is to write their bodies one behind the other.  These stand a
 * little further back at first, where any head fits. */
static uint8_t *put_oneof(uint8_t *to, const ProtobufCMessageDescriptor *d, struct bytes in)
{
    uint8_t *body = to + pb_head_size(UINT32_MAX >> 3, in.n), *end = body;
    const ProtobufCFieldDescriptor *last = NULL;
    struct pb_reader r = pb_reader_of(in);
    struct pb_field f, scalar = {0};

    while (pb_next(&r, &f)) {
        const ProtobufCFieldDescriptor *fd = protobuf_c_message_descriptor_get_field(d, f.number);

        if (fd == NULL || !fits(fd, &f) || (fd->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0)
            continue;
        if (fd != last)
            end = body;
        last = fd;
        scalar = f;
        if (fd->type == PROTOBUF_C_TYPE_MESSAGE)
            end = put_plain(end, fd->descriptor, f.bytes);
    }
    if (last == NULL)
        return to;
    if (last->type != PROTOBUF_C_TYPE_MESSAGE)
        return put_field(to, last, &scalar);
    to = pb_put_head(to, last->id, (size_t) (end - body));
    memmove(to, body, (size_t) (end - body));
    return to + (end - body);
}

/* The known fields of a message that was checked, with short tags and lengths; never longer than it
 * is, but for ONEOF_SPARE_BYTES of each level while a oneof is written. */
static uint8_t *put_plain(uint8_t *to, const ProtobufCMessageDescriptor *d, struct bytes in)
{
    struct pb_reader r = pb_reader_of(in);
    bool oneof = false;
    struct pb_field f;

    while (pb_next(&r, &f)) {
        const ProtobufCFieldDescriptor *fd = protobuf_c_message_descriptor_get_field(d, f.number);

        if (fd == NULL || !fits(fd, &f))
            continue;
        if ((fd->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0)
            to = put_field(to, fd, &f);
        else
            oneof = true;
    }
    ASSERT(!r.bad);
    return oneof ? put_oneof(to, d, in) : to;
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
    copy = arena_alloc(a, in.n + (size_t) depth * ONEOF_SPARE_BYTES);
    if (copy == NULL)
        return err_set(e, ERR_LIMIT, "message needs more than %zu bytes of memory", a->bytes_max);
    *ret = bytes_of(copy, (size_t) (put_plain(copy, d, in) - copy));
    ASSERT(ret->n <= in.n);
    return 0;
}
