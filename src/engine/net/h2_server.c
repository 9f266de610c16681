#define _GNU_SOURCE
#include "engine/net/h2_server.h"

#include "base/alloc.h"
#include "engine/net/h2_mem.h"
#include "engine/net/kept.h"
#include "engine/net/opening.h"

#define PING_BYTES 8

/* The time is looked at after so many calls of a connection that ends. */
#define CALLS_FOR_A_LOOK 8

static const uint8_t keepalive_ping[PING_BYTES] = "ketch-ka";

static void on_farewell_over(struct loop_timer *t)
{
    conn__doom(&CONTAINER_OF(t, struct server_conn, timer)->conn, ERR_TIMEOUT);
}

/* No more input; what is queued, a GOAWAY last, may still be read for a while. */
static void terminate(struct h2_server *h2)
{
    struct server_conn *sc = h2->sc;

    h2->terminated = true;
    opening__forget(h2);
    kept__going(sc);
    loop__count(&sc->sl->counters.abuse_closed, 1);
    conn__close_soon(&sc->conn);
    loop_timer_stop(sc->conn.loop, &sc->timer);
    loop_timer_init(&sc->timer, on_farewell_over);
    if (loop_timer_start(sc->conn.loop, &sc->timer, NET_FAREWELL_MS) != 0)
        conn__doom(&sc->conn, ERR_NOMEM);
}

void h2_server__go_away(struct h2_server *h2, uint32_t error, const char *why)
{
    if (h2->terminated)
        return;
    terminate(h2);
    nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h2->session), error,
                          (const uint8_t *) why, strlen(why));
}

void h2_server__calm_down(struct h2_server *h2, const char *why)
{
    h2_server__go_away(h2, NGHTTP2_ENHANCE_YOUR_CALM, why);
}

/* ---- the connection ---- */

/* As much of the input as a slice has time for; frames that begin no request count, too.  Negative:
 * nghttp2 gave up. */
static ssize_t take_input(struct h2_server *h2, const uint8_t *p, size_t n)
{
    struct conn *c = &h2->sc->conn;
    size_t at = 0;
    ssize_t rc;

    h2->ran = h2->cutting = h2->cut = false;
    do {
        rc = nghttp2_session_mem_recv(h2->session, p + at, MIN(n - at, (size_t) NET_FEED_BYTES));
        if (rc < 0)
            return rc;
        at += (size_t) rc;
    } while (!h2->cut && at < n && !h2->terminated && !turn__slice_over(c->loop));
    if (!h2->terminated && (h2->cut || at < n))
        conn__carry(c, p + at, n - at);
    return 0;
}

static void on_input(struct conn *conn, const uint8_t *p, size_t n)
{
    struct server_conn *sc = conn->session;
    struct h2_server *h2 = sc->h2;
    ssize_t rc;

    if (h2->terminated)
        return;
    rc = take_input(h2, p, n);
    if (rc < 0 && !h2->terminated) {
        /* Protocol errors have queued a GOAWAY; flooding and lack of memory end it at once. */
        terminate(h2);
        if (rc == NGHTTP2_ERR_FLOODED || nghttp2_session_want_write(h2->session) == 0)
            conn__doom(conn, ERR_NET_PROTOCOL);
    }
    if (nghttp2_session_want_write(h2->session) != 0)
        conn__dirty(conn);
    else if (nghttp2_session_want_read(h2->session) == 0)
        conn__close_soon(conn);
}

static void on_eof(struct conn *conn)
{
    conn__doom(conn, ERR_NET_CONN_RESET);
}

/* on_writable callbacks may queue more, so they run between two rounds of frames. */
static bool run_writable(struct h2_server *h2)
{
    struct list due;
    struct list *x;
    bool any = false;

    list_init(&due);
    list_splice(&due, &h2->writable);
    while ((x = list_pop(&due)) != NULL) {
        any = true;
        call__run_writable(CONTAINER_OF(x, struct call, writable_link));
    }
    return any;
}

/* Frames until the queue is full or there are none; false: the session broke. */
static bool take_frames(struct h2_server *h2)
{
    struct outq *q = &h2->sc->conn.out;
    const uint8_t *p;
    ssize_t n;

    while (q->bytes < turn__round_bytes(&h2->sc->conn)) {
        n = nghttp2_session_mem_send(h2->session, &p);
        if (n == 0)
            return true;
        if (n < 0 || !outq_add(q, p, (size_t) n))
            return false;
    }
    h2->blocked = true;
    return true;
}

/* Steps are taken in the rounds of connections that wait in `owing` only: however many have
 * something to compress, a turn is longer by one step more than by other output. */
static void deflate_step(struct h2_server *h2)
{
    if (h2->deflate_turn && !list_empty(&h2->deflating))
        call__deflate_step(CONTAINER_OF(h2->deflating.next, struct call, deflate_link));
    h2->deflate_turn = !list_empty(&h2->deflating);
}

static bool on_output(struct conn *conn)
{
    struct server_conn *sc = conn->session;
    struct h2_server *h2 = sc->h2;

    deflate_step(h2);
    do {
        h2->blocked = false;
        if (!take_frames(h2)) {
            conn__doom(conn, ERR_NOMEM);
            return false;
        }
    } while (run_writable(h2) && !h2->blocked);
    if (h2->blocked || h2->deflate_turn)
        return true;
    if (nghttp2_session_want_read(h2->session) == 0 && nghttp2_session_want_write(h2->session) == 0)
        conn->close_soon = true;
    return false;
}

/* What nghttp2 would send is thrown away; with its reset a stream is freed. */
static void drop_frames(struct h2_server *h2)
{
    const uint8_t *p;

    while (nghttp2_session_mem_send(h2->session, &p) > 0)
        ;
}

static void drop_call(struct h2_server *h2, struct call *c)
{
    int32_t id = c->id;

    nghttp2_session_set_stream_user_data(h2->session, id, NULL);
    call__stream_closed(c);
    nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
}

/* nghttp2_session_del would free thousands of streams in one go, and not report them. */
static bool on_ending(struct conn *conn)
{
    struct server_conn *sc = conn->session;
    struct h2_server *h2 = sc->h2;

    h2->ending = true;
    loop_timer_stop(conn->loop, &sc->timer);
    for (unsigned n = 1; !list_empty(&h2->calls); n++) {
        drop_call(h2, CONTAINER_OF(h2->calls.next, struct call, link));
        if (n % CALLS_FOR_A_LOOK != 0)
            continue;
        drop_frames(h2);
        if (turn__slice_over(conn->loop))
            break;
    }
    return !list_empty(&h2->calls);
}

static void on_closed(struct conn *conn)
{
    struct server_conn *sc = conn->session;
    struct h2_server *h2 = sc->h2;

    ASSERT(list_empty(&h2->calls));
    ASSERT(list_empty(&h2->inflating));
    ASSERT(list_empty(&h2->inflate_link));
    ASSERT(h2->opening_bytes == 0);
    list_remove(&h2->opening_link);
    nghttp2_session_del(h2->session);
    mem_free(h2);
    sc->h2 = NULL;
    server__conn_closed(sc);
}

static const struct conn_ops ops = {.input = on_input,
                                    .eof = on_eof,
                                    .output = on_output,
                                    .closed = on_closed,
                                    .free = server__conn_free,
                                    .ending = on_ending};

static void keepalive_arm(struct h2_server *h2, int64_t ms)
{
    /* Without memory for the timer the connection lives on without keepalive. */
    (void) !loop_timer_start(h2->sc->conn.loop, &h2->sc->timer, ms);
}

/* The timer is not moved with each read: it looks, when it fires, how long ago the last one was. */
static void on_keepalive(struct loop_timer *t)
{
    struct server_conn *sc = CONTAINER_OF(t, struct server_conn, timer);
    const struct net_limits *lim = server__limits(sc);
    struct h2_server *h2 = sc->h2;
    int64_t silent_ms = (sc->conn.loop->now - sc->conn.read_ns) / 1000000;

    if (h2->ping_out) {
        if (sc->conn.read_ns > h2->ping_sent_ns) {
            h2->ping_out = false;
            keepalive_arm(h2, lim->keepalive_interval_ms);
        } else {
            conn__doom(&sc->conn, ERR_TIMEOUT);
        }
        return;
    }
    if (silent_ms < lim->keepalive_interval_ms) {
        keepalive_arm(h2, lim->keepalive_interval_ms - silent_ms);
        return;
    }
    nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, keepalive_ping);
    h2->ping_out = true;
    h2->ping_sent_ns = sc->conn.loop->now;
    conn__dirty(&sc->conn);
    keepalive_arm(h2, lim->keepalive_timeout_ms);
}

static nghttp2_session_callbacks *callbacks(void)
{
    nghttp2_session_callbacks *cb = NULL;

    if (nghttp2_session_callbacks_new(&cb) != 0)
        return NULL;
    h2_server__request_callbacks(cb);
    h2_server__answer_callbacks(cb);
    return cb;
}

/* The library's own guard against rapid reset lets 33 a second pass, which a client that cancels
 * often exceeds; ours is NET_RESETS_PER_SECOND_MAX.  It came with 1.57 and with the distributions'
 * repaired older versions: weak, because no version number tells which. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
extern void nghttp2_option_set_stream_reset_rate_limit(nghttp2_option *option, uint64_t burst,
                                                       uint64_t rate) __attribute__((weak));
#pragma GCC diagnostic pop

static nghttp2_option *session_options(void)
{
    nghttp2_option *o = NULL;

    if (nghttp2_option_new(&o) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    if (nghttp2_option_set_stream_reset_rate_limit != NULL)
        nghttp2_option_set_stream_reset_rate_limit(o, 2 * NET_RESETS_PER_SECOND_MAX,
                                                   NET_RESETS_PER_SECOND_MAX);
    return o;
}

static bool session_new(struct h2_server *h2)
{
    nghttp2_session_callbacks *cb = callbacks();
    nghttp2_option *o = session_options();
    nghttp2_mem mem = h2_mem(h2->sc->conn.loop);
    int rc = NGHTTP2_ERR_NOMEM;

    if (cb != NULL && o != NULL)
        rc = nghttp2_session_server_new3(&h2->session, cb, h2, o, &mem);
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(o);
    return rc == 0;
}

static bool first_frames(struct h2_server *h2)
{
    const struct net_limits *lim = server__limits(h2->sc);
    nghttp2_settings_entry s[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, lim->concurrent_streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, lim->stream_window_bytes},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, lim->header_bytes_max},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}, /* saves the tree; see share_connection */
    };

    return nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, s, ARRAY_LEN(s)) == 0 &&
           nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t) lim->conn_window_bytes) == 0;
}

bool h2_server__attach(struct server_conn *sc)
{
    struct h2_server *h2 = mem_calloc(1, sizeof *h2);

    if (h2 == NULL)
        return false;
    h2->sc = sc;
    list_init(&h2->calls);
    list_init(&h2->writable);
    list_init(&h2->opening_link);
    list_init(&h2->deflating);
    list_init(&h2->inflating);
    list_init(&h2->inflate_link);
    if (!session_new(h2) || !first_frames(h2)) {
        nghttp2_session_del(h2->session);
        mem_free(h2);
        return false;
    }
    sc->h2 = h2;
    sc->conn.ops = &ops;
    loop_timer_stop(sc->conn.loop, &sc->timer);
    loop_timer_init(&sc->timer, on_keepalive);
    keepalive_arm(h2, server__limits(sc)->keepalive_interval_ms);
    conn__dirty(&sc->conn);
    return true;
}

void h2_server__drain(struct h2_server *h2)
{
    if (h2->draining || h2->terminated)
        return;
    h2->draining = true;
    /* New streams are ignored from here on, and their clients know from the id in the frame that
     * they may try elsewhere; those that are open go on, and when the last is closed nghttp2 wants
     * neither to read nor to write. */
    nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h2->session), NGHTTP2_NO_ERROR,
                          NULL, 0);
    conn__dirty(&h2->sc->conn);
}

void h2_server__cut(struct h2_server *h2)
{
    LIST_EACH_SAFE (x, &h2->calls) {
        struct call *c = CONTAINER_OF(x, struct call, link);

        if (c->plain)
            continue; /* its handler may still answer, and hears of the end otherwise */
        /* The service has no word in this: a watch or a keep-alive that ended Canceled would be
         * over for its client, while Unavailable makes it go on elsewhere or later. */
        if (!c->answered)
            call__answer(c, 200, GRPC_STATUS_UNAVAILABLE, "transport is closing");
        call__cancel(c, CALL_SERVER_STOPPING);
    }
    conn__close_soon(&h2->sc->conn);
}
