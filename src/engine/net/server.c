#define _GNU_SOURCE
#include "engine/net/server.h"

#include <unistd.h>

#include "base/alloc.h"
#include "engine/net/h2_server.h"
#include "engine/net/http1.h"
#include "engine/net/opening.h"
#include "engine/net/server_int.h"
#include "engine/net/tls_conn.h"

#define METHODS_CAP_MIN 64

void net_limits_default(struct net_limits *l)
{
    *l = (struct net_limits){
        .connections_max = NET_CONNECTIONS_MAX,
        .concurrent_streams_max = NET_CONCURRENT_STREAMS_MAX,
        .conn_streams_max = NET_CONN_STREAMS_MAX,
        .recv_message_bytes_max = NET_RECV_MESSAGE_BYTES_MAX,
        .header_bytes_max = NET_HEADER_BYTES_MAX,
        .http_body_bytes_max = NET_HTTP_BODY_BYTES_MAX,
        .call_arena_bytes_max = NET_CALL_ARENA_BYTES_MAX,
        .conn_queued_bytes_max = NET_CONN_QUEUED_BYTES_MAX,
        .conn_head_bytes_max = NET_CONN_HEAD_BYTES_MAX,
        .server_opening_bytes_max = NET_SERVER_OPENING_BYTES_MAX,
        .conn_held_bytes_max = NET_CONN_HELD_BYTES_MAX,
        .server_held_bytes_max = NET_SERVER_HELD_BYTES_MAX,
        .stream_window_bytes = NET_STREAM_WINDOW_BYTES,
        .conn_window_bytes = NET_CONN_WINDOW_BYTES,
        .handshake_ms = NET_HANDSHAKE_MS,
        .first_request_ms = NET_FIRST_REQUEST_MS,
        .http_header_ms = NET_HTTP_HEADER_MS,
        .http_idle_ms = NET_HTTP_IDLE_MS,
        .keepalive_min_ms = NET_KEEPALIVE_MIN_MS,
        .keepalive_interval_ms = NET_KEEPALIVE_INTERVAL_MS,
        .keepalive_timeout_ms = NET_KEEPALIVE_TIMEOUT_MS,
        .keepalive_enforced = true,
    };
}

/* ---- the table of methods ---- */

/* FNV-1a, of the length and the last bytes only: paths differ there. */
static size_t path_hash(struct bytes p)
{
    uint64_t h = 14695981039346656037u ^ p.n;

    for (size_t i = p.n > 16 ? p.n - 16 : 0; i < p.n; i++)
        h = (h ^ p.p[i]) * 1099511628211u;
    return (size_t) (h ^ h >> 32);
}

static struct method_slot *slot_of(struct method_slot *t, size_t cap, struct bytes path)
{
    size_t i = path_hash(path) & (cap - 1);

    while (t[i].method != NULL && !bytes_eq(t[i].path, path))
        i = (i + 1) & (cap - 1);
    return &t[i];
}

const struct method_slot *server__method(const struct net_server *s, struct bytes path)
{
    const struct method_slot *m;

    if (s->methods_cap == 0)
        return NULL;
    m = slot_of(s->methods, s->methods_cap, path);
    return m->method == NULL ? NULL : m;
}

bool server__has_service(const struct net_server *s, struct bytes service)
{
    for (size_t i = 0; i < s->methods_cap; i++) {
        struct bytes p = s->methods[i].path;

        if (s->methods[i].method != NULL && p.n > service.n + 2 && p.p[service.n + 1] == '/' &&
            memcmp(p.p + 1, service.p, service.n) == 0)
            return true;
    }
    return false;
}

static int methods_grow(struct net_server *s, struct err *e)
{
    size_t cap = MAX(s->methods_cap * 2, (size_t) METHODS_CAP_MIN);
    struct method_slot *t = mem_calloc(cap, sizeof *t);

    if (t == NULL)
        return err_set(e, ERR_NOMEM, "add methods: out of memory");
    for (size_t i = 0; i < s->methods_cap; i++) {
        if (s->methods[i].method != NULL)
            *slot_of(t, cap, s->methods[i].path) = s->methods[i];
    }
    mem_free(s->methods);
    s->methods = t;
    s->methods_cap = cap;
    return 0;
}

int net_server_add(struct net_server *s, const struct net_method *m, size_t n, void *service,
                   struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct bytes path = bytes_str(m[i].path);
        struct method_slot *slot;

        ASSERT(path.n > 2);
        ASSERT(path.p[0] == '/');
        if (2 * (s->methods_n + 1) > s->methods_cap && methods_grow(s, e) != 0)
            return ERR_NOMEM;
        slot = slot_of(s->methods, s->methods_cap, path);
        if (slot->method != NULL)
            return err_set(e, ERR_EXISTS, "method %s is served twice", m[i].path);
        *slot = (struct method_slot){path, &m[i], service};
        s->methods_n++;
    }
    return 0;
}

/* ---- connections ---- */

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
    } else if (p[0] >= 'A' && p[0] <= 'Z' && (sc->serves & NET_SERVES_HTTP) != 0 &&
               sc->sl->server->options.http != NULL) {
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

static void loop_drained(struct server_loop *sl)
{
    struct net_server *s = sl->server;

    if (!sl->stopping || sl->drained || !list_empty(&sl->conns))
        return;
    sl->drained = true;
    loop_timer_stop(sl->loop, &sl->grace);
    if (atomic_fetch_sub_explicit(&s->loops_running, 1, memory_order_acq_rel) == 1)
        loop_post(s->loops[0].loop, &s->stopped_task);
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
    mem_free(sc->common_name);
    mem_free(sc);
    loop_drained(sl);
}

void server__conn_closed(struct server_conn *sc)
{
    loop_timer_stop(sc->conn.loop, &sc->timer);
    loop__uncount(&sc->sl->counters.connections_open, 1);
    if (sc->listener != NULL)
        listener__closed(sc->listener);
    sc->listener = NULL;
}

void server__conn_free(struct conn *c)
{
    server__conn_unref(c->session);
}

/* ---- stopping ---- */

static void conn_drain(struct server_conn *sc)
{
    if (sc->h2 != NULL)
        h2_server__drain(sc->h2);
    else if (sc->http1 != NULL)
        http1__drain(sc->http1);
    else
        conn__doom(&sc->conn, 0);
}

static void conn_cut(struct server_conn *sc)
{
    if (sc->h2 != NULL)
        h2_server__cut(sc->h2);
    conn__close_soon(&sc->conn);
    sc->conn.no_linger = true;
    if (sc->conn.lingering)
        conn__doom(&sc->conn, 0);
    /* Who does not take the last bytes at once does not get them. */
    if (sc->h2 == NULL || sc->conn.want_write)
        conn__doom(&sc->conn, ERR_CANCELED);
}

static void on_grace_over(struct loop_timer *t)
{
    struct server_loop *sl = CONTAINER_OF(t, struct server_loop, grace);

    LIST_EACH_SAFE (x, &sl->conns)
        conn_cut(CONTAINER_OF(x, struct server_conn, link));
}

static void on_stop(struct loop_task *t)
{
    struct server_loop *sl = CONTAINER_OF(t, struct server_loop, stop_task);
    struct net_server *s = sl->server;
    bool first = !sl->stopping;

    atomic_store_explicit(&sl->stop_posted, false, memory_order_release);
    if (sl->drained)
        return; /* a second stop came too late to shorten anything */
    sl->stopping = true;
    if (first && sl == &s->loops[0])
        listener__stop_all(s);
    if (first) {
        LIST_EACH_SAFE (x, &sl->conns)
            conn_drain(CONTAINER_OF(x, struct server_conn, link));
    }
    if (loop__timer_at(sl->loop, &sl->grace,
                       atomic_load_explicit(&s->stop_at_ns, memory_order_acquire)) != 0)
        on_grace_over(&sl->grace);
    loop_drained(sl);
}

static void on_stopped(struct loop_task *t)
{
    struct net_server *s = CONTAINER_OF(t, struct net_server, stopped_task);

    if (s->stopped != NULL)
        s->stopped(s->stopped_user);
}

void net_server_stop(struct net_server *s, int64_t grace_ms, void (*done)(void *user), void *user)
{
    mono_ns at = clock_mono_ns(clock_posix()) +
                 MIN(MAX(grace_ms, 0), INT64_MAX / 4000000) * 1000000;

    if (!atomic_exchange_explicit(&s->stopping, true, memory_order_acq_rel)) {
        s->stopped = done;
        s->stopped_user = user;
        atomic_store_explicit(&s->stop_at_ns, at, memory_order_release);
    } else if (at < atomic_load_explicit(&s->stop_at_ns, memory_order_acquire)) {
        atomic_store_explicit(&s->stop_at_ns, at, memory_order_release);
    }
    for (size_t i = 0; i < s->loops_n; i++) {
        struct server_loop *sl = &s->loops[i];

        if (!atomic_exchange_explicit(&sl->stop_posted, true, memory_order_acq_rel))
            loop_post(sl->loop, &sl->stop_task);
    }
}

/* ---- life ---- */

static void on_start(struct loop_task *t)
{
    struct net_server *s = CONTAINER_OF(t, struct net_server, start_task);

    atomic_store_explicit(&s->start_posted, false, memory_order_release);
    if (!s->loops[0].stopping)
        listener__start_all(s);
}

int net_server_new(const struct net_server_options *o, struct net_server **ret, struct err *e)
{
    struct net_server *s = mem_calloc(1, sizeof *s);

    ASSERT(o->loops_n > 0);
    if (s != NULL)
        s->loops = mem_calloc(o->loops_n, sizeof *s->loops);
    if (s == NULL || s->loops == NULL) {
        mem_free(s);
        return err_set(e, ERR_NOMEM, "make a server: out of memory");
    }
    s->options = *o;
    s->options.loops = NULL;
    s->loops_n = o->loops_n;
    s->stopped_task.run = on_stopped;
    s->start_task.run = on_start;
    atomic_store(&s->loops_running, (uint32_t) o->loops_n);
    for (size_t i = 0; i < o->loops_n; i++) {
        struct server_loop *sl = &s->loops[i];

        sl->server = s;
        sl->loop = o->loops[i];
        list_init(&sl->conns);
        opening__init(sl);
        loop_timer_init(&sl->grace, on_grace_over);
        sl->stop_task.run = on_stop;
    }
    *ret = s;
    return 0;
}

void net_server_free(struct net_server *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->loops_n; i++) {
        ASSERT(list_empty(&s->loops[i].conns));
        ASSERT(!loop_timer_active(&s->loops[i].grace)); /* invariant 14 */
    }
    listener__free_all(s);
    mem_free(s->methods);
    mem_free(s->loops);
    mem_free(s);
}

void net_server_start(struct net_server *s)
{
    if (!atomic_exchange_explicit(&s->start_posted, true, memory_order_acq_rel))
        loop_post(s->loops[0].loop, &s->start_task);
}

static uint64_t load(const _Atomic uint64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

void net_server_counters(const struct net_server *s, struct net_counters *ret)
{
    *ret = (struct net_counters){0};
    for (size_t i = 0; i < s->loops_n; i++) {
        const struct server_counters *c = &s->loops[i].counters;
        const struct loop_counters *l = &s->loops[i].loop->counters;

        ret->connections_open += load(&c->connections_open);
        ret->connections_total += load(&c->connections_total);
        ret->connections_refused += load(&c->connections_refused);
        ret->calls_open += load(&c->calls_open);
        ret->calls_total += load(&c->calls_total);
        ret->http_total += load(&c->http_total);
        ret->grpc_bytes_in += load(&c->grpc_bytes_in);
        ret->grpc_bytes_out += load(&c->grpc_bytes_out);
        ret->abuse_closed += load(&c->abuse_closed);
        ret->handshakes_failed += load(&c->handshakes_failed);
        ret->bytes_in += load(&l->bytes_in);
        ret->bytes_out += load(&l->bytes_out);
        ret->reads += load(&l->reads);
        ret->writes += load(&l->writes);
    }
}
