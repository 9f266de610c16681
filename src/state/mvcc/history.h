/* history.h -- events of the past, read from a view, for watchers that are behind.
 *
 * Any number of watchers share one scan: the records of bucket `key` from the lowest wanted
 * revision on are walked once and each is matched against all of them.  A single key, or a range
 * that holds few keys, is instead read along the key's own revisions in the index when that is
 * cheaper.
 *
 * A scan stops at whichever limit comes first and tells each watcher where to go on, so that the
 * thread of a stream does a bounded piece of work at a time.  A revision is never split: one that
 * is more for all watchers together than twice the limit of a call is left to some of them, the
 * rest get it in the calls after; what one watcher gets of one revision has no limit.
 *
 *      v = mvcc_view_pin(reader);
 *      history_scan(v, wants, n, NULL, &e)     until no want is HISTORY_MORE
 *      for each want: deliver want.events; w->next_rev = want.next_rev; then join the hub again
 *      mvcc_view_unpin(v);
 *
 * Threads: any, one at a time per call.   Memory: results are counted payloads, the caller's.
 */
#ifndef KETCH_STATE_MVCC_HISTORY_H
#define KETCH_STATE_MVCC_HISTORY_H

#include "base/payload.h"
#include "state/mvcc/mvcc.h"
#include "state/mvcc/watch.h"
#include "state/mvcc/watch_index.h"

#define HISTORY_REVISIONS_MAX 1000                   /* distinct revisions in one result */
#define HISTORY_BYTES_MAX ((uint64_t) 4 << 20)       /* of one result; one revision may pass it */
#define HISTORY_RECORDS_MAX 10000                    /* looked at by one call */
#define HISTORY_SCAN_BYTES_MAX ((uint64_t) 32 << 20) /* of all results of one call; see below */

enum history_end {
    HISTORY_DONE,      /* all up to the view's revision is there: next_rev is the one after */
    HISTORY_MORE,      /* a limit was reached: call again from next_rev */
    HISTORY_COMPACTED, /* next_rev is below the view's compact revision: cancel the watcher */
};

struct history_want {
    /* in */
    const struct watcher *watcher;
    int64_t next_rev; /* first wanted revision, >= 1; out: where to go on */
    /* out */
    enum history_end end;
    struct payload *events; /* as in struct watch_note; NULL: none.  The caller's reference */
    uint32_t events_n;
    uint32_t revisions_n; /* distinct ones */

    /* private */
    struct watch_span span;
    size_t cap;       /* of events, while it grows */
    int64_t last_rev; /* of the newest event in it */
    size_t last_at;   /* where that revision begins, in bytes ... */
    uint32_t last_n;  /* ... and events */
    bool closed;      /* no more in this call */
    bool indexed;     /* it is in the scan's index */
};

struct history_limits {
    uint32_t revisions_max; /* 0 in any field: the defaults above */
    uint64_t bytes_max;
    uint64_t records_max;
    uint64_t scan_bytes_max;
};

/* Fills in the out fields of every want; watchers and view are borrowed.  limits may be NULL.
 *   ERR_NOMEM     nothing is filled in, no payload is owned
 *   ERR_CORRUPT   a stored record cannot be read: the process stops */
NODISCARD int history_scan(const struct mvcc_view *v, struct history_want *wants, size_t n,
                           const struct history_limits *limits, struct err *e);

#endif
