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

static bool decode_any(struct bytes in, struct kv_fields *ret)
{
    struct pb_reader r = pb_reader_of(in);
    struct pb_field f;

    *ret = (struct kv_fields){.key = BYTES_EMPTY};
    while (pb_next(&r, &f))
        if (!take_field(&f, ret))
            return false;
    return !r.bad;
}

/* ---- the usual form: kv_encode's ---- */

#define TAG(number, type) ((uint8_t) ((number) << 3 | (type)))

/* The value of a field that may be left out.  False: not of this form. */
static bool usual_varint(const uint8_t **p, const uint8_t *end, uint8_t tag, uint64_t *ret)
{
    const uint8_t *at = *p;
    uint64_t v = 0;

    if (at == end || *at != tag)
        return true;
    at++;
    for (unsigned shift = 0; shift < 63 && at < end; shift += 7) {
        uint8_t b = *at++;

        v |= (uint64_t) (b & 0x7f) << shift;
        if (b < 0x80) {
            *ret = v;
            *p = at;
            return true;
        }
    }
    return false;
}

static bool usual_bytes(const uint8_t **p, const uint8_t *end, uint8_t tag, struct bytes *ret)
{
    uint64_t n = UINT64_MAX;

    if (!usual_varint(p, end, tag, &n))
        return false;
    if (n == UINT64_MAX)
        return true; /* it is not there */
    if (n > (uint64_t) (end - *p))
        return false;
    *ret = bytes_of(*p, (size_t) n);
    *p += n;
    return true;
}

static bool usual_i64(const uint8_t **p, const uint8_t *end, uint8_t tag, int64_t *ret)
{
    uint64_t v = 0;
    bool ok = usual_varint(p, end, tag, &v);

    *ret = (int64_t) v;
    return ok;
}

static bool decode_usual(struct bytes in, struct kv_fields *ret)
{
    const uint8_t *p = in.p, *end = in.p + in.n;

    ret->key = ret->value = BYTES_EMPTY;
    return usual_bytes(&p, end, TAG(KV_KEY, PB_LEN), &ret->key) &&
           usual_i64(&p, end, TAG(KV_CREATE, PB_VARINT), &ret->create_main) &&
           usual_i64(&p, end, TAG(KV_MOD, PB_VARINT), &ret->mod_main) &&
           usual_i64(&p, end, TAG(KV_VERSION, PB_VARINT), &ret->version) &&
           usual_bytes(&p, end, TAG(KV_VALUE, PB_LEN), &ret->value) &&
           usual_i64(&p, end, TAG(KV_LEASE, PB_VARINT), &ret->lease) && p == end;
}

bool kv_decode(struct bytes in, struct kv_fields *ret)
{
    return decode_usual(in, ret) || decode_any(in, ret);
}

void kv_decode_stored(struct bytes in, struct kv_fields *ret)
{
    if (NEVER(!kv_decode(in, ret)))
        assert_fail(__FILE__, __LINE__, "a record of bucket key is not a KeyValue");
}
