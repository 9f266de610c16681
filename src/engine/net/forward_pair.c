#define _GNU_SOURCE
#include "engine/net/forward_pair.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/net/forward.h"

static void on_poll(uv_poll_t *h, int status, int events);

static void on_half_over(struct loop_timer *t)
{
    pair__close(CONTAINER_OF(t, struct pair, half), true);
}

static void watch_side(struct pair_side *s)
{
    bool reads = !s->ended && s->other->wait == NULL;
    int events = (reads ? UV_READABLE : 0) | (s->wait != NULL ? UV_WRITABLE : 0);

    if (s->pair->closing)
        return;
    if (events == 0)
        uv_poll_stop(&s->poll);
    else if (uv_poll_start(&s->poll, events, on_poll) != 0)
        pair__close(s->pair, false);
}

/* How much of it the socket takes now; -1: the side is broken. */
static ssize_t give(struct pair_side *s, const uint8_t *p, size_t n)
{
    ssize_t sent;

    do
        sent = send(s->fd, p, n, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    loop__count(&s->pair->loop->counters.writes, 1);
    if (sent < 0)
        return errno == EAGAIN ? 0 : -1;
    loop__count(&s->pair->loop->counters.bytes_out, (uint64_t) sent);
    return sent;
}

/* The other has ended, and this side has all that it sent. */
static void pass_end(struct pair_side *s)
{
    struct pair *p = s->pair;

    ASSERT(s->wait == NULL);
    ASSERT(!s->shut);
    s->shut = true;
    if (s->other->shut || shutdown(s->fd, SHUT_WR) != 0 ||
        loop_timer_start(p->loop, &p->half, NET_FORWARD_HALF_MS) != 0)
        pair__close(p, false);
}

static bool keep(struct pair_side *s, const uint8_t *p, size_t n)
{
    ASSERT(s->wait == NULL);
    ASSERT(n > 0);
    s->wait = mem_alloc(n);
    if (s->wait == NULL)
        return false;
    memcpy(s->wait, p, n);
    s->wait_at = 0;
    s->wait_n = n;
    return true;
}

/* The socket has room again for what waits. */
static void drain(struct pair_side *s)
{
    ssize_t n;

    if (s->wait == NULL)
        return;
    n = give(s, s->wait + s->wait_at, s->wait_n - s->wait_at);
    if (n < 0) {
        pair__close(s->pair, false);
        return;
    }
    s->wait_at += (size_t) n;
    if (s->wait_at < s->wait_n)
        return;
    mem_free(s->wait);
    s->wait = NULL;
    watch_side(s);
    watch_side(s->other);
}

/* One read per event: what is left is reported again, after others had their turn. */
static void take(struct pair_side *s)
{
    struct loop *l = s->pair->loop;
    struct pair_side *to = s->other;
    ssize_t n = recv(s->fd, l->read_buf, NET_FORWARD_BYTES, 0);
    ssize_t sent;

    loop__count(&l->counters.reads, 1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        s->ended = n == 0;
        if (n == 0)
            pass_end(to);
        else
            pair__close(s->pair, false);
        watch_side(s);
        return;
    }
    loop__count(&l->counters.bytes_in, (uint64_t) n);
    sent = give(to, l->read_buf, (size_t) n);
    if (sent < 0 || (sent < n && !keep(to, l->read_buf + sent, (size_t) (n - sent)))) {
        pair__close(s->pair, false);
    } else if (sent < n) {
        watch_side(s);
        watch_side(to);
    }
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct pair_side *s = h->data;
    struct pair *p = s->pair;

    loop__turn_begin(p->loop);
    if (p->closing)
        return;
    if (loop_timer_active(&p->half) &&
        loop_timer_start(p->loop, &p->half, NET_FORWARD_HALF_MS) != 0)
        status = -1;
    if (status < 0) {
        pair__close(p, false);
        return;
    }
    if ((events & UV_WRITABLE) != 0)
        drain(s);
    if ((events & UV_READABLE) != 0 && !p->closing && !s->ended && s->other->wait == NULL)
        take(s);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct pair *p = ((struct pair_side *) h->data)->pair;

    if (--p->handles == 0)
        p->freed(p);
}

static void side_close(struct pair_side *s)
{
    if (s->open)
        uv_close((uv_handle_t *) &s->poll, on_handle_closed);
    close(s->fd);
    s->fd = -1;
    mem_free(s->wait);
    s->wait = NULL;
}

void pair__close(struct pair *p, bool silent)
{
    if (p->closing)
        return;
    p->closing = true;
    loop_timer_stop(p->loop, &p->half);
    side_close(&p->sides[0]);
    side_close(&p->sides[1]);
    p->closed(p, silent);
    if (p->handles == 0)
        p->freed(p);
}

static bool side_open(struct pair_side *s, struct pair *p, struct pair_side *other, int fd)
{
    *s = (struct pair_side){.pair = p, .other = other, .fd = fd};
    s->open = uv_poll_init(&p->loop->uv, &s->poll, fd) == 0;
    s->poll.data = s;
    p->handles += s->open;
    return s->open;
}

void pair__start(struct pair *p, struct loop *l, int fd_a, int fd_b)
{
    struct pair_side *a = &p->sides[0], *b = &p->sides[1];
    bool ok;

    p->loop = l;
    p->handles = 0;
    p->closing = false;
    loop_timer_init(&p->half, on_half_over);
    ok = side_open(a, p, b, fd_a);
    ok = side_open(b, p, a, fd_b) && ok;
    if (!ok) {
        pair__close(p, false);
        return;
    }
    watch_side(a);
    if (!p->closing)
        watch_side(b);
}
