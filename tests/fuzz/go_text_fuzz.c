/* go_text_fuzz.c -- numbers, durations, sizes and quoted strings in Go's spelling.
 *
 * There are two readers of numbers, one of the tools and one of the server: they must agree, and
 * with plain arithmetic in 128 bits, as must the one of durations.  What is written reads as the
 * same. */
#include "cli/text.h"
#include "edge/server/goparse.h"
#include "engine/net/url.h"
#include "obs/gofmt.h"
#include "wire/gojson.h"
#include "wire/wire.h"

#define INPUT_BYTES_MAX 512

__extension__ typedef unsigned __int128 u128;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- numbers ---- */

static int digit_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'z' ? c - 'a' + 10
           : c >= 'A' && c <= 'Z' ? c - 'A' + 10
                                  : 99;
}

/* 0, ERR_INVALID or ERR_LIMIT: digits and nothing else. */
static int plain_uint(const char *s, int base, uint64_t *ret)
{
    u128 v = 0;

    if (*s == 0)
        return ERR_INVALID;
    for (const char *p = s; *p != 0; p++) {
        if (digit_of(*p) >= base)
            return ERR_INVALID;
        if (v <= UINT64_MAX)
            v = v * (unsigned) base + (unsigned) digit_of(*p);
    }
    *ret = (uint64_t) v;
    return v > UINT64_MAX ? ERR_LIMIT : 0;
}

static void numbers(const char *s)
{
    static const int bases[] = {10, 16};
    uint64_t a = 0, b = 0, max = UINT64_MAX;
    int64_t i = 0, k = 0;
    int rc;

    for (size_t n = 0; n < ARRAY_LEN(bases); n++) {
        rc = text_parse_uint(s, bases[n], &a, NULL);
        ASSERT(rc == plain_uint(s, bases[n], &b));
        ASSERT(rc != 0 || a == b);
    }
    rc = text_parse_uint(s, 0, &a, NULL);
    ASSERT(rc == go_uint_parse(s, max, &b, NULL));
    ASSERT(rc != 0 || a == b);
    rc = text_parse_int(s, 0, &i, NULL);
    ASSERT(rc == go_int_parse(s, &k, NULL));
    ASSERT(rc != 0 || i == k);
}

/* ---- durations ---- */

static void durations(const char *s)
{
    char text[GO_DURATION_BYTES];
    int64_t a = 0, again = 0;

    if (!go_duration_parse(s, &a))
        return;
    ASSERT(go_duration_parse(go_duration(a, text), &again));
    ASSERT(again == a);
}

/* As a whole number of a unit: no rounding, so it can be computed. */
static void whole_duration(const char *s)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ns", 1},          {"us", 1000},         {"ms", 1000000},       {"s", 1000000000},
                 {"m", 60000000000}, {"h", 3600000000000}, {".5h", 3600000000000}};
    size_t n = strspn(s, "0123456789");
    uint64_t v;
    int64_t ns = 0;

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        char text[64];
        u128 want;

        if (n == 0 || n > 20 || snprintf(text, sizeof text, "%.*s", (int) n, s) < 0 ||
            plain_uint(text, 10, &v) != 0)
            return;
        want = (u128) v * units[i].ns + (units[i].name[0] == '.' ? units[i].ns / 2 : 0);
        snprintf(text, sizeof text, "%" PRIu64 "%s", v, units[i].name);
        ASSERT(go_duration_parse(text, &ns) == (want <= INT64_MAX));
        ASSERT(want > INT64_MAX || ns == (int64_t) want);
    }
}

/* ---- strings ---- */

/* What is not UTF-8 becomes U+FFFD, byte by byte. */
static void add_valid(struct buf *out, struct bytes s)
{
    while (s.n > 0) {
        uint32_t c;
        size_t n = text_utf8_next(s, &c);

        text_utf8_put(out, n == 0 ? 0xfffd : c);
        n = n == 0 ? 1 : n;
        s = bytes_of(s.p + n, s.n - n);
    }
}

/* A quoted string is printable, ends where it should, and reads as what it was made from. */
static void strings(struct bytes in)
{
    struct buf quoted, again, json, valid;
    size_t n = 0;

    buf_init(&quoted, 1 << 16);
    buf_init(&again, 1 << 16);
    buf_init(&json, 1 << 16);
    buf_init(&valid, 1 << 16);
    text_quote(&quoted, in);
    ASSERT(utf8_valid(buf_bytes(&quoted)));
    ASSERT(text_unquote(buf_bytes(&quoted), &again, &n, NULL) == 0);
    ASSERT(n == quoted.len);
    ASSERT(bytes_eq(buf_bytes(&again), in));
    ASSERT(gojson_add_string(&json, in));
    ASSERT(utf8_valid(buf_bytes(&json)));
    for (size_t i = 0; i < json.len; i++)
        ASSERT(json.p[i] >= 0x20 && memchr("<>&", json.p[i], 3) == NULL);
    buf_clear(&again);
    ASSERT(text_unquote(buf_bytes(&json), &again, &n, NULL) == 0);
    ASSERT(n == json.len);
    add_valid(&valid, in);
    ASSERT(bytes_eq(buf_bytes(&again), buf_bytes(&valid)));
    ASSERT(utf8_valid(in) == bytes_eq(buf_bytes(&valid), in));
    buf_done(&quoted);
    buf_done(&again);
    buf_done(&json);
    buf_done(&valid);
}

/* Any text in place of a quoted string: refused, or its value reads as itself once it is quoted. */
static void quoted_text(struct bytes in)
{
    struct buf value, quoted, again;
    size_t n = 0;

    buf_init(&value, 1 << 16);
    buf_init(&quoted, 1 << 16);
    buf_init(&again, 1 << 16);
    if (text_unquote(in, &value, &n, NULL) == 0) {
        ASSERT(n >= 2);
        ASSERT(n <= in.n);
        text_quote(&quoted, buf_bytes(&value));
        ASSERT(text_unquote(buf_bytes(&quoted), &again, &n, NULL) == 0);
        ASSERT(bytes_eq(buf_bytes(&again), buf_bytes(&value)));
    }
    buf_done(&value);
    buf_done(&quoted);
    buf_done(&again);
}

/* A URL is refused with words, or its parts are of the text. */
static void urls(const char *s)
{
    struct err e = ERR_INIT;
    struct arena a;
    struct url u;

    arena_init(&a, 1 << 16);
    if (url_parse(s, &a, &u, &e) == 0) {
        ASSERT(strstr(u.text, u.host) != NULL);
        ASSERT(strspn(u.port, "0123456789") == strlen(u.port));
        ASSERT(strncmp(u.text, u.scheme, strlen(u.scheme)) == 0);
    } else {
        ASSERT(e.msg[0] != 0);
    }
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[INPUT_BYTES_MAX + 1];

    if (size > INPUT_BYTES_MAX)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = 0;
    numbers(text);
    durations(text);
    whole_duration(text);
    strings(bytes_of(data, size));
    quoted_text(bytes_of(data, size));
    urls(text);
    return 0;
}
