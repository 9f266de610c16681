/* Which key hangs on which lease.  Each attached key is one item, found by the key's hash and, for
 * its lease, in the lease's list.  A key without a lease costs nothing. */
#include "state/lease/lease_int.h"

static struct lease_item *find(const struct lessor *l, struct bytes key)
{
    struct lease_item *it;
    uint64_t h;

    if (l->items_n == 0)
        return NULL;
    h = hash_bytes(l->cfg.hash_seed, key);
    for (it = map64_get(&l->items, h); it != NULL; it = it->next)
        if (bytes_eq(lease__key(it), key))
            return it;
    return NULL;
}

static void table_add(struct lessor *l, struct lease_item *it)
{
    it->next = map64_get(&l->items, it->hash);
    ASSERT(map64_put(&l->items, it->hash, it)); /* memory: the apply path stops without it */
    l->items_n++;
}

static void table_remove(struct lessor *l, struct lease_item *it)
{
    struct lease_item *head = map64_get(&l->items, it->hash);

    ASSERT(head != NULL);
    ASSERT(l->items_n > 0);
    l->items_n--;
    if (head != it) {
        while (head->next != it) {
            head = head->next;
            ASSERT(head != NULL);
        }
        head->next = it->next;
    } else if (it->next != NULL) {
        ASSERT(map64_put(&l->items, it->hash, it->next));
    } else {
        map64_del(&l->items, it->hash);
    }
}

static void list_on(struct lease *x, struct lease_item *it)
{
    it->lease = x;
    list_push(&x->items, &it->link);
    x->items_n++;
}

static void list_off(struct lease_item *it)
{
    ASSERT(it->lease->items_n > 0);
    it->lease->items_n--;
    list_remove(&it->link);
    it->lease = NULL;
}

static void drop(struct lessor *l, struct lease_item *it)
{
    table_remove(l, it);
    list_off(it);
    mem_free(it);
}

static struct lease_item *item_new(const struct lessor *l, struct bytes key)
{
    struct lease_item *it = xmem_alloc(sizeof *it + key.n);

    list_init(&it->link);
    it->hash = hash_bytes(l->cfg.hash_seed, key);
    it->key_n = key.n;
    if (key.n != 0)
        memcpy(it->key, key.p, key.n);
    return it;
}

int lease_attach(struct lessor *l, lease_id id, struct bytes key)
{
    struct lease *x = lease__find(l, id);
    struct lease_item *it = find(l, key);

    if (x == NULL) {
        if (it != NULL)
            drop(l, it);
        return ERR_LEASE_NOT_FOUND;
    }
    if (it != NULL) {
        list_off(it);
    } else {
        it = item_new(l, key);
        table_add(l, it);
    }
    list_on(x, it);
    return 0;
}

void lease_detach(struct lessor *l, struct bytes key)
{
    struct lease_item *it = find(l, key);

    if (it != NULL)
        drop(l, it);
}

lease_id lease_of_key(const struct lessor *l, struct bytes key)
{
    const struct lease_item *it = find(l, key);

    return it == NULL ? LEASE_NONE : it->lease->id;
}

static int by_bytes(const void *a, const void *b)
{
    return bytes_cmp(*(const struct bytes *) a, *(const struct bytes *) b);
}

void lease__items_take(struct lessor *l, struct lease *x, struct lease_keys *ret)
{
    size_t n = 0;

    ret->n = x->items_n;
    ret->keys = xmem_alloc(MAX(x->items_n, 1) * sizeof *ret->keys);
    list_init(&ret->items);
    LIST_EACH_SAFE (at, &x->items) {
        struct lease_item *it = CONTAINER_OF(at, struct lease_item, link);

        table_remove(l, it);
        list_off(it);
        list_push(&ret->items, &it->link);
        ret->keys[n++] = lease__key(it);
    }
    ASSERT(n == ret->n);
    ASSERT(x->items_n == 0);
    qsort(ret->keys, n, sizeof *ret->keys, by_bytes);
}

void lease_keys_free(struct lease_keys *k)
{
    struct list *at;

    while ((at = list_pop(&k->items)) != NULL)
        mem_free(CONTAINER_OF(at, struct lease_item, link));
    mem_free(k->keys);
    k->keys = NULL;
    k->n = 0;
}

int lease_keys(const struct lessor *l, lease_id id, struct arena *a, struct bytes **ret_keys,
               size_t *ret_n)
{
    const struct lease *x = lease__find(l, id);
    struct bytes *keys;
    size_t n = 0;

    if (x == NULL)
        return ERR_LEASE_NOT_FOUND;
    keys = arena_alloc(a, MAX(x->items_n, 1) * sizeof *keys);
    if (keys == NULL)
        return ERR_NOMEM;
    LIST_EACH (at, &x->items) {
        const struct lease_item *it = CONTAINER_OF(at, struct lease_item, link);
        const uint8_t *copy = arena_dup(a, it->key, it->key_n);

        if (copy == NULL)
            return ERR_NOMEM;
        keys[n++] = bytes_of(copy, it->key_n);
    }
    ASSERT(n == x->items_n);
    *ret_keys = keys;
    *ret_n = n;
    return 0;
}

void lease_walk_begin(struct lessor *l)
{
    l->walk++;
}

void lease_walk_keys(struct lessor *l, lease_id id, bool (*fn)(void *ctx, struct bytes key),
                     void *ctx)
{
    struct lease *x = lease__find(l, id);

    if (x == NULL || x->walk == l->walk)
        return;
    x->walk = l->walk;
    LIST_EACH (at, &x->items) {
        if (!fn(ctx, lease__key(CONTAINER_OF(at, struct lease_item, link))))
            return;
    }
}
