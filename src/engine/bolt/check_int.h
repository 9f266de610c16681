/* check_int.h -- what the files of a check share: one walk over a tree. */
#ifndef KETCH_ENGINE_BOLT_CHECK_INT_H
#define KETCH_ENGINE_BOLT_CHECK_INT_H

#include "engine/bolt/bolt_int.h"

struct check_walk {
    const struct bolt_tx *tx;
    uint64_t pages;    /* below this number */
    uint64_t *reached; /* bitmaps */
    uint64_t *freed;   /* NULL: there is no list of free pages */
    uint64_t touched;  /* bytes of pages since the mapping was last let go */
    bool first_only;   /* stop at the first finding */
    uint64_t findings;
    struct err *first;
    void (*found)(void *arg, const char *text);
    void *arg;
};

/* One page of the way down to the present one. */
struct check_step {
    const struct check_step *up;
    uint64_t id;
    unsigned depth;
    struct bytes min; /* keys below are >= min, and < max where it is not empty */
    struct bytes max;
};

static inline bool bit_get(const uint64_t *bits, uint64_t i)
{
    return (bits[i / 64] >> (i % 64) & 1) != 0;
}

static inline void bit_set(uint64_t *bits, uint64_t i)
{
    DEBUG_ASSERT(bits != NULL);
    bits[i / 64] |= UINT64_C(1) << (i % 64);
}

/* ---- check.c ---- */

void bolt__check_finding(struct check_walk *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Marks a page and its overflow as used.  False when the page cannot be followed: it reaches
 * outside the database, or something else uses it. */
bool bolt__check_reach(struct check_walk *w, const struct check_step *s, uint64_t overflow);

/* ---- check_free.c ---- */

/* The stored freelist: its ids are marked in w->freed when that is there. */
void bolt__check_freelist(struct check_walk *w);

/* The lists in memory, which only the write transaction may look at. */
void bolt__check_memory_lists(struct check_walk *w);

/* A page that is neither reached nor free is lost. */
void bolt__check_leaks(struct check_walk *w);

#endif
