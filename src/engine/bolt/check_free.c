/* check_free.c -- the lists of free pages beside what a tree was found to refer to: the one in the
 * file, and those in memory.
 */
#include "engine/bolt/check_int.h"

static void free_mark(struct check_walk *w, uint64_t id)
{
    if (id < PAGE_FIRST_FREE || id >= w->pages)
        bolt__check_finding(w, "page %" PRIu64 ": freed, but out of bounds: %" PRIu64, id,
                            w->pages);
    else if (bit_get(w->freed, id))
        bolt__check_finding(w, "page %" PRIu64 ": already freed", id);
    else
        bit_set(w->freed, id);
}

void bolt__check_freelist(struct check_walk *w)
{
    struct check_step s = {.id = w->tx->meta.freelist};
    const uint8_t *page, *ids;
    uint64_t n, room;

    if (s.id == META_NO_FREELIST)
        return;
    page = w->tx->map->base + s.id * w->tx->meta.page_bytes;
    if (page_id(page) != s.id || page_flags(page) != PAGE_FREELIST) {
        bolt__check_finding(w, "page %" PRIu64 ": invalid freelist page: page type is %s", s.id,
                            page_type_name(page));
        return;
    }
    if (!bolt__check_reach(w, &s, page_overflow(page)) || w->freed == NULL)
        return;
    room = (((uint64_t) page_overflow(page) + 1) * w->tx->meta.page_bytes - PAGE_HEADER_BYTES) / 8;
    ids = page + PAGE_HEADER_BYTES;
    n = page_count(page);
    if (n == PAGE_COUNT_ESCAPE) {
        n = le64_get(ids);
        ids += 8;
        room--;
    }
    ASSERT(room > 0);
    if (n > room) {
        bolt__check_finding(w, "page %" PRIu64 ": a freelist of %" PRIu64 " pages does not fit",
                            s.id, n);
        return;
    }
    for (uint64_t i = 0; i < n; i++)
        free_mark(w, le64_get(ids + 8 * i));
}

static void pending_mark(void *arg, uint64_t id, uint64_t n)
{
    ASSERT(n > 0);
    for (uint64_t i = 0; i < n; i++)
        free_mark(arg, id + i);
}

void bolt__check_memory_lists(struct check_walk *w)
{
    const struct freelist *f = &w->tx->db->freelist;

    ASSERT(w->tx->writer != NULL);
    for (uint64_t id = 0; id < f->cap; id++) {
        if (freelist_has(f, id))
            free_mark(w, id);
    }
    freelist_each_pending(f, pending_mark, w);
}

void bolt__check_leaks(struct check_walk *w)
{
    for (uint64_t id = PAGE_FIRST_FREE; id < w->pages; id++) {
        if (!bit_get(w->reached, id) && !bit_get(w->freed, id))
            bolt__check_finding(w, "page %" PRIu64 ": unreachable unfreed", id);
    }
}
