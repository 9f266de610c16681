/* tls_common_name.c -- whose name a certificate file has. */
#define _GNU_SOURCE
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "engine/net/tls_int.h"

int tls_common_name(const char *cert_file, char *out, size_t out_n, struct err *e)
{
    BIO *b = BIO_new_file(cert_file, "r");
    X509 *x = b == NULL ? NULL : PEM_read_bio_X509(b, NULL, NULL, NULL);
    int rc = 0;

    if (b == NULL)
        rc = err_set(e, ERR_NOT_FOUND, "open %s: no such file or directory", cert_file);
    else if (x == NULL)
        rc = err_set(e, ERR_INVALID, "tls: failed to find any PEM data in certificate input");
    out[0] = 0;
    if (rc == 0)
        X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, out, (int) out_n);
    X509_free(x);
    BIO_free(b);
    return rc;
}
