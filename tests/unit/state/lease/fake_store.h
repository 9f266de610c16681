/* fake_store.h -- the three calls of state/store that a lessor makes, over an array in memory. */
#ifndef KETCH_TESTS_LEASE_FAKE_STORE_H
#define KETCH_TESTS_LEASE_FAKE_STORE_H

#include "base/alloc.h"
#include "state/store/store.h"

struct fake_record {
    uint8_t key[16];
    size_t key_n;
    uint8_t value[64];
    size_t value_n;
};

struct store {
    struct fake_record *v;
    size_t n, cap;
    int fail_scan; /* returned by store_scan instead of anything else */
};

static struct fake_record *fake_find(struct store *s, struct bytes key)
{
    for (size_t i = s->n; i-- > 0;)
        if (bytes_eq(bytes_of(s->v[i].key, s->v[i].key_n), key))
            return &s->v[i];
    return NULL;
}

void store_put(struct store *s, enum store_bucket b, struct bytes key, struct bytes value)
{
    struct fake_record *r = fake_find(s, key);

    ASSERT(b == STORE_LEASE);
    ASSERT(key.n <= sizeof r->key);
    ASSERT(value.n <= sizeof r->value);
    if (r == NULL) {
        if (s->n == s->cap) {
            s->cap = s->cap == 0 ? 16 : s->cap * 2;
            s->v = xmem_realloc(s->v, s->cap * sizeof *s->v);
        }
        r = &s->v[s->n++];
    }
    r->key_n = key.n;
    memcpy(r->key, key.p, key.n);
    r->value_n = value.n;
    if (value.n != 0)
        memcpy(r->value, value.p, value.n);
}

void store_delete(struct store *s, enum store_bucket b, struct bytes key)
{
    struct fake_record *r = fake_find(s, key);

    ASSERT(b == STORE_LEASE);
    if (r != NULL)
        *r = s->v[--s->n];
}

int store_scan(struct store *s, enum store_bucket b,
               int (*fn)(void *ctx, struct bytes key, struct bytes value), void *ctx, struct err *e)
{
    ASSERT(b == STORE_LEASE);
    if (s->fail_scan != 0)
        return err_set(e, s->fail_scan, "scan");
    for (size_t i = 0; i < s->n; i++) {
        int rc = fn(ctx, bytes_of(s->v[i].key, s->v[i].key_n),
                    bytes_of(s->v[i].value, s->v[i].value_n));

        if (rc != 0)
            return rc;
    }
    return 0;
}

static void fake_store_done(struct store *s)
{
    mem_free(s->v);
    *s = (struct store){0};
}

#endif
