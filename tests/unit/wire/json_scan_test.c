#include "wire/json.h"

#include "base/alloc.h"
#include "lib/cm.h"

/* Scans `text` in pieces of `step` bytes: how much of it belongs to the value, or -1 with the words
 * in *ret_why, or -2 when there is none. */
static int scan(const char *text, size_t step, char ret_why[JSON_TEXT_BYTES_MAX])
{
    static struct json_scan s;
    size_t n = strlen(text), at = 0, used;
    enum json_scanned got = JSON_SCAN_MORE;

    json_scan_init(&s);
    while (at < n && got == JSON_SCAN_MORE) {
        got = json_scan(&s, bytes_of(text + at, MIN(step, n - at)), &used);
        at += used;
    }
    if (got == JSON_SCAN_MORE)
        got = json_scan_end(&s);
    snprintf(ret_why, JSON_TEXT_BYTES_MAX, "%s", s.text);
    return got == JSON_SCAN_BAD ? -1 : got == JSON_SCAN_MORE ? -2 : (int) at;
}

/* The end of a value is found wherever the input is cut, and what stands behind it is left. */
static void test_scan_end(void **state)
{
    static const struct {
        const char *text;
        int n;
    } cases[] = {
        {"{}", 2},
        {" {\"a\":[1,2.5e-3,true]} x", 22},
        {"{\"a\":\"}\\\"\"}{\"b\":1}", 11},
        {"[[],[[]],{}]]", 12},
        {"12 13", 2},
        {"-0.5e+10,", 8},
        {"null", 4},
        {"\"\\u00e9\\n\"", 10},
        {"  \r\n\t", -2},
        {"", -2},
    };
    char why[JSON_TEXT_BYTES_MAX];

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t step = 1; step <= strlen(cases[i].text) + 1; step++)
            assert_int_equal(scan(cases[i].text, step, why), cases[i].n);
    }
}

/* What is wrong is said in the words of Go's encoding/json (taken from a real etcd's answers). */
static void test_scan_words(void **state)
{
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"{\"key\":}", "invalid character '}' looking for beginning of value"},
        {"xx", "invalid character 'x' looking for beginning of value"},
        {"{\"a\" 1}", "invalid character '1' after object key"},
        {"{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"},
        {"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"},
        {"{'a'", "invalid character '\\'' looking for beginning of object key string"},
        {"[1 2]", "invalid character '2' after array element"},
        {"[1,]", "invalid character ']' looking for beginning of value"},
        {"\"a\nb\"", "invalid character '\\n' in string literal"},
        {"\"\x01\"", "invalid character '\\x01' in string literal"},
        {"\"\\q\"", "invalid character 'q' in string escape code"},
        {"\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"},
        {"tru1", "invalid character '1' in literal true (expecting 'e')"},
        {"nul}", "invalid character '}' in literal null (expecting 'l')"},
        {"-a", "invalid character 'a' in numeric literal"},
        {"1.e", "invalid character 'e' after decimal point in numeric literal"},
        {"1e-}", "invalid character '}' in exponent of numeric literal"},
        {"[01]", "invalid character '1' after array element"},
        {"\xc3\xa9", "invalid character '\xc3\x83' looking for beginning of value"},
        {"{\"key\":", "unexpected EOF"},
        {"\"abc", "unexpected EOF"},
        {"1.", "unexpected EOF"},
    };
    char why[JSON_TEXT_BYTES_MAX];

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t step = 1; step <= strlen(cases[i].text); step++) {
            assert_int_equal(scan(cases[i].text, step, why), -1);
            assert_string_equal(why, cases[i].why);
        }
    }
}

/* Ten thousand lists in one another are a value, one more is too deep. */
static void test_scan_depth(void **state)
{
    char *text = mem_alloc(2 * JSON_DEPTH_MAX + 4), why[JSON_TEXT_BYTES_MAX];

    (void) state;
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    text[2 * JSON_DEPTH_MAX] = '\0';
    assert_int_equal(scan(text, 4096, why), 2 * JSON_DEPTH_MAX);
    text[JSON_DEPTH_MAX] = '[';
    assert_int_equal(scan(text, 4096, why), -1);
    assert_string_equal(why, "invalid character '[' exceeded max depth");
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_end),
        cmocka_unit_test(test_scan_words),
        cmocka_unit_test(test_scan_depth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
