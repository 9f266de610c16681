/* What only the primary does: deadlines, keep-alives, and naming what is due. */
#include "base/plant.h"
#include "state/lease/lease_int.h"

/* What a lease lasts from a fresh start: its recorded rest, else all of it.  A record may hold any
 * number; the clamp keeps the sums below within 64 bits. */
static mono_ms lasts_ms(const struct lease *x)
{
    int64_t s = x->remaining_ttl_s > 0 ? x->remaining_ttl_s : x->ttl_s;

    return MIN(s, LEASE_TTL_S_MAX) * 1000;
}

static void schedule_checkpoint(struct lessor *l, struct lease *x, mono_ms now)
{
    mono_ms every = l->cfg.checkpoint_ms;

    if (every <= 0 || !list_empty(&x->checkpoint) || x->deadline - now <= every)
        return;
    /* The interval is the same for all and `now` does not go back: the end is the right place. */
    x->checkpoint_due = now + every;
    list_push(&l->checkpoints, &x->checkpoint);
}

static void start_at(struct lessor *l, struct lease *x, mono_ms now, mono_ms deadline)
{
    ASSERT(l->primary);
    x->deadline = deadline;
    if (x->expiry.at == HEAP_NOWHERE)
        ASSERT(heap_push(&l->expiries, &x->expiry, x->deadline));
    else
        heap_move(&l->expiries, &x->expiry, x->deadline);
    schedule_checkpoint(l, x, now);
}

void lease__start(struct lessor *l, struct lease *x, mono_ms now)
{
    start_at(l, x, now, now + lasts_ms(x));
}

void lease__stop(struct lessor *l, struct lease *x)
{
    x->deadline = LEASE_NEVER;
    if (x->expiry.at != HEAP_NOWHERE)
        heap_remove(&l->expiries, &x->expiry);
    list_remove(&x->checkpoint);
}

/* A lease and when it ends, side by side: a million of them are sorted without touching the leases.
 */
struct ending {
    mono_ms deadline;
    lease_id id;
    struct lease *lease;
};

static int sooner(const void *a, const void *b)
{
    const struct ending *x = a, *y = b;

    if (x->deadline != y->deadline)
        return x->deadline < y->deadline ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* All leases; NULL without memory. */
static struct ending *endings(const struct lessor *l)
{
    struct ending *v = mem_alloc(MAX(l->leases.count, 1) * sizeof *v);
    size_t n = 0, pos = 0;
    uint64_t id;
    struct lease *x;

    if (v == NULL)
        return NULL;
    while ((x = map64_next(&l->leases, &pos, &id)) != NULL)
        v[n++] = (struct ending){x->deadline, x->id, x};
    ASSERT(n == l->leases.count);
    return v;
}

/* Time is cut into LEASE_SPREAD_PER_S slots a second, one lease each.  Every lease moves to the
 * first free slot that is not before its deadline. */
static void spread(struct ending *v, size_t n)
{
    const int64_t per_s = LEASE_SPREAD_PER_S;
    int64_t free_slot = INT64_MIN;

    for (size_t i = 0; i < n; i++) {
        int64_t slot = (v[i].deadline * per_s + 999) / 1000;

        slot = MAX(slot, free_slot);
        free_slot = slot + 1;
        v[i].deadline = MAX(v[i].deadline, (slot * 1000 + per_s - 1) / per_s);
    }
}

void lessor_promote(struct lessor *l, mono_ms now, mono_ms extend_ms)
{
    size_t n = l->leases.count;
    struct ending *v = endings(l);

    ASSERT(v != NULL); /* memory: the apply path stops without it */
    ASSERT(extend_ms >= 0);
    l->primary = true;
    for (size_t i = 0; i < n; i++) {
        lease__stop(l, v[i].lease);
        v[i].deadline = now + (PLANTED(LEASE_NOT_RETIMED) ? 0 : extend_ms + lasts_ms(v[i].lease));
    }
    qsort(v, n, sizeof *v, sooner);
    if (n >= LEASE_SPREAD_MIN)
        spread(v, n);
    for (size_t i = 0; i < n; i++)
        start_at(l, v[i].lease, now, v[i].deadline);
    mem_free(v);
}

void lessor_demote(struct lessor *l)
{
    size_t pos = 0;
    uint64_t id;
    struct lease *x;
    struct lease_wait *w;

    l->primary = false;
    while ((x = map64_next(&l->leases, &pos, &id)) != NULL)
        lease__stop(l, x);
    ASSERT(l->expiries.count == 0);
    ASSERT(list_empty(&l->checkpoints));
    for (pos = 0; (w = map64_next(&l->waits, &pos, &id)) != NULL; pos--)
        lease__tell(l, w->id, ERR_LEASE_NOT_PRIMARY); /* takes it out */
}

int lease_renew(struct lessor *l, lease_id id, mono_ms now, int64_t *ret_ttl_s)
{
    struct lease *x;

    if (!l->primary)
        return ERR_LEASE_NOT_PRIMARY;
    x = lease__find(l, id);
    if (x == NULL)
        return ERR_LEASE_NOT_FOUND;
    if (x->deadline <= now)
        return ERR_LEASE_EXPIRED;
    if (x->remaining_ttl_s > 0)
        return ERR_LEASE_CHECKPOINTED;
    lease__start(l, x, now);
    *ret_ttl_s = x->ttl_s;
    return 0;
}

size_t lessor_expired(struct lessor *l, mono_ms now, lease_id *ret_ids, size_t max)
{
    size_t n = 0;

    while (n < max) {
        struct heap_item *top = heap_min(&l->expiries);
        struct lease *x;

        if (top == NULL || top->key > now)
            break;
        x = CONTAINER_OF(top, struct lease, expiry);
        ASSERT(x->deadline <= now);
        ret_ids[n++] = x->id;
        heap_move(&l->expiries, top, now + MAX(l->cfg.retry_ms, 1));
    }
    return n;
}

size_t lessor_checkpoints(struct lessor *l, mono_ms now, struct lease_rest *ret, size_t max)
{
    size_t n = 0;

    while (n < max && !list_empty(&l->checkpoints)) {
        struct lease *x = CONTAINER_OF(l->checkpoints.next, struct lease, checkpoint);
        int64_t rest_s;

        if (x->checkpoint_due > now)
            break;
        list_remove(&x->checkpoint);
        if (x->deadline <= now)
            continue; /* it is about to be revoked */
        rest_s = (x->deadline - now + 999) / 1000;
        if (rest_s < x->ttl_s) /* else it was renewed just now */
            ret[n++] = (struct lease_rest){x->id, rest_s};
        schedule_checkpoint(l, x, now);
    }
    return n;
}

mono_ms lessor_next_due(const struct lessor *l)
{
    const struct heap_item *top = heap_min(&l->expiries);
    mono_ms due = top == NULL ? INT64_MAX : top->key;

    if (!list_empty(&l->checkpoints))
        due = MIN(due, CONTAINER_OF(l->checkpoints.next, struct lease, checkpoint)->checkpoint_due);
    return due;
}

int lease_list(const struct lessor *l, struct arena *a, lease_id **ret_ids, size_t *ret_n)
{
    size_t n = l->leases.count;
    lease_id *ids = arena_alloc(a, MAX(n, 1) * sizeof *ids);
    struct ending *v = ids == NULL ? NULL : endings(l);

    if (v == NULL)
        return ERR_NOMEM;
    qsort(v, n, sizeof *v, sooner);
    for (size_t i = 0; i < n; i++)
        ids[i] = v[i].id;
    mem_free(v);
    *ret_ids = ids;
    *ret_n = n;
    return 0;
}
