/* Simple tokens, and readers on other threads. */
#include "sys/thread.h"
#include "unit/state/auth/fixture.h"

static struct auth_store *with_user(void)
{
    struct auth_store *a = open_store();

    turn_on(a);
    assert_int_equal(user_add(a, "u"), API_OK);
    auth_publish(a);
    return a;
}

static bool use(struct auth_reader *r, const char *token, mono_ns now, const char *user)
{
    struct bytes name;
    bool found;

    auth_pin(r);
    found = auth_token_use(r, bytes_str(token), now, &name);
    if (found)
        assert_true(bytes_eq(name, bytes_str(user)));
    auth_unpin(r);
    return found;
}

/* A token is the letters, a point and the index; it is good for its time, which each use renews. */
static void tokens_live_while_used(void **state)
{
    struct auth_store *a = with_user();
    struct auth_reader *r = auth_reader_new(a);
    char token[AUTH_TOKEN_BYTES_MAX + 1];

    (void) state;
    assert_int_equal(auth_authenticate(a, "u", "abcdefghijklmnop", 42, 0, token), API_OK);
    assert_string_equal(token, "abcdefghijklmnop.42");
    assert_true(use(r, token, 500, "u"));
    assert_false(use(r, "abcdefghijklmnop.43", 500, "u"));
    assert_int_equal(auth_expire_tokens(a, 1200), 1500);
    assert_true(use(r, token, 1500, "u"));
    assert_int_equal(auth_expire_tokens(a, 1600), 2500);
    assert_int_equal(auth_expire_tokens(a, 2500), INT64_MAX);
    assert_false(use(r, token, 2500, "u"));
    assert_int_equal(auth_tokens_n(a), 0);
    auth_reader_free(r);
    close_store(a);
}

/* Who cannot log in gets none: authentication off, unknown, without a password. */
static void logins_are_refused(void **state)
{
    struct auth_store *a = open_store();
    char token[AUTH_TOKEN_BYTES_MAX + 1];

    (void) state;
    assert_int_equal(auth_authenticate(a, "u", "abc", 1, 0, token), API_AUTH_NOT_ENABLED);
    turn_on(a);
    assert_int_equal(auth_authenticate(a, "u", "abc", 1, 0, token), API_AUTH_FAILED);
    close_store(a);
}

/* A new password, the end of a user and of authentication take tokens away; a new role does not. */
static void tokens_go_with_what_they_stand_for(void **state)
{
    struct auth_store *a = with_user();
    struct auth_reader *r = auth_reader_new(a);
    char t1[AUTH_TOKEN_BYTES_MAX + 1], t2[AUTH_TOKEN_BYTES_MAX + 1];

    (void) state;
    assert_int_equal(auth_authenticate(a, "u", "a", 1, 0, t1), API_OK);
    assert_int_equal(auth_authenticate(a, "root", "b", 2, 0, t2), API_OK);
    assert_int_equal(user_grant(a, "u", "root"), API_OK);
    assert_true(use(r, t1, 0, "u"));
    assert_int_equal(user_password(a, "u", "cHc="), API_OK);
    assert_false(use(r, t1, 0, "u"));
    assert_true(use(r, t2, 0, "root"));
    assert_int_equal(auth_authenticate(a, "u", "c", 3, 0, t1), API_OK);
    assert_int_equal(user_delete(a, "u"), API_OK);
    assert_false(use(r, t1, 0, "u"));
    auth_disable(a);
    assert_false(use(r, t2, 0, "root"));
    assert_int_equal(auth_tokens_n(a), 0);
    auth_reader_free(r);
    close_store(a);
}

/* At the limit the token that would end first makes room. */
static void tokens_are_bounded(void **state)
{
    struct auth_store *a = with_user();
    struct auth_reader *r = auth_reader_new(a);
    char token[AUTH_TOKEN_BYTES_MAX + 1];

    (void) state;
    for (uint64_t i = 0; i < AUTH_TOKENS_MAX + 1; i++) {
        assert_int_equal(auth_authenticate(a, "u", "x", i, (mono_ns) (i / 1000), token), API_OK);
        if (i % 1000 == 0)
            auth_publish(a);
    }
    assert_int_equal(auth_tokens_n(a), AUTH_TOKENS_MAX);
    assert_false(use(r, "x.0", 0, "u"));
    assert_true(use(r, "x.1", 0, "u"));
    assert_true(use(r, token, 0, "u"));
    auth_reader_free(r);
    close_store(a);
}

/* ---- threads ---- */

struct looking {
    struct auth_reader *reader;
    _Atomic bool stop;
    uint64_t looks;
};

/* Whatever it finds is whole: the user of the token is there, and may what the role says. */
static void look(void *arg)
{
    struct looking *l = arg;

    while (!atomic_load(&l->stop)) {
        const struct auth_view *v = auth_pin(l->reader);
        struct auth_who w = {true, BYTES_LIT("u"), UINT64_MAX};
        struct bytes user;
        enum api_error err = auth_check_range(v, &w, AUTH_READ, BYTES_LIT("k"), BYTES_EMPTY);

        ASSERT(err == API_OK || err == API_PERMISSION_DENIED);
        if (auth_token_use(l->reader, BYTES_LIT("t.7"), 0, &user))
            ASSERT(bytes_eq(user, BYTES_LIT("u")));
        auth_unpin(l->reader);
        l->looks++;
    }
}

/* Readers go on while users, roles and tokens come and go: what they look at stays until they are
 * through (a sanitizer sees to it). */
static void readers_keep_what_they_see(void **state)
{
    struct auth_store *a = with_user();
    struct looking l[2] = {{.reader = auth_reader_new(a)}, {.reader = auth_reader_new(a)}};
    struct thread *t[2];
    char token[AUTH_TOKEN_BYTES_MAX + 1];

    (void) state;
    assert_int_equal(role_add(a, "r"), API_OK);
    assert_int_equal(user_grant(a, "u", "r"), API_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(thread_start("look", look, &l[i], &t[i], NULL), 0);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(role_grant(a, "r", R, BYTES_LIT("k"), BYTES_EMPTY), API_OK);
        assert_int_equal(auth_authenticate(a, "u", "t", 7, 0, token), API_OK);
        auth_publish(a);
        assert_int_equal(role_revoke(a, "r", BYTES_LIT("k"), BYTES_EMPTY), API_OK);
        assert_int_equal(user_password(a, "u", "cHc="), API_OK);
        auth_publish(a);
    }
    for (int i = 0; i < 2; i++) {
        atomic_store(&l[i].stop, true);
        thread_join(t[i]);
        assert_true(l[i].looks > 0);
        auth_reader_free(l[i].reader);
    }
    close_store(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_live_while_used),
        cmocka_unit_test(logins_are_refused),
        cmocka_unit_test(tokens_go_with_what_they_stand_for),
        cmocka_unit_test(tokens_are_bounded),
        cmocka_unit_test(readers_keep_what_they_see),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
