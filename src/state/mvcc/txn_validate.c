/* txn_validate.c -- what can be refused from a request alone, in etcd's order of checks. */
#include "state/mvcc/mvcc_check.h"

#include "base/err.h"
#include "wire/wire.h"

#define PUT_OVERHEAD_BYTES 256 /* what the quota counts for a put beside key and value */

typedef Etcdserverpb__RequestOp request_op;
typedef Etcdserverpb__TxnRequest txn_request;

enum api_error mvcc_check_range(const Etcdserverpb__RangeRequest *r)
{
    if (r->key.len == 0)
        return API_EMPTY_KEY;
    if ((int) r->sort_order < ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE ||
        (int) r->sort_order > ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND)
        return API_INVALID_SORT_OPTION;
    if ((int) r->sort_target < ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY ||
        (int) r->sort_target > ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE)
        return API_INVALID_SORT_OPTION;
    return API_OK;
}

const char *mvcc_check_range_stream(const Etcdserverpb__RangeRequest *r)
{
    bool in_key_order = r->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE ||
                        (r->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND &&
                         r->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY);

    if (!in_key_order)
        return "RangeStream does not support custom sort orders";
    if (r->min_mod_revision != 0 || r->max_mod_revision != 0 || r->min_create_revision != 0 ||
        r->max_create_revision != 0)
        return "RangeStream does not support revision filters";
    return NULL;
}

enum api_error mvcc_check_put(const Etcdserverpb__PutRequest *r)
{
    if (r->key.len == 0)
        return API_EMPTY_KEY;
    if (r->ignore_value && r->value.len != 0)
        return API_VALUE_PROVIDED;
    if (r->ignore_lease && r->lease != 0)
        return API_LEASE_PROVIDED;
    return API_OK;
}

enum api_error mvcc_check_delete_range(const Etcdserverpb__DeleteRangeRequest *r)
{
    return r->key.len == 0 ? API_EMPTY_KEY : API_OK;
}

/* ---- transactions: each operation by its own rules ---- */

static enum api_error check_ops(const txn_request *r, uint64_t ops_max);

static enum api_error check_list(request_op **ops, size_t n, uint64_t ops_max)
{
    enum api_error rc = API_OK;

    for (size_t i = 0; i < n && rc == API_OK; i++) {
        switch (ops[i]->request_case) {
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
            rc = mvcc_check_range(ops[i]->request_range);
            break;
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
            rc = mvcc_check_put(ops[i]->request_put);
            break;
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
            rc = mvcc_check_delete_range(ops[i]->request_delete_range);
            break;
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
            rc = check_ops(ops[i]->request_txn, ops_max);
            break;
        default:
            rc = API_KEY_NOT_FOUND;
            break;
        }
    }
    return rc;
}

/* What a nested transaction may have is what its parent leaves of its own allowance. */
static enum api_error check_ops(const txn_request *r, uint64_t ops_max)
{
    uint64_t n = MAX(r->n_compare, MAX(r->n_success, r->n_failure));
    enum api_error rc;

    if (n > ops_max)
        return API_TOO_MANY_OPS;
    for (size_t i = 0; i < r->n_compare; i++)
        if (r->compare[i]->key.len == 0)
            return API_EMPTY_KEY;
    rc = check_list(r->success, r->n_success, ops_max - n);
    return rc == API_OK ? check_list(r->failure, r->n_failure, ops_max - n) : rc;
}

/* ---- transactions: no key is written twice ----
 *
 * As etcd checks it: the deletes of a list first; then, nested transaction by nested transaction,
 * its puts against all puts and deletes met so far, then its deletes are met; then the list's own
 * puts.  So a put in one nested transaction and a delete of the same key in a later one pass, as
 * they do there. Deletes from a key on (range_end one zero byte) cover nothing here, as there. */

/* [begin, end), or with end itself when `closed`. */
struct interval {
    struct bytes begin;
    struct bytes end;
    bool closed;
};

/* What a list writes.  Both arrays have room for all that the list and those nested in it can add,
 * and all work on them is by merging, so that the cost stays near linear for any request. */
struct writes {
    struct bytes *puts; /* ascending */
    size_t puts_n;
    struct interval *dels; /* ascending, apart from each other */
    size_t dels_n;
};

struct overlap {
    struct arena *a;
    bool no_memory;
};

static void count_list(request_op **ops, size_t n, size_t *puts, size_t *dels)
{
    for (size_t i = 0; i < n; i++) {
        const request_op *op = ops[i];

        *puts += op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        *dels += op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        if (op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN) {
            count_list(op->request_txn->success, op->request_txn->n_success, puts, dels);
            count_list(op->request_txn->failure, op->request_txn->n_failure, puts, dels);
        }
    }
}

static bool writes_init(struct overlap *o, request_op **ops, size_t n, struct writes *w)
{
    size_t puts = 0, dels = 0;

    count_list(ops, n, &puts, &dels);
    *w = (struct writes){0};
    w->puts = arena_alloc(o->a, (puts + 1) * sizeof *w->puts);
    w->dels = arena_alloc(o->a, (dels + 1) * sizeof *w->dels);
    o->no_memory |= w->puts == NULL || w->dels == NULL;
    return !o->no_memory;
}

static bool puts_have(const struct writes *w, struct bytes key)
{
    size_t lo = 0, hi = w->puts_n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (bytes_cmp(w->puts[mid], key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    ASSERT(lo <= w->puts_n);
    return lo < w->puts_n && bytes_eq(w->puts[lo], key);
}

/* From the back, so that nothing is overwritten before it has moved. */
static void puts_merge(struct writes *w, const struct bytes *keys, size_t n)
{
    size_t i = w->puts_n, out = w->puts_n + n;

    w->puts_n = out;
    ASSERT(n == 0 || keys != NULL);
    while (n > 0) {
        if (i > 0 && bytes_cmp(w->puts[i - 1], keys[n - 1]) > 0)
            w->puts[--out] = w->puts[--i];
        else
            w->puts[--out] = keys[--n];
    }
}

/* The intervals after [0, at) that reach into or touch the one before melt into it. */
static void dels_coalesce(struct writes *w)
{
    size_t out = 0;

    for (size_t i = 1; i < w->dels_n; i++) {
        struct interval *last = &w->dels[out], *d = &w->dels[i];
        int c;

        if (bytes_cmp(d->begin, last->end) > 0) {
            w->dels[++out] = *d;
            continue;
        }
        c = bytes_cmp(d->end, last->end);
        if (c > 0 || (c == 0 && d->closed)) {
            last->end = d->end;
            last->closed = d->closed;
        }
    }
    ASSERT(w->dels_n == 0 || out < w->dels_n);
    w->dels_n = w->dels_n == 0 ? 0 : out + 1;
}

static void dels_merge(struct writes *w, const struct interval *dels, size_t n)
{
    size_t i = w->dels_n, out = w->dels_n + n;

    w->dels_n = out;
    while (n > 0) {
        if (i > 0 && bytes_cmp(w->dels[i - 1].begin, dels[n - 1].begin) > 0)
            w->dels[--out] = w->dels[--i];
        else
            w->dels[--out] = dels[--n];
    }
    dels_coalesce(w);
}

static void dels_add(struct writes *w, const Etcdserverpb__DeleteRangeRequest *r)
{
    struct interval d = {.begin = wire_bytes(r->key), .end = wire_bytes(r->range_end)};

    if (d.end.n == 0) {
        d.end = d.begin;
        d.closed = true;
    } else if (bytes_cmp(d.end, d.begin) <= 0) {
        return; /* also the one zero byte: covers nothing */
    }
    dels_merge(w, &d, 1);
}

static bool dels_cover(const struct writes *w, struct bytes key)
{
    size_t lo = 0, hi = w->dels_n;
    int c;

    while (lo < hi) { /* the first that begins behind key */
        size_t mid = lo + (hi - lo) / 2;

        if (bytes_cmp(w->dels[mid].begin, key) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0)
        return false;
    ASSERT(bytes_cmp(w->dels[lo - 1].begin, key) <= 0);
    c = bytes_cmp(key, w->dels[lo - 1].end);
    return c < 0 || (c == 0 && w->dels[lo - 1].closed);
}

static bool check_overlap(struct overlap *o, request_op **ops, size_t n, struct writes *ret);

/* The puts of a nested transaction; `other`, those of its first branch, may be repeated by the
 * second, for only one of the two is executed. */
static bool puts_may_join(const struct writes *w, const struct writes *nested,
                          const struct writes *other)
{
    for (size_t i = 0; i < nested->puts_n; i++) {
        struct bytes key = nested->puts[i];

        if (puts_have(w, key) && (other == NULL || !puts_have(other, key)))
            return false;
        if (dels_cover(w, key))
            return false;
    }
    return true;
}

static bool check_nested(struct overlap *o, const txn_request *r, struct writes *w)
{
    struct writes then, otherwise;

    if (!check_overlap(o, r->success, r->n_success, &then) ||
        !check_overlap(o, r->failure, r->n_failure, &otherwise))
        return false;
    if (!puts_may_join(w, &then, NULL))
        return false;
    puts_merge(w, then.puts, then.puts_n);
    if (!puts_may_join(w, &otherwise, &then))
        return false;
    puts_merge(w, otherwise.puts, otherwise.puts_n);
    dels_merge(w, then.dels, then.dels_n);
    dels_merge(w, otherwise.dels, otherwise.dels_n);
    return true;
}

/* False: a key is written twice (or o->no_memory). */
static bool check_overlap(struct overlap *o, request_op **ops, size_t n, struct writes *ret)
{
    if (!writes_init(o, ops, n, ret))
        return false;
    for (size_t i = 0; i < n; i++)
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE)
            dels_add(ret, ops[i]->request_delete_range);
    for (size_t i = 0; i < n; i++)
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN &&
            !check_nested(o, ops[i]->request_txn, ret))
            return false;
    for (size_t i = 0; i < n; i++) {
        struct bytes key;

        if (ops[i]->request_case != ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT)
            continue;
        key = wire_bytes(ops[i]->request_put->key);
        if (puts_have(ret, key) || dels_cover(ret, key))
            return false;
        puts_merge(ret, &key, 1);
    }
    return true;
}

int mvcc_check_txn(const txn_request *r, uint32_t ops_max, struct arena *a,
                   enum api_error *ret_error)
{
    struct overlap o = {.a = a};
    size_t puts = 0, dels = 0;
    struct writes w;

    *ret_error = check_ops(r, ops_max);
    if (*ret_error != API_OK)
        return 0;
    count_list(r->success, r->n_success, &puts, &dels);
    count_list(r->failure, r->n_failure, &puts, &dels);
    if (puts == 0)
        return 0;
    if (!check_overlap(&o, r->success, r->n_success, &w) ||
        !check_overlap(&o, r->failure, r->n_failure, &w)) {
        if (o.no_memory)
            return ERR_NOMEM;
        *ret_error = API_DUPLICATE_KEY;
    }
    return 0;
}

/* ---- what kind of transaction ---- */

static bool all_ranges(request_op **ops, size_t n, bool serializable)
{
    for (size_t i = 0; i < n; i++) {
        if (ops[i]->request_case != ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE)
            return false;
        if (serializable && !ops[i]->request_range->serializable)
            return false;
    }
    return true;
}

bool mvcc_txn_is_read_only(const txn_request *r)
{
    return all_ranges(r->success, r->n_success, false) &&
           all_ranges(r->failure, r->n_failure, false);
}

bool mvcc_txn_is_serializable(const txn_request *r)
{
    return all_ranges(r->success, r->n_success, true) && all_ranges(r->failure, r->n_failure, true);
}

uint64_t mvcc_put_cost(const Etcdserverpb__PutRequest *r)
{
    return PUT_OVERHEAD_BYTES + r->key.len + r->value.len;
}

static uint64_t list_cost(request_op **ops, size_t n)
{
    uint64_t cost = 0;

    for (size_t i = 0; i < n; i++) {
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT)
            cost += mvcc_put_cost(ops[i]->request_put);
        else if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN)
            cost += mvcc_txn_cost(ops[i]->request_txn);
    }
    return cost;
}

uint64_t mvcc_txn_cost(const txn_request *r)
{
    uint64_t then = list_cost(r->success, r->n_success);
    uint64_t otherwise = list_cost(r->failure, r->n_failure);

    return MAX(then, otherwise);
}
