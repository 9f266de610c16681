/* json_write.c -- the bytes of a protobuf message as JSON text, while they come.
 *
 * A stack of the messages that are open, each with the bytes it still has, and one state for the
 * field that is being read.  Nothing is kept but a string's bytes and up to two of a base64 value,
 * so an answer of any length passes through in pieces.
 *
 * Fields come in ascending order and the elements of a list behind one another, as every encoder
 * here writes them (README.md, promise 2): that is protojson's order too. */
#include "wire/json.h"

#include "base/alloc.h"
#include "wire/gojson.h"
#include "wire/pb.h"
#include "wire/wire.h"

#define STRING_BYTES_MAX ((size_t) 16 << 20)
#define FRAMES_MIN 8

enum write_state {
    TAG,
    VARINT,
    LENGTH,
    SKIPPED, /* bytes of an unknown field */
    STRING,
    BYTES,
    PACKED,
};

void json_write_init(struct json_write *w, bool html)
{
    *w = (struct json_write){.html = html};
    buf_init(&w->string, STRING_BYTES_MAX);
}

void json_write_done(struct json_write *w)
{
    buf_done(&w->string);
    mem_free(w->frames);
    w->frames = NULL;
    w->cap = w->depth = 0;
}

/* ---- base64 ---- */

static void add_base64(struct json_write *w, struct bytes in, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t groups = (w->carry_n + in.n) / 3;
    uint8_t *to = buf_reserve(out, 4 * groups);

    if (to == NULL && groups > 0)
        return;
    for (size_t i = 0; i < in.n; i++) {
        w->carry[w->carry_n++] = in.p[i];
        if (w->carry_n < 3)
            continue;
        w->carry_n = 0;
        *to++ = (uint8_t) digits[w->carry[0] >> 2];
        *to++ = (uint8_t) digits[(w->carry[0] & 3) << 4 | w->carry[1] >> 4];
        *to++ = (uint8_t) digits[(w->carry[1] & 15) << 2 | w->carry[2] >> 6];
        *to++ = (uint8_t) digits[w->carry[2] & 63];
    }
    buf_commit(out, 4 * groups);
}

/* What is left of the last group, with padding. */
static void end_base64(struct json_write *w, struct buf *out)
{
    static const uint8_t zeros[2];
    size_t n = w->carry_n;

    if (n == 0)
        return;
    add_base64(w, bytes_of(zeros, 3 - n), out);
    if (out->failed)
        return;
    memset(out->p + out->len - (3 - n), '=', 3 - n);
}

/* ---- structure ---- */

static struct json_frame *top(struct json_write *w)
{
    return &w->frames[w->depth - 1];
}

static bool push(struct json_write *w, const ProtobufCMessageDescriptor *d, uint64_t left)
{
    if (w->depth == w->cap) {
        uint32_t cap = MAX(2 * w->cap, (uint32_t) FRAMES_MIN);
        struct json_frame *f = cap > JSON_WRITE_DEPTH_MAX * 2
                                   ? NULL
                                   : mem_realloc(w->frames, cap * sizeof *f);

        if (f == NULL)
            return false;
        w->frames = f;
        w->cap = cap;
    }
    w->frames[w->depth++] = (struct json_frame){.d = d, .left = left};
    return true;
}

static bool is_list(const ProtobufCFieldDescriptor *f)
{
    return f->label == PROTOBUF_C_LABEL_REPEATED;
}

/* In front of a value: its name, or the comma between the elements of a list. */
static void begin_value(struct json_write *w, struct buf *out)
{
    const ProtobufCFieldDescriptor *f = w->field;
    struct json_frame *t = top(w);

    if (t->list == f) {
        buf_add_char(out, ',');
        return;
    }
    if (t->list != NULL)
        buf_add_char(out, ']');
    if (t->any)
        buf_add_char(out, ',');
    buf_printf(out, is_list(f) ? "\"%s\":[" : "\"%s\":", f->name);
    t->list = is_list(f) ? f : NULL;
    t->any = true;
}

static void close_message(struct json_write *w, struct buf *out)
{
    struct json_frame *t = top(w);

    if (t->d != NULL) {
        if (t->list != NULL)
            buf_add_char(out, ']');
        buf_add_char(out, '}');
    }
    w->depth--;
}

/* Messages whose last byte was read end here, all but the outermost. */
static void close_finished(struct json_write *w, struct buf *out)
{
    while (w->depth > 1 && top(w)->left == 0)
        close_message(w, out);
    w->state = top(w)->d == NULL ? PACKED : TAG;
    w->number = w->shift = 0;
    if (w->state == PACKED)
        w->field = top(w)->list;
}

/* ---- values ---- */

static bool shows_default(const ProtobufCFieldDescriptor *f)
{
    return is_list(f) || (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

static void add_enum(const ProtobufCFieldDescriptor *f, int32_t v, struct buf *out)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(f->descriptor, v);

    if (value == NULL)
        buf_printf(out, "%" PRId32, v);
    else
        buf_printf(out, "\"%s\"", value->name);
}

static void add_number(struct json_write *w, uint64_t v, struct buf *out)
{
    const ProtobufCFieldDescriptor *f = w->field;

    if (f == NULL || (v == 0 && !shows_default(f)))
        return;
    if (top(w)->d != NULL)
        begin_value(w, out);
    else if (top(w)->any)
        buf_add_char(out, ',');
    top(w)->any = true;
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
        buf_add_str(out, v != 0 ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        add_enum(f, (int32_t) v, out);
        break;
    case PROTOBUF_C_TYPE_INT32:
        buf_printf(out, "%" PRId32, (int32_t) v);
        break;
    case PROTOBUF_C_TYPE_INT64:
        buf_printf(out, "\"%" PRId64 "\"", (int64_t) v);
        break;
    case PROTOBUF_C_TYPE_UINT64:
        buf_printf(out, "\"%" PRIu64 "\"", v);
        break;
    default:
        buf_printf(out, "%" PRIu32, (uint32_t) v);
        break;
    }
}

static bool is_number(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_BOOL || f->type == PROTOBUF_C_TYPE_ENUM ||
           f->type == PROTOBUF_C_TYPE_INT32 || f->type == PROTOBUF_C_TYPE_INT64 ||
           f->type == PROTOBUF_C_TYPE_UINT32 || f->type == PROTOBUF_C_TYPE_UINT64;
}

/* The tag is complete.  A known field of another wire type counts as unknown. */
static bool begin_field(struct json_write *w)
{
    const ProtobufCFieldDescriptor *f = NULL;

    if (w->number >> 3 <= UINT32_MAX)
        f = protobuf_c_message_descriptor_get_field(top(w)->d, (unsigned) (w->number >> 3));
    switch (w->number & 7) {
    case PB_VARINT:
        w->field = f != NULL && is_number(f) ? f : NULL;
        w->state = VARINT;
        break;
    case PB_LEN:
        w->field = f != NULL && (!is_number(f) || is_list(f)) ? f : NULL;
        w->state = LENGTH;
        break;
    case PB_FIXED64:
    case PB_FIXED32:
        w->field = NULL;
        w->left = (w->number & 7) == PB_FIXED64 ? 8 : 4;
        w->state = SKIPPED;
        if (w->left > top(w)->left)
            return false;
        break;
    default:
        return false; /* groups are in no message of ours */
    }
    w->number = w->shift = 0;
    return true;
}

/* The length is complete: `left` bytes of the value follow. */
static bool begin_bytes(struct json_write *w, struct buf *out)
{
    const ProtobufCFieldDescriptor *f = w->field;

    w->left = w->number;
    if (w->left > top(w)->left)
        return false;
    w->state = SKIPPED;
    if (f == NULL)
        return true;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (w->depth >= JSON_WRITE_DEPTH_MAX)
            return false;
        begin_value(w, out);
        buf_add_char(out, '{');
        top(w)->left -= w->left;
        return push(w, f->descriptor, w->left);
    }
    if (is_number(f)) { /* packed */
        if (w->left == 0)
            return true;
        begin_value(w, out);
        top(w)->left -= w->left;
        if (!push(w, NULL, w->left))
            return false;
        top(w)->list = f;
        return true;
    }
    if (w->left == 0 && !shows_default(f))
        return true;
    begin_value(w, out);
    w->state = f->type == PROTOBUF_C_TYPE_BYTES ? BYTES : STRING;
    buf_clear(&w->string);
    w->carry_n = 0;
    if (w->state == BYTES)
        buf_add_char(out, '"');
    return true;
}

static bool end_bytes(struct json_write *w, struct buf *out)
{
    if (w->state == BYTES) {
        end_base64(w, out);
        buf_add_char(out, '"');
    } else if (w->state == STRING) {
        if (w->string.failed)
            return false;
        json_add_string(out, buf_bytes(&w->string), w->html);
    }
    return true;
}

/* One byte of a tag, a number or a length. */
static bool varint_byte(struct json_write *w, uint8_t c, struct buf *out)
{
    struct json_frame *t = top(w);

    if (t->left == 0 || w->shift > 63)
        return false;
    t->left--;
    w->number |= (uint64_t) (c & 0x7f) << w->shift;
    w->shift += 7;
    if ((c & 0x80) != 0)
        return true;
    if (w->state == TAG)
        return begin_field(w);
    if (w->state == LENGTH) {
        uint32_t depth = w->depth;

        if (!begin_bytes(w, out))
            return false;
        if (w->depth == depth && w->left > 0)
            return true;
        if (w->depth == depth && !end_bytes(w, out))
            return false;
    } else {
        add_number(w, w->number, out);
    }
    close_finished(w, out);
    return true;
}

/* Bytes of a value that has a length; returns how many it took. */
static size_t value_bytes(struct json_write *w, struct bytes in, struct buf *out)
{
    size_t n = (size_t) MIN((uint64_t) in.n, w->left);

    if (w->state == BYTES)
        add_base64(w, bytes_of(in.p, n), out);
    else if (w->state == STRING)
        buf_add(&w->string, in.p, n);
    w->left -= n;
    top(w)->left -= n;
    return n;
}

bool json_write_begin(struct json_write *w, const ProtobufCMessageDescriptor *d, struct buf *out)
{
    w->depth = 0;
    w->state = TAG;
    w->number = w->shift = 0;
    w->bad = !push(w, d, UINT64_MAX);
    buf_add_char(out, '{');
    return !w->bad;
}

bool json_write_part(struct json_write *w, struct bytes in, struct buf *out)
{
    while (in.n > 0 && !w->bad) {
        size_t n = 1;

        if (w->state == SKIPPED || w->state == BYTES || w->state == STRING) {
            n = value_bytes(w, in, out);
            if (w->left == 0) {
                w->bad = !end_bytes(w, out);
                close_finished(w, out);
            }
        } else {
            w->bad = !varint_byte(w, in.p[0], out);
        }
        in = bytes_of(in.p + n, in.n - n);
        w->bad |= out->failed;
    }
    return !w->bad;
}

bool json_write_end(struct json_write *w, struct buf *out)
{
    w->bad |= w->depth != 1 || w->state != TAG || w->shift != 0;
    if (!w->bad)
        close_message(w, out);
    w->bad |= out->failed;
    return !w->bad;
}
