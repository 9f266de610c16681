#include "edge/server/decode.h"

#include "wire/pb.h"
#include "wire/wire.h"

/* `taken`: the bytes of the whole field.  Tags and lengths in more bytes than they need are left to
 * the generated decoder, which refuses some of them: what is accepted here is decoded by it when
 * the entry is applied. */
static bool known(const struct pb_field *f, size_t taken, uint32_t bytes_fields,
                  uint32_t varint_fields)
{
    if (f->number > 31)
        return false;
    if (taken != pb_head_size(f->number, f->value) + f->bytes.n) /* value: the length, too */
        return false;
    return (f->type == PB_LEN && (bytes_fields >> f->number & 1) != 0) ||
           (f->type == PB_VARINT && (varint_fields >> f->number & 1) != 0);
}

bool decode_put(struct bytes in, Etcdserverpb__PutRequest *ret)
{
    struct pb_reader r = pb_reader_of(in);
    struct pb_field f;

    etcdserverpb__put_request__init(ret);
    for (const uint8_t *at = r.p; pb_next(&r, &f); at = r.p) {
        if (!known(&f, (size_t) (r.p - at), 1u << 1 | 1u << 2,
                   1u << 3 | 1u << 4 | 1u << 5 | 1u << 6))
            return false;
        switch (f.number) {
        case 1:
            ret->key = wire_binary(f.bytes);
            break;
        case 2:
            ret->value = wire_binary(f.bytes);
            break;
        case 3:
            ret->lease = (int64_t) f.value;
            break;
        case 4:
            ret->prev_kv = f.value != 0;
            break;
        case 5:
            ret->ignore_value = f.value != 0;
            break;
        default:
            ret->ignore_lease = f.value != 0;
        }
    }
    return !r.bad;
}

bool decode_range(struct bytes in, Etcdserverpb__RangeRequest *ret)
{
    struct pb_reader r = pb_reader_of(in);
    struct pb_field f;

    etcdserverpb__range_request__init(ret);
    for (const uint8_t *at = r.p; pb_next(&r, &f); at = r.p) {
        if (!known(&f, (size_t) (r.p - at), 1u << 1 | 1u << 2, 0x3ff8))
            return false;
        switch (f.number) {
        case 1:
            ret->key = wire_binary(f.bytes);
            break;
        case 2:
            ret->range_end = wire_binary(f.bytes);
            break;
        case 3:
            ret->limit = (int64_t) f.value;
            break;
        case 4:
            ret->revision = (int64_t) f.value;
            break;
        case 5:
            ret->sort_order = (Etcdserverpb__RangeRequest__SortOrder) (int32_t) f.value;
            break;
        case 6:
            ret->sort_target = (Etcdserverpb__RangeRequest__SortTarget) (int32_t) f.value;
            break;
        case 7:
            ret->serializable = f.value != 0;
            break;
        case 8:
            ret->keys_only = f.value != 0;
            break;
        case 9:
            ret->count_only = f.value != 0;
            break;
        case 10:
            ret->min_mod_revision = (int64_t) f.value;
            break;
        case 11:
            ret->max_mod_revision = (int64_t) f.value;
            break;
        case 12:
            ret->min_create_revision = (int64_t) f.value;
            break;
        default:
            ret->max_create_revision = (int64_t) f.value;
        }
    }
    return !r.bad;
}
