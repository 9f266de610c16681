#include "cli/json_out.h"

#include "cli/text.h"
#include "wire/gojson.h"

void json_escape(struct buf *out, struct bytes s)
{
    (void) gojson_add_string(out, s); /* a refusal is kept in the buffer */
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
