/* watch_note.h -- a WatchResponse as the proxy hands it on: read once, its bytes shared by all who
 * get it, each with a watch_id of its own and without the events that it has had already.
 *
 *   payload:  [ fields other than watch_id and events | event | event | ... ]
 *                                                      ^ head_bytes
 * (Fields of a protobuf message may come in any order.)
 *
 * Threads: the loop's.   Memory: watch_note_done lets go of the payload.
 */
#ifndef KETCH_EDGE_PROXY_WATCH_NOTE_H
#define KETCH_EDGE_PROXY_WATCH_NOTE_H

#include "base/payload.h"

struct watch_note {
    int64_t watch_id;
    int64_t revision; /* of the header */
    bool created;
    bool canceled;
    bool fragment; /* more of the same answer follows */
    size_t events_n;
    int64_t last_rev;    /* of the last event; 0: there is none */
    struct bytes header; /* in the payload, its tag included; empty: there is none */
    struct payload *payload;
    size_t head_bytes;
};

/* False: no WatchResponse, or no memory. */
NODISCARD bool watch_note_read(struct bytes in, struct watch_note *ret);
void watch_note_done(struct watch_note *n);

/* Where in the payload the events of revision `rev` and later begin; payload->bytes: none are. */
size_t watch_note_from(const struct watch_note *n, int64_t rev);

#endif
