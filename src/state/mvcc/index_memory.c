/* index_memory.c -- the pieces of an index: made, kept as garbage while old views may see them,
 * freed; and the index from its making to its end, which is freed in steps. */
#include "state/mvcc/index.h"

#include "base/alloc.h"

/* ---- garbage ---- */

void garbage_add(struct garbage *g, void *p, enum garbage_kind kind)
{
    ASSERT(((uintptr_t) p & 3) == 0);
    ASSERT(p != NULL);
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

static size_t entry_bytes(size_t key_n, bool with_past)
{
    return sizeof(struct key_entry) + (with_past ? sizeof(struct key_past) : 0) + key_n;
}

static size_t history_bytes(uint32_t cap)
{
    return sizeof(struct key_history) + cap * sizeof(struct key_revision);
}

void index_free_piece(struct index *ix, uintptr_t piece)
{
    void *p = piece_address(piece);
    size_t n = 0;

    ASSERT(p != NULL);
    switch ((enum garbage_kind)(piece & 3)) {
    case GARBAGE_NODE:
        n = index__node_bytes(p);
        break;
    case GARBAGE_ENTRY:
        n = entry_bytes(entry_key(p).n, entry_has_past(p));
        break;
    case GARBAGE_HISTORY:
        n = history_bytes(((struct key_history *) p)->cap);
        break;
    case GARBAGE_SEP:
        n = sizeof(struct index_sep) + ((struct index_sep *) p)->n;
        break;
    }
    ASSERT(ix->bytes >= slab_object_bytes(n));
    ix->bytes -= slab_object_bytes(n);
    slab_free(&ix->slab, p, n);
}

/* ---- life ---- */

void index_init(struct index *ix)
{
    *ix = (struct index){.epoch = 1};
    slab_init(&ix->slab);
    ix->root = index__node_new(ix, 0);
}

void index__entry_free(struct index *ix, struct key_entry *e)
{
    if (entry_history(e) != NULL)
        index_free_piece(ix, (uintptr_t) entry_history(e) | GARBAGE_HISTORY);
    index_free_piece(ix, (uintptr_t) e | GARBAGE_ENTRY);
}

/* Frees the tree's last leaf, and the nodes above it that are empty then.  Returns how many pieces
 * that was, entries as one each. */
static size_t free_last_leaf(struct index *ix)
{
    struct index_node *n = ix->root, *path[INDEX_DEPTH_MAX];
    size_t pieces, depth = 0;

    for (; n->level > 0; n = index__inner(n)->child[n->n - 1])
        path[depth++] = n;
    pieces = n->n + 1;
    for (unsigned i = 0; i < n->n; i++)
        index__entry_free(ix, index__leaf(n)->entries[i]);
    index_free_piece(ix, (uintptr_t) n | GARBAGE_NODE);
    while (depth > 0) {
        struct index_inner *x = index__inner(path[--depth]);
        unsigned last = --path[depth]->n;

        if (x->sep[last] != NULL)
            index_free_piece(ix, (uintptr_t) x->sep[last] | GARBAGE_SEP);
        if (last > 0)
            return pieces;
        index_free_piece(ix, (uintptr_t) path[depth] | GARBAGE_NODE);
        pieces++;
    }
    ix->root = NULL;
    return pieces;
}

bool index_done_step(struct index *ix, size_t *budget)
{
    while (ix->garbage.n > 0 && *budget > 0) {
        index_free_piece(ix, ix->garbage.v[--ix->garbage.n]);
        --*budget;
    }
    while (ix->garbage.n == 0 && ix->root != NULL && *budget > 0) {
        size_t pieces = free_last_leaf(ix);

        *budget -= MIN(*budget, pieces);
    }
    if (ix->garbage.n > 0 || ix->root != NULL)
        return false;
    ASSERT(ix->bytes == 0);
    mem_free(ix->garbage.v);
    ix->garbage = (struct garbage){0};
    slab_done(&ix->slab);
    return true;
}

void index_done(struct index *ix)
{
    size_t all = SIZE_MAX;
    bool done = ix->root == NULL || index_done_step(ix, &all);

    ASSERT(done);
}

struct index *index_new(void)
{
    struct index *ix = xmem_alloc(sizeof *ix);

    index_init(ix);
    return ix;
}

void index_free(struct index *ix)
{
    if (ix == NULL)
        return;
    ASSERT(ix->views == 0);
    index_done(ix);
    mem_free(ix);
}

struct key_entry *entry_new(struct index *ix, struct bytes key, bool with_past)
{
    size_t n = entry_bytes(key.n, with_past);
    struct key_entry *e = index__alloc(ix, n);

    ASSERT(key.n <= KEY_BYTES_MAX);
    memset(e, 0, n - key.n);
    e->key_n_flags = (uint32_t) key.n << 2 | (with_past ? ENTRY_PAST : 0);
    if (key.n != 0)
        memcpy((uint8_t *) e + n - key.n, key.p, key.n);
    return e;
}

struct key_history *history_new(struct index *ix, uint32_t cap)
{
    struct key_history *h = index__alloc(ix, history_bytes(cap));

    ASSERT(cap > 0);
    h->epoch = ix->epoch;
    h->cap = cap;
    h->reserved = 0;
    return h;
}
