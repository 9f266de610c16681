#include "edge/server/decode.h"

#include <setjmp.h>

#include <cmocka.h>

#include "sys/random.h"
#include "wire/wire.h"

#define ROUNDS 2000

static uint8_t key_bytes[64];

/* Zero, small, large and negative numbers, each often. */
static int64_t some_int(struct random *r)
{
    switch (random_below(r, 4)) {
    case 0:
        return 0;
    case 1:
        return (int64_t) random_below(r, 100);
    case 2:
        return -(int64_t) random_below(r, 100);
    default:
        return (int64_t) random_u64(r);
    }
}

static ProtobufCBinaryData some_bytes(struct random *r)
{
    return (ProtobufCBinaryData){random_below(r, sizeof key_bytes), key_bytes};
}

static struct bytes pack(const ProtobufCMessage *m, struct buf *b)
{
    buf_clear(b);
    assert_true(wire_encode(m, b));
    return buf_bytes(b);
}

static void check_same_bytes(ProtobufCBinaryData a, ProtobufCBinaryData b)
{
    assert_true(bytes_eq(wire_bytes(a), wire_bytes(b)));
}

/* Random put requests, encoded by the library, are read the same by hand. */
static void test_put(void **state)
{
    struct random_seeded seed;
    struct random *r = random_seeded_init(&seed, 1);
    struct buf b;

    (void) state;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < ROUNDS; i++) {
        Etcdserverpb__PutRequest m = ETCDSERVERPB__PUT_REQUEST__INIT, got;

        m.key = some_bytes(r);
        m.value = some_bytes(r);
        m.lease = some_int(r);
        m.prev_kv = random_below(r, 2);
        m.ignore_value = random_below(r, 2);
        m.ignore_lease = random_below(r, 2);
        assert_true(decode_put(pack(&m.base, &b), &got));
        check_same_bytes(m.key, got.key);
        check_same_bytes(m.value, got.value);
        assert_int_equal(m.lease, got.lease);
        assert_int_equal(m.prev_kv, got.prev_kv);
        assert_int_equal(m.ignore_value, got.ignore_value);
        assert_int_equal(m.ignore_lease, got.ignore_lease);
    }
    buf_done(&b);
}

/* Random range requests, encoded by the library, are read the same by hand. */
static void test_range(void **state)
{
    struct random_seeded seed;
    struct random *r = random_seeded_init(&seed, 2);
    struct buf b;

    (void) state;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < ROUNDS; i++) {
        Etcdserverpb__RangeRequest m = ETCDSERVERPB__RANGE_REQUEST__INIT, got;

        m.key = some_bytes(r);
        m.range_end = some_bytes(r);
        m.limit = some_int(r);
        m.revision = some_int(r);
        m.sort_order = (Etcdserverpb__RangeRequest__SortOrder) random_below(r, 5);
        m.sort_target = (Etcdserverpb__RangeRequest__SortTarget) random_below(r, 7);
        m.serializable = random_below(r, 2);
        m.keys_only = random_below(r, 2);
        m.count_only = random_below(r, 2);
        m.min_mod_revision = some_int(r);
        m.max_mod_revision = some_int(r);
        m.min_create_revision = some_int(r);
        m.max_create_revision = some_int(r);
        assert_true(decode_range(pack(&m.base, &b), &got));
        check_same_bytes(m.key, got.key);
        check_same_bytes(m.range_end, got.range_end);
        assert_int_equal(m.limit, got.limit);
        assert_int_equal(m.revision, got.revision);
        assert_int_equal(m.sort_order, got.sort_order);
        assert_int_equal(m.sort_target, got.sort_target);
        assert_int_equal(m.serializable, got.serializable);
        assert_int_equal(m.keys_only, got.keys_only);
        assert_int_equal(m.count_only, got.count_only);
        assert_int_equal(m.min_mod_revision, got.min_mod_revision);
        assert_int_equal(m.max_mod_revision, got.max_mod_revision);
        assert_int_equal(m.min_create_revision, got.min_create_revision);
        assert_int_equal(m.max_create_revision, got.max_create_revision);
    }
    buf_done(&b);
}

/* Unknown fields, other wire types and torn messages are left to the generated decoder. */
static void test_unusual(void **state)
{
    static const struct bytes unusual[] = {
        {(const uint8_t *) "\x3a\x01x", 3},            /* field 7 */
        {(const uint8_t *) "\x08\x01", 2},             /* key as a number */
        {(const uint8_t *) "\x1a\x01x", 3},            /* lease as bytes */
        {(const uint8_t *) "\x0a\x05x", 3},            /* torn */
        {(const uint8_t *) "\x18", 1},                 /* a tag and no value */
        {(const uint8_t *) "\x1d\x01\x02\x03\x04", 5}, /* lease as fixed32 */
        {(const uint8_t *) "\x82\x08\x00", 3},         /* field 128 */
    };
    Etcdserverpb__PutRequest put;
    Etcdserverpb__RangeRequest range;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(unusual); i++)
        assert_false(decode_put(unusual[i], &put));
    assert_false(decode_range(unusual[1], &range));
    assert_false(decode_range(unusual[3], &range));
    assert_false(decode_range(unusual[6], &range));
    assert_true(decode_put(BYTES_EMPTY, &put));
    assert_int_equal(put.key.len, 0);
}

/* A tag or a length in more bytes than it needs is left to the general decoder too, which makes
 * plain bytes of it: the generated code could not apply a log with such an entry. */
static void test_overlong(void **state)
{
    static const struct bytes overlong[] = {
        {(const uint8_t *) "\x8a\x80\x80\x80\x80\x00\x01x", 8}, /* the tag of the key */
        {(const uint8_t *) "\x0a\x81\x80\x80\x80\x80\x00x", 8}, /* its length */
    };
    Etcdserverpb__PutRequest put, *slow;
    Etcdserverpb__RangeRequest range;
    struct arena a;

    (void) state;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(overlong); i++) {
        assert_false(decode_put(overlong[i], &put));
        assert_false(decode_range(overlong[i], &range));
        assert_int_equal(WIRE_DECODE(etcdserverpb__put_request, overlong[i], &a, &slow, NULL), 0);
        assert_true(bytes_eq(wire_bytes(slow->key), BYTES_LIT("x")));
    }
    arena_done(&a);
}

/* A field that comes twice counts as the last one. */
static void test_twice(void **state)
{
    Etcdserverpb__PutRequest put;

    (void) state;
    assert_true(decode_put(BYTES_LIT("\x0a\x01"
                                     "a\x18\x05\x0a\x01"
                                     "b\x18\x06"),
                           &put));
    assert_true(bytes_eq(wire_bytes(put.key), BYTES_LIT("b")));
    assert_int_equal(put.lease, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put),     cmocka_unit_test(test_range),
        cmocka_unit_test(test_unusual), cmocka_unit_test(test_overlong),
        cmocka_unit_test(test_twice),
    };

    for (size_t i = 0; i < sizeof key_bytes; i++)
        key_bytes[i] = (uint8_t) (i * 7);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
