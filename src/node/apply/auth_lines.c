/* auth_lines.c -- what the log says of changes of users and roles, on every member, in the texts
 * and fields of etcd: who watches over a cluster looks for them. */
#include "node/apply/auth_lines.h"

#include "node/open.h"

#define ROLES_SHOWN_MAX 256 /* of a user, in a line */

typedef Etcdserverpb__InternalRaftRequest Request;

/* The user whose roles a change is about; NULL: none. */
static const char *user_of(const Request *r)
{
    if (r->auth_user_delete != NULL)
        return r->auth_user_delete->name;
    if (r->auth_user_change_password != NULL)
        return r->auth_user_change_password->name;
    if (r->auth_user_grant_role != NULL)
        return r->auth_user_grant_role->user;
    return r->auth_user_revoke_role != NULL ? r->auth_user_revoke_role->name : NULL;
}

/* Without memory, or without the user, a list is empty. */
static struct log_field roles_now(struct node *n, struct auth_lines *l, const char *key,
                                  const char *user)
{
    char **roles = NULL;
    size_t count = 0;

    if (auth_user_roles(n->apply.auth, user, &l->arena, &roles, &count) != API_OK || roles == NULL)
        count = 0;
    return F_STRS(key, (const char *const *) roles, MIN(count, (size_t) ROLES_SHOWN_MAX));
}

void auth_lines_begin(struct node *n, const Request *r, struct auth_lines *l)
{
    const char *user = user_of(r);

    arena_init(&l->arena, SIZE_MAX);
    l->was_on = auth_view_on(auth_now(n->apply.auth));
    l->had_role = r->auth_user_grant_role != NULL &&
                  auth_user_has_role(n->apply.auth, bytes_str(user), r->auth_user_grant_role->role);
    l->roles = user != NULL ? roles_now(n, l, "user-roles", user) : F_STRS("user-roles", NULL, 0);
}

static void say_switch(struct node *n, const Request *r, const struct auth_lines *l)
{
    if (r->auth_enable != NULL && l->was_on)
        LOG_INFO(n->env.log, "authentication is already enabled; ignored auth enable request");
    else if (r->auth_enable != NULL)
        LOG_INFO(n->env.log, "enabled authentication");
    else if (r->auth_disable != NULL && l->was_on)
        LOG_INFO(n->env.log, "disabled authentication");
}

static void say_grant(struct node *n, const Etcdserverpb__AuthUserGrantRoleRequest *r,
                      struct auth_lines *l)
{
    if (l->had_role)
        LOG_WARN(n->env.log, "ignored grant role request to a user", F_STR("user-name", r->user),
                 l->roles, F_STR("duplicate-role-name", r->role));
    else
        LOG_INFO(n->env.log, "granted a role to a user", F_STR("user-name", r->user),
                 roles_now(n, l, "user-roles", r->user), F_STR("added-role-name", r->role));
}

static void say_revoke(struct node *n, const Etcdserverpb__AuthUserRevokeRoleRequest *r,
                       struct auth_lines *l)
{
    l->roles.key = "old-user-roles";
    LOG_INFO(n->env.log, "revoked a role from a user", F_STR("user-name", r->name), l->roles,
             roles_now(n, l, "new-user-roles", r->name), F_STR("revoked-role-name", r->role));
}

static void say_user(struct node *n, const Request *r, struct auth_lines *l)
{
    if (r->auth_user_add != NULL)
        LOG_INFO(n->env.log, "added a user", F_STR("user-name", r->auth_user_add->name));
    else if (r->auth_user_delete != NULL)
        LOG_INFO(n->env.log, "deleted a user", F_STR("user-name", r->auth_user_delete->name),
                 l->roles);
    else if (r->auth_user_change_password != NULL)
        LOG_INFO(n->env.log, "changed a password of a user",
                 F_STR("user-name", r->auth_user_change_password->name), l->roles);
    else if (r->auth_user_grant_role != NULL)
        say_grant(n, r->auth_user_grant_role, l);
    else if (r->auth_user_revoke_role != NULL)
        say_revoke(n, r->auth_user_revoke_role, l);
}

/* etcd calls the role a user here. */
static void say_permission(struct node *n, const Etcdserverpb__AuthRoleGrantPermissionRequest *r)
{
    static const char *const types[] = {"READ", "WRITE", "READWRITE"};
    size_t type = (size_t) r->perm->permtype;

    LOG_INFO(n->env.log, "granted/updated a permission to a user", F_STR("user-name", r->name),
             F_STR("permission-name", type < ARRAY_LEN(types) ? types[type] : ""),
             F_BYTES("key", wire_bytes(r->perm->key)),
             F_BYTES("range-end", wire_bytes(r->perm->range_end)));
}

static void say_role(struct node *n, const Request *r)
{
    if (r->auth_role_add != NULL)
        LOG_INFO(n->env.log, "created a role", F_STR("role-name", r->auth_role_add->name));
    else if (r->auth_role_delete != NULL)
        LOG_INFO(n->env.log, "deleted a role", F_STR("role-name", r->auth_role_delete->role));
    else if (r->auth_role_grant_permission != NULL)
        say_permission(n, r->auth_role_grant_permission);
    else if (r->auth_role_revoke_permission != NULL)
        LOG_INFO(n->env.log, "revoked a permission on range",
                 F_STR("role-name", r->auth_role_revoke_permission->role),
                 F_BYTES("key", wire_bytes(r->auth_role_revoke_permission->key)),
                 F_BYTES("range-end", wire_bytes(r->auth_role_revoke_permission->range_end)));
}

/* Root stays what it is while authentication is on. */
static void say_refused(struct node *n, const Request *r)
{
    if (r->auth_user_delete != NULL)
        LOG_ERROR(n->env.log, "cannot delete 'root' user",
                  F_STR("user-name", r->auth_user_delete->name));
    else if (r->auth_role_delete != NULL)
        LOG_ERROR(n->env.log, "cannot delete 'root' role",
                  F_STR("role-name", r->auth_role_delete->role));
    else if (r->auth_user_revoke_role != NULL)
        LOG_ERROR(n->env.log, "'root' user cannot revoke 'root' role",
                  F_STR("user-name", r->auth_user_revoke_role->name),
                  F_STR("role-name", r->auth_user_revoke_role->role));
}

void auth_lines_end(struct node *n, const Request *r, enum api_error err, struct auth_lines *l)
{
    if (err == API_OK) {
        say_switch(n, r, l);
        say_user(n, r, l);
        say_role(n, r);
    } else if (err == API_INVALID_AUTH_MGMT) {
        say_refused(n, r);
    }
    arena_done(&l->arena);
}
