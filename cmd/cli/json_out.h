/* json_out.h -- JSON exactly as Go's encoding/json writes it: no spaces, members in the order
 * given, HTML characters escaped, byte strings in base64.
 *
 *     struct json_out j = json_out_of(&buf);
 *     json_begin(&j, NULL, '{');
 *     json_uint(&j, "ID", id, JSON_OMIT_EMPTY);
 *     json_end(&j, '}');
 *
 * A name of NULL is for values at the top or inside an array.
 */
#ifndef KETCH_CMD_CLI_JSON_OUT_H
#define KETCH_CMD_CLI_JSON_OUT_H

#include "base/buf.h"

struct json_out {
    struct buf *out;
    bool comma; /* something stands before in this object or array */
};

enum json_when {
    JSON_ALWAYS,
    JSON_OMIT_EMPTY, /* left out when zero, false or empty */
};

static inline struct json_out json_out_of(struct buf *out)
{
    return (struct json_out){.out = out};
}

void json_begin(struct json_out *j, const char *name, char bracket);
void json_end(struct json_out *j, char bracket);
void json_int(struct json_out *j, const char *name, int64_t v, enum json_when w);
void json_uint(struct json_out *j, const char *name, uint64_t v, enum json_when w);
void json_bool(struct json_out *j, const char *name, bool v, enum json_when w);
void json_string(struct json_out *j, const char *name, const char *v, enum json_when w);
void json_hex(struct json_out *j, const char *name, uint64_t v, enum json_when w); /* "8e9e05c5" */
void json_bytes(struct json_out *j, const char *name, struct bytes v, enum json_when w);
void json_null(struct json_out *j, const char *name);

/* The escaped string with its quotes. */
void json_escape(struct buf *out, struct bytes s);

#endif
