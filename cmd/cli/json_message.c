#include "cli/json_message.h"

static void put_repeated(struct json_out *j, const ProtobufCMessage *m,
                         const ProtobufCFieldDescriptor *f);

/* One value at `at`, of a field without presence. */
static void put_value(struct json_out *j, const char *name, const ProtobufCFieldDescriptor *f,
                      const void *at, enum json_when w)
{
    const char *const *s = at;
    const ProtobufCBinaryData *b = at;
    const ProtobufCMessage *const *sub = at;

    switch (f->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        json_int(j, name, *(const int64_t *) at, w);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        json_uint(j, name, *(const uint64_t *) at, w);
        break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_ENUM:
        json_int(j, name, *(const int32_t *) at, w);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        json_uint(j, name, *(const uint32_t *) at, w);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        json_bool(j, name, *(const protobuf_c_boolean *) at, w);
        break;
    case PROTOBUF_C_TYPE_STRING:
        json_string(j, name, *s == NULL ? "" : *s, w);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        json_bytes(j, name, bytes_of(b->data, b->len), w);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        json_message(j, name, *sub);
        break;
    default: /* float and double: etcd's API has none */
        UNREACHABLE();
    }
}

static size_t element_bytes(ProtobufCType t)
{
    switch (t) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return sizeof(uint64_t);
    default:
        return sizeof(uint32_t);
    }
}

static void put_repeated(struct json_out *j, const ProtobufCMessage *m,
                         const ProtobufCFieldDescriptor *f)
{
    const uint8_t *base = (const uint8_t *) m;
    size_t n = *(const size_t *) (const void *) (base + f->quantifier_offset);
    const uint8_t *elements = *(const uint8_t *const *) (const void *) (base + f->offset);

    if (n == 0)
        return;
    json_begin(j, f->name, '[');
    for (size_t i = 0; i < n; i++)
        put_value(j, NULL, f, elements + i * element_bytes(f->type), JSON_ALWAYS);
    json_end(j, ']');
}

/* A member of a oneof: Go wraps it in an interface field whose name is the oneof's, capitalised. */
static void put_oneof(struct json_out *j, const ProtobufCMessage *m,
                      const ProtobufCFieldDescriptor *f)
{
    const uint8_t *base = (const uint8_t *) m;
    uint32_t chosen = *(const uint32_t *) (const void *) (base + f->quantifier_offset);
    const char *name = "Response"; /* the one oneof among the answers: ResponseOp.response */

    if (chosen != f->id)
        return;
    json_begin(j, name, '{');
    put_value(j, f->name, f, base + f->offset, JSON_OMIT_EMPTY);
    json_end(j, '}');
}

void json_members(struct json_out *j, const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;

    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];

        if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
            put_oneof(j, m, f);
        else if (f->label == PROTOBUF_C_LABEL_REPEATED)
            put_repeated(j, m, f);
        else
            put_value(j, f->name, f, (const uint8_t *) m + f->offset, JSON_OMIT_EMPTY);
    }
}

void json_message(struct json_out *j, const char *name, const ProtobufCMessage *m)
{
    if (m == NULL)
        return;
    json_begin(j, name, '{');
    json_members(j, m);
    json_end(j, '}');
}
