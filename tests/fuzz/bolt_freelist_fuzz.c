/* bolt_freelist_fuzz.c -- who may write to a page, beside a table with one line per page.
 *
 * Write transactions come one after another, take runs of pages, give some back, free what others
 * took, grow the file, and commit or roll back; readers come and go between them.  An allocation
 * must be the lowest run that the table has free; a page that a reader can see must never be free;
 * with no reader that can see it a page must be free again after the next release. */
#include "engine/bolt/freelist.h"
#include "fuzz/choices.h"

#define PAGES_MAX 400
#define READERS_MAX 6
#define RUN_MAX 20
#define INPUT_BYTES_MAX 4096

enum state { BEYOND, FREE, USED, PENDING };

struct page {
    enum state state;
    uint64_t pages; /* the first of a used run: how many were taken, and are freed, at once */
    uint64_t allocated_by; /* of a used or pending page */
    uint64_t freed_by;     /* of a pending one */
};

static struct freelist list;
static struct page pages[PAGES_MAX];
static uint64_t high_water;
static uint64_t committed; /* the newest txid */
static uint64_t readers[READERS_MAX];
static size_t readers_n;

static bool seen(const struct page *p)
{
    for (size_t i = 0; i < readers_n; i++)
        if (p->allocated_by <= readers[i] && readers[i] < p->freed_by)
            return true;
    return false;
}

/* Somebody has been reading since before it was freed: it may be kept for them without need. */
static bool may_wait(const struct page *p)
{
    for (size_t i = 0; i < readers_n; i++)
        if (readers[i] < p->freed_by)
            return true;
    return false;
}

/* After a release the table learns which pages became free, and judges each. */
static void check_release(void)
{
    uint64_t is_free = 0, pending = 0;

    for (uint64_t id = 2; id < high_water; id++) {
        struct page *p = &pages[id];

        if (p->state == PENDING && freelist_has(&list, id)) {
            ASSERT(!seen(p));
            p->state = FREE;
        } else if (p->state == PENDING) {
            ASSERT(may_wait(p));
        }
        ASSERT(freelist_has(&list, id) == (p->state == FREE)); /* F1 */
        is_free += p->state == FREE;
        pending += p->state == PENDING;
    }
    ASSERT(list.free_count == is_free); /* F3 */
    ASSERT(list.pending_count == pending);
}

static int by_txid(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void release(void)
{
    uint64_t ids[READERS_MAX];
    size_t n = 0;

    memcpy(ids, readers, sizeof ids);
    qsort(ids, readers_n, sizeof *ids, by_txid);
    for (size_t i = 0; i < readers_n; i++)
        if (n == 0 || ids[n - 1] != ids[i])
            ids[n++] = ids[i];
    freelist_release(&list, ids, n);
    check_release();
}

static uint64_t lowest_run(uint64_t n)
{
    uint64_t run = 0;

    for (uint64_t id = 2; id < high_water; id++) {
        run = pages[id].state == FREE ? run + 1 : 0;
        if (run == n)
            return id + 1 - n;
    }
    return 0;
}

/* From the list, or behind the end of the file. */
static void allocate(uint64_t n, uint64_t txid)
{
    uint64_t id = freelist_alloc(&list, n);

    ASSERT(id == lowest_run(n));
    if (id == 0) {
        if (high_water + n > PAGES_MAX)
            return;
        id = high_water;
        high_water += n;
        ASSERT(freelist_reserve(&list, high_water) == 0);
    }
    for (uint64_t i = id; i < id + n; i++) {
        ASSERT(!freelist_has(&list, i));
        pages[i] = (struct page){.state = USED, .allocated_by = txid};
    }
    pages[id].pages = n;
    freelist_note(&list, id, txid);
}

/* One used run: the first at or behind some page. */
static void give_up(struct choices *c, uint64_t txid)
{
    uint64_t id = 2 + (pick(c, 256) + 256 * pick(c, 2)) % PAGES_MAX, n;

    while (id < high_water && (pages[id].state != USED || pages[id].pages == 0))
        id++;
    if (id >= high_water)
        return;
    n = pages[id].pages;
    if (pages[id].allocated_by == txid)
        freelist_give_back(&list, id, n);
    else
        ASSERT(freelist_free(&list, txid, id, n) == 0);
    for (uint64_t i = id; i < id + n; i++) {
        pages[i].state = pages[i].allocated_by == txid ? FREE : PENDING;
        pages[i].freed_by = txid;
    }
}

static void roll_back(uint64_t txid)
{
    freelist_rollback(&list, txid);
    for (uint64_t id = 2; id < high_water; id++) {
        struct page *p = &pages[id];

        if (p->state == PENDING && p->freed_by == txid) {
            p->state = USED;
        } else if (p->state == USED && p->allocated_by == txid) {
            freelist_give_back(&list, id, 1);
            p->state = FREE;
        }
    }
}

static void transaction(struct choices *c)
{
    uint64_t txid = committed + 1;

    release();
    for (unsigned ops = pick(c, 24); ops > 0; ops--) {
        unsigned what = pick(c, 16);

        if (what < 6)
            allocate(1, txid);
        else if (what < 8)
            allocate(1 + pick(c, RUN_MAX), txid);
        else
            give_up(c, txid);
    }
    if (pick(c, 4) == 0)
        roll_back(txid);
    else
        committed = txid;
}

static void step(struct choices *c)
{
    unsigned what = pick(c, 8);

    if (what < 5) {
        transaction(c);
    } else if (what < 7) {
        if (readers_n < READERS_MAX)
            readers[readers_n++] = committed;
    } else if (readers_n > 0) {
        size_t i = pick(c, (unsigned) readers_n);

        readers[i] = readers[--readers_n];
    }
}

static void check_pending_run(void *arg, uint64_t id, uint64_t n)
{
    for (uint64_t i = id; i < id + n; i++)
        ASSERT(pages[i].state == PENDING);
    *(uint64_t *) arg += n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices c = choices_of(data, MIN(size, (size_t) INPUT_BYTES_MAX));
    uint64_t pending = 0;

    memset(pages, 0, sizeof pages);
    readers_n = 0;
    committed = 1;
    freelist_init(&list);
    high_water = 2 + pick(&c, 64);
    ASSERT(freelist_reserve(&list, high_water) == 0);
    for (uint64_t id = 2; id < high_water; id++) {
        pages[id] = (struct page){
            .state = pick(&c, 3) == 0 ? USED : FREE, .pages = 1, .allocated_by = 1};
        if (pages[id].state == FREE)
            freelist_add(&list, id);
    }
    while (!choices_over(&c))
        step(&c);
    freelist_each_pending(&list, check_pending_run, &pending);
    ASSERT(pending == list.pending_count);
    readers_n = 0;
    release();
    ASSERT(list.pending_count == 0);
    freelist_done(&list);
    return 0;
}
