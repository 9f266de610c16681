#include "obs/metrics.h"

#include <math.h>
#include <setjmp.h>

#include <cmocka.h>

#include "sys/thread.h"

static void check_number(double v, const char *want)
{
    char out[METRIC_NUMBER_BYTES];

    metric_number(v, out);
    assert_string_equal(out, want);
}

/* Numbers come out as Go's strconv 'g' with the shortest precision writes them. */
static void test_numbers(void **state)
{
    (void) state;
    check_number(0, "0");
    check_number(1, "1");
    check_number(-1, "-1");
    check_number(0.001, "0.001");
    check_number(0.0001, "0.0001");
    check_number(0.00001, "1e-05");
    check_number(8.192, "8.192");
    check_number(100, "100");
    check_number(819200, "819200");
    check_number(999999, "999999");
    check_number(123456.5, "123456.5");
    check_number(1000000, "1e+06");
    check_number(1048576, "1.048576e+06");
    check_number(1572864, "1.572864e+06");
    check_number(2147483648.0, "2.147483648e+09");
    check_number(18446744073709551615.0, "1.8446744073709552e+19");
    check_number(1e100, "1e+100");
    check_number(0.1 + 0.2, "0.30000000000000004");
    check_number(-0.5, "-0.5");
    check_number((double) INFINITY, "+Inf");
    check_number((double) -INFINITY, "-Inf");
    check_number((double) NAN, "NaN");
}

static const char *page(struct metrics *m, struct buf *out)
{
    buf_clear(out);
    assert_true(metrics_write(m, out));
    return buf_cstr(out);
}

/* Families are sorted by name, labels by theirs, series by label values; help and labels are
 * escaped. */
static void test_page(void **state)
{
    struct metrics *m = metrics_new();
    struct metric_family *handled;
    struct metric *put;
    struct buf out;

    (void) state;
    buf_init(&out, METRIC_PAGE_BYTES_MAX);
    put = metrics_counter_hot(m, "etcd_mvcc_put_total",
                              "Total number of puts seen by this member.");
    handled = metrics_family(m, METRIC_COUNTER, METRIC_PLAIN, "a_handled_total", "line\\one\ntwo",
                             METRIC_LABELS("method", "code"));
    metric_add(metric_with(handled, METRIC_LABELS("Put", "OK")), 2);
    metric_add(metric_with(handled, METRIC_LABELS("x\"y\\z\nw", "Canceled")), 1);
    metric_inc(metric_with(handled, METRIC_LABELS("Put", "OK")));
    metric_set(metrics_gauge(m, "etcd_server_quota_backend_bytes", "q"), INT64_C(2147483648));
    metric_set_real(metrics_gauge_real(m, "process_cpu_seconds_total", "cpu"), 0.25);
    metric_inc(put);
    metric_inc(put);
    assert_int_equal(metric_get(put), 2);
    assert_string_equal(page(m, &out),
                        "# HELP a_handled_total line\\\\one\\ntwo\n"
                        "# TYPE a_handled_total counter\n"
                        "a_handled_total{code=\"Canceled\",method=\"x\\\"y\\\\z\\nw\"} 1\n"
                        "a_handled_total{code=\"OK\",method=\"Put\"} 3\n"
                        "# HELP etcd_mvcc_put_total Total number of puts seen by this member.\n"
                        "# TYPE etcd_mvcc_put_total counter\n"
                        "etcd_mvcc_put_total 2\n"
                        "# HELP etcd_server_quota_backend_bytes q\n"
                        "# TYPE etcd_server_quota_backend_bytes gauge\n"
                        "etcd_server_quota_backend_bytes 2.147483648e+09\n"
                        "# HELP process_cpu_seconds_total cpu\n"
                        "# TYPE process_cpu_seconds_total gauge\n"
                        "process_cpu_seconds_total 0.25\n");
    buf_done(&out);
    metrics_free(m);
}

/* Buckets are cumulative and inclusive at their bound; values are shown in the coarse unit. */
static void test_histogram(void **state)
{
    static const double bounds[] = {0.001, 0.002};
    struct metrics *m = metrics_new();
    struct histogram *h = metrics_histogram(m, "h_seconds", "h", bounds, 2, METRIC_NS_PER_S);
    struct buf out;

    (void) state;
    buf_init(&out, METRIC_PAGE_BYTES_MAX);
    histogram_observe(h, -5);
    histogram_observe(h, 1000000);
    histogram_observe(h, 1000001);
    histogram_observe(h, 500000000);
    assert_int_equal(histogram_count(h), 4);
    assert_string_equal(page(m, &out), "# HELP h_seconds h\n"
                                       "# TYPE h_seconds histogram\n"
                                       "h_seconds_bucket{le=\"0.001\"} 2\n"
                                       "h_seconds_bucket{le=\"0.002\"} 3\n"
                                       "h_seconds_bucket{le=\"+Inf\"} 4\n"
                                       "h_seconds_sum 0.502000001\n"
                                       "h_seconds_count 4\n");
    buf_done(&out);
    metrics_free(m);
}

/* A family with labels is not shown before its first series; making one twice gives the same. */
static void test_families(void **state)
{
    struct metrics *m = metrics_new();
    struct metric_family *f = metrics_histogram_family(m, "x", "x", METRIC_B1.bounds, METRIC_B1.n,
                                                       METRIC_NS_PER_S, METRIC_LABELS("success"));
    struct buf out;

    (void) state;
    buf_init(&out, METRIC_PAGE_BYTES_MAX);
    assert_string_equal(page(m, &out), "");
    assert_ptr_equal(f, metrics_histogram_family(m, "x", "x", METRIC_B1.bounds, METRIC_B1.n,
                                                 METRIC_NS_PER_S, METRIC_LABELS("success")));
    assert_ptr_equal(histogram_with(f, METRIC_LABELS("true")),
                     histogram_with(f, METRIC_LABELS("true")));
    assert_non_null(strstr(page(m, &out), "x_bucket{success=\"true\",le=\"8.192\"} 0\n"));
    metric_inc(NULL);
    histogram_observe(NULL, 1);
    buf_done(&out);
    metrics_free(m);
}

static void collect(void *arg)
{
    metric_inc(arg);
}

/* Collectors run before each page. */
static void test_collect(void **state)
{
    struct metrics *m = metrics_new();
    struct buf out;

    (void) state;
    buf_init(&out, METRIC_PAGE_BYTES_MAX);
    metrics_on_collect(m, collect, metrics_gauge(m, "g", "g"));
    page(m, &out);
    assert_non_null(strstr(page(m, &out), "\ng 2\n"));
    buf_done(&out);
    metrics_free(m);
}

#define ADDS 10000

static void add_many(void *arg)
{
    for (int i = 0; i < ADDS; i++)
        metric_inc(arg);
}

/* No addition is lost when several threads move one sharded counter. */
static void test_threads(void **state)
{
    struct metrics *m = metrics_new();
    struct metric *c = metrics_counter_hot(m, "c", "c");
    struct thread *t[6];

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(thread_start("adder", add_many, c, &t[i], NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        thread_join(t[i]);
    assert_int_equal(metric_get(c), ADDS * 6);
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),   cmocka_unit_test(test_page),
        cmocka_unit_test(test_histogram), cmocka_unit_test(test_families),
        cmocka_unit_test(test_collect),   cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
