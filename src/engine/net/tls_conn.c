#define _GNU_SOURCE
#include "engine/net/tls_conn.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/alloc.h"
#include "engine/net/tls_worker.h"

/* The type of a record that begins a handshake. */
#define RECORD_HANDSHAKE 22

/* Records that the other side makes us send (tickets, key updates, alerts) beyond those of one
 * round of output: more means that it asks and does not read. */
#define WIRE_BYTES_MAX (LOOP_SEAL_BYTES + (64u << 10))

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
    return SSL_set_tlsext_host_name(t->ssl, t->host) == 1 &&
           X509_VERIFY_PARAM_set1_host(p, host, 0) == 1;
}

int tls_conn__attach(struct conn *c, const struct tls_attach *a)
{
    struct tls_conn *t;

    ASSERT(c->state == CONN_NEW);
    if (!loop__tls_buffers(c->loop) || (a->tls->options.server && !tls_worker__start(c->loop)))
        return ERR_NOMEM;
    t = mem_calloc(1, sizeof *t);
    if (t == NULL)
        return ERR_NOMEM;
    t->conn = c;
    t->tls = tls_ref(a->tls);
    t->ops = a->ops;
    t->or_cleartext = a->or_cleartext;
    t->state = TLS_SHAKING;
    buf_init(&t->held, 2 * NET_HANDSHAKE_READ_BYTES);
    list_init(&t->place);
    list_init(&t->wait);
    outq_init(&t->wire);
    c->tls = t;
    if (t->tls->options.server)
        return 0;
    if (!tls_conn__ssl_begin(t) || !name_the_server(t, a)) {
        tls_conn__free(t);
        c->tls = NULL;
        return ERR_NOMEM;
    }
    SSL_set_connect_state(t->ssl);
    tls_shake__here(t);
    return 0;
}

void tls_conn__free(struct tls_conn *t)
{
    if (t == NULL)
        return;
    ASSERT(t->state != TLS_AWAY); /* invariant 19 */
    tls_queue__leave(t);
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
void tls_conn__reject(struct tls_conn *t, const char *why, bool hung_up, bool alert)
{
    ASSERT(t->state != TLS_AWAY); /* invariant 19 */
    if (t->state == TLS_FAILED)
        return;
    tls_queue__leave(t);
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

/* It ends; if a step is away, when that is home. */
static void lose(struct tls_conn *t, const char *why)
{
    if (t->state != TLS_AWAY)
        tls_conn__reject(t, why, false, false);
    else if (t->step->lost[0] == '\0')
        snprintf(t->step->lost, sizeof t->step->lost, "%s", why);
}

void tls_conn__eof(struct conn *c)
{
    struct tls_conn *t = c->tls;

    if (t->state == TLS_OPEN)
        c->ops->eof(c);
    else if (t->state == TLS_AWAY)
        conn__pause_reading(c, true); /* what came before may be all that was missing */
    else
        tls_conn__reject(t, "EOF", true, false);
}

void tls_conn__late(struct conn *c)
{
    char why[CONN_ADDR_BYTES + 32];

    snprintf(why, sizeof why, "read tcp %s: i/o timeout", c->peer);
    lose(c->tls, why);
}

void tls_conn__reset(struct conn *c)
{
    char why[CONN_ADDR_BYTES + 64];

    if (c->tls->state == TLS_OPEN)
        return;
    snprintf(why, sizeof why, "read tcp %s: read: connection reset by peer", c->peer);
    lose(c->tls, why);
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
    char why[TLS_WHY_BYTES];

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
    return true;
}

void tls_conn__read(struct tls_conn *t)
{
    struct conn *c = t->conn;

    ASSERT(t->state != TLS_AWAY); /* invariant 19 */
    if (t->state == TLS_OPEN && c->state == CONN_OPEN)
        read_plain(t);
    ASSERT(t->in_n == 0 || t->state != TLS_OPEN || c->state != CONN_OPEN);
    t->in = NULL;
    t->in_n = 0;
}

void tls_conn__input(struct conn *c, const uint8_t *p, size_t n)
{
    struct tls_conn *t = c->tls;

    if (c->state != CONN_OPEN || t->state == TLS_FAILED || n == 0)
        return;
    if (t->state == TLS_CHECKING || t->state == TLS_WAITING || t->state == TLS_AWAY) {
        if (!buf_add(&t->held, p, n))
            conn__doom(c, ERR_LIMIT);
        conn__pause_reading(c, true);
        return;
    }
    if (t->state == TLS_SHAKING && t->tls->options.server && !tls_shake__may_be_here(t)) {
        if (t->ssl != NULL || hello(t, p, n))
            tls_queue__enter(t, p, n);
        return;
    }
    t->in = p;
    t->in_n = n;
    if (t->state == TLS_SHAKING)
        tls_shake__here(t);
    tls_conn__read(t);
}

bool tls_conn__is_open(const struct conn *c)
{
    return c->tls->state == TLS_OPEN;
}

bool tls_conn__is_away(const struct conn *c)
{
    return c->tls->state == TLS_AWAY;
}

char *tls_conn__common_name(const struct conn *c)
{
    X509 *cert = c->tls->ssl == NULL ? NULL : SSL_get0_peer_certificate(c->tls->ssl);

    if (cert == NULL || SSL_get_verify_result(c->tls->ssl) != X509_V_OK)
        return NULL;
    return tls__common_name(cert);
}
