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

#define RANGE (UINT64_C(1) << 63) /* as far as a duration goes, downwards */

/* The letters up to the next digit or point. */
static struct bytes unit_at(const char *s)
{
    return bytes_of(s, strcspn(s, ".0123456789"));
}

/* 0: it is none. */
static uint64_t unit_ns(struct bytes unit)
{
    for (size_t i = 0; i < ARRAY_LEN(UNITS); i++)
        if (bytes_eq(unit, bytes_str(UNITS[i].name)))
            return UNITS[i].ns;
    return 0;
}

/* The digits at *s; false: they are out of range. */
static bool whole_parse(const char **s, uint64_t *ret)
{
    uint64_t v = 0;

    for (; isdigit((unsigned char) **s); (*s)++) {
        if (v > RANGE / 10)
            return false;
        v = v * 10 + (uint64_t) (**s - '0');
    }
    *ret = v;
    return true;
}

/* The digits behind a point: value and scale.  Those beyond what a duration can show are ignored.
 */
static uint64_t fraction_parse(const char **s, double *ret_scale)
{
    bool full = false;
    uint64_t v = 0;

    *ret_scale = 1;
    for (; isdigit((unsigned char) **s); (*s)++) {
        uint64_t next = v * 10 + (uint64_t) (**s - '0');

        full = full || v > (RANGE - 1) / 10 || next > RANGE;
        if (full)
            continue;
        v = next;
        *ret_scale *= 10;
    }
    return v;
}

/* One "number unit" at *s, added to *total. */
static enum go_duration_fault part_read(const char **s, uint64_t *total, struct bytes *ret_unit)
{
    const char *from = *s;
    uint64_t whole = 0, fraction = 0, unit;
    double scale = 1;
    size_t points = 0;

    if (!whole_parse(s, &whole))
        return GO_DURATION_INVALID;
    if (**s == '.') {
        (*s)++;
        points = 1;
        fraction = fraction_parse(s, &scale);
    }
    if ((size_t) (*s - from) == points)
        return GO_DURATION_INVALID; /* not one digit */
    *ret_unit = unit_at(*s);
    if (ret_unit->n == 0)
        return GO_DURATION_NO_UNIT;
    unit = unit_ns(*ret_unit);
    if (unit == 0)
        return GO_DURATION_UNKNOWN_UNIT;
    if (whole > RANGE / unit)
        return GO_DURATION_INVALID;
    whole = whole * unit + (uint64_t) ((double) fraction * ((double) unit / scale));
    *s += ret_unit->n;
    *total += whole; /* Go lets this sum go around, too: twice 2^63 ns are none */
    return whole > RANGE || *total > RANGE ? GO_DURATION_INVALID : GO_DURATION_GOOD;
}

enum go_duration_fault go_duration_read(const char *s, int64_t *ret_ns, struct bytes *ret_unit)
{
    bool negative = *s == '-';
    uint64_t total = 0;

    if (*s == '-' || *s == '+')
        s++;
    if (strcmp(s, "0") == 0) {
        *ret_ns = 0;
        return GO_DURATION_GOOD;
    }
    if (*s == 0)
        return GO_DURATION_INVALID;
    while (*s != 0) {
        enum go_duration_fault f = part_read(&s, &total, ret_unit);

        if (f != GO_DURATION_GOOD)
            return f;
    }
    if (!negative && total > INT64_MAX)
        return GO_DURATION_INVALID;
    *ret_ns = negative ? (int64_t) (0 - total) : (int64_t) total;
    return GO_DURATION_GOOD;
}

bool go_duration_parse(const char *s, int64_t *ret_ns)
{
    struct bytes unit;

    return go_duration_read(s, ret_ns, &unit) == GO_DURATION_GOOD;
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
