/* quote.c -- strings as Go quotes them, hex, base64, timestamps. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "base/err.h"
#include "cli/text.h"

#define UTF8_ERROR 0xfffd

size_t text_utf8_next(struct bytes s, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t c = s.p[0];
    size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    uint32_t v = n == 1 ? c : n == 0 ? 0 : c & (0xffu >> (n + 1));

    if (n == 0 || n > s.n)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s.p[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (s.p[i] & 0x3f);
    }
    if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
        return 0;
    *ret = v;
    return n;
}

void text_utf8_put(struct buf *out, uint32_t c)
{
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        c = UTF8_ERROR;
    if (c < 0x80) {
        buf_add_char(out, (char) c);
        return;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    uint8_t lead = (uint8_t) (0xf0 << (3 - more)); /* 0xc0, 0xe0, 0xf0 once cut to a byte */

    buf_add_char(out, (char) (lead | c >> (6 * more)));
    while (more-- > 0)
        buf_add_char(out, (char) (0x80 | (c >> (6 * more) & 0x3f)));
}

size_t text_utf8_count(struct bytes s)
{
    size_t count = 0;

    while (s.n > 0) {
        uint32_t c;
        size_t n = text_utf8_next(s, &c);

        n = n == 0 ? 1 : n;
        s = bytes_of(s.p + n, s.n - n);
        count++;
    }
    return count;
}

/* The letter of a two-character escape, or 0. */
static char escape_letter(uint32_t c)
{
    static const char letters[] = "abtnvfr"; /* 0x07 to 0x0d */

    if (c >= 0x07 && c <= 0x0d)
        return letters[c - 0x07];
    return c == '"' || c == '\\' ? (char) c : 0;
}

static void quote_code_point(struct buf *out, uint32_t c)
{
    char letter = escape_letter(c);

    if (letter != 0)
        buf_printf(out, "\\%c", letter);
    else if (text_is_print(c))
        text_utf8_put(out, c);
    else if (c < 0x20 || c == 0x7f)
        buf_printf(out, "\\x%02x", (unsigned) c);
    else if (c < 0x10000)
        buf_printf(out, "\\u%04x", (unsigned) c);
    else
        buf_printf(out, "\\U%08x", (unsigned) c);
}

void text_quote(struct buf *out, struct bytes s)
{
    buf_add_char(out, '"');
    while (s.n > 0) {
        uint32_t c;
        size_t n = text_utf8_next(s, &c);

        if (n == 0) {
            buf_printf(out, "\\x%02x", s.p[0]);
            n = 1;
        } else {
            quote_code_point(out, c);
        }
        s = bytes_of(s.p + n, s.n - n);
    }
    buf_add_char(out, '"');
}

/* ---- unquoting ---- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `digits` digits of the base at s; -1 when there are not as many. */
static int64_t fixed_digits(struct bytes s, size_t digits, int base)
{
    int64_t v = 0;

    if (s.n < digits)
        return -1;
    for (size_t i = 0; i < digits; i++) {
        int d = hex_digit(s.p[i]);

        if (d < 0 || d >= base)
            return -1;
        v = v * base + d;
    }
    return v;
}

/* What follows a backslash at s: appends the value, returns the bytes taken or 0. */
static size_t unescape(struct bytes s, struct buf *out)
{
    static const char letters[] = "abtnvfr";
    uint8_t c = s.n == 0 ? 0 : s.p[0];
    const char *l = c == 0 ? NULL : strchr(letters, c);
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    int64_t v;

    if (l != NULL || c == '"' || c == '\\') {
        buf_add_char(out, l != NULL ? (char) (0x07 + (l - letters)) : (char) c);
        return 1;
    }
    if (digits > 0) {
        v = fixed_digits(bytes_of(s.p + 1, s.n - 1), digits, 16);
        if (v < 0 || v > 0x10ffff || (c != 'x' && v >= 0xd800 && v < 0xe000))
            return 0;
        if (c == 'x')
            buf_add_char(out, (char) v);
        else
            text_utf8_put(out, (uint32_t) v);
        return 1 + digits;
    }
    v = fixed_digits(s, 3, 8);
    if (v < 0 || v > 255)
        return 0;
    buf_add_char(out, (char) v);
    return 3;
}

int text_unquote(struct bytes s, struct buf *out, size_t *ret_len, struct err *e)
{
    size_t at = 1;

    if (s.n == 0 || s.p[0] != '"')
        return err_set(e, ERR_INVALID, "invalid syntax");
    while (at < s.n && s.p[at] != '"' && s.p[at] != '\n') {
        size_t n = 1;

        if (s.p[at] != '\\') {
            buf_add(out, s.p + at, 1);
        } else {
            n = unescape(bytes_of(s.p + at + 1, s.n - at - 1), out);
            if (n == 0)
                return err_set(e, ERR_INVALID, "invalid syntax");
            n++;
        }
        at += n;
    }
    if (at >= s.n || s.p[at] != '"')
        return err_set(e, ERR_INVALID, "invalid syntax");
    *ret_len = at + 1;
    return 0;
}

/* ---- others ---- */

void text_base64(struct buf *out, struct bytes s)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < s.n; i += 3) {
        size_t n = MIN(s.n - i, 3);
        uint32_t v = (uint32_t) s.p[i] << 16 | (n > 1 ? (uint32_t) s.p[i + 1] << 8 : 0) |
                     (n > 2 ? s.p[i + 2] : 0);
        char four[4] = {alphabet[v >> 18], alphabet[v >> 12 & 63], alphabet[v >> 6 & 63],
                        alphabet[v & 63]};

        if (n < 3)
            four[3] = '=';
        if (n < 2)
            four[2] = '=';
        buf_add(out, four, 4);
    }
}

void text_hex_escape(struct buf *out, struct bytes s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_printf(out, "\\x%02x", s.p[i]);
}

void text_timestamp(struct buf *out, int64_t unix_us)
{
    time_t t = (time_t) (unix_us / 1000000);
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL)
        return;
    buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1,
               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int) (unix_us % 1000000));
}
