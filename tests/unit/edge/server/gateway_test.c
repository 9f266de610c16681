#include "world.h"

#include "edge/server/gateway_int.h"

/* What comes in by the gateway is bytes on a socket here: cut, endless, deep, late and malformed.
 * What its answers say is compared with a real etcd's in tests/e2e/test_gateway.py. */

#define REQUEST_BYTES "65536" /* --max-request-bytes */

static char reply[8u << 20];

static int setup(void **state)
{
    static const char *const flags[] = {"--max-request-bytes=" REQUEST_BYTES, NULL};

    (void) state;
    world_open(flags);
    put("a", "b"); /* the member serves */
    return 0;
}

static int dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    to.sin_port = htons(server_client_port(world.server));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *) &to, sizeof to), 0);
    return fd;
}

/* False: the server does not take it any more. */
static bool say(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

        if (k <= 0)
            return false;
        p += k;
        n -= (size_t) k;
    }
    return true;
}

/* All that comes until the server closes, or until `stop` was in it. */
static const char *hear(int fd, const char *stop)
{
    size_t n = 0;
    ssize_t got;

    reply[0] = '\0';
    while (n < sizeof reply - 1 && (got = read(fd, reply + n, sizeof reply - 1 - n)) > 0) {
        n += (size_t) got;
        reply[n] = '\0';
        if (stop != NULL && strstr(reply, stop) != NULL)
            break;
    }
    return reply;
}

static void head(struct buf *b, const char *path, const char *fields, size_t body_n)
{
    buf_printf(b, "POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n", path, fields,
               body_n);
}

/* The answer to one request, on a connection of its own. */
static const char *post(const char *path, const char *body)
{
    struct buf b;
    int fd = dial();

    buf_init(&b, 16u << 20);
    head(&b, path, "Connection: close\r\n", strlen(body));
    buf_add_str(&b, body);
    assert_true(say(fd, (const char *) b.p, b.len));
    buf_done(&b);
    hear(fd, NULL);
    close(fd);
    return reply;
}

static void check_has(const char *answer, const char *what)
{
    if (strstr(answer, what) == NULL)
        fail_msg("%s is not in: %.2000s", what, answer);
}

/* ---- the table ---- */

static void check_fields(const ProtobufCMessageDescriptor *d, unsigned depth)
{
    assert_true(d->n_fields <= 64);
    for (unsigned i = 0; i < d->n_fields && depth > 0; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];

        assert_true(strlen(f->name) < 64);
        assert_int_not_equal(f->type, PROTOBUF_C_TYPE_DOUBLE);
        assert_int_not_equal(f->type, PROTOBUF_C_TYPE_FLOAT);
        assert_int_not_equal(f->type, PROTOBUF_C_TYPE_SINT64);
        assert_int_not_equal(f->type, PROTOBUF_C_TYPE_FIXED64);
        if (f->type == PROTOBUF_C_TYPE_MESSAGE)
            check_fields(f->descriptor, depth - 1);
    }
}

/* Every method that is served has a route, but those that have none in etcd; kinds and messages
 * fit, and messages have only the types of fields that the mapping knows. */
static void test_routes(void **state)
{
    (void) state;
    for (size_t i = 0; i < METHODS_N; i++) {
        const struct gateway_route *found = NULL;

        for (size_t k = 0; k < gateway_routes_n; k++) {
            if (strcmp(gateway_routes[k].method, methods[i].path) == 0)
                found = &gateway_routes[k];
        }
        if (strncmp(methods[i].service, "grpc.health", 11) == 0 || i == METHOD_KV_RANGE_STREAM)
            assert_null(found);
        else if (found == NULL)
            fail_msg("%s has no route", methods[i].path);
        else
            assert_int_equal(found->kind, methods[i].kind);
    }
    for (size_t k = 0; k < gateway_routes_n; k++) {
        const struct gateway_route *r = &gateway_routes[k];

        assert_ptr_equal(gateway_route_find(bytes_str(r->path)), r);
        check_fields(r->request, 6);
        check_fields(r->response, 6);
    }
    assert_int_equal(gateway_routes_n, 51);
}

/* ---- input ---- */

/* A request that comes byte by byte is the request; one that asks first is told to go on; a
 * connection serves one after the other. */
static void test_pieces(void **state)
{
    static const char body[] = "{\"key\":\"YQ==\"}  ";
    struct buf b;
    int fd = dial();

    (void) state;
    buf_init(&b, 4096);
    head(&b, "/v3/kv/range", "", strlen(body));
    buf_add_str(&b, body);
    for (size_t i = 0; i < b.len; i++)
        assert_true(say(fd, (const char *) b.p + i, 1));
    check_has(hear(fd, "\"count\":\"1\"}"), "\"value\":\"Yg==\"");
    buf_clear(&b);
    head(&b, "/v3/kv/range", "Expect: 100-continue\r\n", strlen(body));
    assert_true(say(fd, (const char *) b.p, b.len));
    check_has(hear(fd, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n");
    assert_true(say(fd, body, strlen(body)));
    check_has(hear(fd, "\"count\":\"1\"}"), "HTTP/1.1 200 OK\r\n");
    buf_done(&b);
    close(fd);
}

/* Keep-alives that come all at once are answered one after the other: the method asks to wait with
 * the next while it is busy. */
static void test_paused(void **state)
{
    struct buf b;
    size_t lines = 0;

    (void) state;
    check_has(post("/v3/lease/grant", "{\"TTL\":1000,\"ID\":7}"), "\"TTL\":\"1000\"");
    buf_init(&b, 1u << 20);
    for (int i = 0; i < 2000; i++)
        buf_add_str(&b, "{\"ID\":7}\n");
    post("/v3/lease/keepalive", buf_cstr(&b));
    for (const char *p = reply; (p = strstr(p, "\"ID\":\"7\",\"TTL\":\"1000\"}}\n")) != NULL; p++)
        lines++;
    assert_int_equal(lines, 2000);
    buf_done(&b);
}

/* What is no JSON, or none of its message, ends a stream of requests without a word, as in etcd;
 * what came before it counts. */
static void test_malformed_stream(void **state)
{
    (void) state;
    post("/v3/lease/keepalive", "{\"ID\":77} {]");
    check_has(reply, "HTTP/1.1 200 OK\r\n");
    check_has(reply, "\"ID\":\"77\"}}\n");
    assert_null(strstr(reply, "error"));
    post("/v3/lease/keepalive", "{\"ID\":\"x\"}");
    check_has(reply, "HTTP/1.1 200 OK\r\n");
    check_has(reply, "\r\n\r\n0\r\n\r\n");
}

/* ---- limits ---- */

/* `n` bytes of `c` between two texts, sent as far as the server takes them. */
static const char *post_much(const char *before, char c, size_t n, const char *after)
{
    struct buf b;
    int fd = dial();
    char *block = malloc(n);

    buf_init(&b, 4096);
    head(&b, "/v3/kv/put", "Connection: close\r\n", strlen(before) + n + strlen(after));
    buf_add_str(&b, before);
    memset(block, c, n);
    assert_true(say(fd, (const char *) b.p, b.len));
    if (say(fd, block, n))
        say(fd, after, strlen(after));
    hear(fd, NULL);
    close(fd);
    free(block);
    buf_done(&b);
    return reply;
}

/* A message that is larger than --max-request-bytes and what surrounds it is refused in gRPC's
 * words, a value that is longer than any message could be while it comes; what is merely blank
 * costs nothing. */
static void test_long(void **state)
{
    const char *a = post_much("{\"key\":\"YQ==\",\"value\":\"", 'A', 800000, "\"}");

    (void) state;
    check_has(a, "HTTP/1.1 429 Too Many Requests\r\n");
    check_has(a, "{\"code\":8,\"message\":\"grpc: received message larger than max (600007 vs. "
                 "589824)\"}");
    a = post_much("{\"key\":\"YQ==\",\"value\":\"", 'A', 40000, "\"}");
    check_has(a, "HTTP/1.1 200 OK\r\n");
    a = post_much("{\"key\":\"YQ==\",\"value\":\"", 'A', 200000, "\"}");
    check_has(a, "{\"code\":3,\"message\":\"etcdserver: request is too large\"}");
    a = post_much("{\"key\":\"", 'A', 6000000, "\"}");
    check_has(a, "{\"code\":8,\"message\":\"grpc: received message larger than max\"}");
    a = post_much("{\"key\":\"YQ==\"}", ' ', 6000000, "");
    check_has(a, "HTTP/1.1 200 OK\r\n");
}

/* Lists in one another are refused at Go's depth, messages at ours. */
static void test_deep(void **state)
{
    struct buf b;

    (void) state;
    check_has(post_much("", '[', 20000, ""),
              "{\"code\":3,\"message\":\"invalid character '[' exceeded max depth\"}");
    check_has(post_much("{\"x\":", '[', 500000, ""), "exceeded max depth");
    buf_init(&b, 1u << 20);
    for (int i = 0; i < 600; i++)
        buf_add_str(&b, "{\"success\":[{\"request_txn\":");
    buf_add_str(&b, "{}");
    for (int i = 0; i < 600; i++)
        buf_add_str(&b, "}]}");
    check_has(post("/v3/kv/txn", buf_cstr(&b)),
              "{\"code\":3,\"message\":\"proto: exceeded max recursion depth\"}");
    buf_done(&b);
}

/* A head of 100 KB is refused, in one field or in many. */
static void test_heads(void **state)
{
    char *fields = malloc(120000);
    struct buf b;

    (void) state;
    for (int many = 0; many < 2; many++) {
        int fd = dial();
        size_t n = (size_t) snprintf(fields, 120000, "Grpc-Metadata-X: ");

        while (n < 100000)
            n += (size_t) snprintf(fields + n, 120000 - n,
                                   many ? "a\r\nGrpc-Metadata-X: " : "aaaa");
        snprintf(fields + n, 120000 - n, "\r\n");
        buf_init(&b, 1u << 20);
        head(&b, "/v3/kv/range", fields, 0);
        say(fd, (const char *) b.p, b.len);
        check_has(hear(fd, NULL), "HTTP/1.1 431 Request Header Fields Too Large\r\n");
        buf_done(&b);
        close(fd);
    }
    free(fields);
}

/* ---- ends ---- */

/* Clients that go in the middle of everything leave nothing behind: the server stops at once
 * (world_teardown), and under a sanitizer nothing is lost. */
static void test_gone(void **state)
{
    static const char *const bodies[][2] = {
        {"/v3/kv/range", "{\"key\":"},
        {"/v3/watch", "{\"create_request\":{\"key\":\"YQ==\"}}{\"create_"},
        {"/v3/lease/keepalive", "{\"ID\":7}{\"ID\":7}{\"ID\":7}"},
        {"/v3/lock/lock", "{\"name\":\"bA==\"}"},
        {"/v3/election/observe", "{\"name\":\"ZQ==\"}"},
        {"/v3/maintenance/snapshot", ""},
    };
    struct buf b;

    (void) state;
    for (int i = 0; i < 20; i++) {
        for (size_t k = 0; k < ARRAY_LEN(bodies); k++) {
            int fd = dial();

            buf_init(&b, 4096);
            head(&b, bodies[k][0], "", strlen(bodies[k][1]) + (i % 2 == 0 ? 100 : 0));
            buf_add_str(&b, bodies[k][1]);
            assert_true(say(fd, (const char *) b.p, b.len));
            buf_done(&b);
            if (i % 4 >= 2)
                usleep(1000);
            close(fd);
        }
    }
    check_has(post("/v3/kv/range", "{\"key\":\"YQ==\"}"), "\"count\":\"1\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_paused), cmocka_unit_test(test_malformed_stream),
        cmocka_unit_test(test_long),   cmocka_unit_test(test_deep),
        cmocka_unit_test(test_heads),  cmocka_unit_test(test_gone),
    };

    return cmocka_run_group_tests(tests, setup, world_teardown);
}
