/* HTTP/2 by hand: streams that are opened and requests that never become whole.  They cost memory
 * for as long as their client likes, so each kind of them has a limit, of a connection's and of
 * all. */
#define _GNU_SOURCE
#include "unit/engine/net/h2_rig.h"

/* More open streams than a connection may have are refused one by one, ENHANCE_YOUR_CALM. */
static void too_many_streams(void **state)
{
    struct h2_client x;

    (void) state;
    h2.options.limits.conn_streams_max = 10;
    h2_serve();
    h2_client_open(&x);
    for (uint32_t i = 0; i < 11; i++)
        raw_request(&x.b, 2 * i + 1, "/t.T/Chat", 0);
    h2_send(&x);
    h2_await(&x, RAW_RST_STREAM);
    assert_int_equal(x.f.id, 21);
    assert_int_equal(be32_get(x.f.payload), NGHTTP2_ENHANCE_YOUR_CALM);
    h2_client_close(&x);
}

/* Sends the heads of n calls, each with the first byte of a message that claims 0x1fffff bytes. */
static void begin_messages(int fd, uint32_t n)
{
    struct buf b;

    buf_init(&b, SIZE_MAX);
    for (uint32_t i = 0; i < n; i++) {
        raw_request(&b, 2 * i + 1, "/t.T/Echo", 0);
        raw_frame(&b, RAW_DATA, 0, 2 * i + 1, "\0\0\x1f\xff\xff.", 6);
    }
    assert_true(raw_send(fd, b.p, b.len));
    buf_done(&b);
}

static void expect_refusal(int fd, uint32_t id)
{
    struct raw_got *f = xmem_alloc(sizeof *f);
    char *got;

    assert_true(raw_await(fd, RAW_HEADERS, f));
    assert_int_equal(f->id, id);
    got = h2_fields(f);
    assert_non_null(strstr(got, "grpc-status: 8\n"));
    mem_free(got);
    mem_free(f);
}

/* Messages that are begun and not finished count against a limit, whatever length they claim. */
static void unfinished_messages(void **state)
{
    int fd;

    (void) state;
    h2.options.limits.conn_held_bytes_max = 5000000;
    h2.options.limits.server_held_bytes_max = 7000000;
    h2_serve();
    fd = h2_hello();
    begin_messages(fd, 3);
    expect_refusal(fd, 5);
    close(fd);
}

/* A connection may hold more than its part as long as the others leave as much free; one that comes
 * later has its own part. */
static void unfinished_messages_in_free_room(void **state)
{
    int fd, other;

    (void) state;
    h2.options.limits.conn_held_bytes_max = 2500000;
    h2.options.limits.server_held_bytes_max = 13000000;
    h2_serve();
    fd = h2_hello();
    begin_messages(fd, 4);
    expect_refusal(fd, 7); /* the fourth of 2 MiB: 8.4 MB held would leave 4.6 */
    other = h2_hello();
    begin_messages(other, 2);
    expect_refusal(other, 3); /* 4.2 MB, where 2.5 are free */
    close(fd);
    close(other);
}

static void send_heads(int fd, uint32_t from, uint32_t n)
{
    struct buf b;

    buf_init(&b, SIZE_MAX);
    for (uint32_t i = from; i < from + n; i++)
        raw_request(&b, 2 * i + 1, "/t.T/Echo", 0);
    raw_send(fd, b.p, b.len);
    buf_done(&b);
}

/* Heads of requests and nothing behind them: beyond the limit of all connections the one that has
 * most of them is ended, and what another one has begun goes on. */
static void requests_that_do_not_end(void **state)
{
    struct raw_got *f = xmem_alloc(sizeof *f);
    struct net_counters n = {0};
    struct buf b;
    int honest, fd;

    (void) state;
    h2.options.limits.server_opening_bytes_max = (size_t) 100 * NET_OPENING_BYTES;
    h2_serve();
    honest = h2_hello();
    send_heads(honest, 0, 2);
    while (n.calls_open < 2)
        net_server_counters(h2.w.server, &n);
    fd = h2_hello();
    send_heads(fd, 0, 100);
    h2_expect_goaway(fd, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_unfinished_requests");
    buf_init(&b, SIZE_MAX);
    raw_frame(&b, RAW_DATA, RAW_END_STREAM, 3, "\0\0\0\0\0", 5);
    assert_true(raw_send(honest, b.p, b.len));
    buf_done(&b);
    assert_true(raw_await(honest, RAW_HEADERS, f));
    assert_int_equal(f->id, 3);
    close(honest);
    mem_free(f);
}

/* Requests that became whole do not count, however many there were and whatever they wait for. */
static void whole_requests_do_not_count(void **state)
{
    struct net_counters n = {0};
    struct h2_client x;

    (void) state;
    h2.options.limits.server_opening_bytes_max = (size_t) 3 * NET_OPENING_BYTES;
    h2_serve();
    h2_client_open(&x);
    for (uint32_t i = 0; i < 100; i++) {
        raw_request(&x.b, 2 * i + 1, i % 2 == 0 ? "/t.T/Hang" : "/t.T/Chat", 0);
        raw_frame(&x.b, RAW_DATA, i % 2 == 0 ? RAW_END_STREAM : 0, 2 * i + 1, "\0\0\0\0\0", 5);
    }
    h2_send(&x);
    while (n.calls_open < 100)
        net_server_counters(h2.w.server, &n);
    assert_int_equal(n.abuse_closed, 0);
    h2_client_close(&x);
}

/* The header fields of all open streams of a connection have a limit: beyond it streams are refused
 * until others end. */
static void heads_of_open_streams(void **state)
{
    struct raw_got *f = xmem_alloc(sizeof *f);
    int fd;

    (void) state;
    h2.options.limits.conn_head_bytes_max = 2000; /* of 258 bytes each, as RFC 9113 6.5.2 counts */
    h2_serve();
    fd = h2_hello();
    send_heads(fd, 0, 9);
    assert_true(raw_await(fd, RAW_RST_STREAM, f));
    assert_int_equal(f->id, 17);
    assert_int_equal(be32_get(f->payload), NGHTTP2_ENHANCE_YOUR_CALM);
    mem_free(f);
    close(fd);
}

/* A client that makes us refuse streams and does not read it is ended before the refusals pile up.
 */
static void refusals_that_nobody_reads(void **state)
{
    struct net_counters n = {0};
    int fd;

    (void) state;
    h2.options.limits.conn_streams_max = 10;
    h2_serve();
    fd = h2_hello_on(raw_connect_small(&h2.w, 16384));
    for (uint32_t i = 0; i < 2000 && n.abuse_closed == 0; i++) {
        send_heads(fd, 1000 * i, 1000);
        net_server_counters(h2.w.server, &n);
    }
    assert_int_equal(n.abuse_closed, 1);
    close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, h2_defaults, h2_still_serving)
    const struct CMUnitTest tests[] = {
        T(too_many_streams),
        T(unfinished_messages),
        T(unfinished_messages_in_free_room),
        T(requests_that_do_not_end),
        T(whole_requests_do_not_count),
        T(heads_of_open_streams),
        T(refusals_that_nobody_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
