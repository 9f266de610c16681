/* Framing and the texts of fields: no sockets. */
#include "engine/net/grpc_int.h"
#include "lib/cm.h"

/* Feeds `in` in pieces of `step` bytes and gives back the messages, put together with '|' behind
 * each. */
static size_t deframe_all(const uint8_t *in, size_t n, size_t step, uint8_t *out)
{
    struct grpc_deframer d;
    static uint8_t msg[4096];
    size_t out_n = 0;

    grpc_deframer_init(&d);
    for (size_t at = 0; at < n; at += step) {
        struct bytes b = bytes_of(in + at, MIN(step, n - at));
        enum grpc_deframed rc;

        while ((rc = grpc_deframe(&d, &b)) != GRPC_DEFRAMED_MORE) {
            if (rc == GRPC_DEFRAMED_HEAD) {
                assert_true(d.length <= sizeof msg);
                d.msg = msg;
            } else {
                memcpy(out + out_n, msg, d.length);
                out_n += d.length;
                out[out_n++] = '|';
                grpc_deframer_next(&d);
            }
        }
        assert_int_equal(b.n, 0);
    }
    assert_true(grpc_deframer_idle(&d));
    return out_n;
}

/* The same messages come out however the bytes are cut. */
static void cuts_do_not_matter(void **state)
{
    static const uint8_t in[] = "\0\0\0\0\3abc"
                                "\0\0\0\0\0"
                                "\1\0\0\0\1x"
                                "\0\0\0\0\2yz";
    uint8_t out[64];

    (void) state;
    for (size_t step = 1; step < sizeof in; step++) {
        size_t n = deframe_all(in, sizeof in - 1, step, out);

        assert_int_equal(n, 10);
        assert_memory_equal(out, "abc||x|yz|", 10);
    }
}

/* A message that lies whole in the input is taken from there; one that does not, is not. */
static void in_place(void **state)
{
    struct grpc_deframer d;
    uint8_t in[] = "\0\0\0\0\3abcrest";
    struct bytes b = bytes_of(in, 7);
    struct bytes m;

    (void) state;
    grpc_deframer_init(&d);
    assert_int_equal(grpc_deframe(&d, &b), GRPC_DEFRAMED_HEAD);
    assert_false(grpc_deframe_in_place(&d, &b, &m));
    grpc_deframer_init(&d);
    b = bytes_of(in, sizeof in - 1);
    assert_int_equal(grpc_deframe(&d, &b), GRPC_DEFRAMED_HEAD);
    assert_true(grpc_deframe_in_place(&d, &b, &m));
    assert_ptr_equal(m.p, in + 5);
    assert_int_equal(m.n, 3);
    assert_int_equal(b.n, 4);
    assert_true(grpc_deframer_idle(&d));
}

/* grpc-timeout is read in every unit and refused in grpc-go's words. */
static void timeouts_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {{"0n", 0},
                {"1n", 1},
                {"7u", 7000},
                {"100m", 100000000},
                {"5S", 5000000000},
                {"2M", 120000000000},
                {"1H", 3600000000000},
                {"99999999H", INT64_MAX}};
    static const struct {
        const char *text, *why;
    } bad[] = {{"1", "transport: timeout string is too short: \"1\""},
               {"", "transport: timeout string is too short: \"\""},
               {"123456789m", "transport: timeout string is too long: \"123456789m\""},
               {"5s", "transport: timeout unit is not recognized: \"5s\""},
               {"-1m", "strconv.ParseUint: parsing \"-1\": invalid syntax"}};
    char why[GRPC_TIMEOUT_WHY_BYTES];
    int64_t ns;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(grpc_timeout_parse(bytes_str(good[i].text), &ns, why));
        assert_int_equal(ns, good[i].ns);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(grpc_timeout_parse(bytes_str(bad[i].text), &ns, why));
        assert_string_equal(why, bad[i].why);
    }
}

/* A timeout that is written is never read back shorter, and at most a 100,000th longer: five digits
 * are kept. */
static void timeouts_round_up(void **state)
{
    char text[GRPC_TIMEOUT_TEXT_BYTES], why[GRPC_TIMEOUT_WHY_BYTES];
    int64_t ns;

    (void) state;
    for (int64_t v = 1; v < INT64_MAX / 7; v = v * 7 + 1) {
        grpc_timeout_format(v, text);
        assert_true(grpc_timeout_parse(bytes_str(text), &ns, why));
        assert_true(ns >= v);
        assert_true((double) (ns - v) <= (double) v * 1e-5 + 1);
    }
    grpc_timeout_format(-5, text);
    assert_string_equal(text, "0n");
}

/* Percent-encoding leaves printable ASCII alone and comes back byte for byte; bad escapes are kept.
 */
static void percent_encoding(void **state)
{
    uint8_t all[256];
    char enc[3 * sizeof all], dec[sizeof enc];
    size_t n;

    (void) state;
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t) i;
    n = grpc_percent_encode(bytes_of(all, sizeof all), enc);
    for (size_t i = 0; i < n; i++)
        assert_true(enc[i] >= ' ' && enc[i] <= '~');
    assert_int_equal(grpc_percent_decode(bytes_of(enc, n), dec), sizeof all);
    assert_memory_equal(dec, all, sizeof all);
    assert_int_equal(grpc_percent_encode(BYTES_LIT("a b"), enc), 3);
    n = grpc_percent_decode(BYTES_LIT("%4%zz%41%"), dec);
    assert_int_equal(n, 7);
    assert_memory_equal(dec, "%4%zzA%", 7);
}

/* What counts as gRPC among content types. */
static void content_types(void **state)
{
    (void) state;
    assert_true(grpc_content_type(BYTES_LIT("application/grpc")));
    assert_true(grpc_content_type(BYTES_LIT("application/grpc+proto")));
    assert_true(grpc_content_type(BYTES_LIT("Application/GRPC;x=y")));
    assert_false(grpc_content_type(BYTES_LIT("application/grpc-web")));
    assert_false(grpc_content_type(BYTES_LIT("application/grp")));
    assert_false(grpc_content_type(BYTES_LIT("")));
}

/* Statuses made up from HTTP and from resets, as the gRPC documents list them. */
static void made_up_statuses(void **state)
{
    (void) state;
    assert_int_equal(grpc_status_of_http(404), GRPC_STATUS_UNIMPLEMENTED);
    assert_int_equal(grpc_status_of_http(503), GRPC_STATUS_UNAVAILABLE);
    assert_int_equal(grpc_status_of_http(500), GRPC_STATUS_UNKNOWN);
    assert_int_equal(grpc_status_of_reset(7), GRPC_STATUS_UNAVAILABLE);
    assert_int_equal(grpc_status_of_reset(8), GRPC_STATUS_CANCELED);
    assert_int_equal(grpc_status_of_reset(11), GRPC_STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(grpc_status_of_reset(1), GRPC_STATUS_INTERNAL);
    assert_string_equal(http2_error_name(8), "CANCEL");
    assert_string_equal(http2_error_name(99), "unknown error code");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_do_not_matter), cmocka_unit_test(in_place),
        cmocka_unit_test(timeouts_are_read),  cmocka_unit_test(timeouts_round_up),
        cmocka_unit_test(percent_encoding),   cmocka_unit_test(content_types),
        cmocka_unit_test(made_up_statuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
