/* node.h -- a page that the write transaction changes, as arrays in memory.
 *
 * A node exists only when something in it or below it changed.  Invariants:
 *
 *   N1  the parent of a node is a node: what changed hangs together up to the root of its bucket
 *   N2  keys ascend strictly; in a branch, the key of an item is <= every key below it, except that
 *       below item 0 smaller ones may have arrived (the item is renamed when it is written)
 *   N3  node->key is the key of the node's item in its parent
 *   N4  node->bytes is the size of the node as a page
 *   N5  keys and values point into the mapped file, into what the caller put in, or into the
 *       transaction's arena: all of them outlive the node
 */
#ifndef KETCH_ENGINE_BOLT_NODE_H
#define KETCH_ENGINE_BOLT_NODE_H

#include "base/base.h"
#include "base/err.h"
#include "engine/bolt/page.h"

/* A node with more items is split at once, so that an insertion in the middle moves little memory.
 */
#define NODE_ITEMS_MAX 1024

/* Flags of an item beside PAGE_ITEM_BUCKET; never written. */
#define ITEM_LOADED 0x8000u /* in a branch: u.child is valid, not u.page */

struct bolt_wbucket;

struct bolt_item {
    const uint8_t *key;
    union {
        const uint8_t *value;
        uint64_t page;
        struct bolt_node *child;
    } u;
    uint32_t value_bytes;
    uint16_t key_bytes;
    uint16_t flags;
};

_Static_assert(BOLT_KEY_BYTES_MAX <= UINT16_MAX, "key_bytes holds every key");
_Static_assert(PAGE_ITEM_BUCKET < ITEM_LOADED, "the flags of an item do not overlap");

struct bolt_node {
    struct bolt_wbucket *bucket;
    struct bolt_node *parent;          /* NULL: the root of the bucket */
    struct bolt_node *next_unbalanced; /* in bucket->unbalanced */
    struct bolt_item *items;
    struct bytes key; /* N3; empty for a root */
    uint64_t page;    /* the page it was read from; 0: none */
    uint64_t bytes;   /* N4 */
    uint32_t count;
    uint32_t cap;
    bool leaf;
    bool unbalanced; /* items were removed: it is in bucket->unbalanced */
    bool gone;       /* merged into another or emptied: no longer in the tree */
};

static inline struct bytes item_key(const struct bolt_item *it)
{
    return bytes_of(it->key, it->key_bytes);
}

static inline struct bytes item_value(const struct bolt_item *it)
{
    return bytes_of(it->u.value, it->value_bytes);
}

/* An empty node.  NULL without memory. */
struct bolt_node *bolt__node_new(struct bolt_wbucket *w, bool leaf);

/* The node for a trusted page (an inline image has id 0).  NULL without memory. */
struct bolt_node *bolt__node_read(struct bolt_wbucket *w, const uint8_t *page);

/* The first item with key >= `key` (may be the count); *ret_exact tells whether it is equal. */
uint32_t bolt__node_search(const struct bolt_node *n, struct bytes key, bool *ret_exact);
/* The item of a branch under which `key` belongs. */
uint32_t bolt__node_branch_search(const struct bolt_node *n, struct bytes key);

/* Inserts before index i.  ERR_NOMEM. */
NODISCARD int bolt__node_insert(struct bolt_node *n, uint32_t i, struct bolt_item it);
void bolt__node_remove(struct bolt_node *n, uint32_t i);
/* Puts the item in place of item i, which has the same key. */
void bolt__node_replace(struct bolt_node *n, uint32_t i, struct bolt_item it);

/* Moves the items of `from`, from index i on, to the end of `to`.  ERR_NOMEM: nothing moved. */
NODISCARD int bolt__node_move(struct bolt_node *to, struct bolt_node *from, uint32_t i);

/* The child of item i, read into memory when it is not yet.  ERR_NOMEM, ERR_CORRUPT. */
NODISCARD int bolt__node_child(struct bolt_node *n, uint32_t i, struct bolt_node **ret,
                               struct err *e);

/* The index of `child` in its parent. */
uint32_t bolt__node_index(const struct bolt_node *child);

/* Splits a node with more than NODE_ITEMS_MAX items, and its parents as needed.  `at_end`: the
 * items arrive in ascending order, so the left half stays full.  ERR_NOMEM. */
NODISCARD int bolt__node_split(struct bolt_node *n, bool at_end);

/* Puts the node on its bucket's list for the rebalancing at commit. */
void bolt__node_unbalanced(struct bolt_node *n);

/* Checks N2 to N4 (in debug builds). */
void bolt__node_check(const struct bolt_node *n);

#endif
