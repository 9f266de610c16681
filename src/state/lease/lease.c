#include "state/lease/lease_int.h"

const char *lease_err_text(int code)
{
    switch (code) {
#define X(name, number, text) \
    case number:              \
        return text;
        LEASE_ERR_MAP(X)
#undef X
    default:
        return err_text(code);
    }
}

int lessor_open(const struct lessor_config *cfg, struct store *store, struct lessor **ret,
                struct err *e)
{
    struct lessor *l = xmem_calloc(1, sizeof *l);
    int rc;

    ASSERT(cfg->ttl_s_min > 0);
    ASSERT(cfg->retry_ms >= 0);
    l->cfg = *cfg;
    l->store = store;
    map64_init_secret(&l->leases, cfg->hash_seed);
    map64_init(&l->items); /* by hashes that have the secret */
    map64_init_secret(&l->waits, cfg->hash_seed);
    heap_init(&l->expiries);
    list_init(&l->checkpoints);
    rc = lease__load(l, e);
    if (rc != 0) {
        lessor_free(l);
        return err_wrap(e, rc, "load leases");
    }
    *ret = l;
    return 0;
}

static void forget(struct lessor *l, struct lease *x)
{
    map64_del(&l->leases, (uint64_t) x->id);
    mem_free(x);
}

void lessor_free(struct lessor *l)
{
    size_t pos = 0;
    struct lease *x;

    if (l == NULL)
        return;
    lessor_demote(l);
    while ((x = map64_next(&l->leases, &pos, NULL)) != NULL) {
        struct lease_keys keys;

        lease__items_take(l, x, &keys);
        lease_keys_free(&keys);
        mem_free(x); /* the table goes as a whole */
    }
    ASSERT(l->items_n == 0);
    map64_done(&l->leases);
    map64_done(&l->items);
    map64_done(&l->waits);
    heap_done(&l->expiries);
    mem_free(l);
}

struct lease *lease__add(struct lessor *l, lease_id id, int64_t ttl_s, int64_t remaining_ttl_s)
{
    struct lease *x = xmem_calloc(1, sizeof *x);

    ASSERT(id != LEASE_NONE);
    ASSERT(lease__find(l, id) == NULL);
    x->id = id;
    x->ttl_s = MAX(ttl_s, l->cfg.ttl_s_min);
    x->remaining_ttl_s = remaining_ttl_s;
    x->deadline = LEASE_NEVER;
    x->walk = l->walk - 1;
    heap_item_init(&x->expiry);
    list_init(&x->checkpoint);
    list_init(&x->items);
    ASSERT(map64_put(&l->leases, (uint64_t) id, x)); /* memory: the apply path stops without it */
    return x;
}

int lease_grant(struct lessor *l, lease_id id, int64_t ttl_s, mono_ms now, int64_t *ret_ttl_s)
{
    struct lease *x;

    if (id == LEASE_NONE)
        return ERR_LEASE_NOT_FOUND;
    if (ttl_s > LEASE_TTL_S_MAX)
        return ERR_LEASE_TTL_TOO_LARGE;
    if (lease__find(l, id) != NULL)
        return ERR_LEASE_EXISTS;
    x = lease__add(l, id, ttl_s, 0);
    lease__write(l, x);
    if (l->primary)
        lease__start(l, x, now);
    *ret_ttl_s = x->ttl_s;
    return 0;
}

int lease_revoke(struct lessor *l, lease_id id, struct lease_keys *ret_keys)
{
    struct lease *x = lease__find(l, id);

    if (x == NULL)
        return ERR_LEASE_NOT_FOUND;
    lease__items_take(l, x, ret_keys);
    lease__stop(l, x);
    lease__erase(l, id);
    forget(l, x);
    lease__tell(l, id, ERR_LEASE_NOT_FOUND);
    return 0;
}

void lease_checkpoint(struct lessor *l, lease_id id, int64_t remaining_ttl_s, bool persist)
{
    struct lease *x = lease__find(l, id);

    if (x == NULL)
        return;
    x->remaining_ttl_s = remaining_ttl_s;
    if (persist)
        lease__write(l, x);
}

bool lease_exists(const struct lessor *l, lease_id id)
{
    return id != LEASE_NONE && lease__find(l, id) != NULL;
}

int lease_lookup(const struct lessor *l, lease_id id, mono_ms now, struct lease_info *ret)
{
    const struct lease *x = lease__find(l, id);

    if (x == NULL)
        return ERR_LEASE_NOT_FOUND;
    *ret = (struct lease_info){
        .granted_ttl_s = x->ttl_s,
        .ttl_s = l->primary ? (x->deadline - now) / 1000 : LEASE_TTL_S_UNKNOWN,
        .remaining_ttl_s = x->remaining_ttl_s,
        .keys_n = x->items_n,
    };
    return 0;
}

void lease_each(const struct lessor *l, bool (*fn)(void *ctx, lease_id id), void *ctx)
{
    size_t pos = 0;
    uint64_t id;

    while (map64_next(&l->leases, &pos, &id) != NULL) {
        if (!fn(ctx, (lease_id) id))
            return;
    }
}

size_t lessor_count(const struct lessor *l)
{
    return l->leases.count;
}

bool lessor_is_primary(const struct lessor *l)
{
    return l->primary;
}

int lease_await(struct lessor *l, lease_id id, struct lease_waiter *w)
{
    struct lease_wait *all;

    if (!l->primary)
        return ERR_LEASE_NOT_PRIMARY;
    if (lease__find(l, id) == NULL)
        return ERR_LEASE_NOT_FOUND;
    all = map64_get(&l->waits, (uint64_t) id);
    if (all == NULL) {
        all = xmem_alloc(sizeof *all);
        all->id = id;
        list_init(&all->waiters);
        ASSERT(map64_put(&l->waits, (uint64_t) id, all));
    }
    list_push(&all->waiters, &w->link);
    return 0;
}

void lease_await_cancel(struct lease_waiter *w)
{
    list_remove(&w->link);
}

void lease__tell(struct lessor *l, lease_id id, int rc)
{
    struct lease_wait *all = map64_del(&l->waits, (uint64_t) id);
    struct list *at;

    if (all == NULL)
        return;
    while ((at = list_pop(&all->waiters)) != NULL) {
        struct lease_waiter *w = CONTAINER_OF(at, struct lease_waiter, link);

        w->done(w, rc);
    }
    mem_free(all);
}

void lessor_check(const struct lessor *l)
{
    size_t pos = 0, items_n = 0;
    uint64_t id;
    const struct lease *x;

    while ((x = map64_next(&l->leases, &pos, &id)) != NULL) {
        size_t n = 0;

        ASSERT(x->id == (lease_id) id);
        ASSERT(x->id != LEASE_NONE);
        ASSERT((x->expiry.at != HEAP_NOWHERE) == l->primary);
        ASSERT((x->deadline != LEASE_NEVER) == l->primary);
        if (l->primary)
            ASSERT(x->expiry.key >= x->deadline);
        if (!list_empty(&x->checkpoint))
            ASSERT(l->primary);
        LIST_EACH (at, &x->items) {
            const struct lease_item *it = CONTAINER_OF(at, struct lease_item, link);

            ASSERT(it->lease == x);
            ASSERT(lease_of_key(l, lease__key(it)) == x->id);
            n++;
        }
        ASSERT(n == x->items_n);
        items_n += n;
    }
    ASSERT(items_n == l->items_n);
    ASSERT(l->expiries.count == (l->primary ? l->leases.count : 0));
}
