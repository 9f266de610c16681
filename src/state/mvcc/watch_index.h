/* watch_index.h -- which of many key ranges contain a key.
 *
 * Single keys are in a hash table; ranges in a treap ordered by their start, where each node knows
 * the greatest end below it.  Finding all m ranges around a key costs O(log n + m) for ranges that
 * nest or lie apart, as prefixes do.
 *
 * Threads: one at a time.   Memory: intrusive; keys are borrowed from the spans' owners.
 */
#ifndef KETCH_STATE_MVCC_WATCH_INDEX_H
#define KETCH_STATE_MVCC_WATCH_INDEX_H

#include "base/base.h"
#include "base/map64.h"

struct watch_span {
    struct bytes key;
    struct bytes end; /* empty: the single key; one zero byte: no end */
    uint32_t variant; /* tells spans of the same range apart */
    /* private */
    uint32_t priority;
    union {
        struct {
            struct watch_span *left;
            struct watch_span *right;
            struct bytes max_end; /* of this subtree */
        };
        struct {
            struct watch_span *next; /* single keys with the same hash */
            uint64_t hash;
        };
    };
};

struct watch_index {
    struct map64 keys; /* hash -> chain of single-key spans */
    struct watch_span *root;
    size_t n;
    uint64_t seed[2];
    uint64_t priorities; /* state of the priorities' generator */
};

void watch_index_init(struct watch_index *x, const uint64_t seed[2]);
void watch_index_done(struct watch_index *x); /* forgets its spans */

/* The span for a watcher's range: range_end of one zero byte means no end. */
struct watch_span watch_span_of(struct bytes key, struct bytes range_end, uint32_t variant);
bool watch_span_single(const struct watch_span *s);
bool watch_span_has(const struct watch_span *s, struct bytes key);

/* NULL: not there. */
struct watch_span *watch_index_find(const struct watch_index *x, const struct watch_span *like);
NODISCARD bool watch_index_add(struct watch_index *x, struct watch_span *s); /* false: no memory */
void watch_index_remove(struct watch_index *x, struct watch_span *s);

/* Calls fn for every span that contains the key, in an order that depends on the calls alone. */
void watch_index_match(const struct watch_index *x, struct bytes key,
                       void (*fn)(void *ctx, struct watch_span *s), void *ctx);

void watch_index_check(const struct watch_index *x);

#endif
