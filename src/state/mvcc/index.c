/* index.c -- the tree: find, set, remove with copies along the path; bulk build; cursor. */
#include "state/mvcc/index.h"

#include "base/alloc.h"

#define NODE_MIN (INDEX_FANOUT / 4)       /* below this a node looks for a neighbour to join */
#define JOINED_MAX (INDEX_FANOUT * 3 / 4) /* and joins when the two leave this much room */

_Static_assert(INDEX_FANOUT == 32, "live_bits has one bit for each entry");

/* ---- garbage
 * ---------------------------------------------------------------------------------------- */

void garbage_add(struct garbage *g, void *p, enum garbage_kind kind)
{
    ASSERT(((uintptr_t) p & 3) == 0);
    if (g->n == g->cap) {
        g->cap = MAX((size_t) 64, g->cap * 2);
        g->v = xmem_realloc(g->v, g->cap * sizeof *g->v);
    }
    g->v[g->n++] = (uintptr_t) p | (uintptr_t) kind;
}

static void *piece_address(uintptr_t piece)
{
    return (void *) (piece & ~(uintptr_t) 3);
}

bool garbage_visible(uintptr_t piece, uint64_t epoch, int64_t revision)
{
    void *p = piece_address(piece);

    switch ((enum garbage_kind)(piece & 3)) {
    case GARBAGE_NODE:
        return ((struct index_node *) p)->epoch <= epoch;
    case GARBAGE_ENTRY:
        return ((struct key_entry *) p)->mod_main <= revision;
    case GARBAGE_HISTORY:
        return ((struct key_history *) p)->epoch <= epoch;
    case GARBAGE_SEP:
        return ((struct index_sep *) p)->epoch <= epoch;
    }
    UNREACHABLE();
}

static size_t entry_bytes(const struct key_entry *e)
{
    return sizeof *e + entry_key(e).n;
}

static size_t history_bytes(uint32_t cap)
{
    return sizeof(struct key_history) + cap * sizeof(struct key_revision);
}

void index_free_piece(struct index *ix, uintptr_t piece)
{
    void *p = piece_address(piece);

    switch ((enum garbage_kind)(piece & 3)) {
    case GARBAGE_NODE:
        ix->bytes -= index__node_bytes(p);
        break;
    case GARBAGE_ENTRY:
        ix->bytes -= entry_bytes(p);
        break;
    case GARBAGE_HISTORY:
        ix->bytes -= history_bytes(((struct key_history *) p)->cap);
        break;
    case GARBAGE_SEP:
        ix->bytes -= sizeof(struct index_sep) + ((struct index_sep *) p)->n;
        break;
    }
    mem_free(p);
}

/* ---- life
 * -------------------------------------------------------------------------------------------- */

void index_init(struct index *ix)
{
    *ix = (struct index){.epoch = 1};
    ix->root = index__node_new(ix, 0);
}

static void free_tree(struct index_node *n)
{
    if (n->level > 0) {
        struct index_inner *x = index__inner(n);

        for (unsigned i = 0; i < n->n; i++) {
            free_tree(x->child[i]);
            mem_free(x->sep[i]);
        }
    } else {
        for (unsigned i = 0; i < n->n; i++) {
            mem_free(index__leaf(n)->entries[i]->history);
            mem_free(index__leaf(n)->entries[i]);
        }
    }
    mem_free(n);
}

void index_done(struct index *ix)
{
    for (size_t i = 0; i < ix->garbage.n; i++)
        mem_free(piece_address(ix->garbage.v[i]));
    mem_free(ix->garbage.v);
    if (ix->root != NULL)
        free_tree(ix->root);
    *ix = (struct index){0};
}

struct key_entry *entry_new(struct index *ix, struct bytes key)
{
    struct key_entry *e = xmem_alloc(sizeof *e + key.n);

    ASSERT(key.n <= KEY_BYTES_MAX);
    memset(e, 0, sizeof *e);
    e->key_n_lease = (uint32_t) key.n << 1;
    if (key.n != 0)
        memcpy(e->key, key.p, key.n);
    ix->bytes += entry_bytes(e);
    return e;
}

struct key_history *history_new(struct index *ix, uint32_t cap)
{
    struct key_history *h = xmem_alloc(history_bytes(cap));

    h->epoch = ix->epoch;
    h->cap = cap;
    h->reserved = 0;
    ix->bytes += history_bytes(cap);
    return h;
}

/* ---- finding
 * ----------------------------------------------------------------------------------------- */

struct key_entry *index_get(const struct index_node *root, struct bytes key)
{
    bool equal;
    unsigned i;

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
    return ret->found ? index__leaf(n)->entries[i] : NULL;
}

/* ---- copying
 * ----------------------------------------------------------------------------------------- */

/* The node itself when it is in no published view, else a copy of it (I2). */
static struct index_node *node_own(struct index *ix, struct index_node *n)
{
    size_t bytes = index__node_bytes(n);
    struct index_node *copy;

    ASSERT(n->epoch <= ix->epoch);
    if (n->epoch == ix->epoch)
        return n;
    copy = xmem_dup(n, bytes);
    copy->epoch = ix->epoch;
    ix->bytes += bytes;
    garbage_add(&ix->garbage, n, GARBAGE_NODE);
    return copy;
}

static void path_own(struct index *ix, struct index_path *p)
{
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

        x->h.live = x->h.live - x->live[at] + live;
        x->live[at] = live;
    }
}

static void leaf_set_live(struct index_node *n, unsigned at, bool live)
{
    struct index_leaf *l = index__leaf(n);

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

/* ---- inserting
 * ----------------------------------------------------------------------------------------- */

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
    path_own(ix, p);
    index__leaf(p->node[leaf])->entries[p->at[leaf]] = e;
    leaf_set_live(p->node[leaf], p->at[leaf], entry_is_live(e));
    path_count(p, leaf);
}

/* ---- removing
 * ------------------------------------------------------------------------------------------ */

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

    if (at + 1u >= parent->n || x->child[at]->n + x->child[at + 1]->n > JOINED_MAX)
        return false;
    left = x->child[at] = node_own(ix, x->child[at]);
    right = x->child[at + 1];
    sep = x->sep[at + 1];
    index__append(left, right, sep);
    x->live[at] = left->live;
    if (left->level == 0)
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

/* ---- building
 * ------------------------------------------------------------------------------------------ */

/* Puts level upon level: each pass makes the parents of the nodes before. */
static void build_parents(struct index *ix, struct index_node **nodes, struct index_sep **seps,
                          size_t n)
{
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
    build_parents(ix, nodes, seps, leaves);
    mem_free(nodes);
    mem_free(seps);
}

/* ---- counting and walking
 * ------------------------------------------------------------------------------ */

uint64_t index_rank(const struct index_node *root, struct bytes key)
{
    uint64_t rank = 0;
    uint32_t below;
    bool equal;

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
    return index__leaf_const(c->node[c->depth - 1])->entries[c->at[c->depth - 1]];
}

void index_cursor_next(struct index_cursor *c)
{
    ASSERT(c->depth > 0);
    c->at[c->depth - 1]++;
    cursor_settle(c);
}

/* ---- checking
 * ------------------------------------------------------------------------------------------ */

static void check_hints(const struct index_node *n)
{
    unsigned first = n->level == 0 ? 0 : 1;
    bool equal;

    for (unsigned i = first; i < n->n; i++) {
        struct bytes key = index__node_key(n, i);

        ASSERT(key.n >= n->prefix_n);
        ASSERT(index__search(n, key, &equal) == i); /* I5, I7 */
        ASSERT(equal);
    }
}

static void check_entry(const struct key_entry *e, struct bytes low, struct bytes high,
                        bool has_high)
{
    ASSERT(bytes_cmp(entry_key(e), low) >= 0); /* I5 */
    if (has_high)
        ASSERT(bytes_cmp(entry_key(e), high) < 0);
    for (uint32_t i = 0; i < e->history_n; i++) {
        struct key_revision a = entry_revision(e, i), b = entry_revision(e, i + 1);

        ASSERT(a.main < b.main ||
               (a.main == b.main && a.sub_tombstone >> 1 < b.sub_tombstone >> 1));
    }
}

static void check_node(const struct index *ix, const struct index_node *n, struct bytes low,
                       struct bytes high, bool has_high)
{
    uint64_t live = 0;

    ASSERT(n->epoch <= ix->epoch);
    ASSERT(n->n <= INDEX_FANOUT);
    check_hints(n);
    for (unsigned i = 0; i < n->n; i++) {
        if (n->level == 0) {
            const struct key_entry *e = index__leaf_const(n)->entries[i];

            check_entry(e, low, high, has_high);
            ASSERT((index__leaf_const(n)->live_bits >> i & 1u) == (uint32_t) entry_is_live(e));
            live += (uint64_t) entry_is_live(e);
        } else {
            const struct index_inner *x = index__inner_const(n);

            ASSERT(x->child[i]->level + 1 == n->level);
            ASSERT(x->child[i]->n > 0);
            ASSERT(x->live[i] == x->child[i]->live); /* I6 */
            check_node(ix, x->child[i], i == 0 ? low : index__node_key(n, i),
                       i + 1u < n->n ? index__node_key(n, i + 1) : high, i + 1u < n->n || has_high);
            live += x->live[i];
        }
    }
    ASSERT(n->live == live); /* I6 */
}

void index_check(const struct index *ix)
{
    check_node(ix, ix->root, BYTES_EMPTY, BYTES_EMPTY, false);
}
