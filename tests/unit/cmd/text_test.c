#include "lib/cm.h"

#include "cli/text.h"

static struct buf out;

static int setup(void **state)
{
    (void) state;
    buf_init(&out, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    buf_done(&out);
    return 0;
}

#define expect_text(want)                            \
    do {                                             \
        assert_string_equal(buf_cstr(&out), (want)); \
        buf_clear(&out);                             \
    } while (0)

/* A value with every kind of escape is quoted as etcdctl's -w fields was seen to quote it. */
static void quotes_as_go(void **state)
{
    (void) state;
    text_quote(&out, BYTES_LIT("a\a\b\f\v\r\x7f\x1b|\xc3\xa9|\xe6\x97\xa5\xe6\x9c\xac|\xe2\x80\x8b|"
                               "\xe2(|\\|<&>|\xc2\xa0|\xf0\x9f\x98\x80"));
    expect_text(
        "\"a\\a\\b\\f\\v\\r\\x7f\\x1b|\xc3\xa9|\xe6\x97\xa5\xe6\x9c\xac|\\u200b|\\xe2(|\\\\|"
        "<&>|\\u00a0|\xf0\x9f\x98\x80\"");
    text_quote(&out, BYTES_LIT("\xfe\x80\t\nq\"u\0"));
    expect_text("\"\\xfe\\x80\\t\\nq\\\"u\\x00\"");
    text_quote(&out, BYTES_LIT("\xf3\xa0\x80\x81\xed\xa0\x80"));
    expect_text("\"\\U000e0001\\xed\\xa0\\x80\"");
}

/* What is quoted is unquoted to the same bytes, for every single byte and some code points. */
static void unquotes_what_it_quotes(void **state)
{
    struct buf back;

    (void) state;
    buf_init(&back, 1 << 20);
    for (unsigned i = 0; i < 256; i++) {
        uint8_t bytes[3] = {(uint8_t) i, 'x', (uint8_t) (255 - i)};
        size_t len;

        text_quote(&out, bytes_of(bytes, 3));
        assert_int_equal(text_unquote(buf_bytes(&out), &back, &len, NULL), 0);
        assert_int_equal(len, out.len);
        assert_true(bytes_eq(buf_bytes(&back), bytes_of(bytes, 3)));
        buf_clear(&out);
        buf_clear(&back);
    }
    buf_done(&back);
}

/* All escape forms of Go are read; text behind the closing quote is left; bad ones are refused. */
static void unquotes_go_escapes(void **state)
{
    static const char *const bad[] = {"x",         "\"",          "\"a",
                                      "\"\\q\"",   "\"\\x4\"",    "\"\\u12\"",
                                      "\"\\400\"", "\"\\ud800\"", "\"a\nb\""};
    struct err e = ERR_INIT;
    size_t len;

    (void) state;
    assert_int_equal(
        text_unquote(BYTES_LIT("\"\\x41\\u00e9\\101\\a\\\"\\\\\\U0001f600\" rest"), &out, &len, &e),
        0);
    assert_int_equal(len, 32);
    expect_text("A\xc3\xa9"
                "A\a\"\\\xf0\x9f\x98\x80");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(text_unquote(bytes_str(bad[i]), &out, &len, &e), ERR_INVALID);
        buf_clear(&out);
    }
}

/* Printability follows Unicode: letters, marks, numbers, punctuation, symbols; no blanks but one.
 */
static void knows_printable_code_points(void **state)
{
    static const uint32_t yes[] = {' ', '~', 0xe9, 0x301, 0x65e5, 0x1f600, 0x20ac};
    static const uint32_t no[] = {0x1f, 0x7f, 0xa0, 0xad, 0x200b, 0x2028, 0xe000, 0xfffe, 0x10ffff};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(text_is_print(yes[i]));
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_false(text_is_print(no[i]));
}

/* Base64 of RFC 4648's own examples, and of bytes that use the last two letters. */
static void encodes_base64(void **state)
{
    static const char *const in[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    static const char *const want[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                       "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(in); i++) {
        text_base64(&out, bytes_str(in[i]));
        expect_text(want[i]);
    }
    text_base64(&out, BYTES_LIT("\xfb\xff\xbf"));
    expect_text("+/+/");
}

/* Durations print as Go's time.Duration does, also negative ones and the extremes. */
static void prints_durations(void **state)
{
    static const struct {
        int64_t ns;
        const char *want;
    } t[] = {
        {0, "0s"},
        {1, "1ns"},
        {1100, "1.1\xc2\xb5s"},
        {9728330, "9.72833ms"},
        {1000604125, "1.000604125s"},
        {5000000000, "5s"},
        {60500000000, "1m0.5s"},
        {3600000000000, "1h0m0s"},
        {-2000000, "-2ms"},
        {INT64_MAX, "2562047h47m16.854775807s"},
        {INT64_MIN, "-2562047h47m16.854775808s"},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        text_duration(&out, t[i].ns);
        expect_text(t[i].want);
    }
}

/* A duration that is none is refused with Go's words (which are none: gofmt_test). */
static void words_of_wrong_durations(void **state)
{
    static const struct {
        const char *s;
        const char *words;
    } bad[] = {
        {"5", "time: missing unit in duration \"5\""},
        {"5x", "time: unknown unit \"x\" in duration \"5x\""},
        {"", "time: invalid duration \"\""},
        {"3000000h", "time: invalid duration \"3000000h\""},
    };
    int64_t ns = -1;

    (void) state;
    assert_int_equal(text_parse_duration("1m0.5s", &ns, NULL), 0);
    assert_int_equal(ns, 60500000000);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = ERR_INIT;

        assert_int_equal(text_parse_duration(bad[i].s, &ns, &e), ERR_INVALID);
        assert_string_equal(e.msg, bad[i].words);
    }
}

/* Sizes are rounded as etcdctl shows them: one decimal below ten units, none above. */
static void prints_human_sizes(void **state)
{
    static const struct {
        uint64_t n;
        const char *want;
    } t[] = {
        {0, "0 B"},       {9, "9 B"},          {10, "10 B"},          {999, "999 B"},
        {1000, "1.0 kB"}, {16384, "16 kB"},    {20480, "20 kB"},      {2147483648, "2.1 GB"},
        {9949, "9.9 kB"}, {82854982, "83 MB"}, {UINT64_MAX, "18 EB"}, {1550, "1.6 kB"},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        text_human_bytes(&out, t[i].n);
        expect_text(t[i].want);
    }
}

/* Integers are read in the bases that Go reads, up to their limits. */
static void parses_integers(void **state)
{
    int64_t i;
    uint64_t u;

    (void) state;
    assert_int_equal(text_parse_int("0x10", 0, &i, NULL), 0);
    assert_int_equal(i, 16);
    assert_int_equal(text_parse_int("1_0", 0, &i, NULL), 0);
    assert_int_equal(i, 10);
    assert_int_equal(text_parse_int("-0b101", 0, &i, NULL), 0);
    assert_int_equal(i, -5);
    assert_int_equal(text_parse_int("017", 0, &i, NULL), 0);
    assert_int_equal(i, 15);
    assert_int_equal(text_parse_int("-9223372036854775808", 10, &i, NULL), 0);
    assert_true(i == INT64_MIN);
    assert_int_equal(text_parse_uint("ffffffffffffffff", 16, &u, NULL), 0);
    assert_true(u == UINT64_MAX);
    assert_int_equal(text_parse_int("1_0", 10, &i, NULL), ERR_INVALID);
    assert_int_equal(text_parse_int("_1", 0, &i, NULL), ERR_INVALID);
    assert_int_equal(text_parse_int("1__0", 0, &i, NULL), ERR_INVALID);
    assert_int_equal(text_parse_int("0x", 0, &i, NULL), ERR_INVALID);
    assert_int_equal(text_parse_int("", 10, &i, NULL), ERR_INVALID);
    assert_int_equal(text_parse_uint("18446744073709551616", 10, &u, NULL), ERR_LIMIT);
}

/* Bad numbers and booleans are refused with the words of Go's strconv. */
static void words_of_strconv(void **state)
{
    struct err e = ERR_INIT;
    int64_t i;
    uint64_t u;
    bool b;

    (void) state;
    assert_int_equal(text_parse_int("x", 10, &i, &e), ERR_INVALID);
    assert_string_equal(e.msg, "strconv.ParseInt: parsing \"x\": invalid syntax");
    e = ERR_INIT;
    assert_int_equal(text_parse_int("ffffffffffffffff", 16, &i, &e), ERR_LIMIT);
    assert_string_equal(e.msg,
                        "strconv.ParseInt: parsing \"ffffffffffffffff\": value out of range");
    e = ERR_INIT;
    assert_int_equal(text_parse_uint("-1", 0, &u, &e), ERR_INVALID);
    assert_string_equal(e.msg, "strconv.ParseUint: parsing \"-1\": invalid syntax");
    e = ERR_INIT;
    assert_int_equal(text_parse_bool("yes", &b, &e), ERR_INVALID);
    assert_string_equal(e.msg, "strconv.ParseBool: parsing \"yes\": invalid syntax");
    assert_int_equal(text_parse_bool("True", &b, NULL), 0);
    assert_true(b);
}

/* A time stamp has microseconds and the Z of UTC. */
static void stamps_time(void **state)
{
    (void) state;
    text_timestamp(&out, 1767323045678901);
    expect_text("2026-01-02T03:04:05.678901Z");
}

/* A lease as Go's %016x of a signed number: the sign is part of the width. */
static void lease_ids_as_go(void **state)
{
    static const struct {
        int64_t id;
        const char *want;
    } t[] = {
        {7, "0000000000000007"},
        {-7, "-000000000000007"},
        {INT64_MAX, "7fffffffffffffff"},
        {INT64_MIN, "-8000000000000000"},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        buf_clear(&out);
        text_lease_id(&out, t[i].id);
        assert_true(bytes_eq(buf_bytes(&out), bytes_str(t[i].want)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lease_ids_as_go, setup, teardown),
        cmocka_unit_test_setup_teardown(quotes_as_go, setup, teardown),
        cmocka_unit_test_setup_teardown(unquotes_what_it_quotes, setup, teardown),
        cmocka_unit_test_setup_teardown(unquotes_go_escapes, setup, teardown),
        cmocka_unit_test_setup_teardown(knows_printable_code_points, setup, teardown),
        cmocka_unit_test_setup_teardown(encodes_base64, setup, teardown),
        cmocka_unit_test_setup_teardown(prints_durations, setup, teardown),
        cmocka_unit_test_setup_teardown(words_of_wrong_durations, setup, teardown),
        cmocka_unit_test_setup_teardown(prints_human_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(parses_integers, setup, teardown),
        cmocka_unit_test_setup_teardown(words_of_strconv, setup, teardown),
        cmocka_unit_test_setup_teardown(stamps_time, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
