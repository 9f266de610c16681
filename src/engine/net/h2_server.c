#define _GNU_SOURCE
#include "engine/net/h2_server.h"

#include "base/alloc.h"
#include "engine/net/h2_mem.h"

#define NV(name, value, flags)                                                             \
    {                                                                                      \
        (uint8_t *) (uintptr_t) (name), (uint8_t *) (uintptr_t) (value), sizeof(name) - 1, \
            sizeof(value) - 1,                                                             \
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE | (flags)         \
    }

#define PING_BYTES 8

/* A DATA frame: shorter bodies leave at once. */
#define SHARE_BYTES 16384

static const uint8_t keepalive_ping[PING_BYTES] = "ketch-ka";

static struct call *find(struct h2_server *h2, int32_t id)
{
    if (h2->last != NULL && h2->last->id == id)
        return h2->last;
    return nghttp2_session_get_stream_user_data(h2->session, id);
}

static void on_farewell_over(struct loop_timer *t)
{
    conn__doom(&CONTAINER_OF(t, struct server_conn, timer)->conn, ERR_TIMEOUT);
}

/* No more input; what is queued, a GOAWAY last, may still be read for a while. */
static void terminate(struct h2_server *h2)
{
    struct server_conn *sc = h2->sc;

    h2->terminated = true;
    loop__count(&sc->sl->counters.abuse_closed, 1);
    conn__close_soon(&sc->conn);
    loop_timer_stop(sc->conn.loop, &sc->timer);
    loop_timer_init(&sc->timer, on_farewell_over);
    if (loop_timer_start(sc->conn.loop, &sc->timer, NET_FAREWELL_MS) != 0)
        conn__doom(&sc->conn, ERR_NOMEM);
}

void h2_server__calm_down(struct h2_server *h2, const char *why)
{
    if (h2->terminated)
        return;
    terminate(h2);
    nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h2->session),
                          NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *) why, strlen(why));
}

/* Frames that bring nothing: true when there were too many. */
static bool idle_frame(struct h2_server *h2)
{
    if (rate_ok(&h2->idle_frames, h2->sc->conn.loop->now, NET_IDLE_FRAMES_PER_SECOND_MAX))
        return false;
    h2_server__calm_down(h2, "too_many_frames");
    return true;
}

/* ---- requests
 * -------------------------------------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
    struct h2_server *h2 = user;
    struct call *c;

    if (f->hd.type != NGHTTP2_HEADERS || f->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    if (h2->terminated)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    /* Calls that a service still works on count too, although the client has reset them. */
    if (h2->sc->refs > server__limits(h2->sc)->conn_streams_max ||
        h2->queued_bytes > server__limits(h2->sc)->conn_queued_bytes_max) {
        nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, f->hd.stream_id, NGHTTP2_ENHANCE_YOUR_CALM);
        return 0;
    }
    c = call__new(h2, h2->sc, f->hd.stream_id);
    if (c == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(s, f->hd.stream_id, c);
    h2->last = c;
    return 0;
}

static bool keep(struct call *c, struct bytes v, struct bytes *ret)
{
    uint8_t *p = arena_dup(&c->arena, v.p, v.n);

    if (p == NULL)
        return false;
    *ret = bytes_of(p, v.n);
    return true;
}

static bool keep_field(struct call *c, struct bytes name, struct bytes value)
{
    struct field *f = arena_alloc(&c->arena, sizeof *f + name.n + value.n);
    uint8_t *p = (uint8_t *) (f + 1);

    if (f == NULL)
        return false;
    memcpy(p, name.p, name.n);
    if (value.n > 0)
        memcpy(p + name.n, value.p, value.n);
    *f = (struct field){NULL, bytes_of(p, name.n), bytes_of(p + name.n, value.n)};
    *c->fields_end = f;
    c->fields_end = &f->next;
    return true;
}

static bool pseudo_field(struct call *c, struct bytes name, struct bytes value)
{
    if (bytes_eq(name, BYTES_LIT(":path")))
        return keep(c, value, &c->path);
    if (bytes_eq(name, BYTES_LIT(":method"))) {
        if (bytes_eq(value, BYTES_LIT("POST"))) {
            c->http_method = BYTES_LIT("POST");
            return true;
        }
        return keep(c, value, &c->http_method);
    }
    if (bytes_eq(name, BYTES_LIT(":authority")))
        return keep(c, value, &c->authority);
    return true;
}

static bool timeout_field(struct call *c, struct bytes value)
{
    char why[GRPC_TIMEOUT_WHY_BYTES];

    if (grpc_timeout_parse(value, &c->timeout_ns, why))
        return true;
    c->bad_text = arena_printf(&c->arena, "malformed grpc-timeout: %s", why);
    return c->bad_text != NULL;
}

static bool plain_field(struct call *c, struct bytes name, struct bytes value)
{
    switch (name.p[0]) {
    case 't':
        if (bytes_eq(name, BYTES_LIT("te")))
            return true;
        break;
    case 'c':
        if (bytes_eq(name, BYTES_LIT("content-type"))) {
            c->is_grpc = grpc_content_type(value);
            return c->is_grpc || (keep(c, value, &c->content_type) && keep_field(c, name, value));
        }
        break;
    case 'g':
        if (bytes_eq(name, BYTES_LIT("grpc-timeout")))
            return timeout_field(c, value);
        if (bytes_eq(name, BYTES_LIT("grpc-encoding")))
            return keep(c, value, &c->encoding);
        break;
    default:
        break;
    }
    return keep_field(c, name, value);
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t name_n,
                     const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    struct h2_server *h2 = user;
    struct call *c;
    bool ok;

    (void) s;
    (void) flags;
    if (f->hd.type != NGHTTP2_HEADERS || f->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0; /* trailers of a request mean nothing here */
    c = find(h2, f->hd.stream_id);
    if (c == NULL || name_n == 0)
        return 0;
    c->head_bytes += (uint32_t) (name_n + value_n + 32); /* as RFC 9113 6.5.2 counts */
    if (c->head_bytes > server__limits(h2->sc)->header_bytes_max ||
        ++c->fields_n > NET_HEADER_FIELDS_MAX)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    ok = name[0] == ':' ? pseudo_field(c, bytes_of(name, name_n), bytes_of(value, value_n))
                        : plain_field(c, bytes_of(name, name_n), bytes_of(value, value_n));
    return ok ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_data_chunk(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                         void *user)
{
    struct h2_server *h2 = user;
    struct call *c = find(h2, id);

    (void) flags;
    if (c == NULL || h2->terminated) {
        nghttp2_session_consume(s, id, n);
        return 0;
    }
    h2->last = c;
    call__input(c, p, n);
    return 0;
}

/* Whether grpc-go would count this ping against the client. */
static void on_ping(struct h2_server *h2)
{
    const struct net_limits *lim = server__limits(h2->sc);
    mono_ns now = h2->sc->conn.loop->now;
    mono_ns min_ms = h2->calls_n == 0 ? NET_PING_IDLE_MIN_MS : lim->keepalive_min_ms;
    bool sooner = h2->last_ping_ns != 0 && now - h2->last_ping_ns < min_ms * 1000000;

    h2->last_ping_ns = now;
    if (h2->sent_since_ping) {
        h2->sent_since_ping = false;
        h2->ping_strikes = 0;
        return;
    }
    if (lim->keepalive_enforced && sooner && ++h2->ping_strikes > NET_PING_STRIKES_MAX)
        h2_server__calm_down(h2, "too_many_pings");
}

static int on_frame_recv(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
    struct h2_server *h2 = user;
    bool end = (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct call *c;

    (void) s;
    if (h2->terminated)
        return 0;
    switch (f->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        c = find(h2, f->hd.stream_id);
        if (f->hd.type == NGHTTP2_DATA && f->hd.length == 0 && !end && idle_frame(h2))
            return 0;
        if (c == NULL)
            return 0;
        if (f->hd.type == NGHTTP2_HEADERS && f->headers.cat == NGHTTP2_HCAT_REQUEST)
            call__begin(c);
        if (end)
            call__input_end(c);
        return 0;
    case NGHTTP2_PING:
        if ((f->hd.flags & NGHTTP2_FLAG_ACK) == 0)
            on_ping(h2);
        else
            h2->ping_out = false;
        return 0;
    case NGHTTP2_RST_STREAM:
        if (!rate_ok(&h2->resets, h2->sc->conn.loop->now, NET_RESETS_PER_SECOND_MAX))
            h2_server__calm_down(h2, "too_many_resets");
        return 0;
    case NGHTTP2_WINDOW_UPDATE:
        return 0; /* answers cost us more than this does the client */
    default:
        idle_frame(h2);
        return 0;
    }
}

static int on_stream_close(nghttp2_session *s, int32_t id, uint32_t error, void *user)
{
    struct h2_server *h2 = user;
    struct call *c = nghttp2_session_get_stream_user_data(s, id);

    (void) error;
    (void) h2;
    if (c != NULL) {
        nghttp2_session_set_stream_user_data(s, id, NULL);
        call__stream_closed(c);
    }
    return 0;
}

/* ---- answers
 * --------------------------------------------------------------------------------------- */

static int submit_trailers(struct h2_server *h2, struct call *c)
{
    nghttp2_nv nv[2] = {NV("grpc-status", "0", 0), NV("grpc-message", "", 0)};
    char code[4];

    if (c->code != 0) {
        nv[0].valuelen = (size_t) snprintf(code, sizeof code, "%d", c->code);
        nv[0].value = (uint8_t *) code;
        nv[0].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
    }
    if (c->message != NULL) {
        nv[1].value = (uint8_t *) c->message;
        nv[1].valuelen = strlen(c->message);
        nv[1].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_INDEX;
    }
    return nghttp2_submit_trailer(h2->session, c->id, nv, 2);
}

/* How much of the body goes into the next DATA frame. */
static ssize_t on_read_body(nghttp2_session *s, int32_t id, uint8_t *buf, size_t length,
                            uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct call *c = source->ptr;
    size_t n = (size_t) MIN((uint64_t) length, c->out.bytes);

    (void) s;
    (void) id;
    (void) buf;
    if (n == 0 && !c->answered) {
        c->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n < c->out.bytes || !c->answered)
        return (ssize_t) n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (c->plain)
        return (ssize_t) n;
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return submit_trailers(user, c) == 0 ? (ssize_t) n : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_send_data(nghttp2_session *s, nghttp2_frame *f, const uint8_t *head, size_t length,
                        nghttp2_data_source *source, void *user)
{
    struct h2_server *h2 = user;
    struct call *c = source->ptr;
    struct outq *q = &h2->sc->conn.out;
    struct outq_mark mark = outq_mark(q);
    enum body_taken rc = BODY_NOMEM;

    (void) s;
    (void) f;
    if (q->bytes >= NET_OUT_HIGH_BYTES) {
        h2->blocked = true;
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    if (outq_add(q, head, 9))
        rc = call__take(c, q, length);
    if (rc == BODY_BROKEN) {
        outq_rewind(q, mark);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    h2->sent_since_ping = true;
    return rc == BODY_TAKEN ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* When our last frame of a stream has gone and the client still talks, it is told to stop: the
 * answer is complete. */
static int on_frame_send(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
    struct h2_server *h2 = user;
    struct call *c;

    if (f->hd.type == NGHTTP2_HEADERS)
        h2->sent_since_ping = true;
    if ((f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA) ||
        (f->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    c = find(h2, f->hd.stream_id);
    if (c != NULL && !c->remote_closed)
        nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, f->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
}

static void dirty(struct call *c)
{
    conn__dirty(&c->sc->conn);
}

/* By default nghttp2 sends one stream's DATA to its end before the next stream's (RFC 9218 calls it
 * not incremental).  That is right for answers of one frame; longer ones take turns. */
static void share_connection(struct call *c)
{
    static const nghttp2_extpri in_turns = {NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1};

    if (c->out.bytes > SHARE_BYTES || c->plain || c->method->kind != NET_UNARY)
        (void) nghttp2_session_change_extpri_stream_priority(c->h2->session, c->id, &in_turns, 1);
}

void h2_server__submit_headers(struct call *c)
{
    static const nghttp2_nv nv[] = {
        NV(":status", "200", 0),
        NV("content-type", "application/grpc", 0),
    };
    nghttp2_data_provider body = {.source.ptr = c, .read_callback = on_read_body};

    ASSERT(c->stream_open);
    ASSERT(!c->headers_sent);
    c->headers_sent = true;
    share_connection(c);
    if (nghttp2_submit_response(c->h2->session, c->id, nv, ARRAY_LEN(nv), &body) != 0)
        conn__doom(&c->sc->conn, ERR_NOMEM);
    dirty(c);
}

void h2_server__submit_status(struct call *c, int http_status)
{
    char status[12], code[12];
    nghttp2_nv nv[] = {
        NV(":status", "200", 0),
        NV("content-type", "application/grpc", 0),
        NV("grpc-status", "0", 0),
        NV("grpc-message", "", 0),
    };

    ASSERT(c->stream_open);
    ASSERT(!c->headers_sent);
    c->headers_sent = true;
    if (http_status != 200) {
        nv[0].value = (uint8_t *) status;
        nv[0].valuelen = (size_t) snprintf(status, sizeof status, "%d", http_status);
        nv[0].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
    }
    nv[2].value = (uint8_t *) code;
    nv[2].valuelen = (size_t) snprintf(code, sizeof code, "%d", c->code);
    nv[2].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
    if (c->message != NULL) {
        nv[3].value = (uint8_t *) c->message;
        nv[3].valuelen = strlen(c->message);
        nv[3].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_INDEX;
    }
    if (nghttp2_submit_response(c->h2->session, c->id, nv, ARRAY_LEN(nv), NULL) != 0)
        conn__doom(&c->sc->conn, ERR_NOMEM);
    dirty(c);
}

bool h2_server__submit_http(struct call *c, const nghttp2_nv *nv, size_t n, bool end)
{
    nghttp2_data_provider body = {.source.ptr = c, .read_callback = on_read_body};

    ASSERT(c->stream_open);
    ASSERT(!c->headers_sent);
    c->headers_sent = true;
    share_connection(c);
    dirty(c);
    return nghttp2_submit_response(c->h2->session, c->id, nv, n, end ? NULL : &body) == 0;
}

void h2_server__submit_reset(struct call *c, uint32_t error)
{
    ASSERT(c->stream_open);
    nghttp2_submit_rst_stream(c->h2->session, NGHTTP2_FLAG_NONE, c->id, error);
    dirty(c);
}

void h2_server__resume(struct call *c)
{
    ASSERT(c->stream_open);
    if (c->deferred) {
        c->deferred = false;
        nghttp2_session_resume_data(c->h2->session, c->id);
    }
    dirty(c);
}

void h2_server__consume(struct call *c, size_t n)
{
    if (c->h2 != NULL && n > 0)
        nghttp2_session_consume(c->h2->session, c->id, n);
}

void h2_server__consume_stream(struct call *c, size_t n)
{
    if (c->h2 == NULL || n == 0)
        return;
    nghttp2_session_consume_stream(c->h2->session, c->id, n);
    dirty(c);
}

void h2_server__consume_conn(struct call *c, size_t n)
{
    if (c->h2 != NULL && n > 0)
        nghttp2_session_consume_connection(c->h2->session, n);
}

/* ---- the connection
 * -------------------------------------------------------------------------------- */

static void on_input(struct conn *conn, const uint8_t *p, size_t n)
{
    struct server_conn *sc = conn->session;
    struct h2_server *h2 = sc->h2;
    ssize_t rc;

    if (h2->terminated)
        return;
    rc = nghttp2_session_mem_recv(h2->session, p, n);
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

    while (q->bytes < NET_OUT_HIGH_BYTES) {
        n = nghttp2_session_mem_send(h2->session, &p);
        if (n == 0)
            return true;
        if (n < 0 || !outq_add(q, p, (size_t) n))
            return false;
    }
    h2->blocked = true;
    return true;
}

static bool on_output(struct conn *conn)
{
    struct server_conn *sc = conn->session;
    struct h2_server *h2 = sc->h2;

    do {
        h2->blocked = false;
        if (!take_frames(h2)) {
            conn__doom(conn, ERR_NOMEM);
            return false;
        }
    } while (run_writable(h2) && !h2->blocked);
    if (h2->blocked)
        return true;
    if (nghttp2_session_want_read(h2->session) == 0 && nghttp2_session_want_write(h2->session) == 0)
        conn->close_soon = true;
    return false;
}

static void on_closed(struct conn *conn)
{
    struct server_conn *sc = conn->session;
    struct h2_server *h2 = sc->h2;
    struct list *x;

    /* nghttp2_session_del does not report the streams that were still open. */
    while ((x = h2->calls.next) != &h2->calls)
        call__stream_closed(CONTAINER_OF(x, struct call, link));
    nghttp2_session_del(h2->session);
    mem_free(h2);
    sc->h2 = NULL;
    server__conn_closed(sc);
}

static const struct conn_ops ops = {on_input, on_eof, on_output, on_closed, server__conn_free};

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
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
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

        if (c->owned && !c->answered)
            call__cancel(c, CALL_SERVER_STOPPING);
        call__fail(c, 200, GRPC_STATUS_UNAVAILABLE, "transport is closing");
    }
    conn__close_soon(&h2->sc->conn);
}
