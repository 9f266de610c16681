#include "base/hash.h"

#include "base/endian.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t m)
{
    s->v3 ^= m;
    sip_round(s);
    s->v0 ^= m;
}

static inline struct sip sip_begin(const uint64_t seed[2])
{
    /* The constants spell "somepseudorandomlygeneratedbytes". */
    return (struct sip){
        .v0 = seed[0] ^ UINT64_C(0x736f6d6570736575),
        .v1 = seed[1] ^ UINT64_C(0x646f72616e646f6d),
        .v2 = seed[0] ^ UINT64_C(0x6c7967656e657261),
        .v3 = seed[1] ^ UINT64_C(0x7465646279746573),
    };
}

static inline uint64_t sip_end(struct sip *s, uint64_t last)
{
    sip_word(s, last);
    s->v2 ^= 0xff;
    sip_round(s);
    sip_round(s);
    sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

uint64_t hash_bytes(const uint64_t seed[2], struct bytes b)
{
    struct sip s = sip_begin(seed);
    uint64_t last = (uint64_t) b.n << 56;
    size_t i = 0;

    for (; i + 8 <= b.n; i += 8)
        sip_word(&s, le64_get(b.p + i));
    for (unsigned shift = 0; i < b.n; i++, shift += 8)
        last |= (uint64_t) b.p[i] << shift;
    return sip_end(&s, last);
}

uint64_t hash_u64(const uint64_t seed[2], uint64_t x)
{
    struct sip s = sip_begin(seed);

    sip_word(&s, x);
    return sip_end(&s, UINT64_C(8) << 56);
}
