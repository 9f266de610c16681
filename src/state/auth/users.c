/* users.c -- what happens to users (etcd's auth store: UserAdd and its kin; the order of checks is
 * its order). */
#include "state/auth/auth_int.h"

/* ---- a user's block ---- */

struct pack {
    uint8_t *p;
};

static struct bytes pack_bytes(struct pack *k, struct bytes b)
{
    uint8_t *at = k->p;

    if (b.n != 0)
        memcpy(at, b.p, b.n);
    k->p += b.n;
    return bytes_of(at, b.n);
}

static size_t roles_bytes(const struct auth_user *u)
{
    size_t n = u->roles_n * sizeof *u->roles;

    for (size_t i = 0; i < u->roles_n; i++)
        n += u->roles[i].n;
    return n;
}

static struct auth_spans pack_spans(struct pack *k, const struct auth_span *v, size_t n)
{
    struct auth_spans s = {(struct auth_span *) k->p, n};

    if (n != 0)
        memcpy(s.v, v, n * sizeof *v);
    k->p += n * sizeof *v;
    return s;
}

/* The arrays come first, so that they are aligned; then all bytes. */
struct auth_user *auth__user_new(const struct auth_view *v, const struct auth_user *from)
{
    size_t n[2], most = auth__permissions_of(v, from);
    struct auth_span *all = xmem_calloc(2 * most, sizeof *all), *spans[2] = {all, all + most};
    struct auth_user *u;
    struct pack k;
    size_t bytes = sizeof *u + from->name.n + from->password.n + roles_bytes(from);

    for (int i = 0; i < 2; i++) {
        n[i] = auth__merge(v, from, (enum auth_access) i, spans[i]);
        bytes += n[i] * sizeof *all;
    }
    u = xmem_alloc(bytes);
    *u = *from;
    u->root = false;
    u->roles = (struct bytes *) (u + 1);
    k.p = (uint8_t *) (u->roles + u->roles_n);
    for (int i = 0; i < 2; i++)
        u->allowed[i] = pack_spans(&k, spans[i], n[i]);
    u->name = pack_bytes(&k, from->name);
    u->password = pack_bytes(&k, from->password);
    for (size_t i = 0; i < u->roles_n; i++) {
        u->roles[i] = pack_bytes(&k, from->roles[i]);
        u->root |= bytes_eq(u->roles[i], BYTES_LIT(AUTH_ROOT));
    }
    ASSERT(k.p == (uint8_t *) u + bytes);
    mem_free(all);
    return u;
}

void auth__set_user(struct auth_store *a, struct auth_user *u)
{
    struct auth_view *v = &a->now;
    size_t at;

    a->changed = true;
    if (auth__find_user(v, u->name, &at)) {
        auth__drop(a, &v->users[at]->garbage);
        v->users[at] = u;
        return;
    }
    if (v->users_n == a->users_cap) {
        a->users_cap = MAX(a->users_cap * 2, (size_t) 16);
        v->users = xmem_realloc(v->users, a->users_cap * sizeof(struct auth_user *));
    }
    memmove(&v->users[at + 1], &v->users[at], (v->users_n - at) * sizeof(struct auth_user *));
    v->users[at] = u;
    v->users_n++;
}

void auth__rebuild_user(struct auth_store *a, size_t at)
{
    struct auth_user *old = a->now.users[at];

    a->now.users[at] = auth__user_new(&a->now, old);
    auth__drop(a, &old->garbage);
    a->changed = true;
}

/* ---- operations ---- */

/* The entry of a member from before 3.5 has the password itself. */
static bool take_password(const struct auth_store *a, const char *password, const char *hashed,
                          uint8_t ret[AUTH_HASH_BYTES_MAX], size_t *ret_n)
{
    if (password[0] == 0 || hashed[0] != 0)
        return auth__base64(hashed, ret, AUTH_HASH_BYTES_MAX, ret_n);
    if (a->cfg.hash_password == NULL || !a->cfg.hash_password(a->cfg.ctx, password, (char *) ret))
        return false;
    *ret_n = strlen((const char *) ret);
    return true;
}

static void save(struct auth_store *a, const struct auth_user *like)
{
    struct auth_user *u = auth__user_new(&a->now, like);

    auth__put_user(a, u);
    auth__set_user(a, u);
    auth__revision_moved(a);
}

enum api_error auth_user_add(struct auth_store *a, const Etcdserverpb__AuthUserAddRequest *r)
{
    uint8_t hash[AUTH_HASH_BYTES_MAX];
    size_t n = 0;
    struct auth_user u = {.name = bytes_str(r->name), .has_options = true};

    if (u.name.n == 0)
        return API_USER_EMPTY;
    if (auth__user(&a->now, u.name) != NULL)
        return API_USER_ALREADY_EXIST;
    u.no_password = r->options != NULL && r->options->no_password;
    if (!u.no_password && !take_password(a, r->password, r->hashedpassword, hash, &n))
        return API_NO_PASSWORD_USER;
    u.password = bytes_of(hash, n);
    save(a, &u);
    return API_OK;
}

enum api_error auth_user_delete(struct auth_store *a, const Etcdserverpb__AuthUserDeleteRequest *r)
{
    struct bytes name = bytes_str(r->name);
    struct auth_view *v = &a->now;
    size_t at;

    if (v->on && bytes_eq(name, BYTES_LIT(AUTH_ROOT)))
        return API_INVALID_AUTH_MGMT;
    if (!auth__find_user(v, name, &at))
        return API_USER_NOT_FOUND;
    store_delete(a->store, STORE_AUTH_USERS, name);
    auth__tokens_drop_user(a, name);
    auth__drop(a, &v->users[at]->garbage);
    v->users_n--;
    memmove(&v->users[at], &v->users[at + 1], (v->users_n - at) * sizeof(struct auth_user *));
    auth__revision_moved(a);
    return API_OK;
}

enum api_error auth_user_change_password(struct auth_store *a,
                                         const Etcdserverpb__AuthUserChangePasswordRequest *r)
{
    const struct auth_user *old = auth__user(&a->now, bytes_str(r->name));
    uint8_t hash[AUTH_HASH_BYTES_MAX];
    struct auth_user u;
    size_t n = 0;

    if (old == NULL)
        return API_USER_NOT_FOUND;
    u = *old;
    if (!u.no_password && !take_password(a, r->password, r->hashedpassword, hash, &n))
        return API_NO_PASSWORD_USER;
    u.password = bytes_of(hash, n);
    save(a, &u);
    auth__tokens_drop_user(a, bytes_str(r->name));
    return API_OK;
}

/* ---- a user's roles ---- */

/* Where `role` is among the user's, or would be. */
static size_t role_place(const struct auth_user *u, struct bytes role)
{
    size_t i = 0;

    while (i < u->roles_n && bytes_cmp(u->roles[i], role) < 0)
        i++;
    return i;
}

static bool holds(const struct auth_user *u, struct bytes role, size_t *ret_at)
{
    *ret_at = role_place(u, role);
    return *ret_at < u->roles_n && bytes_eq(u->roles[*ret_at], role);
}

enum api_error auth_user_grant_role(struct auth_store *a,
                                    const Etcdserverpb__AuthUserGrantRoleRequest *r)
{
    const struct auth_user *old = auth__user(&a->now, bytes_str(r->user));
    struct bytes role = bytes_str(r->role);
    struct auth_user u;
    size_t at;

    if (old == NULL)
        return API_USER_NOT_FOUND;
    if (!bytes_eq(role, BYTES_LIT(AUTH_ROOT)) && auth__role(&a->now, role) == NULL)
        return API_ROLE_NOT_FOUND;
    if (holds(old, role, &at))
        return API_OK; /* nothing changes, not even the revision */
    u = *old;
    u.roles = xmem_alloc((old->roles_n + 1) * sizeof *u.roles);
    for (size_t i = 0; i < at; i++)
        u.roles[i] = old->roles[i];
    u.roles[at] = role;
    for (size_t i = at; i < old->roles_n; i++)
        u.roles[i + 1] = old->roles[i];
    u.roles_n++;
    save(a, &u);
    mem_free(u.roles);
    return API_OK;
}

/* Without the role at `at`. */
static struct auth_user without_role(const struct auth_user *old, size_t at)
{
    struct auth_user u = *old;

    u.roles = xmem_alloc(old->roles_n * sizeof *u.roles);
    u.roles_n = 0;
    for (size_t i = 0; i < old->roles_n; i++) {
        if (i != at)
            u.roles[u.roles_n++] = old->roles[i];
    }
    return u;
}

enum api_error auth_user_revoke_role(struct auth_store *a,
                                     const Etcdserverpb__AuthUserRevokeRoleRequest *r)
{
    struct bytes name = bytes_str(r->name), role = bytes_str(r->role);
    const struct auth_user *old;
    struct auth_user u;
    size_t at;

    if (a->now.on && bytes_eq(name, BYTES_LIT(AUTH_ROOT)) && bytes_eq(role, BYTES_LIT(AUTH_ROOT)))
        return API_INVALID_AUTH_MGMT;
    old = auth__user(&a->now, name);
    if (old == NULL)
        return API_USER_NOT_FOUND;
    if (!holds(old, role, &at))
        return API_ROLE_NOT_GRANTED;
    u = without_role(old, at);
    save(a, &u);
    mem_free(u.roles);
    return API_OK;
}

void auth__users_lose_role(struct auth_store *a, struct bytes role)
{
    for (size_t i = 0; i < a->now.users_n; i++) {
        struct auth_user *old = a->now.users[i], u;
        size_t at;

        if (!holds(old, role, &at))
            continue;
        u = without_role(old, at);
        a->now.users[i] = auth__user_new(&a->now, &u);
        auth__put_user(a, a->now.users[i]);
        auth__drop(a, &old->garbage);
        mem_free(u.roles);
    }
    a->changed = true;
}

void auth__users_see_role(struct auth_store *a, struct bytes role)
{
    size_t at;

    for (size_t i = 0; i < a->now.users_n; i++) {
        if (holds(a->now.users[i], role, &at))
            auth__rebuild_user(a, i);
    }
}

/* ---- questions ---- */

static bool copy_name(struct arena *mem, struct bytes name, char **ret)
{
    char *s = arena_alloc(mem, name.n + 1);

    if (s == NULL)
        return false;
    memcpy(s, name.p, name.n);
    s[name.n] = 0;
    *ret = s;
    return true;
}

bool auth_list_users(const struct auth_store *a, struct arena *mem, char ***ret, size_t *ret_n)
{
    const struct auth_view *v = &a->now;

    *ret = arena_calloc(mem, v->users_n + 1, sizeof **ret);
    for (*ret_n = 0; *ret != NULL && *ret_n < v->users_n; ++*ret_n) {
        if (!copy_name(mem, v->users[*ret_n]->name, &(*ret)[*ret_n]))
            return false;
    }
    return *ret != NULL;
}

bool auth_list_roles(const struct auth_store *a, struct arena *mem, char ***ret, size_t *ret_n)
{
    const struct auth_view *v = &a->now;

    *ret = arena_calloc(mem, v->roles_n + 1, sizeof **ret);
    for (*ret_n = 0; *ret != NULL && *ret_n < v->roles_n; ++*ret_n) {
        if (!copy_name(mem, v->roles[*ret_n]->name, &(*ret)[*ret_n]))
            return false;
    }
    return *ret != NULL;
}

enum api_error auth_user_roles(const struct auth_store *a, const char *user, struct arena *mem,
                               char ***ret, size_t *ret_n)
{
    const struct auth_user *u = auth__user(&a->now, bytes_str(user));

    *ret_n = 0;
    if (u == NULL)
        return API_USER_NOT_FOUND;
    *ret = arena_calloc(mem, u->roles_n + 1, sizeof **ret);
    for (size_t i = 0; *ret != NULL && i < u->roles_n; i++) {
        if (!copy_name(mem, u->roles[i], &(*ret)[i]))
            *ret = NULL;
    }
    *ret_n = *ret == NULL ? 0 : u->roles_n;
    return API_OK;
}

bool auth_user_has_role(const struct auth_store *a, struct bytes user, const char *role)
{
    const struct auth_user *u = auth__user(&a->now, user);
    size_t at;

    return u != NULL && holds(u, bytes_str(role), &at);
}
