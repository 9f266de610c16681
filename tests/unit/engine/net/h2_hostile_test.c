/* HTTP/2 by hand: what goes over the wire exactly, and clients that break rules or exhaust.  After
 * each of these the server still answers others (teardown asks it).  Those that begin what they do
 * not end: h2_unfinished_test. */
#define _GNU_SOURCE
#include "engine/net/gzip.h"
#include "unit/engine/net/h2_rig.h"

/* One request of its own connection, its whole answer in trailers only: compares it with `want`. */
static void refused_with(const char *path, const struct buf *block, uint8_t block_flags,
                         const char *data, size_t data_n, const char *want)
{
    struct h2_client x;

    h2_client_open(&x);
    if (block != NULL)
        raw_frame(&x.b, RAW_HEADERS, (uint8_t) (RAW_END_HEADERS | block_flags), 1, block->p,
                  block->len);
    else
        raw_request(&x.b, 1, path, block_flags);
    if (data != NULL)
        raw_frame(&x.b, RAW_DATA, RAW_END_STREAM, 1, data, data_n);
    h2_send(&x);
    h2_await(&x, RAW_HEADERS);
    assert_int_equal(x.f.flags, RAW_END_HEADERS | RAW_END_STREAM);
    h2_expect_fields(&x.f, want);
    h2_client_close(&x);
}

/* An answer is HEADERS, DATA, and trailers with an empty grpc-message, as grpc-go sends them. */
static void answer_on_the_wire(void **state)
{
    struct h2_client x;

    (void) state;
    h2_serve();
    h2_client_open(&x);
    raw_request(&x.b, 1, "/t.T/Echo", 0);
    /* The message comes a byte at a time. */
    for (int i = 0; i < 8; i++)
        raw_frame(&x.b, RAW_DATA, i == 7 ? RAW_END_STREAM : 0, 1, &"\0\0\0\0\3abc"[i], 1);
    h2_send(&x);
    h2_await(&x, RAW_HEADERS);
    assert_int_equal(x.f.flags, RAW_END_HEADERS);
    h2_expect_fields(&x.f, ":status: 200\ncontent-type: application/grpc\n");
    assert_true(raw_next(x.fd, &x.f));
    assert_int_equal(x.f.type, RAW_DATA);
    assert_int_equal(x.f.flags, 0);
    assert_int_equal(x.f.n, 8);
    assert_true(raw_next(x.fd, &x.f));
    assert_int_equal(x.f.type, RAW_HEADERS);
    assert_int_equal(x.f.flags, RAW_END_HEADERS | RAW_END_STREAM);
    h2_expect_fields(&x.f, "grpc-status: 0\ngrpc-message: \n");
    h2_client_close(&x);
}

/* One call of a client that understands gzip, with this message; the head of the answer's. */
static void ask_gzip(const char *path, const char *message, size_t n, struct raw_got *f)
{
    struct buf b, block;
    int fd = h2_hello();

    buf_init(&b, SIZE_MAX);
    buf_init(&block, SIZE_MAX);
    raw_request_block(&block, path);
    raw_literal(&block, "grpc-encoding", "gzip");
    raw_frame(&b, RAW_HEADERS, RAW_END_HEADERS, 1, block.p, (uint32_t) block.len);
    raw_frame(&b, RAW_DATA, RAW_END_STREAM, 1, message, (uint32_t) n);
    assert_true(raw_send(fd, b.p, b.len));
    assert_true(raw_await(fd, RAW_HEADERS, f));
    h2_expect_fields(f, ":status: 200\ncontent-type: application/grpc\ngrpc-encoding: gzip\n");
    assert_true(raw_await(fd, RAW_DATA, f));
    buf_done(&block);
    buf_done(&b);
    close(fd);
}

/* A client that says "grpc-encoding: gzip" may leave a message as it is and gets its answer
 * compressed; but not an empty one, nor one that is made as it leaves and is long. */
static void gzip_on_the_wire(void **state)
{
    struct raw_got *f = xmem_alloc(sizeof *f);
    char text[GZIP_TEXT_BYTES];
    struct buf out;

    (void) state;
    h2_serve();
    buf_init(&out, 101);
    ask_gzip("/t.T/Echo", "\0\0\0\0\2ok", 7, f);
    assert_true(f->n > 5);
    assert_int_equal(f->payload[0], 1);
    assert_int_equal(be32_get(f->payload + 1), f->n - 5);
    assert_int_equal(gzip_inflate(bytes_of(f->payload + 5, f->n - 5), 100, &out, text), 0);
    assert_true(bytes_eq(buf_bytes(&out), BYTES_LIT("ok")));
    ask_gzip("/t.T/Echo", "\0\0\0\0\0", 5, f);
    assert_int_equal(f->n, 5);
    assert_memory_equal(f->payload, "\0\0\0\0\0", 5);
    ask_gzip("/t.T/Big", "\0\0\0\0\0", 5, f);
    assert_int_equal(f->payload[0], 0);
    assert_int_equal(be32_get(f->payload + 1), 50u << 20);
    buf_done(&out);
    mem_free(f);
}

#define REFUSED(status, code, text)                                           \
    ":status: " status "\ncontent-type: application/grpc\ngrpc-status: " code \
    "\ngrpc-message: " text "\n"

/* Malformed messages get the codes and texts that a real etcd 3.5 gave for the same bytes. */
static void malformed_messages(void **state)
{
    (void) state;
    h2_serve();
    refused_with("/t.T/Echo", NULL, RAW_END_STREAM, NULL, 0, REFUSED("200", "2", "EOF"));
    refused_with("/t.T/Echo", NULL, 0, "\0\0\0", 3, REFUSED("200", "2", "EOF"));
    refused_with("/t.T/Echo", NULL, 0, "\0\0\0\0\5ab", 7, REFUSED("200", "2", "unexpected EOF"));
    refused_with("/t.T/Chat", NULL, 0, "\0\0\0\0\5ab", 7, REFUSED("200", "13", "unexpected EOF"));
    refused_with("/t.T/Echo", NULL, 0, "\1\0\0\0\0", 5,
                 REFUSED("200", "13", "grpc: compressed flag set with identity or empty encoding"));
    refused_with("/t.T/Echo", NULL, 0, "\7\0\0\0\0", 5,
                 REFUSED("200", "13", "grpc: received unexpected payload format 7"));
    refused_with(
        "/t.T/Echo", NULL, 0, "\0\0\x2d\xc6\xc0xyz", 8,
        REFUSED("200", "8", "grpc: received message larger than max (3000000 vs. 2097152)"));
    refused_with("/foo", NULL, 0, "\0\0\0\0\0", 5,
                 REFUSED("200", "12", "malformed method name: \"/foo\""));
}

static void block_with(struct buf *b, const char *method, const char *content_type,
                       const char *name, const char *value)
{
    buf_init(b, SIZE_MAX);
    raw_literal(b, ":method", method);
    raw_literal(b, ":scheme", "http");
    raw_literal(b, ":path", "/t.T/Echo");
    raw_literal(b, ":authority", "x");
    raw_literal(b, "content-type", content_type);
    if (name != NULL)
        raw_literal(b, name, value);
}

/* Heads that grpc-go refuses are refused with its HTTP status, code and text. */
static void malformed_heads(void **state)
{
    static const struct {
        const char *method, *type, *name, *value, *want;
    } cases[] = {
        {"POST", "text/plain", NULL, NULL,
         REFUSED("415", "3", "invalid gRPC request content-type \"text/plain\"")},
        {"GET", "application/grpc", NULL, NULL,
         REFUSED("405", "13",
                 "Received a HEADERS frame with :method \"GET\" which should be POST")},
        {"POST", "application/grpc", "grpc-timeout", "abc",
         REFUSED("400", "13",
                 "malformed grpc-timeout: transport: timeout unit is not recognized: \"abc\"")},
        {"POST", "application/grpc", "grpc-timeout", "12x4m",
         REFUSED("400", "13",
                 "malformed grpc-timeout: strconv.ParseUint: parsing \"12x4\": invalid syntax")},
        {"POST", "application/grpc", "grpc-encoding", "foo",
         REFUSED("200", "12", "grpc: Decompressor is not installed for grpc-encoding \"foo\"")},
    };

    (void) state;
    h2.options.http = NULL; /* else plain requests over HTTP/2 would have a handler */
    h2_serve();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b;

        block_with(&b, cases[i].method, cases[i].type, cases[i].name, cases[i].value);
        refused_with(NULL, &b, RAW_END_STREAM, NULL, 0, cases[i].want);
        buf_done(&b);
    }
}

/* A request refused while its body still comes is also told to stop, with NO_ERROR. */
static void refusal_stops_the_sender(void **state)
{
    struct h2_client x;

    (void) state;
    h2_serve();
    h2_client_open(&x);
    raw_request(&x.b, 1, "/t.T/Echo", 0);
    raw_frame(&x.b, RAW_DATA, 0, 1, "\0\xff\xff\xff\xff", 5);
    h2_send(&x);
    h2_await(&x, RAW_HEADERS);
    h2_await(&x, RAW_RST_STREAM);
    assert_int_equal(be32_get(x.f.payload), 0);
    h2_client_close(&x);
}

static void nothing_there(struct http_req *r, void *user)
{
    (void) user;
    http_error(r, 404, "404 page not found");
}

/* A plain request of this declared length, answered before its body has come. */
static void plain_head(struct buf *b, uint32_t id, const char *length)
{
    struct buf block;

    buf_init(&block, 4096);
    raw_literal(&block, ":method", "POST");
    raw_literal(&block, ":scheme", "http");
    raw_literal(&block, ":path", "/nothing");
    raw_literal(&block, ":authority", "x");
    raw_literal(&block, "content-length", length);
    raw_frame(b, RAW_HEADERS, RAW_END_HEADERS, id, block.p, block.len);
    buf_done(&block);
}

/* Who has a few bytes more to send may finish: the early answer is not followed by a reset, and the
 * connection goes on; a long body is stopped. */
static void short_bodies_may_finish(void **state)
{
    static const uint8_t zeros[16384];
    struct h2_client x;

    (void) state;
    h2.options.http = nothing_there;
    h2_serve();
    h2_client_open(&x);
    plain_head(&x.b, 1, "65536");
    h2_send(&x);
    h2_await(&x, RAW_HEADERS);
    for (int i = 0; i < 4; i++)
        raw_frame(&x.b, RAW_DATA, i == 3 ? RAW_END_STREAM : 0, 1, zeros, sizeof zeros);
    plain_head(&x.b, 3, "65537");
    h2_send(&x);
    do {
        assert_true(raw_next(x.fd, &x.f));
        assert_true(x.f.id != 1 || x.f.type != RAW_RST_STREAM);
    } while (x.f.type != RAW_RST_STREAM);
    assert_int_equal(x.f.id, 3);
    assert_int_equal(be32_get(x.f.payload), 0);
    h2_client_close(&x);
}

/* Pings on an idle connection: the third strike is one too many. */
static void too_many_pings(void **state)
{
    struct h2_client x;

    (void) state;
    h2_serve();
    h2_client_open(&x);
    for (int i = 0; i < 4; i++)
        raw_frame(&x.b, RAW_PING, 0, 0, "12345678", 8);
    h2_send(&x);
    h2_expect_goaway(x.fd, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
    buf_done(&x.b);
}

/* Three pings, or many with answers of the server between them, are fine. */
static void pings_between_answers(void **state)
{
    struct h2_client x;

    (void) state;
    h2_serve();
    h2_client_open(&x);
    for (uint32_t i = 0; i < 20; i++) {
        raw_request(&x.b, 2 * i + 1, "/t.T/Echo", 0);
        raw_frame(&x.b, RAW_DATA, RAW_END_STREAM, 2 * i + 1, "\0\0\0\0\0", 5);
        h2_send(&x);
        h2_await(&x, RAW_DATA);
        raw_frame(&x.b, RAW_PING, 0, 0, "12345678", 8);
        h2_send(&x);
        h2_await(&x, RAW_PING);
    }
    h2_client_close(&x);
}

/* Opening and resetting streams as fast as possible (CVE-2023-44487) ends the connection. */
static void rapid_reset(void **state)
{
    struct h2_client x;

    (void) state;
    h2_serve();
    h2_client_open(&x);
    for (uint32_t i = 0; i < 3 * NET_RESETS_PER_SECOND_MAX; i++) {
        raw_request(&x.b, 2 * i + 1, "/t.T/Hang", 0);
        raw_frame(&x.b, RAW_DATA, RAW_END_STREAM, 2 * i + 1, "\0\0\0\0\0", 5);
        raw_frame(&x.b, RAW_RST_STREAM, 0, 2 * i + 1, "\0\0\0\x8", 4);
    }
    raw_send(x.fd, x.b.p, x.b.len);
    h2_expect_goaway(x.fd, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_resets");
    buf_done(&x.b);
}

/* Sends `n` frames made by hand and expects that the connection ends. */
static void expect_cut(const struct buf *frames)
{
    struct raw_got *f = xmem_alloc(sizeof *f);
    int fd = h2_hello();

    raw_send(fd, frames->p, frames->len);
    while (raw_next(fd, f))
        ;
    mem_free(f);
    close(fd);
}

/* A header block that never ends (CVE-2024-28182) is cut. */
static void continuation_flood(void **state)
{
    struct buf b, block;

    (void) state;
    h2_serve();
    buf_init(&b, SIZE_MAX);
    buf_init(&block, SIZE_MAX);
    raw_request_block(&block, "/t.T/Echo");
    raw_frame(&b, RAW_HEADERS, 0, 1, block.p, block.len);
    for (int i = 0; i < 2000; i++)
        raw_frame(&b, RAW_CONTINUATION, 0, 1, "\0\1x\1y", 5);
    expect_cut(&b);
    buf_done(&block);
    buf_done(&b);
}

/* SETTINGS, PRIORITY and empty DATA without end are cut. */
static void idle_frames_flood(void **state)
{
    struct buf b;

    (void) state;
    h2_serve();
    buf_init(&b, SIZE_MAX);
    for (int i = 0; i < 3 * NET_IDLE_FRAMES_PER_SECOND_MAX; i++)
        raw_frame(&b, RAW_SETTINGS, 0, 0, "\0\3\0\0\0\144", 6);
    expect_cut(&b);
    buf_clear(&b);
    raw_request(&b, 1, "/t.T/Chat", 0);
    for (int i = 0; i < 3 * NET_IDLE_FRAMES_PER_SECOND_MAX; i++)
        raw_frame(&b, RAW_DATA, 0, 1, NULL, 0);
    expect_cut(&b);
    buf_clear(&b);
    for (int i = 0; i < 3 * NET_IDLE_FRAMES_PER_SECOND_MAX; i++)
        raw_frame(&b, 2, 0, 1, "\0\0\0\0\1", 5);
    expect_cut(&b);
    buf_done(&b);
}

/* Garbage behind the preface, frames on streams that do not exist, and too long ones end in GOAWAY.
 */
static void garbage(void **state)
{
    static const char junk[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    struct buf b;

    (void) state;
    h2_serve();
    buf_init(&b, SIZE_MAX);
    buf_add(&b, junk, sizeof junk);
    expect_cut(&b);
    buf_clear(&b);
    raw_frame(&b, RAW_DATA, 0, 5, "x", 1);
    expect_cut(&b);
    buf_clear(&b);
    raw_frame(&b, RAW_HEADERS, RAW_END_HEADERS, 1, "\xff\xff\xff\xff\xff", 5);
    expect_cut(&b);
    buf_done(&b);
}

/* A header list over the limit costs its sender the stream, not the connection. */
static void large_headers(void **state)
{
    struct buf block;
    struct h2_client x;

    (void) state;
    h2.options.limits.header_bytes_max = 2000;
    h2_serve();
    h2_client_open(&x);
    buf_init(&block, SIZE_MAX);
    raw_request_block(&block, "/t.T/Echo");
    for (int i = 0; i < 30; i++)
        raw_literal(&block, "x-filler", "0123456789012345678901234567890123456789012345678901234");
    raw_frame(&x.b, RAW_HEADERS, RAW_END_HEADERS, 1, block.p, block.len);
    raw_request(&x.b, 3, "/t.T/Echo", 0);
    raw_frame(&x.b, RAW_DATA, RAW_END_STREAM, 3, "\0\0\0\0\0", 5);
    h2_send(&x);
    h2_await(&x, RAW_RST_STREAM);
    assert_int_equal(x.f.id, 1);
    h2_await(&x, RAW_DATA);
    assert_int_equal(x.f.id, 3);
    buf_done(&block);
    h2_client_close(&x);
}

/* A client that asks for a lot and never reads holds a bounded part of it in the server. */
static void never_reads(void **state)
{
    struct net_counters n;
    struct h2_client x;

    (void) state;
    h2_serve();
    h2_client_open(&x);
    raw_frame(&x.b, RAW_SETTINGS, 0, 0, "\0\4\x7f\xff\xff\xff", 6);
    raw_frame(&x.b, RAW_WINDOW_UPDATE, 0, 0, "\x7f\xff\0\0", 4);
    for (uint32_t i = 0; i < 20; i++) {
        raw_request(&x.b, 2 * i + 1, "/t.T/Big", 0);
        raw_frame(&x.b, RAW_DATA, RAW_END_STREAM, 2 * i + 1, "\0\0\0\0\0", 5);
    }
    h2_send(&x);
    for (int i = 0; i < 20000 && (i == 0 || n.calls_open < 20); i++) {
        usleep(1000);
        net_server_counters(h2.w.server, &n);
    }
    assert_int_equal(n.calls_open, 20);
    usleep(200000);
    net_server_counters(h2.w.server, &n);
    assert_int_equal(n.calls_open, 20);
    assert_true(n.bytes_out < 20u << 20); /* socket buffers, not the gigabyte that was asked for */
    h2_client_close(&x);
}

/* A connection that says nothing is closed after the time for a first request. */
static void silent_connection(void **state)
{
    struct buf b;
    int fd;

    (void) state;
    h2.options.limits.first_request_ms = 50;
    h2_serve();
    fd = raw_connect(&h2.w);
    buf_init(&b, SIZE_MAX);
    raw_say(fd, "PRI * HT"); /* unless the time is over already */
    raw_read(fd, &b, NULL);
    assert_int_equal(b.len, 0);
    buf_done(&b);
    close(fd);
}

/* The server pings a silent connection, and closes it when no answer comes. */
static void keepalive_of_the_server(void **state)
{
    struct h2_client x;

    (void) state;
    h2.options.limits.keepalive_interval_ms = 50;
    h2.options.limits.keepalive_timeout_ms = 1000; /* of which a busy machine may take some */
    h2_serve();
    h2_client_open(&x);
    for (int i = 0; i < 3; i++) {
        h2_await(&x, RAW_PING);
        raw_frame(&x.b, RAW_PING, 1, 0, x.f.payload, 8);
        h2_send(&x);
    }
    h2_await(&x, RAW_PING);
    assert_false(raw_await(x.fd, RAW_PING, &x.f));
    h2_client_close(&x);
}

/* Connections beyond the limit are closed at once; when one has gone there is room again. */
static void connections_limit(void **state)
{
    struct net_counters n;
    struct raw_got *f = xmem_alloc(sizeof *f);
    int a, b, c;

    (void) state;
    h2.options.limits.connections_max = 2;
    h2_serve();
    a = h2_hello();
    b = h2_hello();
    assert_true(raw_await(a, RAW_SETTINGS, f));
    assert_true(raw_await(b, RAW_SETTINGS, f));
    c = raw_connect(&h2.w);
    raw_say(c, RAW_PREFACE);
    assert_false(raw_next(c, f));
    close(c);
    net_server_counters(h2.w.server, &n);
    assert_int_equal(n.connections_refused, 1);
    close(a);
    close(b);
    do
        net_server_counters(h2.w.server, &n);
    while (n.connections_open > 0);
    mem_free(f);
}

/* Where the idle ones yield, who comes has the place of the one that has been idle for longest,
 * never of one with a request. */
static void idle_ones_yield(void **state)
{
    static struct net_share share;
    struct raw_got *f = xmem_alloc(sizeof *f);
    int a, b, c;

    (void) state;
    share.max = 2;
    atomic_store(&share.open, 0);
    h2.options.share = &share;
    h2.options.idle_yield = true;
    h2_serve();
    a = h2_hello();
    assert_true(raw_await(a, RAW_SETTINGS, f));
    b = h2_hello();
    assert_true(raw_await(b, RAW_SETTINGS, f));
    c = h2_hello();
    assert_true(raw_await(c, RAW_SETTINGS, f));
    while (raw_next(a, f))
        ;
    close(a);
    close(b);
    close(c);
    mem_free(f);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, h2_defaults, h2_still_serving)
    const struct CMUnitTest tests[] = {
        T(answer_on_the_wire),
        T(gzip_on_the_wire),
        T(malformed_messages),
        T(malformed_heads),
        T(refusal_stops_the_sender),
        T(short_bodies_may_finish),
        T(too_many_pings),
        T(pings_between_answers),
        T(rapid_reset),
        T(continuation_flood),
        T(idle_frames_flood),
        T(garbage),
        T(large_headers),
        T(never_reads),
        T(silent_connection),
        T(keepalive_of_the_server),
        T(connections_limit),
        T(idle_ones_yield),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
