/* number.c -- numbers, booleans, durations and sizes in Go's spelling. */

#include "base/err.h"
#include "cli/text.h"
#include "obs/gofmt.h"

enum number_state { NUMBER_OK, NUMBER_SYNTAX, NUMBER_RANGE };

static int number_err(struct err *e, const char *fn, const char *s, enum number_state st)
{
    struct buf q;

    buf_init(&q, ERR_MSG_BYTES);
    text_quote(&q, bytes_str(s));
    err_set(e, st == NUMBER_RANGE ? ERR_LIMIT : ERR_INVALID, "%s: parsing %s: %s", fn, buf_cstr(&q),
            st == NUMBER_RANGE ? "value out of range" : "invalid syntax");
    buf_done(&q);
    return st == NUMBER_RANGE ? ERR_LIMIT : ERR_INVALID;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 10;
    return 99;
}

/* Base 0: the prefix decides.  Underscores may stand between digits and behind the prefix. */
static const char *base_prefix(const char *s, int *base)
{
    char c = s[0] == '0' ? (char) (s[1] | 0x20) : 0;

    *base = 10;
    if (s[0] != '0')
        return s;
    if ((c == 'x' || c == 'b' || c == 'o') && s[2] != 0) {
        *base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
        return s + 2;
    }
    if (s[1] != 0) {
        *base = 8;
        return s + 1;
    }
    return s;
}

/* An underscore needs a digit (or the prefix) before it and a digit behind it. */
static bool underscores_ok(const char *digits, bool prefixed)
{
    bool digit_before = prefixed;

    for (const char *p = digits; *p != 0; p++) {
        if (*p == '_' && (!digit_before || p[1] == 0 || p[1] == '_'))
            return false;
        digit_before = *p != '_';
    }
    return true;
}

static enum number_state parse_digits(const char *s, int base, uint64_t *ret)
{
    const char *digits = s;
    bool free_form = base == 0;
    uint64_t v = 0;
    bool over = false;
    bool any = false;

    if (free_form)
        digits = base_prefix(s, &base);
    if (free_form && !underscores_ok(digits, digits != s))
        return NUMBER_SYNTAX;
    for (const char *p = digits; *p != 0; p++) {
        int d = digit_of(*p);

        if (free_form && *p == '_')
            continue;
        if (d >= base)
            return NUMBER_SYNTAX;
        any = true;
        over = over || __builtin_mul_overflow(v, (uint64_t) base, &v) ||
               __builtin_add_overflow(v, (uint64_t) d, &v);
    }
    if (!any)
        return NUMBER_SYNTAX;
    *ret = v;
    return over ? NUMBER_RANGE : NUMBER_OK;
}

int text_parse_int(const char *s, int base, int64_t *ret, struct err *e)
{
    bool negative = s[0] == '-';
    uint64_t limit = negative ? (uint64_t) INT64_MAX + 1 : (uint64_t) INT64_MAX;
    uint64_t v = 0;
    enum number_state st = parse_digits(s + (s[0] == '-' || s[0] == '+'), base, &v);

    if (st == NUMBER_OK && v > limit)
        st = NUMBER_RANGE;
    if (st != NUMBER_OK)
        return number_err(e, "strconv.ParseInt", s, st);
    *ret = negative ? (int64_t) (0 - v) : (int64_t) v;
    return 0;
}

int text_parse_uint(const char *s, int base, uint64_t *ret, struct err *e)
{
    uint64_t v = 0;
    enum number_state st = parse_digits(s, base, &v);

    if (st != NUMBER_OK)
        return number_err(e, "strconv.ParseUint", s, st);
    *ret = v;
    return 0;
}

int text_parse_bool(const char *s, bool *ret, struct err *e)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        bool is_yes = strcmp(s, yes[i]) == 0;

        if (is_yes || strcmp(s, no[i]) == 0) {
            *ret = is_yes;
            return 0;
        }
    }
    return number_err(e, "strconv.ParseBool", s, NUMBER_SYNTAX);
}

/* ---- durations ---- */

static int duration_err(struct err *e, const char *what, const char *s)
{
    struct buf q;

    buf_init(&q, ERR_MSG_BYTES);
    text_quote(&q, bytes_str(s));
    err_set(e, ERR_INVALID, "time: %s duration %s", what, buf_cstr(&q));
    buf_done(&q);
    return ERR_INVALID;
}

static int duration_unit_err(struct err *e, struct bytes unit, const char *s)
{
    struct buf what;

    buf_init(&what, ERR_MSG_BYTES);
    buf_add_str(&what, "unknown unit ");
    text_quote(&what, unit);
    buf_add_str(&what, " in");
    duration_err(e, buf_cstr(&what), s);
    buf_done(&what);
    return ERR_INVALID;
}

int text_parse_duration(const char *s, int64_t *ret_ns, struct err *e)
{
    struct bytes unit;

    switch (go_duration_read(s, ret_ns, &unit)) {
    case GO_DURATION_GOOD:
        return 0;
    case GO_DURATION_NO_UNIT:
        return duration_err(e, "missing unit in", s);
    case GO_DURATION_UNKNOWN_UNIT:
        return duration_unit_err(e, unit, s);
    case GO_DURATION_INVALID:
        break;
    }
    return duration_err(e, "invalid", s);
}

void text_duration(struct buf *out, int64_t ns)
{
    char text[GO_DURATION_BYTES];

    buf_add_str(out, go_duration(ns, text));
}

/* ---- sizes, leases ---- */

void text_human_bytes(struct buf *out, uint64_t n)
{
    char text[GO_SIZE_BYTES];

    buf_add_str(out, go_size(n, text));
}

void text_lease_id(struct buf *out, int64_t id)
{
    if (id < 0)
        buf_printf(out, "-%015" PRIx64, (uint64_t) 0 - (uint64_t) id);
    else
        buf_printf(out, "%016" PRIx64, (uint64_t) id);
}
