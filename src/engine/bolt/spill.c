/* spill.c -- turns the changed nodes of a transaction into pages, from the leaves up. */
#include "engine/bolt/bolt_int.h"

/* A node of up to this many items is never split: each half must have at least two, with some to
 * spare. */
#define SPLIT_ITEMS_MIN 5
#define HALF_ITEMS_MIN 2

/* The items of the branch above, as they come into being. */
struct items {
    struct bolt_item *v;
    uint32_t count;
    uint32_t cap;
};

static int items_add(struct bolt_writer *w, struct items *a, struct bolt_item it, struct err *e)
{
    if (a->count == a->cap) {
        uint32_t cap = a->cap == 0 ? 16 : a->cap * 2;
        struct bolt_item *v = arena_alloc(&w->arena, cap * sizeof *v);

        if (v == NULL)
            return bolt__writer_fail(w, ERR_NOMEM, e);
        if (a->count > 0)
            memcpy(v, a->v, a->count * sizeof *v);
        a->v = v;
        a->cap = cap;
    }
    ASSERT(a->count < a->cap);
    a->v[a->count++] = it;
    return 0;
}

static uint64_t item_bytes(const struct bolt_node *n, uint32_t i)
{
    return PAGE_ITEM_BYTES + n->items[i].key_bytes + (n->leaf ? n->items[i].value_bytes : 0);
}

/* ---- one page ---- */

/* Serialises items [from, to) behind a header. */
static void page_fill(const struct bolt_node *n, uint32_t from, uint32_t to, uint8_t *page,
                      struct page_header h)
{
    uint8_t *it = page + PAGE_HEADER_BYTES;
    uint8_t *data = it + (size_t) (to - from) * PAGE_ITEM_BYTES;

    h.flags = n->leaf ? PAGE_LEAF : PAGE_BRANCH;
    h.count = (uint16_t) (to - from);
    page_header_put(page, h);
    for (uint32_t i = from; i < to; i++, it += PAGE_ITEM_BYTES) {
        const struct bolt_item *x = &n->items[i];

        if (n->leaf) {
            le32_put(it + offsetof(struct page_leaf_item, flags), x->flags);
            le32_put(it + offsetof(struct page_leaf_item, pos), (uint32_t) (data - it));
            le32_put(it + offsetof(struct page_leaf_item, key_bytes), x->key_bytes);
            le32_put(it + offsetof(struct page_leaf_item, value_bytes), x->value_bytes);
        } else {
            ASSERT((x->flags & ITEM_LOADED) == 0);
            le32_put(it + offsetof(struct page_branch_item, pos), (uint32_t) (data - it));
            le32_put(it + offsetof(struct page_branch_item, key_bytes), x->key_bytes);
            le64_put(it + offsetof(struct page_branch_item, child), x->u.page);
        }
        memcpy(data, x->key, x->key_bytes);
        data += x->key_bytes;
        if (n->leaf && x->value_bytes > 0) {
            memcpy(data, x->u.value, x->value_bytes);
            data += x->value_bytes;
        }
    }
}

/* Writes items [from, to) to a new page and adds its item for the branch above. */
static int piece_write(struct bolt_node *n, uint32_t from, uint32_t to, uint64_t bytes,
                       struct items *above, struct err *e)
{
    struct bolt_writer *w = n->bucket->writer;
    struct bolt_item it = {0};
    struct bolt_dirty d;
    int rc = bolt__page_alloc(w, bytes, &d, e);

    if (rc != 0)
        return rc;
    ASSERT(to - from <= BOLT_PAGE_ITEMS_MAX);
    ASSERT(bytes <= d.pages * w->tx.meta.page_bytes);
    page_fill(n, from, to, d.p,
              (struct page_header){.id = d.id, .overflow = (uint32_t) (d.pages - 1)});
    DEBUG_ASSERT(page_validate(d.p, d.pages * w->tx.meta.page_bytes, d.id, w->tx.meta.page_bytes,
                               NULL) == 0);
    it.u.page = d.id;
    if (to > from) {
        it.key = n->items[from].key;
        it.key_bytes = n->items[from].key_bytes;
    }
    return items_add(w, above, it, e);
}

/* ---- a node ---- */

/* Where the piece that starts at `from` ends, and its size; `rest` is the size of all from there
 * on. bbolt's rule: cut before the item that passes the fill, once each side has two items, and
 * only when the rest does not fit in one page anyway. */
static uint32_t piece_end(const struct bolt_node *n, uint32_t from, uint64_t rest,
                          uint64_t *ret_bytes)
{
    uint64_t page_bytes = n->bucket->writer->tx.meta.page_bytes;
    uint64_t fill_bytes = page_bytes * n->bucket->fill / 100;
    uint64_t bytes = PAGE_HEADER_BYTES;
    uint32_t left = n->count - from, i;

    *ret_bytes = rest;
    if (left < SPLIT_ITEMS_MIN || (rest < page_bytes && left <= BOLT_PAGE_ITEMS_MAX))
        return n->count;
    for (i = from; i < n->count - HALF_ITEMS_MIN; i++) {
        uint64_t more = item_bytes(n, i);

        if (i - from >= HALF_ITEMS_MIN &&
            (bytes + more > fill_bytes || i - from == BOLT_PAGE_ITEMS_MAX))
            break;
        bytes += more;
    }
    ASSERT(i > from);
    ASSERT(bytes <= rest);
    *ret_bytes = bytes;
    return i;
}

/* Writes the node, whose children are pages by now, as one or more pages. */
static int pieces_write(struct bolt_node *n, struct items *above, struct err *e)
{
    uint64_t rest = n->bytes, bytes;
    uint32_t from = 0;
    int rc;

    bolt__node_check(n);
    do {
        uint32_t to = piece_end(n, from, rest, &bytes);

        rc = piece_write(n, from, to, bytes, above, e);
        rest -= bytes - PAGE_HEADER_BYTES;
        from = to;
    } while (rc == 0 && from < n->count);
    ASSERT(rc != 0 || rest == PAGE_HEADER_BYTES);
    return rc;
}

static int node_spill(struct bolt_node *n, struct items *above, struct err *e);

/* Replaces the items of a branch by those of its children as they were written. */
static int children_spill(struct bolt_node *n, struct err *e)
{
    struct bolt_writer *w = n->bucket->writer;
    struct items now = {0};
    int rc = 0;

    for (uint32_t i = 0; i < n->count && rc == 0; i++) {
        if ((n->items[i].flags & ITEM_LOADED) != 0)
            rc = node_spill(n->items[i].u.child, &now, e);
        else
            rc = items_add(w, &now, n->items[i], e);
    }
    if (rc != 0)
        return rc;
    ASSERT(now.count > 0);
    n->items = now.v;
    n->count = now.count;
    n->cap = now.cap;
    n->bytes = PAGE_HEADER_BYTES;
    for (uint32_t i = 0; i < n->count; i++)
        n->bytes += item_bytes(n, i);
    return 0;
}

static int node_spill(struct bolt_node *n, struct items *above, struct err *e)
{
    int rc = 0;

    ASSERT(!n->gone);
    ASSERT(n->count > 0 || n->parent == NULL);
    if (!n->leaf)
        rc = children_spill(n, e);
    if (rc == 0 && n->page != 0)
        rc = bolt__page_free(n->bucket->writer, n->page, e);
    return rc == 0 ? pieces_write(n, above, e) : rc;
}

/* ---- a bucket ---- */

/* Writes the tree of a bucket, with new roots above as long as there is more than one page. */
static int tree_spill(struct bolt_wbucket *w, uint64_t *ret_root, struct err *e)
{
    struct items above = {0};
    int rc = node_spill(w->root_node, &above, e);

    while (rc == 0 && above.count > 1) {
        struct bolt_node *top = bolt__node_new(w, false);

        if (top == NULL)
            return bolt__writer_fail(w->writer, ERR_NOMEM, e);
        top->items = above.v;
        top->count = above.count;
        top->cap = above.cap;
        for (uint32_t i = 0; i < top->count; i++)
            top->bytes += item_bytes(top, i);
        above = (struct items){0};
        rc = pieces_write(top, &above, e);
    }
    if (rc != 0)
        return rc;
    ASSERT(above.count == 1);
    *ret_root = above.v[0].u.page;
    return 0;
}

static bool fits_inline(const struct bolt_wbucket *w)
{
    const struct bolt_node *n = w->root_node;

    ASSERT(n->parent == NULL);
    if (!n->leaf || n->bytes > w->writer->tx.meta.page_bytes / 4)
        return false;
    for (uint32_t i = 0; i < n->count; i++) {
        if (n->items[i].flags != 0)
            return false;
    }
    return true;
}

/* The new value of a changed bucket in the root bucket. */
static int bucket_spill(struct bolt_wbucket *b, struct bytes *ret_value, struct err *e)
{
    struct bolt_writer *w = b->writer;
    bool is_inline = fits_inline(b);
    size_t n = PAGE_BUCKET_BYTES + (is_inline ? b->root_node->bytes : 0);
    struct page_bucket head = {.sequence = b->sequence};
    uint8_t *value = arena_alloc(&w->arena, n);
    int rc = 0;

    if (value == NULL)
        return bolt__writer_fail(w, ERR_NOMEM, e);
    if (!is_inline)
        rc = tree_spill(b, &head.root, e);
    else if (b->root_node->page != 0)
        rc = bolt__page_free(w, b->root_node->page, e);
    if (rc != 0)
        return rc;
    ASSERT(is_inline == (head.root == 0));
    page_bucket_put(value, head);
    if (is_inline)
        page_fill(b->root_node, 0, b->root_node->count, value + PAGE_BUCKET_BYTES,
                  (struct page_header){0});
    *ret_value = bytes_of(value, n);
    return 0;
}

static int rebalance(struct bolt_wbucket *b, struct err *e)
{
    int64_t began = bolt__now(b->writer->tx.db);
    int rc = bolt__rebalance(b, e);

    b->writer->times.rebalance_ns += bolt__now(b->writer->tx.db) - began;
    return rc;
}

int bolt__spill(struct bolt_writer *w, struct err *e)
{
    struct bytes value;
    int rc = 0;

    LIST_EACH (it, &w->buckets) {
        struct bolt_wbucket *b = CONTAINER_OF(it, struct bolt_wbucket, link);

        if (b->root_node == NULL)
            continue;
        rc = rebalance(b, e);
        if (rc == 0)
            rc = bucket_spill(b, &value, e);
        if (rc == 0)
            rc = bolt__put(&w->root, b->name, value, PAGE_ITEM_BUCKET, e);
        if (rc != 0)
            return bolt__writer_fail(w, rc, e);
    }
    if (w->root.root_node != NULL) {
        rc = rebalance(&w->root, e);
        if (rc == 0)
            rc = tree_spill(&w->root, &w->tx.meta.root, e);
    }
    return rc == 0 ? 0 : bolt__writer_fail(w, rc, e);
}
