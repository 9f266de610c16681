/* conn.c -- the life of a connection: what its socket is watched for, the end of its turn, and its
 * own end. */
#define _GNU_SOURCE
#include "engine/net/conn_int.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/net/tls_conn.h"
#include "engine/net/turn.h"

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
    c->close_soon = c->slow = c->want_write = c->read_paused = c->polling = false;
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

void conn__broke(struct conn *c, int why)
{
    if (c->tls != NULL)
        tls_conn__reset(c);
    conn__doom(c, why);
}

void conn__flush_fresh(struct conn *c)
{
    if (list_empty(&c->dirty_link) || c->owes)
        return;
    list_remove(&c->dirty_link);
    conn__flush(c);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct conn *c = h->data;

    loop__turn_begin(c->loop);
    if (c->state != CONN_OPEN)
        return;
    if (status < 0) {
        conn__broke(c, ERR_NET_CONN_RESET);
        return;
    }
    if ((events & UV_WRITABLE) != 0) {
        c->want_write = false;
        conn__poll_update(c);
        owe(c);
    }
    if ((events & UV_READABLE) != 0 && !c->read_paused && !conn__carries(c))
        conn__readable(c);
    conn__flush_fresh(c);
}

void conn__poll_update(struct conn *c)
{
    int events = (c->read_paused || conn__carries(c) ? 0 : UV_READABLE) |
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
    conn__poll_update(c);
    return 0;
}

/* ---- the end ---- */

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
    conn__carry_drop(c);
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
        conn__write_some(c);
        if (c->want_write)
            conn__poll_update(c); /* again when it is out */
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
    conn__poll_update(c);
    list_push(&c->loop->ending, &c->end_link);
}

/* ---- the turn ---- */

void conn__flush(struct conn *c)
{
    bool more = false;

    ASSERT(list_empty(&c->dirty_link)); /* invariant 11 */
    c->owes = false;
    turn__writes(c);
    if (c->state == CONN_OPEN && !c->want_write && !c->lingering)
        more = conn__flush_round(c);
    if (more && c->state == CONN_OPEN) {
        turn__was_cut(c);
        owe(c);
    } else if (c->state == CONN_OPEN && c->close_soon && conn__unwritten(c) == 0 && !c->lingering)
        linger(c);
    if (c->state == CONN_DOOMED && !wait_for_tls(c))
        teardown(c);
}
