/* rpc_answer.c -- what comes back on a call's stream: its head and trailers, its messages, and what
 * waits of them while the caller has paused. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/client_int.h"

static bool keep(struct rpc *r, struct bytes v, struct bytes *ret)
{
    uint8_t *p = arena_dup(&r->arena, v.p, v.n);

    *ret = bytes_of(p, v.n);
    return p != NULL;
}

static int number(struct bytes v, int otherwise)
{
    int n = 0;

    if (v.n == 0 || v.n > 3)
        return otherwise;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return otherwise;
        n = n * 10 + (v.p[i] - '0');
    }
    return n;
}

bool rpc__field(struct rpc *r, struct bytes name, struct bytes value)
{
    struct rpc_field *f;

    r->head_bytes += (uint32_t) (name.n + value.n + 32);
    if (r->head_bytes > CLIENT_HEADER_BYTES_MAX)
        return false;
    if (bytes_eq(name, BYTES_LIT(":status"))) {
        r->http_status = number(value, 0);
        return true;
    }
    if (bytes_eq(name, BYTES_LIT("content-type"))) {
        r->is_grpc = grpc_content_type(value);
        return keep(r, value, &r->content_type);
    }
    if (bytes_eq(name, BYTES_LIT("grpc-status"))) {
        r->grpc_status = number(value, GRPC_STATUS_UNKNOWN);
        return true;
    }
    if (bytes_eq(name, BYTES_LIT("grpc-message")))
        return keep(r, value, &r->grpc_message);
    f = arena_alloc(&r->arena, sizeof *f);
    if (f == NULL || !keep(r, name, &f->name) || !keep(r, value, &f->value))
        return false;
    f->next = r->fields;
    r->fields = f;
    return true;
}

void rpc__head(struct rpc *r)
{
    if (r->http_status == 200 && r->is_grpc && r->cb != NULL && r->cb->on_open != NULL &&
        r->state == RPC_OPEN)
        r->cb->on_open(r, r->user);
}

/* What the status is when no grpc-status came. */
static void end_without_status(struct rpc *r, uint32_t error)
{
    char text[256];

    if (r->http_status != 0 && (r->http_status != 200 || !r->is_grpc)) {
        snprintf(text, sizeof text,
                 "unexpected HTTP status code received from server: %d; transport: received "
                 "unexpected content-type \"%.*s\"",
                 r->http_status, (int) MIN(r->content_type.n, (size_t) 100),
                 (const char *) r->content_type.p);
        rpc__end(r, grpc_status_of_http(r->http_status), text);
    } else if (error != 0) {
        snprintf(text, sizeof text, "stream terminated by RST_STREAM with error code: %s",
                 http2_error_name(error));
        rpc__end(r, grpc_status_of_reset(error), text);
    } else {
        rpc__end(r, GRPC_STATUS_INTERNAL, "server closed the stream without sending trailers");
    }
}

void rpc__stream_closed(struct rpc *r, uint32_t error)
{
    char *text;
    size_t n;

    if (r->state == RPC_ENDED)
        return;
    if (r->paused && r->backlog.len > 0) {
        r->close_due = true;
        r->close_error = error;
        list_push(&r->ch->held, &r->link);
        return;
    }
    if (r->grpc_status < 0 || r->http_status != 200) {
        end_without_status(r, error);
        return;
    }
    if (r->grpc_status == GRPC_STATUS_OK && r->cb == NULL && !r->got_response) {
        rpc__end(
            r, GRPC_STATUS_INTERNAL,
            "cardinality violation: received no response message from non-server-streaming RPC");
        return;
    }
    text = arena_alloc(&r->arena, r->grpc_message.n + 1);
    n = text == NULL ? 0 : grpc_percent_decode(r->grpc_message, text);
    if (text != NULL)
        text[n] = '\0';
    rpc__end(r, r->grpc_status, text == NULL ? "" : text);
}

static bool message_begin(struct rpc *r)
{
    size_t max = r->ch->options.recv_message_bytes_max;
    char text[100];

    if (grpc_deframer_flag(&r->in) != 0) {
        rpc__give_up(r, GRPC_STATUS_INTERNAL,
                     grpc_deframer_flag(&r->in) == 1
                         ? "grpc: compressed flag set with identity or empty encoding"
                         : "grpc: received unexpected payload format");
        return false;
    }
    if (r->in.length > max) {
        snprintf(text, sizeof text, "grpc: received message larger than max (%u vs. %zu)",
                 r->in.length, max);
        rpc__give_up(r, GRPC_STATUS_RESOURCE_EXHAUSTED, text);
        return false;
    }
    return true;
}

static void deliver(struct rpc *r, struct bytes m)
{
    if (r->cb != NULL) {
        r->cb->on_message(r, m, r->user);
        return;
    }
    if (r->got_response)
        rpc__give_up(
            r, GRPC_STATUS_INTERNAL,
            "cardinality violation: expected <EOF> for non server-streaming RPCs, but received "
            "another message");
    else if (!buf_add_bytes(&r->response, m))
        rpc__give_up(r, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
    r->got_response = true;
}

static bool message_alloc(struct rpc *r)
{
    r->in.msg = mem_alloc(MAX(r->in.length, 1u));
    r->msg_on_heap = r->in.msg != NULL;
    if (r->in.msg == NULL)
        rpc__give_up(r, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
    return r->msg_on_heap;
}

static void message_complete(struct rpc *r)
{
    struct bytes m = bytes_of(r->in.msg, r->in.length);

    r->msg_on_heap = false;
    grpc_deframer_next(&r->in);
    deliver(r, m);
    mem_free((void *) (uintptr_t) m.p);
}

static void feed(struct rpc *r, struct bytes *in)
{
    struct bytes m;

    while (r->state == RPC_OPEN && !r->paused) {
        switch (grpc_deframe(&r->in, in)) {
        case GRPC_DEFRAMED_MORE:
            return;
        case GRPC_DEFRAMED_HEAD:
            if (!message_begin(r))
                return;
            if (grpc_deframe_in_place(&r->in, in, &m))
                deliver(r, m);
            else if (!message_alloc(r))
                return;
            break;
        case GRPC_DEFRAMED_MESSAGE:
            message_complete(r);
            break;
        }
    }
}

void rpc__input(struct rpc *r, const uint8_t *p, size_t n)
{
    struct bytes in = bytes_of(p, n);

    if (r->http_status != 200 || !r->is_grpc) {
        client_conn__consume(r, n);
        return;
    }
    if (!r->paused)
        feed(r, &in);
    client_conn__consume(r, r->paused ? n - in.n : n);
    if (r->paused && r->state == RPC_OPEN && !buf_add_bytes(&r->backlog, in))
        rpc__give_up(r, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

/* ---- pauses ---- */

void rpc_pause(struct rpc *r)
{
    r->paused = true;
}

void rpc_resume(struct rpc *r)
{
    struct buf b = r->backlog;
    struct bytes in = buf_bytes(&b);

    if (!r->paused)
        return;
    r->paused = false;
    buf_init(&r->backlog, b.bytes_max);
    feed(r, &in);
    client_conn__consume(r, b.len - in.n);
    if (in.n > 0 && r->state == RPC_OPEN && !buf_add_bytes(&r->backlog, in))
        rpc__give_up(r, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
    buf_done(&b);
    if (r->close_due && r->backlog.len == 0)
        rpc__stream_closed(r, r->close_error);
}
