/* conn.h -- one connection: a socket, what waits to be written to it, and the session above it.
 *
 * The session takes bytes in and gives bytes out and never sees the socket, so tests and fuzz
 * targets run one without any (conn__init with fd -1, conn__feed, conn__flush, then look at `out`).
 * TLS, where there is any, sits between the two (tls_conn.h): then `out` is what is still to be
 * sealed, and what waits for the socket are records.
 *
 *          conn__start
 *      NEW -------------> OPEN ------------- conn__doom ------------> DOOMED -- turn --> CLOSED
 *                           |                                           ^       ends
 *                           '- conn__close_soon, all written: lingers --'
 *                                             until EOF or time is over
 *
 *   OPEN     input and output run.  While lingering, our end is closed and input is thrown away:
 *            closing with unread input would make the kernel send a reset, which can overtake our
 *            last bytes.
 *   DOOMED   no more input or output; the session still exists, because it may be the one that
 *            called.
 *   CLOSED   the other side sees the end.  ops->ending runs, slice after slice, as it does already
 *            while lingering; then ops->closed, and the socket is closed; the memory goes when
 * libuv lets go of the handle.
 *
 * A session is never closed from within its own callbacks: dooming only marks, the end of the turn
 * does.
 */
#ifndef KETCH_ENGINE_NET_CONN_H
#define KETCH_ENGINE_NET_CONN_H

#include "base/buf.h"
#include "engine/net/loop_int.h"
#include "engine/net/outq.h"

#define CONN_ADDR_BYTES 64

struct conn;
struct tls_conn;

struct conn_ops {
    /* Bytes came.  May doom the connection, and give back the last of them: conn__carry. */
    void (*input)(struct conn *c, const uint8_t *p, size_t n);
    /* The other side has closed its end. */
    void (*eof)(struct conn *c);
    /* Appends to c->out until it holds NET_OUT_HIGH_BYTES or there is nothing more; true: there is.
     */
    bool (*output)(struct conn *c);
    /* The connection is gone: cancel what lives on it and free the session.  c stays until it
     * returned; then it is freed by `free`. */
    void (*closed)(struct conn *c);
    void (*free)(struct conn *c);
    /* NULL, or before `closed`: nothing more comes or goes, cancel what lives on it until the slice
     * is over; true: there is more. */
    bool (*ending)(struct conn *c);
};

enum conn_state {
    CONN_NEW,
    CONN_OPEN,
    CONN_DOOMED,
    CONN_CLOSED,
};

struct conn {
    struct loop *loop;
    const struct conn_ops *ops;
    void *session; /* of ops */
    int fd;        /* -1: no socket */
    enum conn_state state;
    bool lingering;
    bool no_linger; /* the process is about to end: close at once */
    bool ended;     /* ops->ending has done all */
    struct loop_timer linger;
    bool close_soon; /* doom it when everything has been written */
    bool slow;       /* much of what was written is still on its way */
    bool want_write; /* the socket did not take all; libuv tells when it does */
    bool read_paused;
    bool polling;
    int why;         /* what doomed it: an error code, 0: an orderly end */
    mono_ns read_ns; /* of the last bytes */
    struct outq out;
    struct tls_conn *tls;   /* NULL: cleartext */
    struct list dirty_link; /* loop->dirty, or loop->owing */
    bool owes;              /* the latter */
    uint64_t wrote_turn;    /* the turn in which it wrote last, */
    size_t wrote_bytes;     /* and how much */
    struct list carry_link; /* loop->carried: input waits, and the socket is not read */
    struct buf carry;       /* that input, from carry_off on */
    size_t carry_off;
    struct list end_link; /* loop->ending */
    unsigned cuts;        /* turn.h: how greedy it is */
    bool resuming;        /* the session has been given all of `carry` */
    bool yielded; /* it is in `carried` for its socket to be read, and carries nothing yet */
    uv_poll_t poll;
    char peer[CONN_ADDR_BYTES];
};

/* Takes fd (on success; a connected, non-blocking socket, or -1). */
void conn__init(struct conn *c, struct loop *l, int fd, const struct conn_ops *ops, void *session);
NODISCARD int conn__start(struct conn *c, struct err *e);

/* Ask for output at the end of this turn; who has written his part of it already waits with those
 * that owe (turn.h). */
void conn__dirty(struct conn *c);
/* Mark it for the end of the turn: see above.  Only the first `why` counts. */
void conn__doom(struct conn *c, int why);
void conn__close_soon(struct conn *c);
/* No more input until called with false. */
void conn__pause_reading(struct conn *c, bool pause);

/* Tries at once to write the records that there are: the last words of a failed handshake. */
void conn__write_wire(struct conn *c);
/* What has left the session and not the process: records counted as such. */
size_t conn__unwritten(struct conn *c);

/* The loop's: write, and close what is doomed. */
void conn__flush(struct conn *c);

/* From within ops->input: the last n of the bytes that it was given, perhaps none, wait for the
 * connection's next slice; until then the socket is not read.  p is inside those bytes. */
void conn__carry(struct conn *c, const uint8_t *p, size_t n);
/* The loop's: a slice for what is carried. */
void conn__resume(struct conn *c);
/* The loop's: a slice for the end of a session.  True: the connection is gone. */
bool conn__end(struct conn *c);

/* Bytes that were read (or as if: tests). */
void conn__feed(struct conn *c, const uint8_t *p, size_t n);

/* An accepted or connected socket's options: no delay, keepalive. */
void conn__socket_options(int fd);

#endif
