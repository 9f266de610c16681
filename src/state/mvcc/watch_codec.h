/* watch_codec.h -- the bytes of watch responses, made from bytes that are encoded already.
 *
 * An event is put together from stored KeyValues without decoding them, and a response from its
 * private head and the shared bytes of its events:
 *
 *      WatchResponse = head (header, watch_id, created, ...) | field 11 (Event) | field 11 ...
 *      Event         = 1: type | 2: kv | 3: prev_kv
 *
 * Source: etcd's rpc.proto and kv.proto.   Threads: any.   Memory: none; *_put writes exactly
 * *_size bytes and returns the address behind them.
 */
#ifndef KETCH_STATE_MVCC_WATCH_CODEC_H
#define KETCH_STATE_MVCC_WATCH_CODEC_H

#include "base/base.h"

struct watch_event {
    bool is_delete;
    struct bytes kv;      /* encoded KeyValue: as stored, or with key and mod_revision alone */
    struct bytes prev_kv; /* empty: none */
};

/* One field `events` of a WatchResponse. */
size_t watch_event_size(const struct watch_event *ev);
uint8_t *watch_event_put(uint8_t *p, const struct watch_event *ev);

/* The KeyValue of a delete event. */
size_t watch_deleted_kv_size(struct bytes key, int64_t mod_revision);
uint8_t *watch_deleted_kv_put(uint8_t *p, struct bytes key, int64_t mod_revision);

/* Takes the first field `events` off *rest, tag and length included: for fragments.  False at the
 * end. */
bool watch_events_next(struct bytes *rest, struct bytes *ret_one);

/* Everything of a WatchResponse but its events. */
struct watch_response {
    uint64_t cluster_id;
    uint64_t member_id;
    int64_t revision;
    uint64_t raft_term;
    int64_t watch_id;
    bool created;
    bool canceled;
    int64_t compact_revision;
    struct bytes cancel_reason;
    bool fragment;
};

size_t watch_response_size(const struct watch_response *r);
uint8_t *watch_response_put(uint8_t *p, const struct watch_response *r);

#endif
