/* Tokens: how simple ones are written, and signed ones that are good, old, forged or odd. */
#define _GNU_SOURCE
#include "edge/server/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/cm.h"
#include "wire/api_error.h"

static char key_file[] = "/tmp/ketch-token-XXXXXX";

static struct tokens *open_tokens(const char *spec)
{
    const char *unknown;
    struct tokens *t = NULL;
    struct err e = ERR_INIT;

    if (tokens_new(spec, &t, &unknown, &e) != 0)
        fail_msg("%s: %s", spec, e.msg);
    return t;
}

static struct tokens *open_hs(const char *method)
{
    char spec[256];

    snprintf(spec, sizeof spec, "jwt,sign-method=%s,priv-key=%s,ttl=10s", method, key_file);
    return open_tokens(spec);
}

/* Says what token_check says, and token_check_again must say the same, known or not. */
static bool check(struct tokens *t, struct bytes token, wall_ms now, const char *user,
                  uint64_t revision)
{
    struct arena mem;
    struct bytes got;
    uint64_t rev;
    bool ok;

    arena_init(&mem, 1 << 20);
    ok = token_check(t, token, now, &mem, &got, &rev);
    for (int i = 0; i < 3; i++) {
        if (ok) {
            assert_true(bytes_eq(got, bytes_str(user)));
            assert_int_equal(rev, revision);
        }
        assert_int_equal(token_check_again(t, 0, token, now, &mem, &got, &rev), ok);
    }
    arena_done(&mem);
    return ok;
}

/* Two parts, the second a number that fits; nothing else. */
static void simple_tokens_end_in_a_number(void **state)
{
    static const char *const bad[] = {"",
                                      ".",
                                      "a",
                                      "a.",
                                      "a.b",
                                      "a.1.2",
                                      "a.-1",
                                      "a.+1",
                                      "a. 1",
                                      "a.1x",
                                      "a.18446744073709551616"};
    uint64_t index = 0;

    (void) state;
    assert_true(token_index(BYTES_LIT("abc.42"), &index));
    assert_int_equal(index, 42);
    assert_true(token_index(BYTES_LIT(".18446744073709551615"), &index));
    assert_true(index == UINT64_MAX);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(token_index(bytes_str(bad[i]), &index));
}

/* Options are those of etcd; what is malformed, twice there or incomplete refuses the start. */
static void options_are_checked(void **state)
{
    static const char *const bad[] = {"other",
                                      "simple,x",
                                      "jwt",
                                      "jwt,sign-method=none",
                                      "jwt,sign-method=HS256",
                                      "jwt,sign-method",
                                      "jwt,sign-method=HS256=1",
                                      "jwt,ttl=1s,ttl=2s",
                                      "jwt,sign-method=HS256,priv-key=/nowhere/at/all"};
    const char *unknown = NULL;
    struct tokens *t = NULL;
    char spec[256];

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_not_equal(tokens_new(bad[i], &t, &unknown, NULL), 0);
    snprintf(spec, sizeof spec, "jwt,sign-method=HS256,ttl=1,priv-key=%s", key_file);
    assert_int_not_equal(tokens_new(spec, &t, &unknown, NULL), 0);
    snprintf(spec, sizeof spec, "jwt,sign-method=HS256,odd=1,more=2,priv-key=%s", key_file);
    assert_int_equal(tokens_new(spec, &t, &unknown, NULL), 0);
    assert_string_equal(unknown, "odd more");
    assert_false(token_is_simple(t));
    tokens_free(t);
    t = open_tokens("simple");
    assert_true(token_is_simple(t));
    tokens_free(t);
    t = open_tokens("");
    assert_false(token_is_simple(t));
    assert_false(check(t, BYTES_LIT("a.b.c"), 0, "", 0));
    assert_int_equal(token_make(t, "u", 1, 0, NULL), API_AUTH_FAILED);
    tokens_free(t);
}

/* A token says who and when, until its time is over. */
static void signed_tokens_live_for_their_time(void **state)
{
    struct tokens *t = open_hs("HS256");
    struct buf b;

    (void) state;
    buf_init(&b, TOKEN_BYTES_MAX);
    assert_int_equal(token_make(t, "\"u\\/\xc3\xa4", 7, 1000000, &b), 0);
    assert_true(check(t, buf_bytes(&b), 1000000, "\"u\\/\xc3\xa4", 7));
    assert_true(check(t, buf_bytes(&b), 1009999, "\"u\\/\xc3\xa4", 7));
    assert_false(check(t, buf_bytes(&b), 1010000, "", 0));
    b.p[b.len - 1] ^= 1;
    assert_false(check(t, buf_bytes(&b), 1000000, "", 0));
    buf_done(&b);
    tokens_free(t);
}

/* A token that is known is refused like any other once its time is over, or when a byte of it is
 * not the same; each thread has its own memory of it. */
static void known_tokens_are_refused_in_time(void **state)
{
    struct tokens *t = open_hs("HS256");
    struct arena mem;
    struct bytes user;
    uint64_t rev;
    struct buf b;

    (void) state;
    arena_init(&mem, 1 << 20);
    buf_init(&b, TOKEN_BYTES_MAX);
    assert_int_equal(token_make(t, "u", 7, 1000000, &b), 0);
    for (unsigned thread = 0; thread < TOKEN_THREADS_MAX; thread += TOKEN_THREADS_MAX - 1) {
        assert_true(token_check_again(t, thread, buf_bytes(&b), 1000000, &mem, &user, &rev));
        assert_false(token_check_again(t, thread, buf_bytes(&b), 1010000, &mem, &user, &rev));
        assert_true(token_check_again(t, thread, buf_bytes(&b), 1009999, &mem, &user, &rev));
        for (size_t i = 0; i < b.len; i++) {
            b.p[i] ^= 1;
            assert_false(token_check_again(t, thread, buf_bytes(&b), 1000000, &mem, &user, &rev));
            b.p[i] ^= 1;
        }
        assert_true(token_check_again(t, thread, buf_bytes(&b), 1000000, &mem, &user, &rev));
    }
    buf_done(&b);
    arena_done(&mem);
    tokens_free(t);
}

/* Many more tokens than are kept, and names of any length: each says what it said at first. */
static void more_tokens_than_are_kept(void **state)
{
    struct tokens *t = open_hs("HS256");
    char user[201];
    struct buf b[1000];

    (void) state;
    memset(user, 'u', sizeof user);
    for (size_t i = 0; i < ARRAY_LEN(b); i++) {
        user[i % 200] = 0;
        buf_init(&b[i], TOKEN_BYTES_MAX);
        assert_int_equal(token_make(t, user, i, 1000000, &b[i]), 0);
        user[i % 200] = 'u';
    }
    for (size_t k = 0; k < 3 * ARRAY_LEN(b); k++) {
        size_t i = k * 7 % ARRAY_LEN(b);

        user[i % 200] = 0;
        assert_true(check(t, buf_bytes(&b[i]), 1000000, user, i));
        user[i % 200] = 'u';
    }
    for (size_t i = 0; i < ARRAY_LEN(b); i++)
        buf_done(&b[i]);
    tokens_free(t);
}

/* A token of another method of the family is none, though the key is the same. */
static void the_method_must_be_ours(void **state)
{
    struct tokens *t = open_hs("HS256"), *other = open_hs("HS512");
    struct buf b;

    (void) state;
    buf_init(&b, TOKEN_BYTES_MAX);
    assert_int_equal(token_make(other, "u", 7, 0, &b), 0);
    assert_true(check(other, buf_bytes(&b), 0, "u", 7));
    assert_false(check(t, buf_bytes(&b), 0, "", 0));
    buf_done(&b);
    tokens_free(t);
    tokens_free(other);
}

/* Made by other programs with the key "secret": PyJWT's claims in several forms. */
static void claims_are_read_as_etcd_does(void **state)
{
    /* {"alg":"HS256","typ":"JWT"} and claims as in the comment, signed with "secret". */
    static const struct {
        const char *token;
        bool good;
    } cases[] = {
#include "unit/edge/server/token_cases.h"
    };
    struct tokens *t = open_hs("HS256");

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (check(t, bytes_str(cases[i].token), 1000000, "u", 5) != cases[i].good)
            fail_msg("case %zu", i);
    tokens_free(t);
}

/* What is no token at all is refused, whatever it is. */
static void nonsense_is_refused(void **state)
{
    static const char *const bad[] = {"",      ".",        "..",    "...",
                                      "a.b.c", "e30.e30.", "!.!.!", "e30=.e30=.e30="};
    struct tokens *t = open_hs("HS256");
    char *longest = test_malloc(TOKEN_BYTES_MAX + 2);

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(check(t, bytes_str(bad[i]), 0, "", 0));
    memset(longest, '.', TOKEN_BYTES_MAX + 1);
    assert_false(check(t, bytes_of(longest, TOKEN_BYTES_MAX + 1), 0, "", 0));
    test_free(longest);
    tokens_free(t);
}

static int write_key(void **state)
{
    int fd = mkstemp(key_file);

    (void) state;
    return fd < 0 || write(fd, "secret", 6) != 6 || close(fd) != 0;
}

static int remove_key(void **state)
{
    (void) state;
    return unlink(key_file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_tokens_end_in_a_number),
        cmocka_unit_test(known_tokens_are_refused_in_time),
        cmocka_unit_test(more_tokens_than_are_kept),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(signed_tokens_live_for_their_time),
        cmocka_unit_test(the_method_must_be_ours),
        cmocka_unit_test(claims_are_read_as_etcd_does),
        cmocka_unit_test(nonsense_is_refused),
    };

    return cmocka_run_group_tests(tests, write_key, remove_key);
}
