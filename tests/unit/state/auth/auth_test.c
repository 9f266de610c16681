/* Users, roles and their permissions: what each operation answers, and what is on disk afterwards.
 */
#include "unit/state/auth/fixture.h"

/* A new store begins at auth revision 1, which is on disk, and is off. */
static void a_new_store_is_at_revision_one(void **state)
{
    struct auth_store *a = open_store();

    (void) state;
    assert_int_equal(auth_view_revision(auth_now(a)), 1);
    assert_false(auth_view_on(auth_now(a)));
    assert_record(STORE_AUTH, "authRevision", "\0\0\0\0\0\0\0\1");
    assert_null(record(STORE_AUTH, "authEnabled"));
    close_store(a);
}

/* Records have exactly etcd's bytes: options are there even when nothing is set in them, roles are
 * sorted, permissions are in order of their keys. */
static void records_are_etcds(void **state)
{
    struct auth_store *a = open_store();

    (void) state;
    assert_int_equal(user_add(a, "u"), API_OK);
    assert_record(STORE_AUTH_USERS, "u", "\x0a\1u\x12\2pw\x22\0");
    assert_int_equal(role_add(a, "r"), API_OK);
    assert_record(STORE_AUTH_ROLES, "r", "\x0a\1r");
    assert_int_equal(user_grant(a, "u", "root"), API_OK);
    assert_int_equal(user_grant(a, "u", "r"), API_OK);
    assert_record(STORE_AUTH_USERS, "u", "\x0a\1u\x12\2pw\x1a\1r\x1a\4root\x22\0");
    assert_int_equal(role_grant(a, "r", RW, BYTES_LIT("k"), BYTES_LIT("n")), API_OK);
    assert_int_equal(role_grant(a, "r", R, BYTES_LIT("a"), BYTES_EMPTY), API_OK);
    assert_record(STORE_AUTH_ROLES, "r", "\x0a\1r\x12\3\x12\1a\x12\x08\x08\2\x12\1k\x1a\1n");
    assert_int_equal(role_grant(a, "r", -1, BYTES_LIT("a"), BYTES_EMPTY), API_OK);
    assert_record(STORE_AUTH_ROLES, "r",
                  "\x0a\1r\x12\x0e\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\x12\1a\x12\x08\x08\2"
                  "\x12\1k\x1a\1n");
    assert_record(STORE_AUTH, "authRevision", "\0\0\0\0\0\0\0\x08");
    close_store(a);
}

/* A user without a password has none on disk, whatever was sent, and stays so. */
static void no_password_stays(void **state)
{
    struct auth_store *a = open_store();
    Authpb__UserAddOptions o = AUTHPB__USER_ADD_OPTIONS__INIT;
    Etcdserverpb__AuthUserAddRequest r = ETCDSERVERPB__AUTH_USER_ADD_REQUEST__INIT;
    struct auth_login login;

    (void) state;
    o.no_password = true;
    r.name = str("cn");
    r.options = &o;
    r.hashedpassword = str("cHc=");
    assert_int_equal(auth_user_add(a, &r), API_OK);
    assert_record(STORE_AUTH_USERS, "cn", "\x0a\2cn\x22\2\x08\1");
    assert_int_equal(user_password(a, "cn", "cHc="), API_OK);
    assert_record(STORE_AUTH_USERS, "cn", "\x0a\2cn\x22\2\x08\1");
    assert_true(auth_view_login(auth_now(a), BYTES_LIT("cn"), &login));
    assert_true(login.no_password);
    close_store(a);
}

/* Each refusal of operations on users, in etcd's order, changes nothing. */
static void users_are_refused(void **state)
{
    struct auth_store *a = open_store();
    uint64_t revision;

    (void) state;
    turn_on(a);
    revision = auth_view_revision(auth_now(a));
    assert_int_equal(revision, 3);
    assert_int_equal(user_add(a, ""), API_USER_EMPTY);
    assert_int_equal(user_add(a, "root"), API_USER_ALREADY_EXIST);
    assert_int_equal(user_delete(a, "root"), API_INVALID_AUTH_MGMT);
    assert_int_equal(user_delete(a, "x"), API_USER_NOT_FOUND);
    assert_int_equal(user_password(a, "x", "cHc="), API_USER_NOT_FOUND);
    assert_int_equal(user_password(a, "root", "cHc"), API_NO_PASSWORD_USER);
    assert_int_equal(user_grant(a, "x", "root"), API_USER_NOT_FOUND);
    assert_int_equal(user_grant(a, "root", "x"), API_ROLE_NOT_FOUND);
    assert_int_equal(user_grant(a, "root", "root"), API_OK);
    assert_int_equal(user_revoke(a, "root", "root"), API_INVALID_AUTH_MGMT);
    assert_int_equal(user_revoke(a, "x", "root"), API_USER_NOT_FOUND);
    assert_int_equal(user_revoke(a, "root", "x"), API_ROLE_NOT_GRANTED);
    assert_int_equal(auth_enable(a), API_OK);
    assert_int_equal(auth_view_revision(auth_now(a)), revision);
    close_store(a);
}

/* The same for roles. */
static void roles_are_refused(void **state)
{
    struct auth_store *a = open_store();
    Etcdserverpb__AuthRoleGrantPermissionRequest none =
        ETCDSERVERPB__AUTH_ROLE_GRANT_PERMISSION_REQUEST__INIT;

    (void) state;
    turn_on(a);
    assert_int_equal(role_add(a, ""), API_ROLE_EMPTY);
    assert_int_equal(role_add(a, "r"), API_OK);
    assert_int_equal(role_add(a, "r"), API_ROLE_ALREADY_EXIST);
    assert_int_equal(role_delete(a, "root"), API_INVALID_AUTH_MGMT);
    assert_int_equal(role_delete(a, "x"), API_ROLE_NOT_FOUND);
    none.name = str("x");
    assert_int_equal(auth_role_grant_permission(a, &none), API_PERMISSION_NOT_GIVEN);
    assert_int_equal(role_grant(a, "x", R, BYTES_EMPTY, BYTES_EMPTY), API_INVALID_AUTH_MGMT);
    assert_int_equal(role_grant(a, "x", R, BYTES_LIT("b"), BYTES_LIT("a")), API_INVALID_AUTH_MGMT);
    assert_int_equal(role_grant(a, "x", R, BYTES_LIT("a"), BYTES_LIT("a")), API_INVALID_AUTH_MGMT);
    assert_int_equal(role_grant(a, "x", R, BYTES_LIT("b"), BYTES_LIT("\0")), API_ROLE_NOT_FOUND);
    assert_int_equal(role_revoke(a, "x", BYTES_LIT("a"), BYTES_EMPTY), API_ROLE_NOT_FOUND);
    assert_int_equal(role_revoke(a, "r", BYTES_LIT("a"), BYTES_EMPTY), API_PERMISSION_NOT_GRANTED);
    close_store(a);
}

/* Authentication wants a root user who holds the role root; enabling leaves the revision, disabling
 * moves it. */
static void enabling_wants_root(void **state)
{
    struct auth_store *a = open_store();

    (void) state;
    assert_int_equal(auth_enable(a), API_ROOT_USER_NOT_EXIST);
    assert_int_equal(user_add(a, "root"), API_OK);
    assert_int_equal(auth_enable(a), API_ROOT_ROLE_NOT_EXIST);
    assert_int_equal(user_grant(a, "root", "root"), API_OK);
    assert_int_equal(auth_enable(a), API_OK);
    assert_record(STORE_AUTH, "authEnabled", "\1");
    assert_int_equal(auth_view_revision(auth_now(a)), 3);
    auth_disable(a);
    auth_disable(a);
    assert_record(STORE_AUTH, "authEnabled", "\0");
    assert_int_equal(auth_view_revision(auth_now(a)), 4);
    close_store(a);
}

/* A role that is deleted is taken from its users, on disk as well. */
static void a_deleted_role_leaves_its_users(void **state)
{
    struct auth_store *a = open_store();

    (void) state;
    assert_int_equal(user_add(a, "u"), API_OK);
    assert_int_equal(user_add(a, "v"), API_OK);
    assert_int_equal(role_add(a, "r"), API_OK);
    assert_int_equal(user_grant(a, "u", "r"), API_OK);
    assert_true(auth_user_has_role(a, BYTES_LIT("u"), "r"));
    assert_int_equal(role_delete(a, "r"), API_OK);
    assert_false(auth_user_has_role(a, BYTES_LIT("u"), "r"));
    assert_record(STORE_AUTH_USERS, "u", "\x0a\1u\x12\2pw\x22\0");
    assert_null(record(STORE_AUTH_ROLES, "r"));
    assert_int_equal(auth_view_revision(auth_now(a)), 6);
    close_store(a);
}

/* What a store has is there again when it is opened anew, and when another store takes its place.
 */
static void state_outlives_a_restart(void **state)
{
    struct auth_store *a = open_store();

    (void) state;
    turn_on(a);
    assert_int_equal(user_add(a, "u"), API_OK);
    assert_int_equal(role_add(a, "r"), API_OK);
    assert_int_equal(role_grant(a, "r", R, BYTES_LIT("a"), BYTES_LIT("c")), API_OK);
    assert_int_equal(user_grant(a, "u", "r"), API_OK);
    auth_free(a);
    a = open_store();
    assert_true(auth_view_on(auth_now(a)));
    assert_true(auth_on(a));
    assert_int_equal(may(a, "u", AUTH_READ, "b", ""), API_OK);
    assert_int_equal(may(a, "u", AUTH_WRITE, "b", ""), API_PERMISSION_DENIED);
    assert_int_equal(auth_reload(a, &disk, NULL), 0);
    auth_publish(a);
    assert_int_equal(may(a, "u", AUTH_READ, "b", ""), API_OK);
    assert_int_equal(auth_view_revision(auth_now(a)), 7);
    close_store(a);
}

#define LONG_BYTES ((size_t) 65 << 20)

/* Permissions beyond any fixed buffer: granted, merged for whoever holds them, and there again when
 * the store is opened anew.  (Records of more than 64 MiB had stopped the start, and merged keys of
 * more than 256 MiB the member that applied the grant.)  Here two keys make them; in a cluster many
 * do. */
static void what_was_granted_loads(void **state)
{
    static const char *const roles[] = {"r", "s"};
    struct auth_store *a = open_store();
    uint8_t *key = test_malloc(LONG_BYTES);
    struct bytes k = bytes_of(key, LONG_BYTES);
    struct auth_who w;

    (void) state;
    memset(key, 'k', LONG_BYTES);
    turn_on(a);
    assert_int_equal(user_add(a, "u"), API_OK);
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        key[LONG_BYTES - 1] = (uint8_t) ('0' + i);
        assert_int_equal(role_add(a, roles[i]), API_OK);
        assert_int_equal(user_grant(a, "u", roles[i]), API_OK);
        assert_int_equal(role_grant(a, roles[i], RW, k, BYTES_EMPTY), API_OK);
        auth_publish(a);
    }
    auth_free(a);
    a = open_store();
    w = who(a, "u");
    for (int access = AUTH_READ; access <= AUTH_WRITE; access++)
        assert_int_equal(
            auth_check_range(auth_now(a), &w, (enum auth_access) access, k, BYTES_EMPTY), API_OK);
    key[LONG_BYTES - 1] = '2';
    assert_int_equal(auth_check_range(auth_now(a), &w, AUTH_READ, k, BYTES_EMPTY),
                     API_PERMISSION_DENIED);
    test_free(key);
    close_store(a);
}

/* A record that is none stops the start. */
static void damage_is_refused(void **state)
{
    struct auth_config cfg = {.token_ttl_ns = TTL_NS};
    struct auth_store *a = NULL;

    (void) state;
    store_put(&disk, STORE_AUTH_USERS, BYTES_LIT("u"), BYTES_LIT("\x0a\5u"));
    assert_int_equal(auth_open(&cfg, &disk, &a, NULL), ERR_AUTH_DAMAGED);
    fake_done(&disk);
    store_put(&disk, STORE_AUTH_ROLES, BYTES_LIT("u"), BYTES_LIT("\x0a\1v"));
    assert_int_equal(auth_open(&cfg, &disk, &a, NULL), ERR_AUTH_DAMAGED);
    fake_done(&disk);
    store_put(&disk, STORE_AUTH, BYTES_LIT("authRevision"), BYTES_LIT("\1"));
    assert_int_equal(auth_open(&cfg, &disk, &a, NULL), ERR_AUTH_DAMAGED);
    fake_done(&disk);
}

/* Lists are in order of names; the role root, and no other, allows everything. */
static void questions_are_answered(void **state)
{
    struct auth_store *a = open_store();
    Authpb__Permission **perms;
    struct arena mem;
    char **names;
    size_t n;

    (void) state;
    arena_init(&mem, 1 << 20);
    assert_int_equal(user_add(a, "b"), API_OK);
    assert_int_equal(user_add(a, "a"), API_OK);
    assert_true(auth_list_users(a, &mem, &names, &n));
    assert_int_equal(n, 2);
    assert_string_equal(names[0], "a");
    assert_int_equal(role_add(a, "root"), API_OK);
    assert_int_equal(role_grant(a, "root", R, BYTES_LIT("x"), BYTES_EMPTY), API_OK);
    assert_int_equal(auth_role_permissions(a, "root", &mem, &perms, &n), API_OK);
    assert_int_equal(n, 1);
    assert_int_equal(perms[0]->permtype, RW);
    assert_int_equal(perms[0]->key.len, 0);
    assert_int_equal(perms[0]->range_end.len, 1);
    assert_int_equal(auth_role_permissions(a, "x", &mem, &perms, &n), API_ROLE_NOT_FOUND);
    assert_int_equal(auth_user_roles(a, "x", &mem, &names, &n), API_USER_NOT_FOUND);
    assert_int_equal(user_grant(a, "a", "root"), API_OK);
    assert_int_equal(auth_user_roles(a, "a", &mem, &names, &n), API_OK);
    assert_int_equal(n, 1);
    assert_string_equal(names[0], "root");
    assert_true(auth_list_roles(a, &mem, &names, &n));
    assert_int_equal(n, 1);
    arena_done(&mem);
    close_store(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_store_is_at_revision_one),
        cmocka_unit_test(records_are_etcds),
        cmocka_unit_test(no_password_stays),
        cmocka_unit_test(users_are_refused),
        cmocka_unit_test(roles_are_refused),
        cmocka_unit_test(enabling_wants_root),
        cmocka_unit_test(a_deleted_role_leaves_its_users),
        cmocka_unit_test(state_outlives_a_restart),
        cmocka_unit_test(what_was_granted_loads),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(questions_are_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
