/* txn_lines.h -- the lines that etcdctl's txn reads: comparisons and requests.
 *
 *     mod("key1") > "0"                    put key1 "overwrote-key1"
 *
 * Each function returns 0, or the exit status with the words in *e.   Memory: what the results
 * point to lives in the arena.
 */
#ifndef KETCH_CMD_CLI_TXN_LINES_H
#define KETCH_CMD_CLI_TXN_LINES_H

#include "cli/kv_ops.h"

#define TXN_ARENA_BYTES_MAX ((size_t) 1 << 30)

NODISCARD int txn_compare(struct bytes line, struct arena *a, Etcdserverpb__Compare *ret,
                          struct err *e);

/* `usage`: what a mistake in the flags prints on stderr before the error. */
NODISCARD int txn_request(struct bytes line, struct kv_input *in, struct arena *a,
                          struct buf *usage, Etcdserverpb__RequestOp *ret, struct err *e);

#endif
