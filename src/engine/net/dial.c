#define _GNU_SOURCE
#include "engine/net/dial.h"

#include <errno.h>
#include <netdb.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/net/addr.h"
#include "engine/net/conn.h"

#define ADDRS_MAX 8
#define WHAT_BYTES 320

struct dial {
    struct loop *loop;
    void (*done)(void *user, int fd, const char *why); /* NULL: canceled */
    void *user;
    uint16_t port;
    char what[WHAT_BYTES]; /* of the address that is being tried */
    char host[256];
    struct addr addrs[ADDRS_MAX];
    size_t addrs_n;
    size_t next;
    int fd;
    int last_errno;
    bool polling;   /* the handle is open */
    bool resolving; /* libuv holds the request */
    uv_poll_t poll;
    uv_getaddrinfo_t lookup;
    struct loop_task later; /* the first step, so that `done` never runs within dial__start */
    bool later_posted;
    char failure[WHAT_BYTES + 64];
};

static void try_next(struct dial *d);

static void maybe_free(struct dial *d)
{
    if (!d->polling && !d->resolving && !d->later_posted && d->done == NULL)
        mem_free(d);
}

static void finish(struct dial *d, int fd, const char *why)
{
    void (*done)(void *, int, const char *) = d->done;

    d->done = NULL;
    if (done != NULL)
        done(d->user, fd, why);
    else if (fd >= 0)
        close(fd);
    maybe_free(d);
}

static void on_poll_closed(uv_handle_t *h)
{
    struct dial *d = h->data;
    int fd = d->fd;

    d->polling = false;
    d->fd = -1;
    if (d->done == NULL) {
        if (fd >= 0)
            close(fd);
        maybe_free(d);
        return;
    }
    loop__turn_begin(d->loop);
    if (d->last_errno == 0) {
        finish(d, fd, "");
        return;
    }
    close(fd);
    try_next(d);
}

static void on_connected(uv_poll_t *h, int status, int events)
{
    struct dial *d = h->data;
    int errnum = 0;
    socklen_t len = sizeof errnum;

    (void) status;
    (void) events;
    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) != 0)
        errnum = errno;
    d->last_errno = errnum;
    if (!uv_is_closing((uv_handle_t *) h))
        uv_close((uv_handle_t *) h, on_poll_closed);
}

static bool connect_begin(struct dial *d, const struct addr *a)
{
    d->fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0) {
        d->last_errno = errno;
        return false;
    }
    conn__socket_options(d->fd);
    if (connect(d->fd, (const struct sockaddr *) &a->sa, a->len) != 0 && errno != EINPROGRESS) {
        d->last_errno = errno;
        close(d->fd);
        d->fd = -1;
        return false;
    }
    d->last_errno = 0;
    if (uv_poll_init(&d->loop->uv, &d->poll, d->fd) != 0) {
        d->last_errno = ENOMEM;
        close(d->fd);
        d->fd = -1;
        return false;
    }
    d->poll.data = d;
    d->polling = true;
    uv_poll_start(&d->poll, UV_WRITABLE, on_connected);
    return true;
}

static void try_next(struct dial *d)
{
    char words[ADDR_ERRNO_BYTES];

    while (d->next < d->addrs_n) {
        const struct addr *a = &d->addrs[d->next++];
        char text[ADDR_TEXT_BYTES];

        if (a->sa.ss_family != AF_UNIX) {
            addr__text((const struct sockaddr *) &a->sa, text);
            snprintf(d->what, sizeof d->what, "tcp %s", text);
        }
        if (connect_begin(d, a))
            return;
    }
    snprintf(d->failure, sizeof d->failure, "dial %s: connect: %s", d->what,
             addr__errno_words(d->last_errno, words));
    finish(d, -1, d->failure);
}

static void add_addr(struct dial *d, const struct sockaddr *sa, socklen_t len)
{
    struct addr *a;

    if (d->addrs_n == ADDRS_MAX || len > sizeof a->sa)
        return;
    a = &d->addrs[d->addrs_n++];
    memset(a, 0, sizeof *a);
    memcpy(&a->sa, sa, len);
    a->len = len;
    addr__set_port(a, d->port);
}

static void on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct dial *d = req->data;

    loop__turn_begin(d->loop);
    d->resolving = false;
    /* IPv4 first, as most servers that we meet listen there. */
    for (struct addrinfo *x = list; x != NULL; x = x->ai_next) {
        if (x->ai_family == AF_INET)
            add_addr(d, x->ai_addr, x->ai_addrlen);
    }
    for (struct addrinfo *x = list; x != NULL; x = x->ai_next) {
        if (x->ai_family == AF_INET6)
            add_addr(d, x->ai_addr, x->ai_addrlen);
    }
    uv_freeaddrinfo(list);
    if (d->done == NULL) {
        maybe_free(d);
    } else if (status != 0 || d->addrs_n == 0) {
        snprintf(d->failure, sizeof d->failure, "dial tcp: lookup %s: %s", d->host,
                 status == UV_EAI_NONAME || status == 0 ? "no such host" : uv_strerror(status));
        finish(d, -1, d->failure);
    } else {
        try_next(d);
    }
}

static void lookup(struct dial *d)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    d->lookup.data = d;
    if (uv_getaddrinfo(&d->loop->uv, &d->lookup, on_lookup, d->host, NULL, &hints) == 0) {
        d->resolving = true;
        return;
    }
    snprintf(d->failure, sizeof d->failure, "dial tcp: lookup %s: out of memory", d->host);
    finish(d, -1, d->failure);
}

static void on_later(struct loop_task *t)
{
    struct dial *d = CONTAINER_OF(t, struct dial, later);
    struct sockaddr_in six_or_four;
    struct sockaddr_in6 six;

    d->later_posted = false;
    if (d->done == NULL) {
        maybe_free(d);
    } else if (d->addrs_n > 0) {
        try_next(d);
    } else if (uv_ip4_addr(d->host, d->port, &six_or_four) == 0) {
        add_addr(d, (const struct sockaddr *) &six_or_four, sizeof six_or_four);
        try_next(d);
    } else if (uv_ip6_addr(d->host, d->port, &six) == 0) {
        add_addr(d, (const struct sockaddr *) &six, sizeof six);
        try_next(d);
    } else {
        lookup(d);
    }
}

struct dial *dial__start(struct loop *l, const char *host, uint16_t port, const char *unix_path,
                         void (*done)(void *user, int fd, const char *why), void *user)
{
    struct dial *d = mem_calloc(1, sizeof *d);

    if (d == NULL)
        return NULL;
    d->loop = l;
    d->done = done;
    d->user = user;
    d->port = port;
    d->fd = -1;
    snprintf(d->host, sizeof d->host, "%s", host == NULL ? "" : host);
    if (unix_path != NULL) {
        snprintf(d->what, sizeof d->what, "unix %s", unix_path);
        if (addr__unix(unix_path, &d->addrs[0], NULL) != 0) {
            mem_free(d);
            return NULL;
        }
        d->addrs_n = 1;
    }
    d->later.run = on_later;
    d->later_posted = true;
    loop_post(l, &d->later);
    return d;
}

void dial__cancel(struct dial *d)
{
    d->done = NULL;
    if (d->polling && !uv_is_closing((uv_handle_t *) &d->poll))
        uv_close((uv_handle_t *) &d->poll, on_poll_closed);
    if (d->resolving)
        uv_cancel((uv_req_t *) &d->lookup);
    maybe_free(d);
}
