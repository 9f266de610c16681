/* Signatures of every method: what is made is accepted, what was changed is not; keys in their
 * forms. */
#define _GNU_SOURCE
#include "sys/signature.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/cm.h"

static char dir[] = "/tmp/ketch-signature-XXXXXX";

/* What the openssl program prints to `name`, read back. */
static struct bytes made(const char *command, const char *name)
{
    static uint8_t files[16][8192];
    static size_t next;
    char line[1024], path[256];
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    snprintf(line, sizeof line, "cd %s && openssl %s >%s 2>/dev/null", dir, command, name);
    if (system(line) != 0)
        return BYTES_EMPTY;
    f = fopen(path, "rb");
    assert_non_null(f);
    n = fread(files[next], 1, sizeof files[next], f);
    fclose(f);
    return bytes_of(files[next++ % 16], n);
}

static struct sign_key *key_of(enum sign_method m, struct bytes secret, struct bytes open)
{
    struct sign_key *k = NULL;
    struct err e = ERR_INIT;

    if (sign_key_open(m, secret, open, &k, &e) != 0)
        fail_msg("%s: %s", sign_method_name(m), e.msg);
    return k;
}

/* Signs with the private key, checks with the public one, and refuses another text or signature. */
static void round_trip(enum sign_method m, struct bytes secret, struct bytes open)
{
    struct sign_key *k = key_of(m, secret, BYTES_EMPTY), *p = key_of(m, secret, open);
    uint8_t sig[SIGNATURE_BYTES_MAX];
    size_t n = 0;

    assert_true(sign_key_may_sign(k));
    assert_true(signature_make(k, BYTES_LIT("a.b"), sig, &n));
    if (m >= SIGN_RS256) {
        sign_key_close(p);
        p = key_of(m, BYTES_EMPTY, open);
        assert_false(sign_key_may_sign(p));
        assert_false(signature_make(p, BYTES_LIT("a.b"), sig, &(size_t){0}));
    }
    assert_true(signature_check(p, BYTES_LIT("a.b"), bytes_of(sig, n)));
    assert_false(signature_check(p, BYTES_LIT("a.c"), bytes_of(sig, n)));
    assert_false(signature_check(p, BYTES_LIT("a.b"), bytes_of(sig, n - 1)));
    assert_false(signature_check(p, BYTES_LIT("a.b"), BYTES_EMPTY));
    sig[n / 2] ^= 1;
    assert_false(signature_check(p, BYTES_LIT("a.b"), bytes_of(sig, n)));
    sign_key_close(k);
    sign_key_close(p);
}

static void every_method_signs(void **state)
{
    static const char *const curves[] = {"P-256", "P-384", "P-521"};
    struct bytes rsa = made("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", "rsa.pem");
    struct bytes rsa_pub = made("pkey -in rsa.pem -pubout", "rsa.pub");
    struct bytes ed = made("genpkey -algorithm ed25519", "ed.pem");
    struct bytes ed_pub = made("pkey -in ed.pem -pubout", "ed.pub");

    (void) state;
    if (rsa.n == 0)
        skip(); /* no openssl program */
    for (enum sign_method m = SIGN_HS256; m <= SIGN_HS512; m++)
        round_trip(m, BYTES_LIT("secret"), BYTES_EMPTY);
    for (enum sign_method m = SIGN_RS256; m <= SIGN_PS512; m++)
        round_trip(m, rsa, rsa_pub);
    for (unsigned i = 0; i < 3; i++) {
        char line[128];
        struct bytes ec, ec_pub;

        snprintf(line, sizeof line, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:%s",
                 curves[i]);
        ec = made(line, "ec.pem");
        ec_pub = made("pkey -in ec.pem -pubout", "ec.pub");
        round_trip((enum sign_method)(SIGN_ES256 + i), ec, ec_pub);
    }
    round_trip(SIGN_EdDSA, ed, ed_pub);
}

/* Old forms of keys, and the key of a certificate, are read. */
static void keys_have_many_forms(void **state)
{
    struct bytes rsa = made("genrsa -traditional 2048", "old.pem");
    struct bytes pub = made("rsa -in old.pem -RSAPublicKey_out", "old.pub");
    struct bytes cert = made("req -x509 -key old.pem -subj /CN=x -days 2", "old.crt");

    (void) state;
    if (rsa.n == 0)
        skip();
    round_trip(SIGN_RS256, rsa, pub);
    round_trip(SIGN_RS256, rsa, cert);
}

/* Keys that are missing, damaged, of another kind, or do not belong together are refused. */
static void bad_keys_are_refused(void **state)
{
    struct bytes one = made("genpkey -algorithm ed25519", "one.pem");
    struct bytes two = made("genpkey -algorithm ed25519", "two.pem");
    struct bytes two_pub = made("pkey -in two.pem -pubout", "two.pub");
    struct sign_key *k = NULL;
    struct err e = ERR_INIT;

    (void) state;
    assert_int_equal(sign_key_open(SIGN_HS256, BYTES_EMPTY, BYTES_EMPTY, &k, &e), ERR_INVALID);
    assert_string_equal(e.msg, "auth: missing key data");
    e = ERR_INIT;
    assert_int_equal(sign_key_open(SIGN_RS256, BYTES_EMPTY, BYTES_EMPTY, &k, &e), ERR_INVALID);
    assert_string_equal(e.msg, "auth: missing key data");
    assert_int_equal(sign_key_open(SIGN_RS256, BYTES_LIT("none"), BYTES_EMPTY, &k, NULL),
                     ERR_INVALID);
    if (one.n == 0 || two.n == 0)
        skip();
    assert_int_equal(sign_key_open(SIGN_RS256, one, BYTES_EMPTY, &k, NULL), ERR_INVALID);
    e = ERR_INIT;
    assert_int_equal(sign_key_open(SIGN_EdDSA, one, two_pub, &k, &e), ERR_INVALID);
    assert_string_equal(e.msg, "auth: public and private keys don't match");
    assert_null(k);
}

/* Methods are found by their names alone. */
static void methods_have_names(void **state)
{
    (void) state;
    assert_int_equal(sign_method_find("PS384"), SIGN_PS384);
    assert_int_equal(sign_method_find("EdDSA"), SIGN_EdDSA);
    assert_int_equal(sign_method_find("none"), SIGN_METHODS);
    assert_int_equal(sign_method_find(""), SIGN_METHODS);
}

static int folder(void **state)
{
    (void) state;
    return mkdtemp(dir) == NULL;
}

static int no_folder(void **state)
{
    char line[128];

    (void) state;
    snprintf(line, sizeof line, "rm -rf %s", dir);
    return system(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_signs),
        cmocka_unit_test(keys_have_many_forms),
        cmocka_unit_test(bad_keys_are_refused),
        cmocka_unit_test(methods_have_names),
    };

    return cmocka_run_group_tests(tests, folder, no_folder);
}
