/* The page: Prometheus text format 0.0.4, as Go's client library writes it.
 * Source: prometheus.io, "Exposition formats"; Go's strconv for numbers. */
#include <math.h>

#include "obs/metrics_int.h"

/* clang-format off */
static const double B1[] = {0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192};
static const double B2[] = {0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2};
static const double B3[] = {0.0001, 0.0002, 0.0004, 0.0008, 0.0016, 0.0032, 0.0064, 0.0128, 0.0256, 0.0512, 0.1024, 0.2048, 0.4096, 0.8192, 1.6384, 3.2768, 6.5536, 13.1072, 26.2144, 52.4288};
static const double B4[] = {0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84};
static const double B5[] = {0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36};
static const double B6[] = {0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6};
static const double B7[] = {0.0001, 0.0002, 0.0004, 0.0008, 0.0016, 0.0032, 0.0064, 0.0128, 0.0256, 0.0512, 0.1024, 0.2048, 0.4096, 0.8192, 1.6384, 3.2768};
static const double B8[] = {0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
static const double B9[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
static const double B10[] = {100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 102400, 204800, 409600, 819200};
static const double B11[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576, 2097152, 4194304, 8388608};
static const double GRPC_SECONDS[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
/* clang-format on */

const struct metric_buckets METRIC_B1 = {B1, ARRAY_LEN(B1)};
const struct metric_buckets METRIC_B2 = {B2, ARRAY_LEN(B2)};
const struct metric_buckets METRIC_B3 = {B3, ARRAY_LEN(B3)};
const struct metric_buckets METRIC_B4 = {B4, ARRAY_LEN(B4)};
const struct metric_buckets METRIC_B5 = {B5, ARRAY_LEN(B5)};
const struct metric_buckets METRIC_B6 = {B6, ARRAY_LEN(B6)};
const struct metric_buckets METRIC_B7 = {B7, ARRAY_LEN(B7)};
const struct metric_buckets METRIC_B8 = {B8, ARRAY_LEN(B8)};
const struct metric_buckets METRIC_B9 = {B9, ARRAY_LEN(B9)};
const struct metric_buckets METRIC_B10 = {B10, ARRAY_LEN(B10)};
const struct metric_buckets METRIC_B11 = {B11, ARRAY_LEN(B11)};
const struct metric_buckets METRIC_GRPC_SECONDS = {GRPC_SECONDS, ARRAY_LEN(GRPC_SECONDS)};

/* The fewest digits that read back as v, as "d.ddde[+-]xx" in text.  Returns the exponent. */
static int shortest(double v, char *text, size_t cap)
{
    for (int digits = 0; digits < 17; digits++) {
        snprintf(text, cap, "%.*e", digits, v);
        if (strtod(text, NULL) == v) /* exact on purpose */
            break;
    }
    return (int) strtol(strchr(text, 'e') + 1, NULL, 10);
}

void metric_number(double v, char out[METRIC_NUMBER_BYTES])
{
    char text[METRIC_NUMBER_BYTES];
    int exponent, decimals;

    if (isnan(v) || isinf(v)) {
        snprintf(out, METRIC_NUMBER_BYTES, "%s", isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
        return;
    }
    exponent = shortest(v, text, sizeof text);
    /* strconv's 'g' with the shortest precision goes over to exponents at these two ends. */
    if (exponent < -4 || exponent >= 6) {
        snprintf(out, METRIC_NUMBER_BYTES, "%s", text);
        return;
    }
    decimals = (int) (strchr(text, 'e') - text) - (text[0] == '-') - 2; /* without "d." */
    snprintf(out, METRIC_NUMBER_BYTES, "%.*f", MAX(MAX(decimals, 0) - exponent, 0), v);
}

static void add_escaped(struct buf *out, const char *s, bool quotes)
{
    for (; *s != 0; s++) {
        if (*s == '\\')
            buf_add_str(out, "\\\\");
        else if (*s == '\n')
            buf_add_str(out, "\\n");
        else if (*s == '"' && quotes)
            buf_add_str(out, "\\\"");
        else
            buf_add_char(out, *s);
    }
}

/* `{a="x",b="y"}` with the bucket's bound as a last label when le is given; nothing without any. */
static void add_labels(struct buf *out, const struct metric_family *f, const char *values,
                       const char *le)
{
    if (f->labels_n == 0 && le == NULL)
        return;
    buf_add_char(out, '{');
    for (size_t i = 0; i < f->labels_n; i++) {
        if (i != 0)
            buf_add_char(out, ',');
        buf_add_str(out, f->labels[i]);
        buf_add_str(out, "=\"");
        add_escaped(out, values, true);
        buf_add_char(out, '"');
        values += strlen(values) + 1;
    }
    if (le != NULL) {
        if (f->labels_n != 0)
            buf_add_char(out, ',');
        buf_add_str(out, "le=\"");
        buf_add_str(out, le);
        buf_add_char(out, '"');
    }
    buf_add_char(out, '}');
}

static void add_line(struct buf *out, const struct metric_family *f, const char *suffix,
                     const char *values, const char *le, double v)
{
    char number[METRIC_NUMBER_BYTES];

    metric_number(v, number);
    buf_add_str(out, f->name);
    buf_add_str(out, suffix);
    add_labels(out, f, values, le);
    buf_add_char(out, ' ');
    buf_add_str(out, number);
    buf_add_char(out, '\n');
}

static void add_histogram(struct buf *out, const struct metric_family *f,
                          const struct metrics__series *s)
{
    const struct histogram_buckets *b = f->buckets;
    uint64_t sum = atomic_load_explicit(&s->histogram->sum, memory_order_relaxed);
    uint64_t count = 0;

    for (size_t i = 0; i <= b->n; i++) {
        char le[METRIC_NUMBER_BYTES] = "+Inf";

        if (i < b->n)
            metric_number(b->shown[i], le);
        count += atomic_load_explicit(&s->histogram->counts[i], memory_order_relaxed);
        add_line(out, f, "_bucket", s->labels, le, (double) count);
    }
    add_line(out, f, "_sum", s->labels, NULL, (double) sum / b->per_unit);
    add_line(out, f, "_count", s->labels, NULL, (double) count);
}

static double series_value(const struct metric_family *f, const struct metrics__series *s)
{
    int64_t raw = metric_get(&s->metric);
    double v;

    if ((f->flags & METRIC_REAL) == 0)
        return (double) raw;
    memcpy(&v, &raw, sizeof v);
    return v;
}

static void add_family(struct buf *out, const struct metric_family *f)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};

    if (f->series_n == 0)
        return;
    buf_add_str(out, "# HELP ");
    buf_add_str(out, f->name);
    buf_add_char(out, ' ');
    add_escaped(out, f->help, false);
    buf_add_str(out, "\n# TYPE ");
    buf_add_str(out, f->name);
    buf_add_char(out, ' ');
    buf_add_str(out, types[f->type]);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < f->series_n; i++) {
        if (f->type == METRIC_HISTOGRAM)
            add_histogram(out, f, f->series[i]);
        else
            add_line(out, f, "", f->series[i]->labels, NULL, series_value(f, f->series[i]));
    }
}

bool metrics_write(struct metrics *m, struct buf *out)
{
    /* Collectors make series, so they run without the lock; registration ends before the first
     * page. */
    for (size_t i = 0; i < m->collectors_n; i++)
        m->collectors[i].fn(m->collectors[i].arg);
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->families_n; i++)
        add_family(out, m->families[i]);
    pthread_mutex_unlock(&m->lock);
    return !out->failed;
}
