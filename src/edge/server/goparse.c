#include "edge/server/goparse.h"

#include <ctype.h>

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 10;
    return 99;
}

/* The base that a prefix names; *s moves behind it. */
static unsigned base_of(const char **s)
{
    if ((*s)[0] != '0' || (*s)[1] == 0)
        return 10;
    switch ((*s)[1]) {
    case 'x':
    case 'X':
        *s += 2;
        return 16;
    case 'b':
    case 'B':
        *s += 2;
        return 2;
    case 'o':
    case 'O':
        *s += 2;
        return 8;
    default:
        *s += 1;
        return 8;
    }
}

int go_uint_parse(const char *s, uint64_t max, uint64_t *ret, struct err *e)
{
    uint64_t v = 0;
    const char *start = s;
    unsigned base = base_of(&s);
    bool digit = s - start == 1; /* the 0 of an old octal number */
    bool after_digit = s != start;
    bool range = false;

    for (; *s != 0; s++) {
        int d = digit_value(*s);

        if (*s == '_' && after_digit && s[1] != 0 && s[1] != '_') {
            after_digit = false;
            continue;
        }
        if ((unsigned) d >= base)
            return err_set(e, ERR_INVALID, "parse error");
        if (v > (UINT64_MAX - (uint64_t) d) / base)
            range = true;
        v = v * base + (uint64_t) d;
        digit = after_digit = true;
    }
    if (!digit)
        return err_set(e, ERR_INVALID, "parse error");
    if (range || v > max)
        return err_set(e, ERR_LIMIT, "value out of range");
    *ret = v;
    return 0;
}

int go_int_parse(const char *s, int64_t *ret, struct err *e)
{
    bool neg = *s == '-';
    uint64_t v;
    int rc;

    if (*s == '-' || *s == '+')
        s++;
    rc = go_uint_parse(s, (uint64_t) INT64_MAX + neg, &v, e);
    if (rc == 0)
        *ret = neg ? (int64_t) (0 - v) : (int64_t) v;
    return rc;
}

int go_bool_parse(const char *s, bool *ret, struct err *e)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcmp(s, yes[i]) == 0 || strcmp(s, no[i]) == 0) {
            *ret = strcmp(s, yes[i]) == 0;
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "parse error");
}
