/* tls_ctx.c -- from files and rules to an SSL_CTX. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>

#include "engine/net/tls_int.h"

/* What Go's crypto/tls takes for TLS 1.2 when it is not told otherwise, in its order. */
#define CIPHERS_DEFAULT                                          \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:" \
    "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"

/* Of TLS 1.3: the same order of preference. */
#define CIPHERS_TLS13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

static const unsigned char session_context[] = "ketch";

/* ---- files ---- */

/* A key that is locked with a password cannot be used, and nobody is asked for it. */
static int no_password(char *buf, int size, int rwflag, void *user)
{
    (void) buf;
    (void) size;
    (void) rwflag;
    (void) user;
    return -1;
}

static int there(const char *path, struct err *e)
{
    struct stat st;

    if (access(path, R_OK) == 0 && stat(path, &st) == 0)
        return S_ISDIR(st.st_mode) ? err_set(e, ERR_INVALID, "read %s: is a directory", path) : 0;
    if (errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "open %s: no such file or directory", path);
    if (errno == EACCES)
        return err_set(e, ERR_PERMISSION, "open %s: permission denied", path);
    return err_sys(e, errno, "open %s", path);
}

static int bad(struct err *e, const char *what)
{
    char why[200];

    tls__error_text(why, sizeof why);
    return err_set(e, ERR_INVALID, "%s (%s)", what, why);
}

/* OpenSSL has a place for each type of key and puts a certificate and a key of two types beside one
 * another.  The key came last, so its place is the current one. */
static int of_one_type(const SSL_CTX *ctx, struct err *e)
{
    if (SSL_CTX_get0_certificate(ctx) != NULL)
        return 0;
    return err_set(e, ERR_INVALID, "tls: private key type does not match public key type");
}

static int use_pair(SSL_CTX *ctx, const struct tls *t, struct err *e)
{
    const char *cert = t->files[TLS_CERT], *key = t->files[TLS_KEY];
    int rc = cert == NULL ? 0 : there(cert, e);

    if (rc == 0 && key != NULL)
        rc = there(key, e);
    if (rc != 0 || cert == NULL)
        return rc;
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        return tls__bad_cert(cert, e);
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1)
        return of_one_type(ctx, e);
    if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH) {
        ERR_clear_error();
        return err_set(e, ERR_INVALID, "tls: private key does not match public key");
    }
    return tls__bad_key(key, e);
}

static int use_cas(SSL_CTX *ctx, const struct tls *t, struct err *e)
{
    X509_VERIFY_PARAM *p = SSL_CTX_get0_param(ctx);
    const char *ca = t->files[TLS_CA];
    int rc;

    /* Go takes every certificate of the bundle for a root, intermediate ones too. */
    X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_PARTIAL_CHAIN);
    if (ca == NULL) {
        SSL_CTX_set_default_verify_paths(ctx);
        return 0;
    }
    rc = there(ca, e);
    if (rc != 0)
        return rc;
    if (SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
        return bad(e, "tls: no certificates in the CA file");
    if (t->options.server) /* clients are told which certificates are of use */
        SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(ca));
    return 0;
}

/* ---- rules ---- */

static int version_of(const char *text, int otherwise)
{
    if (text == NULL)
        return otherwise;
    return strcmp(text, "TLS1.3") == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

/* "h2" for those who know it.  A client that offers other protocols, HTTP/1 among them, is served
 * as if it had offered none; one that offers none of the two is refused: as Go does. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *in, unsigned in_n, void *user)
{
    bool http1 = false;

    (void) ssl;
    (void) user;
    for (unsigned i = 0; i < in_n && in[i] < in_n - i; i += in[i] + 1u) {
        if (in[i] == 2 && memcmp(in + i + 1, "h2", 2) == 0) {
            *out = in + i + 1;
            *out_n = 2;
            return SSL_TLSEXT_ERR_OK;
        }
        http1 = http1 || (in[i] == 8 && memcmp(in + i + 1, "http/1.1", 8) == 0);
    }
    return http1 ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void server_rules(SSL_CTX *ctx, const struct tls *t)
{
    bool certs = t->options.client_cert_auth || t->files[TLS_CA] != NULL;

    /* Our order, unless a client puts ChaCha20 first, as those do that compute AES by hand. */
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_verify(ctx, certs ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0, NULL);
    SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1);
    SSL_CTX_set_num_tickets(ctx, 1);
    /* A ticket holds the leaf only: with a revocation list the whole chain is looked at each time.
     */
    if (t->files[TLS_CRL] != NULL) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
    }
    if (!t->options.http1_only)
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
}

static int use_rules(SSL_CTX *ctx, const struct tls *t, struct err *e)
{
    const char *ciphers = t->ciphers != NULL ? t->ciphers : CIPHERS_DEFAULT;

    /* Level 2, which distributions choose, refuses keys that etcd takes. */
    SSL_CTX_set_security_level(ctx, 1);
    SSL_CTX_set_min_proto_version(ctx, version_of(t->options.min_version, TLS1_2_VERSION));
    SSL_CTX_set_max_proto_version(ctx, version_of(t->options.max_version, 0));
    if (SSL_CTX_set_cipher_list(ctx, ciphers) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, CIPHERS_TLS13) != 1)
        return bad(e, "tls: no usable cipher suite");
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION);
    /* The 34 KiB of buffers of an idle connection are given back. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (t->options.server)
        server_rules(ctx, t);
    else
        SSL_CTX_set_verify(ctx, t->options.skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    return 0;
}

int tls__ctx_new(const struct tls *t, SSL_CTX **ret, struct err *e)
{
    SSL_CTX *ctx = SSL_CTX_new(t->options.server ? TLS_server_method() : TLS_client_method());
    int rc;

    ERR_clear_error();
    if (ctx == NULL)
        return err_set(e, ERR_NOMEM, "tls: out of memory");
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    rc = use_rules(ctx, t, e);
    if (rc == 0)
        rc = use_pair(ctx, t, e);
    if (rc == 0)
        rc = use_cas(ctx, t, e);
    ERR_clear_error();
    if (rc != 0) {
        SSL_CTX_free(ctx);
        return rc;
    }
    *ret = ctx;
    return 0;
}
