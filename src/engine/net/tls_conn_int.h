/* tls_conn_int.h -- what the files of a TLS connection share: tls_conn.c (life, input), tls_shake.c
 * (handshake), tls_worker.c (where those of clients are made), tls_queue.c (whose is next),
 * tls_bio.c (OpenSSL's end of the socket), tls_seal.c (output).
 */
#ifndef KETCH_ENGINE_NET_TLS_CONN_INT_H
#define KETCH_ENGINE_NET_TLS_CONN_INT_H

#include "base/buf.h"
#include "engine/net/tls_conn.h"
#include "engine/net/tls_int.h"

enum tls_state {
    TLS_WAITING, /* of a client: its bytes are held until it is its turn */
    TLS_AWAY,    /* of a client: the loop's worker makes a step */
    TLS_SHAKING,
    TLS_CHECKING,
    TLS_OPEN,
    TLS_FAILED,
};

/* What a step of a handshake came to. */
enum tls_outcome {
    TLS_MORE, /* it goes on when more has come */
    TLS_DONE,
    TLS_REFUSED, /* our rules for clients; in silence */
    TLS_BROKEN,  /* OpenSSL has said so to the other side */
    TLS_NO_MEMORY,
};

/* Of words that say how a handshake ended. */
#define TLS_WHY_BYTES 512

/* What one step may write: certificates of 100 KiB, which is more than other programs take. */
#define TLS_STEP_OUT_BYTES_MAX ((size_t) 256 << 10)

struct tls_step;

/* Fields marked (w) are the worker's while the state is AWAY; it reads `state`, `step`, `tls` and
 * `host`, too, which nobody changes meanwhile.  The others are the loop's. */
struct tls_conn {
    struct conn *conn;
    struct tls *tls;
    const struct tls_conn_ops *ops;
    enum tls_state state;
    bool or_cleartext;
    bool farewell_said;
    SSL *ssl;              /* (w); of a server: NULL until something has come */
    struct tls_crl *crl;   /* (w) */
    const uint8_t *in;     /* (w) received, not decrypted; lent for the time of a call or a step */
    size_t in_n;           /* (w) */
    struct tls_step *step; /* while AWAY, else NULL */
    struct buf held;       /* received, while WAITING, AWAY or CHECKING */
    struct list place;     /* tls_queue.c: loop.shaking */
    struct list wait;      /* loop.shake_waiting */
    mono_ns begun_ns;
    struct outq wire;
    struct san_check *san;
    char *host; /* of a client */
    X509 *bad;  /* (w) the certificate at which the verification of the other side's ended */
};

/* The other side is told (`alert`: what OpenSSL has to say is on the wire) and the session, too. */
void tls_conn__reject(struct tls_conn *t, const char *why, bool hung_up, bool alert);

/* What is left of t->in goes to the session, if that may begin. */
void tls_conn__read(struct tls_conn *t);

/* ---- tls_bio.c ---- */

/* Makes t->ssl, of the files as they are now.  False: no memory. */
NODISCARD bool tls_conn__ssl_begin(struct tls_conn *t);

/* ---- tls_shake.c ---- */

/* On any thread: one step over t->in; what it writes goes to t->step, or to t->wire when there is
 * none.  `why` is written for TLS_REFUSED and TLS_BROKEN. */
enum tls_outcome tls_shake__step(struct tls_conn *t, char why[TLS_WHY_BYTES]);

/* One step over t->in and what follows. */
void tls_shake__here(struct tls_conn *t);
/* A client's next step may be made here, which is then counted: a small one, and one in a turn. */
NODISCARD bool tls_shake__may_be_here(struct tls_conn *t);
/* The same over t->held, on the worker, which has room for it. */
void tls_shake__away(struct tls_conn *t);

/* ---- tls_queue.c ---- */

/* A client's handshake got these bytes: a step follows when it is its turn. */
void tls_queue__enter(struct tls_conn *t, const uint8_t *p, size_t n);
/* It is over, one way or the other. */
void tls_queue__leave(struct tls_conn *t);
/* The worker has room again. */
void tls_queue__next(struct loop *l);

#endif
