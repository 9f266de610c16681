/* tls_conn_int.h -- what the files of a TLS connection share: tls_conn.c (handshake, input),
 * tls_bio.c (OpenSSL's end of the socket), tls_queue.c (whose handshake is next), tls_seal.c
 * (output).
 */
#ifndef KETCH_ENGINE_NET_TLS_CONN_INT_H
#define KETCH_ENGINE_NET_TLS_CONN_INT_H

#include "base/buf.h"
#include "engine/net/tls_conn.h"
#include "engine/net/tls_int.h"

enum tls_state {
    TLS_WAITING, /* of a client: its bytes are held until it is its turn */
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
    struct buf held;   /* of `in`, while WAITING or CHECKING */
    struct list place; /* tls_queue.c: loop.shaking */
    struct list wait;  /* loop.shake_waiting */
    mono_ns begun_ns;
    struct outq wire;
    struct san_check *san;
    char *host; /* of a client */
    X509 *bad;  /* the certificate at which the verification of the other side's ended */
};

/* The other side is told (`alert`: what OpenSSL has to say is on the wire) and the session, too. */
void tls_conn__reject(struct tls_conn *t, const char *why, bool hung_up, bool alert);

/* Bytes of a handshake whose turn it is. */
void tls_conn__step(struct tls_conn *t, const uint8_t *p, size_t n);

/* ---- tls_bio.c ---- */

/* Makes t->ssl, of the files as they are now.  False: no memory. */
NODISCARD bool tls_conn__ssl_begin(struct tls_conn *t);

/* ---- tls_queue.c ---- */

/* A client's handshake got these bytes.  False: it is not its turn; they are held, and
 * tls_conn__step follows. */
bool tls_queue__enter(struct tls_conn *t, const uint8_t *p, size_t n);
/* It is over, one way or the other. */
void tls_queue__leave(struct tls_conn *t);

#endif
