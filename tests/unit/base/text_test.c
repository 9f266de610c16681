#include <ctype.h>
#include <errno.h>

#include "base/blank.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/err.h"
#include "lib/cm.h"

/* The vectors of RFC 3720 B.4, in one piece and in two, by instruction and by table. */
static void crc32c_matches_the_rfc(void **state)
{
    uint8_t zeros[32] = {0}, ones[32], up[32];

    (void) state;
    memset(ones, 0xff, sizeof ones);
    for (int i = 0; i < 32; i++)
        up[i] = (uint8_t) i;
    assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(crc32c(0, ones, 32), 0x62a8ab43);
    assert_int_equal(crc32c(0, up, 32), 0x46dd794e);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    for (size_t cut = 0; cut <= 32; cut++) {
        assert_int_equal(crc32c(crc32c(0, up, cut), up + cut, 32 - cut), 0x46dd794e);
        assert_int_equal(crc32c_portable(crc32c_portable(0, up, cut), up + cut, 32 - cut),
                         0x46dd794e);
    }
}

/* Numbers come back as they were put, in the byte order that was asked for. */
static void integers_round_trip(void **state)
{
    uint8_t b[8];

    (void) state;
    le64_put(b, UINT64_C(0x0102030405060708));
    assert_int_equal(b[0], 8);
    assert_int_equal(le64_get(b), UINT64_C(0x0102030405060708));
    assert_int_equal(le32_get(b), 0x05060708);
    assert_int_equal(le16_get(b), 0x0708);
    be64_put(b, UINT64_C(0x0102030405060708));
    assert_int_equal(b[0], 1);
    assert_int_equal(be64_get(b), UINT64_C(0x0102030405060708));
    assert_int_equal(be32_get(b), 0x01020304);
}

/* A message reads as a path, and keeps the code of the failure at its end. */
static void errors_read_as_a_path(void **state)
{
    struct err e = ERR_INIT;
    int rc = err_sys(&e, ENOENT, "open %s", "/x");

    (void) state;
    assert_int_equal(rc, ERR_NOT_FOUND);
    rc = err_wrap(&e, rc, "load snapshot %d", 7);
    assert_int_equal(rc, ERR_NOT_FOUND);
    assert_string_equal(e.msg, "load snapshot 7: open /x: No such file or directory");
    assert_int_equal(err_wrap(&e, 0, "not reached"), 0);
    e = ERR_INIT;
    err_wrap(&e, ERR_CORRUPT, "read page %d", 3);
    assert_string_equal(e.msg, "read page 3: damaged data");
    assert_int_equal(e.code, ERR_CORRUPT);
    assert_int_equal(err_set(NULL, ERR_LIMIT, "nobody listens"), ERR_LIMIT);
    assert_string_equal(err_text(-99), "error -99");
}

/* A message that is too long is cut, not overrun. */
static void errors_are_cut_at_their_size(void **state)
{
    struct err e = ERR_INIT;

    (void) state;
    err_set(&e, ERR_IO, "start");
    for (int i = 0; i < 100; i++)
        err_wrap(&e, ERR_IO, "a phrase of some length");
    assert_int_equal(strlen(e.msg), ERR_MSG_BYTES - 1);
}

/* Bytes are ordered as etcd orders keys: unsigned, and a prefix before what it begins. */
static void bytes_are_ordered(void **state)
{
    (void) state;
    assert_true(bytes_cmp(BYTES_LIT("a"), BYTES_LIT("b")) < 0);
    assert_true(bytes_cmp(BYTES_LIT("a"), BYTES_LIT("aa")) < 0);
    assert_true(bytes_cmp(BYTES_LIT("\xff"), BYTES_LIT("a")) > 0);
    assert_true(bytes_cmp(BYTES_EMPTY, BYTES_LIT("a")) < 0);
    assert_int_equal(bytes_cmp(BYTES_LIT("ab"), BYTES_LIT("ab")), 0);
    assert_true(bytes_eq(BYTES_EMPTY, bytes_of("", 0)));
}

/* What isspace has for a blank goes at both ends and stays inside; a NUL is none, nor is a byte of
 * UTF-8. */
static void blanks_around_text_are_cut(void **state)
{
    (void) state;
    for (int c = 0; c < 256; c++)
        assert_int_equal(byte_is_blank((uint8_t) c), isspace(c) != 0);
    assert_true(bytes_eq(bytes_trimmed(BYTES_LIT(" \t\n\v\f\ra b\r\n ")), BYTES_LIT("a b")));
    assert_true(bytes_eq(bytes_trimmed(BYTES_LIT("a")), BYTES_LIT("a")));
    assert_true(bytes_eq(bytes_trimmed(BYTES_LIT("\0 ")), BYTES_LIT("\0")));
    assert_int_equal(bytes_trimmed(BYTES_LIT(" \n ")).n, 0);
    assert_int_equal(bytes_trimmed(BYTES_EMPTY).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_matches_the_rfc), cmocka_unit_test(integers_round_trip),
        cmocka_unit_test(errors_read_as_a_path),  cmocka_unit_test(errors_are_cut_at_their_size),
        cmocka_unit_test(bytes_are_ordered),      cmocka_unit_test(blanks_around_text_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
