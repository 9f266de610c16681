/* keep_set.c -- the revisions that outlive a compaction, one for each key.
 *
 * etcd holds them all in a hash map.  Here they are an array of 16 bytes each, sorted by revision,
 * for the records of the file are gone through in that order; and no more than a window of them at
 * a time, so that the memory does not grow with the number of keys.  Another window costs another
 * walk. */
#include "state/mvcc/mvcc_int.h"

#define CAP_MIN 1024

void keep_set_init(struct keep_set *k, const struct index_node *root, int64_t main,
                   enum keep_rule rule)
{
    *k = (struct keep_set){.root = root, .main = main, .rule = rule, .window_max = KEEP_WINDOW_MAX};
    keep_set_restart(k, (struct revision){0, 0});
}

void keep_set_done(struct keep_set *k)
{
    mem_free(k->v);
    k->v = NULL;
}

void keep_set_restart(struct keep_set *k, struct revision from)
{
    ASSERT(k->limit.main == 0 || revision_cmp(from, k->from) > 0 || k->n == 0);
    k->from = from;
    k->limit = (struct revision){INT64_MAX, INT64_MAX};
    k->n = k->at = 0;
    k->walking = true;
    index_seek(&k->cursor, k->root, BYTES_EMPTY, false);
}

/* ---- sorting: by the bytes of the revision, least significant first ---- */

static void sort_by_digit(const struct revision *from, struct revision *to, size_t n, unsigned byte,
                          bool main)
{
    size_t start[256] = {0};
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        start[(uint64_t) (main ? from[i].main : from[i].sub) >> (8 * byte) & 0xff]++;
    for (unsigned b = 0; b < 256; b++) {
        size_t count = start[b];

        start[b] = at;
        at += count;
    }
    for (size_t i = 0; i < n; i++)
        to[start[(uint64_t) (main ? from[i].main : from[i].sub) >> (8 * byte) & 0xff]++] = from[i];
}

static unsigned bytes_needed(uint64_t max)
{
    return max == 0 ? 0 : (unsigned) (64 - __builtin_clzll(max) + 7) / 8;
}

/* False: no memory. */
static bool sort_revisions(struct revision *v, size_t n)
{
    struct revision *tmp = mem_alloc(n * sizeof *tmp), *from = v, *to = tmp;
    uint64_t main_max = 0, sub_max = 0;
    unsigned main_bytes, sub_bytes;

    if (tmp == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        main_max |= (uint64_t) v[i].main;
        sub_max |= (uint64_t) v[i].sub;
    }
    main_bytes = bytes_needed(main_max);
    sub_bytes = bytes_needed(sub_max);
    for (unsigned d = 0; d < sub_bytes + main_bytes; d++) {
        struct revision *swap = from;

        sort_by_digit(from, to, n, d < sub_bytes ? d : d - sub_bytes, d >= sub_bytes);
        from = to;
        to = swap;
    }
    if (from != v)
        memcpy(v, from, n * sizeof *v);
    mem_free(tmp);
    return true;
}

/* ---- collecting ---- */

/* Twice a window has gathered: the lower half of it stays, what lies above is left to a later walk.
 */
static bool cut_window(struct keep_set *k)
{
    if (!sort_revisions(k->v, k->n))
        return false;
    ASSERT(k->n > k->window_max);
    k->n = k->window_max;
    k->limit = k->v[k->n - 1];
    return true;
}

static bool add(struct keep_set *k, struct revision r)
{
    if (k->n == 2 * k->window_max && !cut_window(k))
        return false;
    if (revision_cmp(r, k->limit) > 0)
        return true;
    if (k->n == k->cap) {
        size_t cap = MIN(MAX((size_t) CAP_MIN, k->cap * 2), 2 * k->window_max);
        struct revision *v = mem_realloc(k->v, cap * sizeof *v);

        if (v == NULL)
            return false;
        k->v = v;
        k->cap = cap;
    }
    ASSERT(k->n < k->cap);
    k->v[k->n++] = r;
    return true;
}

static bool kept_revision(const struct keep_set *k, const struct key_entry *e, struct revision *ret)
{
    uint32_t upto, from;
    struct key_revision r;

    if (k->rule == KEEP_HASH)
        return entry_hash_keep(e, k->main, ret);
    upto = entry_revisions_upto(e, k->main);
    from = entry_compact_from(e, k->main);
    if (from >= upto)
        return false;
    r = entry_revision(e, from);
    ASSERT(r.main <= k->main);
    *ret = (struct revision){r.main, key_revision_sub(r)};
    return true;
}

static bool window_end(struct keep_set *k, bool *ret_no_memory)
{
    ASSERT(k->n <= 2 * k->window_max);
    if (!sort_revisions(k->v, k->n)) {
        *ret_no_memory = true;
        return false;
    }
    k->walking = false;
    return true;
}

bool keep_set_collect(struct keep_set *k, size_t keys, bool *ret_no_memory)
{
    *ret_no_memory = false;
    for (size_t i = 0; i < keys && k->walking; i++) {
        const struct key_entry *e = index_cursor_entry(&k->cursor);
        struct revision r;

        if (e == NULL)
            return window_end(k, ret_no_memory);
        index_cursor_next(&k->cursor);
        if (!kept_revision(k, e, &r))
            continue;
        k->any = true;
        if (revision_cmp(r, k->from) < 0)
            continue;
        if (!add(k, r)) {
            *ret_no_memory = true;
            return false;
        }
    }
    return !k->walking;
}

bool keep_set_covers(const struct keep_set *k, struct revision r)
{
    return !k->walking && revision_cmp(r, k->limit) <= 0;
}

bool keep_set_has(struct keep_set *k, struct revision r)
{
    ASSERT(keep_set_covers(k, r));
    ASSERT(revision_cmp(r, k->from) >= 0);
    while (k->at < k->n && revision_cmp(k->v[k->at], r) < 0)
        k->at++;
    return k->at < k->n && revision_cmp(k->v[k->at], r) == 0;
}
