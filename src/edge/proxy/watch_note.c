/* watch_note.c -- see watch_note.h.  Field numbers are those of WatchResponse, Event and KeyValue.
 */
#include "edge/proxy/watch_note.h"

#include "wire/pb.h"

enum { HEADER = 1, WATCH_ID = 2, CREATED = 3, CANCELED = 4, FRAGMENT = 7, EVENTS = 11 };
enum { HEADER_REVISION = 3 };
enum { EVENT_KV = 2, KV_MOD_REVISION = 3 };

/* The last varint field `number` of a message; 0: absent.  False: malformed. */
static bool varint_of(struct bytes in, uint32_t number, int64_t *ret)
{
    struct pb_reader r = pb_reader_of(in);
    struct pb_field f;

    *ret = 0;
    while (pb_next(&r, &f)) {
        if (f.number == number && f.type == PB_VARINT)
            *ret = (int64_t) f.value;
    }
    return !r.bad;
}

static bool event_revision(struct bytes event, int64_t *ret)
{
    struct pb_reader r = pb_reader_of(event);
    struct pb_field f;

    *ret = 0;
    while (pb_next(&r, &f)) {
        if (f.number == EVENT_KV && f.type == PB_LEN && !varint_of(f.bytes, KV_MOD_REVISION, ret))
            return false;
    }
    return !r.bad;
}

static bool is_event(const struct pb_field *f)
{
    return f->number == EVENTS && f->type == PB_LEN;
}

/* What the note says, and how many bytes its two parts have. */
static bool look(struct bytes in, struct watch_note *n, size_t *ret_events_bytes)
{
    struct pb_reader r = pb_reader_of(in);
    const uint8_t *at = r.p;
    struct pb_field f;

    for (; pb_next(&r, &f); at = r.p) {
        size_t raw = (size_t) (r.p - at);

        if (is_event(&f)) {
            if (!event_revision(f.bytes, &n->last_rev))
                return false;
            n->events_n++;
            *ret_events_bytes += raw;
            continue;
        }
        if (f.type == PB_VARINT && f.number == WATCH_ID) {
            n->watch_id = (int64_t) f.value;
            continue;
        }
        n->head_bytes += raw;
        if (f.type == PB_LEN && f.number == HEADER &&
            !varint_of(f.bytes, HEADER_REVISION, &n->revision))
            return false;
        if (f.type != PB_VARINT)
            continue;
        n->created = f.number == CREATED ? f.value != 0 : n->created;
        n->canceled = f.number == CANCELED ? f.value != 0 : n->canceled;
        n->fragment = f.number == FRAGMENT ? f.value != 0 : n->fragment;
    }
    return !r.bad;
}

static void copy_parts(struct bytes in, struct watch_note *n)
{
    struct pb_reader r = pb_reader_of(in);
    uint8_t *head = n->payload->data, *events = n->payload->data + n->head_bytes;
    const uint8_t *at = r.p;
    struct pb_field f;

    for (; pb_next(&r, &f); at = r.p) {
        size_t raw = (size_t) (r.p - at);

        if (is_event(&f)) {
            events = pb_put_raw(events, at, raw);
        } else if (f.type != PB_VARINT || f.number != WATCH_ID) {
            if (f.type == PB_LEN && f.number == HEADER)
                n->header = bytes_of(head, raw);
            head = pb_put_raw(head, at, raw);
        }
    }
    ASSERT(head == n->payload->data + n->head_bytes);
    ASSERT(events == n->payload->data + n->payload->bytes);
}

bool watch_note_read(struct bytes in, struct watch_note *ret)
{
    struct watch_note n = {0};
    size_t events_bytes = 0;

    if (!look(in, &n, &events_bytes))
        return false;
    n.payload = payload_new(n.head_bytes + events_bytes);
    if (n.payload == NULL)
        return false;
    copy_parts(in, &n);
    *ret = n;
    return true;
}

void watch_note_done(struct watch_note *n)
{
    payload_unref(n->payload);
    n->payload = NULL;
}

size_t watch_note_from(const struct watch_note *n, int64_t rev)
{
    struct pb_reader r = pb_reader_of(
        bytes_of(n->payload->data + n->head_bytes, n->payload->bytes - n->head_bytes));
    const uint8_t *at = r.p;
    struct pb_field f;
    int64_t event_rev;

    for (; pb_next(&r, &f); at = r.p) {
        if (event_revision(f.bytes, &event_rev) && event_rev >= rev)
            return (size_t) (at - n->payload->data);
    }
    return n->payload->bytes;
}
