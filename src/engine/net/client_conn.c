/* client_conn.c -- a connection to a server: its life, TLS on it, pings while it is silent. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/addr.h"
#include "engine/net/client_int.h"
#include "engine/net/tls_conn.h"

static const uint8_t keepalive_ping[8] = "ketch-ka";

void client_conn__fail(struct client_conn *cc, const char *why)
{
    if (cc->why[0] == '\0')
        snprintf(cc->why, sizeof cc->why, "%s", why);
    conn__doom(&cc->conn, ERR_CLOSED);
}

static void on_input(struct conn *c, const uint8_t *p, size_t n)
{
    struct client_conn *cc = c->session;
    ssize_t rc = nghttp2_session_mem_recv(cc->session, p, n);

    if (rc < 0)
        client_conn__fail(cc, cc->ready
                                  ? nghttp2_strerror((int) rc)
                                  : "connection error: desc = \"error reading server preface: "
                                    "http2: frame too large\"");
    else if (nghttp2_session_want_write(cc->session) != 0)
        conn__dirty(c);
    else if (nghttp2_session_want_read(cc->session) == 0)
        conn__close_soon(c);
}

static void on_eof(struct conn *c)
{
    struct client_conn *cc = c->session;

    client_conn__fail(cc, cc->ready
                              ? "error reading from server: EOF"
                              : "connection error: desc = \"error reading server preface: EOF\"");
}

static bool on_output(struct conn *c)
{
    struct client_conn *cc = c->session;
    const uint8_t *p;
    ssize_t n;

    cc->blocked = false;
    while (c->out.bytes < NET_OUT_HIGH_BYTES) {
        n = nghttp2_session_mem_send(cc->session, &p);
        if (n < 0 || (n > 0 && !outq_add(&c->out, p, (size_t) n))) {
            client_conn__fail(cc, "out of memory");
            return false;
        }
        if (n == 0)
            break;
    }
    if (c->out.bytes >= NET_OUT_HIGH_BYTES || cc->blocked)
        return true;
    if (nghttp2_session_want_read(cc->session) == 0 && nghttp2_session_want_write(cc->session) == 0)
        c->close_soon = true;
    return false;
}

static void on_closed(struct conn *c)
{
    struct client_conn *cc = c->session;
    const char *why = cc->why[0] != '\0' ? cc->why
                      : c->why == 0      ? "transport is closing"
                                         : "error reading from server: connection reset by peer";
    struct channel *ch = cc->ch;

    loop_timer_stop(c->loop, &cc->keepalive);
    while (!list_empty(&cc->rpcs)) {
        struct rpc *r = CONTAINER_OF(cc->rpcs.next, struct rpc, link);

        client_session__detach(cc, r);
        rpc__end(r, GRPC_STATUS_UNAVAILABLE, why);
    }
    nghttp2_session_del(cc->session);
    cc->session = NULL;
    list_remove(&cc->link);
    if (ch != NULL)
        channel__lost(ch, cc, why);
}

static void on_free(struct conn *c)
{
    struct client_conn *cc = c->session;

    ASSERT(!loop_timer_active(&cc->keepalive)); /* invariant 14 */
    ASSERT(list_empty(&cc->rpcs));
    mem_free(cc);
}

static const struct conn_ops ops = {on_input, on_eof, on_output, on_closed, on_free, NULL};

static void keepalive_arm(struct client_conn *cc, int64_t ms)
{
    /* Without memory for the timer there is no keepalive. */
    (void) !loop_timer_start(cc->conn.loop, &cc->keepalive, ms);
}

static void on_keepalive(struct loop_timer *t)
{
    struct client_conn *cc = CONTAINER_OF(t, struct client_conn, keepalive);
    const struct channel_options *o;
    int64_t silent_ms = (cc->conn.loop->now - cc->conn.read_ns) / 1000000;

    if (cc->ch == NULL)
        return;
    o = &cc->ch->options;
    if (cc->ping_out && cc->conn.read_ns <= cc->ping_sent_ns) {
        client_conn__fail(cc, "keepalive ping failed to receive ACK within timeout");
        return;
    }
    cc->ping_out = false;
    if (silent_ms < o->keepalive_time_ms) {
        keepalive_arm(cc, o->keepalive_time_ms - silent_ms);
        return;
    }
    if (cc->rpcs_n == 0 && !o->keepalive_without_calls) {
        keepalive_arm(cc, o->keepalive_time_ms);
        return;
    }
    nghttp2_submit_ping(cc->session, NGHTTP2_FLAG_NONE, keepalive_ping);
    cc->ping_out = true;
    cc->ping_sent_ns = cc->conn.loop->now;
    conn__dirty(&cc->conn);
    keepalive_arm(cc, o->keepalive_timeout_ms);
}

/* ---- TLS ---- */

static void on_tls_ready(struct conn *c, bool h2)
{
    if (!h2)
        client_conn__fail(c->session,
                          "connection error: desc = \"transport: authentication handshake failed: "
                          "credentials: cannot check peer: missing selected ALPN property\"");
}

static void on_tls_rejected(struct conn *c, const struct tls_rejected *r)
{
    char why[CLIENT_WHY_BYTES];

    snprintf(why, sizeof why,
             "connection error: desc = \"transport: authentication handshake failed: %s\"",
             r->error);
    client_conn__fail(c->session, why);
}

static void on_tls_broken(struct conn *c, const char *error)
{
    struct client_conn *cc = c->session;
    char why[CLIENT_WHY_BYTES];

    snprintf(why, sizeof why,
             cc->ready ? "error reading from server: %s"
                       : "connection error: desc = \"error reading server preface: %s\"",
             error);
    client_conn__fail(cc, why);
}

static const struct tls_conn_ops tls_ops = {on_tls_ready, on_tls_rejected, on_tls_broken};

/* The name that the server's certificate must be for: of the authority, without its port. */
static bool conn_secure(struct client_conn *cc)
{
    char host[NET_HOST_BYTES];
    struct tls_attach a = {
        .tls = cc->ch->options.tls, .ops = &tls_ops, .host = host, .offer_h2 = true};

    if (a.tls == NULL)
        return true;
    if (!addr__host_of(cc->ch->authority, host, sizeof host))
        snprintf(host, sizeof host, "%s", cc->ch->authority);
    return tls_conn__attach(&cc->conn, &a) == 0;
}

struct client_conn *client_conn__new(struct channel *ch, int fd)
{
    struct client_conn *cc = mem_calloc(1, sizeof *cc);

    if (cc == NULL)
        return NULL;
    cc->ch = ch;
    list_init(&cc->rpcs);
    loop_timer_init(&cc->keepalive, on_keepalive);
    conn__init(&cc->conn, ch->loop, fd, &ops, cc);
    if (!client_session__new(cc) || !conn_secure(cc) || conn__start(&cc->conn, NULL) != 0) {
        nghttp2_session_del(cc->session);
        list_remove(&cc->conn.dirty_link);
        tls_conn__free(cc->conn.tls);
        mem_free(cc);
        return NULL;
    }
    list_push(&ch->conns, &cc->link);
    if (ch->options.keepalive_time_ms > 0)
        keepalive_arm(cc, ch->options.keepalive_time_ms);
    conn__dirty(&cc->conn);
    return cc;
}
