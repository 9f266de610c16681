/* relay.c -- a client's stream, joined to one stream of a member: what comes in on one side goes
 * out on the other.
 *
 * A side that does not take what comes holds up the other: the client's messages stop while the
 * member has PROXY_STREAM_HIGH_BYTES of them to take, the member's while the client has.  Whoever
 * ends, the other is told.
 *
 *              a member is up            first answer
 *   WAITING ------------------> OPEN ----------------> OPEN ----> on_end: the call ends
 *      | gone, or no member in PROXY_WAIT_MS                ^ the client has gone: rpc_cancel
 *      +--> the call ends
 */
#include "edge/proxy/proxy_int.h"

struct relay {
    struct upstream_waiter waiter;
    struct loop_timer timer; /* while WAITING */
    struct proxy *proxy;
    struct call *call;
    struct upstream_member *member;
    ns_map *response_map;
    struct rpc *rpc;  /* NULL: WAITING */
    struct buf early; /* messages of the client that wait for the member, each behind its length */
    bool half_closed;
    bool client_paused;
    bool member_paused;
    const char *error; /* what ends it, when it is not the member; while rpc_cancel is under way */
    struct rpc_metadata metadata[PROXY_METADATA_MAX];
    size_t metadata_n;
};

static void end(struct relay *x, int code, const char *text)
{
    ASSERT(x->rpc == NULL); /* invariant 7 */
    upstream_forget(x->proxy->up, &x->waiter);
    loop_timer_stop(x->proxy->loop, &x->timer);
    upstream_give(x->member);
    buf_done(&x->early);
    call_finish(x->call, code, text);
}

/* ---- from the member to the client ---- */

static void on_open(struct rpc *r, void *user)
{
    struct relay *x = user;

    (void) r;
    call_send_headers(x->call);
}

static void on_client_reads(struct call *c)
{
    struct relay *x = call_user(c);

    if (!x->member_paused)
        return;
    x->member_paused = false;
    rpc_resume(x->rpc);
}

static void hand_on(struct relay *x, struct bytes message)
{
    struct net_piece piece;
    struct buf out;
    int rc;

    if (proxy__response(x->proxy, x->response_map, message, &out, &message)) {
        piece = net_piece_copied(message.p, message.n);
        rc = call_send(x->call, &piece, 1);
        if (rc != 0 && rc != ERR_CANCELED)
            x->error = rc == ERR_LIMIT ? "the client does not read" : "out of memory";
    } else {
        x->error = "the answer of the member cannot be read";
    }
    buf_done(&out);
}

static void on_message(struct rpc *r, struct bytes message, void *user)
{
    struct relay *x = user;

    if (x->error != NULL)
        return;
    hand_on(x, message);
    if (x->error != NULL) {
        rpc_cancel(r);
        return;
    }
    if (call_queued_bytes(x->call) < PROXY_STREAM_HIGH_BYTES || x->member_paused)
        return;
    x->member_paused = true;
    rpc_pause(r);
}

static void on_end(struct rpc *r, const struct rpc_result *res, void *user)
{
    struct relay *x = user;
    char *text;

    (void) r;
    x->rpc = NULL;
    if (x->error != NULL) {
        end(x, GRPC_RESOURCE_EXHAUSTED, x->error);
        return;
    }
    text = arena_printf(call_arena(x->call), "%.*s", (int) MIN(res->message.n, (size_t) INT_MAX),
                        (const char *) res->message.p);
    end(x, res->code, text);
}

/* ---- from the client to the member ---- */

static void on_member_reads(struct rpc *r, void *user)
{
    struct relay *x = user;

    (void) r;
    if (!x->client_paused)
        return;
    x->client_paused = false;
    call_resume(x->call);
}

static void pause_client(struct relay *x)
{
    if (x->client_paused)
        return;
    x->client_paused = true;
    call_pause(x->call);
}

static void send_message(struct relay *x, struct bytes message)
{
    struct net_piece piece = net_piece_copied(message.p, message.n);

    if (rpc_send(x->rpc, &piece, 1) == ERR_NOMEM) {
        x->error = "out of memory";
        rpc_cancel(x->rpc);
    } else if (rpc_queued_bytes(x->rpc) >= PROXY_STREAM_HIGH_BYTES) {
        pause_client(x);
    }
}

/* What came before the member was there. */
static void send_early(struct relay *x)
{
    size_t at = 0;

    while (at < x->early.len && x->error == NULL) {
        uint32_t n;

        memcpy(&n, x->early.p + at, sizeof n);
        send_message(x, bytes_of(x->early.p + at + sizeof n, n));
        at += sizeof n + n;
    }
    buf_done(&x->early);
    buf_init(&x->early, 0);
    if (x->error != NULL)
        rpc_cancel(x->rpc);
    else if (x->half_closed)
        rpc_half_close(x->rpc);
}

static bool keep_early(struct relay *x, struct bytes message)
{
    uint32_t n = (uint32_t) message.n;

    return buf_add(&x->early, &n, sizeof n) && buf_add_bytes(&x->early, message);
}

/* ---- life ---- */

static const struct rpc_stream_callbacks callbacks = {
    .on_open = on_open,
    .on_message = on_message,
    .on_writable = on_member_reads,
    .on_end = on_end,
};

static void on_member(struct upstream_waiter *w, struct upstream_member *m)
{
    struct relay *x = CONTAINER_OF(w, struct relay, waiter);
    mono_ns deadline = call_deadline_ns(x->call);
    struct rpc_options o = {
        .path = call_method(x->call)->path,
        .metadata = x->metadata,
        .metadata_n = x->metadata_n,
        .timeout_ms = deadline == 0 ? 0
                                    : MAX((deadline - loop_now_ns(x->proxy->loop)) / 1000000, 1),
        .user = x,
    };

    loop_timer_stop(x->proxy->loop, &x->timer);
    x->member = m;
    x->rpc = rpc_open(upstream_channel(m), &o, &callbacks);
    if (x->rpc == NULL) {
        x->error = "out of memory";
        if (loop_timer_start(x->proxy->loop, &x->timer, 0) != 0)
            end(x, GRPC_RESOURCE_EXHAUSTED, x->error);
        return;
    }
    send_early(x);
    if (rpc_queued_bytes(x->rpc) < PROXY_STREAM_HIGH_BYTES)
        on_member_reads(x->rpc, x);
}

static void on_timer(struct loop_timer *t)
{
    struct relay *x = CONTAINER_OF(t, struct relay, timer);

    if (x->error != NULL)
        end(x, GRPC_RESOURCE_EXHAUSTED, x->error);
    else if (upstream_why(x->proxy->up)[0] != 0)
        end(x, GRPC_UNAVAILABLE, upstream_why(x->proxy->up));
    else
        end(x, GRPC_UNAVAILABLE, "no member can be reached");
}

static void on_cancel(struct call *c, enum call_cancel_reason why)
{
    struct relay *x = call_user(c);

    if (x->rpc != NULL)
        rpc_cancel(x->rpc);
    else
        end(x, why == CALL_DEADLINE ? GRPC_DEADLINE_EXCEEDED : GRPC_CANCELED,
            why == CALL_DEADLINE ? "context deadline exceeded" : "context canceled");
}

/* NULL: the call was answered. */
static struct relay *relay_new(struct call *c)
{
    struct proxy *p = call_service(c);
    struct relay *x = arena_calloc(call_arena(c), 1, sizeof *x);

    if (x == NULL) {
        call_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return NULL;
    }
    x->proxy = p;
    x->call = c;
    x->waiter.go = on_member;
    list_init(&x->waiter.link);
    loop_timer_init(&x->timer, on_timer);
    buf_init(&x->early, PROXY_STREAM_HIGH_BYTES + PROXY_RECV_BYTES_MAX + sizeof(uint32_t));
    x->response_map = p->prefix.n == 0 ? NULL : ns_response_map(call_method(c)->path);
    x->metadata_n = proxy__metadata(c, x->metadata);
    call_set_user(c, x);
    call_on_cancel(c, on_cancel);
    call_on_writable(c, PROXY_STREAM_LOW_BYTES, on_client_reads);
    return x;
}

static void seek(struct relay *x)
{
    if (loop_timer_start(x->proxy->loop, &x->timer, PROXY_WAIT_MS) != 0)
        end(x, GRPC_RESOURCE_EXHAUSTED, "out of memory");
    else if (upstream_wait(x->proxy->up, &x->waiter) != 0)
        end(x, GRPC_UNAVAILABLE, "too many calls wait for a member");
}

void relay__request(struct call *c, struct bytes message)
{
    struct relay *x = relay_new(c);
    const char *text;
    int code;

    if (x == NULL)
        return;
    x->half_closed = true;
    if (!proxy__request(x->proxy, call_method(c)->path, message, call_arena(c), &message, &code,
                        &text))
        end(x, code, text);
    else if (keep_early(x, message))
        seek(x);
    else
        end(x, GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

void relay__open(struct call *c)
{
    struct relay *x = relay_new(c);

    if (x != NULL)
        seek(x);
}

void relay__message(struct call *c, struct bytes message)
{
    struct relay *x = call_user(c);

    if (x->rpc != NULL) {
        send_message(x, message);
        return;
    }
    if (!keep_early(x, message))
        x->error = "out of memory";
    if (x->early.len >= PROXY_STREAM_HIGH_BYTES || x->error != NULL)
        pause_client(x);
}

void relay__half_closed(struct call *c)
{
    struct relay *x = call_user(c);

    x->half_closed = true;
    if (x->rpc != NULL)
        rpc_half_close(x->rpc);
}
