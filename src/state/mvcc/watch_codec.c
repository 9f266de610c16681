#include "state/mvcc/watch_codec.h"

#include "wire/pb.h"

enum { EVENT_TYPE = 1, EVENT_KV = 2, EVENT_PREV_KV = 3 };
enum { KV_KEY = 1, KV_MOD_REVISION = 3 };
enum { HEADER_CLUSTER_ID = 1, HEADER_MEMBER_ID = 2, HEADER_REVISION = 3, HEADER_RAFT_TERM = 4 };
enum {
    RESPONSE_HEADER = 1,
    RESPONSE_WATCH_ID = 2,
    RESPONSE_CREATED = 3,
    RESPONSE_CANCELED = 4,
    RESPONSE_COMPACT_REVISION = 5,
    RESPONSE_CANCEL_REASON = 6,
    RESPONSE_FRAGMENT = 7,
    RESPONSE_EVENTS = 11,
};

#define TYPE_DELETE 1

static size_t body_size(const struct watch_event *ev)
{
    return pb_u64_size(EVENT_TYPE, ev->is_delete ? TYPE_DELETE : 0) +
           pb_bytes_size(EVENT_KV, ev->kv.n) + pb_bytes_size(EVENT_PREV_KV, ev->prev_kv.n);
}

size_t watch_event_size(const struct watch_event *ev)
{
    size_t n = body_size(ev);

    return pb_head_size(RESPONSE_EVENTS, n) + n;
}

uint8_t *watch_event_put(uint8_t *p, const struct watch_event *ev)
{
    ASSERT(ev->kv.n != 0);
    p = pb_put_head(p, RESPONSE_EVENTS, body_size(ev));
    p = pb_put_u64(p, EVENT_TYPE, ev->is_delete ? TYPE_DELETE : 0);
    p = pb_put_bytes(p, EVENT_KV, ev->kv);
    return pb_put_bytes(p, EVENT_PREV_KV, ev->prev_kv);
}

size_t watch_deleted_kv_size(struct bytes key, int64_t mod_revision)
{
    return pb_bytes_size(KV_KEY, key.n) + pb_u64_size(KV_MOD_REVISION, (uint64_t) mod_revision);
}

uint8_t *watch_deleted_kv_put(uint8_t *p, struct bytes key, int64_t mod_revision)
{
    p = pb_put_bytes(p, KV_KEY, key);
    return pb_put_u64(p, KV_MOD_REVISION, (uint64_t) mod_revision);
}

bool watch_events_next(struct bytes *rest, struct bytes *ret_one)
{
    struct pb_reader r = pb_reader_of(*rest);
    struct pb_field f;
    size_t n;

    if (rest->n == 0)
        return false;
    ASSERT(pb_next(&r, &f)); /* our own bytes */
    ASSERT(f.number == RESPONSE_EVENTS);
    n = (size_t) (r.p - rest->p);
    *ret_one = bytes_of(rest->p, n);
    *rest = bytes_of(rest->p + n, rest->n - n);
    return true;
}

static size_t header_size(const struct watch_response *r)
{
    return pb_u64_size(HEADER_CLUSTER_ID, r->cluster_id) +
           pb_u64_size(HEADER_MEMBER_ID, r->member_id) +
           pb_u64_size(HEADER_REVISION, (uint64_t) r->revision) +
           pb_u64_size(HEADER_RAFT_TERM, r->raft_term);
}

size_t watch_response_size(const struct watch_response *r)
{
    size_t h = header_size(r);

    return pb_head_size(RESPONSE_HEADER, h) + h +
           pb_u64_size(RESPONSE_WATCH_ID, (uint64_t) r->watch_id) +
           pb_u64_size(RESPONSE_CREATED, r->created) + pb_u64_size(RESPONSE_CANCELED, r->canceled) +
           pb_u64_size(RESPONSE_COMPACT_REVISION, (uint64_t) r->compact_revision) +
           pb_bytes_size(RESPONSE_CANCEL_REASON, r->cancel_reason.n) +
           pb_u64_size(RESPONSE_FRAGMENT, r->fragment);
}

uint8_t *watch_response_put(uint8_t *p, const struct watch_response *r)
{
    p = pb_put_head(p, RESPONSE_HEADER, header_size(r));
    p = pb_put_u64(p, HEADER_CLUSTER_ID, r->cluster_id);
    p = pb_put_u64(p, HEADER_MEMBER_ID, r->member_id);
    p = pb_put_u64(p, HEADER_REVISION, (uint64_t) r->revision);
    p = pb_put_u64(p, HEADER_RAFT_TERM, r->raft_term);
    p = pb_put_u64(p, RESPONSE_WATCH_ID, (uint64_t) r->watch_id);
    p = pb_put_u64(p, RESPONSE_CREATED, r->created);
    p = pb_put_u64(p, RESPONSE_CANCELED, r->canceled);
    p = pb_put_u64(p, RESPONSE_COMPACT_REVISION, (uint64_t) r->compact_revision);
    p = pb_put_bytes(p, RESPONSE_CANCEL_REASON, r->cancel_reason);
    return pb_put_u64(p, RESPONSE_FRAGMENT, r->fragment);
}
