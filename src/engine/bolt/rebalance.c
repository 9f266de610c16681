/* rebalance.c -- after deletions: nodes that became small join a sibling, empty ones vanish. */
#include "engine/bolt/bolt_int.h"

static int rebalance(struct bolt_node *n, struct err *e);

/* The node is out of the tree; its page is no longer needed. */
static int node_drop(struct bolt_node *n, struct err *e)
{
    uint64_t page = n->page;

    ASSERT(!n->gone);
    n->gone = true;
    n->page = 0;
    if (n->bucket->hint == n)
        n->bucket->hint = NULL;
    return page == 0 ? 0 : bolt__page_free(n->bucket->writer, page, e);
}

/* A root with one child is not needed; a branch root without any is an empty leaf. */
static int root_collapse(struct bolt_wbucket *w, struct err *e)
{
    int rc = 0;

    ASSERT(w->root_node->parent == NULL);
    while (rc == 0 && !w->root_node->leaf && w->root_node->count == 1) {
        struct bolt_node *old = w->root_node, *child;

        rc = bolt__node_child(old, 0, &child, e);
        if (rc != 0)
            break;
        child->parent = NULL;
        child->key = BYTES_EMPTY;
        w->root_node = child;
        rc = node_drop(old, e);
    }
    if (rc == 0 && w->root_node->count == 0)
        w->root_node->leaf = true;
    return rc;
}

static int parent_lost_one(struct bolt_node *parent, struct err *e)
{
    ASSERT(!parent->leaf);
    ASSERT(!parent->gone);
    parent->unbalanced = true;
    return rebalance(parent, e);
}

/* An empty node leaves its parent. */
static int node_remove(struct bolt_node *n, struct err *e)
{
    struct bolt_node *parent = n->parent;
    int rc;

    ASSERT(n->count == 0);
    ASSERT(n->bytes == PAGE_HEADER_BYTES);
    bolt__node_remove(parent, bolt__node_index(n));
    rc = node_drop(n, e);
    return rc == 0 ? parent_lost_one(parent, e) : rc;
}

/* Joins n with its right sibling when it is the first child, else with the left one. */
static int node_merge(struct bolt_node *n, struct err *e)
{
    struct bolt_node *parent = n->parent, *left, *right;
    uint32_t i = bolt__node_index(n);
    int rc = bolt__node_child(parent, i == 0 ? 1 : i - 1, i == 0 ? &right : &left, e);

    if (rc != 0)
        return rc;
    if (i == 0)
        left = n;
    else
        right = n;
    /* bbolt keeps all leaves at one depth but its check does not ask for it: join only equals. */
    if (left->leaf != right->leaf)
        return 0;
    ASSERT(left->parent == parent);
    ASSERT(right->parent == parent);
    if (bolt__node_move(left, right, 0) != 0)
        return bolt__writer_fail(n->bucket->writer, ERR_NOMEM, e);
    bolt__node_remove(parent, bolt__node_index(right));
    rc = node_drop(right, e);
    return rc == 0 ? parent_lost_one(parent, e) : rc;
}

static bool is_small(const struct bolt_node *n)
{
    uint64_t threshold = (uint64_t) n->bucket->writer->tx.meta.page_bytes * n->bucket->fill / 100 /
                         2;

    return n->bytes <= threshold || n->count <= (n->leaf ? 1u : 2u);
}

static int rebalance(struct bolt_node *n, struct err *e)
{
    if (n->gone || !n->unbalanced)
        return 0;
    n->unbalanced = false;
    if (n->parent == NULL)
        return root_collapse(n->bucket, e);
    if (n->count == 0)
        return node_remove(n, e);
    if (!is_small(n))
        return 0;
    if (n->parent->count < 2)
        return parent_lost_one(n->parent, e);
    return node_merge(n, e);
}

int bolt__rebalance(struct bolt_wbucket *w, struct err *e)
{
    struct bolt_node *n;
    int rc = 0;

    ASSERT(w->root_node != NULL);
    w->hint = NULL; /* it may join another leaf */
    while (rc == 0 && (n = w->unbalanced) != NULL) {
        w->unbalanced = n->next_unbalanced;
        rc = rebalance(n, e);
    }
    return rc == 0 ? 0 : bolt__writer_fail(w->writer, rc, e);
}
