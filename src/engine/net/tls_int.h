/* tls_int.h -- TLS from the inside: what the files tls*.c share.  See tls.h and tls_conn.h.
 *
 * A tls has one SSL_CTX at a time, with keys for tickets of its own.  When one of its files has
 * changed, a new one takes its place; connections keep the one they began with.
 *
 * `lock` guards ctx, crl and the marks.  It is taken once for each connection that is made, never
 * for a request, and is held over the reading of files only when they have changed.
 */
#ifndef KETCH_ENGINE_NET_TLS_INT_H
#define KETCH_ENGINE_NET_TLS_INT_H

#include "engine/net/tls.h"

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <uv.h>

/* Of each list of an operator, and of the names in a certificate that are looked at. */
#define TLS_NAMES_MAX 64

enum tls_file { TLS_CERT, TLS_KEY, TLS_CA, TLS_CRL, TLS_FILES };

/* What a file looked like; all zero: it is not there. */
struct tls_mark {
    uint64_t dev;
    uint64_t inode;
    uint64_t bytes;
    int64_t changed_ns[2]; /* contents, inode */
};

/* Serial numbers of revoked certificates, sorted.  Immutable. */
struct tls_crl {
    _Atomic unsigned refs;
    bool unreadable;
    char why[256];
    ASN1_INTEGER **serials;
    size_t n;
};

struct tls {
    _Atomic unsigned refs;
    struct tls_options options; /* strings and lists are ours */
    char *files[TLS_FILES];     /* NULL: none */
    char *ciphers;              /* OpenSSL's list, of TLS 1.2 */
    uv_mutex_t lock;
    SSL_CTX *ctx;
    struct tls_crl *crl; /* NULL: there is no list */
    struct tls_mark marks[TLS_FILES];
};

/* Reads the files again if they have changed.  The context is the caller's to free (SSL_CTX_free);
 * *ret_crl its to unref.  Never fails: there was a good context once. */
SSL_CTX *tls__context(struct tls *t, struct tls_crl **ret_crl);

/* tls_ctx.c: a context of the files as they are now. */
NODISCARD int tls__ctx_new(const struct tls *t, SSL_CTX **ret, struct err *e);

/* tls_crl.c */
struct tls_crl *tls__crl_load(const char *path); /* stops the process without memory */
void tls__crl_unref(struct tls_crl *c);          /* NULL is accepted */
/* Whether the list names this certificate; `why` says how it is refused. */
bool tls__crl_refuses(const struct tls_crl *c, const X509 *cert, char *why, size_t why_n);

/* tls_names.c: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" -> "ECDHE-RSA-AES128-GCM-SHA256"; "" for
 * those of TLS 1.3, which are not chosen, and those that OpenSSL no longer has.  NULL: unknown. */
const char *tls__cipher_of(const char *go_name);

/* tls_pem.c: why a file that can be read is no certificate, or no key; ERR_INVALID. */
int tls__bad_cert(const char *path, struct err *e);
int tls__bad_key(const char *path, struct err *e);

/* tls_text.c */
/* The reason of the newest error that OpenSSL queued, in Go's words. */
void tls__error_text(char *out, size_t n);
/* "x509: certificate signed by unknown authority" and the like. */
const char *tls__verify_text(long result, X509 *cert, const char *host, char *out, size_t n);

/* tls_verify.c */
struct tls_peer_names {
    char ips[TLS_NAMES_MAX][48];
    char *names[TLS_NAMES_MAX];
    size_t ips_n;
    size_t names_n;
};

void tls__names_of(const X509 *cert, struct tls_peer_names *ret);
void tls__names_done(struct tls_peer_names *n);
/* Whether it may be used for anything, by its extended key usage. */
bool tls__is_for_any_use(X509 *cert);
/* Go's Certificate.VerifyHostname: an address, also in brackets, or a name, also with a dot behind
 * it. */
bool tls__valid_for(X509 *cert, const char *host);
/* The last common name of the subject, "" when it has none that could be a name here; mem_free. */
char *tls__common_name(const X509 *cert);
/* The rules of `t` for the certificate of a client (which was verified).  False: `why`. */
bool tls__client_allowed(const struct tls *t, const struct tls_crl *crl, SSL *ssl, char *why,
                         size_t why_n);

#endif
