#define _GNU_SOURCE
#include "engine/net/bind.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

#include "engine/net/addr.h"
#include "engine/net/loop.h"

#define BACKLOG 4096

static int failed(struct err *e, int errnum, const char *what, const char *step)
{
    int rc = errnum == EADDRINUSE ? ERR_NET_ADDR_IN_USE : err_from_errno(errnum);
    char words[ADDR_ERRNO_BYTES];

    return err_set(e, rc, "listen %s: %s: %s", what, step, addr__errno_words(errnum, words));
}

static int open_socket(const struct addr *a, bool reuse_port, const char *what, int *ret_fd,
                       struct err *e)
{
    int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1, off = 0;
    int errnum;

    if (fd < 0)
        return failed(e, errno, what, "socket");
    if (a->sa.ss_family != AF_UNIX)
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (reuse_port)
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (a->sa.ss_family == AF_INET6)
        (void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, (const struct sockaddr *) &a->sa, a->len) != 0 || listen(fd, BACKLOG) != 0) {
        errnum = errno;
        close(fd);
        return failed(e, errnum, what, "bind");
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

int bind__tcp(const char *host, uint16_t port, bool reuse_port, int *ret_fd, struct err *e)
{
    char what[300];
    struct addr a;
    int rc;

    memcpy(what, "tcp ", 4);
    addr__target_text(host, port, what + 4, sizeof what - 4);
    if (host[0] == '\0') {
        any_address(&a, AF_INET6);
        addr__set_port(&a, port);
        rc = open_socket(&a, reuse_port, what, ret_fd, e);
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
    addr__set_port(&a, port);
    return open_socket(&a, reuse_port, what, ret_fd, e);
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

int bind__unix(const char *path, int *ret_fd, struct err *e)
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

uint16_t bind__port(int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof sa;

    (void) getsockname(fd, (struct sockaddr *) &sa, &len);
    return addr__port((struct sockaddr *) &sa);
}
