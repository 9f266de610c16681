/* map64.h -- a hash map from a 64-bit number to a pointer.
 *
 * Open addressing with linear probing; deletion shifts back, so there are no tombstones.  The order
 * of iteration depends only on the secret and the history of calls (never on addresses), but
 * nothing may depend on it beyond one process.
 *
 * Where clients choose the keys (ids of leases, of watches) the hash needs a secret: without one it
 * is a fixed mix (the finalizer of MurmurHash3), for which anybody can compute keys that collide,
 * and each search then looks at all of them.
 *
 * Threads: one at a time.   Memory: the map owns its table, never the values.  Values may not be
 * NULL.
 */
#ifndef KETCH_BASE_MAP64_H
#define KETCH_BASE_MAP64_H

#include "base/base.h"

struct map64_slot {
    uint64_t key;
    void *value; /* NULL: empty slot */
};

struct map64 {
    struct map64_slot *slots;
    size_t cap; /* 0 or a power of two */
    size_t count;
    bool has_secret;
    uint64_t secret[2];
};

void map64_init(struct map64 *m);                                  /* keys that no client chooses */
void map64_init_secret(struct map64 *m, const uint64_t secret[2]); /* from a random source */
void map64_done(struct map64 *m);                                  /* empty, as after its init */

void *map64_get(const struct map64 *m, uint64_t key);             /* NULL: absent */
NODISCARD bool map64_put(struct map64 *m, uint64_t key, void *v); /* replaces; false: no memory */
void *map64_del(struct map64 *m, uint64_t key);                   /* what was there, or NULL */

/* Iterate: start with *pos = 0; NULL at the end.  No put meanwhile; a del of what came last only,
 * if all before it were deleted, too, and then with --*pos: another may be in its slot now.  (To
 * begin anew after each would pass all the slots that are empty already.)  ret_key may be NULL. */
void *map64_next(const struct map64 *m, size_t *pos, uint64_t *ret_key);

#endif
