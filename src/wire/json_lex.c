/* json_lex.c -- tokens of JSON text, as Go's protojson takes them. */
#include "wire/json_int.h"

#include "wire/wire.h"

#define QUOTED_BYTES 6 /* of an escape that is named in an error */

/* ---- errors ---- */

PRINTF_LIKE(4, 0)
static int error_at(struct json_lex *l, size_t at, const char *what, const char *fmt, va_list ap)
{
    unsigned line = 1, column = 1;
    char text[ERR_MSG_BYTES];

    for (size_t i = 0; i < at; i++) {
        if (l->text.p[i] == '\n') {
            line++;
            column = 1;
        } else if ((l->text.p[i] & 0xc0) != 0x80) {
            column++; /* characters, not bytes */
        }
    }
    vsnprintf(text, sizeof text, fmt, ap);
    return err_set(l->e, ERR_INVALID, "proto: %s(line %u:%u): %s", what, line, column, text);
}

int json__error(struct json_lex *l, size_t at, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = error_at(l, at, "", fmt, ap);
    va_end(ap);
    return rc;
}

int json__syntax_error(struct json_lex *l, size_t at, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = error_at(l, at, "syntax error ", fmt, ap);
    va_end(ap);
    return rc;
}

/* ---- strings ---- */

static unsigned hex_digit(uint8_t c)
{
    return c <= '9' ? c - (unsigned) '0' : (c | 0x20u) - 'a' + 10;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* The code unit of "\uXXXX" at p, of which n bytes are there; false: it is none. */
static bool code_unit(const uint8_t *p, size_t n, uint32_t *ret)
{
    *ret = 0;
    if (n < QUOTED_BYTES || p[0] != '\\' || p[1] != 'u')
        return false;
    for (size_t i = 2; i < QUOTED_BYTES; i++) {
        if (!is_hex(p[i]))
            return false;
        *ret = *ret << 4 | hex_digit(p[i]);
    }
    return true;
}

static uint8_t *put_rune(uint8_t *to, uint32_t v)
{
    if (v < 0x80) {
        *to++ = (uint8_t) v;
        return to;
    }
    if (v < 0x800) {
        *to++ = (uint8_t) (0xc0 | v >> 6);
    } else {
        if (v < 0x10000) {
            *to++ = (uint8_t) (0xe0 | v >> 12);
        } else {
            *to++ = (uint8_t) (0xf0 | v >> 18);
            *to++ = (uint8_t) (0x80 | (v >> 12 & 0x3f));
        }
        *to++ = (uint8_t) (0x80 | (v >> 6 & 0x3f));
    }
    *to++ = (uint8_t) (0x80 | (v & 0x3f));
    return to;
}

/* Six bytes in quotes, as Go shows them. */
static int bad_escape(struct json_lex *l, size_t string_at, const uint8_t *p)
{
    char quoted[4 * QUOTED_BYTES + 1];
    size_t n = 0;

    for (size_t i = 0; i < QUOTED_BYTES; i++) {
        if (p[i] == '"' || p[i] == '\\')
            n += (size_t) snprintf(quoted + n, sizeof quoted - n, "\\%c", p[i]);
        else if (p[i] < 0x20 || p[i] >= 0x7f)
            n += (size_t) snprintf(quoted + n, sizeof quoted - n, "\\x%02x", p[i]);
        else
            quoted[n++] = (char) p[i];
    }
    quoted[n] = '\0';
    return json__syntax_error(l, string_at, "invalid escape code \"%s\" in string", quoted);
}

/* The escape at *at, decoded to *to; both are moved on. */
static int unescape(struct json_lex *l, size_t string_at, size_t *at, uint8_t **to)
{
    static const char plain[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    const uint8_t *p = l->text.p + *at;
    size_t n = l->text.n - *at;
    uint32_t v, low;

    for (size_t i = 0; i + 1 < sizeof plain && n >= 2; i += 2) {
        if (p[1] == (uint8_t) plain[i]) {
            *(*to)++ = (uint8_t) plain[i + 1];
            *at += 2;
            return 0;
        }
    }
    if (!code_unit(p, n, &v))
        return err_set(l->e, ERR_INVALID, "proto: unexpected EOF");
    *at += QUOTED_BYTES;
    if (v >= 0xd800 && v < 0xe000) { /* half of a pair */
        if (n < 2 * QUOTED_BYTES)
            return err_set(l->e, ERR_INVALID, "proto: unexpected EOF");
        if (!code_unit(p + QUOTED_BYTES, QUOTED_BYTES, &low) || v >= 0xdc00 || low < 0xdc00 ||
            low >= 0xe000)
            return bad_escape(l, string_at, p + QUOTED_BYTES);
        v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
        *at += QUOTED_BYTES;
    }
    *to = put_rune(*to, v);
    return 0;
}

/* The end of the string that begins at l->at: at its closing quote; true: it has escapes. */
static bool string_end(const struct json_lex *l, size_t *ret)
{
    bool escapes = false;
    size_t i = l->at + 1;

    while (i < l->text.n && l->text.p[i] != '"') {
        escapes |= l->text.p[i] == '\\';
        i += l->text.p[i] == '\\' ? 2 : 1;
    }
    *ret = MIN(i, l->text.n);
    return escapes;
}

static int string_token(struct json_lex *l, struct json_token *t)
{
    size_t begin = l->at, end, i = begin + 1;
    bool escapes = string_end(l, &end);
    uint8_t *copy, *to;
    int rc = 0;

    t->string = bytes_of(l->text.p + i, end - i);
    t->raw = bytes_of(l->text.p + begin, MIN(end + 1, l->text.n) - begin);
    l->at = begin + t->raw.n;
    if (!utf8_valid(t->string))
        return json__syntax_error(l, begin, "invalid UTF-8 in string");
    if (!escapes)
        return 0;
    copy = to = arena_alloc(l->arena, t->string.n);
    if (copy == NULL)
        return err_set(l->e, ERR_LIMIT, "message needs more than %zu bytes of memory",
                       l->arena->bytes_max);
    while (i < end && rc == 0) {
        if (l->text.p[i] == '\\')
            rc = unescape(l, begin, &i, &to);
        else
            *to++ = l->text.p[i++];
    }
    t->string = bytes_of(copy, (size_t) (to - copy));
    return rc;
}

/* ---- tokens ---- */

static void pass_blanks(struct json_lex *l)
{
    while (l->at < l->text.n && memchr(" \t\r\n,:", l->text.p[l->at], 6) != NULL)
        l->at++;
}

enum json_kind json__peek(struct json_lex *l)
{
    pass_blanks(l);
    if (l->at == l->text.n)
        return JSON_END;
    switch (l->text.p[l->at]) {
    case '{':
        return JSON_OPEN_OBJECT;
    case '}':
        return JSON_CLOSE_OBJECT;
    case '[':
        return JSON_OPEN_LIST;
    case ']':
        return JSON_CLOSE_LIST;
    case '"':
        return JSON_STRING;
    case 'n':
        return JSON_NULL;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    default:
        return JSON_NUMBER;
    }
}

int json__next(struct json_lex *l, struct json_token *ret)
{
    size_t n = 1;

    *ret = (struct json_token){.kind = json__peek(l), .at = l->at};
    if (ret->kind == JSON_STRING)
        return string_token(l, ret);
    if (ret->kind == JSON_END)
        n = 0;
    else if (ret->kind == JSON_NULL || ret->kind == JSON_TRUE)
        n = 4;
    else if (ret->kind == JSON_FALSE)
        n = 5;
    else if (ret->kind == JSON_NUMBER)
        while (l->at + n < l->text.n && memchr(" \t\r\n,]}", l->text.p[l->at + n], 7) == NULL)
            n++;
    n = MIN(n, l->text.n - l->at);
    ret->raw = bytes_of(l->text.p + l->at, n);
    l->at += n;
    return 0;
}

int json__skip(struct json_lex *l)
{
    struct json_token t;
    uint32_t depth = 0;
    int rc;

    do {
        rc = json__next(l, &t);
        if (t.kind == JSON_OPEN_OBJECT || t.kind == JSON_OPEN_LIST)
            depth++;
        else if (t.kind == JSON_CLOSE_OBJECT || t.kind == JSON_CLOSE_LIST)
            depth--;
    } while (rc == 0 && depth > 0 && t.kind != JSON_END);
    return rc;
}
