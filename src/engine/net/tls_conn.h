/* tls_conn.h -- TLS between a connection's socket and its session.  See conn.h and tls.h.
 *
 *        socket                                              session
 *     ---------------> tls_conn__input -- decrypted ----> conn__feed
 *     <-- wire (records) <---- tls_conn__seal <-- conn.out (plain) <-- output
 *
 * What a session has written in one round becomes whole records (16 KiB, the last one shorter) and
 * leaves in one write.  OpenSSL never sees the socket: it reads from what was just received and
 * appends to `wire`.
 *
 *               hello ...          names to be looked up            yes
 *     SHAKING -----------> done -------------------------> CHECKING -----> OPEN
 *        |                  |  nothing to be looked up                      ^  |
 *        |                  +-----------------------------------------------+  | broken record
 *        v refused, broken                                 | no                v
 *      FAILED <--------------------------------------------+                 FAILED
 *
 * The handshakes of clients take turns (tls_queue.c); the bytes of one whose turn it is not are
 * held (WAITING).  Their steps are made by a thread of the loop's (tls_worker.h): AWAY.
 *
 *               bytes            turn           step made
 *     SHAKING --------> WAITING -------> AWAY ------------> SHAKING, or as above
 *
 * While it is away nobody else touches what OpenSSL has; bytes that come are held, and what ends
 * the connection (the time for the handshake, a reset, a server that stops) takes effect when the
 * step is home.
 *
 * Until OPEN the session is neither given input nor asked for output.  A failed one says its alert
 * and goes (conn__close_soon).
 *
 * Threads: the connection's loop.
 */
#ifndef KETCH_ENGINE_NET_TLS_CONN_H
#define KETCH_ENGINE_NET_TLS_CONN_H

#include "engine/net/conn.h"
#include "engine/net/tls.h"

struct tls_conn;

struct tls_conn_ops {
    /* The session may begin.  `h2`: ALPN chose it. */
    void (*ready)(struct conn *c, bool h2);
    /* It never will.  The connection ends by itself. */
    void (*rejected)(struct conn *c, const struct tls_rejected *r);
    /* Was open and ends: a bad record, or an alert of the other side.  May be NULL. */
    void (*broken)(struct conn *c, const char *why);
};

struct tls_attach {
    struct tls *tls; /* a reference is taken */
    const struct tls_conn_ops *ops;
    const char *host;  /* client: who is dialed; verified unless tls_options.server_name is set */
    bool offer_h2;     /* client: by ALPN */
    bool or_cleartext; /* server: first bytes that are no TLS go to the session as they are */
};

/* Between conn__init and conn__start.  ERR_NOMEM. */
NODISCARD int tls_conn__attach(struct conn *c, const struct tls_attach *a);
/* The end of the connection; NULL is accepted. */
void tls_conn__free(struct tls_conn *t);

/* Bytes of the socket. */
void tls_conn__input(struct conn *c, const uint8_t *p, size_t n);
/* The socket has ended, or the time for the handshake has. */
void tls_conn__eof(struct conn *c);
void tls_conn__late(struct conn *c);
/* The socket broke. */
void tls_conn__reset(struct conn *c);

bool tls_conn__is_open(const struct conn *c);
/* Another thread is at work for it: it may not be freed.  It is flushed once it may. */
bool tls_conn__is_away(const struct conn *c);

/* Turns all of c->out into records.  False: no memory. */
NODISCARD bool tls_conn__seal(struct conn *c);
/* What is to be written to the socket. */
struct outq *tls_conn__wire(struct conn *c);
/* Says that nothing will follow, once; true: there is something to write. */
bool tls_conn__farewell(struct conn *c);

/* Of the other side's certificate, when it was verified; "": it has none; mem_free.  NULL: no
 * certificate. */
char *tls_conn__common_name(const struct conn *c);

/* ---- tls_queue.c ---- */

/* The loop's shake_timer fires. */
void tls_queue__run(struct loop_timer *timer);

/* ---- tls_san.c ---- */

struct san_check;

/* Whether the certificate is valid for the address it comes from, which may take look-ups.  `done`
 * runs later, once, unless the check is canceled.  1: yes, 0: no (`why`), -1: `done` will say;
 * *ret is then the check. */
NODISCARD int san_check(struct loop *l, const void *cert, const char *peer,
                        void (*done)(void *user, bool ok, const char *why), void *user,
                        struct san_check **ret, char *why, size_t why_n);
void san_check_cancel(struct san_check *s);

#endif
