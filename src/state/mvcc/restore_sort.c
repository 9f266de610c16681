/* restore_sort.c -- the entries of an index that is restored, put in the order of their keys: the
 * tree is built from them.  The sort is stable and finds what is in order already. */
#include "state/mvcc/restore_int.h"

/* Eight bytes of a key behind what all keys have in common: most comparisons need no more. */
struct sort_key {
    uint64_t head;
    const struct restore_item *item;
};

static int sort_key_cmp(const struct sort_key *a, const struct sort_key *b)
{
    if (a->head != b->head)
        return a->head < b->head ? -1 : 1;
    return bytes_cmp(entry_key(a->item->entry), entry_key(b->item->entry));
}

static void merge_sort(struct sort_key *v, struct sort_key *tmp, size_t n)
{
    size_t mid = n / 2, left = 0, right = mid, out = 0;

    if (n < 2)
        return;
    merge_sort(v, tmp, mid);
    merge_sort(v + mid, tmp, n - mid);
    if (sort_key_cmp(&v[mid - 1], &v[mid]) < 0)
        return;
    memcpy(tmp, v, mid * sizeof *v);
    while (left < mid && right < n)
        v[out++] = sort_key_cmp(&tmp[left], &v[right]) < 0 ? tmp[left++] : v[right++];
    memcpy(v + out, tmp + left, (mid - left) * sizeof *v);
}

static size_t common_prefix(struct bytes a, struct bytes b, size_t n)
{
    size_t i = 0;

    n = MIN(n, MIN(a.n, b.n));
    while (i < n && a.p[i] == b.p[i])
        i++;
    return i;
}

static uint64_t head_of(struct bytes key, size_t skip)
{
    uint64_t h = 0;

    for (size_t i = 0; i < 8; i++)
        h = h << 8 | (skip + i < key.n ? key.p[skip + i] : 0u);
    return h;
}

static struct sort_key *sorted_keys(const struct restore_item *items, size_t n)
{
    struct sort_key *v = xmem_alloc((n + 1) * sizeof *v);
    struct sort_key *tmp = xmem_alloc((n / 2 + 1) * sizeof *tmp);
    size_t skip = SIZE_MAX;

    for (size_t i = 0; i < n; i++)
        skip = common_prefix(entry_key(items[0].entry), entry_key(items[i].entry), skip);
    for (size_t i = 0; i < n; i++)
        v[i] = (struct sort_key){head_of(entry_key(items[i].entry), skip), &items[i]};
    merge_sort(v, tmp, n);
    mem_free(tmp);
    return v;
}

/* Whose newest value has a lease, in order of keys. */
static void list_leased(const struct sort_key *v, size_t n, struct mvcc_loaded *l)
{
    for (size_t i = 0; i < n; i++)
        l->leased_n += v[i].item->lease != 0;
    if (l->leased_n == 0)
        return;
    l->leased = xmem_alloc(l->leased_n * sizeof *l->leased);
    l->leased_n = 0;
    for (size_t i = 0; i < n; i++)
        if (v[i].item->lease != 0)
            l->leased[l->leased_n++] = (struct leased){v[i].item->lease, v[i].item->entry};
}

void restore__build(struct mvcc_loaded *l, const struct restore_item *items, size_t n)
{
    struct sort_key *v = sorted_keys(items, n);
    struct key_entry **entries = xmem_alloc((n + 1) * sizeof *entries);

    for (size_t i = 0; i < n; i++) {
        ASSERT(i == 0 || sort_key_cmp(&v[i - 1], &v[i]) < 0);
        entries[i] = v[i].item->entry;
    }
    index_build(l->index, entries, n);
    list_leased(v, n, l);
    mem_free(entries);
    mem_free(v);
}
