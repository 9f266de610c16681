/* auth.c -- users and roles: their requests in the log, and who may have an entry executed (etcd's
 * authApplierV3).
 *
 * The check here decides: it looks at nothing but the entry's header and what the log has made of
 * users and leases, so that every member comes to the same answer.  What it refuses counts as
 * applied all the same.
 */
#include "node/apply/auth_lines.h"
#include "node/open.h"
#include "sys/password.h"

#define PASSWORD_COST_OLD PASSWORD_COST_DEFAULT

typedef Etcdserverpb__InternalRaftRequest Request;

/* ---- life ---- */

/* An entry from before 3.5 holds the password itself. */
static bool hash_password(void *ctx, const char *password, char ret[AUTH_HASH_BYTES_MAX])
{
    struct node *n = ctx;
    uint64_t salt[2] = {random_u64(n->env.random), random_u64(n->env.random)};

    return password_hash(password, PASSWORD_COST_OLD, (const uint8_t *) salt, ret);
}

int node__open_auth(struct node *n, struct err *e)
{
    struct apply_actor *a = &n->apply;
    struct auth_config cfg = {
        .simple_tokens = n->cfg.simple_tokens,
        .token_ttl_ns = n->cfg.token_ttl_ns,
        .hash_seed = {random_u64(n->env.random), random_u64(n->env.random)},
        .hash_password = hash_password,
        .ctx = n,
    };
    int rc;

    if (a->auth == NULL)
        return auth_open(&cfg, a->store, &a->auth, e);
    rc = auth_reload(a->auth, a->store, e);
    if (rc == 0)
        auth_publish(a->auth); /* before the keys that came with it */
    return rc;
}

struct auth_store *node_auth(struct node *n)
{
    return n->apply.auth;
}

void node__auth_publish(struct node *n)
{
    auth_expire_tokens(n->apply.auth, n->apply.now);
    auth_publish(n->apply.auth);
}

void node__auth_as_root(struct node *n, struct node_request *r)
{
    const struct auth_view *v = auth_now(n->apply.auth);

    if (!auth_view_on(v))
        return;
    r->username = AUTH_ROOT;
    r->auth_revision = auth_view_revision(v);
}

/* ---- may it be executed? ---- */

static void keys_of_lease(void *ctx, int64_t lease, bool (*fn)(void *to, struct bytes key),
                          void *to)
{
    struct node *n = ctx;

    lease_walk_keys(n->apply.lessor, lease, fn, to);
}

/* For the check of one request, which looks at each lease once. */
static struct auth_leases leases_of(struct node *n)
{
    lease_walk_begin(n->apply.lessor);
    return (struct auth_leases){keys_of_lease, n};
}

static bool needs_admin(const Request *r)
{
    return r->auth_enable != NULL || r->auth_disable != NULL || r->auth_user_add != NULL ||
           r->auth_user_delete != NULL || r->auth_user_change_password != NULL ||
           r->auth_user_grant_role != NULL || r->auth_user_revoke_role != NULL ||
           r->auth_role_add != NULL || r->auth_role_grant_permission != NULL ||
           r->auth_role_revoke_permission != NULL || r->auth_role_delete != NULL ||
           r->auth_user_list != NULL || r->auth_role_list != NULL;
}

/* Nobody for an entry without a header. */
static struct auth_who who_of(const Request *r)
{
    if (r->header == NULL)
        return (struct auth_who){0};
    return (struct auth_who){true, bytes_str(r->header->username), r->header->auth_revision};
}

/* One's own user and the roles one holds may be looked at. */
static enum api_error check_question(struct node *n, const Request *r, const struct auth_who *w)
{
    enum api_error err = auth_check_admin(auth_now(n->apply.auth), w);

    if (err == API_OK)
        return err;
    if (r->auth_user_get != NULL)
        return bytes_eq(bytes_str(r->auth_user_get->name), w->user) ? API_OK : err;
    return auth_user_has_role(n->apply.auth, w->user, r->auth_role_get->role) ? API_OK : err;
}

enum api_error node__auth_refuses(struct node *n, const Request *r)
{
    const struct auth_view *v = auth_now(n->apply.auth);
    struct auth_leases leases;
    struct auth_who w;

    if (!auth_view_on(v))
        return API_OK;
    w = who_of(r);
    leases = leases_of(n);
    if (r->put != NULL)
        return auth_check_put(v, &w, &leases, r->put);
    if (r->delete_range != NULL)
        return auth_check_delete(v, &w, r->delete_range);
    if (r->txn != NULL)
        return auth_check_txn(v, &w, &leases, r->txn);
    if (r->lease_revoke != NULL)
        return auth_check_lease(v, &w, &leases, r->lease_revoke->id, AUTH_WRITE);
    if (r->auth_user_get != NULL || r->auth_role_get != NULL)
        return check_question(n, r, &w);
    return needs_admin(r) ? auth_check_admin(v, &w) : API_OK;
}

/* ---- questions about leases, which pass no log ---- */

static struct auth_who who_asks(const struct node_request *r)
{
    if (r->username == NULL)
        return (struct auth_who){0};
    return (struct auth_who){true, bytes_str(r->username), r->auth_revision};
}

struct lease_question {
    const struct auth_view *view;
    const struct auth_who *who;
    const struct auth_leases *leases;
    enum api_error err;
};

static bool check_one_lease(void *ctx, lease_id id)
{
    struct lease_question *q = ctx;

    q->err = auth_check_lease(q->view, q->who, q->leases, id, AUTH_READ);
    return q->err == API_OK;
}

static enum api_error check_all_leases(struct node *n, const struct auth_who *w,
                                       const struct auth_leases *leases)
{
    struct lease_question q = {auth_now(n->apply.auth), w, leases, API_OK};

    if (auth_check_admin(q.view, w) != API_OK)
        lease_each(n->apply.lessor, check_one_lease, &q);
    return q.err;
}

static enum api_error check_lease_query(struct node *n, const struct node_request *r)
{
    const struct auth_view *v = auth_now(n->apply.auth);
    struct auth_leases leases = leases_of(n);
    struct auth_who w = who_asks(r);
    enum api_error err = auth_check_known(v, &w);

    if (err != API_OK)
        return err;
    switch (r->kind) {
    case NODE_REQ_LEASE_KEEPALIVE:
        return auth_check_lease(v, &w, &leases, r->lease_id, AUTH_WRITE);
    case NODE_REQ_LEASE_TTL:
        return r->keys ? auth_check_lease(v, &w, &leases, r->lease_id, AUTH_READ) : API_OK;
    default:
        return check_all_leases(n, &w, &leases);
    }
}

/* Another member has asked its own users and roles. */
bool node__auth_allows(struct node *n, struct node_request *r)
{
    const struct auth_view *v = auth_now(n->apply.auth);
    enum api_error err;

    if (!auth_view_on(v) || r->of_member)
        return true;
    err = check_lease_query(n, r);
    r->auth_seen = auth_view_revision(v);
    if (err != API_OK)
        node__fail(n, &n->apply.out, r, err);
    return err == API_OK;
}

bool node__auth_moved(const struct node *n, const struct node_request *r)
{
    const struct auth_view *v = auth_now(n->apply.auth);

    return r->keys && r->auth_seen != 0 && auth_view_on(v) && r->auth_seen != auth_view_revision(v);
}

/* ---- operations ---- */

static enum api_error authenticate(struct node *n,
                                   const Etcdserverpb__InternalAuthenticateRequest *r,
                                   struct node_request *w)
{
    Etcdserverpb__AuthenticateResponse *res;
    char token[AUTH_TOKEN_BYTES_MAX + 1];
    /* etcd's consistent index moves when an entry writes, and a login writes nothing: its token has
     * the number of the entry before. */
    enum api_error err = auth_authenticate(n->apply.auth, r->name, r->simple_token,
                                           n->apply.applied, n->apply.now, token);

    if (err != API_OK)
        return err;
    res = node__apply_reply(w, &etcdserverpb__authenticate_response__descriptor);
    if (res != NULL)
        res->token = arena_dup(w->arena, token, strlen(token) + 1);
    if (res != NULL && res->token == NULL)
        res->token = (char *) (uintptr_t) protobuf_c_empty_string;
    return API_OK;
}

static void status(struct node *n, struct node_request *w)
{
    Etcdserverpb__AuthStatusResponse *res;

    res = node__apply_reply(w, &etcdserverpb__auth_status_response__descriptor);
    if (res == NULL)
        return;
    res->enabled = auth_view_on(auth_now(n->apply.auth));
    res->authrevision = auth_view_revision(auth_now(n->apply.auth));
}

static void list_users(struct node *n, struct node_request *w)
{
    Etcdserverpb__AuthUserListResponse *res;

    res = node__apply_reply(w, &etcdserverpb__auth_user_list_response__descriptor);
    if (res != NULL && !auth_list_users(n->apply.auth, w->arena, &res->users, &res->n_users))
        node__no_memory(w);
}

static void list_roles(struct node *n, struct node_request *w)
{
    Etcdserverpb__AuthRoleListResponse *res;

    res = node__apply_reply(w, &etcdserverpb__auth_role_list_response__descriptor);
    if (res != NULL && !auth_list_roles(n->apply.auth, w->arena, &res->roles, &res->n_roles))
        node__no_memory(w);
}

static enum api_error get_user(struct node *n, const char *name, struct node_request *w)
{
    Etcdserverpb__AuthUserGetResponse *res;

    res = node__apply_reply(w, &etcdserverpb__auth_user_get_response__descriptor);
    return res == NULL ? API_OK
                       : auth_user_roles(n->apply.auth, name, w->arena, &res->roles, &res->n_roles);
}

static enum api_error get_role(struct node *n, const char *name, struct node_request *w)
{
    Etcdserverpb__AuthRoleGetResponse *res;

    res = node__apply_reply(w, &etcdserverpb__auth_role_get_response__descriptor);
    return res == NULL
               ? API_OK
               : auth_role_permissions(n->apply.auth, name, w->arena, &res->perm, &res->n_perm);
}

static enum api_error disable(struct auth_store *a)
{
    auth_disable(a);
    return API_OK;
}

/* What changes users and roles, and answers with a header. */
static bool change(struct auth_store *a, const Request *r, enum api_error *ret)
{
    if (r->auth_enable != NULL)
        *ret = auth_enable(a);
    else if (r->auth_disable != NULL)
        *ret = disable(a);
    else if (r->auth_user_add != NULL)
        *ret = auth_user_add(a, r->auth_user_add);
    else if (r->auth_user_delete != NULL)
        *ret = auth_user_delete(a, r->auth_user_delete);
    else if (r->auth_user_change_password != NULL)
        *ret = auth_user_change_password(a, r->auth_user_change_password);
    else if (r->auth_user_grant_role != NULL)
        *ret = auth_user_grant_role(a, r->auth_user_grant_role);
    else if (r->auth_user_revoke_role != NULL)
        *ret = auth_user_revoke_role(a, r->auth_user_revoke_role);
    else if (r->auth_role_add != NULL)
        *ret = auth_role_add(a, r->auth_role_add);
    else if (r->auth_role_delete != NULL)
        *ret = auth_role_delete(a, r->auth_role_delete);
    else if (r->auth_role_grant_permission != NULL)
        *ret = auth_role_grant_permission(a, r->auth_role_grant_permission);
    else if (r->auth_role_revoke_permission != NULL)
        *ret = auth_role_revoke_permission(a, r->auth_role_revoke_permission);
    else
        return false;
    return true;
}

static bool changed(struct node *n, const Request *r, enum api_error *ret)
{
    struct auth_lines lines;
    bool mine;

    if (!needs_admin(r))
        return false;
    auth_lines_begin(n, r, &lines);
    mine = change(n->apply.auth, r, ret);
    auth_lines_end(n, r, mine ? *ret : API_OK, &lines);
    return mine;
}

static bool question(struct node *n, const Request *r, struct node_request *w, enum api_error *ret)
{
    *ret = API_OK;
    if (r->authenticate != NULL)
        *ret = authenticate(n, r->authenticate, w);
    else if (r->auth_status != NULL)
        status(n, w);
    else if (r->auth_user_list != NULL)
        list_users(n, w);
    else if (r->auth_role_list != NULL)
        list_roles(n, w);
    else if (r->auth_user_get != NULL)
        *ret = get_user(n, r->auth_user_get->name, w);
    else if (r->auth_role_get != NULL)
        *ret = get_role(n, r->auth_role_get->role, w);
    else
        return false;
    return true;
}

bool node__apply_auth(struct node *n, const Request *r, struct node_request *w)
{
    enum api_error err;

    if (!changed(n, r, &err) && !question(n, r, w, &err))
        return false;
    if (err != API_OK)
        node__apply_refuse(n, w, err);
    else
        node__apply_answer(n, w);
    return true;
}
