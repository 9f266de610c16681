/* client_session.c -- HTTP/2 of a connection to a server: what nghttp2 hears, and what it is asked
 * to send for the calls on it. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/client_int.h"
#include "engine/net/h2_mem.h"

#define NV_FLAGS (NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)
#define FIELDS_MAX 64

static struct rpc *find(struct client_conn *cc, int32_t id)
{
    return nghttp2_session_get_stream_user_data(cc->session, id);
}

void client_session__detach(struct client_conn *cc, struct rpc *r)
{
    ASSERT(r->cc == cc);
    list_remove(&r->link);
    list_remove(&r->writable_link);
    r->cc = NULL;
    cc->rpcs_n--;
}

/* ---- what comes ---- */

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t name_n,
                     const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    struct rpc *r = find(user, f->hd.stream_id);

    (void) s;
    (void) flags;
    if (r == NULL || f->hd.type != NGHTTP2_HEADERS)
        return 0;
    return rpc__field(r, bytes_of(name, name_n), bytes_of(value, value_n))
               ? 0
               : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_data_chunk(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                         void *user)
{
    struct rpc *r = find(user, id);

    (void) flags;
    if (r == NULL)
        nghttp2_session_consume(s, id, n);
    else
        rpc__input(r, p, n);
    return 0;
}

static void on_goaway(struct client_conn *cc)
{
    if (cc->draining)
        return;
    cc->draining = true;
    if (cc->ch != NULL)
        channel__lost(cc->ch, cc, "received GOAWAY");
}

static int on_frame_recv(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
    struct client_conn *cc = user;
    bool end = (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct rpc *r;

    switch (f->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        r = find(cc, f->hd.stream_id);
        if (r == NULL)
            break;
        if (f->hd.type == NGHTTP2_HEADERS && f->headers.cat == NGHTTP2_HCAT_RESPONSE && !end)
            rpc__head(r);
        if (end && nghttp2_session_get_stream_local_close(s, f->hd.stream_id) == 0) {
            /* The server has said its last and does not want to hear more. */
            client_conn__reset(r);
            rpc__stream_closed(r, 0);
        }
        break;
    case NGHTTP2_SETTINGS:
        if ((f->hd.flags & NGHTTP2_FLAG_ACK) == 0 && !cc->ready) {
            cc->ready = true;
            if (cc->ch != NULL && cc->ch->cc == cc)
                channel__ready(cc->ch);
        }
        break;
    case NGHTTP2_PING:
        if ((f->hd.flags & NGHTTP2_FLAG_ACK) != 0)
            cc->ping_out = false;
        break;
    case NGHTTP2_GOAWAY:
        on_goaway(cc);
        break;
    default:
        break;
    }
    return 0;
}

static int on_stream_close(nghttp2_session *s, int32_t id, uint32_t error, void *user)
{
    struct client_conn *cc = user;
    struct rpc *r = find(cc, id);

    if (r == NULL)
        return 0;
    nghttp2_session_set_stream_user_data(s, id, NULL);
    client_session__detach(cc, r);
    rpc__stream_closed(r, error);
    return 0;
}

/* ---- what goes ---- */

static ssize_t on_read_body(nghttp2_session *s, int32_t id, uint8_t *buf, size_t length,
                            uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct rpc *r = find(user, id);
    size_t n;

    (void) s;
    (void) buf;
    (void) source;
    if (r == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* ended; its RST_STREAM is on its way */
    n = (size_t) MIN((uint64_t) length, r->out.bytes);
    if (n == 0 && !r->half_closed) {
        r->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == r->out.bytes && r->half_closed)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t) n;
}

static int on_send_data(nghttp2_session *s, nghttp2_frame *f, const uint8_t *head, size_t length,
                        nghttp2_data_source *source, void *user)
{
    struct client_conn *cc = user;
    struct rpc *r = find(cc, f->hd.stream_id);
    struct outq *q = &cc->conn.out;

    (void) s;
    (void) source;
    if (r == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (q->bytes >= NET_OUT_HIGH_BYTES) {
        cc->blocked = true;
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    if (!outq_add(q, head, 9) || body_take(&r->out, q, length) != BODY_TAKEN)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (r->out.bytes == 0 && length > 0 && r->cb != NULL && r->cb->on_writable != NULL &&
        !r->half_closed && list_empty(&r->writable_link)) {
        list_push(&r->ch->writable, &r->writable_link);
        loop_hook_arm(cc->conn.loop, &r->ch->hook);
    }
    return 0;
}

static nghttp2_nv nv(const char *name, struct bytes value, uint8_t flags)
{
    return (nghttp2_nv){(uint8_t *) (uintptr_t) name, (uint8_t *) (uintptr_t) value.p, strlen(name),
                        value.n, flags};
}

/* The head of a request; returns how many fields. */
static size_t request_head(const struct channel *ch, const struct rpc *r, char *timeout,
                           nghttp2_nv *out)
{
    size_t n = 0;

    out[n++] = nv(":method", BYTES_LIT("POST"), NV_FLAGS);
    out[n++] = nv(":scheme", bytes_str(ch->options.tls != NULL ? "https" : "http"), NV_FLAGS);
    out[n++] = nv(":path", bytes_str(r->path), NV_FLAGS);
    out[n++] = nv(":authority", bytes_str(ch->authority), NV_FLAGS);
    out[n++] = nv("content-type", BYTES_LIT("application/grpc"), NV_FLAGS);
    out[n++] = nv("user-agent", bytes_str(ch->user_agent), NV_FLAGS);
    out[n++] = nv("te", BYTES_LIT("trailers"), NV_FLAGS);
    if (r->timeout_ns > 0) {
        grpc_timeout_format(r->deadline.item.key - ch->loop->now, timeout);
        out[n++] = nv("grpc-timeout", bytes_str(timeout),
                      NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_INDEX);
    }
    for (const struct rpc_field *f = r->metadata; f != NULL && n < FIELDS_MAX; f = f->next)
        out[n++] = (nghttp2_nv){(uint8_t *) (uintptr_t) f->name.p,
                                (uint8_t *) (uintptr_t) f->value.p, f->name.n, f->value.n,
                                NV_FLAGS};
    return n;
}

void client_conn__start(struct client_conn *cc, struct rpc *r)
{
    nghttp2_data_provider body = {.source.ptr = NULL, .read_callback = on_read_body};
    char timeout[GRPC_TIMEOUT_TEXT_BYTES];
    nghttp2_nv head[FIELDS_MAX];
    size_t n = request_head(cc->ch, r, timeout, head);

    ASSERT(r->state == RPC_WAITING);
    r->id = nghttp2_submit_request(cc->session, NULL, head, n, &body, r);
    if (r->id < 0) {
        rpc__end(r, GRPC_STATUS_UNAVAILABLE, "transport is closing");
        return;
    }
    r->state = RPC_OPEN;
    r->cc = cc;
    list_remove(&r->link);
    list_push(&cc->rpcs, &r->link);
    cc->rpcs_n++;
    conn__dirty(&cc->conn);
}

void client_conn__resume(struct rpc *r)
{
    if (r->cc == NULL)
        return;
    if (r->deferred) {
        r->deferred = false;
        nghttp2_session_resume_data(r->cc->session, r->id);
    }
    conn__dirty(&r->cc->conn);
}

void client_conn__reset(struct rpc *r)
{
    struct client_conn *cc = r->cc;

    if (cc == NULL)
        return;
    nghttp2_submit_rst_stream(cc->session, NGHTTP2_FLAG_NONE, r->id, NGHTTP2_CANCEL);
    nghttp2_session_set_stream_user_data(cc->session, r->id, NULL);
    client_session__detach(cc, r);
    conn__dirty(&cc->conn);
}

void client_conn__consume(struct rpc *r, size_t n)
{
    if (r->cc == NULL || n == 0)
        return;
    nghttp2_session_consume(r->cc->session, r->id, n);
    conn__dirty(&r->cc->conn);
}

/* ---- the session ---- */

static bool callbacks_set(struct client_conn *cc)
{
    nghttp2_session_callbacks *cb = NULL;
    nghttp2_option *o = NULL;
    nghttp2_mem mem = h2_mem(cc->conn.loop);
    bool ok;

    if (nghttp2_session_callbacks_new(&cb) != 0 || nghttp2_option_new(&o) != 0) {
        nghttp2_session_callbacks_del(cb);
        return false;
    }
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    ok = nghttp2_session_client_new3(&cc->session, cb, cc, o, &mem) == 0;
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(o);
    return ok;
}

static bool first_frames(struct client_conn *cc)
{
    static const nghttp2_settings_entry s[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, NET_STREAM_WINDOW_BYTES},
    };

    return nghttp2_submit_settings(cc->session, NGHTTP2_FLAG_NONE, s, ARRAY_LEN(s)) == 0 &&
           nghttp2_session_set_local_window_size(cc->session, NGHTTP2_FLAG_NONE, 0,
                                                 NET_CONN_WINDOW_BYTES) == 0;
}

bool client_session__new(struct client_conn *cc)
{
    return callbacks_set(cc) && first_frames(cc);
}
