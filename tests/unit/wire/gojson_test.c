#include "wire/gojson.h"

#include "lib/cm.h"

static void expect(const char *in, size_t n, const char *want)
{
    struct buf b;

    buf_init(&b, 4096);
    assert_true(gojson_add_string(&b, bytes_of(in, n)));
    assert_string_equal(buf_cstr(&b), want);
    buf_done(&b);
}

/* Strings as Go 1.22 and later print them: short escapes, HTML's characters, the two line
 * separators, control characters, and a replacement for each byte that is not UTF-8. */
static void strings(void **state)
{
    (void) state;
#define E(in, want) expect(in, sizeof(in) - 1, want)
    E("", "\"\"");
    E("http://127.0.0.1:2380", "\"http://127.0.0.1:2380\"");
    E("a\"b\\c", "\"a\\\"b\\\\c\"");
    E("\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"");
    E("\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\"");
    E("<a&b>", "\"\\u003ca\\u0026b\\u003e\"");
    E("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", "\"\\u2028\\u2029\xe2\x80\xaa\"");
    E("\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\"");
    E("a\xff\xc3", "\"a\\ufffd\\ufffd\"");
    E("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"");
#undef E
}

/* Lists, the two forms of an empty one, and a buffer that is too small. */
static void lists(void **state)
{
    static const char *const v[] = {"a", "b<"};
    struct buf b;

    (void) state;
    buf_init(&b, 64);
    assert_true(gojson_add_strings(&b, v, 2, true));
    assert_true(gojson_add_strings(&b, v, 0, true));
    assert_true(gojson_add_strings(&b, v, 0, false));
    assert_string_equal(buf_cstr(&b), "[\"a\",\"b\\u003c\"]null[]");
    buf_done(&b);
    buf_init(&b, 4);
    assert_false(gojson_add_strings(&b, v, 2, true));
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(strings), cmocka_unit_test(lists)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
