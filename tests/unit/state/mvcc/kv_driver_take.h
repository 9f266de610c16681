/* kv_driver_take.h -- the state of the driver, and the requests that its string of bytes spells
 * out. Keys are few and alike, so that operations meet; revisions lie around those that exist;
 * leases 1 to 4 exist. */
#ifndef KETCH_TESTS_KV_DRIVER_TAKE_H
#define KETCH_TESTS_KV_DRIVER_TAKE_H

#include "lib/simdisk.h"
#include "naive_kv.h"
#include "state/mvcc/mvcc.h"
#include "state/store/store.h"

#define DRIVER_PINS 3
#define DRIVER_COMMITS 4096
#define DRIVER_KEYS 256

struct driver_pin {
    const struct mvcc_view *view;
    int64_t rev, compact;
};

/* What was true when a batch was sealed. */
struct driver_mark {
    uint64_t applied;
    int64_t rev, compact;
};

struct driver {
    const uint8_t *p;
    size_t n;
    struct simdisk *sim;
    struct store *store;
    struct mvcc *kv;
    struct mvcc_reader *reader;
    struct naive m;
    struct arena a; /* of one step */
    uint64_t applied;
    struct driver_mark sealed, committed;
    struct driver_pin pins[DRIVER_PINS];
    struct mvcc_compaction *job;
    size_t events;      /* seen in this transaction */
    size_t events_from; /* records of the model before it */
};

/* ---- the string of bytes ---- */

static inline unsigned take(struct driver *d)
{
    if (d->n == 0)
        return 0;
    d->n--;
    return *d->p++;
}

static inline bool chance(struct driver *d, unsigned of_256)
{
    return take(d) < of_256;
}

static inline ProtobufCBinaryData take_key(struct driver *d)
{
    static const uint8_t letters[] = {'a', 'b', 'c', 0x00, 0xff, 'k', 'e', 'y'};
    unsigned b = take(d);
    size_t n = 1 + (b & 3);
    uint8_t *p = arena_alloc(&d->a, 24);

    if (b >= 224) { /* a long common beginning, as most keys have */
        memcpy(p, "registry/pods/", 14);
        p[14] = letters[b & 7];
        p[15] = letters[take(d) & 7];
        return wire_binary(bytes_of(p, 16));
    }
    for (size_t i = 0; i < n; i++)
        p[i] = letters[(b >> (2 + i)) & 7];
    return wire_binary(bytes_of(p, n));
}

static inline ProtobufCBinaryData take_end(struct driver *d)
{
    unsigned b = take(d);

    if (b < 96)
        return wire_binary(BYTES_EMPTY);
    if (b < 128)
        return wire_binary(bytes_of("", 1));
    return take_key(d);
}

static inline ProtobufCBinaryData take_value(struct driver *d)
{
    unsigned b = take(d);
    size_t n = b < 16 ? 0 : b < 240 ? b % 9 : 200 + b;
    uint8_t *p = arena_alloc(&d->a, n + 1);

    memset(p, 'v', n);
    if (n > 0)
        p[n / 2] = (uint8_t) ('0' + (b & 3));
    return wire_binary(bytes_of(p, n));
}

/* Around what exists: also too old, in the future, negative. */
static inline int64_t take_revision(struct driver *d)
{
    unsigned b = take(d);

    if (b < 128)
        return 0;
    if (b < 200)
        return (int64_t) (take(d) % (uint64_t) (d->m.rev + 1));
    if (b < 232)
        return d->m.rev - (int64_t) (b & 7);
    return b < 244 ? d->m.rev + (b & 3) : -(int64_t) (b & 3);
}

static inline int64_t take_lease(struct driver *d)
{
    unsigned b = take(d);

    return b < 160 ? 0 : b & 7;
}

/* ---- requests ---- */

static inline Etcdserverpb__RangeRequest *take_range(struct driver *d)
{
    Etcdserverpb__RangeRequest *r = arena_alloc(&d->a, sizeof *r);
    unsigned b;

    etcdserverpb__range_request__init(r);
    r->key = take_key(d);
    r->range_end = take_end(d);
    r->revision = take_revision(d);
    b = take(d);
    r->limit = b & 128 ? (b & 7) : 0;
    r->keys_only = (b & 64) != 0;
    r->count_only = (b & 63) == 5;
    b = take(d);
    if (b & 128) {
        r->sort_order = (Etcdserverpb__RangeRequest__SortOrder) (b % 3);
        r->sort_target = (Etcdserverpb__RangeRequest__SortTarget) ((b >> 2) % 5);
    }
    b = take(d);
    if (b >= 224) {
        r->min_mod_revision = b & 1 ? take_revision(d) : 0;
        r->max_mod_revision = b & 2 ? take_revision(d) : 0;
        r->min_create_revision = b & 4 ? take_revision(d) : 0;
        r->max_create_revision = b & 8 ? take_revision(d) : 0;
    }
    return r;
}

static inline Etcdserverpb__PutRequest *take_put(struct driver *d)
{
    Etcdserverpb__PutRequest *r = arena_alloc(&d->a, sizeof *r);
    unsigned b = take(d);

    etcdserverpb__put_request__init(r);
    r->key = take_key(d);
    r->prev_kv = (b & 1) != 0;
    r->ignore_value = b >= 240;
    r->ignore_lease = (b & 0xf0) == 0xe0;
    if (!r->ignore_value)
        r->value = take_value(d);
    if (!r->ignore_lease)
        r->lease = take_lease(d);
    return r;
}

static inline Etcdserverpb__DeleteRangeRequest *take_delete(struct driver *d)
{
    Etcdserverpb__DeleteRangeRequest *r = arena_alloc(&d->a, sizeof *r);

    etcdserverpb__delete_range_request__init(r);
    r->key = take_key(d);
    r->range_end = take_end(d);
    r->prev_kv = chance(d, 128);
    return r;
}

static inline Etcdserverpb__TxnRequest *take_txn(struct driver *d, unsigned depth, bool read_only);

static inline Etcdserverpb__RequestOp *take_op(struct driver *d, unsigned depth, bool read_only)
{
    Etcdserverpb__RequestOp *op = arena_alloc(&d->a, sizeof *op);
    unsigned b = read_only ? 0 : take(d) & 7;

    etcdserverpb__request_op__init(op);
    if (b < 2) {
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
        op->request_range = take_range(d);
    } else if (b < 5) {
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        op->request_put = take_put(d);
    } else if (b < 7 || depth >= 3) {
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        op->request_delete_range = take_delete(d);
    } else {
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
        op->request_txn = take_txn(d, depth + 1, false);
    }
    return op;
}

static inline Etcdserverpb__Compare *take_compare(struct driver *d)
{
    Etcdserverpb__Compare *c = arena_alloc(&d->a, sizeof *c);
    unsigned b = take(d);

    etcdserverpb__compare__init(c);
    c->key = take_key(d);
    c->range_end = b & 128 ? take_end(d) : wire_binary(BYTES_EMPTY);
    c->result = (Etcdserverpb__Compare__CompareResult) (b & 7); /* some are unknown */
    c->target = (Etcdserverpb__Compare__CompareTarget) ((b >> 3) % 6);
    switch (take(d) % 8) {
    case 0:
        c->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
        c->value = take_value(d);
        break;
    case 1:
        c->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
        c->create_revision = take_revision(d);
        break;
    case 2:
        c->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
        c->mod_revision = take_revision(d);
        break;
    case 3:
        c->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE;
        c->lease = take_lease(d);
        break;
    case 4:
        break;
    default:
        c->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION;
        c->version = take(d) & 3;
        break;
    }
    return c;
}

static inline Etcdserverpb__RequestOp **take_ops(struct driver *d, unsigned depth, bool read_only,
                                                 size_t *ret_n)
{
    size_t n = take(d) & 3;
    Etcdserverpb__RequestOp **ops = arena_alloc(&d->a, (n + 1) * sizeof *ops);

    for (size_t i = 0; i < n; i++)
        ops[i] = take_op(d, depth, read_only);
    *ret_n = n;
    return ops;
}

static inline Etcdserverpb__TxnRequest *take_txn(struct driver *d, unsigned depth, bool read_only)
{
    Etcdserverpb__TxnRequest *r = arena_alloc(&d->a, sizeof *r);
    size_t n = take(d) % 3;

    etcdserverpb__txn_request__init(r);
    r->compare = arena_alloc(&d->a, (n + 1) * sizeof *r->compare);
    r->n_compare = n;
    for (size_t i = 0; i < n; i++)
        r->compare[i] = take_compare(d);
    r->success = take_ops(d, depth, read_only, &r->n_success);
    r->failure = take_ops(d, depth, read_only, &r->n_failure);
    return r;
}

static inline bool driver_lease_exists(void *ctx, int64_t id)
{
    (void) ctx;
    return id >= 1 && id <= 4;
}

#endif
