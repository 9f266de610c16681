/* index_check.c -- the invariants of the index, looked at one by one. */
#include "state/mvcc/index.h"

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
    ASSERT(entry_has_past(e) || e->history_n == 0); /* I9 */
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
    slab_check(&ix->slab);
}
