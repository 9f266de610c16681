/* server_conn.c -- a server's connection: its first bytes decide what it speaks; TLS in front of
 * them; it lasts until the last call on it has ended. */
#define _GNU_SOURCE
#include <unistd.h>

#include "base/alloc.h"
#include "engine/net/h2_server.h"
#include "engine/net/http1.h"
#include "engine/net/kept.h"
#include "engine/net/server_int.h"
#include "engine/net/tls_conn.h"

/* ---- what it speaks ---- */

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

_Static_assert(sizeof preface - 1 == sizeof((struct server_conn *) NULL)->sniffed,
               "the first bytes have room");

/* Decides by the first n bytes, all that have come; false: more are needed. */
static bool sniff(struct server_conn *sc, const uint8_t *p, size_t n)
{
    bool bare = sc->conn.tls == NULL && sc->listener != NULL &&
                listener__where(sc->listener)->tls != NULL;
    size_t k = MIN(n, sizeof preface - 1);
    bool ok = false;

    if (bare)
        sc->serves &= ~(unsigned) NET_SERVES_HTTP2; /* that is for TLS */
    if (memcmp(p, preface, k) == 0) {
        if (k < sizeof preface - 1)
            return false;
        ok = (sc->serves & (NET_SERVES_GRPC | NET_SERVES_HTTP2)) != 0 && h2_server__attach(sc);
    } else if ((p[0] | 0x20) >= 'a' && (p[0] | 0x20) <= 'z' &&
               (sc->serves & NET_SERVES_HTTP) != 0 && sc->sl->server->options.http != NULL) {
        ok = http1__attach(sc);
    }
    if (!ok)
        conn__doom(&sc->conn, ERR_NET_PROTOCOL);
    return true;
}

static void sniff_input(struct conn *c, const uint8_t *p, size_t n)
{
    struct server_conn *sc = c->session;
    size_t had = sc->sniffed_n;
    size_t k;

    if (n == 0)
        return;
    if (had == 0 && sniff(sc, p, n)) {
        if (c->state == CONN_OPEN)
            c->ops->input(c, p, n);
        return;
    }
    k = MIN(n, sizeof sc->sniffed - had);
    memcpy(sc->sniffed + had, p, k);
    sc->sniffed_n += k;
    if (had == 0 || !sniff(sc, sc->sniffed, sc->sniffed_n))
        return;
    if (c->state == CONN_OPEN)
        c->ops->input(c, sc->sniffed, sc->sniffed_n);
    if (c->state == CONN_OPEN && k < n)
        c->ops->input(c, p + k, n - k);
}

static void sniff_eof(struct conn *c)
{
    conn__doom(c, 0);
}

static bool sniff_output(struct conn *c)
{
    (void) c;
    return false;
}

static void sniff_closed(struct conn *c)
{
    server__conn_closed(c->session);
}

static const struct conn_ops sniff_ops = {sniff_input,  sniff_eof,         sniff_output,
                                          sniff_closed, server__conn_free, NULL};

static void on_first_request_late(struct loop_timer *t)
{
    conn__doom(&CONTAINER_OF(t, struct server_conn, timer)->conn, ERR_TIMEOUT);
}

struct server_conn *server__conn_new(struct server_loop *sl, struct listener *ls, int fd,
                                     const char *peer, unsigned serves)
{
    struct server_conn *sc = mem_calloc(1, sizeof *sc);

    if (sc == NULL)
        return NULL;
    conn__init(&sc->conn, sl->loop, fd, &sniff_ops, sc);
    snprintf(sc->conn.peer, sizeof sc->conn.peer, "%s", peer);
    sc->sl = sl;
    sc->listener = ls;
    sc->refs = 1;
    sc->serves = serves;
    list_init(&sc->link);
    list_init(&sc->kept_link);
    loop_timer_init(&sc->timer, on_first_request_late);
    return sc;
}

/* ---- TLS ---- */

static void on_handshake_late(struct loop_timer *t)
{
    struct server_conn *sc = CONTAINER_OF(t, struct server_conn, timer);

    if (sc->conn.tls != NULL)
        tls_conn__late(&sc->conn);
    else
        conn__doom(&sc->conn, ERR_TIMEOUT); /* came without TLS, to a port that takes both */
}

static void on_tls_ready(struct conn *c, bool h2)
{
    struct server_conn *sc = c->session;

    sc->serves &= h2 ? NET_SERVES_GRPC | NET_SERVES_HTTP2 : NET_SERVES_HTTP;
    sc->common_name = tls_conn__common_name(c);
    loop_timer_stop(c->loop, &sc->timer);
    loop_timer_init(&sc->timer, on_first_request_late);
    if (loop_timer_start(c->loop, &sc->timer, server__limits(sc)->first_request_ms) != 0)
        conn__doom(c, ERR_NOMEM);
}

static void on_tls_rejected(struct conn *c, const struct tls_rejected *r)
{
    struct server_conn *sc = c->session;
    const struct net_server_options *o = &sc->sl->server->options;

    loop__count(&sc->sl->counters.handshakes_failed, 1);
    if (o->rejected != NULL)
        o->rejected(r, o->rejected_user);
}

static const struct tls_conn_ops tls_ops = {on_tls_ready, on_tls_rejected, NULL};

/* True: the connection may start. */
static bool conn_secure(struct server_conn *sc, const struct net_listen *where)
{
    struct tls_attach a = {.tls = where->tls, .ops = &tls_ops, .or_cleartext = where->or_cleartext};

    if (where->tls == NULL)
        return true;
    loop_timer_init(&sc->timer, on_handshake_late);
    return tls_conn__attach(&sc->conn, &a) == 0;
}

void server__accepted(struct server_loop *sl, struct listener *ls, int fd, const char *peer)
{
    const struct net_listen *where = listener__where(ls);
    struct server_conn *sc = sl->stopping ? NULL
                                          : server__conn_new(sl, ls, fd, peer, where->serves);
    int64_t ms;

    if (sc == NULL) {
        close(fd);
        listener__closed(ls);
        return;
    }
    ms = where->tls == NULL ? server__limits(sc)->first_request_ms
                            : server__limits(sc)->handshake_ms;
    loop__count(&sl->counters.connections_open, 1);
    loop__count(&sl->counters.connections_total, 1);
    list_push(&sl->conns, &sc->link);
    if (!conn_secure(sc, where) || conn__start(&sc->conn, NULL) != 0 ||
        loop_timer_start(sl->loop, &sc->timer, ms) != 0)
        conn__doom(&sc->conn, ERR_NOMEM);
}

void server__conn_unref(struct server_conn *sc)
{
    struct server_loop *sl = sc->sl;

    ASSERT(sc->refs > 0);
    if (--sc->refs > 0)
        return;
    ASSERT(sc->conn.state == CONN_CLOSED); /* invariant 14 */
    ASSERT(!loop_timer_active(&sc->timer));
    ASSERT(!loop_timer_active(&sc->conn.linger));
    list_remove(&sc->link);
    kept__gone(sc);
    mem_free(sc->common_name);
    mem_free(sc);
    server__loop_drained(sl);
}

void server__conn_closed(struct server_conn *sc)
{
    loop_timer_stop(sc->conn.loop, &sc->timer);
    kept__going(sc);
    loop__uncount(&sc->sl->counters.connections_open, 1);
    if (sc->listener != NULL)
        listener__closed(sc->listener);
    sc->listener = NULL;
}

void server__conn_free(struct conn *c)
{
    server__conn_unref(c->session);
}
