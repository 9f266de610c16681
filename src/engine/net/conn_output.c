/* conn_output.c -- what goes out on a connection: a round of output from its session, and as much
 * of it as the socket takes. */
#define _GNU_SOURCE
#include "engine/net/conn_int.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "engine/net/tls_conn.h"

#define IOV_MAX_USED 64

/* Records of a handshake that wait leave together with the session's first output. */
#define JOIN_BYTES 4096

/* What is to be written to the socket. */
static struct outq *wire_of(struct conn *c)
{
    return c->tls == NULL ? &c->out : tls_conn__wire(c);
}

size_t conn__unwritten(struct conn *c)
{
    return c->out.bytes + (c->tls == NULL ? 0 : tls_conn__wire(c)->bytes);
}

void conn__write_some(struct conn *c)
{
    struct outq *q = wire_of(c);
    struct iovec iov[IOV_MAX_USED];

    while (q->bytes > 0) {
        struct msghdr m = {.msg_iov = iov};
        size_t asked = 0;
        ssize_t n;

        m.msg_iovlen = (size_t) outq_iov(q, iov, IOV_MAX_USED);
        for (size_t i = 0; i < m.msg_iovlen; i++)
            asked += iov[i].iov_len;
        n = m.msg_iovlen == 1 ? send(c->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL)
                              : sendmsg(c->fd, &m, MSG_NOSIGNAL);
        loop__count(&c->loop->counters.writes, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            conn__doom(c, err_from_errno(errno));
            return;
        }
        if (n > 0) {
            loop__count(&c->loop->counters.bytes_out, (uint64_t) n);
            c->wrote_bytes += (size_t) n;
            outq_consume(q, (size_t) n);
        }
        if (n < 0 || (size_t) n < asked) {
            c->want_write = true;
            return;
        }
    }
}

void conn__write_wire(struct conn *c)
{
    if (c->fd >= 0 && c->state == CONN_OPEN && !c->want_write)
        conn__write_some(c);
}

/* What the other side's kernel has not taken yet.  Before a socket takes no more it has megabytes
 * of that. */
static size_t unsent_bytes(const struct conn *c)
{
    int n = 0;

    return c->fd >= 0 && ioctl(c->fd, SIOCOUTQ, &n) == 0 ? (size_t) n : 0;
}

bool conn__flush_round(struct conn *c)
{
    struct outq *wire = wire_of(c);
    bool more = true;

    if (c->tls != NULL && !tls_conn__is_open(c)) {
        more = false; /* the handshake alone talks */
    } else if (wire->bytes < JOIN_BYTES && c->out.bytes == 0) {
        if (c->fd >= 0)
            outq_lend(&c->out, c->loop->out_buf, LOOP_OUT_BYTES);
        more = c->ops->output(c);
        if (c->tls != NULL && !tls_conn__seal(c))
            conn__doom(c, ERR_NOMEM);
    }
    if (c->fd >= 0 && c->state == CONN_OPEN)
        conn__write_some(c);
    if (more)
        c->slow = c->want_write || unsent_bytes(c) > NET_OUT_SLOW_BYTES;
    if (!outq_unlend(&c->out) || !outq_unlend(wire))
        conn__doom(c, ERR_NOMEM);
    if (c->want_write)
        conn__poll_update(c);
    return more && !c->want_write && c->fd >= 0;
}
