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
    size_t open_n;       /* neither closed nor finished */
    uint64_t bytes;      /* of all results so far */
    bool thinned;        /* wants were closed that the index has still */
    uint64_t bytes_most; /* past it a revision is too much for all wants together */
    struct buf deleted;  /* scratch for the KeyValue of a delete */
    int rc;
};

/* The want gets the event, unless it has started later, is closed, or filters it.  A limit that the
 * event would pass closes the want first.  Sets c->rc without memory. */
void history__give(struct history_call *c, struct history_want *w, struct history_record *r);

/* No more for this want: it goes on from `next_rev`. */
void history__close(struct history_call *c, struct history_want *w, enum history_end end,
                    int64_t next_rev);

/* history_walk.c: serves all wants that are open from the records of revision `from` on, and closes
 * them. */
int history__walk(struct history_call *c, int64_t from);

/* Work is counted in steps from one key to the next in the index. */
#define HISTORY_RECORD_COST 5   /* to walk over a record in order */
#define HISTORY_FETCH_COST 40   /* to read a value by its revision */
#define HISTORY_INDEX_RECORDS 2 /* times records_max: what the index may cost in one call */

/* history_key.c: serves the want from the index if that takes no more than `budget`; else the want
 * stays open.  Returns what was spent, which is never more. */
uint64_t history__by_index(struct history_call *c, struct history_want *w, uint64_t budget);

#endif
