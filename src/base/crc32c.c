#include "base/crc32c.h"

#include <stdatomic.h>

#define POLY UINT32_C(0x82F63B78)

static uint32_t table[8][256];

__attribute__((constructor)) static void table_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++)
            c = (c & 1) != 0 ? c >> 1 ^ POLY : c >> 1;
        table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int t = 1; t < 8; t++)
            table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 0xff];
    }
}

/* Eight tables, eight bytes a step ("slicing by 8", Intel 2005). */
uint32_t crc32c_portable(uint32_t crc, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint32_t c = ~crc;

    for (; n >= 8; p += 8, n -= 8) {
        uint32_t lo = c ^ ((uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 |
                           (uint32_t) p[3] << 24);

        c = table[7][lo & 0xff] ^ table[6][lo >> 8 & 0xff] ^ table[5][lo >> 16 & 0xff] ^
            table[4][lo >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    for (; n > 0; p++, n--)
        c = c >> 8 ^ table[0][(c ^ *p) & 0xff];
    return ~c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const void *bytes,
                                                               size_t n)
{
    const uint8_t *p = bytes;
    uint64_t c = ~crc & UINT32_C(0xffffffff);

    for (; n >= 8; p += 8, n -= 8) {
        uint64_t v;

        memcpy(&v, p, sizeof v);
        c = __builtin_ia32_crc32di(c, v);
    }
    for (; n > 0; p++, n--)
        c = __builtin_ia32_crc32qi((uint32_t) c, *p);
    return ~(uint32_t) c;
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    static _Atomic int have; /* 0 unknown, 1 yes, 2 no */
    int h = atomic_load_explicit(&have, memory_order_relaxed);

    if (h == 0) {
        h = __builtin_cpu_supports("sse4.2") ? 1 : 2;
        atomic_store_explicit(&have, h, memory_order_relaxed);
    }
    return h == 1 ? crc32c_sse42(crc, p, n) : crc32c_portable(crc, p, n);
}
#else
uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    return crc32c_portable(crc, p, n);
}
#endif
