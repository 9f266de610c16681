/* register.c -- the proxies of a cluster find one another by keys: each writes one, under
 * --resolver-prefix and with a lease of --resolver-ttl, and renews that.
 *
 *   GRANTING --> WRITING --> IDLE --(a third of the time)--> RENEWING --> IDLE ...
 *       ^           |                                            |
 *       +-----------+------ PROXY_REGISTER_MS, at any failure ---+
 *
 * The key's value is what etcd's client library keeps for an endpoint:
 *   {"Op":0,"Addr":"127.0.0.1:23790","Metadata":"{\"name\":\"host\"}"}
 */
#include "edge/proxy/proxy_int.h"
#include "wire/gojson.h"

enum { GRANTING, WRITING, IDLE, RENEWING };

static struct proxy *proxy_of(struct proxy_register *r)
{
    return CONTAINER_OF(r, struct proxy, registration);
}

static void in_ms(struct proxy_register *r, int64_t ms)
{
    int rc = loop_timer_start(proxy_of(r)->loop, &r->timer, ms);

    ASSERT(rc == 0);
}

static void start_over(struct proxy_register *r, const char *why)
{
    if (proxy_of(r)->stopping)
        return;
    LOG_WARN(proxy_of(r)->log, "failed to create a session", F_STR("error", why));
    r->state = GRANTING;
    in_ms(r, PROXY_REGISTER_MS);
}

static void registered(struct proxy_register *r)
{
    const struct proxy_options *o = &proxy_of(r)->options;

    r->state = IDLE;
    in_ms(r, o->resolver_ttl_s * 1000 / 3);
}

static void ask(struct proxy_register *r, const char *path, struct bytes request,
                void (*done)(struct ask *, int, struct bytes, struct bytes))
{
    struct proxy *p = proxy_of(r);

    r->asking = true;
    r->ask = (struct ask){.up = p->up,
                          .loop = p->loop,
                          .path = path,
                          .request = request,
                          .deadline_ns = loop_now_ns(p->loop) + PROXY_WAIT_MS * 1000000LL,
                          .done = done};
    ask_start(&r->ask);
}

/* ---- the key ---- */

void register__value(const char *addr, const char *hostname, struct buf *out)
{
    struct buf name;

    buf_init(&name, PROXY_REGISTER_BYTES_MAX);
    buf_add_str(&name, "{\"name\":");
    gojson_add_string(&name, bytes_str(hostname));
    buf_add_char(&name, '}');
    buf_add_str(out, "{\"Op\":0,\"Addr\":");
    gojson_add_string(out, bytes_str(addr));
    buf_add_str(out, ",\"Metadata\":");
    gojson_add_string(out, buf_bytes(&name));
    buf_add_char(out, '}');
    buf_done(&name);
}

static void on_written(struct ask *a, int code, struct bytes message, struct bytes response)
{
    struct proxy_register *r = CONTAINER_OF(a, struct proxy_register, ask);
    const struct proxy_options *o = &proxy_of(r)->options;

    (void) message;
    (void) response;
    r->asking = false;
    if (code != GRPC_OK) {
        start_over(r, "the key cannot be written");
        return;
    }
    LOG_INFO(proxy_of(r)->log, "registered session with lease", F_STR("addr", o->advertise_url),
             F_I64("lease-ttl", o->resolver_ttl_s));
    registered(r);
}

static void write_key(struct proxy_register *r)
{
    const struct proxy_options *o = &proxy_of(r)->options;
    static const char path[] = "/etcdserverpb.KV/Put";
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct buf value, request;
    const char *key, *text;
    struct bytes bytes;
    int code;

    arena_reset(&r->arena);
    buf_init(&value, PROXY_REGISTER_BYTES_MAX);
    buf_init(&request, 2 * PROXY_REGISTER_BYTES_MAX);
    register__value(o->advertise_url, o->hostname, &value);
    key = arena_printf(&r->arena, "%s/%s", o->resolver_prefix, o->advertise_url);
    put.key = wire_binary(bytes_str(key == NULL ? "" : key));
    put.value = wire_binary(buf_bytes(&value));
    put.lease = r->lease;
    r->state = WRITING;
    if (wire_encode(&put.base, &request) &&
        proxy__request(proxy_of(r), path, buf_bytes(&request), &r->arena, &bytes, &code, &text)) {
        bytes.p = arena_dup(&r->arena, bytes.p, bytes.n);
        ask(r, path, bytes.p == NULL ? BYTES_EMPTY : bytes, on_written);
    } else {
        start_over(r, "the key is too long");
    }
    buf_done(&value);
    buf_done(&request);
}

/* ---- the lease ---- */

static void on_granted(struct ask *a, int code, struct bytes message, struct bytes response)
{
    struct proxy_register *r = CONTAINER_OF(a, struct proxy_register, ask);
    Etcdserverpb__LeaseGrantResponse *m;

    (void) message;
    r->asking = false;
    arena_reset(&r->arena);
    if (code != GRPC_OK ||
        WIRE_DECODE(etcdserverpb__lease_grant_response, response, &r->arena, &m, NULL) != 0) {
        start_over(r, "no lease is granted");
        return;
    }
    r->lease = m->id;
    write_key(r);
}

static void grant(struct proxy_register *r)
{
    Etcdserverpb__LeaseGrantRequest m = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    struct buf request;

    m.ttl = proxy_of(r)->options.resolver_ttl_s;
    arena_reset(&r->arena);
    buf_init(&request, 64);
    if (wire_encode(&m.base, &request))
        ask(r, "/etcdserverpb.Lease/LeaseGrant",
            bytes_of(arena_dup(&r->arena, request.p, request.len), request.len), on_granted);
    buf_done(&request);
}

/* A stream for each renewal: it needs no looking after between them. */
static void on_renewed(struct rpc *rpc, struct bytes message, void *user)
{
    struct proxy_register *r = user;
    Etcdserverpb__LeaseKeepAliveResponse *m;

    arena_reset(&r->arena);
    r->renewed = WIRE_DECODE(etcdserverpb__lease_keep_alive_response, message, &r->arena, &m,
                             NULL) == 0 &&
                 m->ttl > 0;
    rpc_cancel(rpc);
}

static void on_renewal_end(struct rpc *rpc, const struct rpc_result *res, void *user)
{
    struct proxy_register *r = user;

    (void) rpc;
    (void) res;
    r->rpc = NULL;
    upstream_give(r->member);
    r->member = NULL;
    loop_timer_stop(proxy_of(r)->loop, &r->timer);
    if (proxy_of(r)->stopping)
        return;
    if (r->renewed) {
        registered(r);
        return;
    }
    LOG_WARN(proxy_of(r)->log, "session expired; possible network partition or server restart");
    LOG_WARN(proxy_of(r)->log, "creating a new session to rejoin");
    r->state = GRANTING;
    in_ms(r, PROXY_REGISTER_MS);
}

static const struct rpc_stream_callbacks callbacks = {
    .on_message = on_renewed,
    .on_end = on_renewal_end,
};

static void on_member(struct upstream_waiter *w, struct upstream_member *m)
{
    struct proxy_register *r = CONTAINER_OF(w, struct proxy_register, waiter);
    Etcdserverpb__LeaseKeepAliveRequest keep = ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    struct rpc_options o = {
        .path = "/etcdserverpb.Lease/LeaseKeepAlive", .timeout_ms = PROXY_WAIT_MS, .user = r};
    struct net_piece piece;
    struct buf request;

    keep.id = r->lease;
    r->member = m;
    r->renewed = false;
    buf_init(&request, 64);
    r->rpc = rpc_open(upstream_channel(m), &o, &callbacks);
    if (r->rpc == NULL) {
        upstream_give(m);
        r->member = NULL;
        in_ms(r, PROXY_REGISTER_MS);
    } else if (wire_encode(&keep.base, &request)) {
        piece = net_piece_copied(request.p, request.len);
        if (rpc_send(r->rpc, &piece, 1) != 0)
            rpc_cancel(r->rpc);
    }
    buf_done(&request);
}

/* ---- life ---- */

static void on_timer(struct loop_timer *t)
{
    struct proxy_register *r = CONTAINER_OF(t, struct proxy_register, timer);

    if (r->state == GRANTING) {
        grant(r);
    } else if (r->rpc == NULL && list_empty(&r->waiter.link)) {
        r->state = RENEWING;
        if (upstream_wait(proxy_of(r)->up, &r->waiter) != 0)
            in_ms(r, PROXY_REGISTER_MS);
    }
}

void register__start(struct proxy *p)
{
    struct proxy_register *r = &p->registration;

    r->waiter.go = on_member;
    list_init(&r->waiter.link);
    loop_timer_init(&r->timer, on_timer);
    arena_init(&r->arena, PROXY_CALL_BYTES_MAX);
    r->state = GRANTING;
    if (p->options.resolver_prefix[0] != 0)
        in_ms(r, 0);
}

void register__stop(struct proxy *p)
{
    struct proxy_register *r = &p->registration;

    loop_timer_stop(p->loop, &r->timer);
    upstream_forget(p->up, &r->waiter);
    if (r->asking)
        ask_cancel(&r->ask);
    if (r->rpc != NULL)
        rpc_cancel(r->rpc);
}

void register__done(struct proxy *p)
{
    struct proxy_register *r = &p->registration;

    loop_timer_stop(p->loop, &r->timer);
    if (r->asking)
        loop_timer_stop(p->loop, &r->ask.timer);
    arena_done(&r->arena);
}
