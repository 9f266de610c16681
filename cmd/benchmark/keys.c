#include "benchmark/keys.h"

#define VARINT_BYTES_MAX 10

static size_t varint_put(uint8_t *out, int64_t v)
{
    uint64_t u = (uint64_t) v << 1 ^ (uint64_t) (v < 0 ? -1 : 0);
    size_t n = 0;

    for (; u >= 0x80; u >>= 7)
        out[n++] = (uint8_t) (u | 0x80);
    out[n++] = (uint8_t) u;
    return n;
}

size_t key_bytes_least(int64_t size)
{
    uint8_t scratch[VARINT_BYTES_MAX];

    ASSERT(size > 0);
    return varint_put(scratch, size - 1);
}

int64_t key_next(struct key_space *k)
{
    if (k->sequential)
        return k->next++ % k->size;
    return (int64_t) random_below(k->chance, (uint64_t) k->size);
}

void key_write(const struct key_space *k, int64_t number, uint8_t *out)
{
    uint8_t varint[VARINT_BYTES_MAX];
    size_t n = varint_put(varint, number);

    ASSERT(n <= k->key_bytes);
    memset(out, 0, k->key_bytes);
    memcpy(out, varint, n);
}

void random_fill(struct random *r, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
        uint64_t v = random_u64(r);

        memcpy(out + i, &v, MIN(n - i, sizeof(v)));
    }
}
