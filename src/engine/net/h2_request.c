/* h2_request.c -- what nghttp2 reports of the client: heads, data, pings, resets. */
#define _GNU_SOURCE
#include "engine/net/h2_server.h"
#include "engine/net/opening.h"

/* The time is looked at after so many heads of requests, be they complete or not. */
#define HEADS_FOR_A_LOOK 64

/* Frames that bring nothing: true when there were too many. */
static bool idle_frame(struct h2_server *h2)
{
    if (rate_ok(&h2->idle_frames, h2->sc->conn.loop->now, NET_IDLE_FRAMES_PER_SECOND_MAX))
        return false;
    h2_server__calm_down(h2, "too_many_frames");
    return true;
}

/* RFC 9113 5.1.1: ids only grow, and nghttp2 says nothing of a head with another.  Trailers for a
 * stream that we have reset meanwhile look like one, but for their END_STREAM. */
static void look_at_id(struct h2_server *h2, const nghttp2_frame_hd *hd)
{
    bool end = (hd->flags & NGHTTP2_FLAG_END_STREAM) != 0;

    if (hd->stream_id > h2->highest_id)
        h2->highest_id = hd->stream_id;
    else if (!end && nghttp2_session_find_stream(h2->session, hd->stream_id) == NULL)
        h2_server__go_away(h2, NGHTTP2_PROTOCOL_ERROR, "received an illegal stream id");
}

/* Priorities are switched off: of their frames nghttp2 tells nothing more. */
static int on_begin_frame(nghttp2_session *s, const nghttp2_frame_hd *hd, void *user)
{
    struct h2_server *h2 = user;

    (void) s;
    if (hd->type == NGHTTP2_HEADERS)
        look_at_id(h2, hd);
    if (hd->type == NGHTTP2_PRIORITY && !h2->terminated)
        idle_frame(h2);
    return 0;
}

/* A head of a request costs something although it asks for nothing yet. */
static void count_head(struct h2_server *h2)
{
    if (++h2->heads_n % HEADS_FOR_A_LOOK == 0)
        h2->ran = true;
    h2->cutting = h2_server__spent(h2);
}

/* Calls that a service still works on count too, although the client has reset them. */
static bool is_full(const struct h2_server *h2)
{
    const struct net_limits *lim = server__limits(h2->sc);

    return h2->sc->refs > lim->conn_streams_max || h2->sc->head_bytes > lim->conn_head_bytes_max ||
           h2->queued_bytes > lim->conn_queued_bytes_max;
}

/* A client that is told so and does not read it may not have it queued without end. */
static int refuse(struct h2_server *h2, int32_t id)
{
    if (nghttp2_session_get_outbound_queue_size(h2->session) > NET_FRAMES_QUEUED_MAX)
        h2_server__calm_down(h2, "too_many_streams");
    nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_ENHANCE_YOUR_CALM);
    return 0;
}

static int on_begin_headers(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
    struct h2_server *h2 = user;
    struct call *c;

    if (f->hd.type != NGHTTP2_HEADERS || f->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    if (h2->terminated)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    count_head(h2);
    if (UNLIKELY(is_full(h2)))
        return refuse(h2, f->hd.stream_id);
    c = call__new(h2, h2->sc, f->hd.stream_id);
    if (c == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(s, f->hd.stream_id, c);
    h2->last = c;
    return 0;
}

/* A head that needs more than the room of a call for it. */
static void make_room(struct call *c, size_t n)
{
    if (UNLIKELY((size_t) (c->arena.end - c->arena.next) < n + 16))
        call__widen(c);
}

static bool keep(struct call *c, struct bytes v, struct bytes *ret)
{
    uint8_t *p;

    make_room(c, v.n);
    p = arena_dup(&c->arena, v.p, v.n);

    if (p == NULL)
        return false;
    *ret = bytes_of(p, v.n);
    return true;
}

bool call__keep_field(struct call *c, struct bytes name, struct bytes value)
{
    struct field *f;
    uint8_t *p;

    make_room(c, sizeof *f + name.n + value.n);
    f = arena_alloc(&c->arena, sizeof *f + name.n + value.n);
    if (f == NULL)
        return false;
    p = (uint8_t *) (f + 1);
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
            return c->is_grpc ||
                   (keep(c, value, &c->content_type) && call__keep_field(c, name, value));
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
    return call__keep_field(c, name, value);
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
    c = h2_server__call(h2, f->hd.stream_id);
    if (c == NULL || name_n == 0)
        return 0;
    c->head_bytes += (uint32_t) (name_n + value_n + 32); /* as RFC 9113 6.5.2 counts */
    h2->sc->head_bytes += name_n + value_n + 32;
    if (c->head_bytes > server__limits(h2->sc)->header_bytes_max ||
        ++c->fields_n > NET_HEADER_FIELDS_MAX)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    ok = name[0] == ':' ? pseudo_field(c, bytes_of(name, name_n), bytes_of(value, value_n))
                        : plain_field(c, bytes_of(name, name_n), bytes_of(value, value_n));
    if (!ok)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (LIKELY(!h2->cutting))
        return 0;
    h2->cutting = false;
    h2->cut = true;
    return NGHTTP2_ERR_PAUSE;
}

static int on_data_chunk(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                         void *user)
{
    struct h2_server *h2 = user;
    struct call *c = h2_server__call(h2, id);

    (void) flags;
    if (c == NULL || h2->terminated) {
        nghttp2_session_consume(s, id, n);
        return 0;
    }
    h2->last = c;
    if (c->method != NULL && c->method->kind == NET_BIDI)
        h2->ran = true;
    call__input(c, p, n);
    if (LIKELY(!h2_server__spent(h2)))
        return 0;
    h2->cut = true;
    return NGHTTP2_ERR_PAUSE;
}

/* Whether grpc-go would count this ping against the client. */
static void on_ping(struct h2_server *h2)
{
    const struct net_limits *lim = server__limits(h2->sc);
    mono_ns now = h2->sc->conn.loop->now;
    mono_ns min_ms = h2->calls_n == 0 ? NET_PING_IDLE_MIN_MS : lim->keepalive_min_ms;
    /* Where plain requests share the port behind TLS, etcd counts no pings: only a flood ends. */
    bool shares_tls = h2->sc->conn.tls != NULL && (h2->sc->serves & NET_SERVES_HTTP2) != 0;
    bool sooner = h2->last_ping_ns != 0 && now - h2->last_ping_ns < min_ms * 1000000;

    h2->last_ping_ns = now;
    if (h2->sent_since_ping) {
        h2->sent_since_ping = false;
        h2->ping_strikes = 0;
        return;
    }
    if (!lim->keepalive_enforced || shares_tls)
        idle_frame(h2);
    else if (sooner && ++h2->ping_strikes > NET_PING_STRIKES_MAX)
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
        c = h2_server__call(h2, f->hd.stream_id);
        if (f->hd.type == NGHTTP2_DATA && f->hd.length == 0 && !end && idle_frame(h2))
            return 0;
        if (c == NULL)
            return 0;
        h2->ran = h2->ran || end;
        if (f->hd.type == NGHTTP2_HEADERS && f->headers.cat == NGHTTP2_HCAT_REQUEST) {
            if (!end)
                opening__begin(c);
            call__begin(c);
        }
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

void h2_server__request_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
}
