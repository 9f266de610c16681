/* print_simple_auth.c -- -w simple: users, roles and what they may do. */
#include "cli/print_simple.h"

void simple_done(const struct print_what *w, const struct print_done *d)
{
    buf_add_str(w->out, d->line);
    buf_add_char(w->out, '\n');
}

/* Do the keys of [key, end) share the prefix `key`, and are they all that do? */
static bool is_prefix_end(struct bytes key, struct bytes end)
{
    size_t n = key.n;

    while (n > 0 && key.p[n - 1] == 0xff)
        n--;
    if (n == 0)
        return bytes_eq(end, bytes_of("", 1));
    return end.n == n && memcmp(key.p, end.p, n - 1) == 0 && end.p[n - 1] == key.p[n - 1] + 1;
}

static void put_permission(const struct print_what *w, const Authpb__Permission *p)
{
    struct bytes key = bytes_of(p->key.data, p->key.len);
    struct bytes end = bytes_of(p->range_end.data, p->range_end.len);

    buf_add_char(w->out, '\t');
    if (end.n == 0)
        buf_add_bytes(w->out, key);
    else
        print_key_range(w->out, key, end);
    if (end.n > 0 && key.n > 0 && is_prefix_end(key, end)) {
        buf_add_str(w->out, " (prefix ");
        buf_add_bytes(w->out, key);
        buf_add_char(w->out, ')');
    }
    buf_add_char(w->out, '\n');
}

static void put_permissions(const struct print_what *w, const char *heading,
                            const Etcdserverpb__AuthRoleGetResponse *r,
                            Authpb__Permission__Type type)
{
    buf_printf(w->out, "%s\n", heading);
    for (size_t i = 0; i < r->n_perm; i++)
        if (r->perm[i]->permtype == type ||
            r->perm[i]->permtype == AUTHPB__PERMISSION__TYPE__READWRITE)
            put_permission(w, r->perm[i]);
    /* Servers before 3.7 do not say what root may do. */
    if (r->n_perm == 0 && strcmp(w->name, "root") == 0)
        buf_add_str(w->out, "\t[, <open ended>\n");
}

void simple_role_get(const struct print_what *w, const Etcdserverpb__AuthRoleGetResponse *r)
{
    buf_printf(w->out, "Role %s\n", w->name);
    put_permissions(w, "KV Read:", r, AUTHPB__PERMISSION__TYPE__READ);
    put_permissions(w, "KV Write:", r, AUTHPB__PERMISSION__TYPE__WRITE);
}

void simple_role_list(const struct print_what *w, const Etcdserverpb__AuthRoleListResponse *r)
{
    for (size_t i = 0; i < r->n_roles; i++)
        buf_printf(w->out, "%s\n", r->roles[i]);
}

void simple_user_get(const struct print_what *w, const Etcdserverpb__AuthUserGetResponse *r)
{
    buf_printf(w->out, "User: %s\nRoles:", w->name);
    for (size_t i = 0; i < r->n_roles; i++)
        buf_printf(w->out, " %s", r->roles[i]);
    buf_add_char(w->out, '\n');
}

void simple_user_list(const struct print_what *w, const Etcdserverpb__AuthUserListResponse *r)
{
    for (size_t i = 0; i < r->n_users; i++)
        buf_printf(w->out, "%s\n", r->users[i]);
}

void simple_auth_status(const struct print_what *w, const Etcdserverpb__AuthStatusResponse *r)
{
    buf_printf(w->out, "Authentication Status: %s\nAuthRevision: %" PRIu64 "\n",
               r->enabled ? "true" : "false", r->authrevision);
}
