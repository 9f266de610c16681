#include "base/buf.h"
#include "engine/net/srv.h"
#include "lib/cm.h"

#define ARENA_BYTES ((size_t) 1 << 20)

/* The header and question of an answer to "_etcd-server._tcp.d" with `n` records. */
static void head(struct buf *b, uint8_t n)
{
    static const uint8_t question[] = {12,  '_', 'e', 't', 'c', 'd', '-', 's', 'e',
                                       'r', 'v', 'e', 'r', 4,   '_', 't', 'c', 'p',
                                       1,   'd', 0,   0,   33,  0,   1};
    const uint8_t header[] = {0x12, 0x34, 0x81, 0x80, 0, 1, 0, n, 0, 0, 0, 0};

    buf_add_bytes(b, bytes_of(header, sizeof header));
    buf_add_bytes(b, bytes_of(question, sizeof question));
}

/* A record of the question's name: `type`, then an SRV record of host m<id>.d. */
static void record(struct buf *b, uint8_t type, uint8_t priority, uint16_t port, char id)
{
    const uint8_t r[] = {0xc0,
                         12, /* the name: that of the question */
                         0,
                         type,
                         0,
                         1,
                         0,
                         0,
                         0,
                         60,
                         0,
                         11,
                         0,
                         priority,
                         0,
                         7,
                         (uint8_t) (port >> 8),
                         (uint8_t) port,
                         2,
                         'm',
                         (uint8_t) id,
                         0xc0,
                         12 + 13 + 5}; /* ".d" of the question */

    buf_add_bytes(b, bytes_of(r, sizeof r));
}

/* Records come in order of priority, those of equal priority as the server gave them; records of
 * another type are passed over. */
static void records_are_read(void **state)
{
    struct arena *a = arena_new(ARENA_BYTES);
    struct net_srv_answer ans = {.error = "x"};
    struct buf b;

    (void) state;
    buf_init(&b, 4096);
    head(&b, 4);
    record(&b, 33, 9, 2380, '1');
    record(&b, 16, 1, 1, 'x');
    record(&b, 33, 5, 2381, '2');
    record(&b, 33, 9, 65535, '3');
    net_srv_parse(buf_bytes(&b), a, &ans);
    assert_null(ans.error);
    assert_int_equal(ans.n, 3);
    assert_string_equal(ans.v[0].target, "m2.d");
    assert_int_equal(ans.v[0].port, 2381);
    assert_int_equal(ans.v[0].priority, 5);
    assert_int_equal(ans.v[0].weight, 7);
    assert_string_equal(ans.v[1].target, "m1.d");
    assert_string_equal(ans.v[2].target, "m3.d");
    assert_int_equal(ans.v[2].port, 65535);
    buf_done(&b);
    arena_free(a);
}

/* An answer without records, and one that is cut anywhere, say so in Go's words. */
static void odd_answers_are_errors(void **state)
{
    struct arena *a = arena_new(ARENA_BYTES);
    struct net_srv_answer ans;
    struct buf b;

    (void) state;
    buf_init(&b, 4096);
    head(&b, 0);
    net_srv_parse(buf_bytes(&b), a, &ans);
    assert_string_equal(ans.error, "no such host");
    buf_clear(&b);
    head(&b, 1);
    record(&b, 33, 9, 2380, '1');
    for (size_t n = 0; n < buf_bytes(&b).n; n++) {
        net_srv_parse(bytes_of(buf_bytes(&b).p, n), a, &ans);
        assert_non_null(ans.error);
        assert_int_equal(ans.n, 0);
    }
    buf_done(&b);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_read),
        cmocka_unit_test(odd_answers_are_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
