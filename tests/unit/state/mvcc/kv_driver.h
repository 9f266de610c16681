/* kv_driver.h -- runs the real key space and the naive one side by side through the operations that
 * a string of bytes spells out, and stops at the first difference.  The unit test feeds it random
 * bytes, the fuzz targets what the fuzzer makes. */
#ifndef KETCH_TESTS_KV_DRIVER_H
#define KETCH_TESTS_KV_DRIVER_H

#include "lib/simdisk.h"
#include "naive_kv.h"
#include "state/mvcc/mvcc.h"
#include "state/mvcc/mvcc_check.h"
#include "state/mvcc/mvcc_int.h"
#include "state/mvcc/mvcc_reply.h"
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

/* ---- comparing answers ---- */

static inline void same_kv(const Mvccpb__KeyValue *kv, const struct naive_rec *r, bool no_value,
                           bool no_lease)
{
    ASSERT(bytes_eq(wire_bytes(kv->key), r->key));
    ASSERT(kv->create_revision == r->create);
    ASSERT(kv->mod_revision == r->main);
    ASSERT(kv->version == r->version);
    ASSERT(kv->lease == (no_lease ? 0 : r->lease));
    ASSERT(bytes_eq(wire_bytes(kv->value), no_value ? BYTES_EMPTY : r->value));
}

static inline int error_of(enum naive_error e)
{
    static const int rc[] = {[NAIVE_OK] = 0,
                             [NAIVE_COMPACTED] = ERR_MVCC_COMPACTED,
                             [NAIVE_FUTURE] = ERR_MVCC_FUTURE_REV,
                             [NAIVE_NO_LEASE] = ERR_MVCC_LEASE_NOT_FOUND,
                             [NAIVE_NO_KEY] = ERR_MVCC_KEY_NOT_FOUND};

    return rc[e];
}

static inline void same_range(const Etcdserverpb__RangeResponse *x, const struct naive_range *g)
{
    ASSERT(x->header->revision == g->header);
    ASSERT(x->count == g->count);
    ASSERT(x->more == g->more);
    ASSERT(x->n_kvs == g->kvs.n);
    for (size_t i = 0; i < g->kvs.n; i++)
        same_kv(x->kvs[i], g->kvs.v[i], g->no_value, g->no_lease);
}

/* The bytes of a reply, read in odd pieces. */
static inline struct bytes reply_bytes(struct driver *d, struct mvcc_reply *r)
{
    size_t n, at = 0, piece = 1;
    uint8_t *p;

    ASSERT(r != NULL);
    n = (size_t) mvcc_reply_bytes(r);
    p = arena_alloc(&d->a, n + 1);
    while (at < n) {
        size_t got = mvcc_reply_read(r, p + at, MIN(piece, n - at));

        ASSERT(got == MIN(piece, n - at));
        at += got;
        piece = piece * 3 % 101 + 1;
    }
    ASSERT(mvcc_reply_read(r, p, 1) == 0);
    return bytes_of(p, n);
}

static const struct mvcc_header driver_header = {.cluster_id = 7, .member_id = 9, .raft_term = 3};

#define DECODE(d, lower, in, ret)                                                         \
    do {                                                                                  \
        struct err decode_e = ERR_INIT;                                                   \
        ASSERT(WIRE_DECODE(etcdserverpb__##lower, (in), &(d)->a, (ret), &decode_e) == 0); \
    } while (0)

static inline void check_range_on(struct driver *d, const struct mvcc_view *v, int64_t rev,
                                  int64_t compact)
{
    Etcdserverpb__RangeRequest *r = take_range(d);
    struct naive_range want = naive_range(&d->m, r, rev, compact);
    struct mvcc_range *g;
    Etcdserverpb__RangeResponse *x;
    int rc = mvcc_range(v, r, &d->a, &g);

    ASSERT(mvcc_view_revision(v) == rev);
    ASSERT(mvcc_view_compact_revision(v) == compact);
    ASSERT(rc == error_of(want.error));
    if (rc != 0)
        return;
    DECODE(d, range_response, reply_bytes(d, mvcc_reply_range(g, &driver_header, &d->a)), &x);
    ASSERT(x->header->cluster_id == 7);
    ASSERT(x->header->raft_term == 3);
    same_range(x, &want);
}

static inline void check_stream_on(struct driver *d, const struct mvcc_view *v, int64_t rev,
                                   int64_t compact)
{
    Etcdserverpb__RangeRequest *r = take_range(d), plain;
    struct mvcc_range_stream t;
    struct naive_range want;
    bool last = false;
    size_t at = 0;

    if (mvcc_check_range_stream(r) != NULL)
        return;
    plain = *r;
    plain.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY;
    want = naive_range(&d->m, &plain, rev, compact);
    want.no_lease = r->keys_only &&
                    r->sort_target != ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    mvcc_range_stream_init(&t, v, r, 1 + take(d) * 8);
    while (!last) {
        Etcdserverpb__RangeStreamResponse *x;
        struct naive_list chunk;
        struct mvcc_range *g;
        int rc = mvcc_range_stream_next(&t, &d->a, &g, &last);

        ASSERT(rc == error_of(want.error));
        if (rc != 0)
            return;
        DECODE(d, range_stream_response,
               reply_bytes(d, mvcc_reply_range_chunk(g, last, &driver_header, &d->a)), &x);
        chunk = (struct naive_list){want.kvs.v + at, x->range_response->n_kvs};
        ASSERT(chunk.n <= want.kvs.n - at);
        naive_sort(&chunk, (int) r->sort_target, false);
        for (size_t i = 0; i < chunk.n; i++)
            same_kv(x->range_response->kvs[i], chunk.v[i], want.no_value, want.no_lease);
        at += chunk.n;
        ASSERT((x->range_response->header != NULL) == last);
        if (last) {
            ASSERT(x->range_response->header->revision == rev);
            ASSERT(x->range_response->count == want.count);
            ASSERT(x->range_response->more == want.more);
        }
    }
    ASSERT(at == want.kvs.n);
}

/* ---- hooks ---- */

static inline bool driver_lease_exists(void *ctx, int64_t id)
{
    (void) ctx;
    return id >= 1 && id <= 4;
}

/* The events of a transaction are the records that the model has gained by it, and tell of what was
 * before. */
static inline void driver_events(void *ctx, int64_t main, const struct mvcc_event *ev, size_t n)
{
    struct driver *d = ctx;

    ASSERT(main == d->m.rev + 1);
    ASSERT(n == d->m.n - d->events_from);
    ASSERT(n > 0);
    for (size_t i = 0; i < n; i++) {
        const struct naive_rec *r = &d->m.recs[d->events_from + i], *before;
        struct kv_fields f;
        struct bytes prev;

        before = naive_at(&d->m, r->key, main - 1);
        ASSERT(ev[i].type == (r->tombstone ? MVCC_DELETE : MVCC_PUT));
        ASSERT(ev[i].main == main);
        ASSERT(ev[i].sub == r->sub);
        ASSERT(bytes_eq(ev[i].key, r->key));
        ASSERT(ev[i].created == (!r->tombstone && r->create == main));
        ASSERT(kv_decode(ev[i].kv, &f));
        ASSERT(bytes_eq(f.key, r->key));
        ASSERT(f.mod_main == main);
        ASSERT(bytes_eq(f.value, r->value));
        ASSERT(f.version == r->version);
        if (!mvcc_event_prev_kv(d->kv, &ev[i], &prev)) {
            ASSERT(before == NULL || main - 1 < d->m.compact);
            continue;
        }
        ASSERT(before != NULL);
        ASSERT(kv_decode(prev, &f));
        ASSERT(f.mod_main == before->main);
        ASSERT(bytes_eq(f.value, before->value));
    }
    d->events = n;
}

/* ---- writes ---- */

static inline void step_begin(struct driver *d)
{
    d->events = 0;
    d->events_from = d->m.n;
    naive_begin(&d->m);
}

static inline void step_end(struct driver *d)
{
    ASSERT(d->events == d->m.n - d->events_from);
    naive_end(&d->m);
    ASSERT(mvcc_revision(d->kv) == d->m.rev);
    d->applied++;
    store_set_applied(d->store, d->applied, 1 + d->applied / 64);
}

static inline void step_put(struct driver *d)
{
    Etcdserverpb__PutRequest *r = take_put(d);
    const struct naive_rec *old = NULL;
    struct mvcc_put_result got;
    Etcdserverpb__PutResponse *x;
    enum naive_error want;
    bool too_large;
    int rc;

    step_begin(d);
    want = naive_check_lease(r, driver_lease_exists);
    if (want == NAIVE_OK)
        want = naive_check_key(&d->m, r);
    if (want == NAIVE_OK)
        old = naive_put(&d->m, r);
    rc = mvcc_put(d->kv, r, &d->a, &got, &too_large);
    ASSERT(rc == error_of(want));
    step_end(d);
    if (rc != 0)
        return;
    ASSERT(!too_large);
    DECODE(d, put_response, reply_bytes(d, mvcc_reply_put(&got, &driver_header, &d->a)), &x);
    ASSERT(x->header->revision == d->m.rev);
    ASSERT((x->prev_kv != NULL) == (r->prev_kv && old != NULL));
    if (x->prev_kv != NULL)
        same_kv(x->prev_kv, old, false, false);
}

static inline void same_delete(const Etcdserverpb__DeleteRangeResponse *x,
                               const struct naive_list *l, bool prev, int64_t rev)
{
    ASSERT(x->header->revision == rev);
    ASSERT(x->deleted == (int64_t) l->n);
    ASSERT(x->n_prev_kvs == (prev ? l->n : 0));
    for (size_t i = 0; i < x->n_prev_kvs; i++)
        same_kv(x->prev_kvs[i], l->v[i], false, false);
}

static inline void step_delete(struct driver *d)
{
    Etcdserverpb__DeleteRangeRequest *r = take_delete(d);
    struct mvcc_delete_result got;
    Etcdserverpb__DeleteRangeResponse *x;
    struct naive_list l;
    bool too_large;

    step_begin(d);
    l = naive_delete(&d->m, r);
    mvcc_delete_range(d->kv, r, &d->a, &got, &too_large);
    step_end(d);
    ASSERT(!too_large);
    DECODE(d, delete_range_response, reply_bytes(d, mvcc_reply_delete(&got, &driver_header, &d->a)),
           &x);
    same_delete(x, &l, r->prev_kv, d->m.rev);
}

static inline void step_delete_keys(struct driver *d)
{
    struct bytes keys[3];
    size_t n = take(d) % 4, deleted = 0;

    step_begin(d);
    for (size_t i = 0; i < n; i++) {
        Etcdserverpb__DeleteRangeRequest r = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;

        r.key = take_key(d);
        keys[i] = wire_bytes(r.key);
        deleted += naive_delete(&d->m, &r).n;
    }
    ASSERT(mvcc_delete_keys(d->kv, keys, n) == deleted);
    step_end(d);
}

/* The answer that the model expects of one operation. */
struct want_op {
    int kind;
    int64_t rev;
    struct naive_range range;
    bool prev;
    struct naive_rec *old;
    struct naive_list deleted;
    struct want_txn *txn;
};

struct want_txn {
    bool succeeded;
    size_t n;
    struct want_op *ops;
    const Etcdserverpb__TxnRequest *r;
};

static inline void naive_choose(struct driver *d, const Etcdserverpb__TxnRequest *r, int64_t at,
                                struct want_txn *t)
{
    Etcdserverpb__RequestOp **ops;

    t->r = r;
    t->succeeded = naive_guards(&d->m, r, at);
    t->n = t->succeeded ? r->n_success : r->n_failure;
    t->ops = arena_calloc(&d->a, t->n + 1, sizeof *t->ops);
    ops = t->succeeded ? r->success : r->failure;
    for (size_t i = 0; i < t->n; i++) {
        t->ops[i].kind = (int) ops[i]->request_case;
        if (t->ops[i].kind == 4) {
            t->ops[i].txn = arena_calloc(&d->a, 1, sizeof *t);
            naive_choose(d, ops[i]->request_txn, at, t->ops[i].txn);
        }
    }
}

static inline enum naive_error naive_precheck(struct driver *d, const struct want_txn *t,
                                              int64_t rev, int64_t compact)
{
    Etcdserverpb__RequestOp **ops = t->succeeded ? t->r->success : t->r->failure;
    enum naive_error e = NAIVE_OK;

    for (size_t i = 0; i < t->n && e == NAIVE_OK; i++) {
        if (t->ops[i].kind == 1 && ops[i]->request_range->revision != 0) {
            if (ops[i]->request_range->revision > rev)
                e = NAIVE_FUTURE;
            else if (ops[i]->request_range->revision < compact)
                e = NAIVE_COMPACTED;
        } else if (t->ops[i].kind == 2) {
            e = naive_check_lease(ops[i]->request_put, driver_lease_exists);
            if (e == NAIVE_OK)
                e = naive_check_key(&d->m, ops[i]->request_put);
        } else if (t->ops[i].kind == 4) {
            e = naive_precheck(d, t->ops[i].txn, rev, compact);
        }
    }
    return e;
}

static inline void naive_run(struct driver *d, struct want_txn *t)
{
    Etcdserverpb__RequestOp **ops = t->succeeded ? t->r->success : t->r->failure;

    for (size_t i = 0; i < t->n; i++) {
        struct want_op *w = &t->ops[i];
        const struct naive_rec *old;

        switch (w->kind) {
        case 1:
            w->range = naive_range(&d->m, ops[i]->request_range, naive_now(&d->m), d->m.compact);
            ASSERT(w->range.error == NAIVE_OK);
            break;
        case 2:
            old = naive_put(&d->m, ops[i]->request_put);
            w->old = old == NULL ? NULL : arena_dup(&d->a, old, sizeof *old);
            w->prev = ops[i]->request_put->prev_kv;
            break;
        case 3:
            w->deleted = naive_delete(&d->m, ops[i]->request_delete_range);
            w->prev = ops[i]->request_delete_range->prev_kv;
            break;
        default:
            naive_run(d, w->txn);
            break;
        }
        w->rev = naive_now(&d->m);
    }
}

static inline void same_txn(const Etcdserverpb__TxnResponse *x, const struct want_txn *t)
{
    ASSERT(x->succeeded == t->succeeded);
    ASSERT(x->n_responses == t->n);
    for (size_t i = 0; i < t->n; i++) {
        const struct want_op *w = &t->ops[i];
        const Etcdserverpb__ResponseOp *o = x->responses[i];

        ASSERT((int) o->response_case == w->kind);
        switch (w->kind) {
        case 1:
            same_range(o->response_range, &w->range);
            break;
        case 2:
            ASSERT(o->response_put->header->revision == w->rev);
            ASSERT((o->response_put->prev_kv != NULL) == (w->prev && w->old != NULL));
            if (o->response_put->prev_kv != NULL)
                same_kv(o->response_put->prev_kv, w->old, false, false);
            break;
        case 3:
            same_delete(o->response_delete_range, &w->deleted, w->prev, w->rev);
            break;
        default:
            ASSERT(o->response_txn->header != NULL);
            ASSERT(o->response_txn->header->revision == 0);
            same_txn(o->response_txn, w->txn);
            break;
        }
    }
}

static inline void step_txn(struct driver *d)
{
    Etcdserverpb__TxnRequest *r = take_txn(d, 0, false);
    struct want_txn want;
    struct mvcc_txn_result got;
    Etcdserverpb__TxnResponse *x;
    enum naive_error error;
    bool too_large, answer = chance(d, 224);
    enum api_error refused;
    int rc;

    ASSERT(mvcc_check_txn(r, MVCC_TXN_OPS_DEFAULT, &d->a, &refused) == 0);
    if (refused != API_OK && refused != API_DUPLICATE_KEY)
        return; /* the same key written twice is executed in order all the same */
    step_begin(d);
    naive_choose(d, r, d->m.rev, &want);
    error = naive_precheck(d, &want, d->m.rev, d->m.compact);
    if (error == NAIVE_OK)
        naive_run(d, &want);
    rc = mvcc_txn(d->kv, r, answer ? &d->a : NULL, &got, &too_large);
    ASSERT(rc == error_of(error));
    step_end(d);
    if (rc != 0 || !answer)
        return;
    ASSERT(!too_large);
    DECODE(d, txn_response, reply_bytes(d, mvcc_reply_txn(&got, &driver_header, &d->a)), &x);
    ASSERT(x->header->revision == d->m.rev);
    same_txn(x, &want);
}

static inline void check_txn_on(struct driver *d, const struct mvcc_view *v, int64_t rev,
                                int64_t compact)
{
    Etcdserverpb__TxnRequest *r = take_txn(d, 0, true);
    Etcdserverpb__RequestOp **ops;
    struct mvcc_txn_result got;
    struct want_txn want;
    Etcdserverpb__TxnResponse *x;
    enum naive_error error;
    int rc = mvcc_txn_read(v, r, &d->a, &got);

    ASSERT(mvcc_txn_is_read_only(r));
    naive_choose(d, r, rev, &want);
    error = naive_precheck(d, &want, rev, compact);
    ops = want.succeeded ? r->success : r->failure;
    for (size_t i = 0; i < want.n && error == NAIVE_OK; i++) {
        want.ops[i].range = naive_range(&d->m, ops[i]->request_range, rev, compact);
        error = want.ops[i].range.error;
    }
    ASSERT(rc == error_of(error));
    if (rc != 0)
        return;
    DECODE(d, txn_response, reply_bytes(d, mvcc_reply_txn(&got, &driver_header, &d->a)), &x);
    ASSERT(x->header->revision == rev);
    same_txn(x, &want);
}

/* ---- hash, compaction, commits, restarts ---- */

static inline void check_hash_on(struct driver *d, const struct mvcc_view *v, int64_t rev,
                                 int64_t compact)
{
    struct mvcc_hash_result stored[MVCC_COMPACT_HASHES], got;
    size_t n = mvcc_view_compact_hashes(v, stored);
    int64_t at = take_revision(d);
    struct mvcc_hash *h;
    bool done = false, vague;
    uint32_t want;
    int rc = mvcc_hash_begin(v, at, &h);

    for (size_t i = 0; i < n; i++) {
        if (stored[i].hash_revision != at)
            continue;
        ASSERT(rc == 0);
        mvcc_hash_result(h, &got);
        ASSERT(got.hash == stored[i].hash);
        mvcc_hash_end(h);
        return;
    }
    ASSERT(rc == (at > rev                 ? ERR_MVCC_FUTURE_REV
                  : at > 0 && at < compact ? ERR_MVCC_COMPACTED
                                           : 0));
    if (rc != 0)
        return;
    if (at < 0) { /* below everything: etcd's hash of nothing */
        mvcc_hash_end(h);
        return;
    }
    while (!done)
        ASSERT(mvcc_hash_step(h, 1 + take(d) % 7, &done) == 0);
    mvcc_hash_result(h, &got);
    want = naive_hash(&d->m, at == 0 ? rev : at, compact, &vague);
    ASSERT(vague || got.hash == want);
    ASSERT(got.compact_revision == compact);
    ASSERT(got.current_revision == rev);
    mvcc_hash_end(h);
}

static inline void step_compact(struct driver *d)
{
    int64_t at = take_revision(d);
    int rc = mvcc_compact(d->kv, at);

    ASSERT(rc == (at <= d->m.compact ? ERR_MVCC_COMPACTED
                  : at > d->m.rev    ? ERR_MVCC_FUTURE_REV
                                     : 0));
    if (rc == 0)
        d->m.compact = at;
    d->applied++;
    store_set_applied(d->store, d->applied, 1 + d->applied / 64);
}

static inline void step_seal(struct driver *d)
{
    struct err e = ERR_INIT;

    if (store_seal(d->store))
        d->sealed = (struct driver_mark){d->applied, d->m.rev, d->m.compact};
    if (chance(d, 200)) {
        ASSERT(store_commit(d->store, &e) == 0);
        d->committed = d->sealed;
    }
}

/* The hash that a finished compaction leaves behind, when the one before it had finished. */
static inline void check_compact_hash(struct driver *d, const struct mvcc_compaction_info *info)
{
    struct mvcc_hash_result stored[MVCC_COMPACT_HASHES];
    const struct mvcc_view *v;
    size_t n;

    mvcc_publish(d->kv);
    v = mvcc_view_pin(d->reader);
    n = mvcc_view_compact_hashes(v, stored);
    if (n > 0 && stored[n - 1].hash_revision == info->revision)
        ASSERT(stored[n - 1].hash ==
               naive_compact_hash(&d->m, info->revision, stored[n - 1].compact_revision));
    mvcc_view_unpin(v);
}

static inline void step_job(struct driver *d)
{
    struct mvcc_compaction_info info;
    struct err e = ERR_INIT;
    bool done;

    if (d->job == NULL) {
        d->job = mvcc_compaction_take(d->kv);
        if (d->job == NULL)
            return;
        store_seal(d->store);
        ASSERT(store_commit(d->store, &e) == 0);
        d->sealed = d->committed = (struct driver_mark){d->applied, d->m.rev, d->m.compact};
    }
    ASSERT(mvcc_compaction_step(d->job, 1 + take(d) % 9, &done, &e) == 0);
    if (!done)
        return;
    mvcc_compaction_info(d->job, &info);
    mvcc_compaction_end(d->kv, d->job, true);
    d->job = NULL;
    check_compact_hash(d, &info);
}

static inline void step_pin(struct driver *d)
{
    struct driver_pin *pin = &d->pins[take(d) % DRIVER_PINS];

    mvcc_publish(d->kv);
    mvcc_view_unpin(pin->view);
    *pin = (struct driver_pin){mvcc_view_pin(d->reader), d->m.rev, d->m.compact};
}

static inline void step_read(struct driver *d, unsigned kind)
{
    struct driver_pin *pin = &d->pins[take(d) % DRIVER_PINS];

    if (pin->view == NULL)
        step_pin(d);
    if (pin->view == NULL)
        return;
    if (kind == 0)
        check_range_on(d, pin->view, pin->rev, pin->compact);
    else if (kind == 1)
        check_stream_on(d, pin->view, pin->rev, pin->compact);
    else if (kind == 2)
        check_txn_on(d, pin->view, pin->rev, pin->compact);
    else
        check_hash_on(d, pin->view, pin->rev, pin->compact);
}

static inline void driver_open(struct driver *d)
{
    struct store_config cfg = {.disk = simdisk_disk(d->sim), .path = "db", .map_bytes = 1 << 26};
    struct mvcc_hooks hooks = {
        .ctx = d, .lease_exists = driver_lease_exists, .events = driver_events};
    struct err e = ERR_INIT;

    ASSERT(store_open(&cfg, &d->store, &e) == 0);
    ASSERT(mvcc_open(d->store, &hooks, &d->kv, &e) == 0);
    index_check(d->kv->index);
    d->reader = mvcc_reader_new(d->kv);
}

static inline void driver_unpin(struct driver *d)
{
    for (size_t i = 0; i < DRIVER_PINS; i++) {
        mvcc_view_unpin(d->pins[i].view);
        d->pins[i].view = NULL;
    }
}

static inline void driver_close(struct driver *d)
{
    mvcc_compaction_end(d->kv, d->job, false);
    d->job = NULL;
    driver_unpin(d);
    mvcc_reader_free(d->reader);
    ASSERT(mvcc_idle(d->kv));
    mvcc_close(d->kv);
    store_close(d->store);
}

/* Stops and starts again; after a crash what was committed is there, and nothing else. */
static inline void step_restart(struct driver *d, bool crash)
{
    struct err e = ERR_INIT;
    struct driver_mark now = {d->applied, d->m.rev, d->m.compact};

    if (!crash) {
        store_seal(d->store);
        ASSERT(store_commit(d->store, &e) == 0);
        d->committed = now;
    } else {
        simdisk_crash(d->sim, take(d) & 1 ? SIM_CRASH_TEAR : SIM_CRASH_DROP);
        now = d->committed;
    }
    driver_close(d);
    driver_open(d);
    d->sealed = d->committed = now;
    d->applied = now.applied;
    d->m.rev = now.rev;
    d->m.compact = now.compact;
    while (d->m.n > 0 && d->m.recs[d->m.n - 1].main > now.rev)
        d->m.n--;
    ASSERT(store_applied_index(d->store) == now.applied);
    ASSERT(mvcc_revision(d->kv) == now.rev);
    ASSERT(mvcc_compact_revision(d->kv) == now.compact);
}

static inline void driver_step(struct driver *d)
{
    unsigned b = take(d);

    if (b < 80)
        step_put(d);
    else if (b < 100)
        step_delete(d);
    else if (b < 104)
        step_delete_keys(d);
    else if (b < 130)
        step_txn(d);
    else if (b < 160)
        step_read(d, 0);
    else if (b < 168)
        step_read(d, 1);
    else if (b < 178)
        step_read(d, 2);
    else if (b < 186)
        step_read(d, 3);
    else if (b < 196)
        step_pin(d);
    else if (b < 202)
        mvcc_publish(d->kv);
    else if (b < 214)
        step_seal(d);
    else if (b < 222)
        step_compact(d);
    else if (b < 236)
        mvcc_compact_index_step(d->kv, 1 + take(d) % 5);
    else if (b < 250)
        step_job(d);
    else if (b < 253)
        step_restart(d, false);
    else
        step_restart(d, true);
    arena_reset(&d->a);
}

static inline void driver_run(const uint8_t *p, size_t n, uint64_t seed,
                              void (*step)(struct driver *))
{
    struct driver *d = xmem_calloc(1, sizeof *d);

    d->p = p;
    d->n = n;
    d->sim = simdisk_new(seed);
    arena_init(&d->a, SIZE_MAX);
    naive_init(&d->m);
    driver_open(d);
    d->sealed = d->committed = (struct driver_mark){0, 1, -1};
    while (d->n > 0 && d->m.n < NAIVE_RECS_MAX / 2) {
        step(d);
        index_check(d->kv->index);
    }
    driver_close(d);
    naive_done(&d->m);
    arena_done(&d->a);
    simdisk_free(d->sim);
    mem_free(d);
}

#endif
