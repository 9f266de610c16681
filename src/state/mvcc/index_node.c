/* index_node.c -- one node of the index: search inside it, insert, remove, split, join. */
#include "base/alloc.h"
#include "base/endian.h"
#include "state/mvcc/index.h"

size_t index__node_bytes(const struct index_node *n)
{
    return n->level == 0 ? sizeof(struct index_leaf) : sizeof(struct index_inner);
}

struct index_node *index__node_new(struct index *ix, uint16_t level)
{
    size_t bytes = level == 0 ? sizeof(struct index_leaf) : sizeof(struct index_inner);
    struct index_node *n = index__alloc(ix, bytes);

    ASSERT(level < INDEX_DEPTH_MAX);
    memset(n, 0, bytes);
    n->epoch = ix->epoch;
    n->level = level;
    return n;
}

static unsigned first_key(const struct index_node *n)
{
    return n->level == 0 ? 0 : 1;
}

static size_t common_prefix(struct bytes a, struct bytes b)
{
    size_t n = MIN(a.n, b.n), i = 0;

    while (i + 8 <= n && memcmp(a.p + i, b.p + i, 8) == 0)
        i += 8;
    while (i < n && a.p[i] == b.p[i])
        i++;
    return i;
}

static uint32_t hint_of(struct bytes key, size_t prefix_n)
{
    uint32_t h = 0;

    if (key.n >= prefix_n + 4)
        return be32_get(key.p + prefix_n);
    for (size_t i = 0; i < 4; i++)
        h = h << 8 | (prefix_n + i < key.n ? key.p[prefix_n + i] : 0u);
    return h;
}

void index__rehint(struct index_node *n)
{
    unsigned first = first_key(n);
    struct bytes low;

    if (n->n <= first)
        return;
    low = index__node_key(n, first);
    n->prefix_n = (uint32_t) common_prefix(low, index__node_key(n, n->n - 1u));
    if (n->prefix_n > 0)
        memcpy(n->prefix, low.p, MIN(n->prefix_n, (uint32_t) INDEX_PREFIX_BYTES));
    ASSERT(n->prefix_n <= low.n); /* I7 */
    for (unsigned i = first; i < n->n; i++)
        n->hints[i] = hint_of(index__node_key(n, i), n->prefix_n);
}

/* Compares key with what all keys of the node begin with: as it orders against them all, or 0. */
static int prefix_cmp(const struct index_node *n, struct bytes key)
{
    size_t m = MIN(key.n, n->prefix_n);
    size_t in_node = MIN(m, (size_t) INDEX_PREFIX_BYTES);
    int c = in_node == 0 ? 0 : memcmp(key.p, n->prefix, in_node);

    if (c == 0 && m > in_node)
        c = memcmp(key.p + in_node, index__node_key(n, first_key(n)).p + in_node, m - in_node);
    if (c == 0 && key.n < n->prefix_n)
        return -1;
    return c;
}

/* The first of the hints from `first` on that is >= h.  Without branches: the outcome of each step
 * is as good as random. */
static unsigned hints_lower_bound(const struct index_node *n, unsigned first, uint32_t h)
{
    const uint32_t *base = n->hints + first;
    unsigned count = n->n - first;

    ASSERT(n->n > first);
    ASSERT(n->n <= INDEX_FANOUT);
    while (count > 1) {
        unsigned half = count / 2;

        base = base[half - 1] < h ? base + half : base;
        count -= half;
    }
    return (unsigned) (base - n->hints) + (count == 1 && *base < h);
}

/* The first place whose key is >= key. */
unsigned index__search(const struct index_node *n, struct bytes key, bool *ret_equal)
{
    unsigned first = first_key(n), lo, hi;
    uint32_t h;
    int c;

    *ret_equal = false;
    if (first >= n->n)
        return first;
    c = prefix_cmp(n, key);
    if (c != 0)
        return c < 0 ? first : n->n;
    h = hint_of(key, n->prefix_n);
    lo = hi = hints_lower_bound(n, first, h);
    while (hi < n->n && n->hints[hi] == h)
        hi++;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;

        c = bytes_cmp(index__node_key(n, mid), key);
        if (c == 0) {
            *ret_equal = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The child below which a key belongs: the number of separators <= key. */
unsigned index__child_of(const struct index_node *inner, struct bytes key)
{
    bool equal;
    unsigned i = index__search(inner, key, &equal);

    ASSERT(i >= 1);
    ASSERT(i <= inner->n);
    return equal ? i : i - 1;
}

/* Hints after a key was put in at `at`: usually its own is all that is missing. */
static void hint_inserted(struct index_node *n, unsigned at)
{
    struct bytes key = index__node_key(n, at);
    unsigned other = at == first_key(n) ? at + 1u : first_key(n);

    ASSERT(at < n->n);
    ASSERT(at >= first_key(n));
    if (n->n <= first_key(n) + 1u || common_prefix(key, index__node_key(n, other)) < n->prefix_n)
        index__rehint(n);
    else
        n->hints[at] = hint_of(key, n->prefix_n);
}

static void shift_up(void *array, size_t element, unsigned at, unsigned n)
{
    char *p = array;

    ASSERT(at <= n);
    memmove(p + (at + 1) * element, p + at * element, (n - at) * element);
}

static void shift_down(void *array, size_t element, unsigned at, unsigned n)
{
    char *p = array;

    ASSERT(at < n);
    memmove(p + at * element, p + (at + 1) * element, (n - at - 1) * element);
}

void index__leaf_insert(struct index_node *n, unsigned at, struct key_entry *e)
{
    struct index_leaf *l = index__leaf(n);
    uint32_t low = (1u << at) - 1u;

    ASSERT(n->n < INDEX_FANOUT);
    ASSERT(at <= n->n);
    shift_up(l->entries, sizeof l->entries[0], at, n->n);
    shift_up(n->hints, sizeof n->hints[0], at, n->n);
    ASSERT(n->live == (uint64_t) __builtin_popcount(l->live_bits)); /* I6 */
    l->entries[at] = e;
    l->live_bits = (l->live_bits & low) | (l->live_bits & ~low) << 1;
    if (entry_is_live(e)) {
        l->live_bits |= 1u << at;
        n->live++;
    }
    n->n++;
    hint_inserted(n, at);
}

void index__leaf_remove(struct index_node *n, unsigned at)
{
    struct index_leaf *l = index__leaf(n);
    uint32_t low = (1u << at) - 1u;

    ASSERT(at < n->n);
    shift_down(l->entries, sizeof l->entries[0], at, n->n);
    shift_down(n->hints, sizeof n->hints[0], at, n->n);
    ASSERT(n->live == (uint64_t) __builtin_popcount(l->live_bits)); /* I6 */
    n->live -= l->live_bits >> at & 1u;
    l->live_bits = (l->live_bits & low) | (l->live_bits >> 1 & ~low);
    n->n--;
}

void index__inner_insert(struct index_node *n, unsigned at, struct index_node *child,
                         struct index_sep *sep)
{
    struct index_inner *x = index__inner(n);

    ASSERT(n->n < INDEX_FANOUT);
    ASSERT(at >= 1);
    shift_up(x->child, sizeof x->child[0], at, n->n);
    shift_up(x->sep, sizeof x->sep[0], at, n->n);
    shift_up(x->live, sizeof x->live[0], at, n->n);
    shift_up(n->hints, sizeof n->hints[0], at, n->n);
    ASSERT(child->level + 1 == n->level);
    ASSERT(sep != NULL);
    x->child[at] = child;
    x->sep[at] = sep;
    x->live[at] = child->live;
    n->n++;
    hint_inserted(n, at);
}

/* The caller has dealt with child and separator.  Of the first child the separator of the second
 * goes. */
void index__inner_remove(struct index_node *n, unsigned at)
{
    struct index_inner *x = index__inner(n);

    ASSERT(at < n->n);
    shift_down(x->child, sizeof x->child[0], at, n->n);
    shift_down(x->sep, sizeof x->sep[0], at, n->n);
    shift_down(x->live, sizeof x->live[0], at, n->n);
    shift_down(n->hints, sizeof n->hints[0], at, n->n);
    n->n--;
    x->sep[0] = NULL;
}

/* The shortest key that is > low and <= high. */
struct index_sep *index__sep_between(struct index *ix, struct bytes low, struct bytes high)
{
    size_t n = common_prefix(low, high) + 1;
    struct index_sep *s = index__alloc(ix, sizeof *s + n);

    ASSERT(n <= high.n);
    ASSERT(bytes_cmp(low, high) < 0); /* I5 */
    s->epoch = ix->epoch;
    s->n = (uint32_t) n;
    memcpy(s->key, high.p, n);
    return s;
}

static void move_leaf_tail(struct index_leaf *left, unsigned from, struct index_leaf *right)
{
    unsigned n = left->h.n - from;
    uint32_t low = (1u << from) - 1u;

    ASSERT(from < left->h.n);
    memcpy(right->entries, left->entries + from, n * sizeof left->entries[0]);
    right->live_bits = from == INDEX_FANOUT ? 0 : left->live_bits >> from;
    left->live_bits &= low;
    right->h.live = (uint64_t) __builtin_popcount(right->live_bits);
}

static void move_inner_tail(struct index_inner *left, unsigned from, struct index_inner *right)
{
    unsigned n = left->h.n - from;

    ASSERT(from < left->h.n);
    memcpy(right->child, left->child + from, n * sizeof left->child[0]);
    memcpy(right->sep, left->sep + from, n * sizeof left->sep[0]);
    memcpy(right->live, left->live + from, n * sizeof left->live[0]);
    right->sep[0] = NULL; /* the caller has taken it: it goes up */
    right->h.live = 0;
    for (unsigned i = 0; i < n; i++)
        right->h.live += right->live[i];
}

void index__move_tail(struct index_node *left, unsigned from, struct index_node *right)
{
    ASSERT(right->n == 0);
    ASSERT(from >= 1);
    ASSERT(from < left->n);
    if (left->level == 0)
        move_leaf_tail(index__leaf(left), from, index__leaf(right));
    else
        move_inner_tail(index__inner(left), from, index__inner(right));
    right->n = (uint16_t) (left->n - from);
    left->n = (uint16_t) from;
    ASSERT(right->live <= left->live); /* I6 */
    left->live -= right->live;
    index__rehint(left);
    index__rehint(right);
}

void index__append(struct index_node *left, const struct index_node *right, struct index_sep *sep)
{
    unsigned at = left->n;

    ASSERT(at + right->n <= INDEX_FANOUT);
    ASSERT(left->level == right->level);
    if (left->level == 0) {
        struct index_leaf *l = index__leaf(left);
        const struct index_leaf *r = index__leaf_const(right);

        memcpy(l->entries + at, r->entries, right->n * sizeof r->entries[0]);
        l->live_bits |= at == INDEX_FANOUT ? 0 : r->live_bits << at;
    } else {
        struct index_inner *l = index__inner(left);
        const struct index_inner *r = index__inner_const(right);

        memcpy(l->child + at, r->child, right->n * sizeof r->child[0]);
        memcpy(l->sep + at, r->sep, right->n * sizeof r->sep[0]);
        memcpy(l->live + at, r->live, right->n * sizeof r->live[0]);
        if (at > 0 && right->n > 0)
            l->sep[at] = sep; /* else there is nothing to tell apart */
    }
    left->n = (uint16_t) (at + right->n);
    left->live += right->live;
    index__rehint(left);
}
