/* index.h -- private to state/mvcc: the keys and their revisions, in memory.
 *
 * A B+tree whose nodes are copied when they change, so that a published root is a frozen tree.
 *
 *          inner   [ child | sep child | sep child ... ]     each with the live keys below it
 *                     |          |
 *          leaf    [ entry entry entry ... ]
 *                     |
 *          key_entry  newest revision of a key; when it has a past -> key_history  older ones,
 *                     oldest first
 *
 * Invariants:
 *   I1  a node, entry or history that a published view can reach never changes, except that a
 *       history grows behind the length that its published entries know
 *   I2  nodes whose epoch is the index's own are reachable from no published view: they are changed
 *       in place
 *   I3  entries whose newest revision is above the published one likewise
 *   I4  what is taken out of the tree goes to the garbage, never straight to the heap
 *   I5  keys in a leaf are in ascending byte order; sep[i] is greater than all keys below child i-1
 *       and not greater than any below child i
 *   I6  a node's live count is the number of live entries below it
 *   I7  all keys (in an inner node: separators) of a node agree in their first prefix_n bytes, and
 *       hints[i] holds the four bytes behind them, zero padded: most steps of a search stay inside
 *       the node
 *   I8  revisions of an entry ascend: history first to last, then the newest
 *   I9  an entry without a past was created by its newest revision and is live
 *
 * Nodes, entries, histories and separators live in the index's slab: most keys of most stores have
 * no past, and such a key of eight bytes takes 32 bytes and its place in a leaf.
 */
#ifndef KETCH_STATE_MVCC_INDEX_H
#define KETCH_STATE_MVCC_INDEX_H

#include "base/slab.h"

#define INDEX_FANOUT 32
#define INDEX_DEPTH_MAX 16    /* nodes but the root hold at least 8: 8^15 keys */
#define INDEX_PREFIX_BYTES 32 /* of a common prefix that are kept in the node */
#define INDEX_BULK_FILL 30    /* of a leaf built at start: a little room for what comes */

struct revision {
    int64_t main;
    int64_t sub;
};

static inline int revision_cmp(struct revision a, struct revision b)
{
    if (a.main != b.main)
        return a.main < b.main ? -1 : 1;
    return a.sub < b.sub ? -1 : a.sub > b.sub;
}

/* ---- one key ---- */

/* An older revision. */
struct key_revision {
    int64_t main;
    uint32_t sub_tombstone; /* sub << 1 | tombstone */
    uint32_t value_bytes;   /* of the stored KeyValue */
};

/* Shared by the successive entries of a key; each knows how much of it is its own. */
struct key_history {
    uint64_t epoch; /* when it was made */
    uint32_t cap;
    uint32_t reserved;
    struct key_revision v[];
};

/* What only an entry has that was not created by its newest revision, or no longer lives. */
struct key_past {
    int64_t create_main; /* of the current life; 0 in a tombstone */
    int64_t version;     /* puts in the current life; 0 in a tombstone */
    struct key_history *history;
};

struct key_entry {
    int64_t mod_main;
    uint32_t mod_sub_tombstone;
    uint32_t value_bytes;
    uint32_t history_n;
    uint32_t key_n_flags; /* key bytes << 2 | ENTRY_... */
    uint8_t rest[];       /* a key_past when there is one, then the key */
};

_Static_assert(sizeof(struct key_entry) == 24, "what a key costs is a promise");

#define ENTRY_LEASED 1u /* the newest value has a lease */
#define ENTRY_PAST 2u
#define KEY_BYTES_MAX (UINT32_MAX >> 2)

static inline bool entry_has_past(const struct key_entry *e)
{
    return (e->key_n_flags & ENTRY_PAST) != 0;
}

static inline struct key_past *entry_past(struct key_entry *e)
{
    DEBUG_ASSERT(entry_has_past(e));
    return (struct key_past *) (void *) e->rest;
}

static inline const struct key_past *entry_past_const(const struct key_entry *e)
{
    DEBUG_ASSERT(entry_has_past(e));
    return (const struct key_past *) (const void *) e->rest;
}

static inline struct bytes entry_key(const struct key_entry *e)
{
    return bytes_of(e->rest + (entry_has_past(e) ? sizeof(struct key_past) : 0),
                    e->key_n_flags >> 2);
}

static inline int64_t entry_create_main(const struct key_entry *e) /* I9 */
{
    return entry_has_past(e) ? entry_past_const(e)->create_main : e->mod_main;
}

static inline int64_t entry_version(const struct key_entry *e)
{
    return entry_has_past(e) ? entry_past_const(e)->version : 1;
}

static inline struct key_history *entry_history(const struct key_entry *e)
{
    return entry_has_past(e) ? entry_past_const(e)->history : NULL;
}

static inline bool entry_is_live(const struct key_entry *e)
{
    return (e->mod_sub_tombstone & 1) == 0;
}

static inline bool entry_has_lease(const struct key_entry *e)
{
    return (e->key_n_flags & ENTRY_LEASED) != 0;
}

static inline void entry_set_leased(struct key_entry *e, bool leased)
{
    e->key_n_flags = (e->key_n_flags & ~ENTRY_LEASED) | (leased ? ENTRY_LEASED : 0);
}

static inline struct revision entry_mod(const struct key_entry *e)
{
    return (struct revision){e->mod_main, e->mod_sub_tombstone >> 1};
}

/* Revision number i of an entry, 0 the oldest, history_n the newest. */
static inline struct key_revision entry_revision(const struct key_entry *e, uint32_t i)
{
    if (i == e->history_n)
        return (struct key_revision){e->mod_main, e->mod_sub_tombstone, e->value_bytes};
    return entry_past_const(e)->history->v[i];
}

static inline bool key_revision_is_tombstone(struct key_revision r)
{
    return (r.sub_tombstone & 1) != 0;
}

static inline int64_t key_revision_sub(struct key_revision r)
{
    return r.sub_tombstone >> 1;
}

/* How many revisions of the entry have main <= `main`: the last of them is the one in force. */
uint32_t entry_revisions_upto(const struct key_entry *e, int64_t main);

/* The revision in force at `main`; false when the key does not exist then. */
bool entry_at(const struct key_entry *e, int64_t main, struct key_revision *ret);

/* The range of revisions that a compaction at `main` keeps begins here; history_n + 1: none is
 * kept. */
uint32_t entry_compact_from(const struct key_entry *e, int64_t main);

/* The revision that HashKV at `main` counts even when it is compacted; false: none. */
bool entry_hash_keep(const struct key_entry *e, int64_t main, struct revision *ret);

/* ---- the tree ---- */

struct index_node {
    uint64_t epoch;
    uint64_t live;
    uint32_t prefix_n;
    uint16_t n;
    uint16_t level; /* 0: a leaf */
    uint8_t prefix[INDEX_PREFIX_BYTES];
    uint32_t hints[INDEX_FANOUT];
};

struct index_leaf {
    struct index_node h;
    uint32_t live_bits; /* bit i: entries[i] is live */
    struct key_entry *entries[INDEX_FANOUT];
};

struct index_sep {
    uint64_t epoch;
    uint32_t n;
    uint8_t key[];
};

struct index_inner {
    struct index_node h;
    struct index_node *child[INDEX_FANOUT];
    struct index_sep *sep[INDEX_FANOUT]; /* sep[0] is not used */
    uint64_t live[INDEX_FANOUT];
};

enum garbage_kind { GARBAGE_NODE, GARBAGE_ENTRY, GARBAGE_HISTORY, GARBAGE_SEP };

struct garbage {
    uintptr_t *v; /* an address and in its low two bits its kind */
    size_t n;
    size_t cap;
};

void garbage_add(struct garbage *g, void *p, enum garbage_kind kind);
/* A view at (epoch, revision) may see this piece of garbage. */
bool garbage_visible(uintptr_t piece, uint64_t epoch, int64_t revision);

struct index {
    struct index_node *root;
    uint64_t epoch;
    struct garbage garbage; /* taken out since the last publish */
    uint64_t bytes;         /* of all nodes, entries, histories and separators, garbage included */
    struct slab slab;       /* where they are */
    uint64_t views;         /* that show it: view.c */
    struct list link;       /* in mvcc.ending: no view shows it, nor is it the key space's */
};

void index_init(struct index *ix);
void index_done(struct index *ix); /* frees the tree and the garbage */
/* The same by and by: up to about *budget pieces, which it counts down.  True: all is freed. */
bool index_done_step(struct index *ix, size_t *budget);
NODISCARD struct index *index_new(void);
void index_free(struct index *ix); /* NULL is accepted */
void index_free_piece(struct index *ix, uintptr_t piece);

/* Where a key is, or would be. */
struct index_path {
    struct index_node *node[INDEX_DEPTH_MAX]; /* the root first */
    uint16_t at[INDEX_DEPTH_MAX];
    uint16_t depth;
    bool found;
};

/* The entry of a key; NULL when it has none.  Any thread, on a root that stays. */
struct key_entry *index_get(const struct index_node *root, struct bytes key);

/* Apply thread. */
struct key_entry *index_find(struct index *ix, struct bytes key, struct index_path *ret);
/* Puts `e` in the place of the path: instead of the entry found, which is left to the caller, or
 * inserted.  The path is used up. */
void index_set(struct index *ix, struct index_path *p, struct key_entry *e);
/* Takes the entry of the path out of the tree; the caller keeps it.  The path is used up. */
void index_remove(struct index *ix, struct index_path *p);
/* The entry of the path was changed in place: it is live now, or not. */
void index_set_live(struct index *ix, struct index_path *p, bool live);

struct key_entry *entry_new(struct index *ix, struct bytes key, bool with_past);
struct key_history *history_new(struct index *ix, uint32_t cap);

/* Builds the tree of an empty index from entries in ascending order of keys. */
void index_build(struct index *ix, struct key_entry **entries, size_t n);

/* Live keys below `key` in order. */
uint64_t index_rank(const struct index_node *root, struct bytes key);

/* Walks entries in order. */
struct index_cursor {
    const struct index_node *node[INDEX_DEPTH_MAX];
    uint16_t at[INDEX_DEPTH_MAX];
    uint16_t depth;
    bool live_only; /* passes over subtrees without a live key; entries are still to be looked at */
};

void index_seek(struct index_cursor *c, const struct index_node *root, struct bytes key,
                bool live_only);
/* The entry at the cursor; NULL at the end. */
struct key_entry *index_cursor_entry(const struct index_cursor *c);
void index_cursor_next(struct index_cursor *c);

/* Stops when an invariant is broken: for tests and debug builds. */
void index_check(const struct index *ix);

/* ---- between index.c and index_node.c ---- */

static inline struct index_leaf *index__leaf(struct index_node *n)
{
    DEBUG_ASSERT(n->level == 0);
    return (struct index_leaf *) n;
}

static inline struct index_inner *index__inner(struct index_node *n)
{
    DEBUG_ASSERT(n->level > 0);
    return (struct index_inner *) n;
}

static inline const struct index_leaf *index__leaf_const(const struct index_node *n)
{
    DEBUG_ASSERT(n->level == 0);
    return (const struct index_leaf *) n;
}

static inline const struct index_inner *index__inner_const(const struct index_node *n)
{
    DEBUG_ASSERT(n->level > 0);
    return (const struct index_inner *) n;
}

/* Of an entry, or a separator. */
static inline struct bytes index__node_key(const struct index_node *n, unsigned i)
{
    DEBUG_ASSERT(i < n->n);
    if (n->level == 0)
        return entry_key(index__leaf_const(n)->entries[i]);
    DEBUG_ASSERT(i > 0);
    return bytes_of(index__inner_const(n)->sep[i]->key, index__inner_const(n)->sep[i]->n);
}

/* A piece of n bytes, counted; never NULL. */
static inline void *index__alloc(struct index *ix, size_t n)
{
    ix->bytes += slab_object_bytes(n);
    return slab_alloc(&ix->slab, n);
}

/* An entry that is in no tree, with its history. */
void index__entry_free(struct index *ix, struct key_entry *e);
struct index_node *index__node_new(struct index *ix, uint16_t level);
size_t index__node_bytes(const struct index_node *n);
unsigned index__search(const struct index_node *n, struct bytes key, bool *ret_equal);
unsigned index__child_of(const struct index_node *inner, struct bytes key);
void index__rehint(struct index_node *n);
void index__leaf_insert(struct index_node *n, unsigned at, struct key_entry *e);
void index__leaf_remove(struct index_node *n, unsigned at);
void index__inner_insert(struct index_node *n, unsigned at, struct index_node *child,
                         struct index_sep *sep);
void index__inner_remove(struct index_node *n, unsigned at);
struct index_sep *index__sep_between(struct index *ix, struct bytes low, struct bytes high);
/* Moves the entries or children from `from` on into the empty node `right`. */
void index__move_tail(struct index_node *left, unsigned from, struct index_node *right);
/* Appends all of `right` to `left`; `sep` separates them (inner nodes, neither of them empty). */
void index__append(struct index_node *left, const struct index_node *right, struct index_sep *sep);

#endif
