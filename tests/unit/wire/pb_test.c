#include "wire/pb.h"

#include "lib/cm.h"

/* The size function agrees with the writer at both sides of every length, and the reader gives the
 * number back. */
static void varint_lengths(void **state)
{
    (void) state;
    for (unsigned bits = 0; bits <= 64; bits++) {
        for (int d = -1; d <= 1; d++) {
            uint64_t v = (bits == 64 ? 0 : UINT64_C(1) << bits) + (uint64_t) (int64_t) d, got = ~v;
            uint8_t b[PB_VARINT_BYTES_MAX];
            size_t n = (size_t) (pb_put_varint(b, v) - b);
            struct pb_reader r = pb_reader_of(bytes_of(b, n));

            assert_int_equal(n, pb_varint_size(v));
            assert_true(pb_get_varint(&r, &got));
            assert_true(got == v);
            assert_ptr_equal(r.p, r.end);
        }
    }
}

/* A varint that breaks off or has more than 64 bits is refused, and the reader stays bad. */
static void varint_malformed(void **state)
{
    static const uint8_t open_end[] = {0x80, 0x80};
    static const uint8_t too_big[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    static const uint8_t too_long[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                       0x80, 0x80, 0x80, 0x80, 0x01};
    const struct bytes all[] = {bytes_of(open_end, sizeof open_end),
                                bytes_of(too_big, sizeof too_big),
                                bytes_of(too_long, sizeof too_long), BYTES_EMPTY};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct pb_reader r = pb_reader_of(all[i]);
        struct pb_field f;
        uint64_t v;

        assert_false(pb_get_varint(&r, &v));
        assert_true(r.bad);
        assert_false(pb_next(&r, &f));
    }
}

/* Every wire type that protobuf still uses is read, in order, with its value. */
static void fields_of_all_types(void **state)
{
    static const uint8_t in[] = {0x08, 0x96, 0x01,                        /* 1: varint 150 */
                                 0x11, 1,    2,    3,   4,    5, 6, 7, 8, /* 2: fixed 64 */
                                 0x1a, 3,    'a',  'b', 'c',              /* 3: bytes */
                                 0x25, 1,    0,    0,   0x80,             /* 4: fixed 32 */
                                 0xc2, 0x3e, 0};                          /* 1000: empty */
    struct pb_reader r = pb_reader_of(bytes_of(in, sizeof in));
    struct pb_field f;

    (void) state;
    assert_true(pb_next(&r, &f));
    assert_int_equal(f.number, 1);
    assert_int_equal(f.value, 150);
    assert_true(pb_next(&r, &f));
    assert_int_equal(f.type, PB_FIXED64);
    assert_true(f.value == UINT64_C(0x0807060504030201));
    assert_true(pb_next(&r, &f));
    assert_true(bytes_eq(f.bytes, BYTES_LIT("abc")));
    assert_true(pb_next(&r, &f));
    assert_int_equal(f.value, 0x80000001u);
    assert_true(pb_next(&r, &f));
    assert_int_equal(f.number, 1000);
    assert_int_equal(f.bytes.n, 0);
    assert_false(pb_next(&r, &f));
    assert_false(r.bad);
}

/* A group is one field, whatever is in it: other groups, and numbers that it hides. */
static void groups(void **state)
{
    static const uint8_t two[] = {0x0b, 0x13, 0x08, 5, 0x14, 0x1a, 1, 9, 0x0c, 0x08, 7};
    struct pb_reader r = pb_reader_of(bytes_of(two, sizeof two));
    uint8_t deep[2 * (PB_GROUP_DEPTH_MAX + 1)];
    struct pb_field f;

    (void) state;
    assert_true(pb_next(&r, &f));
    assert_int_equal(f.number, 1);
    assert_int_equal(f.type, PB_GROUP);
    assert_true(pb_next(&r, &f));
    assert_int_equal(f.type, PB_VARINT);
    assert_int_equal(f.value, 7);
    assert_false(pb_next(&r, &f));
    assert_false(r.bad);
    for (size_t depth = PB_GROUP_DEPTH_MAX; depth <= PB_GROUP_DEPTH_MAX + 1; depth++) {
        memset(deep, 0x0b, depth);
        memset(deep + depth, 0x0c, depth);
        r = pb_reader_of(bytes_of(deep, 2 * depth));
        assert_true(pb_next(&r, &f) == (depth <= PB_GROUP_DEPTH_MAX));
        assert_true(r.bad == (depth > PB_GROUP_DEPTH_MAX));
    }
}

/* Field number 0, groups without their end, and lengths past the end are malformed; every cut of a
 * good message either ends between two fields or is malformed too. */
static void fields_malformed(void **state)
{
    static const uint8_t zero[] = {0x00, 0x01}, group[] = {0x0b, 0x14}, beyond[] = {0x0a, 5, 1, 2},
                         huge[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
                         fixed[] = {0x09, 1, 2, 3}, good[] = {0x0a, 2, 7, 7, 0x10, 0x80, 1};
    const struct bytes all[] = {bytes_of(zero, 2), bytes_of(group, 2), bytes_of(beyond, 4),
                                bytes_of(huge, sizeof huge), bytes_of(fixed, 4)};
    struct pb_field f;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct pb_reader r = pb_reader_of(all[i]);

        while (pb_next(&r, &f))
            ;
        assert_true(r.bad);
    }
    for (size_t n = 0; n <= sizeof good; n++) {
        struct pb_reader r = pb_reader_of(bytes_of(good, n));

        while (pb_next(&r, &f))
            ;
        assert_int_equal(r.bad, n != 0 && n != 4 && n != sizeof good);
    }
}

/* What the field writers put is as long as their size functions say; zero and empty are left out.
 */
static void writers_match_sizes(void **state)
{
    uint8_t b[64];

    (void) state;
    assert_int_equal(pb_u64_size(7, 0), 0);
    assert_ptr_equal(pb_put_u64(b, 7, 0), b);
    assert_int_equal(pb_bytes_size(7, 0), 0);
    assert_ptr_equal(pb_put_bytes(b, 7, BYTES_EMPTY), b);
    for (uint32_t field = 1; field < 3000; field += 13) {
        assert_int_equal(pb_put_u64(b, field, 300) - b, pb_u64_size(field, 300));
        assert_int_equal(pb_put_bytes(b, field, BYTES_LIT("xyz")) - b, pb_bytes_size(field, 3));
        assert_int_equal(pb_put_head(b, field, 200) - b, pb_head_size(field, 200));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varint_lengths),      cmocka_unit_test(varint_malformed),
        cmocka_unit_test(fields_of_all_types), cmocka_unit_test(groups),
        cmocka_unit_test(fields_malformed),    cmocka_unit_test(writers_match_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
