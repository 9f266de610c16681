/* index_walk.c -- the tree as a whole: built at once, counted, walked. */
#include "base/alloc.h"
#include "state/mvcc/index.h"

/* ---- building ---- */

/* Puts level upon level: each pass makes the parents of the nodes before. */
static void build_parents(struct index *ix, struct index_node **nodes, struct index_sep **seps,
                          size_t n)
{
    ASSERT(n > 0);
    while (n > 1) {
        size_t m = 0;

        for (size_t i = 0; i < n; m++) {
            struct index_node *up = index__node_new(ix, (uint16_t) (nodes[i]->level + 1));
            struct index_inner *x = index__inner(up);
            struct index_sep *first = seps[i];

            for (; i < n && up->n < INDEX_BULK_FILL; i++, up->n++) {
                x->child[up->n] = nodes[i];
                x->sep[up->n] = up->n == 0 ? NULL : seps[i];
                x->live[up->n] = nodes[i]->live;
                up->live += nodes[i]->live;
            }
            index__rehint(up);
            nodes[m] = up;
            seps[m] = first;
        }
        n = m;
    }
    ix->root = nodes[0];
}

static struct index_node *build_leaf(struct index *ix, struct key_entry **entries, size_t n)
{
    struct index_node *node = index__node_new(ix, 0);
    struct index_leaf *l = index__leaf(node);

    ASSERT(n > 0);
    ASSERT(n <= INDEX_BULK_FILL);
    memcpy(l->entries, entries, n * sizeof entries[0]);
    node->n = (uint16_t) n;
    for (unsigned i = 0; i < n; i++)
        l->live_bits |= (uint32_t) entry_is_live(entries[i]) << i;
    node->live = (uint64_t) __builtin_popcount(l->live_bits);
    index__rehint(node);
    return node;
}

void index_build(struct index *ix, struct key_entry **entries, size_t n)
{
    size_t leaves = (n + INDEX_BULK_FILL - 1) / INDEX_BULK_FILL, at = 0;
    struct index_node **nodes;
    struct index_sep **seps;

    ASSERT(ix->root->level == 0);
    ASSERT(ix->root->n == 0);
    if (n == 0)
        return;
    nodes = xmem_alloc(leaves * sizeof *nodes);
    seps = xmem_calloc(leaves, sizeof *seps);
    index_free_piece(ix, (uintptr_t) ix->root | GARBAGE_NODE);
    for (size_t i = 0; i < leaves; i++) {
        size_t take = MIN(n - at, (size_t) INDEX_BULK_FILL);

        nodes[i] = build_leaf(ix, entries + at, take);
        if (i > 0)
            seps[i] = index__sep_between(ix, entry_key(entries[at - 1]), entry_key(entries[at]));
        at += take;
    }
    ASSERT(at == n);
    build_parents(ix, nodes, seps, leaves);
    mem_free(nodes);
    mem_free(seps);
}

/* ---- counting and walking ---- */

uint64_t index_rank(const struct index_node *root, struct bytes key)
{
    uint64_t rank = 0;
    uint32_t below;
    bool equal;

    ASSERT(root->level < INDEX_DEPTH_MAX);
    while (root->level > 0) {
        const struct index_inner *x = index__inner_const(root);
        unsigned at = index__child_of(root, key);

        for (unsigned i = 0; i < at; i++)
            rank += x->live[i];
        root = x->child[at];
    }
    below = (uint32_t) ((UINT64_C(1) << index__search(root, key, &equal)) - 1);
    return rank + (uint64_t) __builtin_popcount(index__leaf_const(root)->live_bits & below);
}

static bool worth_entering(const struct index_cursor *c, const struct index_node *inner,
                           unsigned at)
{
    return !c->live_only || index__inner_const(inner)->live[at] > 0;
}

/* From a place that may lie behind the end of its node to the next entry, or off the tree. */
static void cursor_settle(struct index_cursor *c)
{
    while (c->depth > 0) {
        const struct index_node *n = c->node[c->depth - 1];
        unsigned at = c->at[c->depth - 1];

        if (at >= n->n) {
            c->depth--;
            if (c->depth > 0)
                c->at[c->depth - 1]++;
        } else if (n->level == 0) {
            return;
        } else if (!worth_entering(c, n, at)) {
            c->at[c->depth - 1]++;
        } else {
            ASSERT(c->depth < INDEX_DEPTH_MAX);
            c->node[c->depth] = index__inner_const(n)->child[at];
            c->at[c->depth++] = 0;
        }
    }
}

void index_seek(struct index_cursor *c, const struct index_node *root, struct bytes key,
                bool live_only)
{
    bool equal;

    ASSERT(root->level < INDEX_DEPTH_MAX);
    c->depth = 0;
    c->live_only = live_only;
    while (root->level > 0) {
        unsigned at = index__child_of(root, key);

        c->node[c->depth] = root;
        c->at[c->depth++] = (uint16_t) at;
        root = index__inner_const(root)->child[at];
    }
    c->node[c->depth] = root;
    c->at[c->depth++] = (uint16_t) index__search(root, key, &equal);
    cursor_settle(c);
}

struct key_entry *index_cursor_entry(const struct index_cursor *c)
{
    if (c->depth == 0)
        return NULL;
    ASSERT(c->at[c->depth - 1] < c->node[c->depth - 1]->n);
    return index__leaf_const(c->node[c->depth - 1])->entries[c->at[c->depth - 1]];
}

void index_cursor_next(struct index_cursor *c)
{
    ASSERT(c->depth > 0);
    c->at[c->depth - 1]++;
    cursor_settle(c);
}
