/* cursor.c -- finding and walking over records, in pages of the file and in changed nodes alike. */
#include "engine/bolt/bolt_int.h"

/* ---- one place of the way down ---- */

static uint32_t place_count(const struct bolt_place *at)
{
    return at->node != NULL ? at->node->count : page_count(at->page);
}

static bool place_is_leaf(const struct bolt_place *at)
{
    return at->node != NULL ? at->node->leaf : page_is_leaf(at->page);
}

static uint32_t place_search(const struct bolt_place *at, struct bytes key, bool *ret_exact)
{
    return at->node != NULL ? bolt__node_search(at->node, key, ret_exact)
                            : page_search(at->page, key, ret_exact);
}

static uint32_t place_branch_search(const struct bolt_place *at, struct bytes key)
{
    return at->node != NULL ? bolt__node_branch_search(at->node, key)
                            : page_branch_search(at->page, key);
}

static int place_page(const struct bolt_tx *tx, uint64_t id, struct bolt_place *ret, struct err *e)
{
    *ret = (struct bolt_place){0};
    return bolt__page(tx, id, &ret->page, e);
}

/* The root of a bucket. */
static int place_root(const struct bolt_bucket *b, struct bolt_place *ret, struct err *e)
{
    uint64_t root = b->root;
    struct bytes image = b->image;

    if (b->w != NULL && b->w->root_node != NULL) {
        *ret = (struct bolt_place){.node = b->w->root_node};
        return 0;
    }
    if (b->w != NULL) {
        root = b->w->root;
        image = b->w->image;
    }
    if (root != 0)
        return place_page(b->tx, root, ret, e);
    ASSERT(image.p != NULL);
    ASSERT(page_is_leaf(image.p));
    *ret = (struct bolt_place){.page = image.p};
    return 0;
}

/* The child under item `at->index` of a branch.  `ret` may be `at`. */
static int place_child(const struct bolt_tx *tx, const struct bolt_place *at,
                       struct bolt_place *ret, struct err *e)
{
    ASSERT(!place_is_leaf(at));
    ASSERT(at->index < place_count(at));
    if (at->node != NULL) {
        const struct bolt_item *it = &at->node->items[at->index];

        if ((it->flags & ITEM_LOADED) == 0)
            return place_page(tx, it->u.page, ret, e);
        *ret = (struct bolt_place){.node = it->u.child};
        return 0;
    }
    return place_page(tx, page_branch_child(at->page, at->index), ret, e);
}

static void place_record(const struct bolt_place *at, struct bolt_found *ret)
{
    ASSERT(place_is_leaf(at));
    ASSERT(at->index < place_count(at));
    if (at->node != NULL) {
        const struct bolt_item *it = &at->node->items[at->index];

        *ret = (struct bolt_found){item_key(it), item_value(it), it->flags};
        return;
    }
    ret->key = page_leaf_key(at->page, at->index);
    ret->value = page_leaf_value(at->page, at->index);
    ret->flags = page_leaf_flags(at->page, at->index);
}

/* ---- one record ---- */

int bolt__find(const struct bolt_bucket *b, struct bytes key, struct bolt_found *ret, struct err *e)
{
    struct bolt_place at;
    bool exact;
    int rc = place_root(b, &at, e);

    for (unsigned depth = 1; rc == 0 && !place_is_leaf(&at); depth++) {
        if (depth == BOLT_DEPTH_MAX)
            return err_set(e, ERR_CORRUPT, "the tree is deeper than %d", BOLT_DEPTH_MAX);
        at.index = place_branch_search(&at, key);
        rc = place_child(b->tx, &at, &at, e);
    }
    if (rc != 0)
        return rc;
    at.index = place_search(&at, key, &exact);
    if (!exact)
        return ERR_NOT_FOUND;
    place_record(&at, ret);
    return 0;
}

int bolt_get(const struct bolt_bucket *b, struct bytes key, struct bytes *ret_value, struct err *e)
{
    struct bolt_found found;
    int rc = bolt__find(b, key, &found, e);

    if (rc != 0)
        return rc;
    if (found.flags == PAGE_ITEM_BUCKET)
        return ERR_NOT_FOUND;
    *ret_value = found.value;
    return 0;
}

/* ---- cursors ---- */

void bolt_cursor_init(struct bolt_cursor *c, const struct bolt_bucket *b)
{
    c->bucket = *b;
    c->depth = 0;
}

static struct bolt_place *top(struct bolt_cursor *c)
{
    ASSERT(c->depth > 0);
    return &c->stack[c->depth - 1];
}

static int start(struct bolt_cursor *c, struct err *e)
{
    int rc = place_root(&c->bucket, &c->stack[0], e);

    ASSERT(c->bucket.tx->map != NULL); /* the transaction has not ended */
    c->depth = rc == 0 ? 1 : 0;
    return rc;
}

/* One level down, to the child under the top's index. */
static int down(struct bolt_cursor *c, struct err *e)
{
    int rc;

    if (c->depth == BOLT_DEPTH_MAX)
        rc = err_set(e, ERR_CORRUPT, "the tree is deeper than %d", BOLT_DEPTH_MAX);
    else
        rc = place_child(c->bucket.tx, top(c), &c->stack[c->depth], e);
    c->depth = rc == 0 ? c->depth + 1 : 0;
    return rc;
}

/* Down along the first or the last children to a leaf. */
static int down_to_edge(struct bolt_cursor *c, bool last, struct err *e)
{
    int rc = 0;

    ASSERT(c->depth > 0);
    for (;;) {
        uint32_t count = place_count(top(c));

        top(c)->index = last && count > 0 ? count - 1 : 0;
        if (place_is_leaf(top(c)))
            return 0;
        rc = down(c, e);
        if (rc != 0)
            return rc;
    }
}

/* To the next leaf that has records (leaves emptied by this transaction have none).  The top of the
 * stack is a leaf that is done with. */
static int next_leaf(struct bolt_cursor *c, struct err *e)
{
    int rc;

    ASSERT(place_is_leaf(top(c)));
    do {
        do {
            if (--c->depth == 0)
                return ERR_NOT_FOUND;
        } while (++top(c)->index >= place_count(top(c)));
        rc = down(c, e);
        if (rc == 0)
            rc = down_to_edge(c, false, e);
    } while (rc == 0 && place_count(top(c)) == 0);
    return rc;
}

static int prev_leaf(struct bolt_cursor *c, struct err *e)
{
    int rc;

    ASSERT(place_is_leaf(top(c)));
    do {
        do {
            if (--c->depth == 0)
                return ERR_NOT_FOUND;
        } while (top(c)->index == 0);
        top(c)->index--;
        rc = down(c, e);
        if (rc == 0)
            rc = down_to_edge(c, true, e);
    } while (rc == 0 && place_count(top(c)) == 0);
    return rc;
}

/* The record at the top of the stack. */
static int record(struct bolt_cursor *c, struct bytes *ret_key, struct bytes *ret_value)
{
    struct bolt_found found;

    place_record(top(c), &found);
    DEBUG_ASSERT(found.key.n > 0);
    *ret_key = found.key;
    *ret_value = found.value;
    if (found.flags == PAGE_ITEM_BUCKET)
        ret_value->n = 0;
    return 0;
}

int bolt_cursor_first(struct bolt_cursor *c, struct bytes *ret_key, struct bytes *ret_value,
                      struct err *e)
{
    int rc = start(c, e);

    if (rc == 0)
        rc = down_to_edge(c, false, e);
    if (rc == 0 && place_count(top(c)) == 0)
        rc = next_leaf(c, e);
    return rc == 0 ? record(c, ret_key, ret_value) : rc;
}

int bolt_cursor_last(struct bolt_cursor *c, struct bytes *ret_key, struct bytes *ret_value,
                     struct err *e)
{
    int rc = start(c, e);

    if (rc == 0)
        rc = down_to_edge(c, true, e);
    if (rc == 0 && place_count(top(c)) == 0)
        rc = prev_leaf(c, e);
    return rc == 0 ? record(c, ret_key, ret_value) : rc;
}

int bolt_cursor_next(struct bolt_cursor *c, struct bytes *ret_key, struct bytes *ret_value,
                     struct err *e)
{
    int rc = 0;

    if (c->depth == 0)
        return ERR_NOT_FOUND;
    if (++top(c)->index >= place_count(top(c)))
        rc = next_leaf(c, e);
    return rc == 0 ? record(c, ret_key, ret_value) : rc;
}

int bolt_cursor_prev(struct bolt_cursor *c, struct bytes *ret_key, struct bytes *ret_value,
                     struct err *e)
{
    int rc = 0;

    if (c->depth == 0)
        return ERR_NOT_FOUND;
    if (top(c)->index == 0)
        rc = prev_leaf(c, e);
    else
        top(c)->index--;
    return rc == 0 ? record(c, ret_key, ret_value) : rc;
}

int bolt_cursor_seek(struct bolt_cursor *c, struct bytes key, struct bytes *ret_key,
                     struct bytes *ret_value, struct err *e)
{
    bool exact;
    int rc = start(c, e);

    while (rc == 0 && !place_is_leaf(top(c))) {
        top(c)->index = place_branch_search(top(c), key);
        rc = down(c, e);
    }
    if (rc != 0)
        return rc;
    top(c)->index = place_search(top(c), key, &exact);
    if (top(c)->index >= place_count(top(c)))
        rc = next_leaf(c, e);
    return rc == 0 ? record(c, ret_key, ret_value) : rc;
}

bool bolt_cursor_at_bucket(const struct bolt_cursor *c)
{
    struct bolt_found found;

    ASSERT(c->depth > 0);
    place_record(&c->stack[c->depth - 1], &found);
    return found.flags == PAGE_ITEM_BUCKET;
}
