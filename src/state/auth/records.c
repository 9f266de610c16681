/* records.c -- what is on disk, in etcd's bytes.
 *
 *   auth       "authEnabled"  one byte, 1 or 0;  "authRevision"  8 bytes, big endian
 *   authUsers  name -> authpb.User  {1: name, 2: password, 3: roles, 4: options {1: no_password}}
 *   authRoles  name -> authpb.Role  {1: name, 2: permissions {1: type, 2: key, 3: range_end}}
 */
#include "base/endian.h"
#include "state/auth/auth_int.h"
#include "wire/pb.h"

#define KEY_ON "authEnabled"
#define KEY_REVISION "authRevision"

/* ---- writing ---- */

void auth__put_on(struct auth_store *a)
{
    uint8_t on = a->now.on;

    store_put(a->store, STORE_AUTH, BYTES_LIT(KEY_ON), bytes_of(&on, 1));
}

void auth__put_revision(struct auth_store *a)
{
    uint8_t p[8];

    be64_put(p, a->now.revision);
    store_put(a->store, STORE_AUTH, BYTES_LIT(KEY_REVISION), bytes_of(p, sizeof p));
}

static void put_record(struct auth_store *a, enum store_bucket b, struct bytes name, uint8_t *p,
                       const uint8_t *end)
{
    store_put(a->store, b, name, bytes_of(p, (size_t) (end - p)));
    mem_free(p);
}

void auth__put_user(struct auth_store *a, const struct auth_user *u)
{
    size_t options = u->no_password ? 2 : 0, n = 0;
    uint8_t *p, *end;

    n = pb_bytes_size(1, u->name.n) + pb_bytes_size(2, u->password.n);
    for (size_t i = 0; i < u->roles_n; i++)
        n += pb_head_size(3, u->roles[i].n) + u->roles[i].n;
    if (u->has_options)
        n += pb_head_size(4, options) + options;
    p = xmem_alloc(n);
    end = pb_put_bytes(p, 1, u->name);
    end = pb_put_bytes(end, 2, u->password);
    for (size_t i = 0; i < u->roles_n; i++)
        end = pb_put_raw(pb_put_head(end, 3, u->roles[i].n), u->roles[i].p, u->roles[i].n);
    if (u->has_options)
        end = pb_put_u64(pb_put_head(end, 4, options), 1, u->no_password);
    ASSERT(end == p + n);
    put_record(a, STORE_AUTH_USERS, u->name, p, end);
}

/* An enum is an int32 that travels with its sign extended. */
static size_t permission_bytes(const struct auth_permission *p)
{
    return pb_u64_size(1, (uint64_t) (int64_t) p->type) + pb_bytes_size(2, p->key.n) +
           pb_bytes_size(3, p->range_end.n);
}

void auth__put_role(struct auth_store *a, const struct auth_role *r)
{
    size_t n = pb_bytes_size(1, r->name.n);
    uint8_t *p, *end;

    for (size_t i = 0; i < r->permissions_n; i++) {
        size_t k = permission_bytes(&r->permissions[i]);

        n += pb_head_size(2, k) + k;
    }
    p = xmem_alloc(n);
    end = pb_put_bytes(p, 1, r->name);
    for (size_t i = 0; i < r->permissions_n; i++) {
        const struct auth_permission *x = &r->permissions[i];

        end = pb_put_head(end, 2, permission_bytes(x));
        end = pb_put_u64(end, 1, (uint64_t) (int64_t) x->type);
        end = pb_put_bytes(end, 2, x->key);
        end = pb_put_bytes(end, 3, x->range_end);
    }
    ASSERT(end == p + n);
    put_record(a, STORE_AUTH_ROLES, r->name, p, end);
}

/* ---- reading ---- */

struct loading {
    struct auth_store *a;
    struct arena mem; /* of one record */
    struct err *e;
};

static int damaged(struct loading *to, const char *what, struct bytes name)
{
    return err_set(to->e, ERR_AUTH_DAMAGED, "the record of %s \"%.*s\" is damaged", what,
                   (int) MIN(name.n, (size_t) 64), (const char *) name.p);
}

static int load_setting(void *ctx, struct bytes key, struct bytes value)
{
    struct loading *to = ctx;

    if (bytes_eq(key, BYTES_LIT(KEY_ON))) {
        to->a->now.on = value.n == 1 && value.p[0] == 1;
    } else if (bytes_eq(key, BYTES_LIT(KEY_REVISION))) {
        if (value.n != 8)
            return err_set(to->e, ERR_AUTH_DAMAGED, "an auth revision of %zu bytes", value.n);
        to->a->now.revision = be64_get(value.p);
    }
    return 0;
}

static int load_role(void *ctx, struct bytes key, struct bytes value)
{
    struct loading *to = ctx;
    Authpb__Role *m;
    struct auth_permission *p;

    arena_reset(&to->mem);
    if (WIRE_DECODE(authpb__role, value, &to->mem, &m, NULL) != 0 ||
        !bytes_eq(wire_bytes(m->name), key))
        return damaged(to, "role", key);
    p = arena_alloc(&to->mem, (m->n_keypermission + 1) * sizeof *p);
    if (p == NULL)
        mem_exhausted("the permissions of a role");
    for (size_t i = 0; i < m->n_keypermission; i++) {
        const Authpb__Permission *x = m->keypermission[i];

        p[i] = (struct auth_permission){(int32_t) x->permtype, wire_bytes(x->key),
                                        wire_bytes(x->range_end)};
    }
    auth__set_role(to->a, auth__role_new(key, p, m->n_keypermission));
    return 0;
}

static int load_user(void *ctx, struct bytes key, struct bytes value)
{
    struct loading *to = ctx;
    Authpb__User *m;
    struct auth_user u;

    arena_reset(&to->mem);
    if (WIRE_DECODE(authpb__user, value, &to->mem, &m, NULL) != 0 ||
        !bytes_eq(wire_bytes(m->name), key))
        return damaged(to, "user", key);
    u = (struct auth_user){.name = key,
                           .password = wire_bytes(m->password),
                           .has_options = m->options != NULL,
                           .no_password = m->options != NULL && m->options->no_password,
                           .roles = arena_alloc(&to->mem, (m->n_roles + 1) * sizeof *u.roles),
                           .roles_n = m->n_roles};
    if (u.roles == NULL)
        mem_exhausted("the roles of a user");
    for (size_t i = 0; i < u.roles_n; i++)
        u.roles[i] = bytes_str(m->roles[i]);
    auth__set_user(to->a, auth__user_new(&to->a->now, &u));
    return 0;
}

/* Roles before users, which are loaded with what their roles allow.  No limit is put on what is
 * read: what was applied must load, and it is as large as what was granted, one entry of the log
 * after another. */
int auth__load(struct auth_store *a, struct err *e)
{
    struct loading to = {.a = a, .e = e};
    int rc;

    arena_init(&to.mem, SIZE_MAX);
    rc = store_scan(a->store, STORE_AUTH, load_setting, &to, e);
    if (rc == 0)
        rc = store_scan(a->store, STORE_AUTH_ROLES, load_role, &to, e);
    if (rc == 0)
        rc = store_scan(a->store, STORE_AUTH_USERS, load_user, &to, e);
    arena_done(&to.mem);
    return rc;
}

/* ---- base64 ---- */

static int digit(char c)
{
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == 0 ? NULL : memchr(all, c, sizeof all - 1);

    return at == NULL ? -1 : (int) (at - all);
}

bool auth__base64(const char *in, uint8_t *ret, size_t n_max, size_t *ret_n)
{
    uint32_t bits = 0;
    unsigned have = 0, pad = 0;
    size_t n = 0;

    for (; *in != 0; in++) {
        int d = digit(*in);

        if (*in == '\n' || *in == '\r')
            continue;
        if (*in == '=') {
            pad++;
            continue;
        }
        if (d < 0 || pad > 0)
            return false;
        bits = bits << 6 | (uint32_t) d;
        if (++have < 4)
            continue;
        if (n + 3 > n_max)
            return false;
        ret[n++] = (uint8_t) (bits >> 16);
        ret[n++] = (uint8_t) (bits >> 8);
        ret[n++] = (uint8_t) bits;
        have = 0;
    }
    if (have == 1 || pad != (have == 0 ? 0 : 4 - have) || n + 2 > n_max)
        return false;
    if (have >= 2)
        ret[n++] = (uint8_t) (have == 2 ? bits >> 4 : bits >> 10);
    if (have == 3)
        ret[n++] = (uint8_t) (bits >> 2);
    *ret_n = n;
    return true;
}
