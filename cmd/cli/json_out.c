#include "cli/json_out.h"

#include "cli/text.h"

/* Bytes that may not stand in a JSON string as they are; HTML's as encoding/json has it. */
static void escape_ascii(struct buf *out, uint8_t c)
{
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                   ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};

    if (c < sizeof(letters) && letters[c] != 0)
        buf_printf(out, "\\%c", letters[c]);
    else if (c < 0x20 || c == '<' || c == '>' || c == '&')
        buf_printf(out, "\\u%04x", c);
    else
        buf_add_char(out, (char) c);
}

void json_escape(struct buf *out, struct bytes s)
{
    buf_add_char(out, '"');
    while (s.n > 0) {
        uint32_t c;
        size_t n = text_utf8_next(s, &c);

        if (n == 0)
            buf_add_str(out, "\\ufffd");
        else if (c < 0x80)
            escape_ascii(out, (uint8_t) c);
        else if (c == 0x2028 || c == 0x2029)
            buf_printf(out, "\\u%04x", (unsigned) c);
        else
            buf_add(out, s.p, n);
        n = n == 0 ? 1 : n;
        s = bytes_of(s.p + n, s.n - n);
    }
    buf_add_char(out, '"');
}

static void put_name(struct json_out *j, const char *name)
{
    if (j->comma)
        buf_add_char(j->out, ',');
    j->comma = true;
    if (name != NULL) {
        json_escape(j->out, bytes_str(name));
        buf_add_char(j->out, ':');
    }
}

void json_begin(struct json_out *j, const char *name, char bracket)
{
    ASSERT(bracket == '{' || bracket == '[');
    put_name(j, name);
    buf_add_char(j->out, bracket);
    j->comma = false;
}

void json_end(struct json_out *j, char bracket)
{
    ASSERT(bracket == '}' || bracket == ']');
    buf_add_char(j->out, bracket);
    j->comma = true;
}

void json_int(struct json_out *j, const char *name, int64_t v, enum json_when w)
{
    if (w == JSON_OMIT_EMPTY && v == 0)
        return;
    put_name(j, name);
    buf_printf(j->out, "%" PRId64, v);
}

void json_uint(struct json_out *j, const char *name, uint64_t v, enum json_when w)
{
    if (w == JSON_OMIT_EMPTY && v == 0)
        return;
    put_name(j, name);
    buf_printf(j->out, "%" PRIu64, v);
}

void json_bool(struct json_out *j, const char *name, bool v, enum json_when w)
{
    if (w == JSON_OMIT_EMPTY && !v)
        return;
    put_name(j, name);
    buf_add_str(j->out, v ? "true" : "false");
}

void json_string(struct json_out *j, const char *name, const char *v, enum json_when w)
{
    if (w == JSON_OMIT_EMPTY && v[0] == 0)
        return;
    put_name(j, name);
    json_escape(j->out, bytes_str(v));
}

void json_hex(struct json_out *j, const char *name, uint64_t v, enum json_when w)
{
    if (w == JSON_OMIT_EMPTY && v == 0)
        return;
    put_name(j, name);
    buf_printf(j->out, "\"%" PRIx64 "\"", v);
}

void json_bytes(struct json_out *j, const char *name, struct bytes v, enum json_when w)
{
    if (w == JSON_OMIT_EMPTY && v.n == 0)
        return;
    put_name(j, name);
    buf_add_char(j->out, '"');
    text_base64(j->out, v);
    buf_add_char(j->out, '"');
}

void json_null(struct json_out *j, const char *name)
{
    put_name(j, name);
    buf_add_str(j->out, "null");
}
