/* history_int.h -- what the files of history share: one call of history_scan. */
#ifndef KETCH_STATE_MVCC_HISTORY_INT_H
#define KETCH_STATE_MVCC_HISTORY_INT_H

#include "base/alloc.h"
#include "base/buf.h"
#include "state/mvcc/history.h"
#include "state/mvcc/watch_index.h"

/* A record of bucket `key` on its way to the wants that match it. */
struct history_record {
    int64_t main;
    int64_t sub;
    bool tombstone;
    struct bytes key;
    struct bytes value;   /* stored KeyValue; of a tombstone: not used */
    bool prev_looked;     /* prev_kv is known */
    struct bytes prev_kv; /* empty: none */
};

struct history_call {
    const struct mvcc_view *view;
    int64_t to; /* the view's revision */
    struct history_limits limits;
    struct history_want *wants;
    size_t n;
    size_t open_n;      /* neither closed nor finished */
    uint64_t bytes;     /* of all results so far */
    struct buf deleted; /* scratch for the KeyValue of a delete */
    int rc;
};

/* The want gets the event, unless it has started later, is closed, or filters it.  A limit that the
 * event would pass closes the want first.  Sets c->rc without memory. */
void history__give(struct history_call *c, struct history_want *w, struct history_record *r);

/* No more for this want: it goes on from `next_rev`. */
void history__close(struct history_call *c, struct history_want *w, enum history_end end,
                    int64_t next_rev);

/* history_key.c: serves the want from the index if that takes no more than `budget` records' worth
 * of work; false: nothing was done. */
bool history__by_index(struct history_call *c, struct history_want *w, uint64_t budget);

#endif
