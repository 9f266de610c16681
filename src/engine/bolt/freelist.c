#include "engine/bolt/freelist.h"

#include "base/alloc.h"
#include "base/sorted.h"

#define WORD_BITS 64

struct pending_run {
    uint64_t id;
    uint64_t pages;
    uint64_t allocated_by; /* 0: unknown */
};

/* What one transaction freed. */
struct freelist_pending {
    struct freelist_pending *newer;
    uint64_t txid;
    size_t count;
    size_t cap;
    struct pending_run *runs;
};

static void pending_free(struct freelist_pending *p)
{
    mem_free(p->runs);
    mem_free(p);
}

void freelist_init(struct freelist *f)
{
    *f = (struct freelist){0};
    map64_init(&f->allocated);
}

void freelist_done(struct freelist *f)
{
    struct freelist_pending *p = f->oldest;

    while (p != NULL) {
        struct freelist_pending *newer = p->newer;

        pending_free(p);
        p = newer;
    }
    mem_free(f->bits);
    map64_done(&f->allocated);
    freelist_init(f);
}

/* ---- the bitmap ---- */

int freelist_reserve(struct freelist *f, uint64_t pages)
{
    uint64_t cap = MAX(f->cap * 2, (pages + WORD_BITS - 1) / WORD_BITS * WORD_BITS);
    uint64_t *bits;

    if (pages <= f->cap)
        return 0;
    bits = mem_realloc(f->bits, cap / 8);
    if (bits == NULL)
        return ERR_NOMEM;
    ASSERT(cap % WORD_BITS == 0);
    memset(bits + f->cap / WORD_BITS, 0, (cap - f->cap) / 8);
    f->bits = bits;
    f->cap = cap;
    return 0;
}

bool freelist_has(const struct freelist *f, uint64_t id)
{
    return id < f->cap && (f->bits[id / WORD_BITS] >> (id % WORD_BITS) & 1) != 0;
}

static void searches_restart(struct freelist *f)
{
    memset(f->search_from, 0, sizeof f->search_from);
}

void freelist_add(struct freelist *f, uint64_t id)
{
    ASSERT(id < f->cap);
    ASSERT(!freelist_has(f, id));
    f->bits[id / WORD_BITS] |= UINT64_C(1) << (id % WORD_BITS);
    f->free_count++;
}

void freelist_give_back(struct freelist *f, uint64_t id, uint64_t n)
{
    ASSERT(id >= 2);
    for (uint64_t i = 0; i < n; i++)
        freelist_add(f, id + i);
    searches_restart(f);
}

/* The first page >= `from` whose bit is `value`; cap when there is none. */
static uint64_t find_bit(const struct freelist *f, uint64_t from, bool value)
{
    while (from < f->cap) {
        uint64_t word = f->bits[from / WORD_BITS];

        word = (value ? word : ~word) >> (from % WORD_BITS);
        if (word != 0)
            return from + (uint64_t) __builtin_ctzll(word);
        from = (from / WORD_BITS + 1) * WORD_BITS;
    }
    return f->cap;
}

/* The lowest run of at least n free pages at or after `from`; cap when there is none. */
static uint64_t find_run(const struct freelist *f, uint64_t from, uint64_t n)
{
    uint64_t start = find_bit(f, from, true);

    while (start < f->cap) {
        uint64_t end = find_bit(f, start, false);

        ASSERT(end > start);
        if (end - start >= n)
            return start;
        start = find_bit(f, end, true);
    }
    return f->cap;
}

uint64_t freelist_alloc(struct freelist *f, uint64_t n)
{
    size_t run = (size_t) MIN(n, FREELIST_RUNS) - 1;
    uint64_t from = 0, id;

    ASSERT(n > 0);
    if (n > f->free_count)
        return 0;
    /* Where no shorter run begins no longer one does. */
    for (size_t i = 0; i <= run; i++)
        from = MAX(from, f->search_from[i]);
    id = find_run(f, from, n);
    if (n <= FREELIST_RUNS)
        f->search_from[run] = id;
    if (id == f->cap)
        return 0;
    for (uint64_t i = id; i < id + n; i++)
        f->bits[i / WORD_BITS] &= ~(UINT64_C(1) << (i % WORD_BITS));
    ASSERT(f->free_count >= n); /* F3 */
    f->free_count -= n;
    ASSERT(id >= 2);
    return id;
}

/* ---- who allocated what ---- */

/* Map values are pointers that are never followed. */
static void *txid_hide(uint64_t txid)
{
    return (void *) (uintptr_t) txid;
}

void freelist_note(struct freelist *f, uint64_t id, uint64_t txid)
{
    ASSERT(txid != 0);
    if (!f->keep_allocated)
        return;
    /* Without memory the page counts as older than it is, which only keeps it pending longer; a
     * stale older number does the same. */
    if (map64_put(&f->allocated, id, txid_hide(txid)))
        f->allocated_max = txid;
}

static uint64_t allocated_take(struct freelist *f, uint64_t id)
{
    return (uint64_t) (uintptr_t) map64_del(&f->allocated, id);
}

/* ---- pending pages ---- */

/* The list of `txid`, the newest or to become it; NULL without memory. */
static struct freelist_pending *pending_of(struct freelist *f, uint64_t txid)
{
    struct freelist_pending *p = f->newest;

    if (p != NULL && p->txid == txid)
        return p;
    ASSERT(p == NULL || p->txid < txid); /* F2 */
    p = mem_calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->txid = txid;
    if (f->newest == NULL)
        f->oldest = p;
    else
        f->newest->newer = p;
    f->newest = p;
    return p;
}

int freelist_free(struct freelist *f, uint64_t txid, uint64_t id, uint64_t n)
{
    struct freelist_pending *p = pending_of(f, txid);

    ASSERT(id >= 2);
    ASSERT(!freelist_has(f, id)); /* F1 */
    if (p == NULL)
        return ERR_NOMEM;
    if (p->count == p->cap) {
        size_t cap = p->cap == 0 ? 16 : p->cap * 2;
        struct pending_run *runs = mem_realloc(p->runs, cap * sizeof *runs);

        if (runs == NULL)
            return ERR_NOMEM;
        p->runs = runs;
        p->cap = cap;
    }
    p->runs[p->count++] = (struct pending_run){id, n, allocated_take(f, id)};
    f->pending_count += n;
    return 0;
}

void freelist_rollback(struct freelist *f, uint64_t txid)
{
    struct freelist_pending *p = f->newest, *before = f->oldest;

    if (p == NULL || p->txid != txid)
        return;
    for (size_t i = 0; i < p->count; i++) {
        ASSERT(f->pending_count >= p->runs[i].pages); /* F3 */
        f->pending_count -= p->runs[i].pages;
    }
    if (before == p) {
        f->oldest = f->newest = NULL;
    } else {
        while (before->newer != p)
            before = before->newer;
        before->newer = NULL;
        f->newest = before;
    }
    pending_free(p);
}

/* Whether a reader sees pages allocated in `a` and freed in `f`: one with a <= r < f. */
static bool seen(const uint64_t *readers, size_t n, uint64_t a, uint64_t f)
{
    size_t at = sorted_u64_place(readers, n, a);

    ASSERT(a < f || a == 0);
    return at < n && readers[at] < f;
}

static void run_release(struct freelist *f, const struct pending_run *run)
{
    ASSERT(f->pending_count >= run->pages);
    for (uint64_t i = 0; i < run->pages; i++)
        freelist_add(f, run->id + i);
    f->pending_count -= run->pages;
}

/* Releases the runs of p that no reader sees and keeps the others. */
static void pending_release(struct freelist *f, struct freelist_pending *p, const uint64_t *readers,
                            size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->count; i++) {
        if (seen(readers, n, p->runs[i].allocated_by, p->txid))
            p->runs[kept++] = p->runs[i];
        else
            run_release(f, &p->runs[i]);
    }
    ASSERT(kept <= p->count);
    p->count = kept;
}

void freelist_release(struct freelist *f, const uint64_t *readers, size_t n)
{
    struct freelist_pending **link = &f->oldest;

    f->newest = NULL;
    while (*link != NULL) {
        struct freelist_pending *p = *link;

        ASSERT(p->newer == NULL || p->newer->txid > p->txid); /* F2 */
        pending_release(f, p, readers, n);
        if (p->count == 0) {
            *link = p->newer;
            pending_free(p);
        } else {
            f->newest = p;
            link = &p->newer;
        }
    }
    searches_restart(f);
    /* Who allocated a page matters only to readers older than that transaction. */
    f->keep_allocated = n > 0;
    if (n == 0 || readers[0] >= f->allocated_max) {
        map64_done(&f->allocated);
        f->allocated_max = 0;
    }
}

void freelist_each_pending(const struct freelist *f, void (*fn)(void *arg, uint64_t id, uint64_t n),
                           void *arg)
{
    for (const struct freelist_pending *p = f->oldest; p != NULL; p = p->newer) {
        for (size_t i = 0; i < p->count; i++)
            fn(arg, p->runs[i].id, p->runs[i].pages);
    }
}
