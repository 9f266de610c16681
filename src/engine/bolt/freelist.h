/* freelist.h -- which pages can be written to.
 *
 * Free pages are a bitmap: one bit per page below the high-water mark, so a database of 8 GiB costs
 * 256 KiB whatever its state, and giving pages back or undoing an allocation cannot fail.
 *
 * Pages that a transaction freed are pending until no reader can see them.  A reader with id r sees
 * the pages allocated by transactions <= r and freed by transactions > r.  So a page allocated in a
 * and freed in f may be used again when no open reader has a <= r < f.
 *
 * Invariants:
 *   F1  a page is at most one of: free, pending, reachable in the last commit
 *   F2  pending lists are in ascending order of the transaction that freed them
 *   F3  free_count and pending_count are the numbers of pages in the two sets
 *
 * Threads: owned by the write transaction.
 */
#ifndef KETCH_ENGINE_BOLT_FREELIST_H
#define KETCH_ENGINE_BOLT_FREELIST_H

#include "base/base.h"
#include "base/err.h"
#include "base/map64.h"

#define FREELIST_RUNS 16

struct freelist_pending;

struct freelist {
    uint64_t *bits; /* 1: free */
    uint64_t cap;   /* pages that `bits` has room for: a multiple of 64 */
    uint64_t free_count;
    uint64_t pending_count;
    struct freelist_pending *oldest;
    struct freelist_pending *newest;

    /* Where a search for a run of n pages may begin (index n - 1; the last is for longer ones too):
     * there is none before.  Holds until pages are given back. */
    uint64_t search_from[FREELIST_RUNS];

    /* Which transaction allocated a page, kept only while a reader is open for whom that could
     * matter.  The values are txids in disguise; 0 (unknown) counts as "since ever". */
    struct map64 allocated;
    uint64_t allocated_max; /* the newest txid in there */
    bool keep_allocated;
};

void freelist_init(struct freelist *f);
void freelist_done(struct freelist *f);

/* Room for pages below `pages`.  ERR_NOMEM. */
NODISCARD int freelist_reserve(struct freelist *f, uint64_t pages);

/* For opening: page `id` is free. */
void freelist_add(struct freelist *f, uint64_t id);
bool freelist_has(const struct freelist *f, uint64_t id);

/* The first page of a free run of n pages, taken out; 0 when there is none. */
uint64_t freelist_alloc(struct freelist *f, uint64_t n);
/* Undoes an allocation. */
void freelist_give_back(struct freelist *f, uint64_t id, uint64_t n);
/* Remembers, when it can matter, that transaction `txid` allocated page `id`. */
void freelist_note(struct freelist *f, uint64_t id, uint64_t txid);

/* Transaction `txid` no longer needs pages id to id + n - 1.  ERR_NOMEM. */
NODISCARD int freelist_free(struct freelist *f, uint64_t txid, uint64_t id, uint64_t n);
/* Forgets what `txid`, the newest, has freed. */
void freelist_rollback(struct freelist *f, uint64_t txid);

/* At the start of a write transaction: frees pending pages that no reader sees.  `readers` are the
 * ids of the open readers, ascending, without repetition. */
void freelist_release(struct freelist *f, const uint64_t *readers, size_t n);

/* Calls `fn` for each pending run of pages. */
void freelist_each_pending(const struct freelist *f, void (*fn)(void *arg, uint64_t id, uint64_t n),
                           void *arg);

#endif
