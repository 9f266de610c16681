#include "lib/cm.h"

#include <math.h>

#include "cli/flags.h"
#include "cli/text.h"
#include "sys/random.h"

static void expect(double v, const char *want)
{
    struct buf out;

    buf_init(&out, 1024);
    text_float(&out, v);
    assert_string_equal(buf_cstr(&out), want);
    buf_done(&out);
}

/* Numbers are written with the fewest digits, as etcd's benchmark --precise was seen to write them,
 * and with an exponent at both ends. */
static void prints_as_go(void **state)
{
    (void) state;
    expect(0.0018723227229390496, "0.0018723227229390496");
    expect(99.4553162190813, "99.4553162190813");
    expect(0.0010680759499999998, "0.0010680759499999998");
    expect(99.9, "99.9");
    expect(10, "10");
    expect(0, "0");
    expect(-0.5, "-0.5");
    expect(123456, "123456");
    expect(1000000, "1e+06");
    expect(1234567.5, "1.2345675e+06");
    expect(0.0001, "0.0001");
    expect(0.00001, "1e-05");
    expect(INFINITY, "+Inf");
    expect(-INFINITY, "-Inf");
    expect(NAN, "NaN");
}

/* Whatever is written is read back as the same number: ten thousand of them by chance. */
static void reads_what_it_prints(void **state)
{
    struct random_seeded r;

    (void) state;
    random_seeded_init(&r, 7);
    for (int i = 0; i < 10000; i++) {
        uint64_t bits = random_u64(&r.random);
        double v, back;
        struct buf out;

        memcpy(&v, &bits, sizeof(v));
        if (isnan(v))
            continue;
        buf_init(&out, 1024);
        text_float(&out, v);
        assert_int_equal(text_parse_float(buf_cstr(&out), &back, NULL), 0);
        assert_memory_equal(&back, &v, sizeof(v));
        buf_done(&out);
    }
}

/* A flag that takes a number shows its default, and refuses what is none in Go's words. */
static void is_a_flag(void **state)
{
    static const struct cli_flag flag = {
        .name = "ratio", .type = CLI_FLOAT, .def = "1.5", .help = "a share"};
    static const struct cli_flag *const flags[] = {&flag};
    static const char *const bad[] = {"", "x", "1x", " 1", "1 "};
    struct cli_value v;
    struct arena a;
    struct err e = ERR_INIT;
    struct buf out;

    (void) state;
    arena_init(&a, 1 << 16);
    cli_value_init(&v, &flag, &a);
    assert_true(v.f == 1.5);
    assert_int_equal(cli_value_set(&v, "2e3", &a, &e), 0);
    assert_true(v.f == 2000);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(cli_value_set(&v, bad[i], &a, &e), ERR_INVALID);
    assert_int_equal(cli_value_set(&v, "x", &a, &e), ERR_INVALID);
    assert_string_equal(e.msg, "strconv.ParseFloat: parsing \"x\": invalid syntax");
    buf_init(&out, 4096);
    cli_flags_usage(flags, 1, false, &out);
    assert_non_null(strstr(buf_cstr(&out), "--ratio float   a share (default 1.5)"));
    buf_done(&out);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_as_go),
        cmocka_unit_test(reads_what_it_prints),
        cmocka_unit_test(is_a_flag),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
