#define _GNU_SOURCE
#include "engine/net/tls_conn.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "engine/net/tls_int.h"

#define WHY_BYTES 512

/* The type of a record that begins a handshake. */
#define RECORD_HANDSHAKE 22

/* Records that the other side makes us send (tickets, key updates, alerts) beyond those of one
 * round of output: more means that it asks and does not read. */
#define WIRE_BYTES_MAX (LOOP_SEAL_BYTES + (64u << 10))

enum tls_state {
    TLS_WAITING, /* of a client: its first bytes are held until it may begin */
    TLS_SHAKING,
    TLS_CHECKING,
    TLS_OPEN,
    TLS_FAILED,
};

struct tls_conn {
    struct conn *conn;
    struct tls *tls;
    const struct tls_conn_ops *ops;
    enum tls_state state;
    bool or_cleartext;
    bool farewell_said;
    SSL *ssl; /* of a server: NULL until something has come */
    struct tls_crl *crl;
    const uint8_t *in; /* received, not decrypted; lent for the time of a call */
    size_t in_n;
    struct buf held;  /* of `in`, while WAITING or CHECKING */
    struct list slot; /* of a client: loop.shaking or loop.shake_waiting */
    mono_ns begun_ns;
    struct loop_hook begin; /* a place has become free */
    struct outq wire;
    struct san_check *san;
    char *host; /* of a client */
    X509 *bad;  /* the certificate at which the verification of the other side's ended */
};

/* ---- OpenSSL's end of the socket ---- */

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

    BIO_clear_retry_flags(b);
    if (!outq_add(&t->wire, p, n))
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

/* For each certificate of the other side's chain. */
static int on_verified(int ok, X509_STORE_CTX *x)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_conn *t = SSL_get_app_data(ssl);
    X509 *cert = X509_STORE_CTX_get_current_cert(x);

    if (ok == 0 && cert != NULL && t->bad == NULL) {
        X509_up_ref(cert);
        t->bad = cert;
    }
    return ok;
}

static bool ssl_begin(struct tls_conn *t)
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

/* ---- places for handshakes ---- */

static void reject(struct tls_conn *t, const char *why, bool hung_up, bool alert);

static void slot_take(struct tls_conn *t)
{
    struct loop *l = t->conn->loop;

    list_remove(&t->slot);
    list_push(&l->shaking, &t->slot);
    l->shaking_n++;
    t->begun_ns = l->now;
}

static void slot_leave(struct tls_conn *t)
{
    struct loop *l = t->conn->loop;
    struct tls_conn *next;

    if (list_empty(&t->slot))
        return;
    list_remove(&t->slot);
    if (t->state == TLS_WAITING)
        return;
    l->shaking_n--;
    if (list_empty(&l->shake_waiting))
        return;
    next = CONTAINER_OF(l->shake_waiting.next, struct tls_conn, slot);
    next->state = TLS_SHAKING;
    slot_take(next);
    loop_hook_arm(l, &next->begin);
}

/* One that keeps others waiting and says nothing. */
static void make_room(struct loop *l)
{
    struct tls_conn *oldest;

    if (l->shaking_n < NET_HANDSHAKES_MAX)
        return;
    oldest = CONTAINER_OF(l->shaking.next, struct tls_conn, slot);
    if (l->now - oldest->begun_ns >= NET_HANDSHAKE_PATIENCE_MS * INT64_C(1000000))
        reject(oldest, "i/o timeout", false, false);
}

/* False: not now; what has come is held. */
static bool slot_ask(struct tls_conn *t, const uint8_t *p, size_t n)
{
    struct loop *l = t->conn->loop;

    make_room(l);
    if (l->shaking_n < NET_HANDSHAKES_MAX) {
        slot_take(t);
        return true;
    }
    t->state = TLS_WAITING;
    list_push(&l->shake_waiting, &t->slot);
    conn__pause_reading(t->conn, true);
    if (!buf_add(&t->held, p, n))
        conn__doom(t->conn, ERR_LIMIT);
    return false;
}

static void on_begin(struct loop_hook *h)
{
    struct tls_conn *t = CONTAINER_OF(h, struct tls_conn, begin);
    struct buf held = t->held;

    buf_init(&t->held, NET_READ_BYTES);
    conn__pause_reading(t->conn, false);
    tls_conn__input(t->conn, held.p, held.len);
    buf_done(&held);
}

/* ---- life ---- */

/* Whom a client wants to talk to. */
static bool name_the_server(struct tls_conn *t, const struct tls_attach *a)
{
    static const unsigned char h2[] = "\x02h2";
    const char *named = t->tls->options.server_name;
    const char *host = named != NULL ? named : a->host;
    X509_VERIFY_PARAM *p = SSL_get0_param(t->ssl);
    struct sockaddr_in6 addr;
    bool ip = uv_ip4_addr(host, 0, (struct sockaddr_in *) &addr) == 0 ||
              uv_ip6_addr(host, 0, &addr) == 0;

    t->host = xmem_strdup(host);
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                           X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (a->offer_h2 && SSL_set_alpn_protos(t->ssl, h2, sizeof h2 - 1) != 0)
        return false;
    if (ip)
        return X509_VERIFY_PARAM_set1_ip_asc(p, host) == 1;
    return SSL_set_tlsext_host_name(t->ssl, host) == 1 &&
           X509_VERIFY_PARAM_set1_host(p, host, 0) == 1;
}

static void shake(struct tls_conn *t);

int tls_conn__attach(struct conn *c, const struct tls_attach *a)
{
    struct tls_conn *t;

    ASSERT(c->state == CONN_NEW);
    if (!loop__tls_buffers(c->loop))
        return ERR_NOMEM;
    t = mem_calloc(1, sizeof *t);
    if (t == NULL)
        return ERR_NOMEM;
    t->conn = c;
    t->tls = tls_ref(a->tls);
    t->ops = a->ops;
    t->or_cleartext = a->or_cleartext;
    t->state = TLS_SHAKING;
    buf_init(&t->held, NET_READ_BYTES);
    list_init(&t->slot);
    loop_hook_init(&t->begin, on_begin);
    outq_init(&t->wire);
    c->tls = t;
    if (t->tls->options.server)
        return 0;
    if (!ssl_begin(t) || !name_the_server(t, a)) {
        tls_conn__free(t);
        c->tls = NULL;
        return ERR_NOMEM;
    }
    SSL_set_connect_state(t->ssl);
    shake(t);
    return 0;
}

void tls_conn__free(struct tls_conn *t)
{
    if (t == NULL)
        return;
    slot_leave(t);
    loop_hook_disarm(&t->begin);
    if (t->san != NULL)
        san_check_cancel(t->san);
    SSL_free(t->ssl);
    tls__crl_unref(t->crl);
    buf_done(&t->held);
    outq_done(&t->wire);
    X509_free(t->bad);
    mem_free(t->host);
    tls_unref(t->tls);
    mem_free(t);
}

/* ---- failures ---- */

static void tell_rejected(struct tls_conn *t, const char *why, bool hung_up)
{
    const char *sni = t->ssl == NULL ? NULL : SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
    X509 *cert = t->ssl == NULL || !SSL_is_init_finished(t->ssl)
                     ? NULL
                     : SSL_get0_peer_certificate(t->ssl);
    struct tls_peer_names names = {.ips_n = 0};
    const char *ips[TLS_NAMES_MAX];
    struct tls_rejected r = {.peer = t->conn->peer,
                             .server_name = sni == NULL ? "" : sni,
                             .error = why,
                             .hung_up = hung_up,
                             .ips = ips,
                             .names = (const char *const *) names.names};

    if (cert != NULL)
        tls__names_of(cert, &names);
    for (size_t i = 0; i < names.ips_n; i++)
        ips[i] = names.ips[i];
    r.ips_n = names.ips_n;
    r.names_n = names.names_n;
    t->ops->rejected(t->conn, &r);
    tls__names_done(&names);
}

/* `alert`: what OpenSSL has to say about it is on the wire and may leave. */
static void reject(struct tls_conn *t, const char *why, bool hung_up, bool alert)
{
    if (t->state == TLS_FAILED)
        return;
    slot_leave(t);
    t->state = TLS_FAILED;
    if (alert)
        conn__write_wire(t->conn);
    tell_rejected(t, why, hung_up);
    SSL_free(t->ssl); /* what lingers should be small */
    t->ssl = NULL;
    if (alert)
        conn__close_soon(t->conn);
    else
        conn__doom(t->conn, ERR_NET_PROTOCOL);
}

/* Why the handshake failed. */
static void failure_text(struct tls_conn *t, char *out, size_t n)
{
    char why[WHY_BYTES];
    long result = SSL_get_verify_result(t->ssl);

    if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED &&
        result != X509_V_OK) {
        snprintf(out, n, "tls: failed to verify certificate: %s",
                 tls__verify_text(result, t->bad, t->host, why, sizeof why));
        ERR_clear_error();
    } else {
        tls__error_text(out, n);
    }
}

void tls_conn__eof(struct conn *c)
{
    struct tls_conn *t = c->tls;

    if (t->state == TLS_OPEN)
        c->ops->eof(c);
    else
        reject(t, "EOF", true, false);
}

void tls_conn__late(struct conn *c)
{
    char why[CONN_ADDR_BYTES + 32];

    snprintf(why, sizeof why, "read tcp %s: i/o timeout", c->peer);
    reject(c->tls, why, false, false);
}

void tls_conn__reset(struct conn *c)
{
    char why[CONN_ADDR_BYTES + 64];

    if (c->tls->state == TLS_OPEN)
        return;
    snprintf(why, sizeof why, "read tcp %s: read: connection reset by peer", c->peer);
    reject(c->tls, why, false, false);
}

/* ---- the handshake ---- */

static void read_plain(struct tls_conn *t);

static void become_open(struct tls_conn *t)
{
    const unsigned char *alpn = NULL;
    unsigned alpn_n = 0;

    SSL_get0_alpn_selected(t->ssl, &alpn, &alpn_n);
    slot_leave(t);
    t->state = TLS_OPEN;
    conn__dirty(t->conn); /* the session may have waited with its output */
    t->ops->ready(t->conn, alpn_n == 2 && memcmp(alpn, "h2", 2) == 0);
}

static void on_san_checked(void *user, bool ok, const char *why)
{
    struct tls_conn *t = user;
    struct buf held = t->held;

    t->san = NULL;
    if (t->conn->state != CONN_OPEN)
        return;
    if (!ok) {
        reject(t, why, false, false);
        return;
    }
    buf_init(&t->held, NET_READ_BYTES);
    conn__pause_reading(t->conn, false);
    become_open(t);
    t->in = held.p;
    t->in_n = held.len;
    read_plain(t);
    buf_done(&held);
}

/* The handshake is done; the server's rules for its clients are not. */
static void check_client(struct tls_conn *t)
{
    const struct tls_options *o = &t->tls->options;
    char why[WHY_BYTES];
    int ok = tls__client_allowed(t->tls, t->crl, t->ssl, why, sizeof why) ? 1 : 0;
    X509 *cert = SSL_get0_peer_certificate(t->ssl);

    if (ok == 1 && o->check_san && cert != NULL)
        ok = san_check(t->conn->loop, cert, t->conn->peer, on_san_checked, t, &t->san, why,
                       sizeof why);
    if (ok == 0) {
        reject(t, why, false, false);
        return;
    }
    if (ok == 1) {
        become_open(t);
        return;
    }
    t->state = TLS_CHECKING;
    conn__pause_reading(t->conn, true);
    if (!buf_add(&t->held, t->in, t->in_n))
        conn__doom(t->conn, ERR_LIMIT);
    t->in_n = 0;
}

static void shake(struct tls_conn *t)
{
    char why[WHY_BYTES];
    int rc;

    ERR_clear_error();
    rc = SSL_do_handshake(t->ssl);
    if (t->wire.bytes > 0)
        conn__dirty(t->conn);
    if (rc == 1 && t->tls->options.server) {
        check_client(t);
    } else if (rc == 1) {
        become_open(t);
    } else if (SSL_get_error(t->ssl, rc) != SSL_ERROR_WANT_READ) {
        failure_text(t, why, sizeof why);
        reject(t, why, false, true);
    }
}

/* ---- input ---- */

/* As much as has come and fits, decrypted, in one piece: a session is cheaper when it is not called
 * for each record. */
static size_t decrypt(struct tls_conn *t, uint8_t *out, int *ret_error)
{
    size_t n = 0, k;

    *ret_error = SSL_ERROR_NONE;
    while (n < NET_READ_BYTES) {
        if (SSL_read_ex(t->ssl, out + n, NET_READ_BYTES - n, &k) != 1) {
            *ret_error = SSL_get_error(t->ssl, 0);
            break;
        }
        n += k;
    }
    return n;
}

static void broken(struct tls_conn *t)
{
    char why[WHY_BYTES];

    tls__error_text(why, sizeof why);
    if (t->ops->broken != NULL)
        t->ops->broken(t->conn, why);
    conn__doom(t->conn, ERR_NET_PROTOCOL);
}

static void read_plain(struct tls_conn *t)
{
    struct conn *c = t->conn;
    uint8_t *out = c->loop->plain_buf;
    int error = SSL_ERROR_NONE;

    ERR_clear_error();
    while (error == SSL_ERROR_NONE && t->state == TLS_OPEN && c->state == CONN_OPEN) {
        size_t n = decrypt(t, out, &error);

        if (n > 0)
            conn__feed(c, out, n);
    }
    if (c->state != CONN_OPEN || t->state != TLS_OPEN)
        return;
    if (error == SSL_ERROR_ZERO_RETURN)
        c->ops->eof(c);
    else if (error != SSL_ERROR_WANT_READ)
        broken(t);
    if (t->wire.bytes > WIRE_BYTES_MAX)
        conn__doom(c, ERR_LIMIT);
    else if (t->wire.bytes > 0)
        conn__dirty(c);
}

/* The first bytes.  False: they are not for us any more. */
static bool hello(struct tls_conn *t, const uint8_t *p, size_t n)
{
    struct conn *c = t->conn;

    if (t->or_cleartext && p[0] != RECORD_HANDSHAKE) {
        c->tls = NULL;
        tls_conn__free(t);
        conn__feed(c, p, n);
        return false;
    }
    if (list_empty(&t->slot) && !slot_ask(t, p, n))
        return false;
    if (!ssl_begin(t)) {
        conn__doom(c, ERR_NOMEM);
        return false;
    }
    SSL_set_accept_state(t->ssl);
    return true;
}

void tls_conn__input(struct conn *c, const uint8_t *p, size_t n)
{
    struct tls_conn *t = c->tls;

    if (c->state != CONN_OPEN || t->state == TLS_FAILED || n == 0)
        return;
    if (t->state == TLS_CHECKING || t->state == TLS_WAITING) {
        if (!buf_add(&t->held, p, n))
            conn__doom(c, ERR_LIMIT);
        return;
    }
    if (t->ssl == NULL && !hello(t, p, n))
        return;
    t->in = p;
    t->in_n = n;
    if (t->state == TLS_SHAKING)
        shake(t);
    if (t->state == TLS_OPEN && c->state == CONN_OPEN)
        read_plain(t);
    ASSERT(t->in_n == 0 || t->state != TLS_OPEN || c->state != CONN_OPEN);
    t->in = NULL;
    t->in_n = 0;
}

/* ---- output ---- */

static bool seal(struct tls_conn *t, const void *p, size_t n)
{
    size_t done;

    return n == 0 || (SSL_write_ex(t->ssl, p, n, &done) == 1 && done == n);
}

/* The pieces of the queue in records as long as they may be: long pieces from where they lie, the
 * rest put together first. */
static bool seal_pieces(struct tls_conn *t, const struct iovec *iov, int iov_n, uint8_t *stage,
                        size_t *staged)
{
    for (int i = 0; i < iov_n; i++) {
        const uint8_t *p = iov[i].iov_base;
        size_t n = iov[i].iov_len;

        while (n > 0) {
            size_t k = n - n % NET_RECORD_BYTES;

            if (*staged == 0 && k > 0) {
                if (!seal(t, p, k))
                    return false;
            } else {
                k = MIN(n, NET_RECORD_BYTES - *staged);
                memcpy(stage + *staged, p, k);
                *staged += k;
                if (*staged == NET_RECORD_BYTES && !seal(t, stage, *staged))
                    return false;
                *staged %= NET_RECORD_BYTES;
            }
            p += k;
            n -= k;
        }
    }
    return true;
}

#define IOV_MAX_USED 64

bool tls_conn__seal(struct conn *c)
{
    struct tls_conn *t = c->tls;
    struct iovec iov[IOV_MAX_USED];
    size_t staged = 0;
    bool ok = true;

    if (c->out.bytes == 0)
        return true;
    ASSERT(t->state == TLS_OPEN);
    if (t->wire.bytes == 0)
        outq_lend(&t->wire, c->loop->seal_buf, LOOP_SEAL_BYTES);
    ERR_clear_error();
    while (c->out.bytes > 0 && ok) {
        int n = outq_iov(&c->out, iov, IOV_MAX_USED);
        size_t bytes = 0;

        for (int i = 0; i < n; i++)
            bytes += iov[i].iov_len;
        ok = seal_pieces(t, iov, n, c->loop->stage_buf, &staged);
        outq_consume(&c->out, bytes);
    }
    return ok && seal(t, c->loop->stage_buf, staged);
}

struct outq *tls_conn__wire(struct conn *c)
{
    return &c->tls->wire;
}

bool tls_conn__farewell(struct conn *c)
{
    struct tls_conn *t = c->tls;

    if (t->state != TLS_OPEN || t->farewell_said)
        return false;
    t->farewell_said = true;
    ERR_clear_error();
    (void) SSL_shutdown(t->ssl);
    return t->wire.bytes > 0;
}

bool tls_conn__is_open(const struct conn *c)
{
    return c->tls->state == TLS_OPEN;
}

bool tls_conn__is_shaking(const struct conn *c)
{
    return c->tls->state == TLS_SHAKING || c->tls->state == TLS_WAITING;
}

char *tls_conn__common_name(const struct conn *c)
{
    X509 *cert = c->tls->ssl == NULL ? NULL : SSL_get0_peer_certificate(c->tls->ssl);

    if (cert == NULL || SSL_get_verify_result(c->tls->ssl) != X509_V_OK)
        return NULL;
    return tls__common_name(cert);
}
