/* sort.c -- a stable merge sort of references; its order is a function of the input alone. */
#include "state/mvcc/mvcc_int.h"

#define INSERTION_MAX 12

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

/* Merges v[0..mid) and v[mid..n); the left part moves to tmp first. */
static void merge(struct range_ref *v, size_t mid, size_t n, struct range_ref *tmp,
                  range_ref_cmp cmp)
{
    size_t left = 0, right = mid, out = 0;

    ASSERT(mid < n);
    memcpy(tmp, v, mid * sizeof *v);
    while (left < mid && right < n)
        v[out++] = cmp(&tmp[left], &v[right]) <= 0 ? tmp[left++] : v[right++];
    memcpy(v + out, tmp + left, (mid - left) * sizeof *v);
}

void range_refs_sort(struct range_ref *v, struct range_ref *tmp, size_t n, range_ref_cmp cmp)
{
    size_t mid = n / 2;

    ASSERT(n == 0 || v != NULL);
    if (n <= INSERTION_MAX) {
        insertion_sort(v, n, cmp);
        return;
    }
    range_refs_sort(v, tmp, mid, cmp);
    range_refs_sort(v + mid, tmp, n - mid, cmp);
    if (cmp(&v[mid - 1], &v[mid]) > 0)
        merge(v, mid, n, tmp, cmp);
}
