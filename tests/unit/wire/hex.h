/* hex.h -- messages as tests write them down: "0801 1002", blanks between bytes as one likes. */
#ifndef KETCH_TESTS_UNIT_WIRE_HEX_H
#define KETCH_TESTS_UNIT_WIRE_HEX_H

#include "base/arena.h"
#include "base/base.h"
#include "lib/cm.h"

#define ARENA_MAX ((size_t) 4 << 20)

static inline struct bytes from_hex(struct arena *a, const char *hex)
{
    size_t n = 0;
    uint8_t *p = arena_alloc(a, strlen(hex) / 2 + 1);

    for (const char *s = hex; *s != '\0'; s++) {
        unsigned v;

        if (*s == ' ')
            continue;
        assert_int_equal(sscanf(s, "%2x", &v), 1);
        p[n++] = (uint8_t) v;
        s++;
    }
    return bytes_of(p, n);
}

#endif
