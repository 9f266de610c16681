/* What calls make a server keep after their request is whole, HTTP/2 by hand: answers that are not
 * taken, requests that wait, large and small. */
#define _GNU_SOURCE
#include "unit/engine/net/h2_rig.h"

#define BODY_BYTES 15000

static struct call *calls_kept[256];
static _Atomic size_t calls_kept_n;

/* Lets a call wait, whatever becomes of its client. */
static void keep(struct call *c, struct bytes m)
{
    (void) m;
    assert_true(calls_kept_n < ARRAY_LEN(calls_kept));
    calls_kept[calls_kept_n++] = c;
}

static void let_go(struct call *c, struct bytes m)
{
    (void) m;
    while (calls_kept_n > 0)
        call_finish(calls_kept[--calls_kept_n], 0, NULL);
    call_finish(c, 0, NULL);
}

static const struct net_method methods[] = {
    {.path = "/t.T/Echo", .kind = NET_UNARY, .request = h2_echo},
    {.path = "/t.T/Keep", .kind = NET_UNARY, .request = keep},
    {.path = "/t.T/LetGo", .kind = NET_UNARY, .request = let_go},
};

static void serve(void)
{
    calls_kept_n = 0;
    raw_init(&h2.w, methods, ARRAY_LEN(methods), &h2.options);
}

/* A client that lets nothing of an answer out. */
static int hello_closed(void)
{
    struct buf b;
    int fd = raw_connect(&h2.w);

    buf_init(&b, SIZE_MAX);
    buf_add_str(&b, RAW_PREFACE);
    raw_frame(&b, RAW_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6); /* INITIAL_WINDOW_SIZE 0 */
    assert_true(raw_send(fd, b.p, b.len));
    buf_done(&b);
    return fd;
}

/* Whole requests of n bytes each on streams `from`, `from` + 2, ... */
static bool ask(int fd, const char *path, uint32_t from, uint32_t requests, uint32_t n)
{
    uint8_t *m = xmem_calloc(1, 5 + n);
    struct buf b;
    bool sent;

    be32_put(m + 1, n);
    buf_init(&b, SIZE_MAX);
    for (uint32_t id = from; id < from + 2 * requests; id += 2) {
        raw_request(&b, id, path, 0);
        for (uint32_t at = 0; at < 5 + n; at += 16384)
            raw_frame(&b, RAW_DATA, at + 16384 < 5 + n ? 0 : RAW_END_STREAM, id, m + at,
                      MIN(16384u, 5 + n - at));
    }
    sent = raw_send(fd, b.p, b.len);
    buf_done(&b);
    mem_free(m);
    return sent;
}

/* The first head that the server has sent on a connection. */
static uint32_t first_status(int fd, const char *status)
{
    struct raw_got *f = xmem_alloc(sizeof *f);
    uint32_t id;
    char *got;

    assert_true(raw_await(fd, RAW_HEADERS, f));
    got = h2_fields(f);
    assert_non_null(strstr(got, status));
    id = f->id;
    mem_free(got);
    mem_free(f);
    return id;
}

static void let_all_go(void)
{
    int fd = h2_hello();

    assert_true(ask(fd, "/t.T/LetGo", 1, 1, 0));
    first_status(fd, "grpc-status: 0");
    close(fd);
}

/* Answers that their client does not let out: beyond the limit of all connections the one that has
 * most of them is told so and ended.  Another one with one such answer gets it when it likes. */
static void answers_that_are_not_taken(void **state)
{
    struct raw_got *f = xmem_alloc(sizeof *f);
    int modest, fd;
    struct buf b;

    (void) state;
    h2.options.limits.server_kept_bytes_max = 2000000;
    serve();
    modest = hello_closed();
    assert_true(ask(modest, "/t.T/Echo", 1, 1, BODY_BYTES));
    assert_true(raw_await(modest, RAW_HEADERS, f));
    fd = hello_closed();
    ask(fd, "/t.T/Echo", 1, 200, BODY_BYTES);
    h2_expect_goaway(fd, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_bytes_kept");
    buf_init(&b, SIZE_MAX);
    raw_frame(&b, RAW_WINDOW_UPDATE, 0, 1, "\0\0\xff\xff", 4);
    assert_true(raw_send(modest, b.p, b.len));
    buf_done(&b);
    assert_true(raw_await(modest, RAW_DATA, f));
    assert_int_equal(f->n, 5 + BODY_BYTES);
    mem_free(f);
    close(modest);
}

/* As many answers that are taken cost their client nothing, one connection after the other. */
static void answers_that_are_taken(void **state)
{
    struct raw_got *f = xmem_alloc(sizeof *f);

    (void) state;
    h2.options.limits.server_kept_bytes_max = 200000;
    serve();
    for (int i = 0; i < 5; i++) {
        int fd = h2_hello();

        for (uint32_t k = 0; k < 4; k++) { /* the window of a connection is 65,535 bytes */
            assert_true(ask(fd, "/t.T/Echo", 2 * k + 1, 1, BODY_BYTES));
            assert_true(raw_await(fd, RAW_DATA, f));
            assert_int_equal(f->n, 5 + BODY_BYTES);
        }
        close(fd);
    }
    mem_free(f);
}

/* Whole requests that wait for their service. */
static void requests_that_wait(void **state)
{
    int fd;

    (void) state;
    h2.options.limits.server_kept_bytes_max = 2000000;
    serve();
    fd = h2_hello();
    ask(fd, "/t.T/Keep", 1, 200, BODY_BYTES);
    h2_expect_goaway(fd, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_bytes_kept");
    let_all_go();
}

/* What those who have gone made us keep counts on: nobody is ended for it, but who asks for more
 * than a little is refused until there is room. */
static void requests_of_those_who_have_gone(void **state)
{
    struct net_counters n;
    int fd;

    (void) state;
    h2.options.limits.server_kept_bytes_max = 1500000;
    serve();
    fd = h2_hello();
    ask(fd, "/t.T/Keep", 1, 60, BODY_BYTES);
    while (calls_kept_n < 60)
        usleep(100);
    close(fd);
    do
        net_server_counters(h2.w.server, &n);
    while (n.connections_open > 0);
    fd = h2_hello();
    ask(fd, "/t.T/Keep", 1, 60, BODY_BYTES);
    assert_true(first_status(fd, "grpc-status: 8") > 3);
    net_server_counters(h2.w.server, &n);
    assert_int_equal(n.abuse_closed, 0);
    close(fd);
    let_all_go();
}

/* A client that has taken note of the server's windows. */
static int hello_wide(void)
{
    struct raw_got *f = xmem_alloc(sizeof *f);
    int fd = h2_hello();
    struct buf b;

    assert_true(raw_await(fd, RAW_SETTINGS, f));
    buf_init(&b, SIZE_MAX);
    raw_frame(&b, RAW_SETTINGS, 1 /* ACK */, 0, NULL, 0);
    assert_true(raw_send(fd, b.p, b.len));
    buf_done(&b);
    mem_free(f);
    return fd;
}

/* A large request is held until its call is over, not only until it is whole. */
static void large_requests_that_wait(void **state)
{
    struct raw_got *f = xmem_alloc(sizeof *f);
    int fd;

    (void) state;
    h2.options.limits.conn_held_bytes_max = 2500000;
    h2.options.limits.server_held_bytes_max = 13000000;
    serve();
    fd = hello_wide();
    assert_true(ask(fd, "/t.T/Keep", 1, 3, 1000000));
    assert_true(ask(fd, "/t.T/Keep", 7, 4, 1000000));
    assert_int_equal(first_status(fd, "grpc-status: 8"), 13); /* 7 MB, where 6 are free */
    let_all_go();
    assert_true(ask(fd, "/t.T/Echo", 15, 1, 1000000)); /* room again */
    assert_true(raw_await(fd, RAW_DATA, f));
    assert_int_equal(f->id, 15);
    mem_free(f);
    close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, h2_defaults, h2_still_serving)
    const struct CMUnitTest tests[] = {
        T(answers_that_are_not_taken),      T(answers_that_are_taken),   T(requests_that_wait),
        T(requests_of_those_who_have_gone), T(large_requests_that_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
