/* signature.h -- the signatures of RFC 7518 (JSON Web Algorithms): made and checked.
 *
 * Threads: a key may be used by any number at a time; opening and closing are for one.
 * Memory: a key copies what it needs.
 */
#ifndef KETCH_SYS_SIGNATURE_H
#define KETCH_SYS_SIGNATURE_H

#include "base/base.h"
#include "base/err.h"

/* X(name as in a token, family, bits of the hash) */
#define SIGN_METHOD_MAP(X) \
    X(HS256, HMAC, 256)    \
    X(HS384, HMAC, 384)    \
    X(HS512, HMAC, 512)    \
    X(RS256, RSA, 256)     \
    X(RS384, RSA, 384)     \
    X(RS512, RSA, 512)     \
    X(PS256, PSS, 256)     \
    X(PS384, PSS, 384)     \
    X(PS512, PSS, 512)     \
    X(ES256, ECDSA, 256)   \
    X(ES384, ECDSA, 384)   \
    X(ES512, ECDSA, 512)   \
    X(EdDSA, EDDSA, 0)

enum sign_method {
#define X(name, family, bits) SIGN_##name,
    SIGN_METHOD_MAP(X)
#undef X
        SIGN_METHODS
};

#define SIGNATURE_BYTES_MAX 2048 /* of an RSA key of 16384 bits */
#define SIGN_KEY_FILE_BYTES_MAX ((size_t) 1 << 20)

const char *sign_method_name(enum sign_method m);
/* SIGN_METHODS: there is no such method. */
enum sign_method sign_method_find(const char *name);

struct sign_key;

/* `private_pem` and `public_pem` are the files' contents; either may be empty.  HMAC takes the
 * bytes of private_pem as they are.  With the public key alone signatures can be checked only.
 *
 *   ERR_INVALID   no key was given, it cannot be read, is longer than SIGN_KEY_FILE_BYTES_MAX, of
 *                 another kind, or the two do not belong together: the message is etcd's where it
 *                 has one
 *   ERR_NOMEM */
NODISCARD int sign_key_open(enum sign_method m, struct bytes private_pem, struct bytes public_pem,
                            struct sign_key **ret, struct err *e);
void sign_key_close(struct sign_key *k); /* NULL is accepted */

bool sign_key_may_sign(const struct sign_key *k);

/* False: the key cannot (it only checks, or is of the wrong size), or there was no memory; `ret`
 * and *ret_n then say nothing. */
bool signature_make(const struct sign_key *k, struct bytes message,
                    uint8_t ret[SIGNATURE_BYTES_MAX], size_t *ret_n);
bool signature_check(const struct sign_key *k, struct bytes message, struct bytes signature);

#endif
