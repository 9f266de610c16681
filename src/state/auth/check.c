/* check.c -- who may do what, asked of a view (etcd's isOpPermitted, IsAdminPermitted, and
 * checkTxnPermission of its apply layer).
 */
#include "state/auth/auth_int.h"

bool auth_view_on(const struct auth_view *v)
{
    return v->on;
}

uint64_t auth_view_revision(const struct auth_view *v)
{
    return v->revision;
}

bool auth_view_login(const struct auth_view *v, struct bytes user, struct auth_login *ret)
{
    const struct auth_user *u = auth__user(v, user);

    if (u == NULL)
        return false;
    *ret = (struct auth_login){u->password, u->no_password};
    return true;
}

/* ---- keys ---- */

static bool allowed(const struct auth_user *u, enum auth_access access, struct bytes key,
                    struct bytes range_end)
{
    const struct auth_spans *s = &u->allowed[access];

    /* A range that ends before it begins holds no key; etcd then looks at the first one alone. */
    if (range_end.n == 0 || (!auth__is_open(range_end) && bytes_cmp(key, range_end) >= 0))
        return auth__spans_have(s, key);
    return auth__spans_cover(s, key, range_end);
}

enum api_error auth_check_range(const struct auth_view *v, const struct auth_who *w,
                                enum auth_access access, struct bytes key, struct bytes range_end)
{
    const struct auth_user *u;

    if (!v->on)
        return API_OK;
    if (w->revision == 0)
        return API_USER_EMPTY;
    if (w->revision < v->revision)
        return API_AUTH_OLD_REVISION;
    u = auth__user(v, w->user);
    if (u == NULL)
        return API_PERMISSION_DENIED;
    return u->root || allowed(u, access, key, range_end) ? API_OK : API_PERMISSION_DENIED;
}

enum api_error auth_check_admin(const struct auth_view *v, const struct auth_who *w)
{
    const struct auth_user *u;

    if (!v->on)
        return API_OK;
    if (w->user.n == 0)
        return API_USER_EMPTY;
    u = auth__user(v, w->user);
    if (u == NULL)
        return API_USER_NOT_FOUND;
    return u->root ? API_OK : API_PERMISSION_DENIED;
}

enum api_error auth_check_known(const struct auth_view *v, const struct auth_who *w)
{
    return v->on && !w->known ? API_USER_EMPTY : API_OK;
}

/* ---- leases ---- */

struct lease_check {
    const struct auth_view *view;
    const struct auth_who *who;
    enum auth_access access;
    enum api_error err;
};

static bool check_key(void *to, struct bytes key)
{
    struct lease_check *c = to;

    c->err = auth_check_range(c->view, c->who, c->access, key, BYTES_EMPTY);
    return c->err == API_OK;
}

enum api_error auth_check_lease(const struct auth_view *v, const struct auth_who *w,
                                const struct auth_leases *leases, int64_t lease,
                                enum auth_access access)
{
    struct lease_check c = {v, w, access, API_OK};

    if (auth_check_admin(v, w) != API_OK)
        leases->keys(leases->ctx, lease, check_key, &c);
    return c.err;
}

/* ---- requests ---- */

enum api_error auth_check_put(const struct auth_view *v, const struct auth_who *w,
                              const struct auth_leases *leases, const Etcdserverpb__PutRequest *r)
{
    struct bytes key = wire_bytes(r->key);
    enum api_error err;

    if (!v->on)
        return API_OK;
    err = auth_check_range(v, w, AUTH_WRITE, key, BYTES_EMPTY);
    if (err == API_OK && r->lease != 0)
        err = auth_check_lease(v, w, leases, r->lease, AUTH_WRITE);
    if (err == API_OK && r->prev_kv)
        err = auth_check_range(v, w, AUTH_READ, key, BYTES_EMPTY);
    return err;
}

enum api_error auth_check_delete(const struct auth_view *v, const struct auth_who *w,
                                 const Etcdserverpb__DeleteRangeRequest *r)
{
    struct bytes key = wire_bytes(r->key), end = wire_bytes(r->range_end);
    enum api_error err = auth_check_range(v, w, AUTH_WRITE, key, end);

    if (err == API_OK && r->prev_kv)
        err = auth_check_range(v, w, AUTH_READ, key, end);
    return err;
}

/* Inside of a transaction the right to read comes first: with neither, the answer is the same. */
static enum api_error check_op(const struct auth_view *v, const struct auth_who *w,
                               const struct auth_leases *leases, const Etcdserverpb__RequestOp *op)
{
    switch (op->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
        return auth_check_range(v, w, AUTH_READ, wire_bytes(op->request_range->key),
                                wire_bytes(op->request_range->range_end));
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        return auth_check_put(v, w, leases, op->request_put);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        return auth_check_delete(v, w, op->request_delete_range);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        return auth_check_txn(v, w, leases, op->request_txn);
    default:
        return API_OK;
    }
}

static enum api_error check_ops(const struct auth_view *v, const struct auth_who *w,
                                const struct auth_leases *leases, Etcdserverpb__RequestOp **ops,
                                size_t n)
{
    enum api_error err = API_OK;

    for (size_t i = 0; i < n && err == API_OK; i++)
        err = check_op(v, w, leases, ops[i]);
    return err;
}

enum api_error auth_check_txn(const struct auth_view *v, const struct auth_who *w,
                              const struct auth_leases *leases, const Etcdserverpb__TxnRequest *r)
{
    enum api_error err = API_OK;

    if (!v->on)
        return API_OK;
    for (size_t i = 0; i < r->n_compare && err == API_OK; i++)
        err = auth_check_range(v, w, AUTH_READ, wire_bytes(r->compare[i]->key),
                               wire_bytes(r->compare[i]->range_end));
    if (err == API_OK)
        err = check_ops(v, w, leases, r->success, r->n_success);
    return err == API_OK ? check_ops(v, w, leases, r->failure, r->n_failure) : err;
}
