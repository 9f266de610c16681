/* report.h -- how long requests took, and what is said about it at the end, as etcd's benchmark
 * says it.
 *
 *     report_begin(&r, now);
 *     report_add(&r, began, ended);   or   report_fail(&r, "why");     once per request
 *     report_print(&r, &style, &out);
 *
 * Every latency is kept, so percentiles are exact.  Failed requests are counted by their words and
 * are in no other figure.
 *
 * Threads: one at a time.   Memory: 8 bytes per request, 16 with `seconds`.
 */
#ifndef KETCH_CMD_BENCHMARK_REPORT_H
#define KETCH_CMD_BENCHMARK_REPORT_H

#include "base/buf.h"
#include "sys/clock.h"

#define REPORT_RESULTS_MAX ((size_t) 1 << 30)
#define REPORT_ERRORS_MAX 64 /* different ones; further ones are counted under one name */
#define REPORT_ERROR_BYTES 256
#define REPORT_OUT_BYTES_MAX ((size_t) 64 << 20)

struct report_error {
    char text[REPORT_ERROR_BYTES];
    uint64_t count;
};

struct report {
    int64_t *latency_ns;
    int64_t *start_ns; /* only with `seconds` */
    size_t count;
    size_t cap;
    bool seconds; /* keep starts, for the table per second */
    mono_ns began;
    mono_ns ended; /* of the last result */
    struct report_error *errors;
    size_t error_count;
};

struct report_style {
    bool precise;           /* numbers in their shortest exact form, not with four decimals */
    bool sample;            /* the table per second; needs `seconds` */
    int64_t unix_offset_ns; /* what to add to mono_ns for Unix time */
};

void report_init(struct report *r, bool seconds);
void report_done(struct report *r);
void report_begin(struct report *r, mono_ns now);
void report_add(struct report *r, mono_ns began, mono_ns ended);
void report_fail(struct report *r, const char *text, mono_ns ended);

/* Sorts the results by latency; nothing may be added afterwards. */
void report_print(struct report *r, const struct report_style *style, struct buf *out);

#define REPORT_PERCENTILES 8
extern const double report_percents[REPORT_PERCENTILES]; /* 10 ... 99.9 */

/* The latencies at these shares in nanoseconds, 0 where there are too few results.  After
 * report_print. */
void report_percentiles(const struct report *r, int64_t ret[REPORT_PERCENTILES]);

#endif
