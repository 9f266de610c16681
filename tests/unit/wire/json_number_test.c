#include "wire/json_int.h"

#include "lib/cm.h"

/* Numbers of all widths at their edges, and strings of them. */
static void test_integers(void **state)
{
    static const struct {
        const char *text;
        unsigned bits;
        bool is_signed;
        bool ok;
        uint64_t v;
    } cases[] = {
        {"0", 64, true, true, 0},
        {"-0", 32, false, true, 0},
        {"-1", 64, true, true, UINT64_MAX},
        {"-1", 64, false, false, 0},
        {"18446744073709551615", 64, false, true, UINT64_MAX},
        {"18446744073709551616", 64, false, false, 0},
        {"-9223372036854775808", 64, true, true, (uint64_t) 1 << 63},
        {"-9223372036854775809", 64, true, false, 0},
        {"4294967295", 32, false, true, UINT32_MAX},
        {"4294967296", 32, false, false, 0},
        {"2147483648", 32, true, false, 0},
        {"1e3", 64, true, true, 1000},
        {"1.25e2", 64, true, true, 125},
        {"1.25e1", 64, true, false, 0},
        {"1200e-2", 64, true, true, 12},
        {"1e20", 64, false, false, 0},
        {"1e999999999", 64, false, false, 0},
        {"1e9999999999", 64, false, false, 0},
        {"5 6", 64, true, true, 5},
        {"5x", 64, true, false, 0},
        {"", 64, true, false, 0},
        {"+1", 64, true, false, 0},
        {"0x10", 64, true, false, 0},
        {"01", 64, true, false, 0},
        {"1.", 64, true, false, 0},
        {"1e-", 64, true, false, 0},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t v = 1;
        bool ok = json__integer(bytes_str(cases[i].text), cases[i].bits, cases[i].is_signed, &v);

        if (ok != cases[i].ok || (ok && v != cases[i].v))
            fail_msg("%s as %u bits: %d %" PRIu64, cases[i].text, cases[i].bits, ok, v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
