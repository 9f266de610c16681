/* HTTP/1 as a client sees it, byte by byte; and the same handler over HTTP/2. */
#define _GNU_SOURCE
#include "unit/engine/net/raw.h"

#include "engine/net/h2_server.h"
#include "engine/net/server_int.h"
#include "engine/net/turn.h"

#define STREAM_PARTS 200
#define STREAM_PART_BYTES 20000

struct streaming {
    int sent;
    int writable_runs;
    size_t queued_max;
};

static struct streaming streaming;
static _Atomic int canceled;
static size_t uploaded;
static struct http_req *held; /* a request whose handler waits for the test */
static char taken[64];        /* of its body */

static void on_whole_body(struct http_req *r, struct bytes body, bool too_large)
{
    static const struct http_field f[] = {{"Content-Type", "text/plain"}};

    if (too_large)
        http_error(r, 413, "request body too large");
    else
        http_respond(r, 200, f, 1, body);
}

static void on_part(struct http_req *r, struct bytes part)
{
    uploaded += part.n;
    http_pause(r);
    http_resume(r);
}

static void on_parts_end(struct http_req *r)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%zu", uploaded);

    http_respond(r, 200, NULL, 0, bytes_of(text, (size_t) n));
}

static void on_part_once(struct http_req *r, struct bytes part)
{
    uploaded += part.n;
    http_pause(r);
}

static void on_part_held(struct http_req *r, struct bytes part)
{
    size_t n = strlen(taken);

    assert_true(n + part.n < sizeof taken);
    memcpy(taken + n, part.p, part.n);
    taken[n + part.n] = '\0';
    if (held == NULL)
        http_pause(r);
    held = r;
}

static void stream_more(struct http_req *r)
{
    static uint8_t part[STREAM_PART_BYTES];
    struct net_piece p = net_piece_kept(part, sizeof part);

    memset(part, 's', sizeof part);
    streaming.writable_runs++;
    while (streaming.sent < STREAM_PARTS && http_queued_bytes(r) < 100000) {
        assert_int_equal(http_write(r, &p, 1), 0);
        streaming.sent++;
        streaming.queued_max = MAX(streaming.queued_max, http_queued_bytes(r));
    }
    if (streaming.sent == STREAM_PARTS)
        http_end(r);
}

static void on_cancel(struct http_req *r)
{
    canceled++;
    http_end(r);
}

static void handler(struct http_req *r, void *user)
{
    struct bytes path = http_path(r);
    struct bytes v = BYTES_EMPTY;
    char text[256];
    size_t pos = 0;
    int n;

    (void) user;
    if (bytes_eq(path, BYTES_LIT("/whole"))) {
        http_read_all(r, 1000, on_whole_body);
    } else if (bytes_eq(path, BYTES_LIT("/upload"))) {
        uploaded = 0;
        http_read_stream(r, on_part, on_parts_end);
    } else if (bytes_eq(path, BYTES_LIT("/paused"))) {
        uploaded = 0;
        http_read_stream(r, on_part_once, on_parts_end);
    } else if (bytes_eq(path, BYTES_LIT("/held"))) {
        taken[0] = '\0';
        held = NULL;
        http_read_stream(r, on_part_held, on_parts_end);
    } else if (bytes_eq(path, BYTES_LIT("/late"))) {
        held = r;
    } else if (bytes_eq(path, BYTES_LIT("/stream"))) {
        memset(&streaming, 0, sizeof streaming);
        http_begin(r, 200, NULL, 0);
        http_on_cancel(r, on_cancel);
        http_on_writable(r, 100000, stream_more);
        stream_more(r);
    } else if (bytes_eq(path, BYTES_LIT("/hang"))) {
        http_begin(r, 200, NULL, 0);
        http_on_cancel(r, on_cancel);
    } else if (bytes_eq(path, BYTES_LIT("/none"))) {
        http_respond(r, 204, NULL, 0, BYTES_EMPTY);
    } else if (bytes_eq(path, BYTES_LIT("/show"))) {
        bool has = http_query_next(http_query(r), "a", &pos, http_arena(r), &v);

        n = snprintf(text, sizeof text, "%.*s a=%s%.*s host=%.*s v=%d", (int) http_method(r).n,
                     (const char *) http_method(r).p, has ? "" : "-", (int) v.n, (const char *) v.p,
                     (int) http_host(r).n, (const char *) http_host(r).p, http_version(r));
        http_respond(r, 200, NULL, 0, bytes_of(text, (size_t) n));
    } else {
        http_error(r, 404, "404 page not found");
    }
}

static void echo(struct call *c, struct bytes m)
{
    struct net_piece p = net_piece_kept(m.p, m.n);

    call_reply(c, &p, 1);
}

static const struct net_method methods[] = {
    {.path = "/t.T/Echo", .kind = NET_UNARY, .request = echo},
};

static struct raw w;

static int setup(void **state)
{
    struct net_server_options o = {.http = handler};

    (void) state;
    net_limits_default(&o.limits);
    canceled = 0;
    raw_init(&w, methods, ARRAY_LEN(methods), &o);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    raw_done(&w);
    return 0;
}

/* Says `request`, and gives back all that comes until the server closes. */
static void talk(const char *request, struct buf *out)
{
    int fd = raw_connect(&w);

    buf_init(out, SIZE_MAX);
    raw_say(fd, request);
    raw_read(fd, out, NULL);
    close(fd);
}

static const char *at(const struct buf *b, const char *what)
{
    return strstr((const char *) b->p, what);
}

/* A simple request: status line, Date, length, body, and the parts of the request that the handler
 * saw. */
static void simple_request(void **state)
{
    struct buf b;

    (void) state;
    talk("GET /show?x=1&a=%41+b&a=2 HTTP/1.1\r\nHost: ex:1\r\nConnection: close\r\n\r\n", &b);
    assert_memory_equal(b.p, "HTTP/1.1 200 OK\r\nDate: ", 23);
    assert_non_null(at(&b, "Content-Length: 24\r\nConnection: close\r\n\r\n"));
    assert_non_null(at(&b, "\r\n\r\nGET a=A b host=ex:1 v=11"));
    buf_done(&b);
}

/* Requests sent in one packet are answered one after another, in order, on one connection. */
static void pipelining(void **state)
{
    struct buf b;
    const char *first, *second, *third;

    (void) state;
    talk("GET /show?a=1 HTTP/1.1\r\nHost: h\r\n\r\n"
         "POST /whole HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
         "GET /nope HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
         &b);
    first = at(&b, "a=1");
    second = at(&b, "\r\n\r\nabc");
    third = at(&b, "404 page not found\n");
    assert_non_null(first);
    assert_non_null(second);
    assert_non_null(third);
    assert_true(first < second);
    assert_true(second < third);
    assert_non_null(at(&b, "X-Content-Type-Options: nosniff\r\n"));
    buf_done(&b);
}

/* Requests that follow each other on one connection, one of them in single bytes. */
static void keep_alive(void **state)
{
    static const char slow[] = "POST /whole HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                               "chunked\r\n\r\n3\r\nxyz\r\n2\r\n!!\r\n0\r\n\r\n";
    int fd = raw_connect(&w);
    struct buf b;

    (void) state;
    buf_init(&b, SIZE_MAX);
    assert_true(raw_say(fd, "HEAD /show HTTP/1.1\r\nHost: h\r\n\r\n"));
    raw_read(fd, &b, "\r\n\r\n");
    assert_non_null(at(&b, "Content-Length: "));
    assert_null(at(&b, "HEAD a="));
    buf_clear(&b);
    for (size_t i = 0; slow[i] != '\0'; i++)
        assert_true(raw_send(fd, &slow[i], 1));
    raw_read(fd, &b, "xyz!!");
    buf_clear(&b);
    assert_true(raw_say(fd, "GET /none HTTP/1.1\r\nHost: h\r\n\r\n"));
    raw_read(fd, &b, "\r\n\r\n");
    assert_memory_equal(b.p, "HTTP/1.1 204 No Content\r\n", 25);
    assert_null(at(&b, "Content-Length"));
    buf_done(&b);
    close(fd);
}

/* HTTP/1.0 closes by default, keeps on request, and never gets chunks. */
static void version_10(void **state)
{
    struct buf b;

    (void) state;
    talk("GET /show HTTP/1.0\r\n\r\n", &b);
    assert_memory_equal(b.p, "HTTP/1.0 200 OK\r\n", 17);
    assert_null(at(&b, "Connection:"));
    buf_done(&b);
    talk("GET /show HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /stream HTTP/1.0\r\n\r\n", &b);
    assert_non_null(at(&b, "Connection: keep-alive\r\n"));
    assert_null(at(&b, "chunked"));
    assert_true(b.len > (size_t) STREAM_PARTS * STREAM_PART_BYTES);
    buf_done(&b);
}

/* A long streamed answer arrives in chunks and whole, and the handler never queued more than its
 * mark. */
static void streamed_answer(void **state)
{
    struct buf b;
    size_t s = 0;

    (void) state;
    talk("GET /stream HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", &b);
    assert_non_null(at(&b, "Transfer-Encoding: chunked\r\n"));
    assert_non_null(at(&b, "\r\n4e20\r\n"));
    assert_memory_equal(b.p + b.len - 5, "0\r\n\r\n", 5);
    for (size_t i = 0; i < b.len; i++)
        s += b.p[i] == 's';
    assert_true(s >= (size_t) STREAM_PARTS * STREAM_PART_BYTES);
    assert_true(streaming.writable_runs > 1);
    assert_true(streaming.queued_max < 100000 + STREAM_PART_BYTES + 100);
    buf_done(&b);
}

/* A body over the handler's limit is refused with 413 and the connection ends; one at it is taken.
 */
static void body_limit(void **state)
{
    char *request = xmem_calloc(1, 3000);
    struct buf b;
    int n;

    (void) state;
    n = snprintf(request, 3000, "POST /whole HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n");
    memset(request + n, 'a', 1001);
    talk(request, &b);
    assert_memory_equal(b.p, "HTTP/1.1 413 ", 13);
    buf_done(&b);
    n = snprintf(
        request, 3000,
        "POST /whole HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n");
    memset(request + n, 'a', 1001);
    request[n + 1000] = '\0';
    talk(request, &b);
    assert_memory_equal(b.p, "HTTP/1.1 200 ", 13);
    buf_done(&b);
    mem_free(request);
}

/* An upload that the handler takes in parts, pausing at each, arrives whole; Expect is honoured. */
static void upload(void **state)
{
    int fd = raw_connect(&w);
    uint8_t *body = xmem_calloc(1, 1000000);
    struct buf b;

    (void) state;
    buf_init(&b, SIZE_MAX);
    assert_true(raw_say(fd, "POST /upload HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                            "Connection: close\r\nContent-Length: 1000000\r\n\r\n"));
    raw_read(fd, &b, "100 Continue\r\n\r\n");
    assert_true(raw_send(fd, body, 1000000));
    raw_read(fd, &b, NULL);
    assert_non_null(at(&b, "\r\n\r\n1000000"));
    buf_done(&b);
    mem_free(body);
    close(fd);
}

/* What is no HTTP gets 400 or a closed connection; what is too large gets 431; the server lives on.
 */
static void refusals(void **state)
{
    char *big = xmem_calloc(1, 100000);
    struct buf b;
    int n;

    (void) state;
    talk("GET / HTTP/1.1\r\n\r\n", &b);
    assert_memory_equal(b.p, "HTTP/1.1 400 Bad Request: missing required Host header\r\n", 56);
    buf_done(&b);
    talk("GET / HTTP/1.1\r\nBad\x01Header: x\r\n\r\n", &b);
    assert_memory_equal(b.p, "HTTP/1.1 400 Bad Request\r\n", 26);
    buf_done(&b);
    talk("\x16\x03\x01\x02\x00\x01\x00", &b);
    assert_int_equal(b.len, 0);
    buf_done(&b);
    n = snprintf(big, 100000, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
    memset(big + n, 'x', 70000);
    talk(big, &b);
    assert_true(b.len == 0 || memcmp(b.p, "HTTP/1.1 431 ", 13) == 0);
    buf_done(&b);
    mem_free(big);
    talk("GET /show HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", &b);
    assert_non_null(at(&b, "200 OK"));
    buf_done(&b);
}

/* A handler that waits hears, once, that its client has hung up. */
static void hang_up_is_told(void **state)
{
    int fd = raw_connect(&w);
    struct buf b;

    (void) state;
    buf_init(&b, SIZE_MAX);
    assert_true(raw_say(fd, "GET /hang HTTP/1.1\r\nHost: h\r\n\r\n"));
    raw_read(fd, &b, "\r\n\r\n");
    close(fd);
    for (int i = 0; i < 20000 && canceled == 0; i++)
        usleep(1000);
    assert_int_equal(canceled, 1);
    buf_done(&b);
}

/* The same handler over HTTP/2: a plain request among gRPC streams, its body and its answer. */
static void plain_over_http2(void **state)
{
    int fd = raw_connect(&w);
    struct buf out, block;
    struct raw_got *f = xmem_alloc(sizeof *f);

    (void) state;
    buf_init(&out, SIZE_MAX);
    buf_init(&block, SIZE_MAX);
    raw_hello(&out);
    raw_literal(&block, ":method", "POST");
    raw_literal(&block, ":scheme", "http");
    raw_literal(&block, ":path", "/whole?a=b");
    raw_literal(&block, ":authority", "h2");
    raw_frame(&out, RAW_HEADERS, RAW_END_HEADERS, 1, block.p, block.len);
    raw_frame(&out, RAW_DATA, 0, 1, "hel", 3);
    raw_frame(&out, RAW_DATA, RAW_END_STREAM, 1, "lo", 2);
    assert_true(raw_send(fd, out.p, out.len));
    assert_true(raw_await(fd, RAW_HEADERS, f));
    assert_int_equal(f->flags, RAW_END_HEADERS);
    assert_true(raw_await(fd, RAW_DATA, f));
    assert_int_equal(f->flags, RAW_END_STREAM);
    assert_int_equal(f->n, 5);
    assert_memory_equal(f->payload, "hello", 5);

    buf_clear(&out);
    buf_clear(&block);
    raw_literal(&block, ":method", "GET");
    raw_literal(&block, ":scheme", "http");
    raw_literal(&block, ":path", "/stream");
    raw_literal(&block, ":authority", "h2");
    raw_frame(&out, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, 3, block.p, block.len);
    assert_true(raw_send(fd, out.p, out.len));
    assert_true(raw_await(fd, RAW_HEADERS, f));
    for (size_t n = 5; n < 65535; n += f->n) { /* the whole window of the connection */
        assert_true(raw_await(fd, RAW_DATA, f));
        assert_int_equal(f->id, 3);
    }
    buf_done(&block);
    buf_done(&out);
    mem_free(f);
    close(fd);
}

/* A handler that answers while it has paused the body pauses nobody else: the next request on the
 * connection is read. */
static void answered_while_paused(void **state)
{
    int fd = raw_connect(&w);
    struct buf b;

    (void) state;
    buf_init(&b, SIZE_MAX);
    assert_true(raw_say(fd, "POST /paused HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde"));
    raw_read(fd, &b, "\r\n\r\n5");
    buf_clear(&b);
    assert_true(raw_say(fd, "GET /show?a=next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    raw_read(fd, &b, NULL);
    assert_non_null(at(&b, "a=next"));
    buf_done(&b);
    close(fd);
}

/* ---- a connection without a socket ---- */

struct bare {
    struct loop *loop;
    struct net_server *server;
    struct server_conn *sc;
};

static void bare_init(struct bare *x)
{
    struct net_server_options o = {.http = handler, .loops = &x->loop, .loops_n = 1};
    struct err e = ERR_INIT;

    net_limits_default(&o.limits);
    assert_int_equal(loop_new("bare", &x->loop, &e), 0);
    assert_int_equal(net_server_new(&o, &x->server, &e), 0);
    x->sc = server__conn_new(&x->server->loops[0], NULL, -1, "nobody",
                             NET_SERVES_HTTP | NET_SERVES_HTTP2);
    assert_non_null(x->sc);
    loop__count(&x->server->loops[0].counters.connections_open, 1);
    list_push(&x->server->loops[0].conns, &x->sc->link);
    assert_int_equal(conn__start(&x->sc->conn, &e), 0);
}

static void bare_done(struct bare *x)
{
    conn__doom(&x->sc->conn, 0);
    loop_free(x->loop); /* which closes what is doomed */
    net_server_free(x->server);
}

static void feed(struct bare *x, const char *s)
{
    conn__feed(&x->sc->conn, (const uint8_t *) s, strlen(s));
}

/* A body that was held back goes on in its order, also when more comes between http_resume and the
 * connection's next output. */
static void resumed_in_order(void **state)
{
    struct bare x;

    (void) state;
    bare_init(&x);
    feed(&x, "POST /held HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    feed(&x, "def"); /* as the rest of what TLS had */
    assert_string_equal(taken, "abc");
    http_resume(held);
    feed(&x, "ghi");
    assert_string_equal(taken, "abcdefghi");
    bare_done(&x);
}

/* A connection that yields, and is to close when all is written, does so when its loop is freed: no
 * turn comes in which it would be its turn. */
static void closes_with_its_loop(void **state)
{
    struct bare x;

    (void) state;
    bare_init(&x);
    feed(&x, "GET /hello HTTP/1.1\r\n");
    assert_true(turn__yields(&x.sc->conn));
    conn__close_soon(&x.sc->conn);
    assert_false(list_empty(&x.loop->owing));
    loop_free(x.loop);
    assert_true(list_empty(&x.server->loops[0].conns));
    net_server_free(x.server);
}

/* A server that cuts its connections leaves a plain request to its handler, which may answer in the
 * same turn. */
static void cut_before_the_answer(void **state)
{
    struct buf out, block;
    struct bare x;

    (void) state;
    bare_init(&x);
    buf_init(&out, SIZE_MAX);
    buf_init(&block, SIZE_MAX);
    raw_hello(&out);
    raw_literal(&block, ":method", "GET");
    raw_literal(&block, ":scheme", "http");
    raw_literal(&block, ":path", "/late");
    raw_literal(&block, ":authority", "h2");
    raw_frame(&out, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, 1, block.p, block.len);
    held = NULL;
    conn__feed(&x.sc->conn, out.p, out.len);
    assert_non_null(held);
    h2_server__cut(x.sc->h2);
    http_respond(held, 200, NULL, 0, BYTES_LIT("done"));
    buf_done(&block);
    buf_done(&out);
    bare_done(&x);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(simple_request),
        T(pipelining),
        T(keep_alive),
        T(version_10),
        T(streamed_answer),
        T(body_limit),
        T(upload),
        T(refusals),
        T(hang_up_is_told),
        T(plain_over_http2),
        T(answered_while_paused),
        cmocka_unit_test(resumed_in_order),
        cmocka_unit_test(closes_with_its_loop),
        cmocka_unit_test(cut_before_the_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
