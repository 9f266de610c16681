/* A client that takes nothing of a large answer keeps the view behind it for a while, and no
 * longer: its stream is reset, its connection goes on. */
#include "world.h"

#include "edge/server/server_int.h"
#include "unit/engine/net/raw.h"

#define VALUE_BYTES 300000
#define PATIENCE_MS 50

static int setup(void **state)
{
    static char value[VALUE_BYTES + 1];

    (void) state;
    world_open(NULL);
    world.server->stall_ms = PATIENCE_MS;
    memset(value, 'v', VALUE_BYTES);
    assert_int_equal(put("large", value), 2);
    return 0;
}

/* A client whose windows let nothing out, and its request on stream 1. */
static int ask_closed(const char *path, const char *message, size_t n)
{
    struct raw w = {.port = server_client_port(world.server)};
    int fd = raw_connect(&w);
    uint8_t head[5] = {0};
    struct buf b, body;

    be32_put(head + 1, (uint32_t) n);
    buf_init(&body, SIZE_MAX);
    buf_add(&body, head, sizeof head);
    buf_add(&body, message, n);
    buf_init(&b, SIZE_MAX);
    buf_add_str(&b, RAW_PREFACE);
    raw_frame(&b, RAW_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6); /* INITIAL_WINDOW_SIZE 0 */
    raw_request(&b, 1, path, 0);
    raw_frame(&b, RAW_DATA, RAW_END_STREAM, 1, body.p, body.len);
    assert_true(raw_send(fd, b.p, b.len));
    buf_done(&b);
    buf_done(&body);
    return fd;
}

static void expect_reset(const char *path, const char *message, size_t n)
{
    struct raw_got *f = xmem_alloc(sizeof *f);
    int fd = ask_closed(path, message, n);
    struct buf b;

    assert_true(raw_await(fd, RAW_RST_STREAM, f));
    assert_int_equal(f->id, 1);
    assert_int_equal(be32_get(f->payload), 2 /* INTERNAL_ERROR */);
    buf_init(&b, SIZE_MAX);
    raw_frame(&b, RAW_PING, 0, 0, "12345678", 8);
    assert_true(raw_send(fd, b.p, b.len));
    buf_done(&b);
    assert_true(raw_await(fd, RAW_PING, f));
    mem_free(f);
    close(fd);
}

#define RANGE "\x0a\5large"
#define TXN "\x12\x09\x0a\7" RANGE

static void a_range(void **state)
{
    (void) state;
    expect_reset("/etcdserverpb.KV/Range", RANGE, sizeof RANGE - 1);
}

static void a_transaction_that_reads(void **state)
{
    (void) state;
    expect_reset("/etcdserverpb.KV/Txn", TXN, sizeof TXN - 1);
}

static void a_range_stream(void **state)
{
    (void) state;
    expect_reset("/etcdserverpb.KV/RangeStream", RANGE, sizeof RANGE - 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)
    const struct CMUnitTest tests[] = {T(a_range), T(a_transaction_that_reads), T(a_range_stream)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
