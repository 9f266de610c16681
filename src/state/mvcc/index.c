/* index.c -- the tree: find, set, remove, with copies along the path. */
#include "state/mvcc/index.h"

#include "base/alloc.h"

#define NODE_MIN (INDEX_FANOUT / 4)       /* below this a node looks for a neighbour to join */
#define JOINED_MAX (INDEX_FANOUT * 3 / 4) /* and joins when the two leave this much room */

_Static_assert(INDEX_FANOUT == 32, "live_bits has one bit for each entry");

/* ---- finding ---- */

struct key_entry *index_get(const struct index_node *root, struct bytes key)
{
    bool equal;
    unsigned i;

    ASSERT(root->level < INDEX_DEPTH_MAX);
    while (root->level > 0)
        root = index__inner_const(root)->child[index__child_of(root, key)];
    i = index__search(root, key, &equal);
    return equal ? index__leaf_const(root)->entries[i] : NULL;
}

struct key_entry *index_find(struct index *ix, struct bytes key, struct index_path *ret)
{
    struct index_node *n = ix->root;
    unsigned i;

    ret->depth = 0;
    while (n->level > 0) {
        i = index__child_of(n, key);
        ASSERT(ret->depth < INDEX_DEPTH_MAX - 1);
        ret->node[ret->depth] = n;
        ret->at[ret->depth++] = (uint16_t) i;
        n = index__inner(n)->child[i];
    }
    i = index__search(n, key, &ret->found);
    ret->node[ret->depth] = n;
    ret->at[ret->depth++] = (uint16_t) i;
    ASSERT(ret->depth == ix->root->level + 1);
    ASSERT(!ret->found || i < n->n);
    return ret->found ? index__leaf(n)->entries[i] : NULL;
}

/* ---- copying ---- */

/* The node itself when it is in no published view, else a copy of it (I2). */
static struct index_node *node_own(struct index *ix, struct index_node *n)
{
    size_t bytes = index__node_bytes(n);
    struct index_node *copy;

    ASSERT(n->epoch <= ix->epoch);
    if (n->epoch == ix->epoch)
        return n;
    copy = index__alloc(ix, bytes);
    memcpy(copy, n, bytes);
    copy->epoch = ix->epoch;
    garbage_add(&ix->garbage, n, GARBAGE_NODE);
    return copy;
}

static void path_own(struct index *ix, struct index_path *p)
{
    ASSERT(p->depth == ix->root->level + 1);
    ASSERT(p->node[0] == ix->root); /* nothing has changed since it was found */
    for (unsigned i = 0; i < p->depth; i++) {
        p->node[i] = node_own(ix, p->node[i]);
        if (i == 0)
            ix->root = p->node[0];
        else
            index__inner(p->node[i - 1])->child[p->at[i - 1]] = p->node[i];
    }
}

/* The live count of the node at `level` of the path has changed: all above it follow. */
static void path_count(struct index_path *p, unsigned level)
{
    for (unsigned i = level; i > 0; i--) {
        struct index_inner *x = index__inner(p->node[i - 1]);
        unsigned at = p->at[i - 1];
        uint64_t live = p->node[i]->live;

        ASSERT(x->child[at] == p->node[i]);
        ASSERT(x->h.live >= x->live[at]); /* I6 */
        x->h.live = x->h.live - x->live[at] + live;
        x->live[at] = live;
    }
}

static void leaf_set_live(struct index_node *n, unsigned at, bool live)
{
    struct index_leaf *l = index__leaf(n);

    ASSERT(at < n->n);
    n->live -= l->live_bits >> at & 1u;
    l->live_bits &= ~(1u << at);
    l->live_bits |= (uint32_t) live << at;
    n->live += (uint64_t) live;
}

void index_set_live(struct index *ix, struct index_path *p, bool live)
{
    unsigned leaf = p->depth - 1u;

    ASSERT(p->found);
    if ((index__leaf(p->node[leaf])->live_bits >> p->at[leaf] & 1u) == (uint32_t) live)
        return;
    path_own(ix, p);
    leaf_set_live(p->node[leaf], p->at[leaf], live);
    path_count(p, leaf);
}

/* ---- inserting ---- */

static bool path_is_last(const struct index_path *p)
{
    for (unsigned i = 0; i + 1 < p->depth; i++)
        if (p->at[i] + 1u < p->node[i]->n)
            return false;
    return p->at[p->depth - 1] == p->node[p->depth - 1]->n;
}

static void grow_root(struct index *ix, struct index_path *p)
{
    struct index_node *root = index__node_new(ix, (uint16_t) (ix->root->level + 1));
    struct index_inner *x = index__inner(root);

    ASSERT(p->depth < INDEX_DEPTH_MAX);
    x->child[0] = ix->root;
    x->live[0] = root->live = ix->root->live;
    root->n = 1;
    ix->root = root;
    memmove(p->node + 1, p->node, p->depth * sizeof p->node[0]);
    memmove(p->at + 1, p->at, p->depth * sizeof p->at[0]);
    p->node[0] = root;
    p->at[0] = 0;
    p->depth++;
}

/* Splits the full node at `level` of an owned path, its parents first where they are full too.  The
 * path then leads to the half where `key` belongs.  Returns the level, which a new root moves. */
static unsigned path_split(struct index *ix, struct index_path *p, unsigned level, unsigned from,
                           struct bytes key)
{
    struct index_node *left, *right;
    struct index_sep *sep;
    bool to_right;

    if (level == 0) {
        grow_root(ix, p);
        level = 1;
    }
    if (p->node[level - 1]->n == INDEX_FANOUT)
        level = path_split(ix, p, level - 1, INDEX_FANOUT / 2, key) + 1;
    left = p->node[level];
    ASSERT(left->n == INDEX_FANOUT);
    ASSERT(left->epoch == ix->epoch); /* I2 */
    right = index__node_new(ix, left->level);
    if (left->level == 0)
        sep = index__sep_between(ix, index__node_key(left, from - 1), index__node_key(left, from));
    else
        sep = index__inner(left)->sep[from];
    index__move_tail(left, from, right);
    index__inner(p->node[level - 1])->live[p->at[level - 1]] = left->live;
    index__inner_insert(p->node[level - 1], p->at[level - 1] + 1u, right, sep);
    to_right = bytes_cmp(key, bytes_of(sep->key, sep->n)) >= 0;
    ASSERT(to_right ? p->at[level] >= from : p->at[level] <= from);
    if (to_right) {
        p->node[level] = right;
        p->at[level] = (uint16_t) (p->at[level] - from);
        p->at[level - 1]++;
    }
    return level;
}

static void insert(struct index *ix, struct index_path *p, struct key_entry *e)
{
    bool last = path_is_last(p);
    unsigned leaf;

    path_own(ix, p);
    leaf = p->depth - 1u;
    if (p->node[leaf]->n == INDEX_FANOUT) {
        /* Keys that arrive in order leave full nodes behind. */
        leaf = path_split(ix, p, leaf, last ? INDEX_FANOUT - 1 : INDEX_FANOUT / 2, entry_key(e));
    }
    ASSERT(p->node[leaf]->level == 0);
    index__leaf_insert(p->node[leaf], p->at[leaf], e);
    path_count(p, leaf);
}

void index_set(struct index *ix, struct index_path *p, struct key_entry *e)
{
    unsigned leaf = p->depth - 1u;

    if (!p->found) {
        insert(ix, p, e);
        return;
    }
    ASSERT(bytes_eq(entry_key(e), index__node_key(p->node[leaf], p->at[leaf])));
    path_own(ix, p);
    index__leaf(p->node[leaf])->entries[p->at[leaf]] = e;
    leaf_set_live(p->node[leaf], p->at[leaf], entry_is_live(e));
    path_count(p, leaf);
}

/* ---- removing ---- */

static void node_retire(struct index *ix, struct index_node *n)
{
    garbage_add(&ix->garbage, n, GARBAGE_NODE);
}

/* Takes child `at` out of the inner node, with the separator that told it from its left neighbour.
 */
static void child_remove(struct index *ix, struct index_node *parent, unsigned at)
{
    struct index_inner *x = index__inner(parent);
    struct index_sep *sep = at > 0 ? x->sep[at] : parent->n > 1 ? x->sep[1] : NULL;

    ASSERT(parent->epoch == ix->epoch); /* I2 */
    ASSERT(x->child[at]->n == 0);
    if (sep != NULL)
        garbage_add(&ix->garbage, sep, GARBAGE_SEP);
    parent->live -= x->live[at];
    index__inner_remove(parent, at);
}

/* Joins children at and at + 1 of an owned parent when together they leave room. */
static bool join(struct index *ix, struct index_node *parent, unsigned at)
{
    struct index_inner *x = index__inner(parent);
    struct index_node *left, *right;
    struct index_sep *sep;
    bool sep_goes;

    if (at + 1u >= parent->n || x->child[at]->n + x->child[at + 1]->n > JOINED_MAX)
        return false;
    left = x->child[at] = node_own(ix, x->child[at]);
    right = x->child[at + 1];
    sep = x->sep[at + 1];
    ASSERT(sep != NULL);
    sep_goes = left->level == 0 || left->n == 0 || right->n == 0;
    index__append(left, right, sep);
    x->live[at] = left->live;
    if (sep_goes)
        garbage_add(&ix->garbage, sep, GARBAGE_SEP);
    node_retire(ix, right);
    index__inner_remove(parent, at + 1);
    return true;
}

/* The node at `level` of an owned path has become small: joins it to a neighbour, or takes it out.
 */
static void shrink(struct index *ix, struct index_path *p, unsigned level)
{
    for (; level > 0 && p->node[level]->n < NODE_MIN; level--) {
        struct index_node *parent = p->node[level - 1];
        unsigned at = p->at[level - 1];

        ASSERT(index__inner(parent)->child[at] == p->node[level]);

        if (join(ix, parent, at) || (at > 0 && join(ix, parent, at - 1)))
            continue;
        if (p->node[level]->n > 0)
            return;
        node_retire(ix, p->node[level]);
        child_remove(ix, parent, at);
    }
}

static void collapse_root(struct index *ix)
{
    while (ix->root->level > 0 && ix->root->n <= 1) {
        struct index_node *old = ix->root;

        ix->root = old->n == 1 ? index__inner(old)->child[0] : index__node_new(ix, 0);
        node_retire(ix, old);
    }
}

void index_remove(struct index *ix, struct index_path *p)
{
    unsigned leaf = p->depth - 1u;

    ASSERT(p->found);
    path_own(ix, p);
    index__leaf_remove(p->node[leaf], p->at[leaf]);
    path_count(p, leaf);
    shrink(ix, p, leaf);
    collapse_root(ix);
}
