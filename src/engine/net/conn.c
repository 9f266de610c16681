#define _GNU_SOURCE
#include "engine/net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/net/tls_conn.h"
#include "engine/net/turn.h"

#define IOV_MAX_USED 64

/* Records of a handshake that wait leave together with the session's first output. */
#define JOIN_BYTES 4096

/* etcd's listeners ask for a TCP keepalive every 30 s. */
#define TCP_KEEPALIVE_S 30

static void on_linger_over(struct loop_timer *t)
{
    conn__doom(CONTAINER_OF(t, struct conn, linger), 0);
}

void conn__init(struct conn *c, struct loop *l, int fd, const struct conn_ops *ops, void *session)
{
    c->loop = l;
    c->ops = ops;
    c->session = session;
    c->fd = fd;
    c->state = CONN_NEW;
    c->close_soon = c->want_write = c->read_paused = c->polling = false;
    c->lingering = c->no_linger = c->ended = false;
    loop_timer_init(&c->linger, on_linger_over);
    c->why = 0;
    c->read_ns = l->now;
    outq_init(&c->out);
    c->tls = NULL;
    list_init(&c->dirty_link);
    list_init(&c->carry_link);
    list_init(&c->end_link);
    buf_init(&c->carry, NET_CARRY_BYTES_MAX);
    c->owes = c->resuming = c->yielded = false;
    c->wrote_turn = 0;
    c->cuts = NET_CUTS_NEW;
    c->wrote_bytes = c->carry_off = 0;
    c->peer[0] = '\0';
}

void conn__dirty(struct conn *c)
{
    if (!list_empty(&c->dirty_link) || c->state == CONN_CLOSED)
        return;
    c->owes = c->state == CONN_OPEN && (turn__has_written(c) || turn__yields(c));
    list_push(c->owes ? &c->loop->owing : &c->loop->dirty, &c->dirty_link);
}

/* There is more to write, or the socket takes some again: behind those that wait for the same. */
static void owe(struct conn *c)
{
    if (c->owes && !list_empty(&c->dirty_link))
        return;
    list_remove(&c->dirty_link);
    c->owes = true;
    list_push(&c->loop->owing, &c->dirty_link);
}

void conn__doom(struct conn *c, int why)
{
    if (c->state >= CONN_DOOMED)
        return;
    c->state = CONN_DOOMED;
    c->why = why;
    if (c->owes)
        list_remove(&c->dirty_link);
    conn__dirty(c);
}

void conn__close_soon(struct conn *c)
{
    c->close_soon = true;
    conn__dirty(c);
}

void conn__socket_options(int fd)
{
    int on = 1;
    int s = TCP_KEEPALIVE_S;

    /* On a unix socket these fail and nothing is lost. */
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &s, sizeof s);
    (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &s, sizeof s);
}

/* ---- the socket ---- */

static void poll_update(struct conn *c);
static void flush_fresh(struct conn *c);
static void read_some(struct conn *c);

static bool carries(const struct conn *c)
{
    return !list_empty(&c->carry_link);
}

static void carry_add(struct conn *c, const uint8_t *p, size_t n)
{
    if (!buf_add(&c->carry, p, n))
        conn__doom(c, c->carry.len + n > c->carry.bytes_max ? ERR_LIMIT : ERR_NOMEM);
    else
        c->loop->carried_bytes += n;
}

static void carry_drop(struct conn *c)
{
    ASSERT(c->carry_off <= c->carry.len);
    ASSERT(c->loop->carried_bytes >= c->carry.len - c->carry_off); /* invariant 13 */
    c->loop->carried_bytes -= c->carry.len - c->carry_off;
    buf_done(&c->carry);
    buf_init(&c->carry, NET_CARRY_BYTES_MAX);
    c->carry_off = 0;
    list_remove(&c->carry_link);
    poll_update(c);
}

void conn__carry(struct conn *c, const uint8_t *p, size_t n)
{
    ASSERT(!carries(c)); /* invariant 10 */
    list_push(&c->loop->carried, &c->carry_link);
    if (c->resuming) {
        ASSERT(p + n == c->carry.p + c->carry.len);
        c->loop->carried_bytes -= c->carry.len - n - c->carry_off;
        c->carry_off = c->carry.len - n;
    } else {
        carry_add(c, p, n);
        poll_update(c);
    }
}

void conn__resume(struct conn *c)
{
    bool yielded = c->yielded && c->carry.len == 0;

    ASSERT(!carries(c));
    c->yielded = false;
    if (yielded) {
        if (c->state == CONN_OPEN && !c->read_paused)
            read_some(c);
    } else if (c->state == CONN_OPEN && !c->lingering) {
        c->read_ns = c->loop->now;
        c->resuming = true;
        turn__slice_begin(c);
        c->ops->input(c, c->carry.p + c->carry_off, c->carry.len - c->carry_off);
        c->resuming = false;
        if (carries(c))
            turn__was_cut(c);
    }
    if (!carries(c))
        carry_drop(c);
    flush_fresh(c);
}

void conn__feed(struct conn *c, const uint8_t *p, size_t n)
{
    c->read_ns = c->loop->now;
    if (c->state != CONN_OPEN)
        return;
    if (carries(c)) {
        carry_add(c, p, n); /* the rest of what TLS had: behind what waits already */
        return;
    }
    turn__slice_begin(c);
    c->ops->input(c, p, n);
    if (LIKELY(!carries(c)))
        turn__was_modest(c);
    else
        turn__was_cut(c);
}

static void socket_broke(struct conn *c, int why)
{
    if (c->tls != NULL)
        tls_conn__reset(c);
    conn__doom(c, why);
}

/* One read per readable event: what is left is reported again, after the others had their turn. */
static void read_some(struct conn *c)
{
    struct loop *l = c->loop;
    size_t much = l->carried_bytes > NET_CARRIED_BYTES_MAX ? NET_READ_LITTLE_BYTES : NET_READ_BYTES;
    ssize_t n = recv(c->fd, l->read_buf, much, 0);

    loop__count(&l->counters.reads, 1);
    if (l->reader != c)
        l->other_readers++;
    l->reader = c;
    if (n > 0) {
        loop__count(&l->counters.bytes_in, (uint64_t) n);
        if (!c->lingering && c->tls != NULL)
            tls_conn__input(c, l->read_buf, (size_t) n);
        else if (!c->lingering)
            conn__feed(c, l->read_buf, (size_t) n);
    } else if (n == 0 && c->lingering) {
        conn__doom(c, 0);
    } else if (n == 0 && c->tls != NULL) {
        tls_conn__eof(c);
    } else if (n == 0) {
        c->ops->eof(c);
    } else if (errno != EAGAIN && errno != EINTR) {
        socket_broke(c, err_from_errno(errno));
    }
}

/* What it has to say stays in its socket until it is the first of those that carry. */
static void yield(struct conn *c)
{
    ASSERT(c->carry.len == 0);
    c->yielded = true;
    list_push(&c->loop->carried, &c->carry_link);
    poll_update(c);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct conn *c = h->data;

    loop__turn_begin(c->loop);
    if (c->state != CONN_OPEN)
        return;
    if (status < 0) {
        socket_broke(c, ERR_NET_CONN_RESET);
        return;
    }
    if ((events & UV_WRITABLE) != 0) {
        c->want_write = false;
        poll_update(c);
        owe(c);
    }
    if ((events & UV_READABLE) != 0 && !c->read_paused && !carries(c)) {
        if (turn__yields(c))
            yield(c);
        else
            read_some(c);
    }
    flush_fresh(c);
}

/* What was answered at once leaves at once, while the session is in the cache; answers that come
 * later in the turn, from tasks and hooks, leave together at its end. */
static void flush_fresh(struct conn *c)
{
    if (list_empty(&c->dirty_link) || c->owes)
        return;
    list_remove(&c->dirty_link);
    conn__flush(c);
}

static void poll_update(struct conn *c)
{
    int events = (c->read_paused || carries(c) ? 0 : UV_READABLE) |
                 (c->want_write ? UV_WRITABLE : 0);

    if (!c->polling || c->state != CONN_OPEN)
        return;
    if (uv_poll_start(&c->poll, events, on_poll) != 0)
        conn__doom(c, ERR_IO);
}

int conn__start(struct conn *c, struct err *e)
{
    int rc;

    ASSERT(c->state == CONN_NEW);
    if (c->fd >= 0) {
        rc = uv_poll_init(&c->loop->uv, &c->poll, c->fd);
        if (rc != 0)
            return err_sys(e, -rc, "watch a socket");
        c->poll.data = c;
        c->polling = true;
    }
    c->state = CONN_OPEN;
    poll_update(c);
    return 0;
}

void conn__pause_reading(struct conn *c, bool pause)
{
    if (c->read_paused == pause)
        return;
    c->read_paused = pause;
    poll_update(c);
}

/* ---- writing ---- */

/* What is to be written to the socket. */
static struct outq *wire_of(struct conn *c)
{
    return c->tls == NULL ? &c->out : tls_conn__wire(c);
}

size_t conn__unwritten(struct conn *c)
{
    return c->out.bytes + (c->tls == NULL ? 0 : tls_conn__wire(c)->bytes);
}

/* Writes what the queue holds, as much as the socket takes. */
static void write_some(struct conn *c, struct outq *q)
{
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
        write_some(c, wire_of(c));
}

/* One round: take output from the session if nothing is left of the last, write it.  True: there is
 * more and the socket would take it. */
static bool flush_round(struct conn *c)
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
        write_some(c, wire);
    if (!outq_unlend(&c->out) || !outq_unlend(wire))
        conn__doom(c, ERR_NOMEM);
    if (c->want_write)
        poll_update(c);
    return more && !c->want_write && c->fd >= 0;
}

static void on_uv_closed(uv_handle_t *h)
{
    struct conn *c = h->data;

    c->ops->free(c);
}

static void gone(struct conn *c)
{
    ASSERT(c->state == CONN_CLOSED);
    ASSERT(list_empty(&c->end_link));
    c->ops->closed(c);
    if (c->polling) {
        uv_close((uv_handle_t *) &c->poll, on_uv_closed);
        close(c->fd);
        c->fd = -1;
        c->polling = false;
        return;
    }
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->ops->free(c);
}

bool conn__end(struct conn *c)
{
    ASSERT(!c->ended);
    c->cuts = NET_CUTS_MAX; /* this asks for nothing: a short slice */
    turn__slice_begin(c);
    if (c->ops->ending != NULL && c->ops->ending(c)) {
        list_push(&c->loop->ending, &c->end_link);
        return false;
    }
    c->ended = true;
    if (c->state != CONN_CLOSED)
        return false;
    gone(c);
    return true;
}

/* The socket stays until the session has ended, so that no other connection gets its number while
 * libuv remembers it. */
static void teardown(struct conn *c)
{
    ASSERT(c->state == CONN_DOOMED);
    c->state = CONN_CLOSED;
    loop_timer_stop(c->loop, &c->linger);
    tls_conn__free(c->tls);
    c->tls = NULL;
    list_remove(&c->dirty_link);
    carry_drop(c);
    outq_done(&c->out);
    if (c->ended) {
        gone(c);
        return;
    }
    if (list_empty(&c->end_link) && conn__end(c))
        return;
    if (c->polling) {
        uv_poll_stop(&c->poll);
        shutdown(c->fd, SHUT_RDWR);
    }
}

/* Not before the step of a handshake that is away is home (invariant 19); that flushes again. */
static bool wait_for_tls(struct conn *c)
{
    if (c->tls == NULL || !tls_conn__is_away(c))
        return false;
    if (c->polling)
        uv_poll_stop(&c->poll);
    return true;
}

/* Everything has been written: say so, and wait a little for the other side to do the same. */
static void linger(struct conn *c)
{
    if (c->tls != NULL && tls_conn__farewell(c)) {
        write_some(c, wire_of(c));
        if (c->want_write)
            poll_update(c); /* again when it is out */
        if (c->want_write || c->state != CONN_OPEN)
            return;
    }
    if (c->fd < 0 || c->no_linger || c->lingering || shutdown(c->fd, SHUT_WR) != 0 ||
        loop_timer_start(c->loop, &c->linger, NET_LINGER_MS) != 0) {
        conn__doom(c, 0);
        return;
    }
    c->lingering = true;
    c->read_paused = false;
    poll_update(c);
    list_push(&c->loop->ending, &c->end_link);
}

void conn__flush(struct conn *c)
{
    bool more = false;

    ASSERT(list_empty(&c->dirty_link)); /* invariant 11 */
    c->owes = false;
    turn__writes(c);
    if (c->state == CONN_OPEN && !c->want_write && !c->lingering)
        more = flush_round(c);
    if (more && c->state == CONN_OPEN) {
        turn__was_cut(c);
        owe(c);
    } else if (c->state == CONN_OPEN && c->close_soon && conn__unwritten(c) == 0 && !c->lingering)
        linger(c);
    if (c->state == CONN_DOOMED && !wait_for_tls(c))
        teardown(c);
}
