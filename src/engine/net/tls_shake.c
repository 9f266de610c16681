/* tls_shake.c -- the steps of a handshake: what OpenSSL does, and what follows from it.
 *
 * The steps of our own connections are made on the loop, where their bytes come in: they are few,
 * and we chose to make them.  Those of clients are made by the loop's worker (tls_worker.h), but
 * for a small one in each turn; what follows is done on the loop again, when a step comes home.
 */
#define _GNU_SOURCE
#include <openssl/err.h>

#include "engine/net/tls_worker.h"

/* ---- a step: on any thread ---- */

static void failure_text(struct tls_conn *t, char out[TLS_WHY_BYTES])
{
    char why[TLS_WHY_BYTES];
    long result = SSL_get_verify_result(t->ssl);

    if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED &&
        result != X509_V_OK) {
        snprintf(out, TLS_WHY_BYTES, "tls: failed to verify certificate: %s",
                 tls__verify_text(result, t->bad, t->host, why, sizeof why));
        ERR_clear_error();
    } else {
        tls__error_text(out, TLS_WHY_BYTES);
    }
}

static bool begin(struct tls_conn *t)
{
    if (t->ssl != NULL)
        return true;
    if (!tls_conn__ssl_begin(t))
        return false;
    SSL_set_accept_state(t->ssl);
    return true;
}

enum tls_outcome tls_shake__step(struct tls_conn *t, char why[TLS_WHY_BYTES])
{
    int rc;

    if (!begin(t))
        return TLS_NO_MEMORY;
    ERR_clear_error();
    rc = SSL_do_handshake(t->ssl);
    if (rc == 1)
        return !t->tls->options.server ||
                       tls__client_allowed(t->tls, t->crl, t->ssl, why, TLS_WHY_BYTES)
                   ? TLS_DONE
                   : TLS_REFUSED;
    if (SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_READ)
        return TLS_MORE;
    failure_text(t, why);
    return TLS_BROKEN;
}

/* ---- what follows: on the loop ---- */

static void become_open(struct tls_conn *t)
{
    const unsigned char *alpn = NULL;
    unsigned alpn_n = 0;

    SSL_get0_alpn_selected(t->ssl, &alpn, &alpn_n);
    tls_queue__leave(t);
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
        tls_conn__reject(t, why, false, false);
        return;
    }
    buf_init(&t->held, NET_READ_BYTES);
    conn__pause_reading(t->conn, false);
    become_open(t);
    t->in = held.p;
    t->in_n = held.len;
    tls_conn__read(t);
    buf_done(&held);
}

/* The handshake is done; is the certificate valid for the address that it comes from? */
static void check_san(struct tls_conn *t)
{
    X509 *cert = SSL_get0_peer_certificate(t->ssl);
    char why[TLS_WHY_BYTES];
    int ok = 1;

    if (t->tls->options.check_san && cert != NULL)
        ok = san_check(t->conn->loop, cert, t->conn->peer, on_san_checked, t, &t->san, why,
                       sizeof why);
    if (ok == 0) {
        tls_conn__reject(t, why, false, false);
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

static void follow(struct tls_conn *t, enum tls_outcome outcome, const char *why)
{
    if (t->wire.bytes > 0)
        conn__dirty(t->conn);
    switch (outcome) {
    case TLS_MORE:
        break;
    case TLS_DONE:
        if (t->tls->options.server)
            check_san(t);
        else
            become_open(t);
        break;
    case TLS_REFUSED:
        tls_conn__reject(t, why, false, false);
        break;
    case TLS_BROKEN:
        tls_conn__reject(t, why, false, true);
        break;
    case TLS_NO_MEMORY:
        conn__doom(t->conn, ERR_NOMEM);
        break;
    }
}

void tls_shake__here(struct tls_conn *t)
{
    char why[TLS_WHY_BYTES];
    enum tls_outcome outcome = tls_shake__step(t, why);

    follow(t, outcome, why);
}

/* ---- away and home again ---- */

/* Our Finished has been sent and no certificate was asked for: what is missing is the client's
 * Finished, which costs less than the way to the worker and back (about 70 us). */
static bool is_small(const struct tls_conn *t)
{
    uint8_t none;

    return t->ssl != NULL && SSL_get_finished(t->ssl, &none, 0) > 0 &&
           SSL_get_verify_mode(t->ssl) == SSL_VERIFY_NONE;
}

bool tls_shake__may_be_here(struct tls_conn *t)
{
    struct loop *l = t->conn->loop;

    if (l->shake_turn == l->turn || !is_small(t))
        return false;
    l->shake_turn = l->turn;
    return true;
}

/* What the step has written, what it has not read, and what has come meanwhile. */
static bool take_back(struct tls_conn *t, struct tls_step *s)
{
    size_t read = s->in.len - t->in_n;
    bool ok = s->out.len == 0 || outq_add(&t->wire, s->out.p, s->out.len);

    s->in.bytes_max += t->held.len;
    ok = buf_add(&s->in, t->held.p, t->held.len) && ok;
    buf_done(&t->held);
    buf_init(&t->held, NET_READ_BYTES);
    t->in = s->in.p + read;
    t->in_n = s->in.len - read;
    return ok;
}

/* What has come meanwhile, or what the handshake has left: its next step, or the session's. */
static void go_on(struct tls_conn *t)
{
    if (t->state == TLS_SHAKING && t->conn->state == CONN_OPEN && t->in_n > 0)
        tls_queue__enter(t, t->in, t->in_n);
    else
        tls_conn__read(t);
}

static void on_home(struct loop_task *task)
{
    struct tls_step *s = CONTAINER_OF(task, struct tls_step, home);
    struct tls_conn *t = s->t;
    struct conn *c = t->conn;
    struct loop *l = c->loop;

    ASSERT(t->state == TLS_AWAY);
    ASSERT(t->step == s);
    t->step = NULL;
    t->state = TLS_SHAKING;
    if (!take_back(t, s))
        conn__doom(c, ERR_NOMEM);
    if (s->lost[0] != '\0') {
        tls_conn__reject(t, s->lost, false, false);
    } else if (c->state == CONN_OPEN) {
        conn__pause_reading(c, false);
        follow(t, s->outcome, s->why);
    }
    go_on(t);
    if (c->state == CONN_DOOMED)
        conn__dirty(c); /* it was only waiting for this */
    tls_worker__done(l->tls_worker, s);
    tls_queue__next(l);
}

void tls_shake__away(struct tls_conn *t)
{
    tls_worker__send(t->conn->loop->tls_worker, t, &t->held, on_home);
}
