/* key_set.h -- which keys live, while their records go by: 16 bytes for each, at most half of them
 * unused.  Keys stay where they are.
 *
 * Threads: one at a time.   Memory: keys given are borrowed as long as the set lives.
 */
#ifndef KETCH_CMD_ETCDUTL_KEY_SET_H
#define KETCH_CMD_ETCDUTL_KEY_SET_H

#include "base/base.h"

struct key_slot {
    const uint8_t *p; /* NULL: free */
    uint32_t n;
    uint32_t hash;
};

struct key_set {
    struct key_slot *slots;
    size_t cap; /* a power of two, or 0 */
    size_t count;
};

#define KEY_SET_EMPTY ((struct key_set){0})

void key_set_done(struct key_set *s);

NODISCARD bool key_set_add(struct key_set *s, struct bytes key); /* false: no memory */
void key_set_remove(struct key_set *s, struct bytes key);        /* nothing when it is not there */

#endif
