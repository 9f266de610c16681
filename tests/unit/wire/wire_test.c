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

struct odd {
    const char *bytes;
    size_t n;
    bool good;
    int64_t lease; /* what the last field of number 3 says that is a number */
};

#define ODD(s, good, lease)          \
    {                                \
        s, sizeof s - 1, good, lease \
    }

/* Put requests of key "k" as etcd 3.7.1 was seen to read them: what is known by another wire type
 * or not at all is passed over, groups and long tags are read, and what stays is written anew. */
static void odd_fields(void **state)
{
    static const struct odd odds[] = {
        ODD("\x08\x01\x0a\x01k", true, 0),             /* the key as a number, then as bytes */
        ODD("\x0a\x01k\x08\x01", true, 0),             /* the other way round */
        ODD("\x0a\x01k\x1a\x01v", true, 0),            /* lease as bytes */
        ODD("\x0a\x01k\x19\1\1\1\1\1\1\1\1", true, 0), /* as fixed64 */
        ODD("\x0a\x01k\x18\x05\x1d\1\1\1\1", true, 5), /* a number, then as fixed32 */
        ODD("\x0a\x01k\x22\x01\x01\x18\x05", true, 5), /* prev_kv as bytes */
        ODD("\x0a\x01k\xf8\x01\x05\x18\x05", true, 5), /* unknown: a number */
        ODD("\x0a\x01k\xfa\x01\x02zz\x18\x05", true, 5),
        ODD("\x0a\x01k\xfb\x01\x08\x01\xfc\x01\x18\x05", true, 5), /* a group */
        ODD("\x0a\x01k\xfb\x01\x0b\x0c\xfc\x01\x18\x05", true, 5), /* with a group in it */
        ODD("\x0a\x01k\x1b\x08\x01\x1c\x18\x05", true, 5),         /* lease as a group */
        ODD("\x0a\x01k\xf8\xff\xff\xff\x0f\x01", true, 0), /* the highest number of a field */
        ODD("\x8a\x80\x80\x80\x80\x80\x00\x01k\x18\x05", true, 5), /* a long tag */
        ODD("\x0a\x81\x80\x80\x80\x80\x80\x00k\x18\x05", true, 5), /* a long length */
        ODD("\x0a\x01k\x18\x05\x18\x07", true, 7),                 /* the last one counts */
        ODD("\x0a\x01k\x80\x80\x80\x80\x10\x01", false, 0),        /* a number too high */
        ODD("\x0a\x01k\xfb\x01\x08\x01\xf4\x01", false, 0),        /* the end of another group */
        ODD("\x0a\x01k\xfb\x01\x08\x01", false, 0),                /* no end */
        ODD("\x0a\x01k\xfc\x01", false, 0),                        /* no begin */
        ODD("\x0a\x01k\x0e", false, 0),                            /* wire type 6 */
        ODD("\x0a\x01k\x00\x01", false, 0),                        /* field number 0 */
        ODD("\x0a\x01k\xf9\x01\x00", false, 0),                    /* cut off */
        ODD("\x0a\x01k\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", false, 0), /* 65 bits */
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(odds); i++) {
        struct bytes in = bytes_of(odds[i].bytes, odds[i].n), plain;
        Etcdserverpb__PutRequest *put;
        struct arena a;
        int rc;

        arena_init(&a, 1 << 20);
        rc = WIRE_DECODE(etcdserverpb__put_request, in, &a, &put, NULL);
        assert_int_equal(rc, odds[i].good ? 0 : ERR_CORRUPT);
        if (odds[i].good) {
            assert_true(bytes_eq(wire_bytes(put->key), BYTES_LIT("k")));
            assert_int_equal(put->lease, odds[i].lease);
            assert_false(put->prev_kv);
            assert_int_equal(wire_plain(put->base.descriptor, in, 1, &a, &plain, NULL), 0);
            assert_true(plain.p == in.p || plain.n <= 5); /* the key, and a lease */
        }
        arena_done(&a);
    }
}

/* Inside a nested message, too; the lengths around it shrink with it. */
static void odd_nested(void **state)
{
    /* success: a put with a group behind its key; compare: its key as a number */
    static const char txn[] = "\x12\x0b\x12\x09\x0a\x01k\xfb\x01\xfc\x01\x18\x05\x0a\x02\x18\x01";
    Etcdserverpb__TxnRequest *got;
    struct bytes plain;
    struct arena a;

    (void) state;
    arena_init(&a, 1 << 20);
    assert_int_equal(wire_plain(&etcdserverpb__txn_request__descriptor,
                                bytes_of(txn, sizeof txn - 1), 8, &a, &plain, NULL),
                     0);
    assert_true(bytes_eq(plain, BYTES_LIT("\x12\x07\x12\x05\x0a\x01k\x18\x05\x0a\x00")));
    assert_int_equal(
        WIRE_DECODE(etcdserverpb__txn_request, bytes_of(txn, sizeof txn - 1), &a, &got, NULL), 0);
    assert_int_equal(got->n_compare, 1);
    assert_int_equal(got->success[0]->request_put->lease, 5);
    arena_done(&a);
}

/* A message of a oneof that comes again right behind itself is merged, as Go's protobuf does it;
 * one that comes behind another member begins anew. */
static void odd_oneof(void **state)
{
    /* put{key k}, put{value v}; then range{}, put{key a}, put{lease 5}, put{key b} */
    static const char merged[] = "\x12\x05\x0a\x03"
                                 "key\x12\x03\x12\x01v";
    static const char anew[] = "\x12\x03\x12\x01v\x0a\x00\x12\x03\x0a\x01"
                               "a\x12\x02\x18\x05\x12\x03\x0a\x01"
                               "b";
    Etcdserverpb__RequestOp *op;
    struct bytes plain;
    struct arena a;

    (void) state;
    arena_init(&a, 1 << 20);
    assert_int_equal(
        WIRE_DECODE(etcdserverpb__request_op, bytes_of(merged, sizeof merged - 1), &a, &op, NULL),
        0);
    assert_true(bytes_eq(wire_bytes(op->request_put->key), BYTES_LIT("key")));
    assert_true(bytes_eq(wire_bytes(op->request_put->value), BYTES_LIT("v")));
    assert_int_equal(
        WIRE_DECODE(etcdserverpb__request_op, bytes_of(anew, sizeof anew - 1), &a, &op, NULL), 0);
    assert_int_equal(op->request_case, ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT);
    assert_true(bytes_eq(wire_bytes(op->request_put->key), BYTES_LIT("b")));
    assert_int_equal(op->request_put->value.len, 0);
    assert_int_equal(op->request_put->lease, 5);
    assert_int_equal(wire_plain(&etcdserverpb__request_op__descriptor,
                                bytes_of(merged, sizeof merged - 1), 8, &a, &plain, NULL),
                     0);
    assert_true(bytes_eq(plain, BYTES_LIT("\x12\x08\x0a\x03"
                                          "key\x12\x01v")));
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
        cmocka_unit_test(round_trip),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(strings_are_utf8),
        cmocka_unit_test(memory_is_limited),
        cmocka_unit_test(odd_fields),
        cmocka_unit_test(odd_nested),
        cmocka_unit_test(odd_oneof),
        cmocka_unit_test(malformed),
        cmocka_unit_test(utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
