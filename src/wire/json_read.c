/* json_read.c -- a JSON value as the bytes of a protobuf message.
 *
 * No tree is built: the value is walked twice, first to check it and to learn how long each nested
 * message becomes, then to write. So what a client sends costs no more memory than it is long. */
#include "wire/json_int.h"
#include "wire/pb.h"
#include "wire/wire.h"

#define FIELDS_MAX 64
#define NAME_BYTES_MAX 64

struct reader {
    struct json_lex lex;
    uint8_t *out;       /* NULL: the first walk */
    size_t n;           /* bytes written, or to be written */
    struct buf lengths; /* of nested messages, in the order in which they begin: uint32_t */
    size_t next;        /* of lengths */
    unsigned depth;
};

static int read_message(struct reader *r, const ProtobufCMessageDescriptor *d);

/* ---- output ---- */

static void put(struct reader *r, const void *p, size_t n)
{
    if (r->out != NULL && n > 0)
        memcpy(r->out + r->n, p, n);
    r->n += n;
}

static void put_varint(struct reader *r, uint32_t id, uint64_t v)
{
    uint8_t b[2 * PB_VARINT_BYTES_MAX];

    put(r, b, (size_t) (pb_put_varint(pb_put_tag(b, id, PB_VARINT), v) - b));
}

static void put_head(struct reader *r, uint32_t id, size_t n)
{
    uint8_t b[2 * PB_VARINT_BYTES_MAX];

    put(r, b, (size_t) (pb_put_head(b, id, n) - b));
}

/* ---- names ---- */

/* range_end -> rangeEnd; a name without underscores stays. */
static const char *camel(const char *name, char out[NAME_BYTES_MAX])
{
    size_t n = 0;
    bool up = false;

    for (; *name != '\0'; name++) {
        if (*name == '_') {
            up = true;
            continue;
        }
        ASSERT(n < NAME_BYTES_MAX - 1);
        out[n++] = (char) (up && *name >= 'a' && *name <= 'z' ? *name - 32 : *name);
        up = false;
    }
    out[n] = '\0';
    return out;
}

static const ProtobufCFieldDescriptor *field_named(const ProtobufCMessageDescriptor *d,
                                                   struct bytes name)
{
    char json[NAME_BYTES_MAX];

    for (unsigned i = 0; i < d->n_fields; i++) {
        if (bytes_eq(name, bytes_str(d->fields[i].name)) ||
            bytes_eq(name, bytes_str(camel(d->fields[i].name, json))))
            return &d->fields[i];
    }
    return NULL;
}

static bool is_oneof(const ProtobufCFieldDescriptor *f)
{
    return (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

/* protobuf-c's descriptors do not name them; no message has two. */
static const char *oneof_name(const ProtobufCMessageDescriptor *d)
{
    if (strcmp(d->short_name, "Compare") == 0)
        return "target_union";
    if (strcmp(d->short_name, "WatchRequest") == 0)
        return "request_union";
    return strcmp(d->short_name, "ResponseOp") == 0 ? "response" : "request";
}

/* ---- values ---- */

static const char *kind_name(ProtobufCType t)
{
    switch (t) {
    case PROTOBUF_C_TYPE_BOOL:
        return "bool";
    case PROTOBUF_C_TYPE_INT32:
        return "int32";
    case PROTOBUF_C_TYPE_INT64:
        return "int64";
    case PROTOBUF_C_TYPE_UINT32:
        return "uint32";
    case PROTOBUF_C_TYPE_UINT64:
        return "uint64";
    case PROTOBUF_C_TYPE_ENUM:
        return "enum";
    case PROTOBUF_C_TYPE_STRING:
        return "string";
    default:
        return "bytes";
    }
}

/* A number, or a string that is one. */
static bool integer(const struct json_token *t, unsigned bits, bool is_signed, uint64_t *ret)
{
    struct bytes s = t->kind == JSON_STRING ? t->string : t->raw;

    if (t->kind != JSON_NUMBER && t->kind != JSON_STRING)
        return false;
    if (s.n > 0 && (s.p[0] <= ' ' || s.p[s.n - 1] <= ' '))
        return false; /* blanks around it, in a string */
    if (!json__integer(s, bits, is_signed, ret))
        return false;
    if (is_signed && bits == 32)
        *ret = (uint64_t) (int64_t) (int32_t) *ret;
    return true;
}

/* *ret_known false: a name that nobody knows, which is passed over. */
static bool enumeration(const ProtobufCFieldDescriptor *f, const struct json_token *t,
                        uint64_t *ret, bool *ret_known)
{
    const ProtobufCEnumDescriptor *d = f->descriptor;

    if (t->kind != JSON_STRING)
        return t->kind == JSON_NUMBER && integer(t, 32, true, ret);
    *ret_known = false;
    for (unsigned i = 0; i < d->n_values && !*ret_known; i++) {
        if (bytes_eq(t->string, bytes_str(d->values[i].name))) {
            *ret = (uint64_t) (int64_t) d->values[i].value;
            *ret_known = true;
        }
    }
    return true;
}

/* A value of varint type. */
static bool varint(const ProtobufCFieldDescriptor *f, const struct json_token *t, uint64_t *ret,
                   bool *ret_known)
{
    *ret_known = true;
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
        *ret = t->kind == JSON_TRUE;
        return t->kind == JSON_TRUE || t->kind == JSON_FALSE;
    case PROTOBUF_C_TYPE_INT32:
        return integer(t, 32, true, ret);
    case PROTOBUF_C_TYPE_UINT32:
        return integer(t, 32, false, ret);
    case PROTOBUF_C_TYPE_INT64:
        return integer(t, 64, true, ret);
    case PROTOBUF_C_TYPE_UINT64:
        return integer(t, 64, false, ret);
    case PROTOBUF_C_TYPE_ENUM:
        return enumeration(f, t, ret, ret_known);
    default:
        UNREACHABLE(); /* the API has no other types */
    }
}

/* `always`: also a value that is the type's default (in a oneof, in a list). */
static bool put_bytes(struct reader *r, const ProtobufCFieldDescriptor *f,
                      const struct json_token *t, bool always)
{
    struct bytes s = t->string;
    size_t n = s.n;

    if (t->kind != JSON_STRING || (f->type == PROTOBUF_C_TYPE_BYTES && !json__base64(s, NULL, &n)))
        return false;
    if (n == 0 && !always)
        return true;
    put_head(r, f->id, n);
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        put(r, s.p, n);
        return true;
    }
    if (r->out != NULL && !json__base64(s, r->out + r->n, &n))
        UNREACHABLE();
    r->n += n;
    return true;
}

static int read_scalar(struct reader *r, const ProtobufCFieldDescriptor *f, bool always)
{
    char name[NAME_BYTES_MAX];
    struct json_token t;
    bool known = true, ok;
    uint64_t v = 0;
    int rc = json__next(&r->lex, &t);

    if (rc != 0)
        return rc;
    if (f->type == PROTOBUF_C_TYPE_BYTES || f->type == PROTOBUF_C_TYPE_STRING) {
        ok = put_bytes(r, f, &t, always);
    } else {
        ok = varint(f, &t, &v, &known);
        if (ok && known && (v != 0 || always))
            put_varint(r, f->id, v);
    }
    if (ok)
        return 0;
    return json__error(&r->lex, t.at, "invalid value for %s field %s: %.*s", kind_name(f->type),
                       camel(f->name, name), (int) MIN(t.raw.n, (size_t) ERR_MSG_BYTES),
                       (const char *) t.raw.p);
}

/* A nested message: its length is known from the first walk. */
static int read_nested(struct reader *r, const ProtobufCFieldDescriptor *f)
{
    size_t i = r->next++, begin;
    uint32_t n = 0;
    int rc;

    if (r->out != NULL) {
        memcpy(&n, r->lengths.p + i * sizeof n, sizeof n);
        put_head(r, f->id, n);
        begin = r->n;
        rc = read_message(r, f->descriptor); /* may lack memory, this time too */
        ASSERT(rc != 0 || r->n - begin == n);
        return rc;
    }
    if (!buf_add(&r->lengths, &n, sizeof n))
        return err_set(r->lex.e, ERR_LIMIT, "message needs more than %zu bytes of memory",
                       r->lengths.bytes_max);
    begin = r->n;
    rc = read_message(r, f->descriptor);
    n = (uint32_t) (r->n - begin);
    memcpy(r->lengths.p + i * sizeof n, &n, sizeof n);
    put_head(r, f->id, n);
    return rc;
}

static int read_value(struct reader *r, const ProtobufCFieldDescriptor *f, bool always)
{
    return f->type == PROTOBUF_C_TYPE_MESSAGE ? read_nested(r, f) : read_scalar(r, f, always);
}

static int unexpected(struct reader *r, const struct json_token *t)
{
    return json__syntax_error(&r->lex, t->at, "unexpected token %.*s",
                              (int) MIN(t->raw.n, (size_t) ERR_MSG_BYTES), (const char *) t->raw.p);
}

static int read_list(struct reader *r, const ProtobufCFieldDescriptor *f)
{
    struct json_token t;
    int rc = json__next(&r->lex, &t);

    if (rc == 0 && t.kind != JSON_OPEN_LIST)
        return unexpected(r, &t);
    while (rc == 0 && json__peek(&r->lex) != JSON_CLOSE_LIST)
        rc = read_value(r, f, true);
    return rc != 0 ? rc : json__next(&r->lex, &t);
}

/* ---- messages ---- */

struct seen {
    uint64_t fields; /* by index */
    bool oneof;
};

static int read_field(struct reader *r, const ProtobufCMessageDescriptor *d,
                      const struct json_token *name, struct seen *seen)
{
    const ProtobufCFieldDescriptor *f = field_named(d, name->string);
    struct json_token t;
    uint64_t bit;

    if (f == NULL)
        return json__skip(&r->lex);
    bit = (uint64_t) 1 << (f - d->fields);
    if ((seen->fields & bit) != 0)
        return json__error(&r->lex, name->at, "duplicate field %.*s", (int) name->raw.n,
                           (const char *) name->raw.p);
    seen->fields |= bit;
    if (json__peek(&r->lex) == JSON_NULL)
        return json__next(&r->lex, &t);
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return read_list(r, f);
    if (is_oneof(f) && seen->oneof)
        return json__error(&r->lex, name->at, "error parsing %.*s, oneof %s.%s is already set",
                           (int) name->raw.n, (const char *) name->raw.p, d->name, oneof_name(d));
    seen->oneof |= is_oneof(f);
    return read_value(r, f, is_oneof(f));
}

static int read_message(struct reader *r, const ProtobufCMessageDescriptor *d)
{
    struct seen seen = {0};
    struct json_token t;
    int rc;

    ASSERT(d->n_fields <= FIELDS_MAX);
    if (r->depth == WIRE_DEPTH_MAX)
        return err_set(r->lex.e, ERR_INVALID, "proto: exceeded max recursion depth");
    r->depth++;
    rc = json__next(&r->lex, &t);
    if (rc == 0 && t.kind != JSON_OPEN_OBJECT)
        return unexpected(r, &t);
    while (rc == 0) {
        rc = json__next(&r->lex, &t);
        if (rc != 0 || t.kind == JSON_CLOSE_OBJECT)
            break;
        rc = t.kind == JSON_STRING ? read_field(r, d, &t, &seen) : unexpected(r, &t);
    }
    r->depth--;
    return rc;
}

static int walk(struct reader *r, const ProtobufCMessageDescriptor *d)
{
    r->lex.at = 0;
    r->n = r->next = 0;
    r->depth = 0;
    return read_message(r, d);
}

int json_read(const ProtobufCMessageDescriptor *d, struct bytes text, size_t bytes_max,
              struct arena *a, struct bytes *ret, struct err *e)
{
    struct reader r = {.lex = {.arena = a, .e = e}};
    int rc;

    while (text.n > 0 && memchr(" \t\r\n", text.p[0], 4) != NULL)
        text = bytes_of(text.p + 1, text.n - 1);
    r.lex.text = text;
    buf_init(&r.lengths, 2 * text.n + 64); /* a message is two characters and a comma at least */
    rc = walk(&r, d);
    if (rc == 0 && r.n > bytes_max)
        rc = err_set(e, ERR_LIMIT, "grpc: received message larger than max (%zu vs. %zu)", r.n,
                     bytes_max);
    if (rc == 0) {
        size_t n = r.n;

        r.out = arena_alloc(a, MAX(n, (size_t) 1));
        if (r.out == NULL)
            rc = err_set(e, ERR_LIMIT, "message needs more than %zu bytes of memory", a->bytes_max);
        else
            rc = walk(&r, d);
        ASSERT(rc != 0 || r.n == n);
    }
    if (rc == 0)
        *ret = bytes_of(r.out, r.n);
    buf_done(&r.lengths);
    return rc;
}
