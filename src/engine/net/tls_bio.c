/* tls_bio.c -- OpenSSL's end of the socket: it reads what was received and writes records to
 * `wire`, or to what a step of a handshake brings home, from memory to memory. */
#define _GNU_SOURCE
#include "engine/net/tls_worker.h"

static int bio_read(BIO *b, char *out, size_t n, size_t *ret_n)
{
    struct tls_conn *t = BIO_get_data(b);
    size_t k = MIN(n, t->in_n);

    BIO_clear_retry_flags(b);
    if (k == 0) {
        BIO_set_retry_read(b);
        return 0;
    }
    memcpy(out, t->in, k);
    t->in += k;
    t->in_n -= k;
    *ret_n = k;
    return 1;
}

static int bio_write(BIO *b, const char *p, size_t n, size_t *ret_n)
{
    struct tls_conn *t = BIO_get_data(b);
    bool ok = t->step != NULL ? buf_add(&t->step->out, p, n) : outq_add(&t->wire, p, n);

    BIO_clear_retry_flags(b);
    if (!ok)
        return 0;
    *ret_n = n;
    return 1;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void) b;
    (void) num;
    (void) ptr;
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

/* One for the process; it lives as long as it. */
static BIO_METHOD *bio_method(void)
{
    static _Atomic(BIO_METHOD *) made;
    BIO_METHOD *none = NULL;
    BIO_METHOD *m = atomic_load_explicit(&made, memory_order_acquire);

    if (m != NULL)
        return m;
    m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ketch");
    if (m == NULL)
        return NULL;
    BIO_meth_set_read_ex(m, bio_read);
    BIO_meth_set_write_ex(m, bio_write);
    BIO_meth_set_ctrl(m, bio_ctrl);
    if (atomic_compare_exchange_strong(&made, &none, m))
        return m;
    BIO_meth_free(m);
    return none;
}

/* For each certificate of the other side's chain, and for each fault of one.  A certificate for any
 * use is for ours, which OpenSSL does not know; that a CA is one it has looked at before. */
static int on_verified(int ok, X509_STORE_CTX *x)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_conn *t = SSL_get_app_data(ssl);
    X509 *cert = X509_STORE_CTX_get_current_cert(x);

    if (ok == 0 && cert != NULL && X509_STORE_CTX_get_error(x) == X509_V_ERR_INVALID_PURPOSE &&
        tls__is_for_any_use(cert)) {
        X509_STORE_CTX_set_error(x, X509_V_OK);
        return 1;
    }
    if (ok == 0 && cert != NULL && t->bad == NULL) {
        X509_up_ref(cert);
        t->bad = cert;
    }
    return ok;
}

bool tls_conn__ssl_begin(struct tls_conn *t)
{
    SSL_CTX *ctx = tls__context(t->tls, &t->crl);
    BIO *b = NULL;

    t->ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (t->ssl != NULL && bio_method() != NULL)
        b = BIO_new(bio_method());
    if (b == NULL) {
        SSL_free(t->ssl);
        t->ssl = NULL;
        return false;
    }
    SSL_set_app_data(t->ssl, t);
    SSL_set_verify(t->ssl, SSL_get_verify_mode(t->ssl), on_verified);
    BIO_set_data(b, t);
    BIO_set_init(b, 1);
    SSL_set_bio(t->ssl, b, b);
    return true;
}
