#include "wire/gojson.h"

#include "wire/wire.h"

/* Bytes of the well-formed UTF-8 sequence that s begins with; 0 when it begins with none. */
static size_t sequence(struct bytes s)
{
    size_t n = s.p[0] < 0xe0 ? 2 : s.p[0] < 0xf0 ? 3 : 4;

    return n <= s.n && utf8_valid(bytes_of(s.p, n)) ? n : 0;
}

static bool add_ascii(struct buf *b, char c)
{
    switch (c) {
    case '"':
        return buf_add_str(b, "\\\"");
    case '\\':
        return buf_add_str(b, "\\\\");
    case '\b':
        return buf_add_str(b, "\\b");
    case '\f':
        return buf_add_str(b, "\\f");
    case '\n':
        return buf_add_str(b, "\\n");
    case '\r':
        return buf_add_str(b, "\\r");
    case '\t':
        return buf_add_str(b, "\\t");
    case '<':
    case '>':
    case '&':
        return buf_printf(b, "\\u%04x", (unsigned) c);
    default:
        return (unsigned char) c < 0x20 ? buf_printf(b, "\\u%04x", (unsigned) c)
                                        : buf_add_char(b, c);
    }
}

bool gojson_add_string(struct buf *b, struct bytes s)
{
    buf_add_char(b, '"');
    while (s.n > 0) {
        size_t n = s.p[0] < 0x80 ? 1 : sequence(s);

        if (s.p[0] < 0x80)
            add_ascii(b, (char) s.p[0]);
        else if (n == 0)
            buf_add_str(b, "\\ufffd");
        else if (n == 3 && s.p[0] == 0xe2 && s.p[1] == 0x80 && (s.p[2] | 1) == 0xa9)
            buf_printf(b, "\\u20%02x", s.p[2] == 0xa8 ? 0x28u : 0x29u);
        else
            buf_add(b, s.p, n);
        n = MAX(n, (size_t) 1);
        s.p += n;
        s.n -= n;
    }
    buf_add_char(b, '"');
    return !b->failed;
}

bool gojson_add_strings(struct buf *b, const char *const *v, size_t n, bool null_when_empty)
{
    if (n == 0 && null_when_empty)
        return buf_add_str(b, "null");
    buf_add_char(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_char(b, ',');
        gojson_add_string(b, bytes_str(v[i]));
    }
    buf_add_char(b, ']');
    return !b->failed;
}
