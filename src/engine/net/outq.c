#include "engine/net/outq.h"

#include "base/alloc.h"
#include "engine/net/net_limits.h"

#define OWN_BYTES_MIN 4096

void outq_init(struct outq *q)
{
    *q = (struct outq){0};
}

static void refs_drop(struct outq *q)
{
    for (size_t i = q->refs_first; i < q->refs_n; i++)
        payload_unref(q->refs[i].owner);
    q->refs_first = q->refs_n = 0;
}

void outq_done(struct outq *q)
{
    refs_drop(q);
    mem_free(q->refs);
    if (!q->lent)
        mem_free(q->flat);
    outq_init(q);
}

void outq_lend(struct outq *q, uint8_t *scratch, size_t cap)
{
    ASSERT(q->bytes == 0);
    ASSERT(!q->lent);
    mem_free(q->flat);
    q->flat = scratch;
    q->off = q->n = 0;
    q->cap = cap;
    q->lent = true;
}

bool outq_unlend(struct outq *q)
{
    uint8_t *scratch = q->flat;
    size_t left = q->n - q->off;

    if (!q->lent)
        return true;
    q->lent = false;
    q->flat = NULL;
    q->cap = q->n = 0;
    if (q->bytes == 0) {
        q->off = 0;
        return true;
    }
    q->flat = mem_alloc(MAX(left, (size_t) OWN_BYTES_MIN));
    if (q->flat == NULL)
        return false;
    q->cap = MAX(left, (size_t) OWN_BYTES_MIN);
    memcpy(q->flat, scratch + q->off, left);
    for (size_t i = q->refs_first; i < q->refs_n; i++)
        q->refs[i].at -= q->off;
    q->off = 0;
    q->n = left;
    return true;
}

static bool grow(struct outq *q, size_t n)
{
    size_t cap = MAX(q->cap * 2, (size_t) OWN_BYTES_MIN);
    uint8_t *p;

    if (q->lent)
        return false;
    while (cap - q->n < n) {
        if (cap > SIZE_MAX / 2)
            return false;
        cap *= 2;
    }
    p = mem_realloc(q->flat, cap);
    if (p == NULL)
        return false;
    q->flat = p;
    q->cap = cap;
    return true;
}

uint8_t *outq_reserve(struct outq *q, size_t n)
{
    uint8_t *p;

    if (UNLIKELY(q->cap - q->n < n) && !grow(q, n))
        return NULL;
    p = q->flat + q->n;
    q->n += n;
    q->bytes += n;
    return p;
}

bool outq_add(struct outq *q, const void *p, size_t n)
{
    uint8_t *to = outq_reserve(q, n);

    if (to == NULL)
        return false;
    if (n != 0)
        memcpy(to, p, n);
    return true;
}

static bool refs_grow(struct outq *q)
{
    size_t cap = MAX(q->refs_cap * 2, (size_t) 8);
    struct outq_ref *r = mem_realloc(q->refs, cap * sizeof *r);

    if (r == NULL)
        return false;
    q->refs = r;
    q->refs_cap = cap;
    return true;
}

bool outq_add_counted(struct outq *q, const uint8_t *p, size_t n, struct payload *owner)
{
    if (owner == NULL || n < NET_OUT_REF_BYTES)
        return outq_add(q, p, n);
    if (q->refs_n == q->refs_cap && !refs_grow(q))
        return false;
    q->refs[q->refs_n++] = (struct outq_ref){q->n, p, n, payload_ref(owner)};
    q->bytes += n;
    return true;
}

struct outq_mark outq_mark(const struct outq *q)
{
    return (struct outq_mark){q->n, q->refs_n, q->bytes};
}

void outq_rewind(struct outq *q, struct outq_mark m)
{
    ASSERT(m.n <= q->n);
    ASSERT(m.refs_n <= q->refs_n);
    while (q->refs_n > m.refs_n)
        payload_unref(q->refs[--q->refs_n].owner);
    q->n = m.n;
    q->bytes = m.bytes;
}

int outq_iov(const struct outq *q, struct iovec *iov, int iov_max)
{
    size_t at = q->off;
    int n = 0;

    for (size_t i = q->refs_first; i < q->refs_n && n + 2 < iov_max; i++) {
        const struct outq_ref *r = &q->refs[i];

        if (r->at > at)
            iov[n++] = (struct iovec){q->flat + at, r->at - at};
        iov[n++] = (struct iovec){(void *) (uintptr_t) r->p, r->n};
        at = r->at;
        if (i + 1 < q->refs_n && n + 2 >= iov_max)
            return n; /* more refs than entries: the rest must wait for its turn */
    }
    if (q->n > at)
        iov[n++] = (struct iovec){q->flat + at, q->n - at};
    return n;
}

void outq_consume(struct outq *q, size_t n)
{
    ASSERT(n <= q->bytes);
    q->bytes -= n;
    while (n > 0) {
        struct outq_ref *r = q->refs_first < q->refs_n ? &q->refs[q->refs_first] : NULL;
        size_t flat = (r == NULL ? q->n : r->at) - q->off;
        size_t k = MIN(flat, n);

        q->off += k;
        n -= k;
        if (n == 0 || r == NULL)
            continue;
        k = MIN(r->n, n);
        r->p += k;
        r->n -= k;
        n -= k;
        if (r->n == 0) {
            payload_unref(r->owner);
            q->refs_first++;
        }
    }
    if (q->bytes == 0) {
        refs_drop(q);
        q->off = q->n = 0;
    }
}
