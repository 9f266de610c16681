/* check.c -- proves that a tree is whole: for bolt_check, which reports everything that it finds,
 * and for opening, which stops at the first finding and learns the free pages on the way.
 *
 * Over the root bucket and all buckets inside it: every page lies below the high-water mark, is
 * referenced once (overflow pages too), is not on a list of free pages, is a branch or a leaf whose
 * items lie inside it; keys ascend, and lie between the keys that lead to them; the root bucket
 * holds buckets only.  Then: a page below the high-water mark that nothing refers to must be on the
 * list of free pages, if there is one. The words of findings are bbolt's where bbolt has the same
 * check.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "engine/bolt/check_int.h"

#define FINDING_BYTES 512
#define KEY_SHOWN_BYTES 32 /* of a key in a finding */
/* So much of the mapping may count as this process's memory before it is let go. */
#define MAPPED_BYTES_MAX (UINT64_C(40) << 20)

void bolt__check_finding(struct check_walk *w, const char *fmt, ...)
{
    char text[FINDING_BYTES];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ASSERT(text[0] != '\0');
    if (w->findings++ == 0)
        err_set(w->first, ERR_CORRUPT, "%s", text);
    if (w->found != NULL)
        w->found(w->arg, text);
}

static bool stopped(const struct check_walk *w)
{
    return w->first_only && w->findings > 0;
}

/* "[3 7 12]", the pages from the root to this one. */
static const char *stack_text(const struct check_step *s, char *p, size_t n)
{
    uint64_t ids[BOLT_DEPTH_MAX];
    unsigned count = 0;
    size_t len;

    for (; s != NULL && count < BOLT_DEPTH_MAX; s = s->up)
        ids[count++] = s->id;
    len = (size_t) snprintf(p, n, "[");
    for (; count > 0 && len < n; count--)
        len += (size_t) snprintf(p + len, n - len, count > 1 ? "%" PRIu64 " " : "%" PRIu64 "]",
                                 ids[count - 1]);
    return p;
}

static const char *hex_text(struct bytes key, char *p, size_t n)
{
    ASSERT(n > 2 * KEY_SHOWN_BYTES);
    p[0] = '\0';
    for (size_t i = 0; i < key.n && i < KEY_SHOWN_BYTES; i++)
        snprintf(p + 2 * i, n - 2 * i, "%02x", key.p[i]);
    return p;
}

/* ---- keys ---- */

static void key_finding(struct check_walk *w, const struct check_step *s, const uint8_t *page,
                        uint32_t i, const char *rule, struct bytes other)
{
    char stack[256], key[2 * KEY_SHOWN_BYTES + 1], than[2 * KEY_SHOWN_BYTES + 1];

    bolt__check_finding(
        w, "key[%u]=(hex)%s on %s page(%" PRIu64 ") needs to be %s (hex)%s. Stack: %s", i,
        hex_text(page_key(page, i), key, sizeof key), page_type_name(page), s->id, rule,
        hex_text(other, than, sizeof than), stack_text(s, stack, sizeof stack));
}

/* The keys of a page ascend, so its first and last key are enough for the bounds. */
static void keys_check(struct check_walk *w, const struct check_step *s, const uint8_t *page)
{
    uint32_t count = page_count(page), bad = page_disorder(page);

    ASSERT(bad <= count);
    if (count == 0)
        return;
    if (bad < count)
        key_finding(w, s, page, bad, "> than previous element", page_key(page, bad - 1));
    if (bytes_cmp(page_key(page, 0), s->min) < 0)
        key_finding(w, s, page, 0, ">= the key in the ancestor", s->min);
    if (s->max.n != 0 && bytes_cmp(page_key(page, count - 1), s->max) >= 0)
        key_finding(w, s, page, count - 1, "< than key of the next element in ancestor", s->max);
}

/* ---- pages ---- */

static void bucket_check(struct check_walk *w, struct bytes value, unsigned depth);

/* Every page is visited, so without this the whole file would be resident.  Pages above the present
 * one are read again when the walk returns to them. */
static void note_touched(struct check_walk *w, uint64_t pages)
{
    w->touched += pages * w->tx->meta.page_bytes;
    if (w->touched < MAPPED_BYTES_MAX)
        return;
    file_map_release(w->tx->map->file, w->pages * w->tx->meta.page_bytes);
    w->touched = 0;
}

bool bolt__check_reach(struct check_walk *w, const struct check_step *s, uint64_t overflow)
{
    char stack[256];
    bool alone = true;

    ASSERT(s->id >= PAGE_FIRST_FREE);
    ASSERT(s->id < w->pages);
    if (overflow >= w->pages - s->id) {
        bolt__check_finding(w, "page %" PRIu64 ": out of bounds: %" PRIu64 " (stack: %s)",
                            s->id + overflow, w->pages, stack_text(s, stack, sizeof stack));
        return false;
    }
    for (uint64_t id = s->id; id <= s->id + overflow; id++) {
        if (bit_get(w->reached, id)) {
            bolt__check_finding(w, "page %" PRIu64 ": multiple references (stack: %s)", id,
                                stack_text(s, stack, sizeof stack));
            alone = false;
        }
        if (w->freed != NULL && bit_get(w->freed, id))
            bolt__check_finding(w, "page %" PRIu64 ": reachable freed", id);
        bit_set(w->reached, id);
    }
    note_touched(w, overflow + 1);
    return alone;
}

/* The page of a step, when it can be trusted; NULL after a finding. */
static const uint8_t *page_get(struct check_walk *w, const struct check_step *s)
{
    uint32_t page_bytes = w->tx->meta.page_bytes;
    const uint8_t *page;
    struct err e = ERR_INIT;
    char stack[256];

    if (s->id < PAGE_FIRST_FREE || s->id >= w->pages) {
        bolt__check_finding(w, "page %" PRIu64 ": out of bounds: %" PRIu64 " (stack: %s)", s->id,
                            w->pages, stack_text(s, stack, sizeof stack));
        return NULL;
    }
    if (s->depth > BOLT_DEPTH_MAX) {
        bolt__check_finding(w, "page %" PRIu64 ": deeper than %d (stack: %s)", s->id,
                            BOLT_DEPTH_MAX, stack_text(s, stack, sizeof stack));
        return NULL;
    }
    page = w->tx->map->base + s->id * page_bytes;
    if (!bolt__check_reach(w, s, page_overflow(page)))
        return NULL;
    if (page_flags(page) != PAGE_BRANCH && page_flags(page) != PAGE_LEAF) {
        bolt__check_finding(w, "page %" PRIu64 ": invalid type: %s (stack: %s)", s->id,
                            page_type_name(page), stack_text(s, stack, sizeof stack));
        return NULL;
    }
    if (page_validate(page, (w->pages - s->id) * page_bytes, s->id, page_bytes, &e) != 0) {
        bolt__check_finding(w, "%s (stack: %s)", e.msg, stack_text(s, stack, sizeof stack));
        return NULL;
    }
    return page;
}

static void tree_check(struct check_walk *w, const struct check_step *s, unsigned bucket_depth);

static void branch_check(struct check_walk *w, const struct check_step *s, const uint8_t *page,
                         unsigned bucket_depth)
{
    uint32_t count = page_count(page);

    ASSERT(count > 0); /* page_validate */
    for (uint32_t i = 0; i < count && !stopped(w); i++) {
        struct check_step child = {
            .up = s,
            .id = page_branch_child(page, i),
            .depth = s->depth + 1,
            .min = page_branch_key(page, i),
            .max = i + 1 < count ? page_branch_key(page, i + 1) : s->max,
        };

        tree_check(w, &child, bucket_depth);
    }
}

static void tree_check(struct check_walk *w, const struct check_step *s, unsigned bucket_depth)
{
    const uint8_t *page = page_get(w, s);

    if (page == NULL)
        return;
    keys_check(w, s, page);
    if (!page_is_leaf(page)) {
        branch_check(w, s, page, bucket_depth);
        return;
    }
    for (uint32_t i = 0; i < page_count(page) && !stopped(w); i++) {
        if (page_leaf_flags(page, i) == PAGE_ITEM_BUCKET)
            bucket_check(w, page_leaf_value(page, i), bucket_depth + 1);
        else if (bucket_depth == 0)
            bolt__check_finding(w, "page %" PRIu64 ": item %u of the root bucket is not a bucket",
                                s->id, i);
    }
}

static void bucket_check(struct check_walk *w, struct bytes value, unsigned depth)
{
    struct check_step root = {.id = page_bucket_get(value).root, .depth = 1};
    struct bytes image = page_bucket_image(value);

    ASSERT((root.id == 0) == (image.p != NULL));
    if (depth > BOLT_DEPTH_MAX)
        bolt__check_finding(w, "page %" PRIu64 ": buckets nested deeper than %d", root.id,
                            BOLT_DEPTH_MAX);
    else if (root.id == 0)
        keys_check(w, &root, image.p); /* what it holds was validated with its page */
    else
        tree_check(w, &root, depth);
}

/* ---- both uses ---- */

static int walk_init(struct check_walk *w, struct bolt_tx *tx, bool with_lists, struct err *e)
{
    size_t words;

    w->tx = tx;
    w->first = e;
    w->pages = bolt_tx_size_bytes(tx) / tx->meta.page_bytes;
    ASSERT(w->pages <= tx->map->bytes / tx->meta.page_bytes);
    words = (size_t) (w->pages / 64) + 1;
    w->reached = mem_calloc(words, sizeof *w->reached);
    if (with_lists)
        w->freed = mem_calloc(words, sizeof *w->freed);
    if (w->reached != NULL && (!with_lists || w->freed != NULL))
        return 0;
    return err_set(e, ERR_NOMEM, "out of memory to check the file");
}

static void walk_done(struct check_walk *w)
{
    mem_free(w->reached);
    mem_free(w->freed);
}

int bolt_check(struct bolt_tx *tx, void (*found)(void *arg, const char *text), void *arg,
               struct err *e)
{
    bool in_memory = tx->writer != NULL;
    bool stored = tx->meta.freelist != META_NO_FREELIST;
    struct check_walk w = {.found = found, .arg = arg};
    struct check_step root = {.id = tx->meta.root, .depth = 1};
    int rc = walk_init(&w, tx, in_memory || stored, e);

    if (rc == 0) {
        if (in_memory) {
            ASSERT(tx->writer->dirty_count == 0);
            bolt__check_memory_lists(&w);
        }
        if (in_memory && stored)
            bolt__check_reach(
                &w, &(struct check_step){.id = tx->meta.freelist},
                page_overflow(tx->map->base + tx->meta.freelist * tx->meta.page_bytes));
        else
            bolt__check_freelist(&w);
        tree_check(&w, &root, 0);
        if (w.freed != NULL)
            bolt__check_leaks(&w);
        rc = w.findings > 0 ? ERR_CORRUPT : 0;
    }
    walk_done(&w);
    return rc;
}

int bolt__prove(struct bolt_tx *tx, struct err *e)
{
    struct check_walk w = {.first_only = true};
    struct check_step root = {.id = tx->meta.root, .depth = 1};
    int rc = walk_init(&w, tx, false, e);

    ASSERT(tx->db->freelist.free_count == 0);
    if (rc == 0) {
        bolt__check_freelist(&w);
        if (!stopped(&w))
            tree_check(&w, &root, 0);
        rc = w.findings > 0 ? ERR_CORRUPT : 0;
    }
    /* A stored list of free pages is not needed: what nothing refers to is free. */
    for (uint64_t id = PAGE_FIRST_FREE; rc == 0 && id < w.pages; id++) {
        if (!bit_get(w.reached, id))
            freelist_add(&tx->db->freelist, id);
    }
    walk_done(&w);
    return rc;
}
