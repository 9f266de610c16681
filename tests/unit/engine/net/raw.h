/* raw.h -- a server on a thread of its own, and sockets on which a test says whatever it likes. */
#ifndef KETCH_TESTS_NET_RAW_H
#define KETCH_TESTS_NET_RAW_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/endian.h"
#include "engine/net/call.h"
#include "engine/net/http.h"
#include "engine/net/loop.h"
#include "engine/net/server.h"
#include "lib/cm.h"

struct raw {
    struct loop *loop;
    struct net_server *server;
    uint16_t port;
};

static inline void raw_stopped(void *user)
{
    loop_stop(user);
}

/* A server on w->loop, which does not run yet. */
static inline void raw_serve(struct raw *w, const struct net_method *m, size_t n,
                             const struct net_server_options *opt)
{
    struct net_server_options o = *opt;
    struct net_listen where = {.host = "127.0.0.1",
                               .serves = NET_SERVES_GRPC | NET_SERVES_HTTP | NET_SERVES_HTTP2};
    struct err e = ERR_INIT;

    o.loops = &w->loop;
    o.loops_n = 1;
    assert_int_equal(net_server_new(&o, &w->server, &e), 0);
    assert_int_equal(net_server_add(w->server, m, n, NULL, &e), 0);
    assert_int_equal(net_server_listen(w->server, &where, &w->port, &e), 0);
    net_server_start(w->server);
}

static inline void raw_init(struct raw *w, const struct net_method *m, size_t n,
                            const struct net_server_options *opt)
{
    struct err e = ERR_INIT;

    assert_int_equal(loop_new("raw", &w->loop, &e), 0);
    raw_serve(w, m, n, opt);
    assert_int_equal(loop_start(w->loop, &e), 0);
}

static inline void raw_done(struct raw *w)
{
    net_server_stop(w->server, 0, raw_stopped, w->loop);
    loop_join(w->loop);
    net_server_free(w->server);
    loop_free(w->loop);
}

/* rcvbuf_bytes 0: the system's. */
static inline int raw_connect_small(const struct raw *w, int rcvbuf_bytes)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(w->port)};
    struct timeval tv = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv), 0);
    if (rcvbuf_bytes != 0) /* later would be too late for the window that the peer is told */
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf_bytes, sizeof rcvbuf_bytes);
    assert_int_equal(connect(fd, (struct sockaddr *) &a, sizeof a), 0);
    return fd;
}

static inline int raw_connect(const struct raw *w)
{
    return raw_connect_small(w, 0);
}

/* False when the server has hung up, which some tests provoke. */
static inline bool raw_send(int fd, const void *p, size_t n)
{
    const uint8_t *at = p;

    while (n > 0) {
        ssize_t k = send(fd, at, n, MSG_NOSIGNAL);

        if (k <= 0)
            return false;
        at += k;
        n -= (size_t) k;
    }
    return true;
}

static inline bool raw_say(int fd, const char *s)
{
    return raw_send(fd, s, strlen(s));
}

/* Reads until the server closes, or `until` (may be NULL) has been seen.  The bytes stay
 * NUL-terminated. */
static inline void raw_read(int fd, struct buf *b, const char *until)
{
    for (;;) {
        uint8_t *p = buf_reserve(b, 65536);
        ssize_t n;

        assert_non_null(p);
        n = recv(fd, p, 65535, 0);
        if (n < 0)
            assert_int_equal(errno, ECONNRESET);
        if (n <= 0)
            break;
        buf_commit(b, (size_t) n);
        if (until != NULL && strstr(buf_cstr(b), until) != NULL)
            break;
    }
    buf_cstr(b);
}

/* ---- HTTP/2 by hand ---- */

enum {
    RAW_DATA = 0,
    RAW_HEADERS = 1,
    RAW_RST_STREAM = 3,
    RAW_SETTINGS = 4,
    RAW_PING = 6,
    RAW_GOAWAY = 7,
    RAW_WINDOW_UPDATE = 8,
    RAW_CONTINUATION = 9,
};

#define RAW_END_STREAM 1
#define RAW_END_HEADERS 4
#define RAW_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static inline void raw_frame(struct buf *b, uint8_t type, uint8_t flags, uint32_t id, const void *p,
                             size_t n)
{
    uint8_t h[9] = {(uint8_t) (n >> 16), (uint8_t) (n >> 8), (uint8_t) n, type, flags};

    be32_put(h + 5, id);
    buf_add(b, h, sizeof h);
    buf_add(b, p, n);
}

static inline void raw_literal(struct buf *b, const char *name, const char *value)
{
    assert_true(strlen(name) < 127);
    assert_true(strlen(value) < 127);
    buf_add_char(b, 0); /* literal without indexing, new name */
    buf_add_char(b, (char) strlen(name));
    buf_add_str(b, name);
    buf_add_char(b, (char) strlen(value));
    buf_add_str(b, value);
}

/* The header block of a gRPC request. */
static inline void raw_request_block(struct buf *b, const char *path)
{
    raw_literal(b, ":method", "POST");
    raw_literal(b, ":scheme", "http");
    raw_literal(b, ":path", path);
    raw_literal(b, ":authority", "x");
    raw_literal(b, "content-type", "application/grpc");
    raw_literal(b, "te", "trailers");
}

static inline void raw_request(struct buf *b, uint32_t id, const char *path, uint8_t flags)
{
    struct buf block;

    buf_init(&block, 4096);
    raw_request_block(&block, path);
    raw_frame(b, RAW_HEADERS, (uint8_t) (RAW_END_HEADERS | flags), id, block.p, block.len);
    buf_done(&block);
}

static inline void raw_hello(struct buf *b)
{
    buf_add_str(b, RAW_PREFACE);
    raw_frame(b, RAW_SETTINGS, 0, 0, NULL, 0);
}

struct raw_got {
    uint8_t type;
    uint8_t flags;
    uint32_t id;
    uint32_t n;
    uint8_t payload[32768];
};

static inline bool raw_recv_all(int fd, void *p, size_t n)
{
    uint8_t *at = p;

    while (n > 0) {
        ssize_t k = recv(fd, at, n, 0);

        if (k <= 0)
            return false;
        at += k;
        n -= (size_t) k;
    }
    return true;
}

/* The next frame; false at the end of the connection. */
static inline bool raw_next(int fd, struct raw_got *f)
{
    uint8_t h[9];

    if (!raw_recv_all(fd, h, sizeof h))
        return false;
    f->n = (uint32_t) h[0] << 16 | (uint32_t) h[1] << 8 | h[2];
    f->type = h[3];
    f->flags = h[4];
    f->id = be32_get(h + 5) & 0x7fffffff;
    assert_true(f->n <= sizeof f->payload);
    return raw_recv_all(fd, f->payload, f->n);
}

/* Skips to the next frame of a type; false: the connection ended before. */
static inline bool raw_await(int fd, uint8_t type, struct raw_got *f)
{
    while (raw_next(fd, f)) {
        if (f->type == type)
            return true;
    }
    return false;
}

#endif
