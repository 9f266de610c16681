/* sort.c -- a stable merge sort of references that can be interrupted anywhere; its order is a
 * function of the input alone.
 *
 * The list is divided into 2^depth leaves of nearly the same size, each short enough for an
 * insertion sort.  When two neighbouring runs of the same number of leaves are sorted, they are
 * merged:
 *
 *        leaf 0   leaf 1   leaf 2   leaf 3
 *        `------1------'   `------2------'     which is the order of a recursion,
 *        `---------------3---------------'     without its stack
 *
 * The left run moves to tmp and both are merged into the place of the two.  Of each run only the
 * first `keep` references are looked at: with a limit most merges are short, and a list of n costs
 * n log(keep). */
#include "state/mvcc/range_int.h"

#define LEAF_MAX 12
#define LEAF_OF_VALUES_MAX 4 /* where comparing is dear: fewer comparisons, more moves */

/* Where leaf i begins. */
static size_t leaf_begin(const struct range_sort *s, size_t i)
{
    return (size_t) ((uint64_t) s->n * i >> s->depth);
}

bool range_sort_begin(struct range_sort *s, struct arena *a)
{
    size_t leaf_max = s->by_value ? LEAF_OF_VALUES_MAX : LEAF_MAX, tmp_cap;

    s->n = s->refs->n;
    s->depth = 0;
    while ((s->n >> s->depth) + 1 > leaf_max)
        s->depth++;
    ASSERT(s->n <= UINT64_MAX >> s->depth);
    s->leaf = 0;
    s->doing = SORT_LEAF;
    tmp_cap = MIN(s->n / 2 + 1, s->keep);
    if (tmp_cap <= s->tmp_cap)
        return true;
    s->tmp = arena_alloc(a, tmp_cap * sizeof *s->tmp);
    s->tmp_cap = tmp_cap;
    return s->tmp != NULL;
}

static void insertion_sort(struct range_ref *v, size_t n, range_ref_cmp cmp)
{
    for (size_t i = 1; i < n; i++) {
        struct range_ref x = v[i];
        size_t at = i;

        for (; at > 0 && cmp(&v[at - 1], &x) > 0; at--)
            v[at] = v[at - 1];
        v[at] = x;
    }
}

static inline uint64_t cost(bool by_value, const struct range_ref *a, const struct range_ref *b)
{
    return by_value ? 1 + MIN(a->value_n, b->value_n) / RANGE_COMPARED_BYTES : 1;
}

/* It may lie in two blocks: sorted apart from them. */
static void sort_leaf(struct range_sort *s, uint64_t *units)
{
    size_t from = leaf_begin(s, s->leaf), n = leaf_begin(s, s->leaf + 1) - from;
    struct range_ref v[LEAF_MAX];

    ASSERT(n <= LEAF_MAX);
    for (size_t i = 0; i < n; i++) {
        v[i] = *range_refs_at(s->refs, from + i);
        range_spend(units, cost(s->by_value, &v[i], &v[i]) - 1);
    }
    insertion_sort(v, n, s->cmp);
    for (size_t i = 0; i < n; i++)
        *range_refs_at(s->refs, from + i) = v[i];
    range_spend(units, n * RANGE_LEAF_UNITS);
    s->leaf++;
    s->level = 0;
    s->doing = SORT_PAIR;
}

/* The two runs that end behind the newest leaf, when they are of the same size. */
static void choose_pair(struct range_sort *s, uint64_t *units)
{
    size_t half = (size_t) 1 << s->level;
    const struct range_ref *a, *b;

    if (s->level == s->depth || (s->leaf & half) != 0) {
        s->doing = SORT_LEAF;
        return;
    }
    ASSERT(s->leaf >= 2 * half);
    s->low = leaf_begin(s, s->leaf - 2 * half);
    s->mid = leaf_begin(s, s->leaf - half);
    s->left_n = MIN(s->mid - s->low, s->keep);
    s->right_n = MIN(leaf_begin(s, s->leaf) - s->mid, s->keep);
    ASSERT(s->left_n > 0);
    ASSERT(s->right_n > 0);
    ASSERT(s->left_n <= s->tmp_cap);
    s->left = s->right = 0;
    s->level++;
    a = range_refs_at(s->refs, s->low + s->left_n - 1);
    b = range_refs_at(s->refs, s->mid);
    range_spend(units, cost(s->by_value, a, b) - 1);
    if (s->cmp(a, b) > 0)
        s->doing = SORT_COPY;
}

/* How many of `left` references the units suffice for. */
static size_t moves(size_t left, uint64_t *units)
{
    size_t n = (size_t) MIN(left, MIN(*units, (uint64_t) SIZE_MAX / RANGE_MOVES_PER_UNIT) *
                                      RANGE_MOVES_PER_UNIT);

    range_spend(units, n / RANGE_MOVES_PER_UNIT + 1);
    return n;
}

static void copy_left(struct range_sort *s, uint64_t *units)
{
    size_t end = s->left + moves(s->left_n - s->left, units);

    for (; s->left < end; s->left++)
        s->tmp[s->left] = *range_refs_at(s->refs, s->low + s->left);
    if (s->left < s->left_n)
        return;
    s->left = 0;
    s->doing = SORT_MERGE;
}

/* In copies of what does not change: the compiler has to believe that cmp changes all else. */
static void merge(struct range_sort *s, uint64_t *units)
{
    const size_t left_n = s->left_n, right_n = s->right_n, keep = s->keep;
    const range_ref_cmp cmp = s->cmp;
    const bool by_value = s->by_value;
    const struct range_ref *a = s->tmp + s->left;
    size_t left = s->left, right = s->right;
    uint64_t left_units = *units;

    while (left_units > 0 && left < left_n && right < right_n && left + right < keep) {
        const struct range_ref *b = range_refs_at(s->refs, s->mid + right);
        struct range_ref *out = range_refs_at(s->refs, s->low + left + right);

        range_spend(&left_units, cost(by_value, a, b));
        if (cmp(a, b) <= 0) {
            *out = *a++;
            left++;
        } else {
            *out = *b;
            right++;
        }
    }
    *units = left_units;
    s->left = left;
    s->right = right;
    if (left == left_n || right == right_n || left + right == keep)
        s->doing = SORT_REST;
}

/* What the left run has more goes behind; what the right one has more is there, or not wanted. */
static void copy_rest(struct range_sort *s, uint64_t *units)
{
    size_t end = s->left + moves(MIN(s->left_n, s->keep - s->right) - s->left, units);

    for (; s->left < end; s->left++)
        *range_refs_at(s->refs, s->low + s->left + s->right) = s->tmp[s->left];
    if (s->left == s->left_n || s->left + s->right == s->keep)
        s->doing = SORT_PAIR;
}

bool range_sort_step(struct range_sort *s, uint64_t *units)
{
    while (*units > 0) {
        switch (s->doing) {
        case SORT_LEAF:
            if (s->leaf >> s->depth != 0)
                return true;
            sort_leaf(s, units);
            break;
        case SORT_PAIR:
            choose_pair(s, units);
            range_spend(units, 1);
            break;
        case SORT_COPY:
            copy_left(s, units);
            break;
        case SORT_MERGE:
            merge(s, units);
            break;
        case SORT_REST:
            copy_rest(s, units);
            break;
        case SORT_NOTHING:
            return true;
        }
    }
    return false;
}
