#include "engine/bolt/node.h"

#include "engine/bolt/bolt_int.h"

/* Free places in the array of a node that was just read: most nodes get a few more items. */
#define NODE_SLACK 8

static uint64_t item_bytes(const struct bolt_node *n, const struct bolt_item *it)
{
    return PAGE_ITEM_BYTES + it->key_bytes + (n->leaf ? it->value_bytes : 0);
}

struct bolt_node *bolt__node_new(struct bolt_wbucket *w, bool leaf)
{
    struct bolt_node *n = arena_calloc(&w->writer->arena, 1, sizeof *n);

    if (n == NULL)
        return NULL;
    n->bucket = w;
    n->leaf = leaf;
    n->bytes = PAGE_HEADER_BYTES;
    return n;
}

static struct bolt_item item_read(const uint8_t *page, uint32_t i)
{
    struct bytes key = page_key(page, i), value;
    struct bolt_item it = {.key = key.p, .key_bytes = (uint16_t) key.n};

    ASSERT(key.n >= 1);
    ASSERT(key.n <= BOLT_KEY_BYTES_MAX);
    if (page_is_leaf(page)) {
        value = page_leaf_value(page, i);
        it.u.value = value.p;
        it.value_bytes = (uint32_t) value.n;
        it.flags = (uint16_t) page_leaf_flags(page, i);
    } else {
        it.u.page = page_branch_child(page, i);
    }
    return it;
}

struct bolt_node *bolt__node_read(struct bolt_wbucket *w, const uint8_t *page)
{
    uint32_t count = page_count(page);
    struct bolt_node *n = bolt__node_new(w, page_is_leaf(page));

    if (n == NULL)
        return NULL;
    n->page = page_id(page);
    n->cap = count + NODE_SLACK;
    n->items = arena_alloc(&w->writer->arena, n->cap * sizeof *n->items);
    if (n->items == NULL)
        return NULL;
    for (uint32_t i = 0; i < count; i++) {
        n->items[i] = item_read(page, i);
        n->bytes += item_bytes(n, &n->items[i]);
    }
    n->count = count;
    bolt__node_check(n);
    return n;
}

uint32_t bolt__node_search(const struct bolt_node *n, struct bytes key, bool *ret_exact)
{
    uint32_t lo = 0, hi = n->count;

    *ret_exact = false;
    /* Most keys arrive in ascending order: try behind the last one first. */
    if (hi > 0 && key_cmp(item_key(&n->items[hi - 1]), key) < 0)
        return hi;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = key_cmp(item_key(&n->items[mid]), key);

        if (c == 0) {
            *ret_exact = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    ASSERT(lo <= n->count);
    return lo;
}

uint32_t bolt__node_branch_search(const struct bolt_node *n, struct bytes key)
{
    bool exact;
    uint32_t i = bolt__node_search(n, key, &exact);

    ASSERT(!n->leaf);
    ASSERT(n->count > 0);
    return exact || i == 0 ? i : i - 1;
}

/* Room for `more` items.  The old array stays behind in the arena. */
static int node_reserve(struct bolt_node *n, uint32_t more)
{
    struct bolt_item *items;
    uint32_t cap;

    if (more <= n->cap - n->count)
        return 0;
    cap = MAX(n->cap * 2, n->count + more);
    items = arena_alloc(&n->bucket->writer->arena, (size_t) cap * sizeof *items);
    if (items == NULL)
        return ERR_NOMEM;
    if (n->count > 0)
        memcpy(items, n->items, n->count * sizeof *items);
    n->items = items;
    n->cap = cap;
    return 0;
}

/* Makes a loaded child point back to where it now is. */
static void child_adopt(struct bolt_node *n, const struct bolt_item *it)
{
    if ((it->flags & ITEM_LOADED) == 0)
        return;
    ASSERT(!n->leaf);
    it->u.child->parent = n;
    it->u.child->key = item_key(it);
}

int bolt__node_insert(struct bolt_node *n, uint32_t i, struct bolt_item it)
{
    ASSERT(i <= n->count);
    ASSERT(it.key_bytes > 0);
    if (node_reserve(n, 1) != 0)
        return ERR_NOMEM;
    memmove(n->items + i + 1, n->items + i, (n->count - i) * sizeof *n->items);
    n->items[i] = it;
    n->count++;
    n->bytes += item_bytes(n, &it);
    child_adopt(n, &it);
    return 0;
}

void bolt__node_remove(struct bolt_node *n, uint32_t i)
{
    ASSERT(i < n->count);
    n->bytes -= item_bytes(n, &n->items[i]);
    memmove(n->items + i, n->items + i + 1, (n->count - i - 1) * sizeof *n->items);
    n->count--;
}

void bolt__node_replace(struct bolt_node *n, uint32_t i, struct bolt_item it)
{
    ASSERT(i < n->count);
    ASSERT(n->leaf);
    n->bytes -= item_bytes(n, &n->items[i]);
    n->bytes += item_bytes(n, &it);
    n->items[i] = it;
}

int bolt__node_move(struct bolt_node *to, struct bolt_node *from, uint32_t i)
{
    uint32_t moved = from->count - i;

    ASSERT(i <= from->count);
    ASSERT(to->leaf == from->leaf);
    if (node_reserve(to, moved) != 0)
        return ERR_NOMEM;
    for (uint32_t k = i; k < from->count; k++) {
        struct bolt_item *it = &to->items[to->count++];

        *it = from->items[k];
        to->bytes += item_bytes(to, it);
        from->bytes -= item_bytes(from, it);
        child_adopt(to, it);
    }
    from->count = i;
    bolt__node_check(to);
    return 0;
}

int bolt__node_child(struct bolt_node *n, uint32_t i, struct bolt_node **ret, struct err *e)
{
    struct bolt_item *it = &n->items[i];
    struct bolt_node *child;
    const uint8_t *page;
    int rc;

    ASSERT(!n->leaf);
    ASSERT(i < n->count);
    if ((it->flags & ITEM_LOADED) == 0) {
        rc = bolt__page(&n->bucket->writer->tx, it->u.page, &page, e);
        if (rc != 0)
            return rc;
        child = bolt__node_read(n->bucket, page);
        if (child == NULL)
            return err_set(e, ERR_NOMEM, "out of memory for a node");
        it->u.child = child;
        it->flags |= ITEM_LOADED;
        child_adopt(n, it);
    }
    ASSERT(it->u.child->parent == n); /* N1 */
    *ret = it->u.child;
    return 0;
}

uint32_t bolt__node_index(const struct bolt_node *child)
{
    bool exact;
    uint32_t i = bolt__node_search(child->parent, child->key, &exact);

    ASSERT(exact); /* N3 */
    ASSERT(child->parent->items[i].u.child == child);
    return i;
}

/* Puts a new branch above a root, so that the root can get a sibling. */
static int root_raise(struct bolt_node *root)
{
    struct bolt_wbucket *w = root->bucket;
    struct bolt_node *top = bolt__node_new(w, false);
    struct bolt_item it = {.key = root->items[0].key,
                           .key_bytes = root->items[0].key_bytes,
                           .flags = ITEM_LOADED,
                           .u.child = root};

    ASSERT(root->parent == NULL);
    ASSERT(root->count > 0);
    if (top == NULL || bolt__node_insert(top, 0, it) != 0)
        return ERR_NOMEM;
    w->root_node = top;
    return 0;
}

/* Moves the upper part of n to a new right sibling. */
static int split_once(struct bolt_node *n, bool at_end)
{
    uint32_t at = at_end ? n->count - 1 : n->count / 2;
    struct bolt_node *right = bolt__node_new(n->bucket, n->leaf);
    struct bolt_item it;

    ASSERT(at > 0);
    if (right == NULL || (n->parent == NULL && root_raise(n) != 0))
        return ERR_NOMEM;
    /* Room first: a half-moved node must not be seen when memory is short. */
    if (node_reserve(n->parent, 1) != 0 || bolt__node_move(right, n, at) != 0)
        return ERR_NOMEM;
    it = (struct bolt_item){.key = right->items[0].key,
                            .key_bytes = right->items[0].key_bytes,
                            .flags = ITEM_LOADED,
                            .u.child = right};
    return bolt__node_insert(n->parent, bolt__node_index(n) + 1, it);
}

int bolt__node_split(struct bolt_node *n, bool at_end)
{
    n->bucket->hint = NULL; /* its bounds no longer hold */
    while (n != NULL && n->count > NODE_ITEMS_MAX) {
        if (split_once(n, at_end) != 0)
            return ERR_NOMEM;
        bolt__node_check(n);
        n = n->parent;
    }
    return 0;
}

void bolt__node_unbalanced(struct bolt_node *n)
{
    if (n->unbalanced)
        return;
    n->unbalanced = true;
    n->next_unbalanced = n->bucket->unbalanced;
    n->bucket->unbalanced = n;
}

void bolt__node_check(const struct bolt_node *n)
{
#ifdef KETCH_DEBUG
    uint64_t bytes = PAGE_HEADER_BYTES;

    ASSERT(n->count <= n->cap);
    for (uint32_t i = 0; i < n->count; i++) {
        bytes += item_bytes(n, &n->items[i]);
        if (i > 0)
            ASSERT(key_cmp(item_key(&n->items[i - 1]), item_key(&n->items[i])) < 0);
    }
    ASSERT(bytes == n->bytes);
    if (n->parent != NULL)
        ASSERT(n->key.n > 0);
#else
    (void) n;
#endif
}
