/* kv_driver_txn.h -- what the naive key space answers to a transaction, and the comparison with
 * what the real one did. */
#ifndef KETCH_TESTS_KV_DRIVER_TXN_H
#define KETCH_TESTS_KV_DRIVER_TXN_H

#include "kv_driver_same.h"

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

#endif
