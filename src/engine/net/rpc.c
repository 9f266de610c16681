#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/client_int.h"

/* ---- life ---- */

static void on_deadline(struct loop_timer *t)
{
    struct rpc *r = CONTAINER_OF(t, struct rpc, deadline);

    client_conn__reset(r);
    rpc__end(r, GRPC_STATUS_DEADLINE_EXCEEDED, "context deadline exceeded");
}

static bool metadata_copy(struct rpc *r, const struct rpc_metadata *m, size_t n)
{
    struct rpc_field **end = &r->metadata;

    for (size_t i = 0; i < n; i++) {
        size_t name_n = strlen(m[i].name);
        struct rpc_field *f = arena_alloc(&r->arena, sizeof *f + name_n + m[i].value.n);
        uint8_t *p = (uint8_t *) (f + 1);

        if (f == NULL)
            return false;
        memcpy(p, m[i].name, name_n);
        if (m[i].value.n > 0)
            memcpy(p + name_n, m[i].value.p, m[i].value.n);
        *f = (struct rpc_field){NULL, bytes_of(p, name_n), bytes_of(p + name_n, m[i].value.n)};
        *end = f;
        end = &f->next;
    }
    return true;
}

static void rpc_free(struct rpc *r)
{
    ASSERT(r->cc == NULL); /* invariant 14 */
    ASSERT(list_empty(&r->writable_link));
    loop_timer_stop(r->ch->loop, &r->deadline);
    body_clear(&r->out);
    buf_done(&r->backlog);
    buf_done(&r->response);
    if (r->msg_on_heap)
        mem_free(r->in.msg);
    arena_done(&r->arena);
    mem_free(r);
}

static struct rpc *rpc_new(struct channel *ch, const struct rpc_options *o)
{
    struct rpc *r = mem_alloc(sizeof *r);

    if (r == NULL)
        return NULL;
    memset(r, 0, offsetof(struct rpc, room));
    r->ch = ch;
    r->user = o->user;
    r->path = o->path;
    r->wait_for_ready = o->wait_for_ready;
    r->grpc_status = -1;
    arena_init(&r->arena, 2 * CLIENT_HEADER_BYTES_MAX);
    r->arena.next = r->room;
    r->arena.end = r->room + sizeof r->room;
    buf_init(&r->backlog, SIZE_MAX);
    buf_init(&r->response, SIZE_MAX);
    loop_timer_init(&r->deadline, on_deadline);
    list_init(&r->link);
    list_init(&r->writable_link);
    if (o->timeout_ms > 0) {
        r->timeout_ns = MIN(o->timeout_ms, INT64_MAX / 4000000) * 1000000;
        if (loop__timer_at(ch->loop, &r->deadline, ch->loop->now + r->timeout_ns) != 0) {
            rpc_free(r);
            return NULL;
        }
    }
    if (!metadata_copy(r, o->metadata, o->metadata_n)) {
        rpc_free(r);
        return NULL;
    }
    return r;
}

/* On its way: now, or when there is a connection. */
static void begin(struct rpc *r)
{
    struct channel *ch = r->ch;

    list_push(&ch->waiting, &r->link);
    if (ch->state == CHANNEL_READY)
        client_conn__start(ch->cc, r);
    else
        channel_connect(ch);
}

void rpc__end(struct rpc *r, int code, const char *text)
{
    if (r->state == RPC_ENDED)
        return;
    ASSERT(r->cc == NULL);
    r->state = RPC_ENDED;
    r->code = code;
    r->text = arena_printf(&r->arena, "%s", text);
    loop_timer_stop(r->ch->loop, &r->deadline);
    list_remove(&r->link);
    list_push(&r->ch->ended, &r->link);
    loop_hook_arm(r->ch->loop, &r->ch->hook);
}

void rpc__run_ended(struct channel *ch)
{
    struct list *x;

    while ((x = list_pop(&ch->ended)) != NULL) {
        struct rpc *r = CONTAINER_OF(x, struct rpc, link);
        struct rpc_result res = {.code = r->code,
                                 .message = bytes_str(r->text == NULL ? "" : r->text)};

        if (r->code == GRPC_STATUS_OK && r->cb == NULL)
            res.response = buf_bytes(&r->response);
        ch->calling = true;
        if (r->cb == NULL)
            r->on_unary_end(r, &res, r->user);
        else
            r->cb->on_end(r, &res, r->user);
        ch->calling = false;
        rpc_free(r);
    }
}

/* ---- the answer ---- */

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

/* Ends a call whose answer cannot be taken. */
static void give_up(struct rpc *r, int code, const char *text)
{
    client_conn__reset(r);
    rpc__end(r, code, text);
}

static bool message_begin(struct rpc *r)
{
    size_t max = r->ch->options.recv_message_bytes_max;
    char text[100];

    if (grpc_deframer_flag(&r->in) != 0) {
        give_up(r, GRPC_STATUS_INTERNAL,
                grpc_deframer_flag(&r->in) == 1
                    ? "grpc: compressed flag set with identity or empty encoding"
                    : "grpc: received unexpected payload format");
        return false;
    }
    if (r->in.length > max) {
        snprintf(text, sizeof text, "grpc: received message larger than max (%u vs. %zu)",
                 r->in.length, max);
        give_up(r, GRPC_STATUS_RESOURCE_EXHAUSTED, text);
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
        give_up(r, GRPC_STATUS_INTERNAL,
                "cardinality violation: expected <EOF> for non server-streaming RPCs, but received "
                "another message");
    else if (!buf_add_bytes(&r->response, m))
        give_up(r, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
    r->got_response = true;
}

static bool message_alloc(struct rpc *r)
{
    r->in.msg = mem_alloc(MAX(r->in.length, 1u));
    r->msg_on_heap = r->in.msg != NULL;
    if (r->in.msg == NULL)
        give_up(r, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
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
        give_up(r, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

/* ---- the caller's view ---- */

static bool send_message(struct rpc *r, const struct net_piece *v, size_t vn)
{
    uint8_t head[GRPC_HEAD_BYTES];
    uint64_t n = 0;

    for (size_t i = 0; i < vn; i++)
        n += v[i].bytes.n;
    ASSERT(n <= INT32_MAX);
    grpc_head_put(head, GRPC_PLAIN, (uint32_t) n);
    return body_add(&r->out, NULL, bytes_of(head, sizeof head), v, vn);
}

struct rpc *rpc_unary(struct channel *ch, const struct rpc_options *o, struct bytes request,
                      void (*on_end)(struct rpc *r, const struct rpc_result *res, void *user))
{
    struct net_piece p = net_piece_copied(request.p, request.n);
    struct rpc *r = rpc_new(ch, o);

    if (r == NULL)
        return NULL;
    r->on_unary_end = on_end;
    r->half_closed = true;
    if (!send_message(r, &p, 1)) {
        rpc_free(r);
        return NULL;
    }
    begin(r);
    return r;
}

struct rpc *rpc_open(struct channel *ch, const struct rpc_options *o,
                     const struct rpc_stream_callbacks *cb)
{
    struct rpc *r = rpc_new(ch, o);

    if (r == NULL)
        return NULL;
    r->cb = cb;
    begin(r);
    return r;
}

int rpc_send(struct rpc *r, const struct net_piece *v, size_t vn)
{
    ASSERT(!r->half_closed);
    if (r->state == RPC_ENDED)
        return ERR_CANCELED;
    if (!send_message(r, v, vn))
        return ERR_NOMEM;
    client_conn__resume(r);
    return 0;
}

void rpc_half_close(struct rpc *r)
{
    r->half_closed = true;
    if (r->state == RPC_OPEN)
        client_conn__resume(r);
}

size_t rpc_queued_bytes(const struct rpc *r)
{
    return (size_t) r->out.bytes;
}

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
        give_up(r, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
    buf_done(&b);
    if (r->close_due && r->backlog.len == 0)
        rpc__stream_closed(r, r->close_error);
}

void rpc_cancel(struct rpc *r)
{
    if (r->state != RPC_ENDED)
        give_up(r, GRPC_STATUS_CANCELED, "context canceled");
}

struct channel *rpc_channel(const struct rpc *r)
{
    return r->ch;
}

void *rpc_user(const struct rpc *r)
{
    return r->user;
}

bool rpc_response_metadata(const struct rpc *r, const char *name, struct bytes *ret)
{
    struct bytes want = bytes_str(name);

    for (const struct rpc_field *f = r->fields; f != NULL; f = f->next) {
        if (bytes_eq(f->name, want)) {
            *ret = f->value;
            return true;
        }
    }
    return false;
}
