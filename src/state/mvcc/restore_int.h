/* restore_int.h -- what the files of a restore share: an index in the making. */
#ifndef KETCH_STATE_MVCC_RESTORE_INT_H
#define KETCH_STATE_MVCC_RESTORE_INT_H

#include "state/mvcc/mvcc_int.h"

struct restore_item {
    struct key_entry *entry;
    int64_t lease; /* of the newest value */
};

/* A key on a lease, as long as the index is not in use. */
struct leased {
    int64_t lease;
    const struct key_entry *entry;
};

struct mvcc_loaded {
    struct index *index;
    int64_t last_main; /* of the newest record */
    int64_t scheduled; /* compactions: as in bucket meta */
    int64_t finished;
    struct leased *leased;
    size_t leased_n;
};

/* restore_sort.c: builds the tree of l->index from its entries, one for each key and in any order,
 * and l->leased. */
void restore__build(struct mvcc_loaded *l, const struct restore_item *items, size_t n);

#endif
