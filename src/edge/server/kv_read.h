/* kv_read.h -- reads on their way from their request to their answer: what ranges, transactions
 * that only read and the look for a leader have in common.  Private to edge/server.
 *
 *      run --> kv_read_begin --> its own beginning, on x->view --> long_read_go_on ... end -->
 * answer
 *
 * What is not ready at once goes on in slices (long_read.h), and `end` comes later; so a read lives
 * in the arena of its call, of which it is the user, under way and while its answer is made.
 */
#ifndef KETCH_EDGE_SERVER_KV_READ_H
#define KETCH_EDGE_SERVER_KV_READ_H

#include "edge/server/kv.h"
#include "edge/server/permit.h"

struct kv_read {
    struct long_read slices; /* first: as the user of its call it is there as well */
    struct read_trace t;
    struct auth_who who; /* who asks, as of permit_read or its like */
    const struct mvcc_view *view;
};

_Static_assert(offsetof(struct kv_read, slices) == 0, "both are where the other is");

static inline struct kv_read *kv_read_of(struct long_read *r)
{
    return CONTAINER_OF(r, struct kv_read, slices);
}

/* From now on it reads, on a view that it pins.  x->slices.step and .end are the caller's. */
void kv_read_begin(struct kv_read *x, struct req *r);

/* It is ready, and makes a list: what it holds until its answer has left, counted in
 * io->sorted_bytes, from which whoever makes the answer takes it again. */
size_t kv_read_sorted(struct kv_read *x);

/* It was not permitted in the end, or failed with rc: lets the view go and ends the call. */
void kv_read_end_failed(struct kv_read *x, int rc);

#endif
