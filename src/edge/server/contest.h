/* contest.h -- the keys of a lock or an election: one for each contender, under the name and a
 * slash; who was there first holds it.
 *
 *      <name>/<lease in hex>      create revision: the place in the queue
 *
 * Threads: any; nothing here waits.
 */
#ifndef KETCH_EDGE_SERVER_CONTEST_H
#define KETCH_EDGE_SERVER_CONTEST_H

#include "edge/server/server_int.h"

/* All keys under <name>/: [prefix, end). */
struct contest {
    struct bytes prefix;
    struct bytes end;
};

NODISCARD bool contest_of(struct bytes name, struct arena *a, struct contest *ret);
/* The contender's key: the lease as a signed number in lower-case hex. */
NODISCARD bool contest_key(const struct contest *k, int64_t lease, struct arena *a,
                           struct bytes *ret);

struct contest_kv {
    struct bytes raw; /* encoded KeyValue */
    struct bytes key;
    struct bytes value;
    int64_t create_revision;
    int64_t mod_revision;
};
void contest_kv_read(struct bytes raw, struct contest_kv *ret);

/* The range whose first key is there longest: what holds. */
Etcdserverpb__RangeRequest contest_holder_range(const struct contest *k);
/* The range whose first key is the last that came before create revision `rev` (> 1), as of
 * `revision` (0: the view's): whom a contender has to wait for. */
Etcdserverpb__RangeRequest contest_before_range(const struct contest *k, int64_t rev,
                                                int64_t revision);
/* That key, once the range is ready.  0, ERR_NOT_FOUND.  *ret is valid as long as the view and the
 * arena. */
NODISCARD int contest_picked(struct mvcc_range *g, struct contest_kv *ret);

#endif
