/* Heads of gRPC requests: those whose time is over, with metadata that is no base64, of clients
 * that speak no gRPC, and on streams that there can not be.  The answers are those of etcd 3.7.1.
 */
#define _GNU_SOURCE
#include "unit/engine/net/h2_rig.h"

static _Atomic int served;

static void echo(struct call *c, struct bytes m)
{
    struct net_piece p = net_piece_kept(m.p, m.n);

    served++;
    call_reply(c, &p, 1);
}

static void opened(struct call *c)
{
    served++;
    call_finish(c, 0, NULL);
}

static const struct net_method methods[] = {
    {.path = "/t.T/Echo", .kind = NET_UNARY, .request = echo},
    {.path = "/t.T/Stream", .kind = NET_BIDI, .open = opened},
};

static struct raw w;

static int setup(void **state)
{
    struct net_server_options o = {.http = NULL};

    (void) state;
    net_limits_default(&o.limits);
    served = 0;
    raw_init(&w, methods, ARRAY_LEN(methods), &o);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    raw_done(&w);
    return 0;
}

/* The head of a request with one more field. */
static void head(struct buf *out, uint32_t id, const char *path, const char *name,
                 const char *value)
{
    struct buf block;

    buf_init(&block, 4096);
    raw_request_block(&block, path);
    if (name != NULL)
        raw_literal(&block, name, value);
    raw_frame(out, RAW_HEADERS, RAW_END_HEADERS, id, block.p, block.len);
    buf_done(&block);
}

static void empty_message(struct buf *out, uint32_t id)
{
    raw_frame(out, RAW_DATA, RAW_END_STREAM, id, "\0\0\0\0", 5);
}

/* Sends `out` on a connection of its own; the first head that comes back has all of `want`. */
static void answered(struct buf *out, const char *const *want)
{
    int fd = h2_hello_on(raw_connect(&w));
    struct raw_got *f = xmem_alloc(sizeof *f);
    char *fields;

    assert_true(raw_send(fd, out->p, out->len));
    assert_true(raw_await(fd, RAW_HEADERS, f));
    fields = h2_fields(f);
    for (; *want != NULL; want++) {
        if (strstr(fields, *want) == NULL)
            fail_msg("no \"%s\" in %s", *want, fields);
    }
    mem_free(fields);
    mem_free(f);
    close(fd);
    buf_clear(out);
}

#define ANSWERED(out, ...) answered(out, (const char *const[]){__VA_ARGS__, NULL})
#define TOO_LATE ":status: 200\n", "grpc-status: 4\n", "grpc-message: context deadline exceeded\n"

/* No time at all: nothing is done, be the method known or not. */
static void no_time(void **state)
{
    static const char *const timeouts[] = {"0S", "1n"};
    struct buf out;

    (void) state;
    buf_init(&out, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(timeouts); i++) {
        head(&out, 1, "/t.T/Echo", "grpc-timeout", timeouts[i]);
        empty_message(&out, 1);
        ANSWERED(&out, TOO_LATE);
        head(&out, 1, "/t.T/Stream", "grpc-timeout", timeouts[i]);
        ANSWERED(&out, TOO_LATE);
        head(&out, 1, "/foo/Bar", "grpc-timeout", timeouts[i]);
        ANSWERED(&out, TOO_LATE);
    }
    assert_int_equal(served, 0);
    head(&out, 1, "/t.T/Echo", "grpc-timeout", "1M");
    empty_message(&out, 1);
    ANSWERED(&out, ":status: 200\n", "content-type: application/grpc\n");
    assert_int_equal(served, 1);
    buf_done(&out);
}

/* Metadata "...-bin" is base64, padded if its length is a multiple of four. */
static void binary_metadata(void **state)
{
    static const struct {
        const char *value;
        const char *quoted;
        int at;
    } bad[] = {
        {"!!!", "!!!", 0},           {"AA=", "AA=", 2},           {"A", "A", 0},
        {"AAAA!AAA", "AAAA!AAA", 4}, {"A===", "A===", 1},         {"AA=A", "AA=A", 2},
        {"AAAAA", "AAAAA", 4},       {"=AAA", "=AAA", 0},         {"AAAA=", "AAAA=", 4},
        {"AAA,AAA", "AAA,AAA", 3},   {"A\"\\!", "A\\\"\\\\!", 1},
    };
    static const char *const good[] = {"", "AAAA", "AAA=", "AA==", "AB==", "AAA", "AA", "+/+/"};
    struct buf out;
    char text[200];

    (void) state;
    buf_init(&out, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(text, sizeof text,
                 "grpc-message: malformed binary metadata \"%s\" in header \"foo-bin\": illegal "
                 "base64 data at input byte %d\n",
                 bad[i].quoted, bad[i].at);
        head(&out, 1, "/t.T/Echo", "foo-bin", bad[i].value);
        empty_message(&out, 1);
        ANSWERED(&out, ":status: 400\n", "grpc-status: 13\n", text);
    }
    assert_int_equal(served, 0);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        head(&out, 1, "/t.T/Echo", "foo-bin", good[i]);
        empty_message(&out, 1);
        ANSWERED(&out, ":status: 200\n");
    }
    assert_int_equal(served, (int) ARRAY_LEN(good));
    head(&out, 1, "/t.T/Echo", "foo-bim", "!!!");
    empty_message(&out, 1);
    ANSWERED(&out, ":status: 200\n");
    buf_done(&out);
}

/* `curl --http2-prior-knowledge -d {}` on a port that serves gRPC only: the answer is not followed
 * by a reset, at which curl would forget it. */
static void no_grpc(void **state)
{
    int fd = h2_hello_on(raw_connect(&w));
    struct raw_got *f = xmem_alloc(sizeof *f);
    struct buf out, block;
    char *fields;

    (void) state;
    buf_init(&out, SIZE_MAX);
    buf_init(&block, SIZE_MAX);
    raw_literal(&block, ":method", "POST");
    raw_literal(&block, ":scheme", "http");
    raw_literal(&block, ":path", "/v3/kv/range");
    raw_literal(&block, ":authority", "x");
    raw_literal(&block, "content-type", "application/x-www-form-urlencoded");
    raw_literal(&block, "content-length", "2");
    raw_frame(&out, RAW_HEADERS, RAW_END_HEADERS, 1, block.p, block.len);
    assert_true(raw_send(fd, out.p, out.len));
    assert_true(raw_await(fd, RAW_HEADERS, f));
    fields = h2_fields(f);
    assert_non_null(strstr(fields, ":status: 415\n"));
    assert_non_null(strstr(fields, "grpc-status: 3\n"));
    mem_free(fields);
    buf_clear(&out);
    raw_frame(&out, RAW_DATA, RAW_END_STREAM, 1, "{}", 2);
    raw_frame(&out, RAW_PING, 0, 0, "12345678", 8);
    assert_true(raw_send(fd, out.p, out.len));
    do {
        assert_true(raw_next(fd, f));
        assert_int_not_equal(f->type, RAW_RST_STREAM);
    } while (f->type != RAW_PING);
    mem_free(f);
    buf_done(&block);
    buf_done(&out);
    close(fd);
}

/* RFC 9113 8.3.1: a path begins with a slash.  What does not reaches no service, whatever checks by
 * path stand before it. */
static void paths_without_slash(void **state)
{
    static const char *const paths[] = {"t.T/Echo", "", "*"};
    struct raw_got *f = xmem_alloc(sizeof *f);
    struct buf out;

    (void) state;
    buf_init(&out, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        int fd = h2_hello_on(raw_connect(&w));

        head(&out, 1, paths[i], NULL, NULL);
        empty_message(&out, 1);
        assert_true(raw_send(fd, out.p, out.len));
        assert_true(raw_await(fd, RAW_RST_STREAM, f));
        assert_int_equal(be32_get(f->payload), NGHTTP2_PROTOCOL_ERROR);
        buf_clear(&out);
        close(fd);
    }
    assert_int_equal(served, 0);
    mem_free(f);
    buf_done(&out);
}

/* RFC 9113 5.1.1: ids only grow. */
static void ids_that_fall(void **state)
{
    struct raw_got *f = xmem_alloc(sizeof *f);
    struct buf out;

    (void) state;
    buf_init(&out, SIZE_MAX);
    for (uint32_t id = 1; id <= 3; id += 2) {
        int fd = h2_hello_on(raw_connect(&w));

        head(&out, 3, "/t.T/Echo", NULL, NULL);
        empty_message(&out, 3);
        assert_true(raw_send(fd, out.p, out.len));
        assert_true(raw_await(fd, RAW_HEADERS, f)); /* and trailers */
        assert_true(raw_await(fd, RAW_HEADERS, f));
        buf_clear(&out);
        head(&out, id, "/t.T/Echo", NULL, NULL);
        empty_message(&out, id);
        assert_true(raw_send(fd, out.p, out.len));
        assert_true(raw_await(fd, RAW_GOAWAY, f));
        assert_int_equal(be32_get(f->payload), 3);
        assert_int_equal(be32_get(f->payload + 4), NGHTTP2_PROTOCOL_ERROR);
        buf_clear(&out);
        close(fd);
    }
    assert_int_equal(served, 2);
    mem_free(f);
    buf_done(&out);
}

/* Trailers of a request that we have answered and reset meanwhile break no rule. */
static void late_trailers(void **state)
{
    int fd = h2_hello_on(raw_connect(&w));
    struct raw_got *f = xmem_alloc(sizeof *f);
    struct buf out, block;

    (void) state;
    buf_init(&out, SIZE_MAX);
    buf_init(&block, SIZE_MAX);
    head(&out, 1, "/foo/Bar", NULL, NULL);
    assert_true(raw_send(fd, out.p, out.len));
    assert_true(raw_await(fd, RAW_RST_STREAM, f));
    buf_clear(&out);
    raw_literal(&block, "a", "b");
    raw_frame(&out, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, 1, block.p, block.len);
    raw_frame(&out, RAW_PING, 0, 0, "12345678", 8);
    assert_true(raw_send(fd, out.p, out.len));
    assert_true(raw_await(fd, RAW_PING, f));
    mem_free(f);
    buf_done(&block);
    buf_done(&out);
    close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(no_time),       T(binary_metadata), T(no_grpc), T(paths_without_slash),
        T(ids_that_fall), T(late_trailers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
