/* batch.c -- the open batch: what apply has written since the last seal. */
#include "state/store/store_int.h"

_Static_assert(STORE_PUT_KEY_BYTES_MAX == BOLT_KEY_BYTES_MAX,
               "a batch holds what can be committed");

#define OPS_CAP_MIN 16
#define OP_OVERHEAD_BYTES 64 /* of a record or change beside its bytes, for the limit on memory */

struct store_batch *batch_new(void)
{
    struct store_batch *b = xmem_calloc(1, sizeof *b);

    arena_init(&b->arena, SIZE_MAX);
    list_init(&b->link);
    b->refs = 1;
    return b;
}

void batch_unref(struct store_batch *b)
{
    ASSERT(b->refs > 0);
    if (--b->refs > 0)
        return;
    for (size_t i = 0; i < BATCH_SEGMENTS; i++)
        mem_free(b->segments[i]);
    mem_free(b->ops);
    arena_done(&b->arena);
    mem_free(b);
}

uint8_t *batch_alloc(struct store_batch *b, size_t n)
{
    uint8_t *p = arena_alloc(&b->arena, n);

    /* The apply thread cannot go on without its writes: a member stops rather than differ. */
    if (NEVER(p == NULL))
        assert_fail(__FILE__, __LINE__, "out of memory in the open batch");
    return p;
}

struct batch_record *batch_add_record(struct store_batch *b)
{
    uint32_t i = b->records;
    uint32_t k = (uint32_t) (31 - __builtin_clz(i / BATCH_SEGMENT_0 + 1));

    ASSERT(k < BATCH_SEGMENTS);
    if (b->segments[k] == NULL)
        b->segments[k] = xmem_alloc(sizeof(struct batch_record) * ((size_t) BATCH_SEGMENT_0 << k));
    b->records++;
    return &b->segments[k][i - BATCH_SEGMENT_0 * ((1u << k) - 1)];
}

void batch_add_op(struct store_batch *b, enum store_bucket bucket, struct bytes key,
                  const struct bytes *value)
{
    struct batch_op *op;
    size_t value_bytes = value == NULL ? 0 : value->n;
    uint8_t *p = batch_alloc(b, key.n + value_bytes + 1);

    if (b->ops_n == b->ops_cap) {
        b->ops_cap = MAX((size_t) OPS_CAP_MIN, b->ops_cap * 2);
        b->ops = xmem_realloc(b->ops, b->ops_cap * sizeof *b->ops);
    }
    op = &b->ops[b->ops_n++];
    memcpy(p, key.p, key.n);
    if (value_bytes != 0)
        memcpy(p + key.n, value->p, value_bytes);
    *op = (struct batch_op){bucket, value == NULL, bytes_of(p, key.n),
                            bytes_of(p + key.n, value_bytes)};
    b->bytes += key.n + value_bytes + OP_OVERHEAD_BYTES;
}

uint32_t batch_lower_bound(const struct store_batch *b, uint32_t n, int64_t main, int64_t sub)
{
    uint32_t lo = 0, hi = n;

    /* No look at b->records: readers are here while the writer appends. */
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        const struct batch_record *r = batch_record_at(b, mid);

        if (r->main < main || (r->main == main && (int64_t) r->sub < sub))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void account(struct store *s, uint64_t before)
{
    uint64_t more = s->open->bytes - before;

    atomic_store_explicit(&s->written_bytes,
                          atomic_load_explicit(&s->written_bytes, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

void store_put(struct store *s, enum store_bucket b, struct bytes key, struct bytes value)
{
    uint64_t before = s->open->bytes;

    ASSERT(b != STORE_KEY);
    ASSERT(key.n > 0);
    batch_add_op(s->open, b, key, &value);
    account(s, before);
}

void store_delete(struct store *s, enum store_bucket b, struct bytes key)
{
    uint64_t before = s->open->bytes;

    ASSERT(b != STORE_KEY);
    ASSERT(key.n > 0);
    batch_add_op(s->open, b, key, NULL);
    account(s, before);
}

uint8_t *store_key_append(struct store *s, int64_t main, int64_t sub, bool tombstone,
                          size_t value_bytes)
{
    struct store_batch *b = s->open;
    uint64_t before = b->bytes;
    uint8_t *p = batch_alloc(b, STORE_REV_KEY_BYTES_MAX + value_bytes);
    struct batch_record *r;
    size_t n = store_rev_key_put(p, main, sub, tombstone);

    ASSERT(main > s->last_main || (main == s->last_main && sub > s->last_sub)); /* B1 */
    ASSERT(value_bytes <= BOLT_VALUE_BYTES_MAX);
    s->last_main = main;
    s->last_sub = sub;
    r = batch_add_record(b);
    *r = (struct batch_record){main, (uint32_t) sub, (uint32_t) value_bytes, p, (uint32_t) n};
    b->bytes += value_bytes + OP_OVERHEAD_BYTES;
    account(s, before);
    return p + n;
}

void store_set_applied(struct store *s, uint64_t index, uint64_t term)
{
    ASSERT(index >= s->applied_index);
    ASSERT(term >= s->applied_term);
    s->applied_index = s->open->applied_index = index;
    s->applied_term = s->open->applied_term = term;
}

uint64_t store_applied_index(const struct store *s)
{
    return s->applied_index;
}

uint64_t store_applied_term(const struct store *s)
{
    return s->applied_term;
}

/* The newest change of a pair in one batch; false: none. */
static bool batch_find_op(const struct store_batch *b, enum store_bucket bucket, struct bytes key,
                          const struct batch_op **ret)
{
    for (size_t i = b->ops_n; i > 0; i--) {
        const struct batch_op *op = &b->ops[i - 1];

        if (op->bucket == bucket && bytes_eq(op->key, key)) {
            *ret = op;
            return true;
        }
    }
    return false;
}

static bool find_op(struct store *s, enum store_bucket bucket, struct bytes key,
                    const struct batch_op **ret)
{
    if (batch_find_op(s->open, bucket, key, ret))
        return true;
    for (struct list *it = s->batches.prev; it != &s->batches; it = it->prev)
        if (batch_find_op(CONTAINER_OF(it, struct store_batch, link), bucket, key, ret))
            return true;
    return false;
}

bool store_get(struct store *s, enum store_bucket b, struct bytes key, struct bytes *ret)
{
    const struct batch_op *op;
    struct bolt_bucket bucket;
    struct err e = ERR_INIT;
    int rc;

    ASSERT(b != STORE_KEY);
    if (find_op(s, b, key, &op)) {
        if (!op->deletes)
            *ret = op->value;
        return !op->deletes;
    }
    rc = bolt_bucket_get(s->snapshot->tx, store_bucket_name(b), &bucket, &e);
    if (rc == 0)
        rc = bolt_get(&bucket, key, ret, &e);
    if (rc != 0 && rc != ERR_NOT_FOUND)
        store__stop(&e);
    return rc == 0;
}

bool store_batch_due(const struct store *s, int64_t open_ms)
{
    uint64_t ops = s->open->records + s->open->ops_n;

    if (s->batches_n >= STORE_BATCHES_MAX - 2)
        return false;
    return ops >= s->cfg.batch_ops_max || s->open->bytes >= STORE_BATCH_BYTES_MAX ||
           (ops > 0 && open_ms >= s->cfg.batch_interval_ms);
}

bool store_all_sealed(const struct store *s)
{
    return s->open->records == 0 && s->open->ops_n == 0 && s->applied_index == s->sealed_index;
}

bool store_seal(struct store *s)
{
    struct store_batch *b = s->open;

    ASSERT(!s->cfg.read_only);
    store__adopt(s);
    if (store_all_sealed(s))
        return false;
    if (s->batches_n >= STORE_BATCHES_MAX - 2)
        return false;
    b->seq = s->next_seq++;
    b->applied_index = s->applied_index;
    b->applied_term = s->applied_term;
    s->sealed_index = s->applied_index;
    list_push(&s->batches, &b->link);
    s->batches_n++;
    s->open = batch_new();
    mpsc_push(&s->sealed, &b->sealed_link);
    return true;
}

bool store_must_pause(const struct store *s)
{
    return store_pending_bytes(s) > STORE_PENDING_BYTES_MAX;
}
