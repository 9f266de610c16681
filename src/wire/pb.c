#include "wire/pb.h"

bool pb_get_varint(struct pb_reader *r, uint64_t *ret)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t b;

        if (r->p == r->end)
            break;
        b = *r->p++;
        if (shift == 63 && b > 1)
            break; /* more than 64 bits */
        v |= (uint64_t) (b & 0x7f) << shift;
        if (b < 0x80) {
            *ret = v;
            return true;
        }
    }
    r->bad = true;
    return false;
}

static bool take(struct pb_reader *r, uint64_t n, struct bytes *ret)
{
    if (n > (uint64_t) (r->end - r->p)) {
        r->bad = true;
        return false;
    }
    *ret = bytes_of(r->p, (size_t) n);
    r->p += n;
    return true;
}

static bool take_tag(struct pb_reader *r, struct pb_field *ret)
{
    uint64_t tag;

    if (!pb_get_varint(r, &tag))
        return false;
    *ret = (struct pb_field){.number = (uint32_t) (tag >> 3), .type = (enum pb_wire_type)(tag & 7)};
    if (tag >> 3 == 0 || tag >> 3 > (UINT32_C(1) << 29) - 1) {
        r->bad = true;
        return false;
    }
    return true;
}

static bool take_scalar(struct pb_reader *r, struct pb_field *f)
{
    switch (f->type) {
    case PB_VARINT:
        return pb_get_varint(r, &f->value);
    case PB_FIXED64:
        if (!take(r, 8, &f->bytes))
            return false;
        f->value = le64_get(f->bytes.p);
        return true;
    case PB_FIXED32:
        if (!take(r, 4, &f->bytes))
            return false;
        f->value = le32_get(f->bytes.p);
        return true;
    case PB_LEN:
        return pb_get_varint(r, &f->value) && take(r, f->value, &f->bytes);
    default:
        r->bad = true;
        return false;
    }
}

/* Everything up to the end of group `number`, whose start was read. */
static bool pass_group(struct pb_reader *r, uint32_t number)
{
    uint32_t open[PB_GROUP_DEPTH_MAX] = {number};
    size_t depth = 1;

    while (depth > 0) {
        struct pb_field f;

        if (!take_tag(r, &f))
            return false;
        if (f.type == PB_GROUP && depth < PB_GROUP_DEPTH_MAX)
            open[depth++] = f.number;
        else if (f.type == PB_GROUP_END && f.number == open[depth - 1])
            depth--;
        else if (!take_scalar(r, &f)) /* a group too deep, or another's end: bad */
            return false;
    }
    return true;
}

bool pb_next(struct pb_reader *r, struct pb_field *ret)
{
    if (r->bad || r->p == r->end || !take_tag(r, ret))
        return false;
    return ret->type == PB_GROUP ? pass_group(r, ret->number) : take_scalar(r, ret);
}
