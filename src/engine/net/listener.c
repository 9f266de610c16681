#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/net/addr.h"
#include "engine/net/server_int.h"
#include "engine/net/tls.h"

#define BACKLOG 4096

/* Accepted per readiness, so that a storm of connections does not starve those that are open. */
#define ACCEPTS_PER_TURN 64

/* Without a free descriptor accept fails for ever: look again after a while instead of spinning. */
#define ACCEPT_RETRY_MS 100

struct listener {
    struct listener *next;
    struct net_server *server;
    int fd;
    struct net_listen where; /* what is served; host and path are not kept */
    char *unix_path;         /* to remove at the end */
    uv_poll_t poll;
    bool polling;
    bool closing;
    struct loop_timer retry;
    uint32_t next_loop;
    _Atomic uint32_t open;
};

/* A socket on its way to another loop. */
struct handover {
    struct loop_task task;
    struct server_loop *sl;
    struct listener *ls;
    int fd;
    char peer[ADDR_TEXT_BYTES];
};

/* ---- taking an address ---- */

static int bind_error(struct err *e, int errnum, const char *what)
{
    int rc = errnum == EADDRINUSE ? ERR_NET_ADDR_IN_USE : err_from_errno(errnum);

    if (errnum == EADDRINUSE)
        return err_set(e, rc, "listen %s: bind: address already in use", what);
    if (errnum == EACCES)
        return err_set(e, rc, "listen %s: bind: permission denied", what);
    return err_sys(e, errnum, "listen %s: bind", what);
}

static int open_socket(const struct addr *a, bool reuse_port, const char *what, int *ret_fd,
                       struct err *e)
{
    int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1, off = 0;
    int errnum;

    if (fd < 0)
        return err_sys(e, errno, "listen %s: socket", what);
    if (a->sa.ss_family != AF_UNIX)
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (reuse_port)
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (a->sa.ss_family == AF_INET6)
        (void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, (const struct sockaddr *) &a->sa, a->len) != 0 || listen(fd, BACKLOG) != 0) {
        errnum = errno;
        close(fd);
        return bind_error(e, errnum, what);
    }
    *ret_fd = fd;
    return 0;
}

/* The address of a name: an IPv4 one if there is any, as Go chooses. */
static int resolve(const char *host, const char *what, struct addr *ret, struct err *e)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list, *best;
    int rc = getaddrinfo(host, NULL, &hints, &list);

    if (rc != 0)
        return err_set(e, ERR_NET_RESOLVE, "listen %s: lookup %s: %s", what, host,
                       rc == EAI_NONAME ? "no such host" : gai_strerror(rc));
    best = list;
    for (struct addrinfo *x = list; x != NULL && best->ai_family != AF_INET; x = x->ai_next) {
        if (x->ai_family == AF_INET)
            best = x;
    }
    memset(ret, 0, sizeof *ret);
    memcpy(&ret->sa, best->ai_addr, best->ai_addrlen);
    ret->len = best->ai_addrlen;
    freeaddrinfo(list);
    return 0;
}

static void any_address(struct addr *ret, int family)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET};

    memset(ret, 0, sizeof *ret);
    if (family == AF_INET6) {
        memcpy(&ret->sa, &six, sizeof six);
        ret->len = sizeof six;
    } else {
        memcpy(&ret->sa, &four, sizeof four);
        ret->len = sizeof four;
    }
}

static int listen_tcp(const struct net_listen *w, int *ret_fd, struct err *e)
{
    const char *host = w->host == NULL ? "" : w->host;
    char what[300];
    struct addr a;
    int rc;

    memcpy(what, "tcp ", 4);
    addr__target_text(host, w->port, what + 4, sizeof what - 4);
    if (host[0] == '\0') {
        any_address(&a, AF_INET6);
        addr__set_port(&a, w->port);
        rc = open_socket(&a, w->reuse_port, what, ret_fd, e);
        if (rc == 0 || rc == ERR_NET_ADDR_IN_USE || rc == ERR_PERMISSION)
            return rc;
        if (e != NULL)
            *e = ERR_INIT; /* a kernel without IPv6 */
        any_address(&a, AF_INET);
    } else {
        rc = resolve(host, what, &a, e);
        if (rc != 0)
            return rc;
    }
    addr__set_port(&a, w->port);
    return open_socket(&a, w->reuse_port, what, ret_fd, e);
}

/* A socket file on which nobody listens was left by a process that died. */
static void remove_stale(const struct addr *a, const char *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *) &a->sa, a->len) != 0 && errno == ECONNREFUSED)
        unlink(path);
    close(fd);
}

static int listen_unix(const char *path, int *ret_fd, struct err *e)
{
    char what[160];
    struct addr a;
    int rc = addr__unix(path, &a, e);

    if (rc != 0)
        return rc;
    snprintf(what, sizeof what, "unix %s", path);
    remove_stale(&a, path);
    return open_socket(&a, false, what, ret_fd, e);
}

int net_server_listen(struct net_server *s, const struct net_listen *w, uint16_t *ret_port,
                      struct err *e)
{
    struct listener *ls = mem_calloc(1, sizeof *ls);
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    int rc;

    if (ls == NULL)
        return err_set(e, ERR_NOMEM, "listen: out of memory");
    rc = w->unix_path != NULL ? listen_unix(w->unix_path, &ls->fd, e) : listen_tcp(w, &ls->fd, e);
    if (rc != 0) {
        mem_free(ls);
        return rc;
    }
    ls->server = s;
    ls->where = *w;
    ls->where.host = ls->where.unix_path = NULL;
    ls->where.tls = tls_ref(w->tls);
    if (w->serves == 0)
        ls->where.serves = NET_SERVES_GRPC | NET_SERVES_HTTP;
    if (w->unix_path != NULL)
        ls->unix_path = xmem_strdup(w->unix_path);
    ls->next = s->listeners;
    s->listeners = ls;
    if (ret_port != NULL) {
        memset(&sa, 0, sizeof sa);
        (void) getsockname(ls->fd, (struct sockaddr *) &sa, &len);
        *ret_port = addr__port((struct sockaddr *) &sa);
    }
    return 0;
}

/* ---- accepting ---- */

void listener__closed(struct listener *ls)
{
    if (ls != NULL)
        atomic_fetch_sub_explicit(&ls->open, 1, memory_order_relaxed);
}

const struct net_listen *listener__where(const struct listener *ls)
{
    return &ls->where;
}

static void on_handover(struct loop_task *t)
{
    struct handover *h = CONTAINER_OF(t, struct handover, task);

    server__accepted(h->sl, h->ls, h->fd, h->peer);
    mem_free(h);
}

static void hand_over(struct listener *ls, int fd, const char *peer)
{
    struct server_loop *sl = &ls->server->loops[ls->next_loop++ % ls->server->loops_n];
    struct handover *h;

    if (sl == &ls->server->loops[0]) {
        server__accepted(sl, ls, fd, peer);
        return;
    }
    h = mem_alloc(sizeof *h);
    if (h == NULL) {
        close(fd);
        listener__closed(ls);
        return;
    }
    *h = (struct handover){.task.run = on_handover, .sl = sl, .ls = ls, .fd = fd};
    snprintf(h->peer, sizeof h->peer, "%s", peer);
    loop_post(sl->loop, &h->task);
}

static void accepted(struct listener *ls, int fd, const struct sockaddr *sa)
{
    struct net_server *s = ls->server;
    char peer[ADDR_TEXT_BYTES];

    if (atomic_fetch_add_explicit(&ls->open, 1, memory_order_relaxed) >=
        s->options.limits.connections_max) {
        loop__count(&s->loops[0].counters.connections_refused, 1);
        listener__closed(ls);
        close(fd);
        return;
    }
    conn__socket_options(fd);
    addr__text(sa, peer);
    hand_over(ls, fd, peer);
}

static void on_acceptable(uv_poll_t *h, int status, int events);

static void on_retry(struct loop_timer *t)
{
    struct listener *ls = CONTAINER_OF(t, struct listener, retry);

    if (!ls->closing)
        uv_poll_start(&ls->poll, UV_READABLE, on_acceptable);
}

static void on_acceptable(uv_poll_t *h, int status, int events)
{
    struct listener *ls = h->data;
    struct loop *l = ls->server->loops[0].loop;

    (void) status;
    (void) events;
    loop__turn_begin(l);
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage sa = {0};
        socklen_t len = sizeof sa;
        int fd = accept4(ls->fd, (struct sockaddr *) &sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            accepted(ls, fd, (struct sockaddr *) &sa);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            uv_poll_stop(&ls->poll);
            if (loop_timer_start(l, &ls->retry, ACCEPT_RETRY_MS) != 0)
                uv_poll_start(&ls->poll, UV_READABLE, on_acceptable);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

void listener__start_all(struct net_server *s)
{
    for (struct listener *ls = s->listeners; ls != NULL; ls = ls->next) {
        if (ls->polling || ls->closing)
            continue;
        if (uv_poll_init(&s->loops[0].loop->uv, &ls->poll, ls->fd) != 0)
            continue;
        ls->poll.data = ls;
        ls->polling = true;
        loop_timer_init(&ls->retry, on_retry);
        uv_poll_start(&ls->poll, UV_READABLE, on_acceptable);
    }
}

static void on_poll_closed(uv_handle_t *h)
{
    struct listener *ls = h->data;

    ls->polling = false;
}

void listener__stop_all(struct net_server *s)
{
    for (struct listener *ls = s->listeners; ls != NULL; ls = ls->next) {
        if (ls->closing)
            continue;
        ls->closing = true;
        if (ls->polling) {
            loop_timer_stop(s->loops[0].loop, &ls->retry);
            uv_close((uv_handle_t *) &ls->poll, on_poll_closed);
        }
        if (ls->unix_path != NULL)
            unlink(ls->unix_path);
        close(ls->fd);
        ls->fd = -1;
    }
}

void listener__free_all(struct net_server *s)
{
    listener__stop_all(s); /* those of a server that never ran */
    while (s->listeners != NULL) {
        struct listener *ls = s->listeners;

        ASSERT(!ls->polling); /* the loop has run after net_server_stop */
        s->listeners = ls->next;
        mem_free(ls->unix_path);
        tls_unref(ls->where.tls);
        mem_free(ls);
    }
}
