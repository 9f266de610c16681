/* kv_codec.c -- KeyValue as stored: fields in ascending number, zeros left out, the shortest
 * varints.
 *
 * The bytes are hashed and compared between members, so there is exactly one encoding. */
#include "state/mvcc/mvcc_int.h"
#include "wire/pb.h"

enum { KV_KEY = 1, KV_CREATE = 2, KV_MOD = 3, KV_VERSION = 4, KV_VALUE = 5, KV_LEASE = 6 };

size_t kv_encoded_bytes(const struct kv_fields *f)
{
    return pb_bytes_size(KV_KEY, f->key.n) + pb_u64_size(KV_CREATE, (uint64_t) f->create_main) +
           pb_u64_size(KV_MOD, (uint64_t) f->mod_main) +
           pb_u64_size(KV_VERSION, (uint64_t) f->version) + pb_bytes_size(KV_VALUE, f->value.n) +
           pb_u64_size(KV_LEASE, (uint64_t) f->lease);
}

uint8_t *kv_encode(const struct kv_fields *f, uint8_t *p)
{
    p = pb_put_bytes(p, KV_KEY, f->key);
    p = pb_put_u64(p, KV_CREATE, (uint64_t) f->create_main);
    p = pb_put_u64(p, KV_MOD, (uint64_t) f->mod_main);
    p = pb_put_u64(p, KV_VERSION, (uint64_t) f->version);
    p = pb_put_bytes(p, KV_VALUE, f->value);
    return pb_put_u64(p, KV_LEASE, (uint64_t) f->lease);
}

void kv_encode_exactly(const struct kv_fields *f, uint8_t *p, size_t n)
{
    const uint8_t *end = kv_encode(f, p);

    ASSERT(end == p + n);
}

static bool take_field(const struct pb_field *f, struct kv_fields *ret)
{
    bool is_bytes = f->number == KV_KEY || f->number == KV_VALUE;

    if (f->number < KV_KEY || f->number > KV_LEASE)
        return true; /* an unknown field is passed over */
    if (f->type != (is_bytes ? PB_LEN : PB_VARINT))
        return false;
    switch (f->number) {
    case KV_KEY:
        ret->key = f->bytes;
        break;
    case KV_VALUE:
        ret->value = f->bytes;
        break;
    case KV_CREATE:
        ret->create_main = (int64_t) f->value;
        break;
    case KV_MOD:
        ret->mod_main = (int64_t) f->value;
        break;
    case KV_VERSION:
        ret->version = (int64_t) f->value;
        break;
    default:
        ret->lease = (int64_t) f->value;
        break;
    }
    return true;
}

bool kv_decode(struct bytes in, struct kv_fields *ret)
{
    struct pb_reader r = pb_reader_of(in);
    struct pb_field f;

    *ret = (struct kv_fields){.key = BYTES_EMPTY};
    while (pb_next(&r, &f))
        if (!take_field(&f, ret))
            return false;
    return !r.bad;
}

void kv_decode_stored(struct bytes in, struct kv_fields *ret)
{
    if (NEVER(!kv_decode(in, ret)))
        assert_fail(__FILE__, __LINE__, "a record of bucket key is not a KeyValue");
}
