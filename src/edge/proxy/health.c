/* health.c -- /health: can a member be read?  /proxy/health: can the proxy be, at the address that
 * it advertises, and does it serve watches there?
 *
 *   reading a key ----> fine -----> /health: answered
 *        |                \-------> /proxy/health: opening a watch ----> created: fine
 *        +-> "GET ERROR:..."                            +---> "WATCH TIMEOUT"
 */
#include "edge/proxy/proxy_int.h"

struct probe {
    struct list link; /* of proxy->probes */
    struct proxy *proxy;
    struct http_req *req;
    struct ask ask;
    bool asking;
    struct upstream_waiter waiter;
    struct loop_timer timer; /* of the watch; then for the answer */
    struct upstream_member *member;
    struct rpc *watch; /* NULL: not under way */
    bool with_watch;
    char reason[ERR_MSG_BYTES + 64]; /* "": healthy */
};

static void probe_free(struct probe *b)
{
    ASSERT(!b->asking); /* invariant 7 */
    ASSERT(b->watch == NULL);
    ASSERT(list_empty(&b->waiter.link));
    list_remove(&b->link);
    loop_timer_stop(b->proxy->loop, &b->timer);
    upstream_give(b->member);
    mem_free(b);
}

static void respond(struct http_req *r, struct log *log, const char *reason)
{
    static const struct http_field type = {"Content-Type", "text/plain; charset=utf-8"};
    char text[2 * sizeof((struct probe *) 0)->reason];

    if (reason[0] == 0) {
        http_respond(r, 200, &type, 1, BYTES_LIT("{\"health\":\"true\",\"reason\":\"\"}"));
        return;
    }
    snprintf(text, sizeof text, "{\"health\":\"false\",\"reason\":\"%s\"}", reason);
    LOG_WARN(log, "/health error", F_STR("output", text), F_I64("status-code", 503));
    pages__error(r, 503, text);
}

static void answer(struct probe *b)
{
    respond(b->req, b->proxy->log, b->reason);
    probe_free(b);
}

/* ---- the watch ---- */

static void on_message(struct rpc *r, struct bytes message, void *user)
{
    struct probe *b = user;

    (void) message;
    b->reason[0] = 0;
    rpc_cancel(r);
}

static void on_watch_end(struct rpc *r, const struct rpc_result *res, void *user)
{
    struct probe *b = user;

    (void) r;
    (void) res;
    b->watch = NULL;
    answer(b);
}

static const struct rpc_stream_callbacks callbacks = {
    .on_message = on_message,
    .on_end = on_watch_end,
};

static void on_member(struct upstream_waiter *w, struct upstream_member *m)
{
    static const uint8_t create[] = {0x0a, 0x03, 0x0a, 0x01, 'a'}; /* WatchRequest of key "a" */
    struct probe *b = CONTAINER_OF(w, struct probe, waiter);
    struct net_piece piece = net_piece_kept(create, sizeof create);
    struct rpc_options o = {.path = "/etcdserverpb.Watch/Watch", .user = b};

    b->member = m;
    b->watch = rpc_open(upstream_channel(m), &o, &callbacks);
    if (b->watch != NULL && rpc_send(b->watch, &piece, 1) != 0)
        rpc_cancel(b->watch);
}

static void on_timer(struct loop_timer *t)
{
    struct probe *b = CONTAINER_OF(t, struct probe, timer);

    upstream_forget(b->proxy->self, &b->waiter);
    if (b->watch != NULL)
        rpc_cancel(b->watch);
    else
        answer(b);
}

static void end_after(struct probe *b, int64_t ms)
{
    int rc = loop_timer_start(b->proxy->loop, &b->timer, ms);

    ASSERT(rc == 0);
}

static void watch_begin(struct probe *b)
{
    end_after(b, PROXY_HEALTH_WATCH_MS);
    snprintf(b->reason, sizeof b->reason, "WATCH TIMEOUT");
    b->waiter.go = on_member;
    if (upstream_wait(b->proxy->self, &b->waiter) != 0)
        answer(b);
}

/* ---- the read ---- */

static void on_read(struct ask *a, int code, struct bytes message, struct bytes response)
{
    struct probe *b = CONTAINER_OF(a, struct probe, ask);

    (void) response;
    b->asking = false;
    if (code != GRPC_OK && api_error_find(message) != API_PERMISSION_DENIED) {
        snprintf(b->reason, sizeof b->reason, "GET ERROR:%.*s",
                 (int) MIN(message.n, (size_t) ERR_MSG_BYTES), (const char *) message.p);
        answer(b);
    } else if (b->with_watch) {
        watch_begin(b);
    } else {
        answer(b);
    }
}

static void probe_begin(struct http_req *r, struct proxy *p, struct upstream *up, bool with_watch)
{
    static const uint8_t range[] = {0x0a, 0x01, 'a'}; /* RangeRequest of key "a" */
    struct probe *b = xmem_calloc(1, sizeof *b);

    b->proxy = p;
    b->req = r;
    b->with_watch = with_watch;
    list_init(&b->link);
    list_init(&b->waiter.link);
    loop_timer_init(&b->timer, on_timer);
    list_push(&p->probes, &b->link);
    b->ask = (struct ask){.up = up,
                          .loop = p->loop,
                          .path = "/etcdserverpb.KV/Range",
                          .request = bytes_of(range, sizeof range),
                          .deadline_ns = loop_now_ns(p->loop) + (mono_ns) PROXY_HEALTH_MS * 1000000,
                          .repeatable = true,
                          .done = on_read};
    b->asking = true;
    ask_start(&b->ask);
}

/* ---- pages ---- */

static bool only_get(struct http_req *r, struct proxy *p)
{
    static const struct http_field f[] = {{"Allow", "GET"},
                                          {"Content-Type", "text/plain; charset=utf-8"},
                                          {"X-Content-Type-Options", "nosniff"}};

    if (bytes_eq(http_method(r), BYTES_LIT("GET")))
        return true;
    LOG_WARN(p->log, "/health error", F_I64("status-code", 405));
    http_respond(r, 405, f, ARRAY_LEN(f), BYTES_LIT("Method Not Allowed\n"));
    return false;
}

void health__serve(struct http_req *r, struct proxy *p)
{
    if (only_get(r, p))
        probe_begin(r, p, p->up, false);
}

void health__serve_self(struct http_req *r, struct proxy *p)
{
    if (!only_get(r, p))
        return;
    if (p->self == NULL)
        respond(r, p->log, "no connection to proxy");
    else
        probe_begin(r, p, p->self, true);
}

/* The proxy stops: each is answered soon. */
void health__close(struct proxy *p)
{
    LIST_EACH (it, &p->probes) {
        struct probe *b = CONTAINER_OF(it, struct probe, link);

        b->with_watch = false;
        if (b->asking)
            ask_cancel(&b->ask);
        else
            end_after(b, 0);
    }
}
