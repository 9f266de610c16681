/* txn.c -- transactions on the apply thread.  Those that only read: txn_read.c. */
#include "state/mvcc/mvcc_int.h"
#include "wire/wire.h"

typedef Etcdserverpb__TxnRequest txn_request;

static void apply_ops(struct mvcc *kv, const txn_request *r, const struct txn_path *path,
                      struct answer *an, struct mvcc_txn_result *ret);

static void apply_put_traced(struct mvcc *kv, const Etcdserverpb__PutRequest *r, struct answer *an,
                             struct mvcc_put_result *ret)
{
    trace_op_begin(kv->trace);
    mvcc__apply_put(kv, r, an, ret);
    trace_step(kv->trace, TRACE_STORE);
    trace_op_end(kv->trace);
    if (r->prev_kv || r->ignore_value || r->ignore_lease)
        trace_count(kv->trace, 1); /* the check of the transaction has looked before, too */
}

static void apply_op(struct mvcc *kv, const Etcdserverpb__RequestOp *op,
                     const struct txn_path **nested, struct answer *an, struct mvcc_op_result *ret)
{
    int rc;

    ASSERT(kv->txn.active);
    switch (op->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
        ret->op = MVCC_OP_RANGE;
        trace_op_begin(kv->trace);
        rc = mvcc__apply_range(kv, op->request_range, an, &ret->range);
        trace_op_end(kv->trace);
        /* The checks before have passed: members that differ here would differ for good. */
        ASSERT(rc == 0);
        break;
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        ret->op = MVCC_OP_PUT;
        apply_put_traced(kv, op->request_put, an, &ret->put);
        break;
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        ret->op = MVCC_OP_DELETE;
        mvcc__apply_delete_range(kv, op->request_delete_range, an, &ret->del);
        if (op->request_delete_range->prev_kv) {
            trace_step(kv->trace, TRACE_RECORDS);
            trace_count(kv->trace, ret->del.deleted > 0 ? 2 : 1);
        }
        break;
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        ret->op = MVCC_OP_TXN;
        apply_ops(kv, op->request_txn, (*nested)++, an, &ret->txn);
        break;
    default:
        UNREACHABLE(); /* refused before it was proposed */
    }
}

static void apply_ops(struct mvcc *kv, const txn_request *r, const struct txn_path *path,
                      struct answer *an, struct mvcc_txn_result *ret)
{
    const struct txn_path *nested = path->nested;
    Etcdserverpb__RequestOp **ops;
    size_t n = txn_ops(r, path->succeeded, &ops);

    *ret = (struct mvcc_txn_result){.succeeded = path->succeeded};
    ret->responses = n == 0 ? NULL : answer_alloc(an, n, sizeof ret->responses[0]);
    ret->responses_n = ret->responses == NULL ? 0 : n;
    for (size_t i = 0; i < n; i++) {
        struct mvcc_op_result unwanted;

        apply_op(kv, ops[i], &nested, an, ret->responses == NULL ? &unwanted : &ret->responses[i]);
    }
}

/* An operation that holds no request can come only from another program's log: nothing of it is
 * done. */
static bool ops_known(Etcdserverpb__RequestOp **ops, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const Etcdserverpb__RequestOp *op = ops[i];

        if (op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST__NOT_SET)
            return false;
        if (op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN &&
            (!ops_known(op->request_txn->success, op->request_txn->n_success) ||
             !ops_known(op->request_txn->failure, op->request_txn->n_failure)))
            return false;
    }
    return true;
}

int mvcc_txn(struct mvcc *kv, const txn_request *r, struct arena *a, struct mvcc_txn_result *ret,
             bool *ret_too_large)
{
    struct answer an = {.arena = a};
    struct arena scratch;
    struct txn_path *path;
    struct store_view sv;
    struct kv_state st = mvcc__now(kv, &sv);
    int rc;

    if (!ops_known(r->success, r->n_success) || !ops_known(r->failure, r->n_failure))
        return ERR_MVCC_KEY_NOT_FOUND;
    arena_init(&scratch, SIZE_MAX);
    path = txn_choose(&st, r, &scratch);
    if (NEVER(path == NULL))
        assert_fail(__FILE__, __LINE__, "out of memory for a transaction");
    if (r->n_compare > 0)
        trace_step(kv->trace, TRACE_COMPARE);
    rc = txn_check(&st, &kv->hooks, r, path);
    if (rc == 0) {
        trace_count(kv->trace, 2); /* compare, check requests */
        mvcc__txn_begin(kv);
        apply_ops(kv, r, path, &an, ret);
        ret->revision = mvcc__txn_revision(kv);
        ASSERT(ret->succeeded == path->succeeded);
        mvcc__txn_end(kv);
        *ret_too_large = an.too_large;
    }
    arena_done(&scratch);
    return rc;
}
