/* h2_answer.c -- heads, bodies and trailers of answers on their way into frames. */
#define _GNU_SOURCE
#include "engine/net/h2_server.h"

#define NV(name, value, flags)                                                             \
    {                                                                                      \
        (uint8_t *) (uintptr_t) (name), (uint8_t *) (uintptr_t) (value), sizeof(name) - 1, \
            sizeof(value) - 1,                                                             \
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE | (flags)         \
    }

/* Far below the smallest window, 65,535 bytes, so that nobody waits for what is kept back. */
#define CONSUME_BYTES 16384

/* A DATA frame: shorter bodies leave at once. */
#define SHARE_BYTES 16384

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
    struct h2_server *h2 = user;
    struct call *c = source->ptr;
    size_t n;
    bool ended;

    (void) s;
    (void) id;
    (void) buf;
    if (h2->ending || c->given_up) /* what c was is gone, or what there was to send */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    n = (size_t) MIN((uint64_t) length, c->out.bytes);
    ended = c->answered && c->deflations == NULL;
    if (n == 0 && !ended) {
        c->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n < c->out.bytes || !ended)
        return (ssize_t) n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (c->plain)
        return (ssize_t) n;
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return submit_trailers(h2, c) == 0 ? (ssize_t) n : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
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
    if (h2->ending || c->given_up)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (q->bytes >= turn__round_bytes(&h2->sc->conn)) {
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
 * answer is complete.  Not so a client that will soon have said all: some (curl 7.88) forget the
 * answer when they see the reset. */
static int on_frame_send(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
    struct h2_server *h2 = user;
    struct call *c;

    if (f->hd.type == NGHTTP2_HEADERS)
        h2->sent_since_ping = true;
    if ((f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA) ||
        (f->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    c = h2_server__call(h2, f->hd.stream_id);
    if (c != NULL && !c->remote_closed && !c->short_body)
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

    if (call__unsent(c) > SHARE_BYTES || c->plain || c->method->kind != NET_UNARY)
        (void) nghttp2_session_change_extpri_stream_priority(c->h2->session, c->id, &in_turns, 1);
}

void h2_server__submit_headers(struct call *c)
{
    static const nghttp2_nv nv[] = {
        NV(":status", "200", 0),
        NV("content-type", "application/grpc", 0),
        NV("grpc-encoding", "gzip", 0),
    };
    size_t n = ARRAY_LEN(nv) - (c->gzip ? 0 : 1);
    nghttp2_data_provider body = {.source.ptr = c, .read_callback = on_read_body};

    ASSERT(c->stream_open);
    ASSERT(!c->headers_sent);
    c->headers_sent = true;
    share_connection(c);
    if (nghttp2_submit_response(c->h2->session, c->id, nv, n, &body) != 0)
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

/* Window is given back in portions: for a small request, which ends its stream, not at all. */
void h2_server__consume_stream(struct call *c, size_t n)
{
    c->unconsumed += n;
    if (c->h2 == NULL || c->unconsumed < CONSUME_BYTES)
        return;
    nghttp2_session_consume_stream(c->h2->session, c->id, c->unconsumed);
    c->unconsumed = 0;
    dirty(c);
}

void h2_server__consume_conn(struct call *c, size_t n)
{
    struct h2_server *h2 = c->h2;

    if (h2 == NULL)
        return;
    h2->unconsumed += n;
    if (h2->unconsumed < CONSUME_BYTES)
        return;
    nghttp2_session_consume_connection(h2->session, h2->unconsumed);
    h2->unconsumed = 0;
}

void h2_server__consume(struct call *c, size_t n)
{
    h2_server__consume_stream(c, n);
    h2_server__consume_conn(c, n);
}

void h2_server__answer_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
}
