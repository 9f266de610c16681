#include "wire/request_text.h"

#include "wire/wire.h"

/* ---- values ---- */

/* As Go's protobuf quotes: what is UTF-8 stays, other bytes are escaped. */
static void add_quoted(struct buf *b, struct bytes s)
{
    buf_add_char(b, '"');
    while (s.n > 0 && !b->failed) {
        uint32_t c = 0;
        size_t n = utf8_next(s, &c);

        if (n == 0)
            buf_printf(b, "\\x%02x", s.p[0]);
        else if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", (int) c);
        else if (c == '\n' || c == '\r' || c == '\t')
            buf_printf(b, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (c < 0x20 || c == 0x7f)
            buf_printf(b, "\\x%02x", c);
        else if (c >= 0x80 && c <= 0x9f)
            buf_printf(b, "\\u%04x", c);
        else
            buf_add(b, s.p, n);
        n = n == 0 ? 1 : n;
        s = bytes_of(s.p + n, s.n - n);
    }
    buf_add_char(b, '"');
}

static void add_enum(struct buf *b, const ProtobufCEnumDescriptor *d, int v)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(d, v);

    if (value != NULL)
        buf_add_str(b, value->name);
    else
        buf_printf(b, "%d", v);
}

static void add_value(struct buf *b, const ProtobufCFieldDescriptor *f, const void *at)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        buf_printf(b, "%" PRId32, *(const int32_t *) at);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        buf_printf(b, "%" PRIu32, *(const uint32_t *) at);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        buf_printf(b, "%" PRId64, *(const int64_t *) at);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        buf_printf(b, "%" PRIu64, *(const uint64_t *) at);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        buf_add_str(b, *(const protobuf_c_boolean *) at ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        add_enum(b, f->descriptor, *(const int *) at);
        break;
    case PROTOBUF_C_TYPE_STRING:
        add_quoted(b, bytes_str(*(const char *const *) at));
        break;
    case PROTOBUF_C_TYPE_BYTES:
        add_quoted(b, wire_bytes(*(const ProtobufCBinaryData *) at));
        break;
    default:
        buf_add_str(b, "?"); /* no message of etcd has one: floats */
    }
}

/* ---- messages ---- */

static size_t value_bytes(ProtobufCType t)
{
    switch (t) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return sizeof(uint64_t);
    default:
        return sizeof(uint32_t); /* enums and protobuf-c's booleans, too */
    }
}

/* Whether a field that stands alone is there: proto3 has no zero. */
static bool is_set(const ProtobufCFieldDescriptor *f, const void *at, const uint8_t *base)
{
    static const uint64_t zero = 0;

    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        return *(const uint32_t *) (const void *) (base + f->quantifier_offset) == f->id;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(const void *const *) at != NULL;
    if (f->type == PROTOBUF_C_TYPE_STRING)
        return *(const char *const *) at != NULL && **(const char *const *) at != 0;
    if (f->type == PROTOBUF_C_TYPE_BYTES)
        return ((const ProtobufCBinaryData *) at)->len != 0;
    return memcmp(at, &zero, value_bytes(f->type)) != 0;
}

static void add_field(struct buf *b, const ProtobufCFieldDescriptor *f, const void *at, bool *first)
{
    buf_add_str(b, *first ? "" : "  ");
    *first = false;
    buf_printf(b, "%s:", f->name);
    if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
        add_value(b, f, at);
        return;
    }
    buf_add_char(b, '{');
    message_text(b, *(const ProtobufCMessage *const *) at);
    buf_add_char(b, '}');
}

void message_text(struct buf *b, const ProtobufCMessage *m)
{
    const uint8_t *base = (const uint8_t *) m;
    bool first = true;

    for (unsigned i = 0; i < m->descriptor->n_fields && !b->failed; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const void *at = base + f->offset;

        if (f->label != PROTOBUF_C_LABEL_REPEATED) {
            if (is_set(f, at, base))
                add_field(b, f, at, &first);
            continue;
        }
        for (size_t k = 0; k < *(const size_t *) (const void *) (base + f->quantifier_offset); k++)
            add_field(b, f, *(const uint8_t *const *) at + k * value_bytes(f->type), &first);
    }
}

/* ---- with values left out ---- */

static void add_number(struct buf *b, const char *name, int64_t v)
{
    if (v != 0)
        buf_printf(b, "%s:%" PRId64 " ", name, v);
}

static void add_flag(struct buf *b, const char *name, bool v)
{
    if (v)
        buf_printf(b, "%s:true ", name);
}

static void add_key(struct buf *b, ProtobufCBinaryData key)
{
    if (key.len == 0)
        return;
    buf_add_str(b, "key:");
    add_quoted(b, wire_bytes(key));
    buf_add_char(b, ' ');
}

void put_text(struct buf *b, const Etcdserverpb__PutRequest *q)
{
    add_key(b, q->key);
    add_number(b, "value_size", (int64_t) q->value.len);
    add_number(b, "lease", q->lease);
    add_flag(b, "prev_kv", q->prev_kv);
    add_flag(b, "ignore_value", q->ignore_value);
    add_flag(b, "ignore_lease", q->ignore_lease);
}

static void add_compare(struct buf *b, const Etcdserverpb__Compare *q)
{
    if (q->target_union_case != ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE) {
        message_text(b, &q->base);
        return;
    }
    if (q->result != ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL) {
        buf_add_str(b, "result:");
        add_enum(b, &etcdserverpb__compare__compare_result__descriptor, (int) q->result);
        buf_add_char(b, ' ');
    }
    buf_add_str(b, "target:VALUE ");
    add_key(b, q->key);
    add_number(b, "value_size", (int64_t) q->value.len);
    if (q->range_end.len != 0) {
        buf_add_str(b, "range_end:");
        add_quoted(b, wire_bytes(q->range_end));
        buf_add_char(b, ' ');
    }
}

static void add_op(struct buf *b, const Etcdserverpb__RequestOp *q)
{
    switch (q->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        buf_add_str(b, "request_put:<");
        put_text(b, q->request_put);
        break;
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        buf_add_str(b, "request_txn:<");
        txn_text(b, q->request_txn);
        break;
    default:
        message_text(b, &q->base);
        return;
    }
    buf_add_char(b, '>');
}

static void add_ops(struct buf *b, const char *name, Etcdserverpb__RequestOp *const *v, size_t n)
{
    buf_printf(b, " %s:<", name);
    for (size_t i = 0; i < n && !b->failed; i++) {
        buf_add_str(b, i == 0 ? "" : " ");
        add_op(b, v[i]);
    }
    buf_add_char(b, '>');
}

void txn_text(struct buf *b, const Etcdserverpb__TxnRequest *q)
{
    buf_add_str(b, "compare:<");
    for (size_t i = 0; i < q->n_compare && !b->failed; i++) {
        buf_add_str(b, i == 0 ? "" : " ");
        add_compare(b, q->compare[i]);
    }
    buf_add_char(b, '>');
    add_ops(b, "success", q->success, q->n_success);
    add_ops(b, "failure", q->failure, q->n_failure);
}

/* ---- an entry ---- */

static void add_header(struct buf *b, const Etcdserverpb__RequestHeader *h)
{
    buf_add_str(b, "header:<");
    if (h != NULL) {
        buf_printf(b, "ID:%" PRIu64, h->id);
        if (h->username != NULL && h->username[0] != 0) {
            buf_add_str(b, "  username:");
            add_quoted(b, bytes_str(h->username));
        }
        if (h->auth_revision != 0)
            buf_printf(b, "  auth_revision:%" PRIu64, h->auth_revision);
    }
    buf_add_str(b, "> ");
}

/* The header is the first field of the message, though its number is the highest. */
static void whole_text(struct buf *b, const Etcdserverpb__InternalRaftRequest *q)
{
    Etcdserverpb__InternalRaftRequest rest = *q;

    rest.header = NULL;
    if (q->header != NULL) {
        buf_add_str(b, "header:{");
        message_text(b, &q->header->base);
        buf_add_str(b, "}  ");
    }
    message_text(b, &rest.base);
}

void raft_request_text(struct buf *b, const Etcdserverpb__InternalRaftRequest *q)
{
    bool shown_whole = q->put == NULL && q->txn == NULL && q->lease_grant == NULL &&
                       q->lease_revoke == NULL && q->authenticate == NULL &&
                       q->auth_user_add == NULL && q->auth_user_change_password == NULL;

    if (shown_whole) {
        whole_text(b, q);
        return;
    }
    add_header(b, q->header);
    if (q->put != NULL) {
        buf_add_str(b, "put:<");
        put_text(b, q->put);
    } else if (q->txn != NULL) {
        buf_add_str(b, "txn:<");
        txn_text(b, q->txn);
    } else if (q->lease_grant != NULL) {
        buf_printf(b, "lease_grant:<ttl:%" PRId64 "-second id:%016" PRIx64, q->lease_grant->ttl,
                   (uint64_t) q->lease_grant->id);
    } else if (q->lease_revoke != NULL) {
        buf_printf(b, "lease_revoke:<id:%016" PRIx64, (uint64_t) q->lease_revoke->id);
    } else if (q->authenticate != NULL) {
        buf_printf(b, "authenticate:<name:%s", q->authenticate->name); /* no token */
    } else if (q->auth_user_add != NULL) {
        buf_printf(b, "auth_user_add:<name:%s", q->auth_user_add->name);
    } else {
        buf_printf(b, "auth_user_change_password:<name:%s", q->auth_user_change_password->name);
    }
    buf_add_char(b, '>');
}
