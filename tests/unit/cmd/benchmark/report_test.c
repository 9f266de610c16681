#include "lib/cm.h"

#include "base/alloc.h"
#include "benchmark/report.h"
#include "sys/random.h"

#define MS 1000000
#define S ((int64_t) 1000 * MS)

static struct buf out;
static struct report report;

static int setup(void **state)
{
    (void) state;
    buf_init(&out, REPORT_OUT_BYTES_MAX);
    report_init(&report, false);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    buf_done(&out);
    report_done(&report);
    return 0;
}

static void expect_report(const struct report_style *style, const char *want)
{
    report_print(&report, style, &out);
    assert_string_equal(buf_cstr(&out), want);
}

/* Ten requests of 1 to 10 ms, begun 100 ms apart in reverse order: every figure by hand. */
static void prints_all_figures(void **state)
{
    static const struct report_style style = {0};

    (void) state;
    report_begin(&report, 5 * S);
    for (int64_t i = 10; i >= 1; i--)
        report_add(&report, 5 * S + (10 - i) * 100 * MS, 5 * S + (10 - i) * 100 * MS + i * MS);
    report.ended = 6 * S;
    expect_report(&style, "\nSummary:\n"
                          "  Total:\t1.0000 secs.\n"
                          "  Slowest:\t0.0100 secs.\n"
                          "  Fastest:\t0.0010 secs.\n"
                          "  Average:\t0.0055 secs.\n"
                          "  Stddev:\t0.0029 secs.\n"
                          "  Requests/sec:\t10.0000\n"
                          "\nResponse time histogram:\n"
                          "  0.0010 [1]\t|∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎\n"
                          "  0.0019 [0]\t|\n"
                          "  0.0028 [1]\t|∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎\n"
                          "  0.0037 [1]\t|∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎\n"
                          "  0.0046 [1]\t|∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎\n"
                          "  0.0055 [1]\t|∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎\n"
                          "  0.0064 [1]\t|∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎\n"
                          "  0.0073 [1]\t|∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎\n"
                          "  0.0082 [1]\t|∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎\n"
                          "  0.0091 [1]\t|∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎\n"
                          "  0.0100 [1]\t|∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎\n"
                          "\nLatency distribution:\n"
                          "  10% in 0.0020 secs.\n"
                          "  25% in 0.0040 secs.\n"
                          "  50% in 0.0060 secs.\n"
                          "  75% in 0.0090 secs.\n"
                          "  90% in 0.0100 secs.\n");
}

/* With `precise` numbers have all their digits; a bar is a share of the longest, rounded down. */
static void prints_precisely(void **state)
{
    static const struct report_style style = {.precise = true};

    (void) state;
    report_begin(&report, 0);
    for (int i = 0; i < 99; i++)
        report_add(&report, 0, 1274722);
    report_add(&report, 0, 20143914);
    report_print(&report, &style, &out);
    assert_non_null(strstr(buf_cstr(&out), "  Total:\t0.020143914 secs.\n"));
    assert_non_null(strstr(buf_cstr(&out), "  Fastest:\t0.001274722 secs.\n"));
    assert_non_null(strstr(buf_cstr(&out), "  0.0031616412 [0]\t|\n"));
    assert_non_null(strstr(buf_cstr(&out), "  0.020143914 [1]\t|\n"));
    assert_non_null(strstr(buf_cstr(&out), "  99% in 0.020143914 secs.\n"));
}

/* Failures are counted by their words, in the order in which they came, and are in no other figure;
 * with failures alone nothing else is printed. */
static void counts_failures(void **state)
{
    static const struct report_style style = {0};

    (void) state;
    report_begin(&report, 0);
    report_fail(&report, "etcdserver: too many requests", MS);
    report_fail(&report, "no", MS);
    report_fail(&report, "etcdserver: too many requests", MS);
    expect_report(&style, "\nError distribution:\n"
                          "  [2]\tetcdserver: too many requests\n"
                          "  [1]\tno\n");
}

/* However many different failures there are, the report holds a bounded number of texts and counts
 * all of them. */
static void bounds_failures(void **state)
{
    static const struct report_style style = {0};
    uint64_t sum = 0;
    char text[32];

    (void) state;
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "error %d", i);
        report_fail(&report, text, MS);
    }
    assert_int_equal(report.error_count, REPORT_ERRORS_MAX);
    for (size_t i = 0; i < report.error_count; i++)
        sum += report.errors[i].count;
    assert_int_equal(sum, 1000);
    report_print(&report, &style, &out);
    assert_non_null(strstr(buf_cstr(&out), "  [937]\t(further errors)\n"));
}

/* The table per second has the second of each request's beginning, also seconds without any. */
static void samples_by_second(void **state)
{
    static const struct report_style style = {.sample = true, .unix_offset_ns = 1000 * S};
    const char *table;

    (void) state;
    report_done(&report);
    report_init(&report, true);
    report_begin(&report, 0);
    report_add(&report, 2 * S + 900 * MS, 3 * S);
    report_add(&report, 100 * MS, 101 * MS);
    report_add(&report, 200 * MS, 204 * MS);
    report_print(&report, &style, &out);
    table = strstr(buf_cstr(&out), "\nSample in one second");
    assert_non_null(table);
    assert_string_equal(table, "\nSample in one second (unix latency throughput):\n"
                               "UNIX-SECOND,MIN-LATENCY-MS,AVG-LATENCY-MS,MAX-LATENCY-MS,"
                               "AVG-THROUGHPUT\n"
                               "1000,1ms,2.5ms,4ms,2\n"
                               "1001,0s,0s,0s,0\n"
                               "1002,100ms,100ms,100ms,1\n\n");
}

/* The slow, obvious percentile: the first value with so many per cent of all values before it, and
 * not the one that an earlier percentile took. */
static int64_t percentile_model(const struct report *r, double percent, size_t *from)
{
    for (; *from < r->count; (*from)++)
        if ((double) *from * 100.0 / (double) r->count >= percent)
            return r->latency_ns[(*from)++];
    return 0;
}

/* Percentiles and histogram counts agree with slow, obvious versions for loads of many sizes. */
static void agrees_with_model(void **state)
{
    static const struct report_style style = {0};
    struct random_seeded chance;

    (void) state;
    random_seeded_init(&chance, 3);
    for (size_t n = 1; n < 3000; n = n * 3 / 2 + 1) {
        int64_t at[REPORT_PERCENTILES];
        size_t from = 0;
        size_t sum = 0;

        report_done(&report);
        report_init(&report, false);
        buf_clear(&out);
        report_begin(&report, 0);
        for (size_t i = 0; i < n; i++)
            report_add(&report, 0, 1 + (int64_t) random_below(&chance.random, 50 * MS));
        report_print(&report, &style, &out);
        report_percentiles(&report, at);
        for (size_t i = 0; i + 1 < n; i++)
            assert_true(report.latency_ns[i] <= report.latency_ns[i + 1]);
        for (size_t i = 0; i < REPORT_PERCENTILES; i++)
            assert_int_equal(at[i], percentile_model(&report, report_percents[i], &from));
        for (const char *p = buf_cstr(&out); (p = strstr(p, " [")) != NULL; p += 2)
            sum += strtoull(p + 2, NULL, 10);
        assert_int_equal(sum, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(prints_all_figures, setup, teardown),
        cmocka_unit_test_setup_teardown(prints_precisely, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(samples_by_second, setup, teardown),
        cmocka_unit_test_setup_teardown(agrees_with_model, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
