/* hash_int.h -- private to state/mvcc: the running checksum of HashKV, shared with compaction. */
#ifndef KETCH_STATE_MVCC_HASH_INT_H
#define KETCH_STATE_MVCC_HASH_INT_H

#include "state/mvcc/mvcc_int.h"

struct kv_hash {
    int64_t main;    /* records up to here */
    int64_t compact; /* at or below this only what is kept; NEVER_COMPACTED */
    uint32_t crc;
};

void kv_hash_init(struct kv_hash *h, int64_t main, int64_t compact);
/* The next record, in order of revision; `kept`: it is in the keep set. */
void kv_hash_record(struct kv_hash *h, const struct store_record *r, bool kept);

#endif
