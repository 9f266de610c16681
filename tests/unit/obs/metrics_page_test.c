/* The page against a slow, obvious renderer of the same values, and its parts. */
#include <float.h>
#include <math.h>

#include "base/alloc.h"
#include "lib/cm.h"
#include "obs/metrics.h"
#include "sys/thread.h"

#define RANDOM_NUMBERS 20000

static uint64_t seed;

static uint64_t next_random(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return seed ^ seed >> 29;
}

/* ---- the obvious renderer ---- */

/* As strconv's 'g' with the shortest precision: digits are added until they read back. */
static void plain_number(double v, char *out, size_t cap)
{
    char text[64];
    int digits = 0, exponent, decimals;

    if (isnan(v) || isinf(v)) {
        snprintf(out, cap, "%s", isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
        return;
    }
    do
        snprintf(text, sizeof text, "%.*e", digits, v);
    while (strtod(text, NULL) != v && ++digits < 17);
    exponent = (int) strtol(strchr(text, 'e') + 1, NULL, 10);
    decimals = digits == 0 ? 0 : (int) (strchr(text, 'e') - strchr(text, '.')) - 1;
    if (exponent < -4 || exponent >= 6)
        snprintf(out, cap, "%s", text);
    else
        snprintf(out, cap, "%.*f", MAX(decimals - exponent, 0), v);
}

static void plain_line(struct buf *b, const char *beginning, double v)
{
    char number[64];

    plain_number(v, number, sizeof number);
    buf_printf(b, "%s %s\n", beginning, number);
}

/* ---- numbers ---- */

static void same_number(double v)
{
    char want[64], got[METRIC_NUMBER_BYTES];

    plain_number(v, want, sizeof want);
    metric_number(v, got);
    assert_string_equal(got, want);
}

/* v >= 0: both signs, and the doubles next to it. */
static void same_numbers(double v)
{
    int64_t bits;

    memcpy(&bits, &v, sizeof bits);
    for (int64_t i = -1; i <= 1; i++) {
        int64_t near = MAX(bits + i, 0);
        double d;

        memcpy(&d, &near, sizeof d);
        same_number(d);
        same_number(-d);
    }
}

/* Whole numbers, those over powers of ten and any bits at all have the digits that the search for
 * the fewest finds. */
static void test_numbers_random(void **state)
{
    (void) state;
    seed = 1;
    for (int i = 0; i < RANDOM_NUMBERS; i++) {
        uint64_t bits = next_random(), n = next_random() >> next_random() % 64;
        double any;

        memcpy(&any, &bits, sizeof any);
        same_number(any);
        same_number((double) n);
        same_number((double) n / 1e9);
        same_number((double) (n % 1000000) / 1e3);
    }
}

/* The ends of each way to a number's digits, and what each power of ten is next to. */
static void test_numbers_at_ends(void **state)
{
    static const double ends[] = {0,       1e6,
                                  1e15,    9007199254740992.0,
                                  1e22,    1e23,
                                  5e-324,  DBL_MIN,
                                  DBL_MAX, 0.1 + 0.2,
                                  123456,  999999.9,
                                  0.0001,  1.8446744073709552e19,
                                  1e16 + 2};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        same_numbers(ends[i]);
    for (int e = -320; e <= 308; e++) {
        for (int digit = 1; digit < (e == 308 ? 2 : 10); digit++) {
            char text[16];

            snprintf(text, sizeof text, "%de%d", digit, e);
            same_numbers(strtod(text, NULL));
        }
    }
    same_number((double) INFINITY);
    same_number((double) -INFINITY);
    same_number((double) NAN);
}

/* ---- pages ---- */

#define SERIES 40
#define BOUNDS 5

static const double bounds[BOUNDS] = {1e-7, 0.004, 1, 640, 1048576};

/* A registry of all types, and its page as the obvious renderer has it. */
struct both {
    struct metrics *m;
    struct buf page;
    struct buf want;
};

static void both_init(struct both *x)
{
    x->m = metrics_new();
    buf_init(&x->page, METRIC_PAGE_BYTES_MAX);
    buf_init(&x->want, METRIC_PAGE_BYTES_MAX);
}

static void both_done(struct both *x)
{
    buf_done(&x->page);
    buf_done(&x->want);
    metrics_free(x->m);
}

static void plain_head(struct buf *b, const char *name, const char *help, const char *type)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The label values in the order of the page; `shown` is what is made of them. */
static const struct {
    const char *value;
    const char *shown;
} labels[] = {
    {"", ""},           {"\n", "\\n"},      {"\"q\"", "\\\"q\\\""},   {"a", "a"},
    {"a\\b", "a\\\\b"}, {"plain", "plain"}, {"\xc3\xa9", "\xc3\xa9"},
};

static void add_counters(struct both *x)
{
    struct metric_family *f = metrics_family(x->m, METRIC_COUNTER, METRIC_SHARDED, "a_total",
                                             "one\\two\n\"three\"", METRIC_LABELS("z", "b"));
    char line[128];

    plain_head(&x->want, "a_total", "one\\\\two\\n\"three\"", "counter");
    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        int64_t v = (int64_t) (next_random() >> next_random() % 64) / 2;

        metric_add(metric_with(f, METRIC_LABELS("last", labels[i].value)), v);
        snprintf(line, sizeof line, "a_total{b=\"%s\",z=\"last\"}", labels[i].shown);
        plain_line(&x->want, line, (double) v);
    }
}

static void add_gauges(struct both *x)
{
    const double values[] = {(double) NAN, (double) INFINITY, (double) -INFINITY, -0.0,
                             1e-9,         -2.5e300};
    struct metric_family *f = metrics_family(x->m, METRIC_GAUGE, METRIC_REAL, "b", "",
                                             METRIC_LABELS("n"));
    char line[64], n[8];

    plain_head(&x->want, "b", "", "gauge");
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        snprintf(n, sizeof n, "%zu", i);
        metric_set_real(metric_with(f, METRIC_LABELS((const char *) n)), values[i]);
        snprintf(line, sizeof line, "b{n=\"%s\"}", n);
        plain_line(&x->want, line, values[i]);
    }
    metric_set(metrics_gauge(x->m, "c", "c"), -7);
    plain_head(&x->want, "c", "c", "gauge");
    plain_line(&x->want, "c", -7);
}

/* Observations that go to each bucket in turn; `label`: "" or `who="x"` as it is shown. */
static void add_observations(struct both *x, struct histogram *h, const char *name,
                             const char *label)
{
    uint64_t counts[BOUNDS + 1] = {0}, sum = 0, count = 0;
    char line[160], bound[64];

    for (size_t i = 0; i < 1000; i++) {
        uint64_t v = next_random() >> (8 + next_random() % 56);
        size_t k = 0;

        histogram_observe(h, (int64_t) v);
        while (k < BOUNDS && (double) v > bounds[k] * 1e9)
            k++;
        counts[k]++;
        sum += v;
    }
    for (size_t i = 0; i <= BOUNDS; i++) {
        plain_number(i < BOUNDS ? bounds[i] : (double) INFINITY, bound, sizeof bound);
        count += counts[i];
        snprintf(line, sizeof line, "%s_bucket{%s%sle=\"%s\"}", name, label,
                 label[0] == 0 ? "" : ",", bound);
        plain_line(&x->want, line, (double) count);
    }
    snprintf(line, sizeof line, label[0] == 0 ? "%s_sum" : "%s_sum{%s}", name, label);
    plain_line(&x->want, line, (double) sum / 1e9);
    snprintf(line, sizeof line, label[0] == 0 ? "%s_count" : "%s_count{%s}", name, label);
    plain_line(&x->want, line, (double) count);
}

static void add_histograms(struct both *x)
{
    struct metric_family *f;
    char label[64];

    plain_head(&x->want, "h_seconds", "h", "histogram");
    add_observations(x, metrics_histogram(x->m, "h_seconds", "h", bounds, BOUNDS, METRIC_NS_PER_S),
                     "h_seconds", "");
    f = metrics_histogram_family(x->m, "i_seconds", "i", bounds, BOUNDS, METRIC_NS_PER_S,
                                 METRIC_LABELS("who"));
    plain_head(&x->want, "i_seconds", "i", "histogram");
    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        snprintf(label, sizeof label, "who=\"%s\"", labels[i].shown);
        add_observations(x, histogram_with(f, METRIC_LABELS(labels[i].value)), "i_seconds", label);
    }
}

static void add_all(struct both *x)
{
    seed = 7;
    add_counters(x);
    add_gauges(x);
    add_histograms(x);
    (void) metrics_family(x->m, METRIC_COUNTER, METRIC_PLAIN, "j", "no series", METRIC_LABELS("l"));
}

/* A page of all types, with labels to be escaped and numbers of all kinds, has the bytes of the
 * obvious renderer. */
static void test_page_of_all(void **state)
{
    struct both x;

    (void) state;
    both_init(&x);
    add_all(&x);
    assert_true(metrics_write(x.m, &x.page));
    assert_string_equal(buf_cstr(&x.page), buf_cstr(&x.want));
    both_done(&x);
}

/* However small the parts are, together they are the page; none is longer than asked for by more
 * than a series and the head of its family. */
static void test_parts(void **state)
{
    struct metrics_page p;
    struct both x;

    (void) state;
    both_init(&x);
    add_all(&x);
    for (size_t bytes = 1; bytes < 4096; bytes += bytes / 4 + 1) {
        size_t parts = 0, before;

        buf_clear(&x.page);
        metrics_page_begin(x.m, &p);
        do {
            before = x.page.len;
            assert_true(metrics_page_add(&p, bytes, &x.page));
            assert_true(x.page.len - before < bytes + 500);
            parts++;
        } while (!p.done);
        assert_string_equal(buf_cstr(&x.page), buf_cstr(&x.want));
        assert_true(parts >= x.want.len / (bytes + 500));
    }
    both_done(&x);
}

static struct metric *numbered(struct metric_family *f, int n)
{
    char text[12];

    snprintf(text, sizeof text, "%05d", n);
    return metric_with(f, METRIC_LABELS((const char *) text));
}

/* Series and families that are made between two parts, before and behind what was written, make
 * nothing appear twice or vanish. */
static void test_parts_grow(void **state)
{
    struct metrics *m = metrics_new();
    struct metric_family *f = metrics_family(m, METRIC_COUNTER, METRIC_PLAIN, "m", "m",
                                             METRIC_LABELS("n"));
    struct metrics_page p;
    char name[32], names[SERIES][8];
    struct buf out;

    (void) state;
    buf_init(&out, METRIC_PAGE_BYTES_MAX);
    for (int i = 0; i < SERIES; i++)
        metric_set(numbered(f, 1000 + i * 10), i);
    metrics_page_begin(m, &p);
    for (int i = 0; !p.done; i++) {
        assert_true(metrics_page_add(&p, 1, &out));
        if (i >= SERIES)
            continue;
        metric_set(numbered(f, i), 77);                /* before all that is shown */
        metric_set(numbered(f, 1001 + i * 10), 88);    /* right behind the last one */
        snprintf(names[i], sizeof names[i], "a%d", i); /* a family before this one */
        metric_set(metrics_gauge(m, names[i], "a"), 99);
    }
    for (int i = 0; i < SERIES; i++) {
        const char *line;

        snprintf(name, sizeof name, "m{n=\"%05d\"} %d\n", 1000 + i * 10, i);
        line = strstr(buf_cstr(&out), name);
        assert_non_null(line);
        assert_null(strstr(line + 1, name));
    }
    assert_non_null(strstr(buf_cstr(&out), "# TYPE m counter\n"));
    assert_null(strstr(strstr(buf_cstr(&out), "# TYPE m counter\n") + 1, "# TYPE m counter\n"));
    assert_null(strstr(buf_cstr(&out), " 77\n"));
    assert_null(strstr(buf_cstr(&out), " 99\n"));
    buf_done(&out);
    metrics_free(m);
}

/* A page that is longer than its buffer may be is refused. */
static void test_refused(void **state)
{
    struct buf small;
    struct both x;

    (void) state;
    both_init(&x);
    add_all(&x);
    buf_init(&small, 1000);
    assert_false(metrics_write(x.m, &small));
    buf_done(&small);
    both_done(&x);
}

/* ---- collectors ---- */

#define PAGES 200

static struct metrics *shared;
static int inside; /* not atomic: only one collector runs at a time */

static void collect(void *arg)
{
    inside++;
    metric_set(arg, inside);
}

static void make_pages(void *arg)
{
    struct metrics_page p;

    (void) arg;
    for (int i = 0; i < PAGES; i++)
        metrics_page_begin(shared, &p);
}

/* Threads that make pages at the same time run the collectors one at a time. */
static void test_collectors_exclude(void **state)
{
    struct thread *t[4];
    struct metric *g;

    (void) state;
    shared = metrics_new();
    g = metrics_gauge(shared, "g", "g");
    inside = 0;
    metrics_on_collect(shared, collect, g);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(thread_start("pages", make_pages, NULL, &t[i], NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        thread_join(t[i]);
    assert_int_equal(metric_get(g), PAGES * ARRAY_LEN(t));
    metrics_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_random),     cmocka_unit_test(test_numbers_at_ends),
        cmocka_unit_test(test_page_of_all),        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_parts_grow),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_collectors_exclude),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
