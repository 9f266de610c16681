/* roles.c -- what happens to roles (etcd's auth store: RoleAdd and its kin). */
#include "state/auth/auth_int.h"

/* ---- a role's block ---- */

struct auth_role *auth__role_new(struct bytes name, const struct auth_permission *p, size_t n)
{
    size_t bytes = sizeof(struct auth_role) + n * sizeof *p + name.n;
    struct auth_role *r;
    uint8_t *at;

    for (size_t i = 0; i < n; i++)
        bytes += p[i].key.n + p[i].range_end.n;
    r = xmem_alloc(bytes);
    *r = (struct auth_role){.permissions = (struct auth_permission *) (r + 1), .permissions_n = n};
    at = (uint8_t *) (r->permissions + n);
    r->name = bytes_of(memcpy(at, name.p, name.n), name.n);
    at += name.n;
    for (size_t i = 0; i < n; i++) {
        struct auth_permission *to = &r->permissions[i];

        *to = p[i];
        to->key = bytes_of(at, p[i].key.n);
        if (to->key.n != 0)
            memcpy(at, p[i].key.p, to->key.n);
        at += to->key.n;
        to->range_end = bytes_of(at, p[i].range_end.n);
        if (to->range_end.n != 0)
            memcpy(at, p[i].range_end.p, to->range_end.n);
        at += to->range_end.n;
    }
    ASSERT(at == (uint8_t *) r + bytes);
    return r;
}

void auth__set_role(struct auth_store *a, struct auth_role *r)
{
    struct auth_view *v = &a->now;
    size_t at;

    a->changed = true;
    if (auth__find_role(v, r->name, &at)) {
        auth__drop(a, &v->roles[at]->garbage);
        v->roles[at] = r;
        return;
    }
    if (v->roles_n == a->roles_cap) {
        a->roles_cap = MAX(a->roles_cap * 2, (size_t) 16);
        v->roles = xmem_realloc(v->roles, a->roles_cap * sizeof(struct auth_role *));
    }
    memmove(&v->roles[at + 1], &v->roles[at], (v->roles_n - at) * sizeof(struct auth_role *));
    v->roles[at] = r;
    v->roles_n++;
}

/* The role as it is from now on, for its users and on disk. */
static void save(struct auth_store *a, struct bytes name, const struct auth_permission *p, size_t n)
{
    struct auth_role *r = auth__role_new(name, p, n);

    auth__put_role(a, r);
    auth__set_role(a, r);
    auth__users_see_role(a, r->name);
    auth__revision_moved(a);
}

/* ---- operations ---- */

enum api_error auth_role_add(struct auth_store *a, const Etcdserverpb__AuthRoleAddRequest *r)
{
    struct bytes name = bytes_str(r->name);

    if (name.n == 0)
        return API_ROLE_EMPTY;
    if (auth__role(&a->now, name) != NULL)
        return API_ROLE_ALREADY_EXIST;
    save(a, name, NULL, 0);
    return API_OK;
}

enum api_error auth_role_delete(struct auth_store *a, const Etcdserverpb__AuthRoleDeleteRequest *r)
{
    struct bytes name = bytes_str(r->role);
    struct auth_view *v = &a->now;
    size_t at;

    if (v->on && bytes_eq(name, BYTES_LIT(AUTH_ROOT)))
        return API_INVALID_AUTH_MGMT;
    if (!auth__find_role(v, name, &at))
        return API_ROLE_NOT_FOUND;
    store_delete(a->store, STORE_AUTH_ROLES, name);
    auth__drop(a, &v->roles[at]->garbage);
    v->roles_n--;
    memmove(&v->roles[at], &v->roles[at + 1], (v->roles_n - at) * sizeof(struct auth_role *));
    auth__users_lose_role(a, name);
    auth__revision_moved(a);
    return API_OK;
}

static bool range_is_valid(struct bytes key, struct bytes range_end)
{
    return key.n != 0 &&
           (range_end.n == 0 || bytes_cmp(key, range_end) < 0 || auth__is_open(range_end));
}

/* The first whose key is not below. */
static size_t permission_place(const struct auth_role *r, struct bytes key)
{
    size_t i = 0;

    while (i < r->permissions_n && bytes_cmp(r->permissions[i].key, key) < 0)
        i++;
    return i;
}

static bool same_range(const struct auth_permission *p, struct bytes key, struct bytes range_end)
{
    return bytes_eq(p->key, key) && bytes_eq(p->range_end, range_end);
}

/* Only the first permission on the key is looked at, as in etcd: with others behind it the same
 * range may be there twice, which changes nothing but the record.  A new one goes behind those with
 * the same key. */
static void add_permission(struct auth_store *a, const struct auth_role *old,
                           const struct auth_permission *p)
{
    struct auth_permission *v = xmem_alloc((old->permissions_n + 1) * sizeof *v);
    size_t n = old->permissions_n, at = permission_place(old, p->key);

    if (n != 0)
        memcpy(v, old->permissions, n * sizeof *v);
    if (at < n && same_range(&v[at], p->key, p->range_end)) {
        v[at].type = p->type;
    } else {
        while (at < n && bytes_eq(v[at].key, p->key))
            at++;
        memmove(&v[at + 1], &v[at], (n - at) * sizeof *v);
        v[at] = *p;
        n++;
    }
    save(a, old->name, v, n);
    mem_free(v);
}

enum api_error auth_role_grant_permission(struct auth_store *a,
                                          const Etcdserverpb__AuthRoleGrantPermissionRequest *r)
{
    const struct auth_role *old;
    struct auth_permission p;

    if (r->perm == NULL)
        return API_PERMISSION_NOT_GIVEN;
    p = (struct auth_permission){(int32_t) r->perm->permtype, wire_bytes(r->perm->key),
                                 wire_bytes(r->perm->range_end)};
    if (!range_is_valid(p.key, p.range_end))
        return API_INVALID_AUTH_MGMT;
    old = auth__role(&a->now, bytes_str(r->name));
    if (old == NULL)
        return API_ROLE_NOT_FOUND;
    add_permission(a, old, &p);
    return API_OK;
}

enum api_error auth_role_revoke_permission(struct auth_store *a,
                                           const Etcdserverpb__AuthRoleRevokePermissionRequest *r)
{
    const struct auth_role *old = auth__role(&a->now, bytes_str(r->role));
    struct auth_permission *v;
    size_t n = 0;

    if (old == NULL)
        return API_ROLE_NOT_FOUND;
    v = xmem_alloc((old->permissions_n + 1) * sizeof *v);
    for (size_t i = 0; i < old->permissions_n; i++) {
        if (!same_range(&old->permissions[i], wire_bytes(r->key), wire_bytes(r->range_end)))
            v[n++] = old->permissions[i];
    }
    if (n != old->permissions_n)
        save(a, old->name, v, n);
    else
        n = SIZE_MAX;
    mem_free(v);
    return n == SIZE_MAX ? API_PERMISSION_NOT_GRANTED : API_OK;
}

/* ---- questions ---- */

static bool copy_permission(struct arena *mem, const struct auth_permission *p,
                            Authpb__Permission **ret)
{
    Authpb__Permission *m = (Authpb__Permission *) wire_new(&authpb__permission__descriptor, mem);
    void *key = m == NULL ? NULL : arena_dup(mem, p->key.p, p->key.n);
    void *end = m == NULL ? NULL : arena_dup(mem, p->range_end.p, p->range_end.n);

    if (key == NULL || end == NULL)
        return false;
    m->permtype = (Authpb__Permission__Type) p->type;
    m->key = wire_binary(bytes_of(key, p->key.n));
    m->range_end = wire_binary(bytes_of(end, p->range_end.n));
    *ret = m;
    return true;
}

enum api_error auth_role_permissions(const struct auth_store *a, const char *role,
                                     struct arena *mem, Authpb__Permission ***ret, size_t *ret_n)
{
    static const struct auth_permission all = {
        AUTHPB__PERMISSION__TYPE__READWRITE, {(const uint8_t *) "", 0}, {(const uint8_t *) "", 1}};
    const struct auth_role *r = auth__role(&a->now, bytes_str(role));
    const struct auth_permission *p;
    size_t n;

    *ret_n = 0;
    if (r == NULL)
        return API_ROLE_NOT_FOUND;
    p = r->permissions;
    n = r->permissions_n;
    if (strcmp(role, AUTH_ROOT) == 0) {
        p = &all;
        n = 1;
    }
    *ret = arena_calloc(mem, n + 1, sizeof **ret);
    for (size_t i = 0; *ret != NULL && i < n; i++) {
        if (!copy_permission(mem, &p[i], &(*ret)[i]))
            *ret = NULL;
    }
    *ret_n = *ret == NULL ? 0 : n;
    return API_OK;
}
