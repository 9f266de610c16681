#include "obs/gofmt.h"

#include <setjmp.h>

#include <cmocka.h>

static void check_duration(int64_t ns, const char *want)
{
    char out[GO_DURATION_BYTES];
    int64_t back;

    assert_string_equal(go_duration(ns, out), want);
    assert_true(go_duration_parse(out, &back));
    assert_int_equal(back, ns);
}

/* Durations are printed as time.Duration.String does, and read back. */
static void test_duration(void **state)
{
    (void) state;
    check_duration(0, "0s");
    check_duration(1, "1ns");
    check_duration(1100, "1.1\xc2\xb5s");
    check_duration(2200000, "2.2ms");
    check_duration(1234567, "1.234567ms");
    check_duration(100000000, "100ms");
    check_duration(1000000000, "1s");
    check_duration(3300000000, "3.3s");
    check_duration(60000000000, "1m0s");
    check_duration(245000000000, "4m5s");
    check_duration(245001000000, "4m5.001s");
    check_duration(18367001000000, "5h6m7.001s");
    check_duration(-1500000000, "-1.5s");
    check_duration(INT64_MIN, "-2562047h47m16.854775808s");
    check_duration(INT64_MAX, "2562047h47m16.854775807s");
}

static void check_parse(const char *s, int64_t want)
{
    int64_t ns = -77;

    assert_true(go_duration_parse(s, &ns));
    assert_int_equal(ns, want);
}

/* What time.ParseDuration takes is taken, and what it refuses is refused. */
static void test_parse(void **state)
{
    static const char *const bad[] = {"",
                                      "3",
                                      "-",
                                      "s",
                                      ".",
                                      "-.",
                                      ".s",
                                      "+.s",
                                      "1x",
                                      "1d",
                                      "9223372036854775808ns",
                                      "3000000h",
                                      "1 s",
                                      "5124095.99h"}; /* the last is around 2^64 ns */
    int64_t ns;

    (void) state;
    check_parse("0", 0);
    check_parse("+5s", 5000000000);
    check_parse("-.5s", -500000000);
    check_parse("1.h", 3600000000000);
    check_parse("1h2m3.004s", 3723004000000);
    check_parse("10us", 10000);
    check_parse("10\xce\xbcs", 10000);
    check_parse("0.3333333333333333333h", 1200000000000);
    check_parse("9223372036854775807ns", INT64_MAX);
    check_parse("-9223372036854775808ns", INT64_MIN);
    check_parse("9223372036854775808ns9223372036854775808ns", 0); /* Go's sum goes around */
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(go_duration_parse(bad[i], &ns));
}

/* What is wrong is told apart: a number without unit, a unit that there is not (which one, too),
 * the rest. */
static void test_faults(void **state)
{
    struct bytes unit;
    int64_t ns;

    (void) state;
    assert_int_equal(go_duration_read("1m", &ns, &unit), GO_DURATION_GOOD);
    assert_int_equal(go_duration_read("1m5", &ns, &unit), GO_DURATION_NO_UNIT);
    assert_int_equal(go_duration_read("1m5ms2.5ly7s", &ns, &unit), GO_DURATION_UNKNOWN_UNIT);
    assert_true(bytes_eq(unit, bytes_str("ly")));
    assert_int_equal(go_duration_read("1m.", &ns, &unit), GO_DURATION_INVALID);
}

/* Sizes are printed in decimal units with one digit behind the point below ten. */
static void test_size(void **state)
{
    static const struct {
        uint64_t n;
        const char *want;
    } cases[] = {
        {0, "0 B"},           {9, "9 B"},       {10, "10 B"},        {999, "999 B"},
        {1000, "1.0 kB"},     {20480, "20 kB"}, {25000000, "25 MB"}, {2147483648, "2.1 GB"},
        {UINT64_MAX, "18 EB"}};
    char out[GO_SIZE_BYTES];

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(go_size(cases[i].n, out), cases[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duration),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
