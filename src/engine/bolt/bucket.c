#include "engine/bolt/bolt_int.h"

/* The value of an empty bucket: inline, a leaf page without items. */
static const uint8_t empty_bucket[PAGE_BUCKET_BYTES + PAGE_HEADER_BYTES] = {
    [PAGE_BUCKET_BYTES + offsetof(struct page_header, flags)] = PAGE_LEAF,
};

static struct bolt_bucket handle_of(struct bolt_tx *tx, struct bolt_wbucket *w)
{
    ASSERT(tx->writer == w->writer);
    ASSERT(!w->deleted);
    return (struct bolt_bucket){tx, w, w->root, w->image};
}

/* The handle of a bucket whose value is known, in a read transaction. */
static struct bolt_bucket handle_from(struct bolt_tx *tx, struct bytes value)
{
    return (struct bolt_bucket){tx, NULL, page_bucket_get(value).root, page_bucket_image(value)};
}

void bolt_bucket_root(struct bolt_tx *tx, struct bolt_bucket *ret)
{
    if (tx->writer != NULL)
        *ret = handle_of(tx, &tx->writer->root);
    else
        *ret = (struct bolt_bucket){tx, NULL, tx->meta.root, BYTES_EMPTY};
}

/* The value of bucket `name` in bucket `in`.  ERR_NOT_FOUND, ERR_INVALID for a plain key. */
static int bucket_value(const struct bolt_bucket *in, struct bytes name, struct bytes *ret,
                        struct err *e)
{
    struct bolt_found found;
    int rc = bolt__find(in, name, &found, e);

    if (rc != 0)
        return rc;
    if (found.flags != PAGE_ITEM_BUCKET)
        return ERR_INVALID;
    *ret = found.value;
    return 0;
}

static struct bolt_wbucket *bucket_opened(struct bolt_writer *w, struct bytes name)
{
    LIST_EACH (it, &w->buckets) {
        struct bolt_wbucket *b = CONTAINER_OF(it, struct bolt_wbucket, link);

        if (bytes_eq(b->name, name))
            return b;
    }
    return NULL;
}

/* Makes the state of a bucket with this value. */
static int bucket_make(struct bolt_writer *w, struct bytes name, struct bytes value,
                       struct bolt_wbucket **ret, struct err *e)
{
    struct bolt_wbucket *b = arena_calloc(&w->arena, 1, sizeof *b);
    const uint8_t *copy = arena_dup(&w->arena, name.p, name.n);

    if (b == NULL || copy == NULL)
        return bolt__writer_fail(w, ERR_NOMEM, e);
    ASSERT(name.n > 0);
    b->writer = w;
    b->name = bytes_of(copy, name.n);
    b->root = page_bucket_get(value).root;
    b->sequence = page_bucket_get(value).sequence;
    b->image = page_bucket_image(value);
    b->fill = 50;
    list_push(&w->buckets, &b->link);
    *ret = b;
    return 0;
}

int bolt__bucket_open(struct bolt_writer *w, struct bytes name, struct bolt_wbucket **ret,
                      struct err *e)
{
    struct bolt_wbucket *b = bucket_opened(w, name);
    struct bolt_bucket root;
    struct bytes value;
    int rc;

    if (b != NULL) {
        *ret = b;
        return 0;
    }
    bolt_bucket_root(&w->tx, &root);
    rc = bucket_value(&root, name, &value, e);
    return rc == 0 ? bucket_make(w, name, value, ret, e) : rc;
}

int bolt_bucket_get(struct bolt_tx *tx, struct bytes name, struct bolt_bucket *ret, struct err *e)
{
    struct bolt_wbucket *w;
    struct bolt_bucket root;
    struct bytes value;
    int rc;

    if (tx->writer != NULL) {
        rc = bolt__bucket_open(tx->writer, name, &w, e);
        if (rc == 0)
            *ret = handle_of(tx, w);
        return rc;
    }
    bolt_bucket_root(tx, &root);
    rc = bucket_value(&root, name, &value, e);
    if (rc == 0)
        *ret = handle_from(tx, value);
    return rc;
}

int bolt_bucket_nested(const struct bolt_bucket *b, struct bytes name, struct bolt_bucket *ret,
                       struct err *e)
{
    struct bytes value;
    int rc = bucket_value(b, name, &value, e);

    if (rc == 0)
        *ret = handle_from(b->tx, value);
    return rc;
}

int bolt_bucket_create(struct bolt_tx *tx, struct bytes name, struct bolt_bucket *ret,
                       struct err *e)
{
    struct bolt_writer *w = tx->writer;
    struct bytes value = bytes_of(empty_bucket, sizeof empty_bucket);
    struct bolt_wbucket *b;
    int rc;

    ASSERT(w != NULL);
    if (name.n == 0 || name.n > BOLT_KEY_BYTES_MAX)
        return err_set(e, ERR_INVALID, "a bucket name of %zu bytes", name.n);
    rc = bolt__bucket_open(w, name, &b, e);
    if (rc == 0)
        return err_set(e, ERR_EXISTS, "the bucket exists");
    if (rc != ERR_NOT_FOUND)
        return rc;
    rc = bucket_make(w, name, value, &b, e);
    if (rc == 0)
        rc = bolt__put(&w->root, b->name, value, PAGE_ITEM_BUCKET, e);
    if (rc == 0)
        *ret = handle_of(tx, b);
    return rc;
}

int bolt_bucket_ensure(struct bolt_tx *tx, struct bytes name, struct bolt_bucket *ret,
                       struct err *e)
{
    int rc = bolt_bucket_get(tx, name, ret, e);

    return rc == ERR_NOT_FOUND ? bolt_bucket_create(tx, name, ret, e) : rc;
}

void bolt_bucket_set_fill(struct bolt_bucket *b, unsigned percent)
{
    ASSERT(b->w != NULL);
    ASSERT(!b->w->deleted);
    b->w->fill = MIN(MAX(percent, 10u), 100u);
}

/* ---- deleting a bucket: all its pages become free ---- */

static int tree_free(struct bolt_writer *w, uint64_t id, unsigned depth, struct err *e);

/* A bucket inside the one that is deleted. */
static int value_free(struct bolt_writer *w, struct bytes value, unsigned depth, struct err *e)
{
    uint64_t root = page_bucket_get(value).root;

    ASSERT(w->tx.db->trusted);
    return root == 0 ? 0 : tree_free(w, root, depth, e);
}

/* The pages of a subtree that is not in memory.  The depth is bounded by the proof at open; it is
 * checked again because this is recursive. */
static int tree_free(struct bolt_writer *w, uint64_t id, unsigned depth, struct err *e)
{
    const uint8_t *page;
    int rc = bolt__page(&w->tx, id, &page, e);

    if (rc == 0 && depth >= BOLT_DEPTH_MAX * BOLT_DEPTH_MAX)
        rc = err_set(e, ERR_CORRUPT, "page %" PRIu64 ": the tree is too deep", id);
    for (uint32_t i = 0; rc == 0 && i < page_count(page); i++) {
        if (!page_is_leaf(page))
            rc = tree_free(w, page_branch_child(page, i), depth + 1, e);
        else if (page_leaf_flags(page, i) == PAGE_ITEM_BUCKET)
            rc = value_free(w, page_leaf_value(page, i), depth + 1, e);
    }
    return rc == 0 ? bolt__page_free(w, id, e) : rc;
}

static int node_free(struct bolt_writer *w, const struct bolt_node *n, struct err *e)
{
    int rc = 0;

    ASSERT(!n->gone);
    for (uint32_t i = 0; rc == 0 && i < n->count; i++) {
        const struct bolt_item *it = &n->items[i];

        if (n->leaf && it->flags == PAGE_ITEM_BUCKET)
            rc = value_free(w, item_value(it), 1, e);
        else if (!n->leaf && (it->flags & ITEM_LOADED) != 0)
            rc = node_free(w, it->u.child, e);
        else if (!n->leaf)
            rc = tree_free(w, it->u.page, 1, e);
    }
    return rc == 0 && n->page != 0 ? bolt__page_free(w, n->page, e) : rc;
}

int bolt_bucket_delete(struct bolt_tx *tx, struct bytes name, struct err *e)
{
    struct bolt_writer *w = tx->writer;
    struct bolt_wbucket *b;
    int rc;

    ASSERT(w != NULL);
    rc = bolt__bucket_open(w, name, &b, e);
    if (rc != 0)
        return rc;
    if (b->root_node != NULL)
        rc = node_free(w, b->root_node, e);
    else if (b->root != 0)
        rc = tree_free(w, b->root, 0, e);
    if (rc == 0)
        rc = bolt__remove(&w->root, b->name, e);
    if (rc != 0) /* some pages are on the list of freed ones, others not */
        return bolt__writer_fail(w, rc, e);
    list_remove(&b->link);
    b->deleted = true;
    return 0;
}
