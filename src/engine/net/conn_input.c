/* conn_input.c -- what comes in on a connection: reads of its socket, slices for the session, and
 * what is carried from one to the next. */
#define _GNU_SOURCE
#include "engine/net/conn_int.h"

#include <errno.h>
#include <sys/socket.h>

#include "engine/net/tls_conn.h"
#include "engine/net/turn.h"

/* ---- what is carried ---- */

static void carry_add(struct conn *c, const uint8_t *p, size_t n)
{
    if (!buf_add(&c->carry, p, n))
        conn__doom(c, c->carry.len + n > c->carry.bytes_max ? ERR_LIMIT : ERR_NOMEM);
    else
        c->loop->carried_bytes += n;
}

void conn__carry_drop(struct conn *c)
{
    ASSERT(c->carry_off <= c->carry.len);
    ASSERT(c->loop->carried_bytes >= c->carry.len - c->carry_off); /* invariant 13 */
    c->loop->carried_bytes -= c->carry.len - c->carry_off;
    buf_done(&c->carry);
    buf_init(&c->carry, NET_CARRY_BYTES_MAX);
    c->carry_off = 0;
    list_remove(&c->carry_link);
    conn__poll_update(c);
}

void conn__carry(struct conn *c, const uint8_t *p, size_t n)
{
    ASSERT(!conn__carries(c)); /* invariant 10 */
    list_push(&c->loop->carried, &c->carry_link);
    if (c->resuming) {
        ASSERT(p + n == c->carry.p + c->carry.len);
        c->loop->carried_bytes -= c->carry.len - n - c->carry_off;
        c->carry_off = c->carry.len - n;
    } else {
        carry_add(c, p, n);
        conn__poll_update(c);
    }
}

/* ---- the socket ---- */

void conn__feed(struct conn *c, const uint8_t *p, size_t n)
{
    c->read_ns = c->loop->now;
    if (c->state != CONN_OPEN)
        return;
    if (conn__carries(c)) {
        carry_add(c, p, n); /* the rest of what TLS had: behind what waits already */
        return;
    }
    turn__slice_begin(c);
    c->ops->input(c, p, n);
    if (LIKELY(!conn__carries(c)))
        turn__was_modest(c);
    else
        turn__was_cut(c);
}

/* How much one read may take. */
static size_t read_bytes(const struct conn *c)
{
    if (c->tls != NULL && !tls_conn__is_open(c))
        return NET_HANDSHAKE_READ_BYTES;
    if (turn__yields(c) || c->loop->carried_bytes > NET_CARRIED_BYTES_MAX)
        return NET_READ_LITTLE_BYTES;
    return NET_READ_BYTES;
}

/* One read per readable event: what is left is reported again, after the others had their turn. */
static void read_some(struct conn *c)
{
    struct loop *l = c->loop;
    ssize_t n = recv(c->fd, l->read_buf, read_bytes(c), c->lingering ? MSG_TRUNC : 0);

    loop__count(&l->counters.reads, 1);
    if (l->reader != c)
        l->other_readers++;
    l->reader = c;
    if (n > 0) {
        loop__count(&l->counters.bytes_in, (uint64_t) n);
        if ((size_t) n == NET_READ_BYTES)
            turn__was_cut(c);
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
        conn__broke(c, err_from_errno(errno));
    }
}

/* What it has to say stays in its socket until it is the first of those that carry. */
static void yield(struct conn *c)
{
    ASSERT(c->carry.len == 0);
    c->yielded = true;
    list_push(&c->loop->carried, &c->carry_link);
    conn__poll_update(c);
}

void conn__readable(struct conn *c)
{
    if (turn__yields(c))
        yield(c);
    else
        read_some(c);
}

void conn__pause_reading(struct conn *c, bool pause)
{
    if (c->read_paused == pause)
        return;
    c->read_paused = pause;
    conn__poll_update(c);
}

/* ---- the next slice ---- */

void conn__resume(struct conn *c)
{
    static const uint8_t nothing[1]; /* sessions count from where their input begins */
    bool yielded = c->yielded && c->carry.len == 0;

    ASSERT(!conn__carries(c));
    c->yielded = false;
    if (yielded) {
        if (c->state == CONN_OPEN && !c->read_paused)
            read_some(c);
    } else if (c->state == CONN_OPEN && !c->lingering) {
        c->read_ns = c->loop->now;
        c->resuming = true;
        turn__slice_begin(c);
        c->ops->input(c, c->carry.p == NULL ? nothing : c->carry.p + c->carry_off,
                      c->carry.len - c->carry_off);
        c->resuming = false;
        if (conn__carries(c))
            turn__was_cut(c);
    }
    if (!conn__carries(c))
        conn__carry_drop(c);
    conn__flush_fresh(c);
}
