/* fake_server.h -- a gRPC server on a thread of its own that answers as the test says.
 *
 * Put and Range: `unavailable` answers of Unavailable first, then `code` with `text`, or, for code
 * 0, a header whose revision counts the calls; `silent` never answers.  Watch: each create request
 * is noted and answered by the test's `on_create`.  LeaseKeepAlive: answers with the next of
 * `ttls`.  Snapshot: one piece.  Authenticate: gives the tokens t1, t2, ...; with `wants_token` all
 * calls need one whose number is above `dead_tokens`.
 */
#ifndef KETCH_TESTS_UNIT_CLIENT_FAKE_SERVER_H
#define KETCH_TESTS_UNIT_CLIENT_FAKE_SERVER_H

#include <ketch/client.h>

#include "base/alloc.h"
#include "engine/net/call.h"
#include "engine/net/server.h"
#include "lib/cm.h"
#include "wire/wire.h"

#define FAKE_CREATES_MAX 16
#define FAKE_DIAL_MS 20000 /* it is there, but a busy machine may let one wait */

struct fake {
    struct loop *loop;
    struct net_server *server;
    uint16_t port;
    char endpoint[64];
    _Atomic int unavailable; /* so many answers first */
    _Atomic int code;
    const char *_Atomic text;
    _Atomic bool silent;
    _Atomic int calls;
    _Atomic bool saw_token;
    _Atomic bool saw_leader;
    _Atomic int64_t created_from[FAKE_CREATES_MAX]; /* start revisions of create requests */
    _Atomic int creates;
    _Atomic int progress_requests;
    _Atomic int cancels;
    void (*on_create)(struct fake *f, struct call *c, int nth);
    _Atomic int64_t ttls[4];
    _Atomic int renewals;
    _Atomic bool wants_token;
    _Atomic int dead_tokens;
    _Atomic int logins;
    const char *_Atomic login_error; /* Authenticate fails with this */
    _Atomic bool stopped;
};

/* What the state of a test begins with. */
struct faked {
    struct fake fake;
    struct ketch_client *client; /* of it */
};

static inline void fake_send(struct call *c, const ProtobufCMessage *m)
{
    struct buf b;
    struct net_piece piece;

    buf_init(&b, 1 << 20);
    assert_true(wire_encode(m, &b));
    piece = net_piece_copied(b.p, b.len);
    assert_int_equal(call_send(c, &piece, 1), 0);
    buf_done(&b);
}

/* Nobody waits any more: every call is to be ended by the service all the same. */
static inline void fake_on_cancel(struct call *c, enum call_cancel_reason why)
{
    call_finish(c, why == CALL_DEADLINE ? KETCH_DEADLINE_EXCEEDED : KETCH_CANCELED,
                "context deadline exceeded");
}

static inline void fake_open(struct call *c)
{
    call_on_cancel(c, fake_on_cancel);
}

#define FAKE_REFUSAL "etcdserver: invalid auth token"

static inline bool fake_accepts(struct fake *f, struct call *c)
{
    struct bytes value;
    char text[32];

    if (!f->wants_token)
        return true;
    if (!call_metadata(c, "token", &value) || value.n < 2 || value.n >= sizeof(text))
        return false;
    snprintf(text, sizeof(text), "%.*s", (int) value.n, (const char *) value.p);
    return atoi(text + 1) > f->dead_tokens;
}

static inline void fake_authenticate(struct call *c, struct bytes message)
{
    struct fake *f = call_service(c);
    Etcdserverpb__AuthenticateResponse r = ETCDSERVERPB__AUTHENTICATE_RESPONSE__INIT;
    char token[32];
    struct buf b;
    struct net_piece piece;

    (void) message;
    snprintf(token, sizeof(token), "t%d", atomic_fetch_add(&f->logins, 1) + 1);
    if (f->login_error != NULL) {
        call_finish(c, 9, f->login_error);
        return;
    }
    r.token = token;
    buf_init(&b, 1 << 16);
    assert_true(wire_encode(&r.base, &b));
    piece = net_piece_copied(b.p, b.len);
    call_reply(c, &piece, 1);
    buf_done(&b);
}

static inline void fake_unary(struct call *c, struct bytes message)
{
    struct fake *f = call_service(c);
    Etcdserverpb__ResponseHeader h = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__PutResponse r =
        ETCDSERVERPB__PUT_RESPONSE__INIT; /* a range has the same header */
    struct bytes value;
    struct buf b;
    struct net_piece piece;

    (void) message;
    h.revision = atomic_fetch_add(&f->calls, 1) + 1;
    f->saw_token = call_metadata(c, "token", &value) && bytes_eq(value, BYTES_LIT("secret"));
    if (!fake_accepts(f, c)) {
        call_finish(c, 16, FAKE_REFUSAL);
        return;
    }
    if (f->silent) {
        call_on_cancel(c, fake_on_cancel);
        return;
    }
    if (atomic_fetch_sub(&f->unavailable, 1) > 0) {
        call_finish(c, KETCH_UNAVAILABLE, "etcdserver: leader changed");
        return;
    }
    if (f->code != 0) {
        call_finish(c, f->code, f->text);
        return;
    }
    r.header = &h;
    buf_init(&b, 1 << 16);
    assert_true(wire_encode(&r.base, &b));
    piece = net_piece_copied(b.p, b.len);
    call_reply(c, &piece, 1);
    buf_done(&b);
}

static inline void fake_watch(struct call *c, struct bytes message)
{
    struct fake *f = call_service(c);
    struct arena a;
    Etcdserverpb__WatchRequest *r;
    struct bytes value;

    arena_init(&a, 1 << 20);
    assert_int_equal(WIRE_DECODE(etcdserverpb__watch_request, message, &a, &r, NULL), 0);
    if (!fake_accepts(f, c)) {
        Etcdserverpb__WatchResponse refused = ETCDSERVERPB__WATCH_RESPONSE__INIT;
        char reason[] = "rpc error: code = Unauthenticated desc = " FAKE_REFUSAL;

        refused.created = true;
        refused.canceled = true;
        refused.watch_id = -1;
        refused.cancel_reason = reason;
        fake_send(c, &refused.base);
        arena_done(&a);
        return;
    }
    f->saw_leader = call_metadata(c, "hasleader", &value) && bytes_eq(value, BYTES_LIT("true"));
    if (r->request_union_case == ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST) {
        int nth = f->creates;

        assert_true(nth < FAKE_CREATES_MAX);
        f->created_from[nth] = r->create_request->start_revision;
        f->creates = nth + 1;
        f->on_create(f, c, nth);
    } else if (r->request_union_case ==
               ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST) {
        Etcdserverpb__WatchResponse p = ETCDSERVERPB__WATCH_RESPONSE__INIT;
        Etcdserverpb__ResponseHeader h = ETCDSERVERPB__RESPONSE_HEADER__INIT;

        f->progress_requests++;
        h.revision = 42;
        p.header = &h;
        p.watch_id = -1;
        fake_send(c, &p.base);
    } else {
        f->cancels++;
    }
    arena_done(&a);
}

static inline void fake_keep_alive(struct call *c, struct bytes message)
{
    struct fake *f = call_service(c);
    Etcdserverpb__LeaseKeepAliveResponse r = ETCDSERVERPB__LEASE_KEEP_ALIVE_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader h = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    int nth;

    (void) message;
    if (!fake_accepts(f, c)) {
        call_finish(c, 16, FAKE_REFUSAL);
        return;
    }
    nth = f->renewals++;
    h.revision = 1;
    r.header = &h;
    r.id = 7;
    r.ttl = nth < 4 ? f->ttls[nth] : 0;
    fake_send(c, &r.base);
}

static inline void fake_snapshot(struct call *c, struct bytes message)
{
    struct fake *f = call_service(c);
    Etcdserverpb__SnapshotResponse r = ETCDSERVERPB__SNAPSHOT_RESPONSE__INIT;

    (void) message;
    if (!fake_accepts(f, c)) {
        call_finish(c, 16, FAKE_REFUSAL);
        return;
    }
    r.remaining_bytes = 5;
    fake_send(c, &r.base);
    call_finish(c, 0, NULL);
}

static inline void fake_half_closed(struct call *c)
{
    call_finish(c, 0, NULL);
}

static const struct net_method fake_methods[] = {
    {.path = "/etcdserverpb.KV/Put", .kind = NET_UNARY, .request = fake_unary},
    {.path = "/etcdserverpb.KV/Range", .kind = NET_UNARY, .request = fake_unary},
    {.path = "/etcdserverpb.Auth/Authenticate", .kind = NET_UNARY, .request = fake_authenticate},
    {.path = "/etcdserverpb.Maintenance/Snapshot",
     .kind = NET_SERVER_STREAM,
     .request = fake_snapshot},
    {.path = "/etcdserverpb.Watch/Watch",
     .kind = NET_BIDI,
     .open = fake_open,
     .message = fake_watch,
     .half_closed = fake_half_closed},
    {.path = "/etcdserverpb.Lease/LeaseKeepAlive",
     .kind = NET_BIDI,
     .open = fake_open,
     .message = fake_keep_alive,
     .half_closed = fake_half_closed},
};

/* port 0: a free one. */
static inline void fake_start(struct fake *f, uint16_t port)
{
    struct net_server_options o = {.loops = &f->loop, .loops_n = 1};
    struct net_listen where = {.host = "127.0.0.1", .port = port};
    struct err e = ERR_INIT;

    net_limits_default(&o.limits);
    assert_int_equal(loop_new("fake", &f->loop, &e), 0);
    assert_int_equal(net_server_new(&o, &f->server, &e), 0);
    assert_int_equal(net_server_add(f->server, fake_methods, ARRAY_LEN(fake_methods), f, &e), 0);
    assert_int_equal(net_server_listen(f->server, &where, &f->port, &e), 0);
    net_server_start(f->server);
    assert_int_equal(loop_start(f->loop, &e), 0);
    snprintf(f->endpoint, sizeof(f->endpoint), "127.0.0.1:%u", f->port);
}

/* A client of it; the endpoints in `o` are set here. */
static inline struct ketch_client *fake_client(const struct fake *f, struct ketch_options o)
{
    const char *endpoint = f->endpoint;
    struct ketch_client *client;
    struct ketch_error e;

    o.endpoints = &endpoint;
    o.endpoint_count = 1;
    assert_int_equal(ketch_open(&o, &client, &e), KETCH_OK);
    return client;
}

static inline void fake_on_stopped(void *user)
{
    struct fake *f = user;

    loop_stop(f->loop);
}

static inline void fake_stop(struct fake *f)
{
    net_server_stop(f->server, 0, fake_on_stopped, f);
    loop_join(f->loop);
    net_server_free(f->server);
    loop_free(f->loop);
}

/* The state is freed with what it begins with. */
static inline int fake_teardown(void **state)
{
    struct faked *f = *state;

    ketch_close(f->client);
    fake_stop(&f->fake);
    mem_free(f);
    return 0;
}

#endif
