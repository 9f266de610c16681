/* mvcc_check.h -- what can be refused, or decided, from a decoded request alone.
 *
 * Pure functions of the request: no state, any thread.  The service calls them before a request is
 * proposed (through the node's header), in the order in which etcd checks.
 */
#ifndef KETCH_STATE_MVCC_CHECK_H
#define KETCH_STATE_MVCC_CHECK_H

#include "base/arena.h"
#include "base/base.h"
#include "rpc.pb-c.h"
#include "wire/api_error.h"

#define MVCC_TXN_OPS_DEFAULT 128 /* --max-txn-ops */

enum api_error mvcc_check_range(const Etcdserverpb__RangeRequest *r);
enum api_error mvcc_check_put(const Etcdserverpb__PutRequest *r);
enum api_error mvcc_check_delete_range(const Etcdserverpb__DeleteRangeRequest *r);

/* Scratch memory comes from `a`.  ERR_NOMEM when it is exhausted; otherwise 0 and *ret_error. */
NODISCARD int mvcc_check_txn(const Etcdserverpb__TxnRequest *r, uint32_t ops_max, struct arena *a,
                             enum api_error *ret_error);

/* A RangeStream needs an order of its own: after mvcc_check_range; NULL, or the text of the
 * Unimplemented status. */
const char *mvcc_check_range_stream(const Etcdserverpb__RangeRequest *r);

/* Every operation of both lists is a range: served locally, not through the log. */
bool mvcc_txn_is_read_only(const Etcdserverpb__TxnRequest *r);
/* ... and all of them are serializable (also when there is none). */
bool mvcc_txn_is_serializable(const Etcdserverpb__TxnRequest *r);

/* What the quota check adds to the size of the file; 0 always fits. */
uint64_t mvcc_put_cost(const Etcdserverpb__PutRequest *r);
uint64_t mvcc_txn_cost(const Etcdserverpb__TxnRequest *r);

#endif
