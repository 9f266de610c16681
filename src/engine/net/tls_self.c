/* tls_self.c -- certificates that members make for themselves: as etcd's --auto-tls makes them, so
 * that either program takes the other's. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "engine/net/tls_int.h"

#define SERIAL_BITS 128
#define DAYS_PER_YEAR 365
#define YEARS_MAX 1000
#define NAMES_BYTES_MAX ((size_t) 1 << 16)

/* ---- directories and files ---- */

static int make_dirs(const char *dir, struct err *e)
{
    char path[TLS_PATH_BYTES];

    snprintf(path, sizeof path, "%s", dir);
    for (char *p = path + 1;; p++) {
        char was = *p;

        if (was != '/' && was != '\0')
            continue;
        *p = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return err_sys(e, errno, "mkdir %s", path);
        if (was == '\0')
            return 0;
        *p = '/';
    }
}

/* `key` or `cert`.  Of the forms of a key the older one, "EC PRIVATE KEY", which etcd writes. */
static int write_file(const char *path, mode_t mode, EVP_PKEY *key, X509 *cert, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    BIO *b = fd < 0 ? NULL : BIO_new_fd(fd, BIO_CLOSE);
    bool ok;

    if (b == NULL) {
        if (fd >= 0)
            close(fd);
        return err_sys(e, errno, "open %s", path);
    }
    ok = key != NULL ? PEM_write_bio_PrivateKey_traditional(b, key, NULL, NULL, 0, NULL, NULL) == 1
                     : PEM_write_bio_X509(b, cert) == 1;
    BIO_free(b);
    return ok ? 0 : err_set(e, ERR_IO, "cannot write %s", path);
}

/* ---- the certificate ---- */

static bool add_ext(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool ok = x != NULL && X509_add_ext(cert, x, -1) == 1;

    X509_EXTENSION_free(x);
    return ok;
}

static bool is_plain_name(const char *host)
{
    return host[0] != '\0' &&
           host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "0123456789.-_*")] == '\0';
}

/* "IP:127.0.0.1,DNS:localhost" */
static bool add_names(X509 *cert, const struct tls_self *s)
{
    struct buf b;
    struct in6_addr a;
    bool ok = true;

    buf_init(&b, NAMES_BYTES_MAX);
    for (size_t i = 0; i < s->hosts_n; i++) {
        const char *host = s->hosts[i];
        bool ip = inet_pton(AF_INET, host, &a) == 1 || inet_pton(AF_INET6, host, &a) == 1;

        if (ip || is_plain_name(host))
            buf_printf(&b, "%s%s:%s", b.len > 0 ? "," : "", ip ? "IP" : "DNS", host);
    }
    if (b.len > 0)
        ok = add_ext(cert, NID_subject_alt_name, buf_cstr(&b));
    buf_done(&b);
    return ok;
}

static bool fill(X509 *cert, EVP_PKEY *key, const struct tls_self *s)
{
    X509_NAME *name = X509_get_subject_name(cert);
    BIGNUM *serial = BN_new();
    long days = (long) s->years * DAYS_PER_YEAR;
    bool ok;

    ok = serial != NULL && BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)) != NULL;
    BN_free(serial);
    return ok && X509_set_version(cert, X509_VERSION_3) == 1 &&
           X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *) "etcd", -1,
                                      -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), 0) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(cert), (int) days, 0, NULL) != NULL &&
           X509_set_pubkey(cert, key) == 1 &&
           add_ext(cert, NID_key_usage, "critical,digitalSignature,keyEncipherment,cRLSign") &&
           add_ext(cert, NID_ext_key_usage,
                   s->for_clients ? "serverAuth,clientAuth" : "serverAuth") &&
           add_ext(cert, NID_basic_constraints, "critical,CA:TRUE") && add_names(cert, s) &&
           X509_sign(cert, key, EVP_sha512()) > 0;
}

static int make(const struct tls_self *s, const char *cert_file, const char *key_file,
                struct err *e)
{
    EVP_PKEY *key = EVP_EC_gen("P-521");
    X509 *cert = X509_new();
    int rc = make_dirs(s->dir, e);

    if (rc == 0 && (key == NULL || cert == NULL || !fill(cert, key, s)))
        rc = err_set(e, ERR_IO, "cannot generate x509 certificate");
    if (rc == 0)
        rc = write_file(cert_file, 0644, NULL, cert, e);
    if (rc == 0)
        rc = write_file(key_file, 0600, key, NULL, e);
    X509_free(cert);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return rc;
}

int tls_self_signed(const struct tls_self *s, char cert_file[TLS_PATH_BYTES],
                    char key_file[TLS_PATH_BYTES], bool *ret_made, struct err *e)
{
    int rc;

    if (s->years == 0 || s->years > YEARS_MAX)
        return err_set(e, ERR_INVALID, "selfSignedCertValidity is invalid,it should be %s",
                       s->years == 0 ? "greater than 0" : "at most 1000");
    if ((size_t) snprintf(cert_file, TLS_PATH_BYTES, "%s/cert.pem", s->dir) >= TLS_PATH_BYTES)
        return err_set(e, ERR_INVALID, "the path of the certificate is too long");
    snprintf(key_file, TLS_PATH_BYTES, "%s/key.pem", s->dir);
    if (access(cert_file, F_OK) == 0 && access(key_file, F_OK) == 0) {
        *ret_made = false;
        return 0;
    }
    rc = make(s, cert_file, key_file, e);
    *ret_made = rc == 0;
    return rc;
}
