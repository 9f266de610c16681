#include "benchmark/report.h"

#include <math.h>

#include "base/alloc.h"
#include "cli/text.h"

#define CAP_FIRST 1024
#define HISTOGRAM_LINES 11
#define BAR_WIDTH 40
#define BAR "\xe2\x88\x8e" /* U+220E */
#define NS_PER_S 1000000000
#define OTHER_ERRORS "(further errors)"

const double report_percents[REPORT_PERCENTILES] = {10, 25, 50, 75, 90, 95, 99, 99.9};

/* ---- collecting ---- */

void report_init(struct report *r, bool seconds)
{
    *r = (struct report){.seconds = seconds};
}

void report_done(struct report *r)
{
    mem_free(r->latency_ns);
    mem_free(r->start_ns);
    mem_free(r->errors);
    *r = (struct report){0};
}

void report_begin(struct report *r, mono_ns now)
{
    r->began = r->ended = now;
}

static void report_grow(struct report *r)
{
    r->cap = r->cap == 0 ? CAP_FIRST : r->cap * 2;
    ASSERT(r->cap <= REPORT_RESULTS_MAX);
    r->latency_ns = xmem_realloc(r->latency_ns, r->cap * sizeof(*r->latency_ns));
    if (r->seconds)
        r->start_ns = xmem_realloc(r->start_ns, r->cap * sizeof(*r->start_ns));
}

void report_add(struct report *r, mono_ns began, mono_ns ended)
{
    ASSERT(ended >= began);
    if (r->count == r->cap)
        report_grow(r);
    r->latency_ns[r->count] = ended - began;
    if (r->seconds)
        r->start_ns[r->count] = began;
    r->count++;
    r->ended = MAX(r->ended, ended);
}

static struct report_error *error_find(struct report *r, const char *text)
{
    for (size_t i = 0; i < r->error_count; i++)
        if (strncmp(r->errors[i].text, text, REPORT_ERROR_BYTES - 1) == 0)
            return &r->errors[i];
    return NULL;
}

void report_fail(struct report *r, const char *text, mono_ns ended)
{
    struct report_error *e = error_find(r, text);

    r->ended = MAX(r->ended, ended);
    if (r->errors == NULL)
        r->errors = xmem_calloc(REPORT_ERRORS_MAX, sizeof(*r->errors));
    if (e == NULL && r->error_count == REPORT_ERRORS_MAX - 1)
        text = OTHER_ERRORS;
    if (e == NULL && r->error_count < REPORT_ERRORS_MAX) {
        e = &r->errors[r->error_count++];
        snprintf(e->text, sizeof(e->text), "%s", text);
    }
    if (e == NULL)
        e = &r->errors[REPORT_ERRORS_MAX - 1];
    e->count++;
}

/* ---- figures ---- */

static double seconds_of(int64_t ns)
{
    return (double) (ns / NS_PER_S) + (double) (ns % NS_PER_S) / 1e9;
}

struct summary {
    double total;
    double slowest;
    double fastest;
    double average;
    double stddev;
    double per_second;
};

static struct summary summarize(const struct report *r)
{
    double sum = 0;
    double squares = 0;
    double n = (double) r->count;
    struct summary s;

    for (size_t i = 0; i < r->count; i++)
        sum += seconds_of(r->latency_ns[i]);
    s.average = sum / n;
    for (size_t i = 0; i < r->count; i++) {
        double d = seconds_of(r->latency_ns[i]) - s.average;

        squares += d * d;
    }
    s.stddev = sqrt(squares / n);
    s.total = seconds_of(r->ended - r->began);
    s.per_second = s.total > 0 ? n / s.total : 0;
    s.fastest = seconds_of(r->latency_ns[0]);
    s.slowest = seconds_of(r->latency_ns[r->count - 1]);
    return s;
}

/* The first value at whose place i * 100 / n is not below the percentile, and no value for two of
 * them: with few results the high ones stay empty. */
void report_percentiles(const struct report *r, int64_t ret[REPORT_PERCENTILES])
{
    size_t k = 0;

    memset(ret, 0, REPORT_PERCENTILES * sizeof(*ret));
    for (size_t i = 0; i < r->count && k < REPORT_PERCENTILES; i++)
        if ((double) i * 100.0 / (double) r->count >= report_percents[k])
            ret[k++] = r->latency_ns[i];
}

/* ---- printing ---- */

static void put_number(struct buf *out, double v, bool precise)
{
    if (precise)
        text_float(out, v);
    else
        buf_printf(out, "%4.4f", v);
}

static void put_line(struct buf *out, const char *label, double v, const char *unit, bool precise)
{
    buf_printf(out, "  %s:\t", label);
    put_number(out, v, precise);
    buf_printf(out, "%s\n", unit);
}

static void put_summary(struct buf *out, const struct summary *s, bool precise)
{
    buf_add_str(out, "\nSummary:\n");
    put_line(out, "Total", s->total, " secs.", precise);
    put_line(out, "Slowest", s->slowest, " secs.", precise);
    put_line(out, "Fastest", s->fastest, " secs.", precise);
    put_line(out, "Average", s->average, " secs.", precise);
    put_line(out, "Stddev", s->stddev, " secs.", precise);
    put_line(out, "Requests/sec", s->per_second, "", precise);
}

static void put_histogram(struct buf *out, const struct report *r, const struct summary *s,
                          bool precise)
{
    double step = (s->slowest - s->fastest) / (HISTOGRAM_LINES - 1);
    double limit[HISTOGRAM_LINES];
    size_t counts[HISTOGRAM_LINES] = {0};
    size_t most = 1;
    size_t line = 0;

    for (size_t i = 0; i < HISTOGRAM_LINES - 1; i++)
        limit[i] = s->fastest + step * (double) i;
    limit[HISTOGRAM_LINES - 1] = s->slowest;
    for (size_t i = 0; i < r->count; i++) {
        while (line < HISTOGRAM_LINES - 1 && seconds_of(r->latency_ns[i]) > limit[line])
            line++;
        counts[line]++;
        most = MAX(most, counts[line]);
    }
    buf_add_str(out, "\nResponse time histogram:\n");
    for (size_t i = 0; i < HISTOGRAM_LINES; i++) {
        buf_add_str(out, "  ");
        put_number(out, limit[i], precise);
        buf_printf(out, " [%zu]\t|", counts[i]);
        for (size_t k = 0; k < counts[i] * BAR_WIDTH / most; k++)
            buf_add_str(out, BAR);
        buf_add_char(out, '\n');
    }
}

static void put_distribution(struct buf *out, const struct report *r, bool precise)
{
    int64_t at[REPORT_PERCENTILES];

    report_percentiles(r, at);
    buf_add_str(out, "\nLatency distribution:\n");
    for (size_t i = 0; i < REPORT_PERCENTILES; i++) {
        if (at[i] == 0)
            continue;
        buf_add_str(out, "  ");
        text_float(out, report_percents[i]);
        buf_add_str(out, "% in ");
        put_number(out, seconds_of(at[i]), precise);
        buf_add_str(out, " secs.\n");
    }
}

static void put_errors(struct buf *out, const struct report *r)
{
    buf_add_str(out, "\nError distribution:\n");
    for (size_t i = 0; i < r->error_count; i++)
        buf_printf(out, "  [%" PRIu64 "]\t%s\n", r->errors[i].count, r->errors[i].text);
}

/* ---- the table per second ---- */

struct second {
    int64_t least;
    int64_t sum;
    int64_t most;
    int64_t count;
};

static void put_second(struct buf *out, int64_t unix_s, const struct second *s)
{
    buf_printf(out, "%" PRId64 ",", unix_s);
    text_duration(out, s->least);
    buf_add_char(out, ',');
    text_duration(out, s->count == 0 ? 0 : s->sum / s->count);
    buf_add_char(out, ',');
    text_duration(out, s->most);
    buf_printf(out, ",%" PRId64 "\n", s->count);
}

/* A result belongs to the second in which its request began.  Seconds without any have a line, too.
 * Needs the results in the order in which they came. */
static void put_sample(struct buf *out, const struct report *r, int64_t offset_ns)
{
    int64_t first = INT64_MAX;
    int64_t last = INT64_MIN;
    struct second *seconds;

    for (size_t i = 0; i < r->count; i++) {
        first = MIN(first, (r->start_ns[i] + offset_ns) / NS_PER_S);
        last = MAX(last, (r->start_ns[i] + offset_ns) / NS_PER_S);
    }
    seconds = xmem_calloc((size_t) (last - first + 1), sizeof(*seconds));
    for (size_t i = 0; i < r->count; i++) {
        struct second *s = &seconds[(r->start_ns[i] + offset_ns) / NS_PER_S - first];
        int64_t took = r->latency_ns[i];

        s->least = s->count == 0 ? took : MIN(s->least, took);
        s->most = MAX(s->most, took);
        s->sum += took;
        s->count++;
    }
    buf_add_str(out, "\nSample in one second (unix latency throughput):\n"
                     "UNIX-SECOND,MIN-LATENCY-MS,AVG-LATENCY-MS,MAX-LATENCY-MS,AVG-THROUGHPUT\n");
    for (int64_t t = first; t <= last; t++)
        put_second(out, t, &seconds[t - first]);
    buf_add_char(out, '\n');
    mem_free(seconds);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a;
    int64_t y = *(const int64_t *) b;

    return (x > y) - (x < y);
}

void report_print(struct report *r, const struct report_style *style, struct buf *out)
{
    struct buf sample;

    buf_init(&sample, REPORT_OUT_BYTES_MAX);
    if (r->count > 0) {
        struct summary s;

        if (style->sample)
            put_sample(&sample, r, style->unix_offset_ns);
        qsort(r->latency_ns, r->count, sizeof(*r->latency_ns), by_size);
        s = summarize(r);
        put_summary(out, &s, style->precise);
        put_histogram(out, r, &s, style->precise);
        put_distribution(out, r, style->precise);
        buf_add_bytes(out, buf_bytes(&sample));
    }
    if (r->error_count > 0)
        put_errors(out, r);
    buf_done(&sample);
}
