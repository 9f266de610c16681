#include "wire/wire.h"

#include "lib/cm.h"
#include "raft.pb-c.h"
#include "rpc.pb-c.h"
#include "wire/pb.h"

/* A message that is encoded and decoded again says the same; its strings and bytes are the arena's.
 */
static void round_trip(void **state)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT, *got;
    struct arena a;
    struct buf b;

    (void) state;
    arena_init(&a, 1 << 20);
    buf_init(&b, 1 << 20);
    put.key = wire_binary(BYTES_LIT("k"));
    put.value = wire_binary(BYTES_LIT("v1"));
    put.lease = -7;
    assert_true(wire_encode(&put.base, &b));
    assert_int_equal(b.len, wire_size(&put.base));
    assert_int_equal(WIRE_DECODE(etcdserverpb__put_request, buf_bytes(&b), &a, &got, NULL), 0);
    assert_true(bytes_eq(wire_bytes(got->key), BYTES_LIT("k")));
    assert_true(bytes_eq(wire_bytes(got->value), BYTES_LIT("v1")));
    assert_int_equal(got->lease, -7);
    buf_done(&b);
    arena_done(&a);
}

/* Raft messages nest in their field 14; `depth` of them. */
static void nest(struct buf *b, unsigned depth)
{
    for (unsigned i = 1; i < depth; i++) {
        uint8_t head[16];
        size_t n = (size_t) (pb_put_head(head, 14, b->len) - head);
        struct bytes inside = bytes_of(b->p, b->len);
        struct buf more;

        buf_init(&more, 1 << 20);
        assert_true(buf_add(&more, head, n) && buf_add_bytes(&more, inside));
        buf_done(b);
        *b = more;
    }
}

/* Messages nested WIRE_DEPTH_MAX deep are read, one level more is refused, and so is a depth that
 * would exhaust the stack. */
static void depth_is_limited(void **state)
{
    static const unsigned depths[] = {1, 10, WIRE_DEPTH_MAX, WIRE_DEPTH_MAX + 1, 20000};
    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
        struct err e = ERR_INIT;
        ProtobufCMessage *m;
        struct arena a;
        struct buf b;
        int rc;

        arena_init(&a, 16 << 20);
        buf_init(&b, 1 << 20);
        nest(&b, depths[i]);
        rc = wire_decode(&raftpb__message__descriptor, buf_bytes(&b), &a, &m, &e);
        assert_int_equal(rc, depths[i] <= WIRE_DEPTH_MAX ? 0 : ERR_LIMIT);
        buf_done(&b);
        arena_done(&a);
    }
}

/* A string field must be UTF-8, a bytes field need not be. */
static void strings_are_utf8(void **state)
{
    static const uint8_t name[] = {0x0a, 2, 0xc0, 0x80}; /* AuthUserAddRequest.name */
    static const uint8_t key[] = {0x0a, 2, 0xc0, 0x80};  /* PutRequest.key */
    Etcdserverpb__AuthUserAddRequest *user;
    Etcdserverpb__PutRequest *put;
    struct err e = ERR_INIT;
    struct arena a;

    (void) state;
    arena_init(&a, 1 << 20);
    assert_int_equal(WIRE_DECODE(etcdserverpb__auth_user_add_request, bytes_of(name, sizeof name),
                                 &a, &user, &e),
                     ERR_CORRUPT);
    assert_non_null(strstr(e.msg, "UTF-8"));
    assert_int_equal(
        WIRE_DECODE(etcdserverpb__put_request, bytes_of(key, sizeof key), &a, &put, &e), 0);
    arena_done(&a);
}

/* What needs more memory than the arena may have is refused as a limit, not as damage. */
static void memory_is_limited(void **state)
{
    struct err e = ERR_INIT;
    ProtobufCMessage *m;
    struct arena a;
    struct buf b;

    (void) state;
    arena_init(&a, 65536);
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 20000; i++) /* empty entries: 2 bytes here, dozens in memory */
        assert_true(buf_add(&b, "\x3a\x00", 2));
    assert_int_equal(wire_decode(&raftpb__message__descriptor, buf_bytes(&b), &a, &m, &e),
                     ERR_LIMIT);
    assert_true(a.used_bytes <= 65536);
    buf_done(&b);
    arena_done(&a);
}

/* Bytes that are no message are refused as malformed, cut anywhere. */
static void malformed(void **state)
{
    static const uint8_t bad[] = {0x0a, 0x05, 'a'};
    struct err e = ERR_INIT;
    ProtobufCMessage *m;
    struct arena a;

    (void) state;
    arena_init(&a, 65536);
    assert_int_equal(
        wire_decode(&etcdserverpb__put_request__descriptor, bytes_of(bad, sizeof bad), &a, &m, &e),
        ERR_CORRUPT);
    assert_int_equal(
        wire_decode(&etcdserverpb__put_request__descriptor, bytes_of(bad, 1), &a, &m, &e),
        ERR_CORRUPT);
    arena_done(&a);
}

/* utf8_valid takes exactly the well-formed sequences of the Unicode standard, table 3-7: tried for
 * every code point and for the well-known bad ones. */
static void utf8(void **state)
{
    static const char *const bad[] = {"\x80",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80",
                                      "a\xff",
                                      "\xe2\x82"};

    (void) state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        uint8_t b[4];
        size_t n = 0;

        if (c < 0x80) {
            b[n++] = (uint8_t) c;
        } else if (c < 0x800) {
            b[n++] = (uint8_t) (0xc0 | c >> 6);
        } else if (c < 0x10000) {
            b[n++] = (uint8_t) (0xe0 | c >> 12);
            b[n++] = (uint8_t) (0x80 | (c >> 6 & 0x3f));
        } else {
            b[n++] = (uint8_t) (0xf0 | c >> 18);
            b[n++] = (uint8_t) (0x80 | (c >> 12 & 0x3f));
            b[n++] = (uint8_t) (0x80 | (c >> 6 & 0x3f));
        }
        if (c >= 0x80)
            b[n++] = (uint8_t) (0x80 | (c & 0x3f));
        assert_int_equal(utf8_valid(bytes_of(b, n)), c < 0xd800 || c > 0xdfff);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(utf8_valid(bytes_str(bad[i])));
    assert_true(utf8_valid(BYTES_EMPTY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),       cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(strings_are_utf8), cmocka_unit_test(memory_is_limited),
        cmocka_unit_test(malformed),        cmocka_unit_test(utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
