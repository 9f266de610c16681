/* Field numbers: opentelemetry-proto 1.10, trace/v1/trace.proto and common/v1/common.proto. */
#include "edge/server/otel_span.h"

#include "base/alloc.h"
#include "wire/pb.h"
#include "wire/wire.h"

#define FIRST_BYTES 512 /* enough for most spans */
#define ERROR_TYPE "*errors.errorString"

enum {
    SPAN_TRACE_ID = 1,
    SPAN_ID = 2,
    SPAN_STATE = 3,
    SPAN_PARENT = 4,
    SPAN_NAME = 5,
    SPAN_KIND = 6,
    SPAN_START = 7,
    SPAN_END = 8,
    SPAN_ATTRIBUTE = 9,
    SPAN_EVENT = 11,
    SPAN_STATUS = 15,
    SPAN_FLAGS = 16,
};
enum { EVENT_TIME = 1, EVENT_NAME = 2, EVENT_ATTRIBUTE = 3 };
enum { STATUS_MESSAGE = 2, STATUS_CODE = 3 };
enum { PAIR_KEY = 1, PAIR_VALUE = 2 };
enum { VALUE_TEXT = 1, VALUE_BOOL = 2, VALUE_INT = 3 };

/* Of Span.flags, above the eight of the W3C: whether the parent is remote, and that this is known.
 */
enum { FLAG_KNOWN = 0x100, FLAG_REMOTE = 0x200 };

#define FIXED64_BYTES 9 /* with a tag below 16 */

/* ---- fields behind what is there ---- */

static void add_bytes(struct buf *b, uint32_t number, struct bytes v)
{
    uint8_t *p = buf_reserve(b, pb_bytes_size(number, v.n));

    if (p != NULL)
        buf_commit(b, (size_t) (pb_put_bytes(p, number, v) - p));
}

static uint8_t *put_fixed64(uint8_t *p, uint32_t number, int64_t v)
{
    p = pb_put_tag(p, number, PB_FIXED64);
    le64_put(p, (uint64_t) MAX(v, 0));
    return p + sizeof v;
}

static void add_fixed64(struct buf *b, uint32_t number, int64_t v)
{
    uint8_t *p = buf_reserve(b, FIXED64_BYTES);

    if (p != NULL)
        buf_commit(b, (size_t) (put_fixed64(p, number, v) - p));
}

static void add_flags(struct buf *b, uint32_t flags)
{
    uint8_t room[PB_VARINT_BYTES_MAX + sizeof flags], *p = room;

    p = pb_put_tag(p, SPAN_FLAGS, PB_FIXED32);
    le32_put(p, flags);
    buf_add(b, room, (size_t) (p + sizeof flags - room));
}

static void add_u64(struct buf *b, uint32_t number, uint64_t v)
{
    uint8_t *p = buf_reserve(b, pb_u64_size(number, v));

    if (p != NULL)
        buf_commit(b, (size_t) (pb_put_u64(p, number, v) - p));
}

/* ---- text ---- */

/* How much of it is taken: not in the middle of a character, if it has any. */
static size_t cut_at(struct bytes v)
{
    size_t n = MIN(v.n, (size_t) OTEL_VALUE_BYTES_MAX);

    if (n == v.n)
        return n;
    for (size_t back = 0; back < 4; back++) {
        if ((v.p[n - back] & 0xc0) != 0x80)
            return n - back;
    }
    return n;
}

/* The bytes with U+FFFD for each that is wrong; `to` has room for three times as many. */
static size_t mend(struct bytes v, uint8_t *to)
{
    uint8_t *begin = to;

    while (v.n > 0) {
        uint32_t unused;
        size_t n = utf8_next(v, &unused);

        if (n == 0)
            to = pb_put_raw(to, "\xef\xbf\xbd", 3);
        else
            to = pb_put_raw(to, v.p, n);
        n = MAX(n, (size_t) 1);
        v = bytes_of(v.p + n, v.n - n);
    }
    return (size_t) (to - begin);
}

/* ---- attributes ---- */

/* The head of a pair whose value has n bytes; NULL when there is no room.  Unlike other fields, a
 * value is written also when it is empty or zero: it says which kind it is. */
static uint8_t *begin_pair(struct buf *b, uint32_t number, const char *key, size_t n)
{
    struct bytes k = bytes_str(key);
    size_t pair_n = pb_bytes_size(PAIR_KEY, k.n) + pb_head_size(PAIR_VALUE, n) + n;
    uint8_t *p = buf_reserve(b, pb_head_size(number, pair_n) + pair_n);

    if (p == NULL)
        return NULL;
    buf_commit(b, pb_head_size(number, pair_n) + pair_n);
    p = pb_put_head(p, number, pair_n);
    return pb_put_head(pb_put_bytes(p, PAIR_KEY, k), PAIR_VALUE, n);
}

void otel_put_text(struct buf *b, uint32_t number, const char *key, struct bytes v)
{
    uint8_t *mended = NULL, *p;

    v.n = cut_at(v);
    if (!utf8_valid(v)) {
        mended = mem_alloc(3 * v.n);
        if (mended == NULL) {
            b->failed = true;
            return;
        }
        v = bytes_of(mended, mend(v, mended));
        v.n = cut_at(v);
    }
    p = begin_pair(b, number, key, pb_head_size(VALUE_TEXT, v.n) + v.n);
    if (p != NULL)
        pb_put_raw(pb_put_head(p, VALUE_TEXT, v.n), v.p, v.n);
    mem_free(mended);
}

static void put_number(struct buf *b, const char *key, uint32_t kind, uint64_t v)
{
    uint8_t *p = begin_pair(b, SPAN_ATTRIBUTE, key, pb_tag_size(kind) + pb_varint_size(v));

    if (p != NULL)
        pb_put_varint(pb_put_tag(p, kind, PB_VARINT), v);
}

void otel_span_text(struct otel_span *s, const char *key, struct bytes v)
{
    otel_put_text(&s->pb, SPAN_ATTRIBUTE, key, v);
}

void otel_span_i64(struct otel_span *s, const char *key, int64_t v)
{
    put_number(&s->pb, key, VALUE_INT, (uint64_t) v);
}

void otel_span_bool(struct otel_span *s, const char *key, bool v)
{
    put_number(&s->pb, key, VALUE_BOOL, v);
}

/* ---- events ---- */

void otel_span_event(struct otel_span *s, const char *name, int64_t unix_ns)
{
    size_t n = FIXED64_BYTES + pb_bytes_size(EVENT_NAME, strlen(name));
    uint8_t *p = buf_reserve(&s->pb, pb_head_size(SPAN_EVENT, n) + n);

    if (p == NULL)
        return;
    buf_commit(&s->pb, pb_head_size(SPAN_EVENT, n) + n);
    p = put_fixed64(pb_put_head(p, SPAN_EVENT, n), EVENT_TIME, unix_ns);
    pb_put_bytes(p, EVENT_NAME, bytes_str(name));
}

void otel_span_error(struct otel_span *s, const char *message, int64_t unix_ns)
{
    struct buf e;

    buf_init(&e, OTEL_SPAN_BYTES_MAX);
    add_fixed64(&e, EVENT_TIME, unix_ns);
    add_bytes(&e, EVENT_NAME, BYTES_LIT("exception"));
    otel_put_text(&e, EVENT_ATTRIBUTE, "exception.type", BYTES_LIT(ERROR_TYPE));
    otel_put_text(&e, EVENT_ATTRIBUTE, "exception.message", bytes_str(message));
    if (e.failed)
        s->pb.failed = true;
    else
        add_bytes(&s->pb, SPAN_EVENT, buf_bytes(&e));
    buf_done(&e);
}

/* ---- life ---- */

struct otel_span *otel_span_new(const struct otel_span_start *o)
{
    struct otel_span *s = mem_alloc(sizeof *s);
    struct buf *b;

    if (s == NULL)
        return NULL;
    *s = (struct otel_span){.scope = o->scope, .context = o->context};
    b = &s->pb;
    buf_init(b, OTEL_SPAN_BYTES_MAX);
    (void) buf_reserve(b, FIRST_BYTES);
    add_bytes(b, SPAN_TRACE_ID, bytes_of(o->context.trace_id, OTEL_TRACE_ID_BYTES));
    add_bytes(b, SPAN_ID, bytes_of(o->context.span_id, OTEL_SPAN_ID_BYTES));
    add_bytes(b, SPAN_STATE, o->state);
    if (o->parent != NULL)
        add_bytes(b, SPAN_PARENT, bytes_of(o->parent, OTEL_SPAN_ID_BYTES));
    add_bytes(b, SPAN_NAME, bytes_str(o->name));
    add_u64(b, SPAN_KIND, (uint64_t) o->kind);
    add_fixed64(b, SPAN_START, o->unix_ns);
    add_flags(b, (uint32_t) (o->context.flags | FLAG_KNOWN | (o->remote ? FLAG_REMOTE : 0)));
    return s;
}

void otel_span_free(struct otel_span *s)
{
    if (s == NULL)
        return;
    buf_done(&s->pb);
    mem_free(s);
}

void otel_span_end(struct otel_span *s, enum otel_status status, const char *message,
                   int64_t unix_ns)
{
    struct bytes text = message == NULL ? BYTES_EMPTY : bytes_str(message);
    size_t n;
    uint8_t *p;

    if (!utf8_valid(text))
        text = BYTES_EMPTY;
    n = pb_bytes_size(STATUS_MESSAGE, text.n) + pb_u64_size(STATUS_CODE, (uint64_t) status);
    add_fixed64(&s->pb, SPAN_END, unix_ns);
    p = buf_reserve(&s->pb, pb_head_size(SPAN_STATUS, n) + n);
    if (p == NULL)
        return;
    buf_commit(&s->pb, pb_head_size(SPAN_STATUS, n) + n);
    p = pb_put_bytes(pb_put_head(p, SPAN_STATUS, n), STATUS_MESSAGE, text);
    pb_put_u64(p, STATUS_CODE, (uint64_t) status);
}
