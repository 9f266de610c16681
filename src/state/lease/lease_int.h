/* lease_int.h -- what the files of state/lease share. */
#ifndef KETCH_STATE_LEASE_LEASE_INT_H
#define KETCH_STATE_LEASE_LEASE_INT_H

#include "base/alloc.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/map64.h"
#include "state/lease/lease.h"

#define LEASE_NEVER INT64_MAX /* a deadline: nothing expires on a member that is not primary */

struct lease {
    lease_id id;
    int64_t ttl_s;
    int64_t remaining_ttl_s; /* 0: none recorded */
    mono_ms deadline;
    struct heap_item expiry; /* keyed by deadline, or by the time to name it again */
    struct list checkpoint;  /* in lessor.checkpoints, ordered by checkpoint_due */
    mono_ms checkpoint_due;
    struct list items; /* of struct lease_item */
    size_t items_n;
    uint64_t walk; /* the last one that had its keys */
};

struct lease_item {
    struct list link; /* in lease.items, or in lease_keys.items once revoked */
    struct lease *lease;
    struct lease_item *next; /* with the same hash */
    uint64_t hash;
    size_t key_n;
    uint8_t key[];
};

/* All that wait for the end of one lease. */
struct lease_wait {
    lease_id id;
    struct list waiters;
};

struct lessor {
    struct lessor_config cfg;
    struct store *store;
    bool primary;
    struct map64 leases; /* id -> struct lease */
    struct map64 items;  /* hash of key -> chain of struct lease_item */
    size_t items_n;
    uint64_t walk;           /* the number of the one under way */
    struct map64 waits;      /* id -> struct lease_wait */
    struct heap expiries;    /* exactly the leases of a primary */
    struct list checkpoints; /* of leases, the one that is due first in front */
};

static inline struct lease *lease__find(const struct lessor *l, lease_id id)
{
    return map64_get(&l->leases, (uint64_t) id);
}

static inline struct bytes lease__key(const struct lease_item *it)
{
    return bytes_of(it->key, it->key_n);
}

/* lease.c */
struct lease *lease__add(struct lessor *l, lease_id id, int64_t ttl_s, int64_t remaining_ttl_s);
void lease__tell(struct lessor *l, lease_id id, int rc); /* ends the waits for one lease */

/* items.c */
void lease__items_take(struct lessor *l, struct lease *x, struct lease_keys *ret);

/* primary.c */
void lease__start(struct lessor *l, struct lease *x, mono_ms now);
void lease__stop(struct lessor *l, struct lease *x);

/* persist.c */
void lease__write(struct lessor *l, const struct lease *x);
void lease__erase(struct lessor *l, lease_id id);
NODISCARD int lease__load(struct lessor *l, struct err *e);

#endif
