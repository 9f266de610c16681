/* decode.c -- the lines of iterate-bucket --decode, which follow etcd's tool to the byte. */
#include "base/endian.h"
#include "cli/text.h"
#include "etcd-dump-db/dump.h"
#include "state/store/buckets.h"
#include "wire/pb.h"

#define REV_KEY_BYTES 17 /* of a put; a tombstone has one more */

/* Fields of the records; the messages are in proto/. */
enum { KV_KEY = 1, KV_CREATED = 2, KV_MOD = 3, KV_VERSION = 4, KV_VALUE = 5 };
enum { LEASE_ID = 1, LEASE_TTL = 2, LEASE_REMAINING = 3 };
enum { USER_NAME = 1, USER_ROLE = 3, USER_OPTIONS = 4, OPTION_NO_PASSWORD = 1 };
enum { ROLE_NAME = 1, ROLE_PERMISSION = 2 };
enum { PERMISSION_TYPE = 1, PERMISSION_KEY = 2, PERMISSION_RANGE_END = 3 };

static int bad(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "cannot decode the %s", what);
}

int dump_panic(const struct err *e)
{
    fprintf(stderr, "panic: %s\n", e->msg);
    return 2;
}

void dump_plain(struct buf *out, struct bytes key, struct bytes value)
{
    buf_add_str(out, "key=");
    text_quote(out, key);
    buf_add_str(out, ", value=");
    text_quote(out, value);
    buf_add_char(out, '\n');
}

/* ---- bucket key ---- */

bool dump_is_revision(struct bytes key, int64_t *ret_main)
{
    if (key.n != REV_KEY_BYTES && key.n != REV_KEY_BYTES + 1)
        return false;
    *ret_main = (int64_t) be64_get(key.p);
    return true;
}

int dump_revision(struct buf *out, struct bytes key, struct bytes value, struct err *e)
{
    int64_t main, numbers[KV_VERSION + 1] = {0};
    struct bytes user_key = BYTES_EMPTY, user_value = BYTES_EMPTY;
    struct pb_reader r = pb_reader_of(value);
    struct pb_field f;

    if (!dump_is_revision(key, &main))
        return err_set(e, ERR_CORRUPT, "invalid revision length: %zu", key.n);
    while (pb_next(&r, &f)) {
        if (f.type == PB_VARINT && f.number >= KV_CREATED && f.number <= KV_VERSION)
            numbers[f.number] = (int64_t) f.value;
        else if (f.type == PB_LEN && f.number == KV_KEY)
            user_key = f.bytes;
        else if (f.type == PB_LEN && f.number == KV_VALUE)
            user_value = f.bytes;
    }
    if (r.bad)
        return bad(e, "key-value pair");
    buf_printf(out, "rev={Revision:{Main:%" PRId64 " Sub:%" PRId64 "} tombstone:%s}, value=[key ",
               main, (int64_t) be64_get(key.p + 9), key.n > REV_KEY_BYTES ? "true" : "false");
    text_quote(out, user_key);
    buf_add_str(out, " | val ");
    text_quote(out, user_value);
    buf_printf(out, " | created %" PRId64 " | mod %" PRId64 " | ver %" PRId64 "]",
               numbers[KV_CREATED], numbers[KV_MOD], numbers[KV_VERSION]);
    return 0;
}

static int decode_key(struct buf *out, struct bytes key, struct bytes value, struct err *e)
{
    int rc = dump_revision(out, key, value, e);

    if (rc == 0)
        buf_add_char(out, '\n');
    return rc;
}

/* ---- lease, meta, auth ---- */

static int decode_lease(struct buf *out, struct bytes key, struct bytes value, struct err *e)
{
    struct pb_reader r = pb_reader_of(value);
    struct pb_field f;
    int64_t numbers[LEASE_REMAINING + 1] = {0};

    (void) key;
    while (pb_next(&r, &f)) {
        if (f.type == PB_VARINT && f.number >= LEASE_ID && f.number <= LEASE_REMAINING)
            numbers[f.number] = (int64_t) f.value;
    }
    if (r.bad)
        return bad(e, "lease");
    buf_add_str(out, "lease ID=");
    text_lease_id(out, numbers[LEASE_ID]);
    buf_printf(out, ", TTL=%" PRId64 "s, remaining TTL=%" PRId64 "s\n", numbers[LEASE_TTL],
               numbers[LEASE_REMAINING]);
    return 0;
}

static void key_head(struct buf *out, struct bytes key)
{
    buf_add_str(out, "key=");
    text_quote(out, key);
    buf_add_str(out, ", value=");
}

static int decode_meta(struct buf *out, struct bytes key, struct bytes value, struct err *e)
{
    bool number = bytes_eq(key, BYTES_LIT(STORE_META_CONSISTENT_INDEX)) ||
                  bytes_eq(key, BYTES_LIT(STORE_META_TERM));
    bool revision = bytes_eq(key, BYTES_LIT(STORE_META_SCHEDULED_COMPACT)) ||
                    bytes_eq(key, BYTES_LIT(STORE_META_FINISHED_COMPACT));

    if (!number && !revision) {
        dump_plain(out, key, value);
        return 0;
    }
    if (value.n < (number ? 8u : REV_KEY_BYTES))
        return bad(e, "value in bucket meta");
    key_head(out, key);
    if (number)
        buf_printf(out, "%" PRIu64 "\n", be64_get(value.p));
    else
        buf_printf(out, "{%" PRId64 " %" PRId64 "}\n", (int64_t) be64_get(value.p),
                   (int64_t) be64_get(value.p + 9));
    return 0;
}

static int decode_auth(struct buf *out, struct bytes key, struct bytes value, struct err *e)
{
    bool number = bytes_eq(key, BYTES_LIT("authRevision"));

    if (number && value.n < 8)
        return bad(e, "auth revision");
    key_head(out, key);
    if (number) {
        buf_printf(out, "%" PRIu64 "\n", be64_get(value.p));
        return 0;
    }
    for (size_t i = 0; i < value.n; i++)
        buf_printf(out, i == 0 ? "[%u" : " %u", value.p[i]);
    buf_add_str(out, value.n == 0 ? "[]\n" : "]\n");
    return 0;
}

/* ---- authUsers ---- */

static int decode_user_options(struct buf *out, struct bytes options, struct err *e)
{
    struct pb_reader r = pb_reader_of(options);
    struct pb_field f;
    bool no_password = false;

    while (pb_next(&r, &f)) {
        if (f.number == OPTION_NO_PASSWORD && f.type == PB_VARINT)
            no_password = f.value != 0;
    }
    if (no_password)
        buf_add_str(out, "no_password:true");
    return r.bad ? bad(e, "options of a user") : 0;
}

static int decode_user(struct buf *out, struct bytes key, struct bytes value, struct err *e)
{
    struct pb_reader r = pb_reader_of(value);
    struct bytes name = BYTES_EMPTY, options = BYTES_EMPTY;
    struct pb_field f;
    bool any = false;
    int rc;

    (void) key;
    while (pb_next(&r, &f)) {
        if (f.type == PB_LEN && f.number == USER_NAME)
            name = f.bytes;
        else if (f.type == PB_LEN && f.number == USER_OPTIONS)
            options = f.bytes;
    }
    if (r.bad)
        return bad(e, "user");
    buf_add_str(out, "user=");
    text_quote(out, name);
    buf_add_str(out, ", roles=[");
    for (r = pb_reader_of(value); pb_next(&r, &f);) {
        if (f.type != PB_LEN || f.number != USER_ROLE)
            continue;
        if (any)
            buf_add_char(out, ' ');
        text_quote(out, f.bytes);
        any = true;
    }
    buf_add_str(out, "], option=");
    rc = decode_user_options(out, options, e);
    buf_add_char(out, '\n');
    return rc;
}

/* ---- authRoles: permissions in protobuf's text form ---- */

/* A quoted string of the text form: bytes that are not UTF-8, controls and quotes are escaped. */
static void proto_quote(struct buf *out, struct bytes s)
{
    buf_add_char(out, '"');
    while (s.n > 0) {
        uint32_t c = 0;
        size_t n = text_utf8_next(s, &c);
        uint8_t b = s.p[0];

        if (n == 0 || c < ' ' || c == 0x7f) {
            n = 1;
            if (b == '\n' || b == '\r' || b == '\t')
                buf_printf(out, "\\%c", b == '\n' ? 'n' : b == '\r' ? 'r' : 't');
            else
                buf_printf(out, "\\x%02x", b);
        } else if (c == '"' || c == '\\') {
            buf_printf(out, "\\%c", b);
        } else if (c >= 0x80 && c <= 0x9f) {
            buf_printf(out, "\\u%04x", c);
        } else {
            buf_add(out, s.p, n);
        }
        s = bytes_of(s.p + n, s.n - n);
    }
    buf_add_char(out, '"');
}

static void permission_field(struct buf *out, bool *any, const char *name)
{
    buf_add_str(out, *any ? "  " : "");
    buf_add_str(out, name);
    buf_add_char(out, ':');
    *any = true;
}

static int decode_permission(struct buf *out, struct bytes permission, struct err *e)
{
    static const char *const types[] = {"READ", "WRITE", "READWRITE"};
    struct pb_reader r = pb_reader_of(permission);
    struct bytes key = BYTES_EMPTY, range_end = BYTES_EMPTY;
    struct pb_field f;
    uint64_t type = 0;
    bool any = false;

    while (pb_next(&r, &f)) {
        if (f.type == PB_VARINT && f.number == PERMISSION_TYPE)
            type = f.value;
        else if (f.type == PB_LEN && f.number == PERMISSION_KEY)
            key = f.bytes;
        else if (f.type == PB_LEN && f.number == PERMISSION_RANGE_END)
            range_end = f.bytes;
    }
    if (r.bad)
        return bad(e, "permission of a role");
    if (type != 0) {
        permission_field(out, &any, "permType");
        if (type < ARRAY_LEN(types))
            buf_add_str(out, types[type]);
        else
            buf_printf(out, "%" PRIu64, type);
    }
    if (key.n > 0) {
        permission_field(out, &any, "key");
        proto_quote(out, key);
    }
    if (range_end.n > 0) {
        permission_field(out, &any, "range_end");
        proto_quote(out, range_end);
    }
    return 0;
}

static int decode_role(struct buf *out, struct bytes key, struct bytes value, struct err *e)
{
    struct pb_reader r = pb_reader_of(value);
    struct bytes name = BYTES_EMPTY;
    struct pb_field f;
    bool any = false;
    int rc = 0;

    (void) key;
    while (pb_next(&r, &f)) {
        if (f.type == PB_LEN && f.number == ROLE_NAME)
            name = f.bytes;
    }
    if (r.bad)
        return bad(e, "role");
    buf_add_str(out, "role=");
    text_quote(out, name);
    buf_add_str(out, ", keyPermission=[");
    for (r = pb_reader_of(value); rc == 0 && pb_next(&r, &f);) {
        if (f.type != PB_LEN || f.number != ROLE_PERMISSION)
            continue;
        if (any)
            buf_add_char(out, ' ');
        rc = decode_permission(out, f.bytes, e);
        any = true;
    }
    buf_add_str(out, "]\n");
    return rc;
}

/* ---- which bucket has which ---- */

static const struct {
    const char *bucket;
    int (*decode)(struct buf *out, struct bytes key, struct bytes value, struct err *e);
} decoders[] = {
    {"key", decode_key},        {"lease", decode_lease},    {"auth", decode_auth},
    {"authRoles", decode_role}, {"authUsers", decode_user}, {"meta", decode_meta},
};

int dump_decode(struct buf *out, struct bytes bucket, struct bytes key, struct bytes value,
                struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(decoders); i++) {
        if (bytes_eq(bucket, bytes_str(decoders[i].bucket)))
            return decoders[i].decode(out, key, value, e);
    }
    dump_plain(out, key, value);
    return 0;
}
