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

bool pb_next(struct pb_reader *r, struct pb_field *ret)
{
    uint64_t tag;

    if (r->bad || r->p == r->end || !pb_get_varint(r, &tag))
        return false;
    *ret = (struct pb_field){.number = (uint32_t) (tag >> 3), .type = (enum pb_wire_type)(tag & 7)};
    if (tag >> 3 == 0 || tag >> 3 > (UINT32_C(1) << 29) - 1) {
        r->bad = true;
        return false;
    }
    switch (ret->type) {
    case PB_VARINT:
        return pb_get_varint(r, &ret->value);
    case PB_FIXED64:
        if (!take(r, 8, &ret->bytes))
            return false;
        ret->value = le64_get(ret->bytes.p);
        return true;
    case PB_FIXED32:
        if (!take(r, 4, &ret->bytes))
            return false;
        ret->value = le32_get(ret->bytes.p);
        return true;
    case PB_LEN:
        return pb_get_varint(r, &ret->value) && take(r, ret->value, &ret->bytes);
    default:
        r->bad = true; /* groups (3, 4) are not used by any message here */
        return false;
    }
}
