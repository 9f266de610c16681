/* Trace contexts of clients: the W3C's examples, and what OpenTelemetry's library for Go makes of
 * texts that are not quite right. */
#include "edge/server/otel_context.h"

#include "lib/cm.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static bool parse(const char *text, struct otel_context *ret)
{
    return otel_traceparent(bytes_str(text), ret);
}

/* A good one is taken apart: ids as bytes, flags as bits. */
static void good_one(void **state)
{
    static const uint8_t trace[] = {0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd,
                                    0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c};
    static const uint8_t span[] = {0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31};
    struct otel_context x;

    (void) state;
    assert_true(parse("00-" TRACE "-" SPAN "-01", &x));
    assert_memory_equal(x.trace_id, trace, sizeof trace);
    assert_memory_equal(x.span_id, span, sizeof span);
    assert_int_equal(x.flags, OTEL_SAMPLED);
}

/* Flags and versions: what is known is kept, a later version may bring more. */
static void flags_and_versions(void **state)
{
    static const struct {
        const char *text;
        uint8_t flags;
    } good[] = {
        {"00-" TRACE "-" SPAN "-00", 0},
        {"00-" TRACE "-" SPAN "-03", OTEL_SAMPLED | OTEL_RANDOM},
        {"00-" TRACE "-" SPAN "-01-", OTEL_SAMPLED},
        {"01-" TRACE "-" SPAN "-ff", OTEL_SAMPLED | OTEL_RANDOM},
        {"fe-" TRACE "-" SPAN "-01-and-more", OTEL_SAMPLED},
    };
    struct otel_context x;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(parse(good[i].text, &x));
        assert_int_equal(x.flags, good[i].flags);
    }
}

/* Whatever is wrong in it, it is none, and nothing is written. */
static void bad_ones(void **state)
{
    static const char *const bad[] = {
        "",
        "-",
        "00",
        "00-" TRACE,
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-",
        "00-" TRACE "-" SPAN "-1",
        "00-" TRACE "-" SPAN "-04",
        "00-" TRACE "-" SPAN "-01-x",
        "00-" TRACE "-" SPAN "-0g",
        "00-" TRACE "-" SPAN "-01 ",
        " 00-" TRACE "-" SPAN "-01",
        "ff-" TRACE "-" SPAN "-01",
        "0-" TRACE "-" SPAN "-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
        "00-" TRACE "0-" SPAN "-01",
        "00-" TRACE "-b7ad6b716920333-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00_" TRACE "_" SPAN "_01",
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct otel_context x = {.flags = 0x77};

        if (parse(bad[i], &x))
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(x.flags, 0x77);
    }
}

static const char *state_of(const char *text)
{
    static char out[65536];
    size_t n = otel_tracestate(bytes_str(text), out);

    out[n] = 0;
    return out;
}

/* A list is passed on without its blanks and empty members. */
static void state_is_passed_on(void **state)
{
    (void) state;
    assert_string_equal(state_of("rojo=00f067aa0ba902b7"), "rojo=00f067aa0ba902b7");
    assert_string_equal(state_of("b=1 , a=2,,c=x y"), "b=1,a=2,c=x y");
    assert_string_equal(state_of("\ta=1\t"), "a=1");
    assert_string_equal(state_of("0tenant@system=v,a*/_-9=v"), "0tenant@system=v,a*/_-9=v");
    assert_string_equal(state_of(""), "");
}

/* One wrong member, and nothing is passed on. */
static void wrong_state(void **state)
{
    static const char *const bad[] = {
        "a",    "a=",   "=1",     "A=1",     "a =1",      "0a=1",       "a=1=2",      "a=\x01",
        "a@=1", "@a=1", "a@0b=1", "a=1,a=2", "a=1, ,b=2", "\xc3\xa4=1", "a=\xc3\xa4", "a@b@c=1"};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (state_of(bad[i])[0] != 0)
            fail_msg("%s was passed on as %s", bad[i], state_of(bad[i]));
    }
}

/* At most 32 members, keys and values of at most 256 bytes. */
static void state_has_limits(void **state)
{
    char text[1024] = "";
    size_t n = 0;

    (void) state;
    for (int i = 0; i < OTEL_STATE_MEMBERS_MAX; i++)
        n += (size_t) snprintf(text + n, sizeof text - n, "%sk%d=v", i == 0 ? "" : ",", i);
    assert_string_equal(state_of(text), text);
    snprintf(text + n, sizeof text - n, ",more=v");
    assert_string_equal(state_of(text), "");
    snprintf(text, sizeof text, "a=%0256d", 1);
    assert_string_equal(state_of(text), text);
    snprintf(text, sizeof text, "a=%0257d", 1);
    assert_string_equal(state_of(text), "");
    snprintf(text, sizeof text, "a%0255d=v", 1);
    assert_string_equal(state_of(text), text);
    snprintf(text, sizeof text, "a%0256d=v", 1);
    assert_string_equal(state_of(text), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_one),    cmocka_unit_test(flags_and_versions),
        cmocka_unit_test(bad_ones),    cmocka_unit_test(state_is_passed_on),
        cmocka_unit_test(wrong_state), cmocka_unit_test(state_has_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
