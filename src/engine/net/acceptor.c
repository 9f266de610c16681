#define _GNU_SOURCE
#include "engine/net/acceptor.h"

#include <errno.h>
#include <unistd.h>

/* Accepted per readiness, so that a storm of connections does not starve those that are open. */
#define ACCEPTS_PER_TURN 64

/* Without a free descriptor accept fails for ever: look again after a while instead of spinning. */
#define ACCEPT_RETRY_MS 100

static void on_acceptable(uv_poll_t *h, int status, int events);

static void on_retry(struct loop_timer *t)
{
    struct acceptor *a = CONTAINER_OF(t, struct acceptor, retry);

    if (!a->closing)
        uv_poll_start(&a->poll, UV_READABLE, on_acceptable);
}

static void pause_accepting(struct acceptor *a)
{
    uv_poll_stop(&a->poll);
    if (loop_timer_start(a->loop, &a->retry, ACCEPT_RETRY_MS) != 0)
        uv_poll_start(&a->poll, UV_READABLE, on_acceptable);
}

static void on_acceptable(uv_poll_t *h, int status, int events)
{
    struct acceptor *a = h->data;
    mono_ns until;

    (void) status;
    (void) events;
    loop__turn_begin(a->loop);
    until = clock_mono_ns(a->loop->clock) + (mono_ns) NET_ACCEPT_US * 1000;
    for (int i = 0; i < ACCEPTS_PER_TURN && !a->closing; i++) {
        if (i > 0 && clock_mono_ns(a->loop->clock) >= until)
            return;

        struct sockaddr_storage sa = {0};
        socklen_t len = sizeof sa;
        int fd = accept4(a->fd, (struct sockaddr *) &sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            a->accepted(a, fd, (struct sockaddr *) &sa);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            pause_accepting(a);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

void acceptor__init(struct acceptor *a, struct loop *l, int fd,
                    void (*accepted)(struct acceptor *a, int fd, const struct sockaddr *peer))
{
    *a = (struct acceptor){.loop = l, .fd = fd, .accepted = accepted};
    loop_timer_init(&a->retry, on_retry);
}

void acceptor__start(struct acceptor *a)
{
    if (a->polling || a->closing || uv_poll_init(&a->loop->uv, &a->poll, a->fd) != 0)
        return;
    a->poll.data = a;
    a->polling = true;
    uv_poll_start(&a->poll, UV_READABLE, on_acceptable);
}

static void on_poll_closed(uv_handle_t *h)
{
    struct acceptor *a = h->data;

    a->polling = false;
    if (a->stopped != NULL)
        a->stopped(a);
}

void acceptor__stop(struct acceptor *a)
{
    if (a->closing)
        return;
    a->closing = true;
    if (a->polling) {
        loop_timer_stop(a->loop, &a->retry);
        uv_close((uv_handle_t *) &a->poll, on_poll_closed);
    }
    close(a->fd);
    a->fd = -1;
}

void acceptor__check_stopped(const struct acceptor *a)
{
    ASSERT(a->closing);
    ASSERT(!a->polling);
    ASSERT(!loop_timer_active(&a->retry));
}
