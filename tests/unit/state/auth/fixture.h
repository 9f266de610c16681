/* fixture.h -- an auth store over a fake store, and its operations with C strings. */
#ifndef KETCH_TESTS_AUTH_FIXTURE_H
#define KETCH_TESTS_AUTH_FIXTURE_H

#include "auth.pb-c.h"
#include "lib/cm.h"
#include "state/auth/auth.h"
#include "unit/state/auth/fake_store.h"
#include "wire/wire.h"

#define TTL_NS INT64_C(1000)

enum {
    R = AUTHPB__PERMISSION__TYPE__READ,
    W = AUTHPB__PERMISSION__TYPE__WRITE,
    RW = AUTHPB__PERMISSION__TYPE__READWRITE
};

static struct store disk;

static struct auth_store *open_store(void)
{
    struct auth_config cfg = {.simple_tokens = true, .token_ttl_ns = TTL_NS, .hash_seed = {1, 2}};
    struct auth_store *a = NULL;

    assert_int_equal(auth_open(&cfg, &disk, &a, NULL), 0);
    return a;
}

static UNUSED void close_store(struct auth_store *a)
{
    auth_check_store(a);
    auth_free(a);
    fake_done(&disk);
}

static inline char *str(const char *s)
{
    return (char *) (uintptr_t) s;
}

static UNUSED enum api_error user_add(struct auth_store *a, const char *name)
{
    Etcdserverpb__AuthUserAddRequest r = ETCDSERVERPB__AUTH_USER_ADD_REQUEST__INIT;

    r.name = str(name);
    r.hashedpassword = str("cHc="); /* "pw" */
    return auth_user_add(a, &r);
}

static UNUSED enum api_error user_delete(struct auth_store *a, const char *name)
{
    Etcdserverpb__AuthUserDeleteRequest r = ETCDSERVERPB__AUTH_USER_DELETE_REQUEST__INIT;

    r.name = str(name);
    return auth_user_delete(a, &r);
}

static UNUSED enum api_error user_password(struct auth_store *a, const char *name,
                                           const char *hashed)
{
    Etcdserverpb__AuthUserChangePasswordRequest r =
        ETCDSERVERPB__AUTH_USER_CHANGE_PASSWORD_REQUEST__INIT;

    r.name = str(name);
    r.hashedpassword = str(hashed);
    return auth_user_change_password(a, &r);
}

static UNUSED enum api_error user_grant(struct auth_store *a, const char *user, const char *role)
{
    Etcdserverpb__AuthUserGrantRoleRequest r = ETCDSERVERPB__AUTH_USER_GRANT_ROLE_REQUEST__INIT;

    r.user = str(user);
    r.role = str(role);
    return auth_user_grant_role(a, &r);
}

static UNUSED enum api_error user_revoke(struct auth_store *a, const char *user, const char *role)
{
    Etcdserverpb__AuthUserRevokeRoleRequest r = ETCDSERVERPB__AUTH_USER_REVOKE_ROLE_REQUEST__INIT;

    r.name = str(user);
    r.role = str(role);
    return auth_user_revoke_role(a, &r);
}

static UNUSED enum api_error role_add(struct auth_store *a, const char *name)
{
    Etcdserverpb__AuthRoleAddRequest r = ETCDSERVERPB__AUTH_ROLE_ADD_REQUEST__INIT;

    r.name = str(name);
    return auth_role_add(a, &r);
}

static UNUSED enum api_error role_delete(struct auth_store *a, const char *name)
{
    Etcdserverpb__AuthRoleDeleteRequest r = ETCDSERVERPB__AUTH_ROLE_DELETE_REQUEST__INIT;

    r.role = str(name);
    return auth_role_delete(a, &r);
}

static UNUSED enum api_error role_grant(struct auth_store *a, const char *role, int type,
                                        struct bytes key, struct bytes end)
{
    Etcdserverpb__AuthRoleGrantPermissionRequest r =
        ETCDSERVERPB__AUTH_ROLE_GRANT_PERMISSION_REQUEST__INIT;
    Authpb__Permission p = AUTHPB__PERMISSION__INIT;

    p.permtype = (Authpb__Permission__Type) type;
    p.key = wire_binary(key);
    p.range_end = wire_binary(end);
    r.name = str(role);
    r.perm = &p;
    return auth_role_grant_permission(a, &r);
}

static UNUSED enum api_error role_revoke(struct auth_store *a, const char *role, struct bytes key,
                                         struct bytes end)
{
    Etcdserverpb__AuthRoleRevokePermissionRequest r =
        ETCDSERVERPB__AUTH_ROLE_REVOKE_PERMISSION_REQUEST__INIT;

    r.role = str(role);
    r.key = wire_binary(key);
    r.range_end = wire_binary(end);
    return auth_role_revoke_permission(a, &r);
}

/* Root, and authentication on. */
static UNUSED void turn_on(struct auth_store *a)
{
    assert_int_equal(user_add(a, "root"), API_OK);
    assert_int_equal(user_grant(a, "root", "root"), API_OK);
    assert_int_equal(auth_enable(a), API_OK);
}

static UNUSED struct auth_who who(const struct auth_store *a, const char *user)
{
    return (struct auth_who){true, bytes_str(user), auth_view_revision(auth_now(a))};
}

static UNUSED enum api_error may(const struct auth_store *a, const char *user,
                                 enum auth_access access, const char *key, const char *end)
{
    struct auth_who w = who(a, user);

    return auth_check_range(auth_now(a), &w, access, bytes_str(key), bytes_str(end));
}

static UNUSED const struct fake_record *record(enum store_bucket b, const char *key)
{
    return fake_find(&disk, b, bytes_str(key));
}

#define assert_record(bucket, key, text)                              \
    do {                                                              \
        const struct fake_record *rec_ = record((bucket), (key));     \
        assert_non_null(rec_);                                        \
        assert_int_equal(rec_->value.n, sizeof(text) - 1);            \
        assert_memory_equal(rec_->value.p, (text), sizeof(text) - 1); \
    } while (0)

#endif
