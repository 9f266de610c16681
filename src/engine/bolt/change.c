/* change.c -- put and delete: find the leaf as a node, change its array. */
#include "engine/bolt/bolt_int.h"

/* The root of the bucket as a node. */
static int root_node(struct bolt_wbucket *w, struct bolt_node **ret, struct err *e)
{
    const uint8_t *page = w->image.p;
    int rc;

    if (w->root_node == NULL) {
        if (w->root != 0) {
            rc = bolt__page(&w->writer->tx, w->root, &page, e);
            if (rc != 0)
                return rc;
        }
        ASSERT(page != NULL);
        w->root_node = bolt__node_read(w, page);
        if (w->root_node == NULL)
            return bolt__writer_fail(w->writer, ERR_NOMEM, e);
    }
    *ret = w->root_node;
    return 0;
}

static bool hint_covers(const struct bolt_wbucket *w, struct bytes key)
{
    if (w->hint == NULL)
        return false;
    if (w->hint_max.n != 0 && key_cmp(key, w->hint_max) >= 0)
        return false;
    return w->hint_min.n == 0 || key_cmp(key, w->hint_min) >= 0;
}

int bolt__leaf_for(struct bolt_wbucket *w, struct bytes key, struct bolt_node **ret, struct err *e)
{
    struct bytes min = BYTES_EMPTY, max = BYTES_EMPTY;
    struct bolt_node *n;
    int rc = 0;

    if (hint_covers(w, key)) {
        *ret = w->hint;
        return 0;
    }
    rc = root_node(w, &n, e);
    while (rc == 0 && !n->leaf) {
        uint32_t i = bolt__node_branch_search(n, key);

        if (i > 0)
            min = item_key(&n->items[i]);
        if (i + 1 < n->count)
            max = item_key(&n->items[i + 1]);
        rc = bolt__node_child(n, i, &n, e);
    }
    if (rc != 0)
        return bolt__writer_fail(w->writer, rc, e);
    ASSERT(!n->gone);
    w->hint = n;
    w->hint_min = min;
    w->hint_max = max;
    *ret = n;
    return 0;
}

static int leaf_put(struct bolt_node *n, struct bolt_item it)
{
    bool exact, at_end;
    uint32_t i = bolt__node_search(n, item_key(&it), &exact);

    if (exact) {
        if (n->items[i].flags != it.flags)
            return ERR_INVALID;
        bolt__node_replace(n, i, it);
        return 0;
    }
    ASSERT(n->leaf);
    at_end = i == n->count;
    if (bolt__node_insert(n, i, it) != 0)
        return ERR_NOMEM;
    return n->count > NODE_ITEMS_MAX ? bolt__node_split(n, at_end) : 0;
}

int bolt__put(struct bolt_wbucket *w, struct bytes key, struct bytes value, uint16_t flags,
              struct err *e)
{
    struct bolt_item it = {
        .key = key.p,
        .key_bytes = (uint16_t) key.n,
        .u.value = value.p != NULL ? value.p : (const uint8_t *) "",
        .value_bytes = (uint32_t) value.n,
        .flags = flags,
    };
    struct bolt_node *n;
    int rc = bolt__leaf_for(w, key, &n, e);

    ASSERT(key.n > 0);
    if (rc != 0)
        return rc;
    rc = leaf_put(n, it);
    if (rc == ERR_INVALID)
        return err_set(e, rc, "the key is a bucket");
    return rc == 0 ? 0 : bolt__writer_fail(w->writer, rc, e);
}

int bolt_put(struct bolt_bucket *b, struct bytes key, struct bytes value, struct err *e)
{
    ASSERT(b->w != NULL);
    ASSERT(b->w != &b->w->writer->root);
    ASSERT(!b->w->deleted);
    if (key.n == 0 || key.n > BOLT_KEY_BYTES_MAX)
        return err_set(e, ERR_INVALID, "a key of %zu bytes", key.n);
    if (value.n > BOLT_VALUE_BYTES_MAX)
        return err_set(e, ERR_INVALID, "a value of %zu bytes", value.n);
    return bolt__put(b->w, key, value, 0, e);
}

int bolt__remove(struct bolt_wbucket *w, struct bytes key, struct err *e)
{
    struct bolt_node *n;
    bool exact;
    uint32_t i;
    int rc = bolt__leaf_for(w, key, &n, e);

    if (rc != 0)
        return rc;
    i = bolt__node_search(n, key, &exact);
    ASSERT(exact);
    bolt__node_remove(n, i);
    bolt__node_unbalanced(n);
    return 0;
}

int bolt_delete(struct bolt_bucket *b, struct bytes key, struct err *e)
{
    struct bolt_found found;
    int rc;

    ASSERT(b->w != NULL);
    ASSERT(b->w != &b->w->writer->root);
    ASSERT(!b->w->deleted);
    /* Looked for first without making nodes: a key that is not there must not dirty its page. */
    rc = bolt__find(b, key, &found, e);
    if (rc != 0)
        return rc;
    if (found.flags == PAGE_ITEM_BUCKET)
        return err_set(e, ERR_INVALID, "the key is a bucket");
    return bolt__remove(b->w, key, e);
}
