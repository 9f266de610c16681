/* txn_check.c -- what is decided on the state before a transaction: which branches its guards
 * choose (txn_guard.c), and whether every operation on the chosen path can be done. */
#include "state/mvcc/txn_int.h"
#include "wire/wire.h"

typedef Etcdserverpb__TxnRequest txn_request;

size_t txn_ops(const txn_request *r, bool succeeded, Etcdserverpb__RequestOp ***ret_ops)
{
    *ret_ops = succeeded ? r->success : r->failure;
    return succeeded ? r->n_success : r->n_failure;
}

/* ---- which branches ---- */

/* Whole: the apply thread does nothing else meanwhile. */
static bool guards_hold(const struct kv_state *st, const txn_request *r)
{
    uint64_t units = UINT64_MAX;
    struct txn_guards g;
    bool hold = false;

    txn_guards_begin(&g, st, r);
    while (!txn_guards_step(&g, &units, &hold))
        units = UINT64_MAX;
    return hold;
}

static size_t count_nested(Etcdserverpb__RequestOp **ops, size_t n)
{
    size_t nested = 0;

    for (size_t i = 0; i < n; i++)
        nested += ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    return nested;
}

static bool choose(const struct kv_state *st, const txn_request *r, struct arena *a,
                   struct txn_path *ret)
{
    Etcdserverpb__RequestOp **ops;
    size_t n, nested, at = 0;

    ret->succeeded = guards_hold(st, r);
    ret->nested = NULL;
    n = txn_ops(r, ret->succeeded, &ops);
    nested = count_nested(ops, n);
    if (nested == 0)
        return true;
    ret->nested = arena_calloc(a, nested, sizeof *ret->nested);
    if (ret->nested == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN &&
            !choose(st, ops[i]->request_txn, a, &ret->nested[at++]))
            return false;
    ASSERT(at == nested);
    return true;
}

struct txn_path *txn_choose(const struct kv_state *st, const txn_request *r, struct arena *a)
{
    struct txn_path *path = arena_calloc(a, 1, sizeof *path);

    return path != NULL && choose(st, r, a, path) ? path : NULL;
}

/* ---- operations ---- */

/* Unlike a range on its own, a negative revision is taken at its word. */
static int check_range(const struct kv_state *st, const Etcdserverpb__RangeRequest *r)
{
    if (r->revision == 0)
        return 0;
    if (r->revision > st->revision)
        return ERR_MVCC_FUTURE_REV;
    return r->revision < st->compact_revision ? ERR_MVCC_COMPACTED : 0;
}

static int check_put(const struct kv_state *st, const struct mvcc_hooks *hooks,
                     const Etcdserverpb__PutRequest *r)
{
    int rc = put_check_lease(hooks, r); /* first: as in 3.7 */

    ASSERT(r->key.len > 0);
    return rc == 0 ? put_check_key(st, r) : rc;
}

int txn_check(const struct kv_state *st, const struct mvcc_hooks *hooks, const txn_request *r,
              const struct txn_path *path)
{
    const struct txn_path *nested = path->nested;
    Etcdserverpb__RequestOp **ops;
    size_t n = txn_ops(r, path->succeeded, &ops);
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        switch (ops[i]->request_case) {
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
            rc = check_range(st, ops[i]->request_range);
            break;
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
            rc = check_put(st, hooks, ops[i]->request_put);
            break;
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
            rc = txn_check(st, hooks, ops[i]->request_txn, nested++);
            break;
        default:
            break;
        }
    }
    return rc;
}
