/* follow.h -- the member's own services watch keys: events of one key or range from a revision on,
 * each once and in order, on the I/O thread of the call they are for.
 *
 * A follow is a stream of the hub with one watcher on it.  While it is behind, it reads what it
 * missed from history, a piece per turn of the loop.
 *
 *      follow_start --> FOLLOWING -- event(), event(), ... -- follow_stop --> stopped()
 *                           |                                     ^
 *                           +-- lost(): history was compacted ----+
 *
 * Threads: the loop of `io`.   Memory: the caller's, from follow_start until `stopped` is called.
 */
#ifndef KETCH_EDGE_SERVER_FOLLOW_H
#define KETCH_EDGE_SERVER_FOLLOW_H

#include "edge/server/server_int.h"

struct follow;

struct follow_event {
    bool is_delete;
    struct bytes kv;  /* encoded KeyValue; of a deletion, key and mod_revision alone */
    int64_t revision; /* for the header of an answer that tells of it: the store's, at least */
};

struct follow_hooks {
    /* May call follow_stop. */
    void (*event)(struct follow *f, const struct follow_event *ev);
    /* Nothing more comes, and the reason is not the caller's: follow_stop is left to do. */
    void (*lost)(struct follow *f);
    /* The answer to follow_stop, later: the memory is the caller's again. */
    void (*stopped)(struct follow *f);
};

struct follow {
    struct watch_stream hub;
    struct watcher watcher;
    struct io *io;
    const struct follow_hooks *hooks;
    struct req request; /* a join, and at the end the stream's close */
    struct loop_task task;
    bool joined; /* the hub knows the stream */
    bool busy;   /* `request` is with the node, or `task` with the loop */
    bool behind; /* what is missing is to be read */
    bool stopping;
    bool close_sent;
    bool closed; /* the hub has said so */
};

/* Events from `from` (> 0) on.  The keys are borrowed until the end; an empty range_end: one key.
 * filters: of enum watch_filter. */
void follow_start(struct follow *f, struct io *io, struct bytes key, struct bytes range_end,
                  unsigned filters, int64_t from, const struct follow_hooks *hooks);
void follow_stop(struct follow *f);

#endif
