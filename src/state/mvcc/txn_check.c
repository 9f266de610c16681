/* txn_check.c -- what is decided on the state before a transaction: which branches its guards
 * choose, and whether every operation on the chosen path can be done. */
#include "state/mvcc/mvcc_int.h"
#include "wire/wire.h"

typedef Etcdserverpb__Compare compare;
typedef Etcdserverpb__TxnRequest txn_request;

size_t txn_ops(const txn_request *r, bool succeeded, Etcdserverpb__RequestOp ***ret_ops)
{
    *ret_ops = succeeded ? r->success : r->failure;
    return succeeded ? r->n_success : r->n_failure;
}

/* ---- guards ---- */

static int cmp_i64(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

/* An unknown relation holds. */
static bool relation_holds(int relation, int order)
{
    switch (relation) {
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL:
        return order == 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL:
        return order != 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER:
        return order > 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS:
        return order < 0;
    default:
        return true;
    }
}

/* The given number; 0 when the union holds something else than the target says. */
static int64_t given_number(const compare *c)
{
    switch (c->target) {
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION:
        return c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION ? c->version : 0;
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE:
        return c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION
                   ? c->create_revision
                   : 0;
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD:
        return c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION
                   ? c->mod_revision
                   : 0;
    default:
        return c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE ? c->lease : 0;
    }
}

static struct bytes given_value(const compare *c)
{
    return c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE ? wire_bytes(c->value)
                                                                             : BYTES_EMPTY;
}

/* How what is stored (`e` NULL: nothing, all numbers 0) orders against what is given. */
static int compare_order(const struct kv_state *st, const compare *c, const struct key_entry *e)
{
    struct kv_fields f = {.key = BYTES_EMPTY};

    ASSERT(e == NULL || entry_is_live(e));
    if (e != NULL) {
        f.version = entry_version(e);
        f.create_main = entry_create_main(e);
        f.mod_main = e->mod_main;
        if (c->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE ||
            c->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE)
            kv_decode_stored(state_value(st, e->mod_main, entry_mod(e).sub), &f);
    }
    switch (c->target) {
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION:
        return cmp_i64(f.version, given_number(c));
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE:
        return cmp_i64(f.create_main, given_number(c));
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD:
        return cmp_i64(f.mod_main, given_number(c));
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE:
        return bytes_cmp(f.value, given_value(c));
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE:
        return cmp_i64(f.lease, given_number(c));
    default:
        return 0; /* an unknown target compares equal */
    }
}

static bool holds_without_key(const struct kv_state *st, const compare *c)
{
    /* A value cannot be compared with one that does not exist, not even as unequal. */
    if (c->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE)
        return false;
    return relation_holds((int) c->result, compare_order(st, c, NULL));
}

static bool compare_holds(const struct kv_state *st, const compare *c)
{
    struct key_range g = key_range_of(wire_bytes(c->key), wire_bytes(c->range_end));
    const struct key_entry *e;
    struct index_cursor cur;
    bool any = false;

    ASSERT(c->key.len > 0);
    if (g.single) {
        e = state_live(st, g.key);
        return e == NULL ? holds_without_key(st, c)
                         : relation_holds((int) c->result, compare_order(st, c, e));
    }
    for (index_seek(&cur, st->root, g.key, true);; index_cursor_next(&cur)) {
        e = index_cursor_entry(&cur);
        if (e == NULL || key_range_passed(&g, entry_key(e)))
            break;
        if (!entry_is_live(e))
            continue;
        any = true;
        if (!relation_holds((int) c->result, compare_order(st, c, e)))
            return false;
    }
    return any || holds_without_key(st, c);
}

static bool guards_hold(const struct kv_state *st, const txn_request *r)
{
    for (size_t i = 0; i < r->n_compare; i++)
        if (!compare_holds(st, r->compare[i]))
            return false;
    return true;
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
