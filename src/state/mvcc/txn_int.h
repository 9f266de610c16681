/* txn_int.h -- private to state/mvcc: the guards of a transaction, in steps as ranges are
 * (range_int.h).
 *
 * They are decided by the same code wherever a transaction runs: whole on the apply thread, whose
 * answer must be the same on every member, and by and by on a view.
 */
#ifndef KETCH_STATE_MVCC_TXN_INT_H
#define KETCH_STATE_MVCC_TXN_INT_H

#include "state/mvcc/range_int.h"

/* Those of one transaction, on their way.  The state and the request stay until they are decided.
 */
struct txn_guards {
    const struct kv_state *state;
    const Etcdserverpb__TxnRequest *request;
    size_t at; /* the one to be decided; those before it hold */

    /* It goes over a range, and is in the middle of it. */
    bool walking;
    bool any; /* it has met a key */
    struct key_range keys;
    struct index_cursor cursor;
};

void txn_guards_begin(struct txn_guards *g, const struct kv_state *st,
                      const Etcdserverpb__TxnRequest *r);
/* True: they are decided, which is in *ret_hold. */
bool txn_guards_step(struct txn_guards *g, uint64_t *units, bool *ret_hold);
/* Adds what those not yet decided may look at, and what that takes. */
void txn_guards_ahead(const struct txn_guards *g, struct mvcc_range_ahead *add);

#endif
