/* fake_store.h -- the calls of state/store that auth makes, over a sorted array in memory. */
#ifndef KETCH_TESTS_AUTH_FAKE_STORE_H
#define KETCH_TESTS_AUTH_FAKE_STORE_H

#include "base/alloc.h"
#include "state/store/store.h"

struct fake_record {
    enum store_bucket bucket;
    struct bytes key;
    struct bytes value;
};

struct store {
    struct fake_record *v;
    size_t n, cap;
};

static struct fake_record *fake_find(struct store *s, enum store_bucket b, struct bytes key)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].bucket == b && bytes_eq(s->v[i].key, key))
            return &s->v[i];
    return NULL;
}

static struct bytes fake_copy(struct bytes b)
{
    uint8_t *p = xmem_alloc(b.n + 1);

    if (b.n != 0)
        memcpy(p, b.p, b.n);
    return bytes_of(p, b.n);
}

void store_put(struct store *s, enum store_bucket b, struct bytes key, struct bytes value)
{
    struct fake_record *r = fake_find(s, b, key);

    if (r != NULL) {
        mem_free((void *) (uintptr_t) r->value.p);
        r->value = fake_copy(value);
        return;
    }
    if (s->n == s->cap) {
        s->cap = MAX(s->cap * 2, (size_t) 16);
        s->v = xmem_realloc(s->v, s->cap * sizeof *s->v);
    }
    s->v[s->n++] = (struct fake_record){b, fake_copy(key), fake_copy(value)};
}

static void fake_drop(struct store *s, struct fake_record *r)
{
    mem_free((void *) (uintptr_t) r->key.p);
    mem_free((void *) (uintptr_t) r->value.p);
    *r = s->v[--s->n];
}

void store_delete(struct store *s, enum store_bucket b, struct bytes key)
{
    struct fake_record *r = fake_find(s, b, key);

    if (r != NULL)
        fake_drop(s, r);
}

int store_scan(struct store *s, enum store_bucket b,
               int (*fn)(void *ctx, struct bytes key, struct bytes value), void *ctx, struct err *e)
{
    (void) e;
    for (size_t i = 0; i < s->n; i++) {
        int rc = s->v[i].bucket != b ? 0 : fn(ctx, s->v[i].key, s->v[i].value);

        if (rc != 0)
            return rc;
    }
    return 0;
}

static inline void fake_done(struct store *s)
{
    while (s->n > 0)
        fake_drop(s, &s->v[0]);
    mem_free(s->v);
    *s = (struct store){0};
}

#endif
