#include "wire/gojson.h"

#include "wire/wire.h"

/* Bytes of the well-formed UTF-8 sequence that s begins with; 0 when it begins with none. */
static size_t sequence(struct bytes s)
{
    size_t n = s.p[0] < 0xe0 ? 2 : s.p[0] < 0xf0 ? 3 : 4;

    return n <= s.n && utf8_valid(bytes_of(s.p, n)) ? n : 0;
}

static void add_ascii(struct buf *out, uint8_t c, bool html)
{
    static const char escaped[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    for (size_t i = 0; i + 1 < sizeof escaped; i += 2) {
        if (c == (uint8_t) escaped[i]) {
            buf_printf(out, "\\%c", escaped[i + 1]);
            return;
        }
    }
    if (c < 0x20 || (html && (c == '<' || c == '>' || c == '&')))
        buf_printf(out, "\\u%04x", c);
    else
        buf_add_char(out, (char) c);
}

/* `bad` stands for what is no UTF-8. */
static bool add_string(struct buf *out, struct bytes s, bool html, const char *bad)
{
    buf_add_char(out, '"');
    while (s.n > 0) {
        size_t n = s.p[0] < 0x80 ? 1 : sequence(s);

        if (s.p[0] < 0x80)
            add_ascii(out, s.p[0], html);
        else if (n == 0)
            buf_add_str(out, bad);
        else if (html && n == 3 && s.p[0] == 0xe2 && s.p[1] == 0x80 && (s.p[2] | 1) == 0xa9)
            buf_printf(out, "\\u20%02x", s.p[2] == 0xa8 ? 0x28u : 0x29u);
        else
            buf_add(out, s.p, n);
        n = MAX(n, (size_t) 1);
        s = bytes_of(s.p + n, s.n - n);
    }
    buf_add_char(out, '"');
    return !out->failed;
}

bool gojson_add_string(struct buf *b, struct bytes s)
{
    return add_string(b, s, true, "\\ufffd");
}

bool json_add_string(struct buf *out, struct bytes s, bool html)
{
    return add_string(out, s, html, "\xef\xbf\xbd");
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
