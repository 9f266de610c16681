#include "sys/signature.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/alloc.h"

enum family { HMAC_KEY, RSA_KEY, PSS_KEY, ECDSA_KEY, EDDSA_KEY };

static const struct {
    const char *name;
    enum family family;
    int bits;
} methods[] = {
#define X(name, family, bits) {#name, family##_KEY, bits},
    SIGN_METHOD_MAP(X)
#undef X
};

struct sign_key {
    enum sign_method method;
    EVP_PKEY *pkey; /* NULL for HMAC */
    bool is_private;
    size_t secret_n;
    uint8_t secret[]; /* of HMAC */
};

const char *sign_method_name(enum sign_method m)
{
    return methods[m].name;
}

enum sign_method sign_method_find(const char *name)
{
    unsigned m = 0;

    while (m < SIGN_METHODS && strcmp(methods[m].name, name) != 0)
        m++;
    return (enum sign_method) m;
}

static const EVP_MD *hash_of(const struct sign_key *k)
{
    switch (methods[k->method].bits) {
    case 256:
        return EVP_sha256();
    case 384:
        return EVP_sha384();
    case 512:
        return EVP_sha512();
    default:
        return NULL; /* EdDSA has its own */
    }
}

/* ---- keys ---- */

static BIO *bio_of(struct bytes b)
{
    return BIO_new_mem_buf(b.p, (int) b.n);
}

/* What asks for a passphrase gets none. */
static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
    (void) buf;
    (void) size;
    (void) writing;
    (void) ctx;
    return 0;
}

static EVP_PKEY *read_private(struct bytes pem)
{
    BIO *b = bio_of(pem);
    EVP_PKEY *k = b == NULL ? NULL : PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL);

    BIO_free(b);
    return k;
}

static EVP_PKEY *read_certificate(struct bytes pem)
{
    BIO *b = bio_of(pem);
    X509 *x = b == NULL ? NULL : PEM_read_bio_X509(b, NULL, no_passphrase, NULL);
    EVP_PKEY *k = x == NULL ? NULL : X509_get_pubkey(x);

    X509_free(x);
    BIO_free(b);
    return k;
}

/* A public key by itself, in either form, or the one of a certificate. */
static EVP_PKEY *read_public(struct bytes pem)
{
    EVP_PKEY *k = NULL;
    OSSL_DECODER_CTX *d = OSSL_DECODER_CTX_new_for_pkey(&k, "PEM", NULL, NULL, EVP_PKEY_PUBLIC_KEY,
                                                        NULL, NULL);
    BIO *b = bio_of(pem);

    if (d == NULL || b == NULL || OSSL_DECODER_from_bio(d, b) != 1)
        k = NULL;
    OSSL_DECODER_CTX_free(d);
    BIO_free(b);
    return k != NULL ? k : read_certificate(pem);
}

static int key_type(enum sign_method m)
{
    switch (methods[m].family) {
    case RSA_KEY:
    case PSS_KEY:
        return EVP_PKEY_RSA;
    case ECDSA_KEY:
        return EVP_PKEY_EC;
    default:
        return EVP_PKEY_ED25519;
    }
}

static int take_key(struct sign_key *k, EVP_PKEY *pkey, const char *which, struct err *e)
{
    if (pkey == NULL)
        return err_set(e, ERR_INVALID, "the %s key cannot be read", which);
    if (EVP_PKEY_get_base_id(pkey) != key_type(k->method)) {
        EVP_PKEY_free(pkey);
        return err_set(e, ERR_INVALID, "the %s key is not one for %s", which,
                       sign_method_name(k->method));
    }
    k->pkey = pkey;
    return 0;
}

static int open_pair(struct sign_key *k, struct bytes private_pem, struct bytes public_pem,
                     struct err *e)
{
    EVP_PKEY *secret = NULL;
    int rc = 0;

    if (private_pem.n == 0 && public_pem.n == 0)
        return err_set(e, ERR_INVALID, "auth: missing key data");
    if (private_pem.n > 0) {
        rc = take_key(k, read_private(private_pem), "private", e);
        secret = k->pkey;
        k->is_private = true;
    }
    if (rc != 0 || public_pem.n == 0)
        return rc;
    k->pkey = NULL;
    rc = take_key(k, read_public(public_pem), "public", e);
    if (rc == 0 && secret != NULL && EVP_PKEY_eq(secret, k->pkey) != 1)
        rc = err_set(e, ERR_INVALID, "auth: public and private keys don't match");
    if (secret != NULL) {
        EVP_PKEY_free(k->pkey);
        k->pkey = secret;
    }
    return rc;
}

int sign_key_open(enum sign_method m, struct bytes private_pem, struct bytes public_pem,
                  struct sign_key **ret, struct err *e)
{
    bool hmac = methods[m].family == HMAC_KEY;
    size_t n = hmac ? private_pem.n : 0;
    struct sign_key *k;
    int rc = 0;

    if (private_pem.n > SIGN_KEY_FILE_BYTES_MAX || public_pem.n > SIGN_KEY_FILE_BYTES_MAX)
        return err_set(e, ERR_INVALID, "the key is longer than %zu bytes", SIGN_KEY_FILE_BYTES_MAX);
    k = mem_calloc(1, sizeof *k + n);
    if (k == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    k->method = m;
    k->secret_n = n;
    if (n != 0)
        memcpy(k->secret, private_pem.p, n);
    if (!hmac)
        rc = open_pair(k, private_pem, public_pem, e);
    else if (n == 0)
        rc = err_set(e, ERR_INVALID, "auth: missing key data");
    ERR_clear_error();
    if (rc != 0) {
        sign_key_close(k);
        return rc;
    }
    *ret = k;
    return 0;
}

void sign_key_close(struct sign_key *k)
{
    if (k == NULL)
        return;
    EVP_PKEY_free(k->pkey);
    OPENSSL_cleanse(k->secret, k->secret_n);
    mem_free(k);
}

bool sign_key_may_sign(const struct sign_key *k)
{
    return k->pkey == NULL || k->is_private;
}

/* ---- HMAC ---- */

static bool hmac(const struct sign_key *k, struct bytes message, uint8_t *ret, size_t *ret_n)
{
    unsigned n = 0;

    if (HMAC(hash_of(k), k->secret, (int) k->secret_n, message.p, message.n, ret, &n) == NULL)
        return false;
    *ret_n = n;
    return true;
}

/* ---- ECDSA: two numbers of fixed length, where OpenSSL has them in DER ---- */

/* Of one number. */
static int number_bytes(const struct sign_key *k)
{
    return (methods[k->method].bits == 512 ? 521 + 7 : methods[k->method].bits) / 8;
}

static bool der_to_pair(const struct sign_key *k, const uint8_t *der, size_t n, uint8_t *ret,
                        size_t *ret_n)
{
    int half = number_bytes(k);
    const uint8_t *p = der;
    ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long) n);
    bool ok = s != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(s), ret, half) == half &&
              BN_bn2binpad(ECDSA_SIG_get0_s(s), ret + half, half) == half;

    ECDSA_SIG_free(s);
    *ret_n = (size_t) half * 2;
    return ok;
}

static bool pair_to_der(const struct sign_key *k, struct bytes pair, uint8_t *ret, size_t *ret_n)
{
    int half = number_bytes(k), n;
    ECDSA_SIG *s;
    BIGNUM *r, *t;
    uint8_t *p = ret;

    if (pair.n != (size_t) half * 2)
        return false;
    s = ECDSA_SIG_new();
    r = BN_bin2bn(pair.p, half, NULL);
    t = BN_bin2bn(pair.p + half, half, NULL);
    if (s == NULL || r == NULL || t == NULL || ECDSA_SIG_set0(s, r, t) != 1) {
        BN_free(r);
        BN_free(t);
        ECDSA_SIG_free(s);
        return false;
    }
    n = i2d_ECDSA_SIG(s, NULL);
    if (n > 0 && n <= SIGNATURE_BYTES_MAX)
        n = i2d_ECDSA_SIG(s, &p);
    else
        n = 0;
    ECDSA_SIG_free(s);
    *ret_n = (size_t) n;
    return n > 0;
}

/* ---- the rest by OpenSSL's own interface ---- */

static bool set_padding(const struct sign_key *k, EVP_PKEY_CTX *p, int salt)
{
    if (methods[k->method].family != PSS_KEY)
        return true;
    return EVP_PKEY_CTX_set_rsa_padding(p, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(p, salt) == 1;
}

static bool make(const struct sign_key *k, struct bytes message, uint8_t *ret, size_t *ret_n)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    EVP_PKEY_CTX *p = NULL;
    bool ok = c != NULL && EVP_DigestSignInit(c, &p, hash_of(k), NULL, k->pkey) == 1 &&
              set_padding(k, p, RSA_PSS_SALTLEN_DIGEST) &&
              EVP_DigestSign(c, ret, ret_n, message.p, message.n) == 1;

    EVP_MD_CTX_free(c);
    return ok;
}

static bool check(const struct sign_key *k, struct bytes message, struct bytes signature)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    EVP_PKEY_CTX *p = NULL;
    bool ok = c != NULL && EVP_DigestVerifyInit(c, &p, hash_of(k), NULL, k->pkey) == 1 &&
              set_padding(k, p, RSA_PSS_SALTLEN_AUTO) &&
              EVP_DigestVerify(c, signature.p, signature.n, message.p, message.n) == 1;

    EVP_MD_CTX_free(c);
    return ok;
}

/* A curve of another size has signatures of another length, which nobody would accept. */
static bool curve_fits(const struct sign_key *k)
{
    return methods[k->method].family != ECDSA_KEY ||
           (EVP_PKEY_get_bits(k->pkey) + 7) / 8 == number_bytes(k);
}

bool signature_make(const struct sign_key *k, struct bytes message,
                    uint8_t ret[SIGNATURE_BYTES_MAX], size_t *ret_n)
{
    uint8_t der[SIGNATURE_BYTES_MAX];
    size_t n = SIGNATURE_BYTES_MAX;
    bool ok;

    if (methods[k->method].family == HMAC_KEY)
        return hmac(k, message, ret, ret_n);
    if (!k->is_private || !curve_fits(k) || EVP_PKEY_get_size(k->pkey) > SIGNATURE_BYTES_MAX)
        return false;
    if (methods[k->method].family == ECDSA_KEY) {
        ok = make(k, message, der, &n) && der_to_pair(k, der, n, ret, ret_n);
    } else {
        ok = make(k, message, ret, &n);
        *ret_n = n;
    }
    ERR_clear_error();
    return ok;
}

bool signature_check(const struct sign_key *k, struct bytes message, struct bytes signature)
{
    uint8_t own[SIGNATURE_BYTES_MAX];
    size_t n;
    bool ok;

    switch (methods[k->method].family) {
    case HMAC_KEY:
        return hmac(k, message, own, &n) && n == signature.n &&
               CRYPTO_memcmp(own, signature.p, n) == 0;
    case ECDSA_KEY:
        ok = pair_to_der(k, signature, own, &n) && check(k, message, bytes_of(own, n));
        break;
    default:
        ok = check(k, message, signature);
        break;
    }
    ERR_clear_error();
    return ok;
}
