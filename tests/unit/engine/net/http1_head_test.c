/* Heads of HTTP/1 requests that a parser lets pass and Go's server does not, or the other way
 * round: the answers are those of etcd 3.7.1. */
#define _GNU_SOURCE
#include "unit/engine/net/raw.h"

static _Atomic int handled;
static _Atomic int gone;

static void on_whole_body(struct http_req *r, struct bytes body, bool too_large)
{
    (void) too_large;
    http_respond(r, 200, NULL, 0, body);
}

static void on_part(struct http_req *r, struct bytes part)
{
    (void) r;
    (void) part;
}

static void on_gone(struct http_req *r)
{
    gone++;
    http_abort(r);
}

static void handler(struct http_req *r, void *user)
{
    struct bytes m = http_method(r), p = http_path(r), h = http_host(r);
    char text[256];
    int n;

    (void) user;
    handled++;
    if (bytes_eq(p, BYTES_LIT("/whole"))) {
        http_read_all(r, 1000, on_whole_body);
    } else if (bytes_eq(p, BYTES_LIT("/began"))) {
        http_begin(r, 200, NULL, 0);
        http_on_cancel(r, on_gone);
    } else if (bytes_eq(p, BYTES_LIT("/parts"))) {
        http_on_cancel(r, on_gone);
        http_read_stream(r, on_part, on_gone);
    } else {
        n = snprintf(text, sizeof text, "<%.*s %.*s at %.*s>", (int) m.n, (const char *) m.p,
                     (int) p.n, (const char *) p.p, (int) h.n, (const char *) h.p);
        http_respond(r, 200, NULL, 0, bytes_of(text, (size_t) n));
    }
}

static struct raw w;

static int setup(void **state)
{
    struct net_server_options o = {.http = handler};

    (void) state;
    net_limits_default(&o.limits);
    handled = gone = 0;
    raw_init(&w, NULL, 0, &o);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    raw_done(&w);
    return 0;
}

/* Says `request`; what comes until the server closes begins with `head` and has `part` in it.  How
 * often the handler was called. */
static int says(const char *request, const char *head, const char *part)
{
    int fd = raw_connect(&w), before = handled;
    struct buf b;

    buf_init(&b, SIZE_MAX);
    raw_say(fd, request);
    raw_read(fd, &b, NULL);
    close(fd);
    if (b.len < strlen(head) || memcmp(b.p, head, strlen(head)) != 0 ||
        strstr((const char *) b.p, part) == NULL)
        fail_msg("to %s came %s", request, (const char *) b.p);
    buf_done(&b);
    return handled - before;
}

#define GET(fields) "GET /x HTTP/1.1\r\n" fields "Connection: close\r\n\r\n"

/* No name of a field has a blank in it or behind it: who skips it and who does not would see two
 * requests (RFC 9112 5.1). */
static void names_of_fields(void **state)
{
    static const char refused[] = "HTTP/1.1 400 Bad Request: invalid header name\r\n";

    (void) state;
    assert_int_equal(says(GET("Host: a\r\nfoo : x\r\n"), refused, "\r\n\r\n400 Bad Request: inv"),
                     0);
    assert_int_equal(says(GET("Host: a\r\nfoo bar: x\r\n"), refused, ""), 0);
    assert_int_equal(
        says("POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\n{}", refused, ""), 0);
    assert_int_equal(says("POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n"
                          "0\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
                          refused, ""),
                     0);
    assert_int_equal(says(GET("Host: a\r\nf@o: x\r\n"), "HTTP/1.1 400 ", ""), 0);
    assert_int_equal(says(GET("Host: a\r\n: x\r\n"), "HTTP/1.1 400 ", ""), 0);
    assert_int_equal(says(GET("Host: a\r\nf!#$%&'*+-.^_`|~9: x\r\n"), "HTTP/1.1 200 ", ""), 1);
}

static void hosts(void **state)
{
    static const char malformed[] = "HTTP/1.1 400 Bad Request: malformed Host header\r\n";

    (void) state;
    assert_int_equal(says(GET("Host: a b\r\n"), malformed, ""), 0);
    assert_int_equal(says(GET("Host: a/b\r\n"), malformed, ""), 0);
    assert_int_equal(says("GET /x HTTP/1.0\r\nHost: a/b\r\n\r\n", malformed, ""), 0);
    assert_int_equal(says(GET("Host: a\r\nHost: a\r\n"), "HTTP/1.1 400 Bad Request\r\n", ""), 0);
    assert_int_equal(
        says(GET(""), "HTTP/1.1 400 Bad Request: missing required Host header\r\n", ""), 0);
    assert_int_equal(says(GET("Host:\r\n"), "HTTP/1.1 200 ", "<GET /x at >"), 1);
    assert_int_equal(says(GET("Host: [::1]:2379  \r\n"), "HTTP/1.1 200 ", "at [::1]:2379>"), 1);
    assert_int_equal(says("GET /x HTTP/1.0\r\n\r\n", "HTTP/1.0 200 ", "<GET /x at >"), 1);
}

#define TARGET(t) "GET " t " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

/* RFC 9112 3.2.2: as a proxy is asked; the host of the target is the request's. */
static void absolute_targets(void **state)
{
    (void) state;
    assert_int_equal(says(TARGET("http://foo/x"), "HTTP/1.1 200 ", "<GET /x at foo>"), 1);
    assert_int_equal(says(TARGET("http://foo:1/%78?a"), "HTTP/1.1 200 ", "<GET /x at foo:1>"), 1);
    assert_int_equal(says(TARGET("http://u@foo/x"), "HTTP/1.1 200 ", "<GET /x at foo>"), 1);
    assert_int_equal(says(TARGET("http://foo?q"), "HTTP/1.1 200 ", "<GET  at foo>"), 1);
    assert_int_equal(says(TARGET("http://f%zz/x"), "HTTP/1.1 400 ", ""), 0);
    assert_int_equal(says(TARGET("/http://foo/x"), "HTTP/1.1 200 ", "<GET /http://foo/x at a>"), 1);
    assert_int_equal(
        says("GET http://foo/x HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request: missing", ""), 0);
}

/* Decoded once, and only to what needs no escape: no slash, no dots, no zero byte and no other
 * escape comes out of one. */
static void escaped_paths(void **state)
{
    (void) state;
    assert_int_equal(says(TARGET("/%68ea%4cth%5F%2d?%41"), "HTTP/1.1 200 ", "<GET /heaLth_- at"),
                     1);
    assert_int_equal(says(TARGET("/a%2fb%2Fc"), "HTTP/1.1 200 ", "<GET /a%2fb%2Fc at"), 1);
    assert_int_equal(says(TARGET("/%00%0a%20"), "HTTP/1.1 200 ", "<GET /%00%0a%20 at"), 1);
    assert_int_equal(says(TARGET("/%2568%2e%2E"), "HTTP/1.1 200 ", "<GET /%2568%2e%2E at"), 1);
    assert_int_equal(says(TARGET("/a?%zz"), "HTTP/1.1 200 ", "<GET /a at"), 1);
    assert_int_equal(says(TARGET("/%zz"), "HTTP/1.1 400 Bad Request\r\n", ""), 0);
    assert_int_equal(says(TARGET("/%6"), "HTTP/1.1 400 ", ""), 0);
    assert_int_equal(says(TARGET("/%"), "HTTP/1.1 400 ", ""), 0);
}

/* Which methods there are is for handlers to say. */
static void methods(void **state)
{
    char request[200];

    (void) state;
    assert_int_equal(says("FOO /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                          "HTTP/1.1 200 ", "<FOO /x at a>"),
                     1);
    assert_int_equal(says("get /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                          "HTTP/1.1 200 ", "<get /x at a>"),
                     1);
    assert_int_equal(says("G@T /x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", ""),
                     0);
    assert_int_equal(says("GET\r\n /x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 ", ""), 0);
    memset(request, 'X', 65);
    snprintf(request + 65, sizeof request - 65, " /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(says(request, "HTTP/1.1 400 ", ""), 0);
    /* One after another on one connection, a body in between. */
    assert_int_equal(says("FOO /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                          "\r\nGET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                          "HTTP/1.1 200 ", "<GET /x at a>"),
                     2);
}

/* A method that comes in single bytes. */
static void slow_method(void **state)
{
    static const char request[] = "FOO /x HTTP/1.1\r\nHost: a\r\n\r\n";
    int fd = raw_connect(&w);
    struct buf b;

    (void) state;
    buf_init(&b, SIZE_MAX);
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; request[i] != '\0'; i++)
            assert_true(raw_send(fd, &request[i], 1));
        raw_read(fd, &b, "<FOO /x at a>");
        buf_clear(&b);
    }
    buf_done(&b);
    close(fd);
}

#define POST(path, fields) \
    "POST " path " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" fields "\r\n"

/* Where a body ends must be told in the one way that everybody understands. */
static void transfer_encodings(void **state)
{
    static const char refused[] = "HTTP/1.1 501 Not Implemented\r\n";
    static const char text[] = "\r\n\r\nUnsupported transfer encoding";

    (void) state;
    assert_int_equal(says(POST("/whole", "Transfer-Encoding: gzip\r\n") "{}", refused, text), 0);
    assert_int_equal(
        says(POST("/whole", "Transfer-Encoding: gzip, chunked\r\n") "0\r\n\r\n", refused, text), 0);
    assert_int_equal(
        says(POST("/whole", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
             refused, text),
        0);
    assert_int_equal(says(POST("/whole", "Transfer-Encoding: Chunked \r\n") "2\r\nok\r\n0\r\n\r\n",
                          "HTTP/1.1 200 ", "ok"),
                     1);
}

/* Chunks that are none: an answer if none has begun, and the handler hears that nothing more comes.
 */
static void bad_chunks(void **state)
{
    (void) state;
    says(POST("/whole", "Transfer-Encoding: chunked\r\n") "zz\r\n{}\r\n0\r\n\r\n",
         "HTTP/1.1 400 Bad Request\r\n", "");
    says(POST("/parts", "Transfer-Encoding: chunked\r\n") "1\r\n{\r\nzz\r\n}\r\n",
         "HTTP/1.1 400 Bad Request\r\n", "");
    assert_int_equal(gone, 1);
    says(POST("/began", "Transfer-Encoding: chunked\r\n") "1\r\n{\r\nzz\r\n}\r\n", "", "");
    assert_int_equal(gone, 2);
}

static void expectations(void **state)
{
    (void) state;
    assert_int_equal(says(POST("/whole", "Expect: foo\r\nContent-Length: 2\r\n") "{}",
                          "HTTP/1.1 417 Expectation Failed\r\n", "Connection: close\r\n"),
                     0);
    assert_int_equal(says(POST("/whole", "Expect: 100-Continue\r\nContent-Length: 2\r\n") "ok",
                          "HTTP/1.1 100 Continue\r\n", "\r\n\r\nok"),
                     1);
}

/* 431 for a head that is too large, however it comes. */
static void large_heads(void **state)
{
    static const char *const begin[] = {"GET /x HTTP/1.1\r\nHost: a\r\nX: ", "GET /",
                                        "GET /x HTTP/1.1\r\nHost: a\r\nX"};
    size_t n = 1100000;
    char *request = xmem_alloc(n + 1);

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(begin); i++) {
        memset(request, 'y', n);
        request[n] = '\0';
        memcpy(request, begin[i], strlen(begin[i]));
        assert_int_equal(says(request, "HTTP/1.1 431 Request Header Fields Too Large\r\n", ""), 0);
    }
    mem_free(request);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(names_of_fields), T(hosts),       T(absolute_targets),   T(escaped_paths),
        T(methods),         T(slow_method), T(transfer_encodings), T(bad_chunks),
        T(expectations),    T(large_heads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
