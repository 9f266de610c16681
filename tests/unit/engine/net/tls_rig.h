/* tls_rig.h -- a server with TLS, what it says of those whom it refused, and sockets that begin
 * handshakes. */
#ifndef KETCH_TESTS_NET_TLS_RIG_H
#define KETCH_TESTS_NET_TLS_RIG_H

#include <arpa/inet.h>
#include <sys/socket.h>

#include "unit/engine/net/rig.h"

/* ---- what the server sees ---- */

static struct {
    int count;
    bool any;
    bool hung_up;
    char error[512];
    char names[256];
} rejected;

static inline void on_rejected(const struct tls_rejected *r, void *user)
{
    (void) user;
    rejected.count++;
    rejected.any = true;
    rejected.hung_up = r->hung_up;
    snprintf(rejected.error, sizeof rejected.error, "%s", r->error);
    rejected.names[0] = '\0';
    for (size_t i = 0; i < r->ips_n; i++)
        snprintf(rejected.names + strlen(rejected.names), 64, "%s ", r->ips[i]);
}

static char common_name[64];

static inline void who(struct call *c, struct bytes m)
{
    const char *cn = call_common_name(c);
    struct net_piece p = net_piece_kept(m.p, m.n);

    snprintf(common_name, sizeof common_name, "%s", cn == NULL ? "(none)" : cn);
    call_reply(c, &p, 1);
}

static const struct net_method methods[] = {
    {.path = "/t.T/Who", .kind = NET_UNARY, .request = who},
};

static inline void on_page(struct http_req *r, void *user)
{
    (void) user;
    http_respond(r, 200, NULL, 0, BYTES_LIT("page"));
}

static inline void open_server(struct rig *g, struct tls *tls, int64_t handshake_ms)
{
    struct net_server_options o = {.rejected = on_rejected, .http = on_page};
    struct tls *was = rig_tls.server;

    memset(&rejected, 0, sizeof rejected);
    net_limits_default(&o.limits);
    if (handshake_ms != 0)
        o.limits.handshake_ms = handshake_ms;
    rig_tls.server = tls;
    rig_server(g, methods, ARRAY_LEN(methods), NULL, &o);
    rig_tls.server = was;
}

static inline void open_client(struct rig *g, const char *host, struct tls *tls)
{
    struct channel_options co = {
        .host = "127.0.0.1", .port = g->port, .authority = host, .tls = tls};
    struct err e = ERR_INIT;

    channel_free(g->ch);
    assert_int_equal(channel_new(g->loop, &co, &g->ch, &e), 0);
}

/* A socket that says `n` bytes and no more. */
static inline int dial(struct rig *g, const void *p, size_t n)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(g->port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *) &to, sizeof to), 0);
    assert_int_equal(send(fd, p, n, MSG_NOSIGNAL), n);
    return fd;
}

/* The head of a hello of 200 bytes. */
static const uint8_t hello[] = {22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3};

#endif
