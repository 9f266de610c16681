#include "obs/gofmt.h"

#include <ctype.h>

/* Writes `v` / 10^`digits` without trailing zeros in the fraction, ending before `end`.  Returns
 * the first byte. */
static char *put_fraction(char *end, uint64_t v, unsigned digits)
{
    bool print = false;

    for (unsigned i = 0; i < digits; i++) {
        unsigned d = (unsigned) (v % 10);

        print = print || d != 0;
        if (print)
            *--end = (char) ('0' + d);
        v /= 10;
    }
    if (print)
        *--end = '.';
    do {
        *--end = (char) ('0' + v % 10);
        v /= 10;
    } while (v != 0);
    return end;
}

static char *put_uint(char *end, uint64_t v)
{
    return put_fraction(end, v, 0);
}

/* Below a second: the largest unit that leaves a whole part. */
static char *put_small(char *end, uint64_t ns)
{
    *--end = 's';
    if (ns < 1000) {
        *--end = 'n';
        return put_uint(end, ns);
    }
    if (ns < 1000000) {
        /* U+00B5, micro sign */
        *--end = (char) 0xb5;
        *--end = (char) 0xc2;
        return put_fraction(end, ns, 3);
    }
    *--end = 'm';
    return put_fraction(end, ns, 6);
}

const char *go_duration(int64_t ns, char out[GO_DURATION_BYTES])
{
    char tmp[GO_DURATION_BYTES];
    char *end = tmp + sizeof tmp;
    char *p = end;
    uint64_t u = ns < 0 ? (uint64_t) 0 - (uint64_t) ns : (uint64_t) ns;

    if (u == 0) {
        snprintf(out, GO_DURATION_BYTES, "0s");
        return out;
    }
    if (u < 1000000000) {
        p = put_small(p, u);
    } else {
        uint64_t s = u / 1000000000;

        *--p = 's';
        p = put_fraction(p, u - s / 60 * 60 * 1000000000, 9);
        if (s >= 60) {
            *--p = 'm';
            p = put_uint(p, s / 60 % 60);
        }
        if (s >= 3600) {
            *--p = 'h';
            p = put_uint(p, s / 3600);
        }
    }
    if (ns < 0)
        *--p = '-';
    snprintf(out, GO_DURATION_BYTES, "%.*s", (int) (end - p), p);
    return out;
}

static const struct {
    const char *name;
    uint64_t ns;
} UNITS[] = {
    {"ns", 1},       {"us", 1000},      {"\xc2\xb5s", 1000}, {"\xce\xbcs", 1000},
    {"ms", 1000000}, {"s", 1000000000}, {"m", 60000000000},  {"h", 3600000000000},
};

/* The unit that `s` begins with: letters up to the next digit or point. */
static bool unit_parse(const char **s, uint64_t *ret_ns)
{
    size_t n = 0;

    while ((*s)[n] != 0 && (*s)[n] != '.' && !isdigit((unsigned char) (*s)[n]))
        n++;
    for (size_t i = 0; i < ARRAY_LEN(UNITS); i++) {
        if (strlen(UNITS[i].name) == n && memcmp(UNITS[i].name, *s, n) == 0) {
            *s += n;
            *ret_ns = UNITS[i].ns;
            return true;
        }
    }
    return false;
}

/* "12.5" as whole part, fraction and scale of the fraction; false when there is no digit at all. */
static bool number_parse(const char **s, uint64_t *ret_whole, uint64_t *ret_frac, double *ret_scale)
{
    const char *p = *s;
    bool digits = false, full = false;
    uint64_t whole = 0, frac = 0;
    double scale = 1;

    for (; isdigit((unsigned char) *p); p++, digits = true) {
        if (whole > (UINT64_C(1) << 63) / 10)
            return false;
        whole = whole * 10 + (uint64_t) (*p - '0');
    }
    if (*p == '.') {
        p++;
        for (; isdigit((unsigned char) *p); p++, digits = true) {
            uint64_t next = frac * 10 + (uint64_t) (*p - '0');

            full = full || frac > ((UINT64_C(1) << 63) - 1) / 10 || next > UINT64_C(1) << 63;
            if (full)
                continue; /* beyond what a duration can show */
            frac = next;
            scale *= 10;
        }
    }
    *s = p;
    *ret_whole = whole;
    *ret_frac = frac;
    *ret_scale = scale;
    return digits;
}

bool go_duration_parse(const char *s, int64_t *ret_ns)
{
    bool neg = *s == '-';
    uint64_t total = 0;

    if (*s == '-' || *s == '+')
        s++;
    if (strcmp(s, "0") == 0) {
        *ret_ns = 0;
        return true;
    }
    if (*s == 0)
        return false;
    while (*s != 0) {
        uint64_t whole, frac, unit;
        double scale;

        if (!number_parse(&s, &whole, &frac, &scale) || !unit_parse(&s, &unit))
            return false;
        if (whole > (UINT64_C(1) << 63) / unit)
            return false;
        whole = whole * unit + (uint64_t) ((double) frac * ((double) unit / scale));
        total += whole;
        if (whole > UINT64_C(1) << 63 || total > UINT64_C(1) << 63)
            return false;
    }
    if (!neg && total > INT64_MAX)
        return false;
    *ret_ns = neg ? (int64_t) (0 - total) : (int64_t) total;
    return true;
}

const char *go_size(uint64_t bytes, char out[GO_SIZE_BYTES])
{
    static const char *const suffix[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    size_t e = 0;
    double v = (double) bytes;

    if (bytes < 10) {
        snprintf(out, GO_SIZE_BYTES, "%u B", (unsigned) bytes);
        return out;
    }
    while (v >= 1000 && e + 1 < ARRAY_LEN(suffix)) {
        v /= 1000;
        e++;
    }
    v = (double) (uint64_t) (v * 10 + 0.5) / 10;
    snprintf(out, GO_SIZE_BYTES, v < 10 ? "%.1f %s" : "%.0f %s", v, suffix[e]);
    return out;
}
