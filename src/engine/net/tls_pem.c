/* tls_pem.c -- what is in a PEM file that could not be used as a certificate, or as a key, in the
 * words of Go's crypto/tls.  Read once more, and by hand: OpenSSL says only that it failed. */
#define _GNU_SOURCE
#include <openssl/err.h>
#include <openssl/pem.h>

#include "engine/net/tls_int.h"

#define TYPES_BYTES_MAX 256

struct pem_blocks {
    size_t n;
    bool has_cert, has_key;         /* any of them is one */
    bool last_is_cert, last_is_key; /* of one alone: it is */
    char types[TYPES_BYTES_MAX];    /* "A B" */
};

static bool is_key(const char *type)
{
    static const char end[] = " PRIVATE KEY";
    size_t n = strlen(type);

    return strcmp(type, end + 1) == 0 ||
           (n >= sizeof end - 1 && strcmp(type + n - (sizeof end - 1), end) == 0);
}

static void look_at(struct pem_blocks *b, const char *type)
{
    size_t used = strlen(b->types);

    b->n++;
    b->last_is_cert = strcmp(type, PEM_STRING_X509) == 0;
    b->last_is_key = is_key(type);
    b->has_cert = b->has_cert || b->last_is_cert;
    b->has_key = b->has_key || b->last_is_key;
    snprintf(b->types + used, sizeof b->types - used, "%s%s", used > 0 ? " " : "", type);
}

static struct pem_blocks blocks_of(const char *path)
{
    struct pem_blocks b = {.n = 0};
    BIO *f = BIO_new_file(path, "r");
    char *type, *header;
    unsigned char *body;
    long n;

    while (f != NULL && PEM_read_bio(f, &type, &header, &body, &n) == 1) {
        look_at(&b, type);
        OPENSSL_free(type);
        OPENSSL_free(header);
        OPENSSL_clear_free(body, (size_t) n);
    }
    BIO_free(f);
    ERR_clear_error();
    return b;
}

int tls__bad_cert(const char *path, struct err *e)
{
    struct pem_blocks b = blocks_of(path);

    if (b.has_cert)
        return err_set(e, ERR_INVALID, "x509: malformed certificate");
    if (b.n == 0)
        return err_set(e, ERR_INVALID, "tls: failed to find any PEM data in certificate input");
    if (b.n == 1 && b.last_is_key)
        return err_set(e, ERR_INVALID,
                       "tls: failed to find certificate PEM data in certificate input, but did "
                       "find a private key; PEM inputs may have been switched");
    return err_set(e, ERR_INVALID,
                   "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after "
                   "skipping PEM blocks of the following types: [%s]",
                   b.types);
}

int tls__bad_key(const char *path, struct err *e)
{
    struct pem_blocks b = blocks_of(path);

    if (b.has_key)
        return err_set(e, ERR_INVALID, "tls: failed to parse private key");
    if (b.n == 0)
        return err_set(e, ERR_INVALID, "tls: failed to find any PEM data in key input");
    if (b.n == 1 && b.last_is_cert)
        return err_set(e, ERR_INVALID,
                       "tls: found a certificate rather than a key in the PEM for the private key");
    return err_set(e, ERR_INVALID,
                   "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input "
                   "after skipping PEM blocks of the following types: [%s]",
                   b.types);
}
