/* tls_crl.c -- revocation lists, as etcd uses them: the serial numbers in the file, whoever signed
 * it. */
#define _GNU_SOURCE
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/alloc.h"
#include "engine/net/tls_int.h"

static X509_CRL *read_crl(BIO *b)
{
    X509_CRL *crl = d2i_X509_CRL_bio(b, NULL);

    if (crl != NULL || BIO_reset(b) != 0)
        return crl;
    return PEM_read_bio_X509_CRL(b, NULL, NULL, NULL);
}

static int by_number(const void *a, const void *b)
{
    return ASN1_INTEGER_cmp(*(ASN1_INTEGER *const *) a, *(ASN1_INTEGER *const *) b);
}

static void take_serials(struct tls_crl *c, X509_CRL *crl)
{
    STACK_OF(X509_REVOKED) *revoked = X509_CRL_get_REVOKED(crl);
    int n = revoked == NULL ? 0 : sk_X509_REVOKED_num(revoked);

    c->serials = xmem_calloc((size_t) n + 1, sizeof(ASN1_INTEGER *));
    for (int i = 0; i < n; i++) {
        const X509_REVOKED *r = sk_X509_REVOKED_value(revoked, i);

        c->serials[c->n] = ASN1_INTEGER_dup(X509_REVOKED_get0_serialNumber(r));
        if (c->serials[c->n] != NULL)
            c->n++;
        else
            c->unreadable = true; /* no memory: rather nobody than somebody who was revoked */
    }
    qsort((void *) c->serials, c->n, sizeof(ASN1_INTEGER *), by_number);
}

struct tls_crl *tls__crl_load(const char *path)
{
    struct tls_crl *c = xmem_calloc(1, sizeof *c);
    BIO *b = BIO_new_file(path, "rb");
    X509_CRL *crl = b == NULL ? NULL : read_crl(b);

    atomic_init(&c->refs, 1);
    if (crl != NULL) {
        take_serials(c, crl);
    } else {
        c->unreadable = true;
        if (b == NULL)
            snprintf(c->why, sizeof c->why, "open %s: %s", path,
                     errno == ENOENT ? "no such file or directory" : strerror(errno));
        else
            snprintf(c->why, sizeof c->why, "x509: malformed crl");
    }
    X509_CRL_free(crl);
    BIO_free(b);
    return c;
}

void tls__crl_unref(struct tls_crl *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < c->n; i++)
        ASN1_INTEGER_free(c->serials[i]);
    mem_free((void *) c->serials);
    mem_free(c);
}

static void hex(const ASN1_INTEGER *serial, char *out, size_t n)
{
    BIGNUM *bn = ASN1_INTEGER_to_BN(serial, NULL);
    char *text = bn == NULL ? NULL : BN_bn2hex(bn);

    snprintf(out, n, "%s", text == NULL ? "" : text);
    for (; *out != '\0'; out++)
        *out = (char) (*out >= 'A' && *out <= 'F' ? *out + 32 : *out);
    OPENSSL_free(text);
    BN_free(bn);
}

bool tls__crl_refuses(const struct tls_crl *c, const X509 *cert, char *why, size_t why_n)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    char text[128];

    if (c->unreadable) {
        snprintf(why, why_n, "%s", c->why);
        return true;
    }
    if (bsearch(&serial, c->serials, c->n, sizeof(ASN1_INTEGER *), by_number) == NULL)
        return false;
    hex(serial, text, sizeof text);
    snprintf(why, why_n, "transport: certificate serial %s revoked", text);
    return true;
}
