/* metrics.h -- counters, gauges and histograms, and the page that Prometheus reads.
 *
 * A registry holds families (name, help, type, label names), a family holds series (label values).
 * A family without labels has its one series from the start; a series with labels exists from the
 * first metric_with.  The page is the text format 0.0.4, byte for byte as Go's client writes it.
 *
 * Families and series are made under a lock, at start or on first use: keep the pointer.  Updates
 * are relaxed atomic additions on the series and never lock; a series made METRIC_SHARDED spreads
 * them over METRIC_SHARDS cache lines, for counters that several threads move all the time.
 * Values that somebody else keeps are fetched when the page is made: see metrics_on_collect.
 *
 * Histograms take whole numbers in a fine unit and show them in the coarse unit of the family: with
 * per_unit = METRIC_NS_PER_S, 1500000 is observed and 0.0015 shown.
 *
 * Source: prometheus.io, "Exposition formats", and client_golang for what that leaves open.
 *
 * Threads: any.   Memory: names, help and label names are borrowed for ever (literals); label
 * values are copied.  Series live as long as the registry.
 */
#ifndef KETCH_OBS_METRICS_H
#define KETCH_OBS_METRICS_H

#include <stdatomic.h>

#include "base/buf.h"

#define METRIC_SHARDS 4
#define METRIC_LABELS_MAX 4
#define METRIC_BUCKETS_MAX 32
#define METRIC_SERIES_MAX \
    65536 /* of one family; past it the last one (in the page's order) counts for the rest */
#define METRIC_PAGE_BYTES_MAX 67108864

#define METRIC_NS_PER_S 1e9
#define METRIC_NS_PER_MS 1e6

struct metrics;
struct metric_family;
struct histogram_buckets;

/* One series of a counter or gauge. */
struct metric {
    _Atomic int64_t *cells; /* METRIC_SHARDS of them, a cache line apart, or `own` */
    uint32_t shard_mask;    /* 0: not sharded */
    _Atomic int64_t own;
};

/* One series of a histogram. */
struct histogram {
    _Atomic uint64_t sum; /* in the fine unit; wraps only after centuries */
    const struct histogram_buckets *buckets;
    _Atomic uint64_t
        counts[METRIC_BUCKETS_MAX + 1]; /* not cumulative; the one past the last bound is +Inf */
};

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum metric_flags {
    METRIC_PLAIN = 0,
    METRIC_SHARDED = 1, /* hot counters */
    METRIC_REAL = 2,    /* the cell holds the bits of a double: use metric_set_real only */
};

NODISCARD struct metrics *metrics_new(void); /* NULL without memory */
void metrics_free(struct metrics *m);        /* NULL is accepted */

/* Make a family, or find the one that has this name.  `labels`: up to METRIC_LABELS_MAX names, NULL
 * behind the last; NULL for none.  These never fail: without memory at start the process stops. */
struct metric_family *metrics_family(struct metrics *m, enum metric_type type, unsigned flags,
                                     const char *name, const char *help, const char *const *labels);
/* `bounds` ascending, in the coarse unit; at most METRIC_BUCKETS_MAX, and copied.  `per_unit`: fine
 * units in a coarse one. */
struct metric_family *metrics_histogram_family(struct metrics *m, const char *name,
                                               const char *help, const double *bounds,
                                               size_t bounds_n, double per_unit,
                                               const char *const *labels);

/* The series with these label values (as many as the family has labels, in its order; NULL behind
 * the last, or NULL for none), made on first use.  NULL for a NULL family.  Where there are
 * METRIC_SERIES_MAX already it is the last of them. */
struct metric *metric_with(struct metric_family *f, const char *const *values);
struct histogram *histogram_with(struct metric_family *f, const char *const *values);

/* The families without labels, in one call. */
struct metric *metrics_counter(struct metrics *m, const char *name, const char *help);
struct metric *metrics_counter_hot(struct metrics *m, const char *name, const char *help);
struct metric *metrics_gauge(struct metrics *m, const char *name, const char *help);
struct metric *metrics_gauge_real(struct metrics *m, const char *name, const char *help);
struct histogram *metrics_histogram(struct metrics *m, const char *name, const char *help,
                                    const double *bounds, size_t bounds_n, double per_unit);

#define METRIC_LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The number of the calling thread, given out in order of first use. */
unsigned metric_thread(void);

/* Counters and gauges.  A NULL series is accepted everywhere: whoever has no registry counts
 * nothing.  metric_set is not for sharded ones, and nothing but metric_set_real for METRIC_REAL. */
static inline void metric_add(struct metric *c, int64_t n)
{
    if (c == NULL)
        return;
    if (c->shard_mask == 0)
        atomic_fetch_add_explicit(&c->own, n, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&c->cells[(metric_thread() & c->shard_mask) * 8], n,
                                  memory_order_relaxed);
}

static inline void metric_inc(struct metric *c)
{
    metric_add(c, 1);
}

static inline void metric_set(struct metric *g, int64_t v)
{
    if (g != NULL)
        atomic_store_explicit(&g->own, v, memory_order_relaxed);
}

void metric_set_real(struct metric *g, double v);
int64_t metric_get(const struct metric *c);

/* v: in the fine unit; a negative one counts as 0. */
void histogram_observe(struct histogram *h, int64_t v);
uint64_t histogram_count(const struct histogram *h);

/* fn(arg) is called before each page is written: it sets gauges and counters from numbers that
 * others keep.  It runs on the thread of metrics_write, one at a time, and may make series. */
void metrics_on_collect(struct metrics *m, void (*fn)(void *arg), void *arg);

/* Appends the page.  False when the buffer refuses. */
bool metrics_write(struct metrics *m, struct buf *out);

/* The page in parts, between which others have their turn: labels that clients choose can make it
 * long.  It shows of each series what holds when its part is made, the lines of a histogram all at
 * once; families and series that are made meanwhile may be missing.  Needs no end: it owns nothing.
 */
struct metrics_page {
    struct metrics *m;
    const struct metric_family *family;   /* the next one, or the one under way */
    const struct metrics__series *series; /* of that, the last one written; NULL: none yet */
    bool done;
};

/* Runs what metrics_on_collect was given. */
void metrics_page_begin(struct metrics *m, struct metrics_page *p);
/* Appends whole series until they are at least `bytes` (> 0) long, or all that are left (p->done).
 * False when the buffer refuses. */
bool metrics_page_add(struct metrics_page *p, size_t bytes, struct buf *out);

/* A number as Go's strconv 'g' with shortest precision writes it: "1.572864e+06", "1e-05", "+Inf".
 */
#define METRIC_NUMBER_BYTES 32
void metric_number(double v, char out[METRIC_NUMBER_BYTES]);

/* Bucket sets that many families share (the letters are those of the reference sheet). */
struct metric_buckets {
    const double *bounds;
    size_t n;
};

extern const struct metric_buckets METRIC_B1, METRIC_B2, METRIC_B3, METRIC_B4, METRIC_B5, METRIC_B6,
    METRIC_B7, METRIC_B8, METRIC_B9, METRIC_B10, METRIC_B11, METRIC_GRPC_SECONDS;

#endif
