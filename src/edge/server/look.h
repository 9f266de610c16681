/* look.h -- a look at all keys of a lock or an election: for one of them.  There may be very many,
 * so what is not ready soon goes on in slices (long_read.h).
 *
 *      look_begin --> at once, or by and by --> looked(): takes what was found, look_end, goes on
 *
 * Of all those keys it keeps a list that is short however many there are, and nothing before its
 * turn comes; so it does not count among the reads that make lists, and is not refused as they are.
 *
 * Threads: the call's loop.   Memory: the caller's, from look_begin to look_end.
 */
#ifndef KETCH_EDGE_SERVER_LOOK_H
#define KETCH_EDGE_SERVER_LOOK_H

#include "edge/server/contest.h"

struct look {
    struct long_read slices; /* first: as the user of its call it is there as well */
    Etcdserverpb__RangeRequest request;
    const struct mvcc_view *view;
    struct mvcc_range *range;
    struct arena arena;
    bool given_up;
    void (*looked)(struct look *l, int rc, const struct contest_kv *kv);
};

_Static_assert(offsetof(struct look, slices) == 0, "both are where the other is");

/* For the first key of range `q` (of contest.h, whose bytes stay), in the newest view.
 *
 * `looked` is called once, perhaps before this returns.  rc 0: kv is that key, valid until
 * look_end; ERR_NOT_FOUND; ERR_CANCELED: nobody waits for the call any more, or look_give_up; or an
 * error of mvcc_range.  Until then call_user may be the look and call_on_cancel taken; both are the
 * caller's to set again. */
void look_begin(struct look *l, struct call *c, const Etcdserverpb__RangeRequest *q,
                void (*looked)(struct look *l, int rc, const struct contest_kv *kv));

/* Of one that has not ended: it does when its next turn comes. */
void look_give_up(struct look *l);

/* From `looked`, before the call ends or another look begins: lets the view and the list go. */
void look_end(struct look *l);

#endif
